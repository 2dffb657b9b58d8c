//! One `domicile serve`.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Longest that a region may take to print its ready line.
const READY_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest that a region may take to drain: its own limit and some room.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);
/// How often a process is looked at while we wait for it.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    stdout: PathBuf,
}

impl Process {
    /// Starts the process in a group of its own, so that a Ctrl-C at the terminal reaches only us. Its output goes to
    /// files, not pipes: it may outlive us.
    pub(super) fn serve(binary: &Path, config: &Path, log: &Path) -> Result<Self> {
        let stdout = log.with_extension("out");
        let create = |path: &Path| File::create(path).with_context(|| format!("cannot create {}", path.display()));
        let append = File::options().create(true).append(true).open(log);
        let child = Command::new(binary)
            .args(["serve", "--config"])
            .arg(config)
            .stdin(Stdio::null())
            .stdout(create(&stdout)?)
            .stderr(append.with_context(|| format!("cannot write {}", log.display()))?)
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot run {}", binary.display()))?;
        Ok(Self { child, stdout })
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the line that says that the region is ready.
    pub(super) fn await_ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + READY_TIMEOUT;
        loop {
            if let Some(status) = self.child.try_wait()? {
                bail!("it ended with {status}");
            }
            let printed = fs::read_to_string(&self.stdout)?;
            if printed.split_inclusive('\n').any(|line| line.contains(" ready on ") && line.ends_with('\n')) {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("it printed no ready line in {} seconds", READY_TIMEOUT.as_secs());
            }
            thread::sleep(POLL_INTERVAL);
        }
    }

    /// SIGTERM; kills a process that does not end in time.
    pub(super) fn terminate(&mut self) -> Result<()> {
        if self.signal("-TERM")?
            && let Some(status) = self.await_end(Instant::now() + DRAIN_TIMEOUT)?
        {
            if status.success() {
                return Ok(());
            }
            bail!("it ended with {status}");
        }
        self.kill()?;
        bail!("it did not end within {} seconds of SIGTERM and was killed", DRAIN_TIMEOUT.as_secs());
    }

    /// SIGSTOP: the process stays, and its connections with it, but does nothing.
    pub(super) fn freeze(&self) -> Result<()> {
        if !self.signal("-STOP")? {
            bail!("it cannot be stopped");
        }
        Ok(())
    }

    /// SIGHUP: the process reads its policies again.
    pub(super) fn hang_up(&self) -> Result<()> {
        if !self.signal("-HUP")? {
            bail!("it cannot be told");
        }
        Ok(())
    }

    /// The standard library can only kill. Says whether the signal was taken.
    fn signal(&self, signal: &str) -> Result<bool> {
        let sent = Command::new("kill").args([signal, &self.id().to_string()]).status();
        Ok(sent.context("cannot run `kill`")?.success())
    }

    pub(super) fn kill(&mut self) -> Result<()> {
        self.child.kill().context("cannot kill the process")?;
        self.child.wait()?;
        Ok(())
    }

    fn await_end(&mut self, deadline: Instant) -> Result<Option<ExitStatus>> {
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                return Ok(Some(status));
            }
            thread::sleep(POLL_INTERVAL);
        }
        Ok(None)
    }
}
