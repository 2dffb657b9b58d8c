//! Three real processes of the one binary, started, stopped and started again.

mod around;
mod clients;
mod http2;
mod link;
mod network;
mod options;
mod process;
mod reaper;
mod recorder;
mod tap;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::regions::RegionFile;
use crate::{Cli, Edge};
use around::Around;
pub use link::{Bytes, Mode, Traffic};
pub use network::Network;
pub use options::Options;
use process::Process;
use reaper::Reaper;
pub use tap::Exchange;

/// The regions, each one process. They end with the cluster, or with this process, however it ends.
#[derive(Debug)]
pub struct Cluster {
    binary: PathBuf,
    regions: Vec<Region>,
    reaper: Reaper,
    around: Around,
    dir: Option<TempDir>,
}

#[derive(Debug)]
struct Region {
    file: RegionFile,
    log: PathBuf,
    process: Option<Process>,
}

impl Cluster {
    /// Starts a process for each region file and waits until all are ready. Logs go to `<id>.log` in `log_dir`.
    ///
    /// # Errors
    /// Where a region does not get ready; the error shows the end of its log.
    pub fn start(binary: &Path, files: Vec<RegionFile>, log_dir: &Path) -> Result<Self> {
        Self::start_with(binary, files, log_dir, None)
    }

    /// Starts a cluster of its own for a test: free ports, fresh secrets and data, all of it below a temporary folder.
    ///
    /// # Errors
    /// As for [`Cluster::start`], and where the folder cannot be prepared.
    pub fn for_test(binary: &Path, options: &Options) -> Result<Self> {
        const ATTEMPTS: usize = 3;
        let mut attempt = 1;
        loop {
            match Self::try_for_test(binary, options) {
                // Another process may have taken a port between our finding it free and the region's binding it.
                Err(error) if attempt < ATTEMPTS && format!("{error:#}").contains("in use") => attempt += 1,
                result => return result,
            }
        }
    }

    fn try_for_test(binary: &Path, options: &Options) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("domicile-").tempdir()?;
        let (files, around) = Around::prepare(binary, dir.path(), options)?;
        let log_dir = dir.path().to_path_buf();
        let mut cluster = Self::start_with(binary, files, &log_dir, Some(dir))?;
        cluster.around = around.with_operators(&cluster.regions)?;
        Ok(cluster)
    }

    fn start_with(binary: &Path, files: Vec<RegionFile>, log_dir: &Path, dir: Option<TempDir>) -> Result<Self> {
        let reaper = Reaper::start(dir.as_ref().map(TempDir::path))?;
        let regions = files
            .into_iter()
            .map(|file| Region { log: log_dir.join(format!("{}.log", file.id)), file, process: None })
            .collect();
        let mut cluster = Self { binary: binary.to_path_buf(), regions, reaper, around: Around::default(), dir };
        for index in 0..cluster.regions.len() {
            cluster.spawn(index)?;
        }
        for region in &mut cluster.regions {
            region.await_ready()?;
        }
        Ok(cluster)
    }

    /// The binary that runs.
    pub fn binary(&self) -> &Path {
        &self.binary
    }

    /// The temporary folder of a cluster for tests.
    pub fn dir(&self) -> Option<&Path> {
        self.dir.as_ref().map(TempDir::path)
    }

    /// The file of a region.
    ///
    /// # Panics
    /// Where there is no region of that id.
    pub fn file(&self, id: &str) -> &RegionFile {
        &self.regions[self.index(id)].file
    }

    /// The edge of a region.
    ///
    /// # Panics
    /// Where there is no region of that id.
    pub fn edge(&self, id: &str) -> Edge {
        let edge = Edge::new(&self.file(id).url);
        match self.around.operator(id) {
            Some(token) => edge.with_token(token),
            None => edge,
        }
    }

    /// The command line, pointed at the edge of a region.
    ///
    /// # Panics
    /// Where there is no region of that id.
    pub fn cli(&self, id: &str) -> Cli {
        Cli::new(&self.binary, &self.file(id).url)
    }

    /// What a region has logged so far.
    ///
    /// # Errors
    /// Where the log cannot be read.
    ///
    /// # Panics
    /// Where there is no region of that id.
    pub fn log(&self, id: &str) -> Result<String> {
        let path = &self.regions[self.index(id)].log;
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
    }

    /// The most memory that a region has had so far, in bytes.
    ///
    /// # Errors
    /// Where the system does not say.
    ///
    /// # Panics
    /// Where there is no region of that id, or it is stopped.
    pub fn peak_memory_bytes(&self, id: &str) -> Result<u64> {
        let process = self.regions[self.index(id)].process.as_ref().unwrap_or_else(|| panic!("{id} is stopped"));
        let status = std::fs::read_to_string(format!("/proc/{}/status", process.id()))?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
        Ok(peak.context("no VmHWM")?.trim().parse::<u64>()? * 1024)
    }

    /// Asks a region to drain (SIGTERM) and waits for its end. A region that is stopped already stays so.
    ///
    /// # Errors
    /// Where it had to be killed because it did not end in time, or ended with a failure.
    ///
    /// # Panics
    /// Where there is no region of that id.
    pub fn stop(&mut self, id: &str) -> Result<()> {
        let index = self.index(id);
        let Some(mut process) = self.regions[index].process.take() else { return Ok(()) };
        self.reaper.forget(process.id())?;
        process.terminate().with_context(|| format!("{id} did not stop well; {}", self.regions[index].log_tail()))
    }

    /// Ends a region at once, as a power cut would (SIGKILL).
    ///
    /// # Errors
    /// Where the process cannot be ended.
    ///
    /// # Panics
    /// Where there is no region of that id.
    pub fn kill(&mut self, id: &str) -> Result<()> {
        let index = self.index(id);
        let Some(mut process) = self.regions[index].process.take() else { return Ok(()) };
        self.reaper.forget(process.id())?;
        process.kill()
    }

    /// Destroys all data of a stopped region, as a fire would. Its configuration and secret stay.
    ///
    /// # Errors
    /// Where it is still running, or the folder cannot be removed.
    ///
    /// # Panics
    /// Where there is no region of that id.
    pub fn destroy_data(&self, id: &str) -> Result<()> {
        let region = &self.regions[self.index(id)];
        if region.process.is_some() {
            bail!("{id} is running");
        }
        let folder = &region.file.data_dir;
        std::fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))
    }

    /// Lets a region hang (SIGSTOP): it takes connections, and answers nothing any more.
    ///
    /// # Errors
    /// Where the process cannot be told.
    ///
    /// # Panics
    /// Where there is no region of that id, or it is stopped.
    pub fn freeze(&self, id: &str) -> Result<()> {
        let process = self.regions[self.index(id)].process.as_ref().unwrap_or_else(|| panic!("{id} is stopped"));
        process.freeze()
    }

    /// Tells a region to read its policies again (SIGHUP). It has not done so yet when this returns.
    ///
    /// # Errors
    /// Where the process cannot be told.
    ///
    /// # Panics
    /// Where there is no region of that id, or it is stopped.
    pub fn hang_up(&self, id: &str) -> Result<()> {
        let process = self.regions[self.index(id)].process.as_ref().unwrap_or_else(|| panic!("{id} is stopped"));
        process.hang_up()
    }

    /// Starts a stopped region again and waits until it is ready.
    ///
    /// # Errors
    /// As for [`Cluster::start`], and where it is still running.
    ///
    /// # Panics
    /// Where there is no region of that id.
    pub fn resume(&mut self, id: &str) -> Result<()> {
        let index = self.index(id);
        if self.regions[index].process.is_some() {
            bail!("{id} is running");
        }
        self.spawn(index)?;
        self.regions[index].await_ready()
    }

    /// Leaves the regions running and says their process ids.
    ///
    /// # Errors
    /// Where the process that would end them cannot be told.
    pub fn keep(&mut self) -> Result<Vec<u32>> {
        let mut ids = Vec::new();
        for region in &mut self.regions {
            if let Some(process) = region.process.take() {
                self.reaper.forget(process.id())?;
                ids.push(process.id());
            }
        }
        Ok(ids)
    }

    fn spawn(&mut self, index: usize) -> Result<()> {
        let region = &mut self.regions[index];
        let process = Process::serve(&self.binary, &region.file.config, &region.log)?;
        self.reaper.watch(process.id())?;
        region.process = Some(process);
        Ok(())
    }

    fn index(&self, id: &str) -> usize {
        let index = self.regions.iter().position(|region| region.file.id == id);
        index.unwrap_or_else(|| panic!("there is no region `{id}`"))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for process in self.regions.iter_mut().filter_map(|region| region.process.as_mut()) {
            // What cannot be ended here, the reaper ends.
            let _ = process.kill();
        }
    }
}

impl Region {
    fn await_ready(&mut self) -> Result<()> {
        let process = self.process.as_mut().context("the region was not started")?;
        let ready = process.await_ready();
        ready.with_context(|| format!("{} did not get ready; {}", self.file.id, self.log_tail()))
    }

    fn log_tail(&self) -> String {
        const LINES: usize = 15;
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        let tail = lines[lines.len().saturating_sub(LINES)..].join("\n  ");
        format!("the end of {}:\n  {tail}", self.log.display())
    }
}

/// Makes the secret of each region that has none yet, with `domicile secret new`.
///
/// # Errors
/// Where the binary refuses.
pub fn make_secrets(binary: &Path, files: &[RegionFile]) -> Result<()> {
    for file in files.iter().filter(|file| !file.secret_file.exists()) {
        if let Some(folder) = file.secret_file.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let path = file.secret_file.to_str().context("a path that is not UTF-8")?;
        Cli::new(binary, &file.url).run(&["secret", "new", path])?.success()?;
    }
    Ok(())
}
