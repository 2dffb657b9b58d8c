//! What peers say in headers and ledgers: receipts, and facts about fragments.

use domicile_wire::api::FragmentFacts;
use domicile_wire::receipt::{ChainVerifier, LedgerRecord, Receipt, SignedReceipt, key_text};
use ed25519_dalek::SigningKey;

/// Lines of a ledger, a header, or a receipt that was signed and then changed.
pub(crate) fn run(input: &[u8]) {
    let Some((kind, bytes)) = input.split_first() else { return };
    match kind % 3 {
        0 => chain(bytes),
        1 => header(bytes),
        _ => changed(bytes),
    }
}

fn chain(bytes: &[u8]) {
    let mut verifier = None;
    for line in bytes.split(|byte| *byte == b'\n') {
        let Ok(record) = serde_json::from_slice::<LedgerRecord>(line) else { continue };
        let verifier = verifier.get_or_insert_with(|| ChainVerifier::new(record.signed.key.clone()));
        let before = verifier.receipts();
        match verifier.check(&record) {
            Ok(()) => assert_eq!(verifier.receipts(), before + 1),
            Err(problem) => {
                assert_eq!(verifier.receipts(), before, "a refused record was counted");
                assert!(!problem.to_string().is_empty());
            }
        }
    }
}

fn header(bytes: &[u8]) {
    let Some(facts) = FragmentFacts::from_header(bytes) else { return };
    let again = facts.to_header().expect("what was read cannot be written");
    let again = FragmentFacts::from_header(again.as_bytes()).expect("what was written cannot be read");
    assert_eq!((&again.receipt, again.as_of), (&facts.receipt, facts.as_of));
}

/// Signs a receipt with a key that nobody else has. Whatever the input makes of it, only what was signed verifies.
fn changed(bytes: &[u8]) {
    let (Ok(forged), key) = (serde_json::from_slice::<SignedReceipt>(bytes), SigningKey::from_bytes(&[7; 32])) else {
        return;
    };
    let receipt = Receipt { sequence: 1, ..forged.receipt.clone() };
    let signed = SignedReceipt::sign(receipt, &key);
    signed.verify().expect("what was signed does not verify");
    let mixed = SignedReceipt { key: key_text(&key.verifying_key()), signature: signed.signature.clone(), ..forged };
    if mixed.verify().is_ok() {
        assert_eq!(mixed.receipt, signed.receipt, "a signature holds for another receipt");
    }
}
