//! `cargo xtask stop`, and the note that `demo --keep` leaves for it.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};
use domicile_harness::workspace;

use crate::voice::Voice;

/// Notes the processes that stay.
pub(crate) fn note(processes: &[u32]) -> Result<()> {
    let lines: Vec<String> = processes.iter().map(u32::to_string).collect();
    let path = note_path()?;
    fs::write(&path, lines.join("\n")).with_context(|| format!("cannot write {}", path.display()))
}

/// Ends the noted processes that are still regions.
pub(crate) fn run(voice: &Voice) -> Result<()> {
    let path = note_path()?;
    let Ok(noted) = fs::read_to_string(&path) else {
        voice.line("No demo was left running.");
        return Ok(());
    };
    for process in noted.lines() {
        let command = Command::new("ps").args(["-o", "command=", "-p", process]).output().context("cannot run `ps`")?;
        if !String::from_utf8_lossy(&command.stdout).contains(" serve --config ") {
            continue;
        }
        if !Command::new("kill").args(["-TERM", process]).status().context("cannot run `kill`")?.success() {
            bail!("process {process} could not be ended");
        }
        voice.line(format_args!("Asked region process {process} to drain and end."));
    }
    fs::remove_file(&path)?;
    Ok(())
}

fn note_path() -> Result<PathBuf> {
    let folder = workspace::target_dir()?.join("demo");
    fs::create_dir_all(&folder)?;
    Ok(folder.join("running"))
}
