//! Where the records of a ledger are read: at an edge, or in a file that was exported.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::Context;
use domicile_types::limits::JOURNAL_RECORD_BYTES_MAX;
use domicile_wire::receipt::LedgerRecord;
use serde_json::Value;

use crate::edge::Edge;
use crate::output::Failure;

/// Takes lines in, and tells whether they were all there.
struct Lines<F> {
    each: F,
    records: u64,
    ended: Option<u64>,
}

impl<F: FnMut(LedgerRecord, Value) -> Result<(), Failure>> Lines<F> {
    fn new(each: F) -> Self {
        Self { each, records: 0, ended: None }
    }

    fn take_in(&mut self, line: Value) -> Result<(), Failure> {
        if self.ended.is_some() {
            return Err(Failure::Unverified(format!("something follows the end after record {}", self.records)));
        }
        if let Some(end) = line.get("end") {
            self.ended = Some(end["records"].as_u64().unwrap_or_default());
            return Ok(());
        }
        let record: LedgerRecord = serde_json::from_value(line.clone())
            .map_err(|e| Failure::Unverified(format!("record {} is not a receipt: {e}", self.records + 1)))?;
        self.records += 1;
        (self.each)(record, line)
    }

    fn finish(self, hint: &str) -> Result<(), Failure> {
        if self.ended == Some(self.records) {
            return Ok(());
        }
        Err(Failure::Unverified(format!("the ledger broke off after {} records; {hint}", self.records)))
    }
}

/// Calls `each` for every record of the ledger at the edge, and makes sure that the list came to its end.
pub(super) async fn of_edge(
    edge: &Edge,
    each: impl FnMut(LedgerRecord, Value) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut lines = Lines::new(each);
    edge.lines("/v1/audit/receipts", |line| lines.take_in(line)).await?;
    lines.finish("look at the region's log")
}

/// The same for an exported ledger.
pub(super) fn of_file(
    path: &Path,
    each: impl FnMut(LedgerRecord, Value) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let shown = path.display();
    let file = File::open(path).with_context(|| format!("{shown} cannot be read"))?;
    let mut reader = BufReader::new(file);
    let mut lines = Lines::new(each);
    let mut line = Vec::new();
    loop {
        line.clear();
        let longest = JOURNAL_RECORD_BYTES_MAX as u64 + 1;
        let mut limited = std::io::Read::take(&mut reader, longest);
        if limited.read_until(b'\n', &mut line).with_context(|| format!("{shown} cannot be read"))? == 0 {
            return lines.finish("export it again");
        }
        let number = lines.records + 1;
        let value = serde_json::from_slice(&line)
            .map_err(|e| Failure::Unverified(format!("{shown}: record {number} is not JSON: {e}")))?;
        lines.take_in(value)?;
    }
}
