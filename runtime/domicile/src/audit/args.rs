//! What can be typed after `domicile audit`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::filter::Since;

#[derive(Debug, Subcommand)]
pub(crate) enum AuditVerb {
    /// Check a ledger: its chain, its signatures, and that it was not cut short.
    Verify(LedgerCheck),
    /// Print receipts.
    Show(ShownReceipts),
    /// Write receipts to a file. A whole ledger as NDJSON can be checked anywhere with `verify`.
    Export(LedgerExport),
    /// The latest receipts that the edge has seen of other regions' ledgers.
    Heads,
}

#[derive(Debug, Args)]
pub(crate) struct LedgerCheck {
    /// An exported ledger; without it, that of the edge.
    pub(super) file: Option<PathBuf>,
    /// The region's public key, as `GET /v1/audit/key` says it.
    #[arg(long)]
    pub(super) key: Option<String>,
    /// The region whose ledger it has to be.
    #[arg(long, value_name = "ID")]
    pub(super) region: Option<String>,
    /// The hash of a receipt that was seen earlier; with `--expect-receipts`, of the one with that number.
    #[arg(long, value_name = "HASH")]
    pub(super) expect_head: Option<String>,
    /// How many receipts there were earlier: there may be more now, and not fewer.
    #[arg(long, value_name = "N")]
    pub(super) expect_receipts: Option<u64>,
    /// The edge of another region: what it has seen of the ledger has to be there. May be given several times.
    #[arg(long, value_name = "URL")]
    pub(super) against: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ReceiptFilter {
    /// Only those of one query.
    #[arg(long, value_name = "ID")]
    pub(super) query: Option<String>,
    /// Only those since a day (2026-03-01) or a time (2026-03-01T12:00:00Z), in UTC.
    #[arg(long, value_name = "TIME")]
    pub(super) since: Option<Since>,
    /// Only what went to this region.
    #[arg(long, value_name = "REGION")]
    pub(super) to: Option<String>,
    /// Only what was computed from this dataset.
    #[arg(long)]
    pub(super) dataset: Option<String>,
    /// Only so many, the latest.
    #[arg(long, value_name = "N")]
    pub(super) limit: Option<usize>,
}

#[derive(Debug, Args)]
pub(crate) struct ShownReceipts {
    #[command(flatten)]
    pub(super) filter: ReceiptFilter,
    /// Show clauses, plugins and SQL too, as `--query` does.
    #[arg(long)]
    pub(super) details: bool,
}

#[derive(Debug, Args)]
pub(crate) struct LedgerExport {
    /// The file; it must not exist.
    pub(super) file: PathBuf,
    /// How it is written.
    #[arg(long, value_enum, default_value = "ndjson")]
    pub(super) format: ExportFormat,
    #[command(flatten)]
    pub(super) filter: ReceiptFilter,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum ExportFormat {
    /// Receipts as they are, one a line.
    Ndjson,
    /// A table, for spreadsheets.
    Csv,
}
