//! Clients' tokens: what other tools sign can be read, and nothing else than what was signed is believed.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domicile_types::limits::{TOKEN_BYTES_MAX, TOKEN_CLOCK_SKEW_MAX, TOKEN_ITEMS_MAX, TOKEN_TEXT_BYTES_MAX};
use domicile_wire::token::{Claims, RawToken, Role, TokenError, sign, unverified, verify};
use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use proptest::collection::vec;
use proptest::prelude::*;

const NOW: u64 = 1_800_000_000;
/// Made with OpenSSL under the private key of RFC 8037, appendix A.1.
const FOREIGN: &str = "eyJ0eXAiOiJhdCtqd3QiLCJhbGciOiJFZERTQSIsImtpZCI6InJmYzgwMzcifQ.\
    eyJzdWIiOiJhbGljZSIsImlzcyI6InRlc3RzIiwiYXVkIjpbImRvbWljaWxlIl0sImlhdCI6MTcwMDAwMDAwMCwiZXhwIjozMjUwMzY4MDAwMCwi\
    anVyaXNkaWN0aW9ucyI6WyJFVSIsIkRFIl0sInJvbGVzIjpbInF1ZXJ5IiwibG9hZCJdfQ.\
    mUr9_AlDU4A7pomgyfEONc9DPs6vvz5q5TXecE_NVTqclfZFXWpoAdTKDns7NI72R-2voqyUaKxDkYMYlEtIDA";
const FOREIGN_KEY: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn trusted(seeds: &[u8]) -> Vec<VerifyingKey> {
    seeds.iter().map(|seed| key(*seed).verifying_key()).collect()
}

fn claims() -> Claims {
    Claims::new("tests", "alice", vec!["EU".to_owned(), "DE".to_owned()], NOW - 10, NOW + 10)
}

fn token(header: &str, claims: &str) -> RawToken {
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let signature = URL_SAFE_NO_PAD.encode(key(1).sign(signed.as_bytes()).to_bytes());
    RawToken::new(format!("{signed}.{signature}"))
}

const HEADER: &str = r#"{"alg":"EdDSA","typ":"at+jwt"}"#;
const CLAIMS: &str = r#"{"iss":"i","sub":"s","aud":"domicile","iat":1,"exp":32503680000,"jurisdictions":["EU"]}"#;

#[test]
fn tokens_of_other_tools_are_read() {
    let key: [u8; 32] = URL_SAFE_NO_PAD.decode(FOREIGN_KEY).unwrap().try_into().unwrap();
    let read = verify(&RawToken::new(FOREIGN), &[VerifyingKey::from_bytes(&key).unwrap()], NOW).unwrap();
    assert_eq!((read.iss.as_str(), read.sub.as_str(), read.tenant()), ("tests", "alice", "alice"));
    assert_eq!((read.jurisdictions.join(","), read.exp), ("EU,DE".to_owned(), 32_503_680_000));
    assert_eq!(read.roles(), [Role::Query, Role::Load]);
    assert_eq!(read.purposes, None);
}

#[test]
fn what_is_signed_comes_back() {
    let mut said = claims();
    said.tenant = Some("acme".to_owned());
    said.purposes = Some(vec!["reporting".to_owned()]);
    said.roles = Some(vec![Role::Operate]);
    let token = sign(&said, &key(1)).unwrap();
    assert_eq!(verify(&token, &trusted(&[2, 1]), NOW), Ok(said.clone()));
    assert_eq!(unverified(&token), Ok(said));
    assert_eq!(verify(&token, &trusted(&[2]), NOW), Err(TokenError::Signature));
    assert_eq!(verify(&token, &[], NOW), Err(TokenError::Signature));
}

#[test]
fn a_token_holds_from_its_beginning_until_its_end() {
    let skew_s = TOKEN_CLOCK_SKEW_MAX.as_secs();
    let check = |nbf: Option<u64>, now: u64, expect: Result<(), TokenError>| {
        let token = sign(&Claims { nbf, ..claims() }, &key(1)).unwrap();
        assert_eq!(verify(&token, &trusted(&[1]), now).map(|_| ()), expect, "{nbf:?} at {now}");
    };
    check(None, NOW, Ok(()));
    check(None, NOW + 9, Ok(()));
    check(None, NOW + 10, Err(TokenError::Expired));
    check(None, u64::MAX, Err(TokenError::Expired));
    check(None, NOW - 10 - skew_s, Ok(()));
    check(None, NOW - 11 - skew_s, Err(TokenError::Early));
    check(Some(NOW + skew_s), NOW, Ok(()));
    check(Some(NOW + skew_s + 1), NOW, Err(TokenError::Early));
    check(Some(u64::MAX), NOW, Err(TokenError::Early));
}

#[track_caller]
fn check_header(header: &str, accepted: bool) {
    let got = verify(&token(header, CLAIMS), &trusted(&[1]), NOW).map(|_| ());
    assert_eq!(got, if accepted { Ok(()) } else { Err(TokenError::Header) }, "{header}");
}

#[test]
fn there_is_one_header() {
    check_header(HEADER, true);
    check_header(r#"{"typ":"at+jwt","kid":"7","alg":"EdDSA"}"#, true);
    for header in [
        r#"{"alg":"none","typ":"at+jwt"}"#,
        r#"{"alg":"eddsa","typ":"at+jwt"}"#,
        r#"{"alg":"HS256","typ":"at+jwt"}"#,
        r#"{"alg":"EdDSA","typ":"JWT"}"#,
        r#"{"alg":"EdDSA"}"#,
        r#"{"alg":"EdDSA","alg":"none","typ":"at+jwt"}"#,
        r#"{"alg":"EdDSA","typ":"at+jwt","crit":["exp"]}"#,
        r#"{"alg":"EdDSA","typ":"at+jwt","jku":"http://example.com"}"#,
        r#"{"alg":["EdDSA"],"typ":"at+jwt"}"#,
        r#"{"alg":"EdDSA","typ":"at+jwt"}x"#,
        "",
        "[]",
    ] {
        check_header(header, false);
    }
}

#[track_caller]
fn check_claims(from: &str, to: &str, accepted: bool) {
    assert_eq!(CLAIMS.matches(from).count(), 1, "{from}");
    let got = verify(&token(HEADER, &CLAIMS.replace(from, to)), &trusted(&[1]), NOW);
    assert_eq!(got.is_ok(), accepted, "{to}: {got:?}");
}

#[test]
fn claims_are_complete_and_known() {
    check_claims("\"i\"", "\"j\"", true);
    check_claims(r#""domicile""#, r#"["a","domicile"]"#, true);
    check_claims("}", r#","jti":"1","nbf":1}"#, true);
    for (from, to) in [
        (r#""domicile""#, r#""Domicile""#),
        (r#""domicile""#, "[]"),
        (r#""domicile""#, "null"),
        (r#""aud":"domicile","#, ""),
        (r#","exp":32503680000"#, ""),
        ("32503680000", r#""32503680000""#),
        ("32503680000", "32503680000.5"),
        ("32503680000", "-1"),
        ("32503680000", "1e99"),
        ("32503680000", "1"),
        (r#""iat":1,"#, ""),
        (r#""iss":"i","#, ""),
        (r#""sub":"s""#, r#""sub":" ""#),
        (r#""sub":"s""#, r#""sub":"s","sub":"t""#),
        (r#""sub":"s""#, "\"sub\":\"s\\u0000\""),
        (r#"["EU"]"#, "[]"),
        (r#"["EU"]"#, r#"[""]"#),
        (r#"["EU"]"#, r#""EU""#),
        (r#","jurisdictions":["EU"]"#, ""),
        ("}", r#","purpose":["x"]}"#),
        ("}", r#","purposes":"x"}"#),
        ("}", r#","roles":["root"]}"#),
        ("}", r#","roles":["Query"]}"#),
        ("}", r#","tenant":""}"#),
    ] {
        check_claims(from, to, false);
    }
}

#[test]
fn tokens_are_bounded() {
    let many = |count: usize| Claims { jurisdictions: vec!["EU".to_owned(); count], ..claims() };
    assert!(sign(&many(TOKEN_ITEMS_MAX), &key(1)).is_ok());
    let refused = |claim| Err(TokenError::Claim { claim, problem: "has too many items" });
    assert_eq!(sign(&many(TOKEN_ITEMS_MAX + 1), &key(1)), refused("jurisdictions"));
    let long = |length: usize| Claims { sub: "s".repeat(length), ..claims() };
    assert!(sign(&long(TOKEN_TEXT_BYTES_MAX), &key(1)).is_ok());
    assert!(sign(&long(TOKEN_TEXT_BYTES_MAX + 1), &key(1)).is_err());
    let large = Claims { jurisdictions: vec!["J".repeat(TOKEN_TEXT_BYTES_MAX); TOKEN_ITEMS_MAX], ..claims() };
    assert!(matches!(sign(&large, &key(1)), Err(TokenError::Malformed(_))));
    let padded = token(HEADER, &format!("{CLAIMS}{}", " ".repeat(TOKEN_BYTES_MAX)));
    assert_eq!(verify(&padded, &trusted(&[1]), NOW), Err(TokenError::Malformed("it has too many bytes")));
}

#[test]
fn a_token_is_not_shown_by_chance() {
    let token = sign(&claims(), &key(1)).unwrap();
    assert!(!format!("{token:?}").contains(&token.expose()[..8]));
}

proptest! {
    #[test]
    fn whatever_comes_is_refused(text in "[A-Za-z0-9_.=-]{0,200}|\\PC{0,60}") {
        prop_assert!(verify(&RawToken::new(text), &trusted(&[1]), NOW).is_err());
    }

    /// Another character anywhere, the last ones included, whose bits a lenient decoder would drop.
    #[test]
    fn a_changed_token_is_refused(at in any::<prop::sample::Index>(), other in "[A-Za-z0-9_.=-]") {
        let token = sign(&claims(), &key(1)).unwrap();
        let at = at.index(token.expose().len());
        let mut changed = token.expose().to_owned();
        changed.replace_range(at..=at, &other);
        let unchanged = changed == token.expose();
        prop_assert_eq!(verify(&RawToken::new(changed), &trusted(&[1]), NOW).is_ok(), unchanged);
    }

    #[test]
    fn all_claims_come_back(
        sub in "[^\\x00-\\x1f\\x7f-\\x9f\\s]{1,20}",
        tenant in prop::option::of("[a-z]{1,8}"),
        jurisdictions in vec("[A-Z]{2}", 1..8),
        purposes in prop::option::of(vec("[a-z]{1,12}", 0..4)),
        roles in prop::option::of(vec(prop::sample::select(Role::ALL.to_vec()), 0..4)),
        lifetime in 1_u64..1_000_000,
    ) {
        let said = Claims { tenant, purposes, roles, ..Claims::new("i", sub, jurisdictions, NOW, NOW + lifetime) };
        let token = sign(&said, &key(1)).unwrap();
        prop_assert_eq!(verify(&token, &trusted(&[1]), NOW), Ok(said));
    }
}
