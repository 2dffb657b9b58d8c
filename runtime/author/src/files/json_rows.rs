//! JSON: an array of objects, or an object a line.

use std::fmt;

use arrow::array::{ArrayRef, StringArray};
use domicile_sandbox::{Value, ValueType};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::text_rows::{Misfit, array, parse_value};

/// Rows of JSON values, as they are written: numbers are read digit by digit. A row without a key has no value there.
pub(super) struct JsonRows {
    names: Vec<String>,
    rows: Vec<Row>,
}

/// The members of an object, in its order.
struct Row(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Row {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Row;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Row, A::Error> {
                let mut row: Vec<(String, Box<RawValue>)> = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, Box<RawValue>>()? {
                    if row.iter().any(|(known, _)| *known == name) {
                        return Err(A::Error::custom(format_args!("`{name}` is there twice")));
                    }
                    row.push((name, value));
                }
                Ok(Row(row))
            }
        }

        deserializer.deserialize_map(Members)
    }
}

impl Row {
    /// What stands for a column, null and nothing being the same.
    fn get(&self, name: &str) -> Option<&str> {
        let value = self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.get());
        value.filter(|value| *value != "null")
    }
}

pub(super) fn read(text: &str) -> Result<JsonRows, String> {
    let rows: Vec<Row> = if text.trim_start().starts_with('[') {
        serde_json::from_str(text).map_err(|error| format!("it is not an array of objects: {error}"))?
    } else {
        let rows = serde_json::Deserializer::from_str(text).into_iter();
        rows.collect::<Result<_, _>>().map_err(|error| format!("it is not an object a line: {error}"))?
    };
    let mut names: Vec<String> = Vec::new();
    for (name, _) in rows.iter().flat_map(|row| &row.0) {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    Ok(JsonRows { names, rows })
}

impl JsonRows {
    pub(super) fn rows(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn columns(&self) -> Vec<String> {
        self.names.clone()
    }

    pub(super) fn keys(&self, name: &str) -> StringArray {
        let key = |value: &str| serde_json::from_str::<String>(value).unwrap_or_else(|_| value.to_owned());
        self.rows.iter().map(|row| row.get(name).map(key)).collect()
    }

    pub(super) fn column(&self, name: &str, kind: ValueType) -> Result<ArrayRef, Misfit> {
        array(self.rows.iter().map(|row| row.get(name).map_or(Ok(Value::Null), |value| typed(value, kind))), kind)
    }
}

/// Dates are texts, and so are doubles that JSON has no number for: `NaN`, `inf`, `-inf`.
fn typed(value: &str, kind: ValueType) -> Result<Value, String> {
    let quoted = value.starts_with('"').then(|| serde_json::from_str::<String>(value));
    let Some(text) = quoted.transpose().map_err(|error| error.to_string())? else {
        let plain = !matches!(kind, ValueType::Text | ValueType::Date);
        return if plain { parse_value(value, kind) } else { Err(format!("`{value}` is not a {kind}")) };
    };
    match kind {
        ValueType::Text | ValueType::Date => parse_value(&text, kind),
        ValueType::Double if text.parse().is_ok_and(|number: f64| !number.is_finite()) => parse_value(&text, kind),
        _ => Err(format!("`{value}` is not a {kind}")),
    }
}
