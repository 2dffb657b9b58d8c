//! `domicile audit verify`.

use domicile_wire::receipt::{ChainVerifier, LedgerRecord};
use serde_json::json;

use super::args::LedgerCheck;
use super::expected::Expected;
use super::{heads_at, source};
use crate::edge::Edge;
use crate::output::{Failure, Output, say, text};

/// A walk over one ledger.
struct Walk {
    /// Whose it is; known from the first record on, where nobody said.
    region: Option<String>,
    /// The key that it has to be signed with; that of its first record, where nobody said.
    key: Option<String>,
    chain: Option<ChainVerifier>,
    expected: Expected,
}

impl Walk {
    fn check(&mut self, record: &LedgerRecord) -> Result<(), Failure> {
        let receipt = &record.signed.receipt;
        let region = self.region.get_or_insert_with(|| receipt.from.clone());
        if receipt.from != *region {
            let wrong = format!("{region}: receipt {} is one of {}", receipt.sequence, receipt.from);
            return Err(Failure::Unverified(wrong));
        }
        let key = self.key.get_or_insert_with(|| record.signed.key.clone());
        let chain = self.chain.get_or_insert_with(|| ChainVerifier::new(key.clone()));
        chain.check(record).map_err(|e| Failure::Unverified(format!("{region}: {e}")))?;
        self.expected.compare(record)
    }
}

pub(super) async fn run(edge: &Edge, output: Output, check: LedgerCheck) -> Result<(), Failure> {
    let expected = Expected::noted(check.expect_receipts, check.expect_head);
    let is_key_given = check.key.is_some();
    let mut walk = Walk { region: check.region, key: check.key.map(|key| bare(&key)), chain: None, expected };
    if check.file.is_none() {
        let told = edge.get("/v1/audit/key").await?;
        let region = text(&told["region"]);
        if walk.region.as_ref().is_some_and(|wanted| *wanted != region) {
            return Err(Failure::usage(format!("{} is the edge of {region}", edge.0.url())));
        }
        walk.region = Some(region);
        walk.key.get_or_insert_with(|| text(&told["key"]));
    }
    expect_what_others_saw(edge, &check.against, check.file.as_deref(), &mut walk).await?;
    match &check.file {
        Some(file) => source::of_file(file, |record, _| walk.check(&record))?,
        None => source::of_edge(edge, |record, _| walk.check(&record)).await?,
    }
    let chain = walk.chain.unwrap_or_else(|| ChainVerifier::new(walk.key.clone().unwrap_or_default()));
    walk.expected.finish(chain.receipts())?;
    let region = walk.region.unwrap_or_else(|| "nobody".to_owned());
    let result = json!({
        "region": region, "verified": true, "receipts": chain.receipts(), "bytes": chain.bytes(), "head": chain.head(),
        "key": walk.key, "compared_with": walk.expected.len(),
    });
    output.show(&result, || {
        say!("{region}: {} receipts hold, over {} bytes; head {}", chain.receipts(), chain.bytes(), chain.head());
        if check.file.is_some() && !is_key_given {
            say!("signed with {}: compare it with what the region says, or give it with --key", text(&result["key"]));
        }
    });
    Ok(())
}

/// Asks other regions' edges what they have seen of the ledger.
async fn expect_what_others_saw(
    edge: &Edge,
    against: &[String],
    file: Option<&std::path::Path>,
    walk: &mut Walk,
) -> Result<(), Failure> {
    if against.is_empty() {
        return Ok(());
    }
    if let Some(file) = file.filter(|_| walk.region.is_none()) {
        let mut whose = None;
        // Only the first record is wanted here; what is wrong with the others is found later.
        let _ = source::of_file(file, |record, _| {
            whose.get_or_insert(record.signed.receipt.from);
            Ok(())
        });
        walk.region = whose;
    }
    for url in against {
        let other = edge.at(url)?;
        let heads = heads_at(&other).await?;
        let of_region = |region: &String| walk.region.as_ref() == Some(region);
        if let Some(head) = heads.into_iter().find(|head| of_region(&head.region)) {
            if walk.key.as_ref().is_some_and(|key| *key != head.key) {
                return Err(Failure::Unverified(format!("{url} saw receipts signed with another key: {}", head.key)));
            }
            walk.key.get_or_insert_with(|| head.key.clone());
            walk.expected.add(url, head);
        }
    }
    Ok(())
}

/// A key as receipts carry it, whether or not its kind is written before it.
fn bare(key: &str) -> String {
    key.trim().trim_start_matches("ed25519:").to_owned()
}
