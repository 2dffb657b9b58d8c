//! Receipts: the chain holds, and any change to it is found and named.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use domicile_wire::receipt::{
    ChainVerifier, LedgerRecord, Receipt, ReceiptError, SignedReceipt, genesis, key_text, sha256,
};
use ed25519_dalek::SigningKey;

const QUESTION: &str = "SELECT count(*) FROM orders";

fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

fn receipt(sequence: u64, previous: String) -> Receipt {
    Receipt {
        sequence,
        previous,
        at_unix_ms: 1_700_000_000_000 + sequence,
        query_id: format!("q{sequence}"),
        from: "eu-central".to_owned(),
        to: "us-east".to_owned(),
        client: None,
        form: "aggregate".to_owned(),
        datasets: vec!["orders".to_owned()],
        columns: vec!["orders.o_orderdate".to_owned()],
        clauses: Vec::new(),
        purpose: None,
        plugins: Vec::new(),
        minimum_entities: 10,
        epsilon_millionths: None,
        rows_released: 3,
        groups_suppressed: 1,
        bytes: 100 * sequence,
        body_sha256: sha256(b"body").to_string(),
        question_sha256: sha256(QUESTION.as_bytes()).to_string(),
    }
}

fn chain(length: u64) -> Vec<LedgerRecord> {
    let mut previous = genesis();
    (1..=length)
        .map(|sequence| {
            let signed = SignedReceipt::sign(receipt(sequence, previous.clone()), &key());
            previous.clone_from(&signed.hash);
            LedgerRecord { signed, question: QUESTION.to_owned() }
        })
        .collect()
}

#[track_caller]
fn check(records: &[LedgerRecord], expect: Result<u64, ReceiptError>) {
    let mut verifier = ChainVerifier::new(key_text(&key().verifying_key()));
    let checked = records.iter().try_for_each(|record| verifier.check(record)).map(|()| verifier.bytes());
    assert_eq!(checked, expect);
}

#[test]
fn a_whole_chain_holds() {
    check(&[], Ok(0));
    check(&chain(4), Ok(1000));
}

#[test]
fn every_change_is_found() {
    let mut changed = chain(3);
    changed[1].signed.receipt.bytes += 1;
    check(&changed, Err(ReceiptError::Changed { sequence: 2 }));

    let mut reworded = chain(3);
    reworded[2].question.push_str(" WHERE true");
    check(&reworded, Err(ReceiptError::Question { sequence: 3 }));

    let mut removed = chain(3);
    removed.remove(1);
    check(&removed, Err(ReceiptError::Gap { expected: 2, found: 3 }));

    let mut swapped = chain(3);
    swapped.swap(1, 2);
    check(&swapped, Err(ReceiptError::Gap { expected: 2, found: 3 }));
}

#[test]
fn a_rewritten_receipt_does_not_fit_the_chain() {
    let mut rewritten = chain(3);
    let mut receipt = rewritten[0].signed.receipt.clone();
    receipt.rows_released = 99;
    rewritten[0].signed = SignedReceipt::sign(receipt, &key());
    check(&rewritten, Err(ReceiptError::Unchained { sequence: 2 }));
}

#[test]
fn another_key_is_not_this_regions() {
    let stranger = SigningKey::from_bytes(&[8; 32]);
    let signed = SignedReceipt::sign(receipt(1, genesis()), &stranger);
    assert_eq!(signed.verify(), Ok(()));
    check(&[LedgerRecord { signed, question: QUESTION.to_owned() }], Err(ReceiptError::Signature { sequence: 1 }));

    let mut forged = chain(1);
    forged[0].signed.signature = SignedReceipt::sign(receipt(1, genesis()), &stranger).signature;
    check(&forged, Err(ReceiptError::Signature { sequence: 1 }));
}

#[test]
fn a_record_survives_json() {
    let record = chain(1).remove(0);
    let text = serde_json::to_string(&record).unwrap();
    check(&[serde_json::from_str(&text).unwrap()], Ok(100));
}
