//! Copies of rows that live in other regions: for each home a store of its own, apart from what lives here, and how far
//! it has caught up. Questions are answered from one only in place of its home, and only where nothing is needed that
//! the home alone keeps.

mod crossing;
mod moment;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use domicile_policy::{Mask, Verdict};
use domicile_store::{Snapshot, Store, StoreReader};
use domicile_types::{DatasetName, RegionId, ReplicationSet, SetName};
use domicile_wire::client::now_unix_ms;
use tokio::sync::watch;

use crate::QueryError;
use crate::catalog::Catalog;
use crate::history::Asked;
use crate::region::Region;
use crate::storage::Storage;
pub use crossing::CopyQuestion;
pub(crate) use crossing::permission;
use moment::Moment;

/// What the copies of one home's rows are opened from.
#[derive(Debug)]
pub struct CopyParts {
    /// Where the rows live.
    pub home: RegionId,
    /// The replication sets that they come in.
    pub sets: Vec<ReplicationSet>,
    /// The store of the copies, opened as the home's.
    pub store: Store,
    /// A directory of the copies alone.
    pub dir: PathBuf,
    /// A directory for rows on their way in; none come but by replication.
    pub incoming: PathBuf,
    /// Bytes a second that the store's background work may read and write.
    pub background_bytes_per_s_max: u64,
}

/// Copies of the rows of one home.
#[derive(Debug)]
pub struct HomeCopy {
    home: RegionId,
    sets: BTreeMap<SetName, (ReplicationSet, Moment)>,
    storage: Storage,
    reader: StoreReader,
}

/// Why a copy does not answer in the place of its home. It tells of policies and of time, never of rows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CopyError {
    /// There is no copy of all that the question reads.
    #[error("region `{region}` has no copy of all that this question reads of `{home}`")]
    None {
        /// The region asked.
        region: RegionId,
        /// Where the rows live.
        home: RegionId,
    },
    /// The copy may not be kept any more.
    #[error("by its policies, region `{region}` may keep no copy of rows that live in `{home}`")]
    Forbidden {
        /// The region asked.
        region: RegionId,
        /// Where the rows live.
        home: RegionId,
    },
    /// The copy has never been whole.
    #[error("the copy in region `{region}` has not caught up with `{home}` yet")]
    Unfinished {
        /// The region asked.
        region: RegionId,
        /// Where the rows live.
        home: RegionId,
    },
    /// The copy is older than whoever asks accepts.
    #[error(
        "the copy in region `{region}` is {age_ms} ms behind `{home}`, more than the {max_ms} ms of `Max-Staleness`"
    )]
    Stale {
        /// The region asked.
        region: RegionId,
        /// Where the rows live.
        home: RegionId,
        /// How old it is.
        age_ms: u64,
        /// How old it may be.
        max_ms: u64,
    },
    /// The answer needs what the home alone keeps.
    #[error("{what}, so only `{home}` itself answers this question")]
    NeedsHome {
        /// What.
        what: &'static str,
        /// Where the rows live.
        home: RegionId,
    },
}

/// The rows of a home as a copy has them.
#[derive(Debug)]
pub(crate) struct CopyView {
    pub(crate) reader: StoreReader,
    pub(crate) snapshot: Arc<Snapshot>,
    /// All that the home had written by then is in it.
    pub(crate) as_of_ms: u64,
}

impl HomeCopy {
    /// Starts the threads that own the copies.
    ///
    /// # Errors
    /// Where the system has no thread to give, or what is noted of the copies cannot be read.
    pub fn start(parts: CopyParts) -> Result<Self, QueryError> {
        let CopyParts { home, sets, store, dir, incoming, background_bytes_per_s_max } = parts;
        let reader = store.reader();
        let mut known = BTreeMap::new();
        for set in sets {
            let moment = Moment::open(dir.join(format!("{}.as-of", set.name)))?;
            known.insert(set.name.clone(), (set, moment));
        }
        let started = Storage::start(store, incoming, background_bytes_per_s_max);
        let storage = started.map_err(|error| QueryError::Execution(format!("no thread could be started: {error}")))?;
        Ok(Self { home, sets: known, storage, reader })
    }

    /// Where the rows live.
    #[must_use]
    pub fn home(&self) -> &RegionId {
        &self.home
    }

    /// Reads the copies.
    #[must_use]
    pub fn store(&self) -> &StoreReader {
        &self.reader
    }

    /// Runs `job` on the store of the copies, after what was asked before.
    ///
    /// # Errors
    /// Where the store's owner has ended.
    pub async fn with_store<R: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Store) -> R + Send + 'static,
    ) -> Result<R, QueryError> {
        Ok(self.storage.run(job).await?)
    }

    /// Tells of each new version of the copies.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.storage.changes()
    }

    /// Takes note that all counts in the copies that the home had written in a set by a moment.
    pub fn note_as_of(&self, set: &SetName, unix_ms: u64) {
        if let Some((_, moment)) = self.sets.get(set) {
            moment.note(unix_ms);
        }
    }

    /// The moment that the copies of a set are of, in Unix milliseconds; none before they were whole for the first time.
    #[must_use]
    pub fn as_of_ms(&self, set: &SetName) -> Option<u64> {
        self.sets.get(set).and_then(|(_, moment)| moment.get())
    }

    /// The sets that have these datasets; none where one is in no set.
    fn sets_of(&self, datasets: &BTreeSet<DatasetName>) -> Option<Vec<&(ReplicationSet, Moment)>> {
        let of = |dataset: &DatasetName| self.sets.values().find(|(set, _)| set.datasets.contains(dataset));
        datasets.iter().map(of).collect()
    }
}

impl Region {
    /// The same, with copies of rows that live elsewhere, and the sets of all copies that it knows of, wherever they are.
    #[must_use]
    pub fn with_copies(mut self, copies: Vec<HomeCopy>, sets: Vec<ReplicationSet>) -> Self {
        self.copies = copies.into_iter().map(|copy| (copy.home.clone(), copy)).collect();
        self.routes = crate::routes::Routes::new(sets);
        self
    }

    /// The copies of what lives in another region, where there are any here.
    pub fn copy_of(&self, home: &RegionId) -> Option<&HomeCopy> {
        self.copies.get(home)
    }

    /// The rows of `home` as they are here, to answer in its place; none where this region is the home.
    ///
    /// # Errors
    /// Where there are none that may be used, or they are too old.
    pub(crate) fn view(
        &self,
        home: &RegionId,
        datasets: &BTreeSet<DatasetName>,
        staleness_max_ms: Option<u64>,
        catalog: &Catalog,
    ) -> Result<Option<CopyView>, CopyError> {
        if *home == self.id {
            return Ok(None);
        }
        let (region, home) = (self.id.clone(), home.clone());
        let copy = self.copies.get(&home);
        let sets = copy.and_then(|copy| Some((copy, copy.sets_of(datasets).filter(|sets| !sets.is_empty())?)));
        let Some((copy, sets)) = sets else { return Err(CopyError::None { region, home }) };
        for (set, _) in &sets {
            if !self.share_law(&home, &region) || permission(catalog, set, &region, self.today()).is_none() {
                return Err(CopyError::Forbidden { region, home });
            }
        }
        // Before the rows are looked at, which are at least so new.
        let as_of_ms = sets.iter().map(|(_, moment)| moment.get()).min().flatten();
        let Some(as_of_ms) = as_of_ms else { return Err(CopyError::Unfinished { region, home }) };
        let age_ms = now_unix_ms().saturating_sub(as_of_ms);
        if let Some(max_ms) = staleness_max_ms.filter(|max_ms| age_ms > *max_ms) {
            return Err(CopyError::Stale { region, home, age_ms, max_ms });
        }
        Ok(Some(CopyView { reader: copy.reader.clone(), snapshot: copy.reader.snapshot(), as_of_ms }))
    }
}

/// Holds where an answer under a verdict needs nothing that the home alone keeps.
///
/// # Errors
/// Says what it needs.
pub(crate) fn check_answerable(verdict: Option<&Verdict>, home: &RegionId) -> Result<(), CopyError> {
    let Some(verdict) = verdict else { return Ok(()) };
    let pseudonyms = || verdict.masks.values().flat_map(BTreeMap::values).any(|mask| *mask == Mask::Hmac);
    let needs = [
        (Asked::compares(verdict), "the answer is to be compared with earlier ones, which the home keeps"),
        (!verdict.budgets.is_empty(), "questions are counted at the home"),
        (verdict.differential_privacy.is_some(), "the home keeps what noise it has given before"),
        (verdict.snapshot_hours > 0, "the home decides which state answers come from"),
        (pseudonyms(), "pseudonyms are made with a secret of the home"),
    ];
    match needs.into_iter().find(|(needed, _)| *needed) {
        None => Ok(()),
        Some((_, what)) => Err(CopyError::NeedsHome { what, home: home.clone() }),
    }
}
