//! A Postgres server of our own, for as long as it is measured.

use std::fs;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use super::place::{SERVER_TIMEOUT, held_to, said, until};

/// Where Debian puts the programs of each version.
const VERSIONS: &str = "/usr/lib/postgresql";
/// Durable at each commit, and with room so that checkpoints are not what is measured.
const SETTINGS: [&str; 10] = [
    "fsync=on",
    "synchronous_commit=on",
    "full_page_writes=on",
    "wal_level=logical",
    "shared_buffers=512MB",
    "max_wal_size=8GB",
    "checkpoint_timeout=1h",
    "autovacuum=off",
    "listen_addresses=",
    "logging_collector=off",
];

/// The directory with `postgres`, `initdb`, `pg_ctl` and `psql`.
///
/// # Errors
/// Where there is none.
pub(super) fn find(given: Option<&Path>) -> Result<PathBuf> {
    let installed = fs::read_dir(VERSIONS).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let version = |dir: &PathBuf| dir.file_name()?.to_str()?.parse::<u32>().ok();
    let newest = installed.filter(|dir| version(dir).is_some()).max_by_key(version).map(|dir| dir.join("bin"));
    let Some(dir) = given.map(Path::to_path_buf).or(newest) else {
        bail!("no Postgres below {VERSIONS}; install it (`apt-get install postgresql`), or name it: --postgres-bin DIR")
    };
    for program in ["postgres", "initdb", "pg_ctl", "psql"] {
        ensure!(
            dir.join(program).is_file(),
            "{} has no `{program}`; --postgres-bin names the directory",
            dir.display()
        );
    }
    Ok(dir)
}

/// A server.
#[derive(Debug)]
pub(super) struct Postgres {
    bin: PathBuf,
    /// Its data and its socket.
    dir: PathBuf,
    owner: Option<(u32, u32)>,
    child: Child,
}

impl Postgres {
    /// Makes a database cluster below `parent`, and starts its server on some cores.
    ///
    /// # Errors
    /// Where it does not start.
    pub(super) fn start(bin: &Path, parent: &Path, name: &str, cores: &str) -> Result<Self> {
        let (dir, owner) = (parent.join(name), owner()?);
        let mut initdb = as_owner(Command::new(bin.join("initdb")), owner, parent);
        said(initdb.args(["--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C", "-D"]).arg(&dir))?;
        let mut server = as_owner(held_to(cores, &bin.join("postgres")), owner, parent);
        server.arg("-D").arg(&dir).arg("-k").arg(&dir).args(SETTINGS.iter().flat_map(|setting| ["-c", setting]));
        let log = fs::File::create(parent.join(format!("{name}.log")))?;
        server.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = server.spawn().context("cannot start `taskset`, of the package util-linux")?;
        let mut started = Self { bin: bin.to_path_buf(), dir, owner, child };
        until(format!("the start of {name}"), SERVER_TIMEOUT, || {
            ensure!(started.child.try_wait()?.is_none(), "{name} ended: {}", log_of(parent, name));
            Ok(started.sql("SELECT 1").ok())
        })?;
        Ok(started)
    }

    /// How another server finds this one.
    pub(super) fn address(&self) -> String {
        format!("host={} user=postgres dbname=postgres", self.dir.display())
    }

    /// The process whose children do the work.
    pub(super) fn process(&self) -> u32 {
        self.child.id()
    }

    /// Runs statements, and gives what the last one says.
    ///
    /// # Errors
    /// Where one fails.
    pub(super) fn sql(&self, text: &str) -> Result<String> {
        let said = said(self.psql().args(["--command", text])).with_context(|| format!("in {text}"))?;
        Ok(said.trim().to_owned())
    }

    /// Copies lines of CSV into a table, each batch in a transaction of its own.
    ///
    /// # Errors
    /// Where one fails.
    pub(super) fn load(&self, table: &str, lines: &[&str], batch_rows: usize) -> Result<()> {
        let mut psql = self.psql().stdin(Stdio::piped()).stderr(Stdio::piped()).stdout(Stdio::null()).spawn()?;
        let mut input = std::io::BufWriter::new(psql.stdin.take().context("psql has no input")?);
        let mut write = || -> std::io::Result<()> {
            for batch in lines.chunks(batch_rows) {
                writeln!(input, "COPY {table} FROM STDIN WITH (FORMAT csv);")?;
                batch.iter().try_for_each(|line| writeln!(input, "{line}"))?;
                writeln!(input, "\\.")?;
            }
            input.flush()
        };
        let written = write();
        drop(input);
        let output = psql.wait_with_output()?;
        ensure!(output.status.success(), "cannot load {table}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(written?)
    }

    fn psql(&self) -> Command {
        let mut psql = as_owner(Command::new(self.bin.join("psql")), self.owner, &self.dir);
        psql.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1", "--dbname"]);
        psql.arg(self.address());
        psql
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let mut stop = as_owner(Command::new(self.bin.join("pg_ctl")), self.owner, &self.dir);
        let stopped = said(stop.args(["stop", "--mode=immediate", "--silent", "-D"]).arg(&self.dir));
        if stopped.is_err() {
            // It has ended already, or will once its parent is gone; either way nothing is left to be done about it.
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

fn log_of(parent: &Path, name: &str) -> String {
    fs::read_to_string(parent.join(format!("{name}.log"))).unwrap_or_default().trim().to_owned()
}

/// The user and group that servers run as, where that is not ours: Postgres refuses to run as root.
fn owner() -> Result<Option<(u32, u32)>> {
    let id = |arguments: &[&str]| -> Result<u32> { Ok(said(Command::new("id").args(arguments))?.trim().parse()?) };
    if id(&["-u"])? != 0 {
        return Ok(None);
    }
    let no_user =
        "Postgres does not run as root, and there is no user `postgres`; make one, or run this as another user";
    let owner = (id(&["-u", "postgres"]).context(no_user)?, id(&["-g", "postgres"]).context(no_user)?);
    Ok(Some(owner))
}

fn as_owner(mut command: Command, owner: Option<(u32, u32)>, dir: &Path) -> Command {
    if let Some((user, group)) = owner {
        command.uid(user).gid(group);
    }
    command.current_dir(dir);
    command
}
