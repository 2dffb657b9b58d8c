//! One set of policies in the place of another, while rows stay where they are.

use domicile_types::{DatasetName, Digest};

use crate::build::{Source, dataset_of};
use crate::{Policy, PolicyError, PolicySet};

/// What a policy file says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyHead {
    /// The dataset.
    pub dataset: DatasetName,
    /// The version.
    pub version: u32,
    /// SHA-256 of the text.
    pub digest: Digest,
}

impl PolicyHead {
    /// Reads the head of a file. What else it says is not checked against a dataset.
    ///
    /// # Errors
    /// Where the text is no policy file.
    pub fn read(file: &str, text: &str) -> Result<Self, PolicyError> {
        let source = Source { file, text };
        let raw = source.parse()?;
        Ok(Self { dataset: dataset_of(&raw).clone(), version: raw.version, digest: source.digest() })
    }
}

/// A policy that takes the place of another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Succession {
    /// The dataset.
    pub dataset: DatasetName,
    /// The version that goes.
    pub from_version: u32,
    /// The version that comes; higher.
    pub to_version: u32,
}

/// Why a set of policies cannot take the place of another one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SuccessionError {
    /// Another text under the version of the old one, or an earlier one.
    #[error(
        "{file}: the policy of `{dataset}` has changed and says `version = {version}`, after {current}; receipts name \
         versions, so count it up"
    )]
    Version {
        /// The file.
        file: String,
        /// The dataset.
        dataset: DatasetName,
        /// The version that the new text gives itself.
        version: u32,
        /// The version in force.
        current: u32,
    },
    /// Other homes, another entity, or another dataset to follow.
    #[error(
        "{file}: the residency of `{dataset}` has changed, and its rows lie where the old one says; restore the section \
         [residency], or load the rows into regions that are started with the new one"
    )]
    Residency {
        /// The file.
        file: String,
        /// The dataset.
        dataset: DatasetName,
    },
    /// A dataset more, less, or with another schema.
    #[error(
        "dataset `{dataset}` is not what it was when the region was started; restart the region to change datasets"
    )]
    Dataset {
        /// The dataset.
        dataset: DatasetName,
    },
}

impl PolicySet {
    /// What changes where this set takes the place of `current`, in the order of the datasets' names.
    ///
    /// # Errors
    /// Where rows would have to move, or a policy changed without a higher version.
    pub fn succeeding(&self, current: &Self) -> Result<Vec<Succession>, SuccessionError> {
        if let Some(dataset) = self.other_dataset(current) {
            return Err(SuccessionError::Dataset { dataset: dataset.clone() });
        }
        let pairs = self.policies().filter_map(|new| Some((new, current.policy(&new.dataset)?)));
        let changed = pairs.filter(|(new, old)| new.digest != old.digest);
        changed.map(|(new, old)| succession(new, old)).collect()
    }

    /// A dataset that only one of the sets has, or that they describe differently.
    fn other_dataset<'a>(&'a self, other: &'a Self) -> Option<&'a DatasetName> {
        let names = self.datasets().keys().chain(other.datasets().keys());
        names.into_iter().find(|name| self.datasets().get(*name) != other.datasets().get(*name))
    }
}

fn succession(new: &Policy, old: &Policy) -> Result<Succession, SuccessionError> {
    let (file, dataset) = (new.file.clone(), new.dataset.clone());
    if new.residency != old.residency {
        return Err(SuccessionError::Residency { file, dataset });
    }
    if new.version <= old.version {
        return Err(SuccessionError::Version { file, dataset, version: new.version, current: old.version });
    }
    Ok(Succession { dataset, from_version: old.version, to_version: new.version })
}
