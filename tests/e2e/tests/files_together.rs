//! Region files that are checked together have to fit together.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use domicile_harness::workspace::REGIONS;
use domicile_harness::{Cluster, Options, build};

/// The check of all files, with one text of the first one replaced.
fn checked(cluster: &Cluster, from: &str, to: &str) -> Result<(i32, String)> {
    let mut files: Vec<PathBuf> = REGIONS.iter().map(|region| cluster.file(region).config.clone()).collect();
    let text = fs::read_to_string(&files[0])?;
    assert!(text.contains(from), "{from} in {text}");
    // Beside the others, so that the paths in it stay what they are.
    let changed = files[0].with_file_name("changed.toml");
    fs::write(&changed, text.replacen(from, to, 1))?;
    files[0] = changed;
    let paths = files.iter().map(|file| file.to_str().context("a path")).collect::<Result<Vec<_>>>()?;
    let ran = cluster.cli(REGIONS[0]).run(&[&["config", "check"], paths.as_slice()].concat())?;
    Ok((ran.code, ran.stdout + &ran.stderr))
}

#[test]
fn what_does_not_fit_is_told() -> Result<()> {
    let cluster = Cluster::for_test(&build::binary(build::Profile::Dev)?, &Options::default())?;
    let (first, second) = (cluster.file(REGIONS[0]), cluster.file(REGIONS[1]));
    assert_eq!(checked(&cluster, "schema", "schema")?.0, 0, "as they are");

    let own = fs::read_to_string(&first.config)?;
    let peer = own.split("[[peer]]").find(|part| part.contains(&format!("id = \"{}\"", second.id)));
    let line = peer.and_then(|peer| peer.lines().find(|line| line.starts_with("jurisdictions"))).context("a peer's")?;
    let (code, told) = checked(&cluster, line, "jurisdictions = [\"AQ\"]")?;
    assert!(code == 4 && told.contains(&format!("it says that `{}` is under AQ", second.id)), "{told}");

    let listens = |url: &str| url.trim_start_matches("http://").to_owned();
    let (code, told) = checked(&cluster, &listens(&first.url), &listens(&second.url))?;
    assert!(code == 4 && told.contains(&format!("`{}` listens at", second.id)), "{told}");

    let dirs = [first, second].map(|file| file.data_dir.display().to_string());
    let (code, told) = checked(&cluster, &dirs[0], &dirs[1])?;
    assert!(code == 4 && told.contains("keeps its data in"), "{told}");

    let secrets = [first, second].map(|file| file.secret_file.display().to_string());
    let (code, told) = checked(&cluster, &secrets[1], &secrets[0])?;
    assert!(code == 4 && told.contains("is not the secret that"), "{told}");
    Ok(())
}
