//! A place for segments or backups outside of a region's data folder.

use std::fmt;
use std::path::{Component, Path, PathBuf};

/// `file:///folder` or `s3://bucket/prefix`, without a slash at its end.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StorageUrl(String);

/// The text is not such a place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StorageUrlError {
    /// Neither a path nor of a known scheme.
    #[error("`{url}` is not a place to store at; write a path, file:///folder or s3://bucket/prefix")]
    Scheme {
        /// The refused text.
        url: String,
    },
    /// A path in the address that is not plain.
    #[error("`{url}` is not a plain address; leave out `.`, `..`, empty parts, `?`, `#` and control characters")]
    Path {
        /// The refused text.
        url: String,
    },
    /// Not the name of a bucket.
    #[error("`{url}` does not name a bucket; it has 3 to 63 lower-case letters, digits, `.` and `-`")]
    Bucket {
        /// The refused text.
        url: String,
    },
}

const FILE: &str = "file://";
const S3: &str = "s3://";

impl StorageUrl {
    /// Reads an address, or a path, which is resolved against `folder`.
    ///
    /// # Errors
    /// Where the text is neither.
    pub fn parse(text: &str, folder: &Path) -> Result<Self, StorageUrlError> {
        let url = text.to_owned();
        if let Some(place) = text.strip_prefix(S3) {
            let place = place.strip_suffix('/').unwrap_or(place);
            let (bucket, prefix) = place.split_once('/').map_or((place, None), |(bucket, rest)| (bucket, Some(rest)));
            if !is_bucket(bucket) {
                return Err(StorageUrlError::Bucket { url });
            }
            if !prefix.is_none_or(is_plain) {
                return Err(StorageUrlError::Path { url });
            }
            return Ok(Self(format!("{S3}{place}")));
        }
        if let Some(path) = text.strip_prefix(FILE) {
            let parts = path.strip_prefix('/').map(|path| path.strip_suffix('/').unwrap_or(path));
            return match parts {
                Some(parts) if is_plain(parts) => Ok(Self(format!("{FILE}/{parts}"))),
                _ => Err(StorageUrlError::Path { url }),
            };
        }
        if text.contains("://") || text.trim().is_empty() {
            return Err(StorageUrlError::Scheme { url });
        }
        of_path(&folder.join(text)).ok_or(StorageUrlError::Path { url })
    }

    /// The whole address.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `other` is this place or one below it.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        other.0.strip_prefix(&self.0).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl fmt::Display for StorageUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_bucket(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-');
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let ends = name.bytes().next().is_some_and(inner) && name.bytes().last().is_some_and(inner);
    (3..=63).contains(&name.len()) && ends && name.bytes().all(plain)
}

/// Whether a path says what it means: no part goes up or nowhere.
fn is_plain(path: &str) -> bool {
    let part = |part: &str| {
        let decoded = part.to_ascii_lowercase().replace("%2e", ".");
        let known = |c: char| !c.is_control() && !matches!(c, '?' | '#' | '\\');
        !matches!(decoded.as_str(), "" | "." | "..") && !decoded.contains("%2f") && part.chars().all(known)
    };
    path.split('/').all(part)
}

/// The address of a path, without `.` and `..`. None where it is no text or has no absolute form.
fn of_path(path: &Path) -> Option<StorageUrl> {
    let mut plain = PathBuf::new();
    for component in std::path::absolute(path).ok()?.components() {
        match component {
            Component::ParentDir => drop(plain.pop()),
            Component::CurDir => {}
            other => plain.push(other),
        }
    }
    let text = plain.to_str()?.strip_prefix('/').filter(|text| !text.is_empty())?;
    let keeps = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
    let encoded = text.bytes().map(|byte| match keeps(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    });
    Some(StorageUrl(format!("{FILE}/{}", encoded.collect::<String>())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Result<&str, &str>) {
        let got = StorageUrl::parse(text, Path::new("/etc/domicile")).map(|url| url.0).map_err(|e| e.to_string());
        assert_eq!(got, expect.map(str::to_owned).map_err(|reason| format!("`{text}` {reason}")));
    }

    #[test]
    fn addresses() {
        check("s3://cold-store/eu/central/", Ok("s3://cold-store/eu/central"));
        check("s3://cold-store", Ok("s3://cold-store"));
        check("file:///var/cold/", Ok("file:///var/cold"));
        let bucket = "does not name a bucket; it has 3 to 63 lower-case letters, digits, `.` and `-`";
        for refused in ["s3://", "s3://ab", "s3:///prefix", "s3://Bucket", "s3://key:secret@bucket", "s3://-bucket"] {
            check(refused, Err(bucket));
        }
        let plain = "is not a plain address; leave out `.`, `..`, empty parts, `?`, `#` and control characters";
        for refused in [
            "s3://bucket//a",
            "s3://bucket/a/../b",
            "s3://bucket/a?x=1",
            "file://host/a",
            "file:///",
            "file:///a/%2E./b",
            "file:///a/..%2fb",
            "file:///a\nb",
        ] {
            check(refused, Err(plain));
        }
        let scheme = "is not a place to store at; write a path, file:///folder or s3://bucket/prefix";
        for refused in ["http://host/a", "gs://bucket", " "] {
            check(refused, Err(scheme));
        }
    }

    #[test]
    fn paths() {
        check("cold", Ok("file:///etc/domicile/cold"));
        check("../cold/./eu", Ok("file:///etc/cold/eu"));
        check("/mnt/large disk/100%", Ok("file:///mnt/large%20disk/100%25"));
        check("/", Err("is not a plain address; leave out `.`, `..`, empty parts, `?`, `#` and control characters"));
    }

    #[test]
    fn a_place_covers_what_is_below_it() {
        let url = |text| StorageUrl::parse(text, Path::new("/")).unwrap_or_else(|error| panic!("{error}"));
        let backups = url("s3://bucket/backups");
        assert!(backups.covers(&backups) && backups.covers(&url("s3://bucket/backups/monday")));
        assert!(!backups.covers(&url("s3://bucket/backups-of-others")) && !backups.covers(&url("s3://bucket")));
    }
}
