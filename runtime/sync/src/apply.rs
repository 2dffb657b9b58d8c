//! Entries of other regions come to count here.

use std::collections::BTreeMap;
use std::sync::Arc;

use domicile_store::{Collisions, DatasetSpec, Entry, Noting, Opened, Prepared, Store, Verdict};
use domicile_types::{ConflictPolicy, ConflictPolicyError, DatasetName, Mark, limits};

use crate::SyncError;
use crate::conflict::{MergePlugin, NoPlugin, Rules};
use crate::ledger;
use crate::planted::Mistake;
#[cfg(feature = "planted-bugs")]
use crate::planted::Planted;
use crate::settle::{Settled, settle};

/// Applies entries to a store.
#[derive(Debug, Clone, Default)]
pub struct Applier {
    policies: BTreeMap<DatasetName, Policy>,
    mistake: Mistake,
}

/// What becomes of rows of one dataset that were written at two places at once.
#[derive(Debug, Clone)]
pub struct Policy {
    pub(crate) policy: ConflictPolicy,
    pub(crate) rules: Rules,
    pub(crate) plugin: Arc<dyn MergePlugin>,
}

/// What became of entries.
#[derive(Debug, Default)]
pub struct Applied {
    /// How many count now.
    pub count: usize,
    /// Those that do not, from the first on that could not be applied.
    pub left: Vec<Entry>,
    /// Why the first of them could not.
    pub problem: Option<SyncError>,
}

/// Entries that are made durable together. Each was written over everything that counts or waits here.
#[derive(Default)]
struct Group {
    marks: Vec<(Arc<Mark>, DatasetName)>,
    prepared: Vec<Prepared>,
}

impl Policy {
    /// The conflict policy of a dataset. Where it names a plugin, versions wait for one until it has one.
    ///
    /// # Errors
    /// Where the dataset cannot have the policy.
    pub fn new(policy: ConflictPolicy, spec: &DatasetSpec) -> Result<Self, ConflictPolicyError> {
        let rules = Rules::new(&policy, &spec.dataset, &spec.residency)?;
        Ok(Self { policy, rules, plugin: Arc::new(NoPlugin) })
    }

    /// The same, with what asks the plugin that it names.
    #[must_use]
    pub fn with_plugin(mut self, plugin: Arc<dyn MergePlugin>) -> Self {
        self.plugin = plugin;
        self
    }

    /// What lets rows say what they change; none where the policy does not ask. Every store with the dataset in a
    /// replication set has to have it.
    #[must_use]
    pub fn noting(&self) -> Option<Arc<dyn Noting>> {
        self.rules.noting()
    }

    /// Whether the version that was written last counts, whole.
    pub(crate) fn is_plain(&self) -> bool {
        self.policy == ConflictPolicy::default()
    }
}

impl Applier {
    /// Applies entries of the datasets that have a policy here.
    #[must_use]
    pub fn new(policies: BTreeMap<DatasetName, Policy>) -> Self {
        Self { policies, mistake: Mistake::default() }
    }

    /// The same, making a mistake.
    #[cfg(feature = "planted-bugs")]
    #[must_use]
    pub fn planted(mut self, planted: Option<Planted>) -> Self {
        self.mistake = Mistake(planted);
        self
    }

    /// Makes entries count, one after the other: each is the next of its log, and follows nothing that does not count.
    ///
    /// What cannot be applied is left, with all that comes after it.
    pub fn apply(&self, store: &mut Store, mut entries: Vec<Entry>, now_ms: u64) -> Applied {
        let (mut group, mut count, mut problem) = (Group::default(), 0, None);
        for entry in &entries {
            if let Err(error) = self.add(store, entry, &mut group, &mut count, now_ms) {
                problem = Some(error);
                break;
            }
        }
        if let Err(error) = group.commit(store, &mut count, now_ms) {
            problem = Some(error);
        }
        Applied { count, left: entries.split_off(count), problem }
    }

    fn add(
        &self,
        store: &mut Store,
        entry: &Entry,
        group: &mut Group,
        count: &mut usize,
        now_ms: u64,
    ) -> Result<(), SyncError> {
        let opened = store.preparer().open(entry.clone())?;
        if group.prepared.len() >= limits::COMMIT_GROUP_MAX || group.meets(&opened) {
            std::mem::take(group).commit(store, count, now_ms)?;
        }
        if store.collisions(&opened)?.is_none() {
            return group.push(store, opened);
        }
        std::mem::take(group).commit(store, count, now_ms)?;
        match store.collisions(&opened)? {
            // What waited was written over what it was concurrent to.
            None => group.push(store, opened),
            Some(collisions) => {
                self.settled(store, opened, &collisions, now_ms)?;
                *count += 1;
                Ok(())
            }
        }
    }

    /// Applies an entry to which others are concurrent.
    fn settled(
        &self,
        store: &mut Store,
        opened: Opened,
        collisions: &Collisions,
        now_ms: u64,
    ) -> Result<(), SyncError> {
        let unknown = || SyncError::NoPolicy { dataset: opened.dataset.clone() };
        let policy = self.policies.get(&opened.dataset).ok_or_else(unknown)?;
        let version = collisions.version;
        let Settled { instead, conflicts, siblings } = settle(store, &opened, collisions, policy, self.mistake)?;
        let verdict = match instead {
            None => Verdict::Apart { version },
            Some(instead) => Verdict::Resolved { version, instead },
        };
        let mut batches = ledger::batches(store, &conflicts, &siblings, now_ms)?;
        // Last: where a crash comes in between, the entry comes again, and says the same of the same versions.
        batches.push(store.preparer().prepare_entry(opened, verdict)?);
        for answer in store.commit(batches, now_ms) {
            answer?;
        }
        Ok(())
    }
}

impl Group {
    /// Whether an entry was written without knowing of one that waits, of the same dataset.
    fn meets(&self, opened: &Opened) -> bool {
        let follows = &opened.mark().follows;
        self.marks.iter().any(|(mark, dataset)| *dataset == opened.dataset && !follows.contains(&mark.dot))
    }

    fn push(&mut self, store: &Store, opened: Opened) -> Result<(), SyncError> {
        self.marks.push((Arc::clone(opened.mark()), opened.dataset.clone()));
        self.prepared.push(store.preparer().prepare_entry(opened, Verdict::Unmet)?);
        Ok(())
    }

    fn commit(self, store: &mut Store, count: &mut usize, now_ms: u64) -> Result<(), SyncError> {
        for answer in store.commit(self.prepared, now_ms) {
            answer?;
            *count += 1;
        }
        Ok(())
    }
}
