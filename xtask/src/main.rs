//! The developer's verbs: `cargo xtask …`.

mod bench;
mod demo;
mod fuzz;
mod stop;
mod test;
mod voice;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser, Subcommand, ValueEnum};
use domicile_harness::build;

use voice::Voice;

/// Build, show, test and measure Domicile.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Start three regions on this machine, load data, deploy plugins, ask questions, print the answers.
    Demo(DemoArguments),
    /// End the regions that `demo --keep` left running.
    Stop,
    /// Build and run every test.
    Test {
        /// Further arguments for `cargo test`.
        #[arg(last = true)]
        further: Vec<String>,
    },
    /// Build the plugins of `guest/` and say where they are.
    BuildPlugins,
    /// Kill a region under load, again and again, and look for lost, doubled and half stored rows.
    Crash {
        /// How often.
        #[arg(long, default_value_t = 200)]
        cycles: u64,
        /// Repeats the batches and moments of an earlier run, as far as threads do.
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Break the network between regions and end them while all are written to, and look for writes that were lost.
    Cuts {
        /// For how long.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
        /// Repeats the troubles and writes of an earlier run, as far as threads do.
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Try inputs that nobody thought of wherever bytes of outsiders are read: those kept, then new ones.
    Fuzz(fuzz::Arguments),
    /// Measure. The last line printed is one JSON object.
    Bench {
        #[command(subcommand)]
        benchmark: Benchmark,
    },
}

#[derive(Debug, Args)]
struct DemoArguments {
    /// TPC-H scale factor of the data: 1 is 8.7 million rows.
    #[arg(long, default_value_t = 0.02, value_parser = scale)]
    scale: f64,
    /// Leave the regions running at the end.
    #[arg(long)]
    keep: bool,
    /// Print, last, one JSON object with every answer and figure; what is for people goes to standard error.
    #[arg(long)]
    json: bool,
    /// Profile of the binary.
    #[arg(long, value_enum, default_value_t = Profile::Dev)]
    profile: Profile,
}

#[derive(Debug, Subcommand)]
enum Benchmark {
    /// The global revenue query: latency against the slowest region alone, border bytes against centralizing.
    Spine(SpineArguments),
    /// What residency costs: the time of an admission, the guard's share of a question's time, and that of comparing with
    /// 10,000 releases. The figures count with `--profile release --scale 1`.
    Residency(SpineArguments),
    /// Durable rows a second on one core, against a copy of the same bytes and against SQLite. Arguments after `--`:
    /// `--rows N`, `--batch-rows N`, `--sqlite-rows N`, `--shuffled`.
    Ingest {
        /// For the benchmark itself.
        #[arg(last = true)]
        further: Vec<String>,
    },
    /// How long a write takes to be seen in another region, at several delays of the links, and how long regions take to
    /// come together after a partition.
    Convergence(bench::ConvergenceArguments),
    /// How regions come together, against Postgres logical replication, NATS JetStream mirrors and Parquet in the same run:
    /// rows applied, bytes on the way, times until a write is seen elsewhere and until a partition is healed.
    Sync(bench::SyncArguments),
    /// An ordinary question's latency beside plugins that never return, against its latency alone.
    Neighbours(NeighboursArguments),
    /// Starting plugins, calling them, and their code against the same code on the machine itself and `arrow-udf`.
    Plugin {
        /// Times that everything is measured.
        #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
        rounds: u32,
    },
}

#[derive(Debug, Args)]
struct NeighboursArguments {
    /// TPC-H scale factor of the data.
    #[arg(long, default_value_t = 0.05, value_parser = scale)]
    scale: f64,
    /// Times that the question is asked in each round.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Rounds, each alone and beside hostile questions.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// How many keep asking hostile questions at once.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=16))]
    hostile: u32,
    /// Profile of the binary.
    #[arg(long, value_enum, default_value_t = Profile::Dev)]
    profile: Profile,
}

#[derive(Debug, Args)]
struct SpineArguments {
    /// TPC-H scale factor of the data.
    #[arg(long, default_value_t = 0.02, value_parser = scale)]
    scale: f64,
    /// Times that each question is asked.
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Profile of the binary.
    #[arg(long, value_enum, default_value_t = Profile::Dev)]
    profile: Profile,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Profile {
    Dev,
    Release,
}

impl From<Profile> for build::Profile {
    fn from(profile: Profile) -> Self {
        match profile {
            Profile::Dev => Self::Dev,
            Profile::Release => Self::Release,
        }
    }
}

fn scale(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(scale) if (0.01..=100.0).contains(&scale) => Ok(scale),
        // With fewer customers some months fall below the policies' threshold, and no sum equals the union's.
        _ => Err("a scale factor is a number from 0.01 to 100".to_owned()),
    }
}

fn main() -> ExitCode {
    match fuzz::as_wrapper() {
        Some(Ok(true)) => return ExitCode::SUCCESS,
        Some(_) => return ExitCode::FAILURE,
        None => (),
    }
    let outcome = match Arguments::parse().verb {
        Verb::Demo(arguments) => demo::run(&arguments, Voice::new(arguments.json)),
        Verb::Stop => stop::run(&Voice::new(false)),
        Verb::Test { further } => test::run(&further, &Voice::new(false)),
        Verb::Crash { cycles, seed } => test::crash(cycles, seed, &Voice::new(false)),
        Verb::Cuts { seconds, seed } => test::cuts(seconds, seed, &Voice::new(false)),
        Verb::Fuzz(arguments) => fuzz::run(&arguments, &Voice::new(false)),
        Verb::BuildPlugins => test::build_plugins(&Voice::new(false)),
        Verb::Bench { benchmark: Benchmark::Spine(arguments) } => bench::spine(&arguments, &Voice::new(false)),
        Verb::Bench { benchmark: Benchmark::Neighbours(arguments) } => {
            bench::neighbours(&arguments, &Voice::new(false))
        }
        Verb::Bench { benchmark: Benchmark::Convergence(arguments) } => {
            bench::convergence(&arguments, &Voice::new(false))
        }
        Verb::Bench { benchmark: Benchmark::Sync(arguments) } => bench::sync(&arguments, &Voice::new(false)),
        Verb::Bench { benchmark: Benchmark::Residency(arguments) } => bench::residency(&arguments, &Voice::new(false)),
        Verb::Bench { benchmark: Benchmark::Ingest { further } } => bench::ingest(&further),
        Verb::Bench { benchmark: Benchmark::Plugin { rounds } } => bench::plugin(rounds, &Voice::new(false)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\n{error:#}");
            ExitCode::FAILURE
        }
    }
}
