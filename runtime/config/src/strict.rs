//! Strict reading of TOML into a type: the error, not the default, answers what the type does not know.

use std::fmt;
use std::str::FromStr;

use domicile_types::nearest;
use serde::de::{self, Deserialize, DeserializeOwned, Deserializer, Visitor};

/// A value and the bytes of the text it was read from.
pub use toml::Spanned;

use crate::{ConfigError, Position};

/// Reads `text`, which `file` names in messages.
///
/// `T` and every struct in it should carry `#[serde(deny_unknown_fields)]`.
///
/// # Errors
/// Where the text is not TOML or does not fit `T`. Keys are visited in the order of the file, so the first
/// misfit is reported.
pub fn parse<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, ConfigError> {
    toml::from_str(text).map_err(|error: toml::de::Error| {
        let span = error.span().unwrap_or(0..0);
        explain(Position::of(file, text, span.start), error.message(), text.get(span).unwrap_or_default())
    })
}

/// Serde's names of types, and what a person who writes a file calls them.
const TYPES: [(&str, &str); 8] = [
    ("expected u64", "expected a whole number from 0"),
    ("expected u32", "expected a whole number from 0 to 4294967295"),
    ("expected u16", "expected a whole number from 0 to 65535"),
    ("expected i64", "expected a whole number"),
    ("expected f64", "expected a number"),
    ("expected a sequence", "expected a list"),
    ("expected a string", "expected a text"),
    ("invalid type: map", "invalid type: table"),
];

/// `toml` hands on serde's sentence and no structure, so the names are taken from between its backticks.
fn explain(at: Position, message: &str, value: &str) -> ConfigError {
    let mut quoted = message.split('`').skip(1).step_by(2).map(str::to_owned);
    let subject = quoted.next().unwrap_or_default();
    let known: Vec<String> = quoted.collect();
    let close = nearest(&subject, known.iter().map(String::as_str)).map(str::to_owned);
    if message.starts_with("unknown field `") {
        ConfigError::UnknownKey { at, key: subject, known, nearest: close }
    } else if message.starts_with("unknown variant `") {
        ConfigError::UnknownValue { at, value: subject, known, nearest: close }
    } else if message.starts_with("missing field `") {
        ConfigError::MissingKey { at, key: subject }
    } else {
        let is_date = value.len() >= 10
            && value.bytes().zip(*b"0000-").all(|(byte, shape)| match shape {
                b'0' => byte.is_ascii_digit(),
                dash => byte == dash,
            });
        let problem = if is_date && message.starts_with("invalid type: map") {
            format!("a day is written as a text here: \"{value}\"")
        } else {
            let plain = |text: String, (serde, ours): &(&str, &str)| text.replace(serde, ours);
            TYPES.iter().fold(message.replace('\n', " "), plain)
        };
        ConfigError::Invalid { at, problem }
    }
}

/// The key `schema`, whose only accepted value is 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schema;

impl<'de> Deserialize<'de> for Schema {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match i64::deserialize(deserializer)? {
            1 => Ok(Self),
            other => Err(de::Error::custom(format_args!("schema {other} is not known; this program reads schema 1"))),
        }
    }
}

/// A text that its own `FromStr` accepts; the refusal is reported at the text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Parsed<T>(pub T);

impl<'de, T> Deserialize<'de> for Parsed<T>
where
    T: FromStr,
    T::Err: fmt::Display,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text<T>(std::marker::PhantomData<T>);

        impl<T> Visitor<'_> for Text<T>
        where
            T: FromStr,
            T::Err: fmt::Display,
        {
            type Value = Parsed<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Parsed<T>, E> {
                text.parse().map(Parsed).map_err(E::custom)
            }
        }

        deserializer.deserialize_str(Text(std::marker::PhantomData))
    }
}
