//! Signatures over plugins, and digests of bodies: what others write can be read, and what was changed is refused.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use domicile_types::limits::{PLUGIN_ENVELOPE_BYTES_MAX, PLUGIN_SIGNATURES_MAX};
use domicile_wire::content_digest::{ContentDigestError, check_content_digest, content_digest};
use domicile_wire::signature::{
    Envelope, EnvelopeSignature, PLUGIN_PAYLOAD_TYPE, POLICY_PAYLOAD_TYPE, PluginStatement, PolicyStatement,
    SignatureError, public_key_text,
};
use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use serde_json::json;

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn trusted(seeds: &[u8]) -> Vec<VerifyingKey> {
    seeds.iter().map(|seed| key(*seed).verifying_key()).collect()
}

fn statement() -> PluginStatement {
    PluginStatement { name: "rfm".to_owned(), version: "1.1.0".to_owned(), sha256: "ab".repeat(32) }
}

#[test]
fn a_signed_statement_comes_back() {
    let header = Envelope::sign(&statement(), &key(1)).to_header();
    let (read, by) = Envelope::from_header(&header)
        .unwrap()
        .verify::<PluginStatement>(&trusted(&[2, 1]))
        .map(|(s, k)| (s, *k))
        .unwrap();
    assert_eq!((read, by), (statement(), key(1).verifying_key()));
}

/// An envelope made from the text of the DSSE protocol, with the header in either alphabet.
#[test]
fn envelopes_of_other_tools_are_read() {
    let payload = format!(r#"{{ "version": "1.1.0", "name": "rfm", "sha256": "{}" }}"#, "ab".repeat(32));
    let signed = format!("DSSEv1 39 application/vnd.domicile.plugin.v1+json {} {payload}", payload.len());
    let sig = key(1).sign(signed.as_bytes()).to_bytes();
    let envelope = |payload: String, sig: String| {
        let envelope = json!({"payload": payload, "signatures": [{"sig": sig}], "payloadType": PLUGIN_PAYLOAD_TYPE});
        STANDARD.encode(envelope.to_string())
    };
    for header in [
        envelope(STANDARD.encode(&payload), STANDARD.encode(sig)),
        envelope(URL_SAFE_NO_PAD.encode(&payload), URL_SAFE_NO_PAD.encode(sig)),
    ] {
        let read = Envelope::from_header(&header).unwrap();
        assert_eq!(read.verify::<PluginStatement>(&trusted(&[1])).unwrap().0, statement());
    }
}

#[track_caller]
fn check_refused(change: impl FnOnce(&mut Envelope), trusted_seeds: &[u8], expect: &str) {
    let mut envelope = Envelope::sign(&statement(), &key(1));
    change(&mut envelope);
    let refused = envelope.verify::<PluginStatement>(&trusted(trusted_seeds)).unwrap_err();
    assert!(refused.to_string().contains(expect), "{refused}");
}

#[test]
fn what_no_trusted_key_signed_is_refused() {
    check_refused(|_| {}, &[], "does not trust");
    check_refused(|_| {}, &[2], &public_key_text(&key(1).verifying_key()));
    let of_another = PluginStatement { version: "9.9.9".to_owned(), ..statement() };
    let payload = Envelope::sign(&of_another, &key(1)).payload;
    check_refused(|envelope| envelope.payload = payload, &[1], "was not made with");
    check_refused(|envelope| envelope.payload_type = "text/plain".to_owned(), &[1], "over `text/plain`");
    check_refused(|envelope| envelope.signatures.clear(), &[1], "1 to 16 signatures");
    check_refused(|envelope| envelope.signatures[0].sig = "AAAA".to_owned(), &[1], "was not made with");
    check_refused(|envelope| envelope.signatures[0].keyid.clear(), &[2], "an unnamed key");
    // The hint at a key proves nothing.
    let trusted_id = public_key_text(&key(2).verifying_key());
    check_refused(|envelope| envelope.signatures[0].keyid = trusted_id, &[2], "was not made with");
}

#[test]
fn a_signature_over_something_else_says_nothing_about_a_plugin() {
    let payload = r#"{"name":"rfm"}"#;
    let signed = format!("DSSEv1 39 {PLUGIN_PAYLOAD_TYPE} {} {payload}", payload.len());
    let envelope = Envelope {
        payload_type: PLUGIN_PAYLOAD_TYPE.to_owned(),
        payload: STANDARD.encode(payload),
        signatures: vec![EnvelopeSignature {
            keyid: String::new(),
            sig: STANDARD.encode(key(1).sign(signed.as_bytes()).to_bytes()),
        }],
    };
    let refused = envelope.verify::<PluginStatement>(&trusted(&[1])).unwrap_err();
    assert!(matches!(refused, SignatureError::Malformed(_)), "{refused}");
}

#[test]
fn envelopes_are_bounded() {
    let mut envelope = Envelope::sign(&statement(), &key(1));
    let one = envelope.signatures[0].clone();
    envelope.signatures = vec![one.clone(); PLUGIN_SIGNATURES_MAX];
    assert!(envelope.verify::<PluginStatement>(&trusted(&[1])).is_ok());
    envelope.signatures.push(one);
    assert!(envelope.verify::<PluginStatement>(&trusted(&[1])).is_err());
    for header in ["", "no base64!", "e30=", &"A".repeat(PLUGIN_ENVELOPE_BYTES_MAX + 1)] {
        assert!(matches!(Envelope::from_header(header), Err(SignatureError::Malformed(_))), "{header}");
    }
}

#[test]
fn a_signature_over_one_kind_is_none_over_another() {
    let policy = PolicyStatement { dataset: "rfm".to_owned(), version: 3, sha256: "ab".repeat(32) };
    let signed = Envelope::sign(&policy, &key(1));
    let read = Envelope::from_json(signed.to_json().as_bytes()).unwrap();
    assert_eq!(read.verify::<PolicyStatement>(&trusted(&[1])).unwrap().0, policy);
    let as_plugin = signed.verify::<PluginStatement>(&trusted(&[1])).unwrap_err().to_string();
    assert!(as_plugin.contains(POLICY_PAYLOAD_TYPE) && as_plugin.contains("a plugin needs one"), "{as_plugin}");
    // Under the other name, the signature is over other bytes.
    let renamed = Envelope { payload_type: PLUGIN_PAYLOAD_TYPE.to_owned(), ..signed.clone() };
    let refused = renamed.verify::<PluginStatement>(&trusted(&[1])).unwrap_err();
    assert!(matches!(refused, SignatureError::Forged { .. }), "{refused}");
    let unknown = signed.verify::<PolicyStatement>(&trusted(&[2])).unwrap_err().to_string();
    assert!(unknown.contains("`trusted_keys` in [policies]"), "{unknown}");
}

/// The example of RFC 9530, appendix B.
const RFC_BODY: &[u8] = b"{\"hello\": \"world\"}\n";
const RFC_DIGEST: &str = "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:";

#[track_caller]
fn check_digest(header: &str, expect: Result<(), &str>) {
    let got = check_content_digest(header, RFC_BODY).map_err(|error| match error {
        ContentDigestError::Unreadable => "unreadable",
        ContentDigestError::Mismatch { .. } => "mismatch",
    });
    assert_eq!(got, expect, "{header}");
}

#[test]
fn digests_of_bodies() {
    assert_eq!(content_digest(RFC_BODY), RFC_DIGEST);
    check_digest(RFC_DIGEST, Ok(()));
    check_digest(&format!("sha-512=:AAAA:, {RFC_DIGEST}"), Ok(()));
    check_digest(&format!("{RFC_DIGEST};note=1"), Ok(()));
    check_digest(&content_digest(b"another"), Err("mismatch"));
    check_digest("sha-256=::", Err("mismatch"));
    for unreadable in ["", "sha-256", "sha-256=RK/0", "sha-256=:????:", "sha-512=:AAAA:", "sha-256=:RK/0", "md5=:AAAA:"]
    {
        check_digest(unreadable, Err("unreadable"));
    }
}
