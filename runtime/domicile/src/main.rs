//! The one binary: a region's server, and the command line that people use it with.

mod args;
mod audit;
mod author;
mod backup;
mod certs;
mod data;
mod edge;
mod explain;
mod output;
mod peer_tls;
mod plugin;
mod policy;
mod private_file;
mod query;
mod replication;
mod serve;
mod signing_key;
mod status;
mod sync;
mod together;
mod token;

use std::process::ExitCode;

use clap::Parser;
use domicile_types::limits::THREAD_STACK_BYTES;

use crate::args::{Args, COMPILE_PLUGIN, Verb};
use crate::output::{Failure, Output};

fn main() -> ExitCode {
    if std::env::args_os().skip(1).eq([COMPILE_PLUGIN]) {
        return compile_plugin();
    }
    let args = Args::parse();
    let output = Output { json: args.json };
    match run(args, output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => output.failed(&failure),
    }
}

fn run(args: Args, output: Output) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_stack_size(THREAD_STACK_BYTES)
        .build()
        .map_err(anyhow::Error::from)?;
    runtime.block_on(async {
        let token = token::given(args.token_file.as_deref())?;
        let edge = edge::Edge::new(&args.edge, token.as_ref())?;
        match args.verb {
            Verb::Serve { config } => serve::serve(&config).await,
            Verb::Query(question) => query::query(&edge, output, question).await,
            Verb::Endpoint(question) => query::endpoint(&edge, output, question).await,
            Verb::Data(verb) => data::run(&edge, output, verb).await,
            Verb::Backup(of) => backup::backup(&edge, output, of).await,
            Verb::Restore(of) => backup::restore(output, of).await,
            Verb::Plugin(verb) => plugin::run(&edge, output, verb).await,
            Verb::Audit(verb) => audit::run(&edge, output, verb).await,
            Verb::Region(verb) => status::region(&edge, output, &verb).await,
            Verb::Sync(verb) => sync::run(&edge, output, &verb).await,
            Verb::Config(verb) => status::config(output, &verb),
            Verb::Policy(verb) => policy::run(&edge, output, verb).await,
            Verb::Token(verb) => token::run(output, verb),
            Verb::Secret(verb) => status::secret(output, &verb),
            Verb::Certs(verb) => certs::run(output, &verb),
        }
    })
}

/// Before anything else is started: the process has little memory, and ends with this.
fn compile_plugin() -> ExitCode {
    match domicile_sandbox::compile_stdin_to_stdout() {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
