//! `domicile audit show`.

use std::collections::VecDeque;

use domicile_wire::receipt::{LedgerRecord, Receipt};
use serde_json::{Value, json};

use super::args::{ReceiptFilter, ShownReceipts};
use super::filter::time;
use super::source;
use crate::edge::Edge;
use crate::output::{Failure, Output, say, shown, table};

/// The wanted records of an edge's ledger, oldest first.
pub(super) async fn wanted(edge: &Edge, filter: &ReceiptFilter) -> Result<VecDeque<(LedgerRecord, Value)>, Failure> {
    let mut found = VecDeque::new();
    source::of_edge(edge, |record, line| {
        if filter.wants(&record.signed.receipt) {
            found.push_back((record, line));
        }
        if filter.limit.is_some_and(|limit| found.len() > limit) {
            found.pop_front();
        }
        Ok(())
    })
    .await?;
    Ok(found)
}

pub(super) async fn run(edge: &Edge, output: Output, wish: ShownReceipts) -> Result<(), Failure> {
    let found = wanted(edge, &wish.filter).await?;
    if output.json {
        let lines: Vec<&Value> = found.iter().map(|(_, line)| line).collect();
        say!("{}", json!({ "receipts": lines }));
    } else if found.is_empty() {
        say!("no receipts{}", if wish.filter.is_empty() { "" } else { " like these" });
    } else if wish.details || wish.filter.query.is_some() {
        found.iter().for_each(|(record, _)| details(record));
    } else {
        let headings = ["no.", "time", "to", "form", "groups", "held back", "bytes", "datasets", "query"];
        let rows: Vec<Vec<String>> = found.iter().map(|(record, _)| row(&record.signed.receipt)).collect();
        table(&headings.map(str::to_owned), &rows);
    }
    Ok(())
}

fn row(receipt: &Receipt) -> Vec<String> {
    let cells = [
        receipt.sequence.to_string(),
        time(receipt.at_unix_ms),
        recipient(receipt),
        receipt.form.clone(),
        receipt.rows_released.to_string(),
        receipt.groups_suppressed.to_string(),
        receipt.bytes.to_string(),
        receipt.datasets.join(", "),
        receipt.query_id.clone(),
    ];
    cells.iter().map(|cell| shown(cell)).collect()
}

/// The region that the data went to, and the client that asked there, if it was named.
fn recipient(receipt: &Receipt) -> String {
    match &receipt.client {
        Some(client) => format!("{} ({})", receipt.to, client.subject),
        None => receipt.to.clone(),
    }
}

fn details(record: &LedgerRecord) {
    let receipt = &record.signed.receipt;
    say!(
        "{} {} → {}: {} groups in {} bytes as {}, {} held back; query {}",
        receipt.sequence,
        receipt.from,
        shown(&recipient(receipt)),
        receipt.rows_released,
        receipt.bytes,
        receipt.form,
        receipt.groups_suppressed,
        shown(&receipt.query_id),
    );
    for clause in &receipt.clauses {
        say!("    allowed by {}/{}: {}", clause.dataset, clause.clause, shown(&clause.legal_basis));
    }
    if let Some(millionths) = receipt.epsilon_millionths {
        say!("    with noise, for {} of epsilon", millionths as f64 / 1e6);
    }
    for plugin in &receipt.plugins {
        let given: Vec<String> = plugin.parameters.iter().map(|(name, value)| format!(" {name}={value}")).collect();
        say!("    in bytes of plugin {}{} with sha256 {}", plugin.name, shown(&given.concat()), plugin.sha256);
    }
    say!("    {}", shown(&record.question));
}
