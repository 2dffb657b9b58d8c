//! Validated names. A value of one of these types has passed its check; nothing downstream checks again.

use std::fmt;
use std::str::FromStr;

/// Why a name was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The name is empty or longer than the limit.
    #[error("a {kind} has 1 to {max} characters, this one has {actual}")]
    Length {
        /// What was being named.
        kind: &'static str,
        /// Longest accepted length.
        max: usize,
        /// Length found.
        actual: usize,
    },
    /// The name has a character that is not allowed, or not allowed first.
    #[error("`{name}` is not a {kind}: use {allowed}, starting with a letter")]
    Character {
        /// What was being named.
        kind: &'static str,
        /// The refused text.
        name: String,
        /// The accepted characters, for people.
        allowed: &'static str,
    },
}

fn check(
    kind: &'static str,
    name: &str,
    max: usize,
    allowed: &'static str,
    accept: impl Fn(char) -> bool,
) -> Result<(), NameError> {
    if name.is_empty() || name.len() > max {
        return Err(NameError::Length { kind, max, actual: name.len() });
    }
    let starts_well = name.starts_with(|c: char| c.is_ascii_lowercase());
    if starts_well && name.chars().all(accept) {
        return Ok(());
    }
    Err(NameError::Character { kind, name: name.to_owned(), allowed })
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $max:expr, $allowed:literal, $accept:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(name: &str) -> Result<Self, NameError> {
                check($kind, name, $max, $allowed, $accept)?;
                Ok(Self(name.to_owned()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

name_type!(
    /// A region: a place with a legal home, for example `eu-central`.
    RegionId,
    "region id",
    63,
    "lower-case letters, digits and `-`",
    |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'
);
name_type!(
    /// A dataset (a table), for example `orders`. Usable in SQL without quotes.
    DatasetName,
    "dataset name",
    63,
    "lower-case letters, digits and `_`",
    |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'
);
name_type!(
    /// A plugin, for example `rfm`. Usable in SQL without quotes.
    PluginName,
    "plugin name",
    63,
    "lower-case letters, digits and `_`",
    |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'
);
name_type!(
    /// A replication set: datasets that the same regions have, for example `catalog`.
    SetName,
    "replication set name",
    63,
    "lower-case letters, digits and `_`",
    |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'
);
name_type!(
    /// A query, the same in every region it touches: `q` and 32 hexadecimal digits.
    QueryId,
    "query id",
    40,
    "lower-case letters and digits",
    |c| c.is_ascii_lowercase() || c.is_ascii_digit()
);

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_region(name: &str, expect: Result<(), &str>) {
        let got = name.parse::<RegionId>().map(|_| ()).map_err(|e| e.to_string());
        assert_eq!(got, expect.map_err(str::to_owned));
    }

    #[test]
    fn region_ids() {
        check_region("eu-central", Ok(()));
        check_region("", Err("a region id has 1 to 63 characters, this one has 0"));
        check_region(
            "EU",
            Err("`EU` is not a region id: use lower-case letters, digits and `-`, starting with a letter"),
        );
        check_region(
            "../etc",
            Err("`../etc` is not a region id: use lower-case letters, digits and `-`, starting with a letter"),
        );
    }
}
