//! What is judged by its text is what a reader of URLs finds there.

use std::path::Path;

use domicile_config::StorageUrl;
use url::Url;

/// What a path is made of, and what readers of URLs leave out, replace, or take for an end.
const PIECES: [&str; 16] =
    ["/", ".", "..", "a", " ", "\t", "\u{a0}", "\u{2028}", "\\", "|", "?", "#", "%2e", "%2F", "%20", "%252e"];

/// Every address that begins so and goes on with up to four pieces.
fn check(allowed: &str) {
    let place = StorageUrl::parse(allowed, Path::new("/")).unwrap();
    let whole = Url::parse(allowed).unwrap();
    let mut asked = vec![format!("{allowed}/"), allowed.to_owned()];
    for _ in 0..4 {
        asked = asked.iter().flat_map(|start| PIECES.map(|piece| format!("{start}{piece}"))).collect();
        let covered = asked.iter().filter_map(|text| StorageUrl::parse(text, Path::new("/")).ok());
        for inner in covered.filter(|inner| place.covers(inner)) {
            let opened = Url::parse(inner.as_str()).unwrap();
            assert_eq!(opened.as_str(), inner.as_str(), "judged by another text than it is opened by");
            let rest = opened.path().strip_prefix(whole.path());
            assert!(rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')), "{inner}");
        }
    }
}

#[test]
fn a_covered_folder_is_below_the_one_that_covers_it() {
    check("file:///var/backups");
    let folder = |text: &str| StorageUrl::parse(text, Path::new("/")).unwrap();
    let inner = folder("file:///var/backups/..%20/a");
    assert!(folder("file:///var/backups").covers(&inner));
    assert_eq!(Url::parse(inner.as_str()).unwrap().to_file_path(), Ok("/var/backups/.. /a".into()));
}

#[test]
fn a_covered_prefix_of_a_bucket_is_below_the_one_that_covers_it() {
    check("s3://bucket/backups");
}

#[test]
fn one_place_has_one_text() {
    let place = |text: &str| StorageUrl::parse(text, Path::new("/")).unwrap();
    assert_eq!(place("file:///mnt/large%20disk/%41"), place("/mnt/large disk/A"));
    assert_eq!(place("s3://bucket/a%3db"), place("s3://bucket/a=b"));
}
