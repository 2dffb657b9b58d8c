//! A place for segments or backups outside of a region's data folder.

use std::fmt;
use std::path::{Component, Path, PathBuf};

/// `file:///folder` or `s3://bucket/prefix`, without a slash at its end. A place has one text only, and every reader of
/// URLs finds the same place in it.
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
    #[error(
        "`{url}` is not a plain address; leave out `.`, `..` and empty parts, and write all but letters, digits and \
         `-._~=+,@` as `%20`"
    )]
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
            let Some(prefix) = prefix else { return Ok(Self(format!("{S3}{bucket}"))) };
            let prefix = plain(prefix).ok_or(StorageUrlError::Path { url })?;
            return Ok(Self(format!("{S3}{bucket}/{prefix}")));
        }
        if let Some(path) = text.strip_prefix(FILE) {
            let parts = path.strip_prefix('/').map(|path| path.strip_suffix('/').unwrap_or(path));
            let parts = parts.and_then(plain).ok_or(StorageUrlError::Path { url })?;
            return Ok(Self(format!("{FILE}/{parts}")));
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

/// Bytes that stand for themselves, to us and to every reader of URLs.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~=+,@".contains(&byte)
}

/// The one text of a path in an address. None where it has other characters, or a part that goes up or nowhere.
fn plain(path: &str) -> Option<String> {
    let part = |part: &str| {
        let name = decoded(part)?;
        let leads_on = !matches!(name.as_str(), "" | "." | "..");
        let is_name = leads_on && !name.chars().any(|c| c.is_control() || c == '/');
        is_name.then(|| encoded(&name))
    };
    let parts: Vec<String> = path.split('/').map(part).collect::<Option<_>>()?;
    Some(parts.join("/"))
}

/// What a part of an address says. None where it has bytes that readers of URLs disagree on, or is no text.
fn decoded(part: &str) -> Option<String> {
    let (mut bytes, mut name) = (part.bytes(), Vec::with_capacity(part.len()));
    while let Some(byte) = bytes.next() {
        name.push(match byte {
            b'%' => hexadecimal(bytes.next()?)? << 4 | hexadecimal(bytes.next()?)?,
            byte if is_plain(byte) => byte,
            _ => return None,
        });
    }
    String::from_utf8(name).ok()
}

fn hexadecimal(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

fn encoded(name: &str) -> String {
    let encoded = name.bytes().map(|byte| match is_plain(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    });
    encoded.collect()
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
    let parts: Vec<String> = text.split('/').map(encoded).collect();
    Some(StorageUrl(format!("{FILE}/{}", parts.join("/"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOT_PLAIN: &str = "is not a plain address; leave out `.`, `..` and empty parts, and write all but letters, \
                             digits and `-._~=+,@` as `%20`";

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
        check("s3://cold-store/region=eu/%c3%a9%20%41", Ok("s3://cold-store/region=eu/%C3%A9%20A"));
        check("file:///var/%252e%252e", Ok("file:///var/%252e%252e"));
        let bucket = "does not name a bucket; it has 3 to 63 lower-case letters, digits, `.` and `-`";
        for refused in ["s3://", "s3://ab", "s3:///prefix", "s3://Bucket", "s3://key:secret@bucket", "s3://-bucket"] {
            check(refused, Err(bucket));
        }

        for refused in [
            "s3://bucket//a",
            "s3://bucket/a/../b",
            "s3://bucket/a?x=1",
            "file://host/a",
            "file:///",
            "file:///a/%2E./b",
            "file:///a/..%2fb",
            "file:///a\nb",
            "file:///a/.. ",
            "s3://bucket/a/..\t/b",
            "file:///a b",
            "file:///a\\..\\b",
            "file:///C|/a",
            "file:///a/%",
            "file:///a/%2",
            "file:///a/%+2",
            "file:///a/%00",
            "file:///a/%FF",
            "s3://bucket/é",
        ] {
            check(refused, Err(NOT_PLAIN));
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
        check("/", Err(NOT_PLAIN));
    }

    #[test]
    fn a_place_covers_what_is_below_it() {
        let url = |text| StorageUrl::parse(text, Path::new("/")).unwrap_or_else(|error| panic!("{error}"));
        let backups = url("s3://bucket/backups");
        assert!(backups.covers(&backups) && backups.covers(&url("s3://bucket/backups/monday")));
        assert!(!backups.covers(&url("s3://bucket/backups-of-others")) && !backups.covers(&url("s3://bucket")));
    }
}
