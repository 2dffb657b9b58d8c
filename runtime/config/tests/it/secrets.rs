//! Secret files.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::PermissionsExt;

use domicile_config::read_secret;
use tempfile::TempDir;

#[track_caller]
fn check(text: &str, mode: u32, expect: Result<&str, &str>) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("s");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    let got = match read_secret(&path) {
        Ok(secret) => Ok(String::from_utf8(secret.expose().to_vec()).unwrap()),
        Err(error) => Err(error.to_string().replace(&path.display().to_string(), "FILE")),
    };
    assert_eq!(got, expect.map(str::to_owned).map_err(str::to_owned));
}

const GOOD: &str = "0123456789abcdef0123456789abcdef";

#[test]
fn white_space_around_is_no_part_of_it() {
    check(&format!(" {GOOD}\n"), 0o600, Ok(GOOD));
    check(GOOD, 0o400, Ok(GOOD));
}

#[test]
fn short_ones_are_refused() {
    check(
        &format!("{}\n", &GOOD[1..]),
        0o600,
        Err("secret file FILE has 31 bytes, at least 32 are needed; write a new one with `domicile secret new`"),
    );
}

#[test]
fn those_that_others_can_open_are_refused() {
    for mode in [0o644, 0o640, 0o601] {
        check(
            GOOD,
            mode,
            Err(&format!("secret file FILE is open to other users (mode {mode:o}); run `chmod 600 FILE`")),
        );
    }
}

#[test]
fn a_missing_one_is_named() {
    let error = read_secret(std::path::Path::new("/nonexistent/secret")).unwrap_err();
    assert_eq!(error.to_string(), "cannot read /nonexistent/secret: No such file or directory (os error 2)");
}

#[test]
fn it_is_never_printed() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("s");
    fs::write(&path, GOOD).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(format!("{:?}", read_secret(&path).unwrap()), "Secret(..)");
}
