//! `domicile audit export`.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::Context;
use domicile_wire::receipt::LedgerRecord;
use serde_json::{Value, json};

use super::args::{ExportFormat, LedgerExport};
use super::filter::time;
use super::show::wanted;
use super::source;
use crate::edge::Edge;
use crate::output::{Failure, Output, say};

const COLUMNS: &str = "sequence,at,from,to,client,form,datasets,columns,clauses,purpose,minimum_entities,groups,\
    held_back,bytes,query,body_sha256,hash,question";

/// A file that gets its name only once it is whole.
struct Target<'p> {
    path: &'p Path,
    file: BufWriter<File>,
    format: ExportFormat,
    records: u64,
}

impl<'p> Target<'p> {
    fn create(path: &'p Path, format: ExportFormat) -> Result<Self, Failure> {
        let file = File::create_new(path)
            .with_context(|| format!("{} cannot be made; name a file that there is not yet", path.display()))?;
        let mut target = Self { path, file: BufWriter::new(file), format, records: 0 };
        if matches!(format, ExportFormat::Csv) {
            target.line(COLUMNS)?;
        }
        Ok(target)
    }

    fn line(&mut self, line: &str) -> Result<(), Failure> {
        let written = self.file.write_all(line.as_bytes()).and_then(|()| self.file.write_all(b"\n"));
        Ok(written.with_context(|| format!("{} cannot be written", self.path.display()))?)
    }

    fn record(&mut self, record: &LedgerRecord, line: &Value) -> Result<(), Failure> {
        self.records += 1;
        match self.format {
            ExportFormat::Ndjson => self.line(&line.to_string()),
            ExportFormat::Csv => self.line(&csv(record)),
        }
    }

    /// Says how many there are, so that a file that was cut is noticed.
    fn finish(mut self) -> Result<u64, Failure> {
        if matches!(self.format, ExportFormat::Ndjson) {
            self.line(&json!({ "end": { "records": self.records } }).to_string())?;
        }
        let written = self.file.into_inner().map_err(|e| e.into_error()).and_then(|file| file.sync_all());
        written.with_context(|| format!("{} cannot be written", self.path.display()))?;
        Ok(self.records)
    }
}

pub(super) async fn run(edge: &Edge, output: Output, wish: LedgerExport) -> Result<(), Failure> {
    let LedgerExport { file, format, filter } = wish;
    let mut target = Target::create(&file, format)?;
    if filter.limit.is_some() {
        for (record, line) in wanted(edge, &filter).await? {
            target.record(&record, &line)?;
        }
    } else {
        // A whole ledger is never held in memory.
        source::of_edge(edge, |record, line| match filter.wants(&record.signed.receipt) {
            true => target.record(&record, &line),
            false => Ok(()),
        })
        .await?;
    }
    let records = target.finish()?;
    let whole = filter.is_empty() && matches!(format, ExportFormat::Ndjson);
    output.show(&json!({ "file": file, "receipts": records, "verifiable": whole }), || {
        say!("{records} receipts in {}", file.display());
        if whole {
            say!("check them anywhere: domicile audit verify {}", file.display());
        }
    });
    Ok(())
}

fn csv(record: &LedgerRecord) -> String {
    let receipt = &record.signed.receipt;
    let clauses = receipt.clauses.iter().map(|clause| format!("{}/{}", clause.dataset, clause.clause));
    let cells = [
        receipt.sequence.to_string(),
        time(receipt.at_unix_ms),
        receipt.from.clone(),
        receipt.to.clone(),
        receipt.client.as_ref().map(|client| client.subject.clone()).unwrap_or_default(),
        receipt.form.clone(),
        receipt.datasets.join(" "),
        receipt.columns.join(" "),
        clauses.collect::<Vec<_>>().join(" "),
        receipt.purpose.clone().unwrap_or_default(),
        receipt.minimum_entities.to_string(),
        receipt.rows_released.to_string(),
        receipt.groups_suppressed.to_string(),
        receipt.bytes.to_string(),
        receipt.query_id.clone(),
        receipt.body_sha256.clone(),
        record.signed.hash.clone(),
        record.question.clone(),
    ];
    cells.iter().map(|cell| quoted(cell)).collect::<Vec<_>>().join(",")
}

/// A cell as CSV has it. What a spreadsheet would take for a formula gets an apostrophe before it.
fn quoted(cell: &str) -> String {
    let is_formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let cell = if is_formula { format!("'{cell}") } else { cell.to_owned() };
    if cell.contains([',', '"', '\n', '\r']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_stay_cells() {
        let check = |cell: &str, expect: &str| assert_eq!(quoted(cell), expect);
        check("plain", "plain");
        check("a, \"b\"", "\"a, \"\"b\"\"\"");
        check("two\nlines", "\"two\nlines\"");
        check("=HYPERLINK(\"x\")", "\"'=HYPERLINK(\"\"x\"\")\"");
    }
}
