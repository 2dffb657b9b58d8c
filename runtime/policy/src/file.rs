//! The shape of a policy file, with the place of everything that a later check may refuse.

use std::collections::BTreeMap;
use std::fmt;

use domicile_config::strict::{Parsed, Schema, Spanned};
use domicile_types::{DatasetName, Digest, KeyValue, RegionId};
use serde::de::{self, Deserialize, Deserializer, Visitor};

use crate::{Date, DomainValue};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawPolicy {
    #[serde(rename = "schema")]
    _schema: Schema,
    pub(crate) dataset: Spanned<Parsed<DatasetName>>,
    pub(crate) version: u32,
    pub(crate) residency: Spanned<RawResidency>,
    pub(crate) classes: Spanned<RawClasses>,
    #[serde(default)]
    pub(crate) bounds: BTreeMap<String, Spanned<[f64; 2]>>,
    #[serde(default)]
    pub(crate) domains: BTreeMap<String, Spanned<Vec<Spanned<RawDomainValue>>>>,
    #[serde(default)]
    pub(crate) allow: Vec<RawClause>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawResidency {
    pub(crate) entity: Option<Spanned<String>>,
    pub(crate) column: Option<Spanned<String>>,
    #[serde(default)]
    pub(crate) home: Vec<RawHome>,
    pub(crate) follows: Option<Spanned<Parsed<DatasetName>>>,
    pub(crate) on: Option<Spanned<String>>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawHome {
    pub(crate) region: Parsed<RegionId>,
    /// For the reader of the file only.
    #[serde(rename = "name")]
    _name: Option<String>,
    pub(crate) values: Vec<Spanned<RawValue>>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawClasses {
    #[serde(default)]
    pub(crate) identifier: Vec<Spanned<String>>,
    #[serde(default)]
    pub(crate) quasi: Vec<Spanned<String>>,
    #[serde(default)]
    pub(crate) measure: Vec<Spanned<String>>,
    #[serde(default)]
    pub(crate) public: Vec<Spanned<String>>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawClause {
    pub(crate) id: Spanned<String>,
    pub(crate) from: Spanned<Vec<Parsed<RegionId>>>,
    pub(crate) to: Spanned<Vec<Parsed<RegionId>>>,
    pub(crate) form: RawForm,
    pub(crate) functions: Option<Spanned<Vec<String>>>,
    pub(crate) plugins: Option<Spanned<Vec<Parsed<Digest>>>>,
    pub(crate) group_by: Option<Spanned<Vec<Spanned<String>>>>,
    pub(crate) filter_by: Option<Spanned<Vec<Spanned<String>>>>,
    pub(crate) measures: Option<Spanned<Vec<Spanned<String>>>>,
    pub(crate) columns: Option<Spanned<BTreeMap<String, Spanned<RawMask>>>>,
    pub(crate) identifiers: Option<Spanned<bool>>,
    pub(crate) minimum_entities: Option<Spanned<u64>>,
    pub(crate) dominance_percent: Option<Spanned<u64>>,
    pub(crate) round_to: Option<Spanned<u64>>,
    pub(crate) budget: Option<Spanned<RawBudget>>,
    pub(crate) difference_checks: Option<Spanned<bool>>,
    pub(crate) strict_differences: Option<Spanned<bool>>,
    pub(crate) snapshot_hours: Option<Spanned<u64>>,
    pub(crate) differential_privacy: Option<Spanned<RawNoise>>,
    pub(crate) purposes: Option<Spanned<Vec<String>>>,
    pub(crate) legal_basis: Spanned<String>,
    pub(crate) expires: Option<Spanned<Parsed<Date>>>,
}

#[derive(serde::Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RawForm {
    Aggregate,
    Masked,
    Replicate,
}

#[derive(serde::Deserialize, Clone, Copy)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RawMask {
    Plain,
    Null,
    Hmac,
    Prefix(u64),
    MultipleOf(u64),
    Year,
    Quarter,
    Month,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawBudget {
    pub(crate) questions: Spanned<u64>,
    pub(crate) days: Spanned<u64>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawNoise {
    pub(crate) epsilon: Spanned<f64>,
    pub(crate) rows_per_entity_max: Spanned<u64>,
}

pub(crate) struct RawValue(pub(crate) KeyValue);

impl<'de> Deserialize<'de> for RawValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct IntegerOrText;

        impl Visitor<'_> for IntegerOrText {
            type Value = RawValue;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an integer or a text")
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<RawValue, E> {
                Ok(RawValue(KeyValue::Integer(value)))
            }

            fn visit_str<E: de::Error>(self, value: &str) -> Result<RawValue, E> {
                Ok(RawValue(KeyValue::Text(value.to_owned())))
            }
        }

        deserializer.deserialize_any(IntegerOrText)
    }
}

pub(crate) struct RawDomainValue(pub(crate) DomainValue);

impl<'de> Deserialize<'de> for RawDomainValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SingleValue;

        impl Visitor<'_> for SingleValue {
            type Value = RawDomainValue;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, an integer, or true or false")
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<RawDomainValue, E> {
                Ok(RawDomainValue(DomainValue::Integer(value)))
            }

            fn visit_str<E: de::Error>(self, value: &str) -> Result<RawDomainValue, E> {
                Ok(RawDomainValue(DomainValue::Text(value.to_owned())))
            }

            fn visit_bool<E: de::Error>(self, value: bool) -> Result<RawDomainValue, E> {
                Ok(RawDomainValue(DomainValue::Boolean(value)))
            }
        }

        deserializer.deserialize_any(SingleValue)
    }
}
