//! Where everything is measured: one directory on a disk, one core for whoever applies, and the time it had that core.

use std::fmt::Display;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

/// The core of whoever applies, as `apply` takes it too.
pub(super) const APPLYING: &str = "0";
/// Ticks of a second in `/proc/PID/stat`, the same on every Linux.
const TICKS_PER_S: f64 = 100.0;
/// How long a server may take to start or to stop.
pub(super) const SERVER_TIMEOUT: Duration = Duration::from_secs(60);

/// The cores of whoever gives: all others, where there are any.
pub(super) fn giving() -> String {
    match thread::available_parallelism().map_or(1, usize::from) {
        1 => APPLYING.to_owned(),
        2 => "1".to_owned(),
        count => format!("1-{}", count - 1),
    }
}

/// A directory for one part of the measurement, which whoever runs a server may enter.
///
/// # Errors
/// Where `parent` has its files in memory only, so that nothing in it is durable.
pub(super) fn dir(parent: &Path, name: &str) -> Result<TempDir> {
    let kind = said(Command::new("stat").args(["--file-system", "--format=%T"]).arg(parent))?;
    ensure!(
        !matches!(kind.trim(), "tmpfs" | "ramfs"),
        "{} is in memory, so nothing there is durable; name a directory on a disk with --dir",
        parent.display()
    );
    let dir = tempfile::Builder::new().prefix(&format!("domicile-{name}-")).tempdir_in(parent)?;
    // Postgres does not run as root, and its user makes its own directories below.
    fs::set_permissions(dir.path(), Permissions::from_mode(0o1777))?;
    Ok(dir)
}

/// A command held to some cores. The process is that of `program` itself.
pub(super) fn held_to(cores: &str, program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", cores]).arg(program);
    command
}

/// What a command says on standard output.
pub(super) fn said(command: &mut Command) -> Result<String> {
    let program = PathBuf::from(command.get_program());
    let output = command.output().with_context(|| format!("cannot run {}", program.display()))?;
    let problem = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{} failed: {}", program.display(), problem.trim());
    Ok(String::from_utf8(output.stdout)?)
}

/// Asks every 10 ms until there is an answer.
pub(super) fn until<T>(what: impl Display, timeout: Duration, mut ask: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let started = Instant::now();
    loop {
        if let Some(answer) = ask()? {
            return Ok(answer);
        }
        if started.elapsed() > timeout {
            bail!("{what} took more than {} s", timeout.as_secs());
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// Seconds that a process and its children have had a core for, those included that have ended.
pub(super) fn cpu_seconds(process: u32) -> Result<f64> {
    let mut ticks = 0;
    for entry in fs::read_dir("/proc")? {
        let Some(id) = entry?.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        // A process that has ended meanwhile counts with its parent.
        let Ok(stat) = fs::read_to_string(format!("/proc/{id}/stat")) else { continue };
        // The name before, in parentheses, may have spaces.
        let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
        let number = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
        let own = number(11) + number(12);
        if id == process {
            ticks += own + number(13) + number(14);
        } else if number(1) == u64::from(process) {
            ticks += own;
        }
    }
    Ok(ticks as f64 / TICKS_PER_S)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_that_works_counts_before_and_after_it_ended() -> Result<()> {
        let mut child = Command::new("sh").args(["-c", "while :; do :; done"]).spawn()?;
        let me = std::process::id();
        let worked = until("work", SERVER_TIMEOUT, || Ok((cpu_seconds(me)? >= 0.2).then_some(())));
        child.kill()?;
        child.wait()?;
        worked?;
        ensure!(cpu_seconds(me)? >= 0.2, "what a child did does not count any more");
        Ok(())
    }
}
