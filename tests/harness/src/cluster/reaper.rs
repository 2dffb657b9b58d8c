//! A shell that outlives us by a moment: when our end of its pipe closes, however we end, it ends the regions that are
//! still running and removes the temporary folder. A value in a `static` is never dropped, and a Ctrl-C drops nothing.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use anyhow::{Context, Result};

const SCRIPT: &str = r#"
pids=" "
while read -r verb pid; do
  case $verb in
    watch) pids="$pids$pid " ;;
    forget) pids="${pids%% $pid *} ${pids#* $pid }" ;;
  esac
done
[ "$pids" = " " ] || kill -9 $pids
[ -z "$1" ] || rm -rf -- "$1"
"#;

#[derive(Debug)]
pub(super) struct Reaper {
    shell: Child,
    orders: Option<ChildStdin>,
}

impl Reaper {
    /// Starts the shell. It removes `folder`, where one is given, once everything has ended.
    pub(super) fn start(folder: Option<&Path>) -> Result<Self> {
        let mut shell = Command::new("sh")
            .args(["-c", SCRIPT, "reaper"])
            .args(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .context("cannot run `sh`")?;
        let orders = shell.stdin.take();
        Ok(Self { shell, orders })
    }

    pub(super) fn watch(&mut self, process: u32) -> Result<()> {
        self.order("watch", process)
    }

    pub(super) fn forget(&mut self, process: u32) -> Result<()> {
        self.order("forget", process)
    }

    fn order(&mut self, verb: &str, process: u32) -> Result<()> {
        let orders = self.orders.as_mut().context("the reaper has no orders")?;
        writeln!(orders, "{verb} {process}").context("the reaper is gone")
    }
}

impl Drop for Reaper {
    fn drop(&mut self) {
        self.orders = None;
        let _ = self.shell.wait();
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    fn sleeper() -> Result<Child> {
        Ok(Command::new("sleep").arg("600").spawn()?)
    }

    #[test]
    fn ends_what_it_watches_and_nothing_else() -> Result<()> {
        let folder = tempfile::tempdir()?.keep();
        let mut reaper = Reaper::start(Some(&folder))?;
        let (mut first, mut kept, mut last) = (sleeper()?, sleeper()?, sleeper()?);
        for child in [&first, &kept, &last] {
            reaper.watch(child.id())?;
        }
        reaper.forget(kept.id())?;
        drop(reaper);
        assert_eq!(first.wait()?.signal(), Some(9));
        assert_eq!(last.wait()?.signal(), Some(9));
        assert_eq!(kept.try_wait()?, None);
        assert!(!folder.exists());
        kept.kill()?;
        kept.wait()?;
        Ok(())
    }
}
