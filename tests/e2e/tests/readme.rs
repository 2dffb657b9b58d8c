//! Every command of the README works as it stands.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use domicile_harness::workspace::{self, REGIONS};
use domicile_harness::{Cluster, Options, build, regions};
use domicile_tests::world::{World, plugin};

/// Commands that get a checkout and a toolchain, or end what another command started: shown, not run.
const NOT_RUN: [&str; 8] =
    ["git ", "cd ", "rustup ", "curl --proto", "cargo build", "export ", "kill ", "domicile serve"];

/// The commands of the fenced `sh` blocks, continued lines joined.
fn commands(markdown: &str) -> Vec<String> {
    let mut commands = Vec::new();
    let (mut inside, mut joined) = (false, String::new());
    for line in markdown.lines().map(str::trim) {
        if line.starts_with("```") {
            inside = !inside && line.starts_with("```sh");
            continue;
        }
        let line = line.strip_prefix("$ ").unwrap_or(line);
        if !inside || (joined.is_empty() && (line.is_empty() || line.starts_with('#'))) {
            continue;
        }
        match line.strip_suffix('\\') {
            Some(part) => joined.push_str(&format!("{} ", part.trim_end())),
            None => commands.push(std::mem::take(&mut joined) + line),
        }
    }
    commands
}

#[test]
fn commands_are_found() {
    let markdown =
        "text\n```sh\n# why\ndomicile query \\\n  \"SELECT 1\"\n$ cargo xtask demo\n```\n```toml\nx = 1\n```\n";
    assert_eq!(commands(markdown), ["domicile query \"SELECT 1\"", "cargo xtask demo"]);
}

fn readme() -> Result<String> {
    fs::read_to_string(workspace::root().join("README.md")).context("README.md")
}

#[test]
fn its_two_commands_come_first() -> Result<()> {
    let commands = commands(&readme()?);
    for wanted in ["cargo xtask demo", "cargo xtask test"] {
        assert!(commands.iter().any(|command| command == wanted), "{wanted} in {commands:?}");
    }
    for command in commands.iter().filter_map(|command| command.strip_prefix("cargo xtask ")) {
        let verbs: Vec<&str> =
            command.split(' ').take_while(|word| word.starts_with(|c: char| c.is_ascii_lowercase())).collect();
        let help = workspace::cargo()
            .args(["run", "--quiet", "--package", "xtask", "--"])
            .args(&verbs)
            .arg("--help")
            .output()?;
        assert!(help.status.success(), "cargo xtask {command}: {}", String::from_utf8_lossy(&help.stderr));
        let help = String::from_utf8_lossy(&help.stdout);
        for flag in command.split(' ').filter(|word| word.starts_with("--")) {
            assert!(help.contains(flag), "cargo xtask {command}: {flag}");
        }
    }
    Ok(())
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (path, copy) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy_folder(&path, &copy)?;
        } else {
            fs::copy(&path, &copy)?;
        }
    }
    Ok(())
}

/// A folder in which the README's relative paths lead to what a demo leaves behind.
fn stage(world: &World, folder: &Path) -> Result<()> {
    let root = workspace::root();
    for name in ["guest", "tests"] {
        symlink(root.join(name), folder.join(name))?;
    }
    // A copy, so that the paths in these files lead to secrets beside it.
    copy_folder(&workspace::regions_dir(), &folder.join("regions"))?;
    fs::create_dir_all(folder.join("target/demo"))?;
    fs::create_dir_all(folder.join("target/debug"))?;
    let files = world.cluster.dir().context("a cluster for tests has a folder")?.join("files");
    symlink(files, folder.join("target/demo/files"))?;
    symlink(workspace::target_dir()?.join("guest"), folder.join("target/guest"))?;
    symlink(world.cluster.binary(), folder.join("target/debug/domicile"))?;
    Ok(())
}

#[test]
fn its_commands_do_what_it_says() -> Result<()> {
    let world = World::with_plugins(&Options::default())?;
    plugin("rfm")?;
    let folder = tempfile::tempdir()?;
    stage(&world, folder.path())?;
    let shown = regions::read_all(&workspace::regions_dir())?;
    let path = format!("{}/target/debug:{}", folder.path().display(), std::env::var("PATH").unwrap_or_default());

    let mut edge = world.cluster.file(REGIONS[0]).url.clone();
    let mut ran = 0;
    for command in commands(&readme()?) {
        let mut here = command.clone();
        for file in &shown {
            let (from, to) = (file.url.trim_start_matches("http://"), &world.cluster.file(&file.id).url);
            here = here.replace(from, to.trim_start_matches("http://"));
        }
        if let Some(url) = here.strip_prefix("export DOMICILE_EDGE=") {
            edge = url.to_owned();
        }
        if here.starts_with("cargo xtask ") || NOT_RUN.iter().any(|prefix| here.starts_with(prefix)) {
            continue;
        }
        let known = ["domicile ", "target/debug/domicile ", "DOMICILE_EDGE=", "curl "];
        ensure!(known.iter().any(|prefix| here.starts_with(prefix)), "nobody checks this command: {command}");
        let output = Command::new("sh")
            .args(["-c", &here])
            .current_dir(folder.path())
            .env("PATH", &path)
            .env("DOMICILE_EDGE", &edge)
            .output()?;
        // A command that is to be refused says so behind a `#`.
        let expected =
            if command.split_once(" # ").is_some_and(|(_, comment)| comment.contains("refused")) { 1 } else { 0 };
        let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(expected), "{command}\n{text}");
        ran += 1;
    }
    ensure!(ran > 0, "the README shows no command of domicile");
    Ok(())
}

/// The text of the fenced block of a language that has `part`.
fn block<'t>(markdown: &'t str, language: &str, part: &str) -> Option<&'t str> {
    let blocks = markdown.split("```").skip(1).step_by(2);
    blocks.filter_map(|block| block.strip_prefix(language)).find(|block| block.contains(part))
}

#[test]
fn its_backups_of_the_dataset_that_it_divides_come_back() -> Result<()> {
    const REGION: &str = "eu-central";
    let readme = readme()?;
    let described = block(&readme, "toml", "name = \"events\"").context("no dataset is divided")?;
    // What becomes of old parts would need a cold storage.
    let (described, _) = described.split_once("[lifecycle]").context("no lifecycle")?;
    let datasets = vec![("events".to_owned(), described.to_owned())];
    let options = Options { datasets, ..Options::default() };
    let mut cluster = Cluster::for_test(&build::binary(build::Profile::Dev)?, &options)?;
    let send = |cluster: &Cluster, method: &str, ids: std::ops::Range<u32>| {
        let rows: String = ids.map(|id| format!("2024-03-05,click,{id}\n")).collect();
        let headers = [("Content-Type", "text/csv")];
        let sent = cluster.edge(REGION).rows(method, "events", &headers, format!("at,kind,id\n{rows}").as_bytes())?;
        ensure!(sent.status == 200, "{}", sent.text());
        Ok(())
    };
    let count = |cluster: &Cluster| {
        let counted = cluster.edge(REGION).query("SELECT count(*) AS n FROM events")?.answer()?;
        counted.sum("n")
    };
    send(&cluster, "POST", 0..64)?;
    let config = cluster.file(REGION).config.display().to_string();
    let place = cluster.dir().context("a folder")?.join(format!("{REGION}.backups")).display().to_string();
    let mut ran = 0;
    for command in readme.lines().filter_map(|line| line.strip_prefix("$ domicile ")) {
        let here = command.replace("/srv/backups", &place).replace(&format!("regions/{REGION}.toml"), &config);
        if command.starts_with("restore") && !command.contains("--verify-only") {
            send(&cluster, "DELETE", 0..32)?;
            assert_eq!(count(&cluster)?, 32.0);
            cluster.stop(REGION)?;
        }
        let output = Command::new("sh")
            .args(["-c", &format!("{} {here}", cluster.binary().display())])
            .env("DOMICILE_EDGE", &cluster.file(REGION).url)
            .output()?;
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
        ran += 1;
    }
    ensure!(ran >= 5, "the README shows {ran} commands about backups");
    cluster.resume(REGION)?;
    assert_eq!(count(&cluster)?, 64.0);
    Ok(())
}
