//! `domicile audit`: a region's ledger, read and checked.

mod args;
mod expected;
mod export;
mod filter;
mod show;
mod source;
mod verify;

use serde_json::json;

use domicile_wire::receipt::LedgerHead;

pub(crate) use self::args::AuditVerb;
use crate::edge::Edge;
use crate::output::{Failure, Output, say, table};

pub(crate) async fn run(edge: &Edge, output: Output, verb: AuditVerb) -> Result<(), Failure> {
    match verb {
        AuditVerb::Verify(check) => verify::run(edge, output, check).await,
        AuditVerb::Show(shown) => show::run(edge, output, shown).await,
        AuditVerb::Export(wanted) => export::run(edge, output, wanted).await,
        AuditVerb::Heads => heads(edge, output).await,
    }
}

/// What the edge has seen last of other regions' ledgers.
async fn heads(edge: &Edge, output: Output) -> Result<(), Failure> {
    let heads = heads_at(edge).await?;
    output.show(&json!({ "heads": heads }), || {
        if heads.is_empty() {
            say!("this edge has seen no receipt of another region yet");
            return;
        }
        let headings = ["region", "receipts", "head", "made"].map(str::to_owned);
        let row = |head: &LedgerHead| {
            vec![head.region.clone(), head.sequence.to_string(), head.hash.clone(), filter::time(head.at_unix_ms)]
        };
        table(&headings, &heads.iter().map(row).collect::<Vec<_>>());
    });
    Ok(())
}

/// The heads that an edge knows of.
async fn heads_at(edge: &Edge) -> Result<Vec<LedgerHead>, Failure> {
    let told = edge.get("/v1/audit/heads").await?;
    let unreadable = |e| Failure::usage(format!("{} answered something that is no list of heads: {e}", edge.0.url()));
    serde_json::from_value(told["heads"].clone()).map_err(unreadable)
}
