//! Replication set files: which regions have the same rows of which datasets.

use std::collections::BTreeSet;

use domicile_types::{Acknowledge, DatasetName, RegionId, ReplicationSet, RowPolicy, SetName, nearest, suggestion};
use serde::Deserialize;

use crate::region::Source;
use crate::strict::{self, Parsed, Schema, Spanned};
use crate::{ConfigError, DatasetFile};

/// The least number of regions that a set is for, and of copies that a write may wait for.
const COPIES_MIN: u8 = 2;

/// Why a replication set was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplicationError {
    /// A name that another set has.
    #[error("replication set `{set}` is already described in {first}; give this one another name, or remove it")]
    SetRepeated {
        /// The name.
        set: SetName,
        /// The other set's file.
        first: String,
    },
    /// A set that nothing would travel in.
    #[error("replication set `{set}` needs at least two regions")]
    RegionsFew {
        /// The set.
        set: SetName,
    },
    /// A region that this one does not know.
    #[error("region `{region}` is neither this region nor one of its peers{}", suggestion(.nearest.as_deref()))]
    UnknownRegion {
        /// The name that was looked for.
        region: RegionId,
        /// The most similar known one.
        nearest: Option<String>,
    },
    /// A region or dataset that a set lists twice.
    #[error("`{name}` is listed twice; name it once")]
    Repeated {
        /// The name.
        name: String,
    },
    /// A dataset that no file describes.
    #[error("there is no dataset `{dataset}`{}", suggestion(.nearest.as_deref()))]
    UnknownDataset {
        /// The name that was looked for.
        dataset: DatasetName,
        /// The most similar one that exists.
        nearest: Option<String>,
    },
    /// Rows that have homes, which copies are not kept of yet.
    #[error(
        "dataset `{dataset}` is not reference data: its rows have homes, and only datasets with `reference = true` can \
         be in a replication set yet"
    )]
    Resident {
        /// The dataset.
        dataset: DatasetName,
    },
    /// A dataset whose rows would travel in two sets.
    #[error(
        "dataset `{dataset}` is already in replication set `{set}`, described in {first}; a dataset is in one set only"
    )]
    DatasetTaken {
        /// The dataset.
        dataset: DatasetName,
        /// The other set.
        set: SetName,
        /// Its file.
        first: String,
    },
    /// A priority of regions that never write.
    #[error(
        "the conflict policy of dataset `{dataset}` lists region `{region}`, which is not in the set{}",
        suggestion(.nearest.as_deref())
    )]
    ForeignOrigin {
        /// The dataset.
        dataset: DatasetName,
        /// The region.
        region: RegionId,
        /// The most similar one of the set.
        nearest: Option<String>,
    },
    /// Copies that there are not.
    #[error("a write cannot wait for {copies} copies; in this set it can be {COPIES_MIN} to {max}, or \"local\"")]
    Copies {
        /// How many were asked for.
        copies: u8,
        /// The regions of the set.
        max: usize,
    },
}

/// What the files beside a set say, that it has to fit.
pub(crate) struct Known<'a> {
    /// This region and its peers.
    pub(crate) regions: Vec<&'a RegionId>,
    pub(crate) datasets: &'a [DatasetFile],
}

/// A set and the file that describes it.
pub(crate) struct SetFile {
    pub(crate) path: String,
    pub(crate) set: ReplicationSet,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSet {
    #[serde(rename = "schema")]
    _schema: Schema,
    name: Spanned<Parsed<SetName>>,
    regions: Spanned<Vec<Spanned<Parsed<RegionId>>>>,
    datasets: Spanned<Vec<Spanned<Parsed<DatasetName>>>>,
    acknowledge: Option<Spanned<Parsed<Acknowledge>>>,
}

impl SetFile {
    /// Reads the text of the file at `path`, to stand beside the `earlier` sets.
    pub(crate) fn parse(path: &str, text: &str, known: &Known<'_>, earlier: &[Self]) -> Result<Self, ConfigError> {
        let raw: RawSet = strict::parse(path, text)?;
        let source = Source { file: path, text };
        let name = raw.name.get_ref().0.clone();
        let refuse = |at: usize, problem| ConfigError::Replication { at: source.at(at), source: Box::new(problem) };
        if let Some(other) = earlier.iter().find(|other| other.set.name == name) {
            let problem = ReplicationError::SetRepeated { set: name, first: other.path.clone() };
            return Err(refuse(raw.name.span().start, problem));
        }
        let regions = all(raw.regions.get_ref(), |region| known.check_region(region), &refuse)?;
        if regions.len() < usize::from(COPIES_MIN) {
            return Err(refuse(raw.regions.span().start, ReplicationError::RegionsFew { set: name }));
        }
        let datasets = all(raw.datasets.get_ref(), |dataset| known.check_dataset(dataset, &regions, earlier), &refuse)?;
        if datasets.is_empty() {
            return Err(ConfigError::Empty { at: source.at(raw.datasets.span().start), key: "datasets" });
        }
        let (at, acknowledge) = match raw.acknowledge {
            None => (0, Acknowledge::default()),
            Some(text) => (text.span().start, text.into_inner().0),
        };
        match acknowledge {
            Acknowledge::Jurisdiction { copies } if copies < COPIES_MIN || usize::from(copies) > regions.len() => {
                Err(refuse(at, ReplicationError::Copies { copies, max: regions.len() }))
            }
            _ => Ok(Self { path: path.to_owned(), set: ReplicationSet { name, regions, datasets, acknowledge } }),
        }
    }
}

/// The listed names, each of which passes its check and stands there once.
fn all<T: Ord + Clone + AsRef<str>>(
    listed: &[Spanned<Parsed<T>>],
    check: impl Fn(&T) -> Result<(), ReplicationError>,
    refuse: &impl Fn(usize, ReplicationError) -> ConfigError,
) -> Result<BTreeSet<T>, ConfigError> {
    let mut names = BTreeSet::new();
    for item in listed {
        let name = &item.get_ref().0;
        check(name).map_err(|problem| refuse(item.span().start, problem))?;
        if !names.insert(name.clone()) {
            let problem = ReplicationError::Repeated { name: name.as_ref().to_owned() };
            return Err(refuse(item.span().start, problem));
        }
    }
    Ok(names)
}

impl Known<'_> {
    fn check_region(&self, region: &RegionId) -> Result<(), ReplicationError> {
        if self.regions.contains(&region) {
            return Ok(());
        }
        let nearest = nearest(region.as_str(), self.regions.iter().map(|known| known.as_str())).map(str::to_owned);
        Err(ReplicationError::UnknownRegion { region: region.clone(), nearest })
    }

    /// Whether a set of `regions` can have the dataset.
    fn check_dataset(
        &self,
        dataset: &DatasetName,
        regions: &BTreeSet<RegionId>,
        earlier: &[SetFile],
    ) -> Result<(), ReplicationError> {
        let Some(file) = self.datasets.iter().find(|file| file.dataset.name == *dataset) else {
            let names = self.datasets.iter().map(|file| file.dataset.name.as_str());
            let nearest = nearest(dataset.as_str(), names).map(str::to_owned);
            return Err(ReplicationError::UnknownDataset { dataset: dataset.clone(), nearest });
        };
        if !file.reference {
            return Err(ReplicationError::Resident { dataset: dataset.clone() });
        }
        if let Some(other) = earlier.iter().find(|other| other.set.datasets.contains(dataset)) {
            let (set, first) = (other.set.name.clone(), other.path.clone());
            return Err(ReplicationError::DatasetTaken { dataset: dataset.clone(), set, first });
        }
        let RowPolicy::OriginPriority(origins) = &file.conflict.row else { return Ok(()) };
        match origins.iter().find(|origin| !regions.contains(*origin)) {
            None => Ok(()),
            Some(region) => Err(ReplicationError::ForeignOrigin {
                dataset: dataset.clone(),
                region: region.clone(),
                nearest: nearest(region.as_str(), regions.iter().map(RegionId::as_str)).map(str::to_owned),
            }),
        }
    }
}
