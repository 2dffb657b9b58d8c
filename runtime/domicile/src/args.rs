//! What can be typed.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

/// Ask questions where the data lives.
#[derive(Debug, Parser)]
#[command(name = "domicile", version, arg_required_else_help = true)]
pub(crate) struct Args {
    /// The edge to ask.
    #[arg(long, global = true, env = "DOMICILE_EDGE", default_value = "http://127.0.0.1:7401", value_name = "URL")]
    pub(crate) edge: String,
    /// Print one JSON object instead of text.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Run a region.
    Serve {
        /// The region's file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Ask a question in SQL over the data of all regions.
    Query(Question),
    /// Ask a named endpoint.
    Endpoint(EndpointQuestion),
    /// Load data, or see what there is.
    #[command(subcommand)]
    Data(DataVerb),
    /// Deploy plugins, or see what is deployed.
    #[command(subcommand)]
    Plugin(PluginVerb),
    /// Read and check a region's ledger.
    #[command(subcommand)]
    Audit(AuditVerb),
    /// See the regions.
    #[command(subcommand)]
    Region(RegionVerb),
    /// Check region, dataset and policy files.
    #[command(subcommand)]
    Config(ConfigVerb),
    /// Make a region's secret.
    #[command(subcommand)]
    Secret(SecretVerb),
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum CoverageChoice {
    /// Every home answers, or nothing does.
    Full,
    /// Homes that do not answer are named and left out.
    Partial,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Terms {
    /// What the answer is for, as the policies name it.
    #[arg(long)]
    pub(crate) purpose: Option<String>,
    /// Whether an answer without some homes is welcome.
    #[arg(long, value_enum, default_value = "full")]
    pub(crate) coverage: CoverageChoice,
    /// Ask only these homes, separated by commas.
    #[arg(long, value_name = "REGIONS")]
    pub(crate) homes: Option<String>,
    /// Longest that the answer may take, in milliseconds.
    #[arg(long, value_name = "N")]
    pub(crate) timeout_ms: Option<u64>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Question {
    #[command(flatten)]
    pub(crate) terms: Terms,
    /// One SELECT; `-` reads it from standard input.
    pub(crate) sql: String,
}

#[derive(Debug, clap::Args)]
pub(crate) struct EndpointQuestion {
    #[command(flatten)]
    pub(crate) terms: Terms,
    /// The endpoint.
    pub(crate) name: String,
    /// Parameters, as name=value.
    pub(crate) parameters: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DataVerb {
    /// Load files into a dataset: each whole or not at all.
    Load {
        /// The dataset.
        dataset: String,
        /// Files, .csv or .parquet.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// List the datasets.
    List,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PluginVerb {
    /// Deploy a component in every region.
    Deploy {
        /// The component.
        file: PathBuf,
        /// Its name in SQL and in URLs.
        #[arg(long)]
        name: String,
        /// Its version; what a version is never changes.
        #[arg(long)]
        version: String,
    },
    /// List what is deployed.
    List,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AuditVerb {
    /// Check the whole chain of receipts.
    Verify,
    /// Print receipts.
    Show {
        /// Only those of one query.
        #[arg(long, value_name = "ID")]
        query: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum RegionVerb {
    /// This region and its peers, with round trips.
    Status,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigVerb {
    /// Check region files with all that they refer to.
    Check {
        /// Region files.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum SecretVerb {
    /// Write a new random secret to a file that only its owner can read.
    New {
        /// The file; it must not exist.
        file: PathBuf,
    },
}
