//! Where parts of answers go, against the rule itself spelled out region by region.

use std::collections::BTreeSet;

use domicile_types::RegionId;
use domicile_wire::token::{Claims, Role, sign};
use ed25519_dalek::SigningKey;
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;

use super::{Client, ClientTrust, Destination};
use crate::QueryError;

const CODES: [&str; 4] = ["EU", "DE", "US", "IN"];
const NOW: u64 = 1_800_000_000;

fn region(number: usize) -> RegionId {
    format!("r{number}").parse().unwrap()
}

fn key() -> SigningKey {
    SigningKey::from_bytes(&[3; 32])
}

fn codes(of: &BTreeSet<usize>) -> Vec<String> {
    of.iter().map(|code| CODES[*code].to_owned()).collect()
}

fn trust(regions: &[BTreeSet<usize>], allow_anonymous: bool) -> ClientTrust {
    let jurisdictions = regions.iter().enumerate().map(|(number, of)| (region(number), codes(of)));
    ClientTrust { keys: vec![key().verifying_key()], allow_anonymous, jurisdictions: jurisdictions.collect() }
}

fn client(trust: &ClientTrust, change: impl FnOnce(&mut Claims)) -> Result<Client, QueryError> {
    let mut claims = Claims::new("tests", "alice", vec!["EU".to_owned()], NOW - 1, NOW + 1);
    change(&mut claims);
    trust.client(&region(0), &region(0), Some(sign(&claims, &key()).unwrap()), NOW)
}

proptest! {
    #[test]
    fn every_region_on_the_way_is_a_destination(
        regions in vec(btree_set(0..CODES.len(), 1..3), 1..6),
        stands in btree_set(0..CODES.len(), 1..3),
        home in any::<prop::sample::Index>(),
        edge in any::<prop::sample::Index>(),
    ) {
        let (home, edge) = (home.index(regions.len()), edge.index(regions.len()));
        let client = client(&trust(&regions, false), |claims| claims.jurisdictions = codes(&stands)).unwrap();
        let got = client.destinations(&region(home), &region(edge));
        let at = |number: usize| regions[number].iter().any(|code| stands.contains(code));
        let nowhere = (0..regions.len()).all(|number| !at(number));
        prop_assert_eq!(matches!(got, Err(QueryError::ClientNowhere { .. })), nowhere);
        for number in (0..regions.len()).filter(|_| !nowhere) {
            let passes = number == edge || (at(number) && !at(home));
            let expected = passes && number != home;
            prop_assert_eq!(got.as_ref().unwrap().contains(&region(number)), expected, "region {}", number);
        }
    }
}

#[test]
fn who_has_no_token_stands_at_the_edge_alone() {
    let shared = [BTreeSet::from([0]), BTreeSet::from([0]), BTreeSet::from([2])];
    let anonymous = trust(&shared, true).client(&region(2), &region(0), None, NOW).unwrap();
    assert_eq!((anonymous.tenant(), anonymous.record()), ("anonymous", None));
    assert!(Role::ALL.into_iter().all(|role| anonymous.check_role(role).is_ok()));
    for (home, expected) in [(0, vec![]), (1, vec![region(0)]), (2, vec![region(0)])] {
        let got = anonymous.destinations(&region(home), &region(0)).unwrap();
        assert_eq!(got.into_iter().collect::<Vec<_>>(), expected, "{home}");
    }
    let refused = trust(&shared, false).client(&region(2), &region(0), None, NOW);
    assert!(matches!(refused, Err(QueryError::TokenMissing { region }) if region.as_str() == "r2"));
}

#[test]
fn receipts_name_regions_that_no_region_can_be_called() {
    let regions = [BTreeSet::from([0]), BTreeSet::from([2]), BTreeSet::from([2, 3])];
    let client = client(&trust(&regions, false), |claims| claims.jurisdictions = codes(&BTreeSet::from([2]))).unwrap();
    let local = Destination::of(&region(0), &region(0), &client).unwrap();
    assert!(local.crosses());
    assert_eq!(local.label(&region(0)), "client:r1,r2");
    assert!("client:r1".parse::<RegionId>().is_err());
    assert_eq!(Destination::of(&region(1), &region(0), &client).unwrap().label(&region(1)), "r0");
    assert!(!Destination::of(&region(1), &region(1), &client).unwrap().crosses());
    assert_eq!(client.record().unwrap().regions, ["r1", "r2"]);
}

#[test]
fn purposes_are_those_of_the_token() {
    let trust = trust(&[BTreeSet::from([0])], false);
    let bound = client(&trust, |claims| claims.purposes = Some(vec!["a".to_owned(), "b".to_owned()])).unwrap();
    let none = client(&trust, |claims| claims.purposes = Some(Vec::new())).unwrap();
    let any = client(&trust, |_| ()).unwrap();
    for (client, purpose, expected) in [
        (&bound, Some("a"), true),
        (&bound, Some("c"), false),
        (&bound, Some("A"), false),
        (&bound, None, true),
        (&none, Some("a"), false),
        (&none, None, true),
        (&any, Some("c"), true),
    ] {
        assert_eq!(client.check_purpose(purpose).is_ok(), expected, "{purpose:?}");
    }
}
