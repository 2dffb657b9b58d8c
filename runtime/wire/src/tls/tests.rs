//! PEM, names and what is said of them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use domicile_types::Secret;
use domicile_types::limits::CERTIFICATES_MAX;
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, date_time_ymd};

use super::*;

const DAY_S: u64 = 24 * 3600;
/// 2026-01-01; the certificates hold from then for a hundred days.
const FROM_S: u64 = 1_767_225_600;

struct Authority {
    params: CertificateParams,
    key: KeyPair,
    pem: String,
}

fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let pem = params.self_signed(&key).unwrap().pem();
    Authority { params, key, pem }
}

impl Authority {
    /// A certificate for `names`, and its key.
    fn certify(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> (String, String) {
        let mut params =
            CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
        let from = date_time_ymd(2026, 1, 1);
        (params.not_before, params.not_after) = (from, from + std::time::Duration::from_secs(100 * DAY_S));
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let issuer = Issuer::from_params(&self.params, &self.key);
        (params.signed_by(&key, &issuer).unwrap().pem(), key.serialize_pem())
    }
}

/// What comes of reading these texts for `us-east`, on that day.
#[track_caller]
fn check(certificate: &str, key: &str, authority: &str, day: u64, expect: Result<(), &str>) {
    let key = Secret::new(key.as_bytes());
    let pem = Pem { certificate: certificate.as_bytes(), key: &key, authority: authority.as_bytes() };
    let got = PeerTls::new(&"us-east".parse().unwrap(), pem, FROM_S + day * DAY_S);
    let got = got.map(|_| ()).map_err(|error| error.to_string());
    match (&got, expect) {
        (Ok(()), Ok(())) => {}
        (Err(told), Err(expect)) if told.contains(expect) => {}
        _ => panic!("{got:?}, not {expect:?}"),
    }
}

#[test]
fn a_certificate_holds_for_its_region_its_key_its_authority_and_its_time() {
    let (known, other) = (authority(), authority());
    let (certificate, key) = known.certify(&["us-east"], |_| {});
    check(&certificate, &key, &known.pem, 1, Ok(()));
    check(&certificate, &key, &format!("{}{}", other.pem, known.pem), 1, Ok(()));
    check(&certificate, &key, &other.pem, 1, Err("is not of the authority in [tls]"));
    check(&certificate, &key, &known.pem, 99, Ok(()));
    check(&certificate, &key, &known.pem, 101, Err("the certificate of `us-east` ended 24 hours ago; give it one"));
    check(&certificate, &key, &known.pem, 110, Err("ended 10 days ago"));
    let early = known.certify(&["us-east"], |params| params.not_before = date_time_ymd(2026, 2, 1));
    check(&early.0, &early.1, &known.pem, 1, Err("does not hold yet"));
    let other_key = KeyPair::generate().unwrap().serialize_pem();
    check(&certificate, &other_key, &known.pem, 1, Err("is not the key of the certificate of `us-east`"));
}

#[test]
fn what_is_no_pem_is_told_apart() {
    let known = authority();
    let (certificate, key) = known.certify(&["us-east"], |_| {});
    check("", &key, &known.pem, 1, Err("`certificate` in [tls] is to be a PEM file with 1 to 32 certificates"));
    check(&certificate, &key, "nothing", 1, Err("`authority` in [tls] is to be a PEM file"));
    check(&certificate, "nothing", &known.pem, 1, Err("`key` in [tls] is no private key in PEM"));
    check(&certificate, &certificate, &known.pem, 1, Err("`key` in [tls] is no private key in PEM"));
    check(&key, &key, &known.pem, 1, Err("and has 0"));
    let broken = certificate.replacen("\nMII", "\n!!!", 1);
    check(&broken, &key, &known.pem, 1, Err("`certificate` in [tls] cannot be read as certificates in PEM"));
    let cut = certificate.replace("-----END CERTIFICATE-----", "");
    check(&cut, &key, &known.pem, 1, Err("`certificate` in [tls] cannot be read as certificates in PEM"));
    let many = known.pem.repeat(CERTIFICATES_MAX);
    check(&certificate, &key, &many, 1, Ok(()));
    check(&certificate, &key, &(many + &known.pem), 1, Err("and has 33"));
}

#[test]
fn a_certificate_names_exactly_one_region() {
    let known = authority();
    let named = |names: &[&str]| known.certify(names, |_| {});
    let refused = |names: &[&str], expect: &str| {
        let (certificate, key) = named(names);
        check(&certificate, &key, &known.pem, 1, Err(expect));
    };
    refused(&[], "has: none");
    refused(&["us-east", "eu-central"], "has: us-east, eu-central");
    refused(&["us-east", "us-east"], "has: us-east, us-east");
    refused(&["US-EAST.example"], "has: US-EAST.example");
    refused(&["*.a.example"], "has: *.a.example");
    refused(&["127.0.0.1"], "has: none");
    refused(&["eu-central"], "is for `eu-central`, and this region is `us-east`");
    // An address beside it is nobody's name.
    let (certificate, key) = named(&["us-east", "127.0.0.1"]);
    check(&certificate, &key, &known.pem, 1, Ok(()));
}

#[test]
fn a_certificate_is_for_both_sides() {
    let known = authority();
    let with = |purpose: &[ExtendedKeyUsagePurpose]| {
        known.certify(&["us-east"], |params| purpose.clone_into(&mut params.extended_key_usages))
    };
    use ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
    for (purpose, expect) in [
        (&[ClientAuth, ServerAuth][..], Ok(())),
        (&[ClientAuth], Err("is not for both clients and servers")),
        (&[ServerAuth], Err("is not for both clients and servers")),
    ] {
        let (certificate, key) = with(purpose);
        check(&certificate, &key, &known.pem, 1, expect);
    }
}
