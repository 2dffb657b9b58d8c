//! What can be typed.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

use crate::audit::AuditVerb;
use crate::author::AuthorVerb;
use crate::certs::CertsVerb;
use crate::sync::SyncVerb;
use crate::token::TokenVerb;

/// The one argument with which a region starts this program to compile a plugin. It is no verb for people.
pub(crate) const COMPILE_PLUGIN: &str = "compile-plugin";

/// Ask questions where the data lives.
#[derive(Debug, Parser)]
#[command(name = "domicile", version, arg_required_else_help = true)]
pub(crate) struct Args {
    /// The edge to ask.
    #[arg(long, global = true, env = "DOMICILE_EDGE", default_value = "http://127.0.0.1:7401", value_name = "URL")]
    pub(crate) edge: String,
    /// A file with your token for the edge. Without it, the variable DOMICILE_TOKEN has the token, or there is none.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
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
    /// Back a region's store up, while it is at work.
    Backup(BackupOf),
    /// Restore a backup into the data folder of a region that is stopped.
    Restore(RestoreOf),
    /// Write plugins, deploy them, choose which versions answer, or see what is deployed.
    #[command(subcommand)]
    Plugin(PluginVerb),
    /// Read and check a region's ledger.
    #[command(subcommand)]
    Audit(AuditVerb),
    /// See the regions.
    #[command(subcommand)]
    Region(RegionVerb),
    /// Replication: how it is, and what was written at two places at once.
    #[command(subcommand)]
    Sync(SyncVerb),
    /// Check region, dataset and policy files.
    #[command(subcommand)]
    Config(ConfigVerb),
    /// Check, explain and sign policies; see those in force, or let a region read them again.
    #[command(subcommand)]
    Policy(PolicyVerb),
    /// Make tokens for clients, or see what one says.
    #[command(subcommand)]
    Token(TokenVerb),
    /// Make a region's secret.
    #[command(subcommand)]
    Secret(SecretVerb),
    /// Make certificates with which regions prove to each other who they are.
    #[command(subcommand)]
    Certs(CertsVerb),
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
    /// How old copies may be that answer in place of homes, in seconds; 0 for none. Without it they answer only where their
    /// homes do not.
    #[arg(long, value_name = "SECONDS")]
    pub(crate) max_staleness: Option<u64>,
    /// Longest that the answer may take, in milliseconds.
    #[arg(long, value_name = "N")]
    pub(crate) timeout_ms: Option<u64>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum ExplainMode {
    /// Every crossing, and whether the policies admit it: exit code 4 where they do not.
    Residency,
    /// Fragments and plans.
    Plan,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Question {
    #[command(flatten)]
    pub(crate) terms: Terms,
    /// Run nothing: show what would cross which border and by what right, or the plans.
    #[arg(long, value_enum, value_name = "MODE")]
    pub(crate) explain: Option<ExplainMode>,
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
        /// Files: .csv, .json, .ndjson or .jsonl, .arrow or .arrows, .parquet.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Delete rows by their primary keys: all that a file names, or none.
    Delete {
        /// The dataset.
        dataset: String,
        /// A file with the columns of the primary key, in one of the formats that are loaded.
        file: PathBuf,
    },
    /// List the datasets.
    List,
    /// List the partitions of a dataset, by the names that `--partition` takes.
    Partitions {
        /// The dataset.
        dataset: String,
    },
}

/// All of a store, or a part.
#[derive(Debug, clap::Args)]
pub(crate) struct Part {
    /// Only this dataset.
    #[arg(long)]
    pub(crate) dataset: Option<String>,
    /// Only this partition of it, as `domicile data partitions` names it: 'day=2024-03-01,kind="click",id=#7'. That is
    /// the first day of a time bucket, a text in quotes, and a hash bucket behind `#`; `all` where nothing is divided.
    #[arg(long, requires = "dataset")]
    pub(crate) partition: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct BackupOf {
    /// Where to: a folder, file:///folder or s3://bucket/prefix, below one of the `backup_urls` that the region was
    /// started with.
    #[arg(long, value_name = "DIR|URL")]
    pub(crate) to: String,
    #[command(flatten)]
    pub(crate) part: Part,
}

#[derive(Debug, clap::Args)]
pub(crate) struct RestoreOf {
    /// The region's file.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Where the backups are: a folder, file:///folder or s3://bucket/prefix.
    #[arg(long, value_name = "DIR|URL")]
    pub(crate) from: String,
    /// Which one; the region's latest by default.
    #[arg(long)]
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) part: Part,
    /// Read and compare all of the backup, and change nothing.
    #[arg(long, conflicts_with_all = ["dataset", "partition"])]
    pub(crate) verify_only: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct DeployOf {
    /// The component.
    pub(crate) file: PathBuf,
    /// Its name in SQL and in URLs.
    #[arg(long)]
    pub(crate) name: String,
    /// Its version; what a version is never changes.
    #[arg(long)]
    pub(crate) version: String,
    /// The key to sign it with, as `domicile plugin key new` writes it.
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// Let it answer at once. The first version of a name does so anyway.
    #[arg(long)]
    pub(crate) promote: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PluginVerb {
    /// Make a key that plugins are signed with.
    #[command(subcommand)]
    Key(KeyVerb),
    /// Deploy a component in every region. It answers once it is promoted; the first version of a name at once.
    Deploy(DeployOf),
    /// List what is deployed.
    List,
    /// Show the versions of a plugin and which of them answer.
    Status {
        /// The plugin.
        name: String,
    },
    /// Let a version answer.
    Promote {
        /// The plugin.
        name: String,
        /// The version.
        version: String,
    },
    /// Let the version answer again that did before, and end a canary.
    Rollback {
        /// The plugin.
        name: String,
    },
    /// Let a version answer a share of the questions.
    Canary {
        /// The plugin.
        name: String,
        /// The version; `none` ends the canary that there is.
        version: String,
        /// The share, in questions of a hundred: 1 to 100.
        percent: Option<u8>,
    },
    /// Ask a version as well, off the way of the answers, and compare; or show how that goes.
    Shadow {
        /// The plugin.
        name: String,
        /// The version; `none` ends the shadow that there is. Without it, shows how the shadow does.
        version: Option<String>,
    },
    /// Show what a version logged in this region: its last lines.
    Logs {
        /// The plugin.
        name: String,
        /// The version; the one that answers by default.
        #[arg(long)]
        version: Option<String>,
        /// Go on showing lines as they come, until Ctrl-C.
        #[arg(long)]
        follow: bool,
    },
    /// Delete a version that is not in use.
    Delete {
        /// The plugin.
        name: String,
        /// The version.
        version: String,
    },
    #[command(flatten)]
    Author(AuthorVerb),
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeyVerb {
    /// Write a new private key to a file that only its owner can read, and print its public half.
    New {
        /// The file; it must not exist.
        file: PathBuf,
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
pub(crate) enum PolicyVerb {
    /// Check the policies and datasets that a region file names, and say in plain sentences what may cross a border.
    Check {
        /// The region's file.
        #[arg(value_name = "FILE")]
        config: PathBuf,
        /// Check the files also where no trusted key has signed them yet.
        #[arg(long)]
        unsigned: bool,
    },
    /// Sign policy files: write the signature of each beside it, as FILE.sig.
    Sign {
        /// The policy files.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// The key to sign with, as `domicile plugin key new` writes it.
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
    },
    /// List the policies in force at the edge's region.
    List,
    /// Let the edge's region read its policy files again. All of them count from then on, or none.
    Reload,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SecretVerb {
    /// Write a new random secret to a file that only its owner can read.
    New {
        /// The file; it must not exist.
        file: PathBuf,
    },
}
