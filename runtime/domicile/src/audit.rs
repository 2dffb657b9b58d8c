//! `domicile audit`.

use domicile_wire::receipt::{ChainVerifier, LedgerRecord};
use serde_json::{Value, json};

use crate::args::AuditVerb;
use crate::edge::Edge;
use crate::output::{Failure, Output, say, text};

pub(crate) async fn run(edge: &Edge, output: Output, verb: AuditVerb) -> Result<(), Failure> {
    match verb {
        AuditVerb::Verify => verify(edge, output).await,
        AuditVerb::Show { query } => show(edge, output, query).await,
    }
}

/// Calls `each` for every record, and makes sure that the list came to its end.
async fn records(edge: &Edge, mut each: impl FnMut(LedgerRecord, Value) -> Result<(), Failure>) -> Result<(), Failure> {
    let (mut records, mut ended) = (0_u64, None);
    edge.lines("/v1/audit/receipts", |line| {
        if let Some(end) = line.get("end") {
            ended = end["records"].as_u64();
            return Ok(());
        }
        let record: LedgerRecord = serde_json::from_value(line.clone())
            .map_err(|e| Failure::Unverified(format!("record {} is not a receipt: {e}", records + 1)))?;
        records += 1;
        each(record, line)
    })
    .await?;
    if ended == Some(records) {
        return Ok(());
    }
    Err(Failure::Unverified(format!("the ledger broke off after {records} records; look at the region's log")))
}

async fn verify(edge: &Edge, output: Output) -> Result<(), Failure> {
    let key = edge.get("/v1/audit/key").await?;
    let region = text(&key["region"]);
    let mut chain = ChainVerifier::new(text(&key["key"]));
    records(edge, |record, _| chain.check(&record).map_err(|e| Failure::Unverified(format!("{region}: {e}")))).await?;
    let result = json!({
        "region": region, "verified": true, "receipts": chain.receipts(), "bytes": chain.bytes(), "head": chain.head(),
    });
    output.show(&result, || {
        say!("{region}: {} receipts hold, over {} bytes; head {}", chain.receipts(), chain.bytes(), chain.head());
    });
    Ok(())
}

async fn show(edge: &Edge, output: Output, query: Option<String>) -> Result<(), Failure> {
    let mut shown = Vec::new();
    records(edge, |record, line| {
        let receipt = &record.signed.receipt;
        if query.as_ref().is_some_and(|id| *id != receipt.query_id) {
            return Ok(());
        }
        if output.json {
            shown.push(line);
            return Ok(());
        }
        say!(
            "{} {} → {}: {} groups in {} bytes as {}, {} held back; query {}",
            receipt.sequence,
            receipt.from,
            receipt.to,
            receipt.rows_released,
            receipt.bytes,
            receipt.form,
            receipt.groups_suppressed,
            receipt.query_id,
        );
        for clause in &receipt.clauses {
            say!("    allowed by {}/{}: {}", clause.dataset, clause.clause, clause.legal_basis);
        }
        for plugin in &receipt.plugins {
            let given: Vec<String> = plugin.parameters.iter().map(|(name, value)| format!(" {name}={value}")).collect();
            say!("    in bytes of plugin {}{} with sha256 {}", plugin.name, given.concat(), plugin.sha256);
        }
        say!("    {}", record.question);
        Ok(())
    })
    .await?;
    if output.json {
        say!("{}", json!({"receipts": shown}));
    }
    Ok(())
}
