//! `cargo xtask fuzz`: libFuzzer over every place where bytes of outsiders are read.
//!
//! `cargo fuzz` runs the same targets with a nightly toolchain. Here they are built with the stable one: the coverage
//! that libFuzzer steers by needs no unstable option, only its sanitizers do. And only what reads the bytes is
//! instrumented: cargo runs this program in front of the compiler, which adds the options. A compiler of plugins that
//! is instrumented as well takes most of the time, and what it covers says nothing about us.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use domicile_harness::workspace;

use crate::voice::Voice;

/// What there is to fuzz, as in `fuzz/Cargo.toml`.
const TARGETS: [&str; 5] = ["component_load", "guest_output", "wire_frames", "wire_receipts", "wire_tokens"];
/// What is instrumented; these have `debug-assertions` in `fuzz/Cargo.toml`, and with that artefacts of their own.
const INSTRUMENTED: [&str; 11] = [
    "arrow_array",
    "arrow_buffer",
    "arrow_data",
    "arrow_ipc",
    "domicile_fuzz",
    "domicile_sandbox",
    "domicile_types",
    "domicile_wire",
    "flatbuffers",
    "lz4_flex",
    "wasmparser",
];
/// As `cargo fuzz` has them.
const FLAGS: [&str; 5] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];
/// Set where this program runs in front of the compiler.
const WRAPPER_VARIABLE: &str = "DOMICILE_FUZZ_WRAPPER";
/// Longest input tried, in bytes.
const INPUT_BYTES_MAX: usize = 64 * 1024;
/// Seconds after which one input counts as one that hangs.
const INPUT_TIMEOUT_S: u32 = 20;
/// Memory of the process beyond which an input counts as one that takes too much, in MiB.
const MEMORY_MIB_MAX: u32 = 2048;

/// Runs the compiler with the options for coverage, if that is what this program was started for.
pub(crate) fn as_wrapper() -> Option<Result<bool>> {
    std::env::var_os(WRAPPER_VARIABLE)?;
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let (compiler, arguments) = arguments.split_first()?;
    let mut names = arguments.windows(2).filter(|pair| pair[0] == "--crate-name").map(|pair| &pair[1]);
    // What runs while building, macros above all, has no target named and could not be loaded with coverage.
    let for_target = arguments.iter().any(|argument| argument == "--target");
    let instrumented = for_target && names.next().is_some_and(|name| INSTRUMENTED.iter().any(|known| name == known));
    let mut command = Command::new(compiler);
    command.args(arguments).args(FLAGS.iter().filter(|_| instrumented));
    Some(command.status().map(|status| status.success()).context("cannot run rustc"))
}

/// How to look for inputs.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// One target only.
    target: Option<String>,
    /// How long to look for new inputs, for each target.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// Try the same inputs, in the same order, as every run with this seed, whatever runs before it found.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    seed: Option<u32>,
}

/// Fuzzes one target, or all. The kept inputs come first.
///
/// # Errors
/// Where there is no such target, it does not build, or an input breaks it; the input is kept.
pub(crate) fn run(arguments: &Arguments, voice: &Voice) -> Result<()> {
    let wanted = |name: &&str| arguments.target.as_deref().is_none_or(|target| target == *name);
    let targets: Vec<&str> = TARGETS.into_iter().filter(wanted).collect();
    ensure!(!targets.is_empty(), "there is no such target; there are: {}", TARGETS.join(", "));
    if !has_cxx() {
        voice.line("libFuzzer needs a C++ compiler, and none was found. The kept inputs are tried, and no others.");
        voice.line("Install one (Debian: `apt install g++`), or name it in CXX, to look for new inputs.");
        return replay(&targets, voice);
    }
    voice.heading("Building the fuzz targets, with coverage");
    let dir = workspace::target_dir()?.join("fuzz");
    let host = host()?;
    build(&targets, &host, &dir)?;
    for name in targets {
        voice.heading(format_args!("Fuzzing {name}, {} s", arguments.seconds));
        fuzz(name, arguments, &dir.join(&host).join("release").join(name), &dir)?;
    }
    voice.heading("Every target held");
    Ok(())
}

/// Whether the compiler is there that the `cc` crate would take.
fn has_cxx() -> bool {
    let named = std::env::var_os("CXX").filter(|name| !name.is_empty());
    let compilers = named.map_or_else(|| vec![OsString::from("c++")], |name| vec![name]);
    compilers.iter().any(|compiler| {
        let run = Command::new(compiler).arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).status();
        run.is_ok_and(|status| status.success())
    })
}

/// The inputs that are kept, by a build without libFuzzer.
fn replay(targets: &[&str], voice: &Voice) -> Result<()> {
    voice.heading("Trying the kept inputs");
    // Apart from instrumented builds, whose artefacts do not link without libFuzzer.
    let mut command = manifest("run", &workspace::target_dir()?.join("fuzz-replay"));
    command.args(["--no-default-features", "--bin", "replay", "--"]).args(targets);
    ensure!(command.status().context("cannot run cargo")?.success(), "an input does not hold; it is named above");
    Ok(())
}

fn manifest(verb: &str, dir: &Path) -> Command {
    let mut command = workspace::cargo();
    command.args([verb, "--locked", "--release", "--manifest-path", "fuzz/Cargo.toml", "--target-dir"]).arg(dir);
    command
}

/// The target of this machine, as rustc names it.
fn host() -> Result<String> {
    let output =
        Command::new("rustc").arg("-vV").current_dir(workspace::root()).output().context("cannot run rustc")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("rustc does not say what machine this is")
}

fn build(targets: &[&str], host: &str, dir: &Path) -> Result<()> {
    let mut command = manifest("build", dir);
    command.args(["--target", host]).args(targets.iter().flat_map(|name| ["--bin", name]));
    command.env("RUSTC_WRAPPER", std::env::current_exe().context("this program has no path")?);
    command.env(WRAPPER_VARIABLE, "1");
    ensure!(command.status().context("cannot run cargo")?.success(), "the targets do not build");
    Ok(())
}

fn fuzz(target: &str, arguments: &Arguments, program: &Path, dir: &Path) -> Result<()> {
    // What is found goes beside the build; whoever wants to keep it copies it into the corpus.
    let (mut found, broken) = (dir.join("found").join(target), dir.join("artifacts").join(target));
    if let Some(seed) = arguments.seed {
        found = dir.join("found").join(format!("{target}-{seed}"));
        fs::remove_dir_all(&found).or_else(|error| if found.exists() { Err(error) } else { Ok(()) })?;
    }
    fs::create_dir_all(&found)?;
    fs::create_dir_all(&broken)?;
    let status = Command::new(program)
        .arg(format!("-max_total_time={}", arguments.seconds))
        .args(arguments.seed.map(|seed| format!("-seed={seed}")))
        .arg(format!("-max_len={INPUT_BYTES_MAX}"))
        .arg(format!("-timeout={INPUT_TIMEOUT_S}"))
        .arg(format!("-rss_limit_mb={MEMORY_MIB_MAX}"))
        .arg(format!("-artifact_prefix={}/", broken.display()))
        .args(["-print_final_stats=1", "-verbosity=1"])
        .arg(found)
        .arg(workspace::root().join("fuzz/corpus").join(target))
        .stdin(Stdio::null())
        .status()
        .context("cannot run the target")?;
    if !status.success() {
        bail!(
            "an input breaks {target}; it is the newest file in {}. Keep it in fuzz/corpus/{target} once it is mended.",
            broken.display()
        );
    }
    Ok(())
}
