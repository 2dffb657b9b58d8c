//! Replication set files: which regions have the same rows of which datasets.

use std::collections::{BTreeMap, BTreeSet};

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
    /// Rows that have homes, in a set that does not say which.
    #[error(
        "dataset `{dataset}` is not reference data: its rows have homes; say whose rows are copied with `home = \"REGION\"`, \
         or leave it out"
    )]
    Resident {
        /// The dataset.
        dataset: DatasetName,
    },
    /// Reference data, in a set of rows that live somewhere.
    #[error(
        "dataset `{dataset}` is reference data, whose rows live nowhere in particular; put it into a set without `home`"
    )]
    NotResident {
        /// The dataset.
        dataset: DatasetName,
    },
    /// A home that is not in its own set.
    #[error("the set's home `{home}` is not one of its regions{}", suggestion(.nearest.as_deref()))]
    ForeignHome {
        /// The home.
        home: RegionId,
        /// The most similar one of the set.
        nearest: Option<String>,
    },
    /// A copy under another law than the home.
    #[error(
        "region `{region}` shares no jurisdiction with `{home}`, where the rows live, so it can have no copies of them; \
         leave it out, or correct the `jurisdictions` of both in this region's file"
    )]
    ForeignLaw {
        /// The region.
        region: RegionId,
        /// The home.
        home: RegionId,
    },
    /// A dataset whose rows would travel in two sets.
    #[error(
        "dataset `{dataset}` is already in replication set `{set}`, described in {first}; a dataset is in one set only, or \
         in one for each home"
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
    /// This region and its peers, and whose law holds there.
    pub(crate) laws: BTreeMap<&'a RegionId, &'a [String]>,
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
    home: Option<Spanned<Parsed<RegionId>>>,
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
        let home = raw.home.as_ref().map(|home| &home.get_ref().0);
        let regions = all(raw.regions.get_ref(), |region| known.check_region(region, home), &refuse)?;
        if regions.len() < usize::from(COPIES_MIN) {
            return Err(refuse(raw.regions.span().start, ReplicationError::RegionsFew { set: name }));
        }
        if let Some(at) = raw.home.as_ref().filter(|home| !regions.contains(&home.get_ref().0)) {
            let home = at.get_ref().0.clone();
            let nearest = nearest(home.as_str(), regions.iter().map(RegionId::as_str)).map(str::to_owned);
            return Err(refuse(at.span().start, ReplicationError::ForeignHome { home, nearest }));
        }
        let check = |dataset: &DatasetName| known.check_dataset(dataset, home, &regions, earlier);
        let datasets = all(raw.datasets.get_ref(), check, &refuse)?;
        if datasets.is_empty() {
            return Err(ConfigError::Empty { at: source.at(raw.datasets.span().start), key: "datasets" });
        }
        let home = home.cloned();
        let (at, acknowledge) = match raw.acknowledge {
            None => (0, Acknowledge::default()),
            Some(text) => (text.span().start, text.into_inner().0),
        };
        match acknowledge {
            Acknowledge::Jurisdiction { copies } if copies < COPIES_MIN || usize::from(copies) > regions.len() => {
                Err(refuse(at, ReplicationError::Copies { copies, max: regions.len() }))
            }
            _ => Ok(Self { path: path.to_owned(), set: ReplicationSet { name, regions, datasets, home, acknowledge } }),
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
    /// Whether a region can be in a set, and have copies of the rows of a home.
    fn check_region(&self, region: &RegionId, home: Option<&RegionId>) -> Result<(), ReplicationError> {
        let Some(law) = self.laws.get(region) else {
            let nearest = nearest(region.as_str(), self.laws.keys().map(|known| known.as_str())).map(str::to_owned);
            return Err(ReplicationError::UnknownRegion { region: region.clone(), nearest });
        };
        let Some(home) = home.filter(|home| *home != region) else { return Ok(()) };
        // A home that nobody knows is told of where it stands.
        match self.laws.get(home) {
            Some(other) if !law.iter().any(|code| other.contains(code)) => {
                Err(ReplicationError::ForeignLaw { region: region.clone(), home: home.clone() })
            }
            _ => Ok(()),
        }
    }

    /// Whether a set of `regions` can have the dataset.
    fn check_dataset(
        &self,
        dataset: &DatasetName,
        home: Option<&RegionId>,
        regions: &BTreeSet<RegionId>,
        earlier: &[SetFile],
    ) -> Result<(), ReplicationError> {
        let Some(file) = self.datasets.iter().find(|file| file.dataset.name == *dataset) else {
            let names = self.datasets.iter().map(|file| file.dataset.name.as_str());
            let nearest = nearest(dataset.as_str(), names).map(str::to_owned);
            return Err(ReplicationError::UnknownDataset { dataset: dataset.clone(), nearest });
        };
        match (file.reference, home) {
            (false, None) => return Err(ReplicationError::Resident { dataset: dataset.clone() }),
            (true, Some(_)) => return Err(ReplicationError::NotResident { dataset: dataset.clone() }),
            _ => {}
        }
        let has = |other: &&SetFile| other.set.datasets.contains(dataset) && other.set.home.as_ref() == home;
        if let Some(other) = earlier.iter().find(has) {
            let (set, first) = (other.set.name.clone(), other.path.clone());
            return Err(ReplicationError::DatasetTaken { dataset: dataset.clone(), set, first });
        }
        let RowPolicy::OriginPriority(origins) = &file.conflict.row else { return Ok(()) };
        if home.is_some() {
            // Where only one region writes, nothing is in conflict.
            return Ok(());
        }
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
