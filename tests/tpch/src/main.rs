//! `domicile-tpch`: writes the tables as files, and prints exact figures about them as JSON.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, Subcommand};
use serde_json::{Value, json};

/// TPC-H data for three regions, and exact figures about it. Prints JSON.
#[derive(Debug, Parser)]
#[command(arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Write each region's part of every table below a folder.
    Files {
        /// Scale factor: 1 is 8.7 million rows.
        #[arg(long)]
        scale: f64,
        /// The folder.
        #[arg(long)]
        out: PathBuf,
    },
    /// Revenue by month and product group over all regions, computed from the rows in integers.
    Revenue {
        /// Scale factor.
        #[arg(long)]
        scale: f64,
        /// Count orders before this day only, for example 1998-08-01.
        #[arg(long)]
        before: String,
    },
    /// Bytes of zstd Parquet that bringing the resident rows of the other regions to one would move.
    Central {
        /// Scale factor.
        #[arg(long)]
        scale: f64,
        /// The region they would be brought to.
        #[arg(long)]
        center: String,
        /// Columns of a copy that is as small as can be.
        #[arg(long, value_delimiter = ',')]
        needed: Vec<String>,
    },
}

fn main() -> Result<()> {
    let printed = match Arguments::parse().verb {
        Verb::Files { scale, out } => domicile_tpch::write(scale, &out)?.iter().map(|file| file.to_json()).collect(),
        Verb::Revenue { scale, before } => {
            let revenue = domicile_tpch::revenue(scale, &before)?;
            revenue.iter().map(|((month, group), amount)| json!([month, group, amount.to_string()])).collect::<Value>()
        }
        Verb::Central { scale, center, needed } => {
            let needed: Vec<_> = needed.iter().map(String::as_str).collect();
            domicile_tpch::central_bytes(scale, &center, &needed)?.to_json()
        }
    };
    writeln!(io::stdout(), "{printed}")?;
    Ok(())
}
