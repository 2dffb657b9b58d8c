//! A ledger of two records, receipts alone, and facts about a fragment.

use domicile_wire::api::FragmentFacts;
use domicile_wire::receipt::{LedgerRecord, Receipt, SignedReceipt, genesis, sha256};
use ed25519_dalek::SigningKey;

use crate::Seed;

/// One seed of each kind, and a ledger in the wrong order.
pub(crate) fn seeds() -> Result<Vec<Seed>, Box<dyn std::error::Error>> {
    let first = record(1, genesis());
    let second = record(2, first.signed.hash.clone());
    let (one, two) = (serde_json::to_string(&first)?, serde_json::to_string(&second)?);
    let facts = FragmentFacts {
        receipt: first.signed.clone(),
        as_of: 1,
        elapsed_ms: 0.5,
        without_rows: Vec::new(),
        epsilon_millionths: 0,
    };
    let mut seeds = Vec::new();
    let mut push = |name: &str, kind: u8, text: &str| {
        seeds.push(("wire_receipts", name.to_owned(), [&[kind], text.as_bytes()].concat()));
    };
    push("ledger", 0, &format!("{one}\n{two}\n"));
    push("reversed", 0, &format!("{two}\n{one}\n"));
    push("twice", 0, &format!("{one}\n{one}\n"));
    push("facts", 1, &facts.to_header()?);
    push("receipt", 2, &serde_json::to_string(&first.signed)?);
    Ok(seeds)
}

fn record(sequence: u64, previous: String) -> LedgerRecord {
    let question = "SELECT sum(o_totalprice) FROM orders".to_owned();
    let receipt = Receipt {
        sequence,
        previous,
        at_unix_ms: 1,
        query_id: "q".to_owned(),
        from: "eu-west".to_owned(),
        to: "us-east".to_owned(),
        client: None,
        home: None,
        form: "aggregate".to_owned(),
        datasets: vec!["orders".to_owned()],
        columns: vec!["orders.o_totalprice".to_owned()],
        clauses: Vec::new(),
        purpose: None,
        plugins: Vec::new(),
        minimum_entities: 5,
        rows_released: 1,
        groups_suppressed: 0,
        bytes: 8,
        body_sha256: sha256(b"body").to_string(),
        question_sha256: sha256(question.as_bytes()).to_string(),
    };
    LedgerRecord { signed: SignedReceipt::sign(receipt, &SigningKey::from_bytes(&[7; 32])), question }
}
