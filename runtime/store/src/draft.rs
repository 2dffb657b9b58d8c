//! The part of a group commit that is in memory: records, marks and rows, until the log has them.

use std::collections::BTreeMap;
use std::sync::Arc;

use domicile_types::{Mark, Origin, SetName};

use crate::chunk::Checked;
use crate::logs::{self, SetState};
use crate::prepare::About;
use crate::version::Stamp;
use crate::wal::record::Place;
use crate::wal::{Body, Description, Use, mark};
use crate::{Snapshot, Store, StoreError};

/// A batch on its way into the log.
pub(crate) struct Member {
    /// Place among the batches that were given.
    pub(crate) index: usize,
    pub(crate) about: About,
    /// What the log is to have.
    pub(crate) records: Vec<(Body, Use)>,
    /// What the log is to have beside the rows, of a batch whose rows have to say first what they change.
    pub(crate) unnoted: Option<Description>,
    /// The rows that count.
    pub(crate) rows: Checked,
    /// Of an entry that was written elsewhere.
    pub(crate) mark: Option<Arc<Mark>>,
}

/// The part of a commit that is in memory until the log has it.
pub(crate) struct Draft {
    pub(crate) snapshot: Snapshot,
    pub(crate) bytes: Vec<u8>,
    /// Mark of the last record's dataset.
    pub(crate) last: u32,
    /// Bytes by which the recent rows grow.
    pub(crate) grown: isize,
    sets: BTreeMap<SetName, SetState>,
    pub(crate) places: Vec<logs::Place>,
}

impl Draft {
    /// Nothing yet, over what is visible and durable.
    pub(crate) fn new(store: &Store, members: &[Member]) -> Self {
        Self {
            snapshot: Snapshot::clone(&store.reader.snapshot()),
            bytes: Vec::with_capacity(members.iter().map(Member::len).sum()),
            last: store.log.last(),
            grown: 0,
            sets: BTreeMap::new(),
            places: Vec::new(),
        }
    }
}

impl Store {
    /// The moment and the numbers of a batch that comes next, and its mark.
    pub(crate) fn next(&self, member: &Member, now_ms: u64, draft: &Draft) -> (Stamp, Option<Arc<Mark>>) {
        if let Some(mark) = &member.mark {
            self.sequencer.observe(mark.hlc);
        }
        let stamp = self.sequencer.stamp(self.sequencer.tick(now_ms), member.rows.rows.num_rows());
        let mark = self.mark(member, &stamp, draft);
        (stamp, mark)
    }

    /// Adds a batch to what is about to be written.
    pub(crate) fn draft(
        &self,
        member: &Member,
        stamp: &Stamp,
        mark: Option<Arc<Mark>>,
        draft: &mut Draft,
    ) -> Result<(), StoreError> {
        let encoded = mark.as_deref().map(mark::encode).transpose()?.unwrap_or_default();
        let start = draft.bytes.len();
        let mut first = None;
        for (body, used) in &member.records {
            draft.snapshot.version += 1;
            let place = Place {
                version: draft.snapshot.version,
                hlc: stamp.hlc,
                first_seq: stamp.first_seq,
                epoch: stamp.epoch,
                before: draft.last,
                group: self.log.offset,
                used: *used,
            };
            draft.last = body.dataset;
            body.write(&place, &encoded, self.log.seed(), &mut draft.bytes);
            first.get_or_insert(draft.bytes.len() - start);
        }
        if let Some(mark) = mark {
            let has_rows = member.records.iter().any(|(body, _)| body.rows > 0);
            draft
                .sets
                .entry(mark.set.clone())
                .or_insert_with(|| self.logs.state(&mark.set).clone())
                .apply(&mark, has_rows);
            draft.places.push(logs::Place {
                mark,
                dataset: member.about.dataset.clone(),
                file: self.log.number,
                offset: self.log.offset + start as u64,
                bytes: first.unwrap_or_default() as u64,
                local_hlc: stamp.hlc,
                first_seq: stamp.first_seq,
                rows: member.rows.rows.num_rows() as u64,
                has_rows,
            });
        }
        draft.grown +=
            add_recent(&mut draft.snapshot, self.reader.catalog.entry(&member.about.dataset)?, &member.rows, stamp)?;
        Ok(())
    }

    /// The mark of a batch: its own, or a new one where its dataset is in a replication set.
    fn mark(&self, member: &Member, stamp: &Stamp, draft: &Draft) -> Option<Arc<Mark>> {
        if let Some(mark) = &member.mark {
            return Some(Arc::clone(mark));
        }
        let set = self.parts.sets.get(&member.about.dataset)?;
        let origin = Origin { region: stamp.origin.clone(), epoch: stamp.epoch };
        let state = draft.sets.get(set).unwrap_or_else(|| self.logs.state(set));
        Some(logs::next_mark(state, set, origin, stamp.hlc, member.about.change.clone()))
    }
}

impl Member {
    /// Bytes of what the log is to have, but for marks.
    pub(crate) fn len(&self) -> usize {
        self.records.iter().map(|(body, _)| body.len()).sum()
    }
}

/// Adds the rows of a batch to a snapshot.
pub(crate) fn add_recent(
    snapshot: &mut Snapshot,
    entry: &crate::catalog::Entry,
    rows: &Checked,
    stamp: &Stamp,
) -> Result<isize, StoreError> {
    let stamped = Checked { rows: stamp.apply(&rows.rows, &entry.stored)?, parts: rows.parts.clone() };
    let key = entry.primary_key();
    let mut grown = 0;
    for (partition, rows) in stamped.split() {
        snapshot.change(&entry.spec.dataset.name, partition, key.first(), |partition| {
            grown += partition.push(rows, &entry.stored, key)?;
            Ok(())
        })?;
    }
    Ok(grown)
}
