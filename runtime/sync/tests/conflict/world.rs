//! Three regions that write one row, each applying every entry of the others once, after all that the entry follows.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use domicile_sync::conflict::{
    MergeFailure, MergePlugin, Merged, Resolved, RowRef, Rules, Siblings, Unavailable, note,
};
use domicile_types::{ColumnPolicy, Digest, Dot, Hlc, Mark, Origin, RowPolicy, Vector};
use proptest::prelude::*;

use crate::table::{DELETED, Item, batch, item, origin, resolve, rules};

pub(crate) const REGIONS: [&str; 3] = ["ap", "eu", "us"];

/// A plugin that depends on every version: it fails, deletes or picks by the sum of their stocks.
#[derive(Debug)]
pub(crate) struct Picking;

impl MergePlugin for Picking {
    fn merge(&self, siblings: &Siblings) -> Result<Result<Merged, MergeFailure>, Unavailable> {
        let rows = (0..siblings.count()).filter(|index| !siblings.version(*index).is_tombstone());
        let rows: Vec<RecordBatch> = rows.map(|index| siblings.rows().slice(index, 1)).collect();
        let sum = rows.iter().fold(0_i64, |sum, row| sum.wrapping_add(item(row).stock.unwrap_or(0)));
        Ok(match sum.rem_euclid(5) {
            0 => Err(MergeFailure { problem: "0".to_owned() }),
            1 => Ok(Merged::Tombstone),
            _ => {
                let first = item(&rows[0]);
                Ok(Merged::Row(batch(&[Item { stock: Some(sum), sold: Some(true), ..first }])))
            }
        })
    }
}

/// A plugin that never answers.
#[derive(Debug)]
pub(crate) struct Failing;

impl MergePlugin for Failing {
    fn merge(&self, _: &Siblings) -> Result<Result<Merged, MergeFailure>, Unavailable> {
        Ok(Err(MergeFailure { problem: "it fails".to_owned() }))
    }
}

pub(crate) fn wasm(plugin: &str) -> RowPolicy {
    RowPolicy::Wasm { plugin: plugin.parse().unwrap(), sha256: Digest([7; 32]) }
}

pub(crate) fn any_row_policy() -> impl Strategy<Value = RowPolicy> {
    let regions = proptest::sample::subsequence(vec!["us", "eu", "ap"], 1..=3).prop_shuffle();
    let priority = regions
        .prop_map(|regions| RowPolicy::OriginPriority(regions.iter().map(|region| region.parse().unwrap()).collect()));
    prop_oneof![
        Just(RowPolicy::Lww),
        Just(RowPolicy::FirstWrite),
        priority,
        Just(RowPolicy::ColumnLww),
        Just(RowPolicy::Manual),
        Just(wasm("picking")),
    ]
}

pub(crate) fn any_rules() -> impl Strategy<Value = Rules> {
    use ColumnPolicy::{Counter, Max, Min, SetUnion};
    let of = |policies: Vec<ColumnPolicy>| proptest::option::of(proptest::sample::select(policies));
    let number = || of(vec![Max, Min, Counter]);
    let columns = (number(), number(), number(), number(), of(vec![Max, Min, SetUnion]), of(vec![Max, Min]));
    (any_row_policy(), columns).prop_map(|(row, (stock, ordered, price, weight, tags, sold))| {
        let columns = [
            ("stock", stock),
            ("ordered", ordered),
            ("price", price),
            ("weight", weight),
            ("tags", tags),
            ("sold", sold),
        ];
        rules(row, &columns.into_iter().filter_map(|(name, policy)| Some((name, policy?))).collect::<Vec<_>>())
    })
}

/// What happens next, in the region of a number.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// A client reads the row and writes it back, changed.
    Write(usize, Change),
    /// A client deletes the row.
    Delete(usize),
    /// Something else is written into the log.
    Other(usize),
    /// The next entry of another region is applied, if all that it follows was.
    Apply(usize, usize),
    /// The clock goes on.
    Tick(usize, u64),
    /// All regions apply everything, say so in their logs, and hear it of each other.
    Settle,
    /// What can have no further siblings becomes one version.
    Collapse(usize),
}

/// What a client changes in a row that it read.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    Add(i32),
    Raise(i32),
    Tag(u8),
    Sell(bool),
    Weigh(Option<f64>),
}

pub(crate) fn any_change() -> impl Strategy<Value = Change> {
    prop_oneof![
        3 => (-5..6).prop_map(Change::Add),
        1 => (0..20).prop_map(Change::Raise),
        1 => (0..5_u8).prop_map(Change::Tag),
        1 => any::<bool>().prop_map(Change::Sell),
        1 => proptest::option::of(proptest::sample::select(vec![0.5, -0.0, f64::NAN])).prop_map(Change::Weigh),
    ]
}

/// Steps, in which rows are written so, and deleted and collapsed if wanted.
pub(crate) fn any_steps(change: impl Strategy<Value = Change>, deletes: bool) -> impl Strategy<Value = Vec<Step>> {
    let region = || 0..REGIONS.len();
    let step = prop_oneof![
        6 => (region(), change).prop_map(|(region, change)| Step::Write(region, change)),
        u32::from(deletes) => region().prop_map(Step::Delete),
        1 => region().prop_map(Step::Other),
        8 => (region(), region()).prop_map(|(to, from)| Step::Apply(to, from)),
        1 => (region(), 1..10_u64).prop_map(|(region, ms)| Step::Tick(region, ms)),
        1 => Just(Step::Settle),
        2 => region().prop_map(Step::Collapse),
    ];
    proptest::collection::vec(step, 1..60)
}

/// An entry of a log: the row as it was written, if it is about the row.
type Entry = (Mark, Option<RecordBatch>);

pub(crate) struct Region {
    origin: Origin,
    now_ms: u64,
    hlc: Hlc,
    applied: Vector,
    /// What the last applied entry of each region follows.
    heard: BTreeMap<Origin, Vector>,
    pub(crate) versions: Option<Siblings>,
    log: Vec<Entry>,
}

pub(crate) struct World {
    rules: Rules,
    pub(crate) regions: Vec<Region>,
}

impl Change {
    /// The row with the change; the stock, the price and the weight are numbers that are added to, each in its type.
    pub(crate) fn apply(&self, item: Item) -> Item {
        match self {
            Self::Add(amount) => Item {
                stock: Some(item.stock.unwrap_or(0) + i64::from(*amount)),
                price: Some(item.price.unwrap_or(0) + i128::from(*amount)),
                weight: Some(item.weight.unwrap_or(0.0) + f64::from(*amount)),
                ..item
            },
            Self::Raise(value) => Item { ordered: item.ordered.max(Some(*value)), ..item },
            Self::Tag(tag) => {
                let mut tags: Vec<u8> = item.tags.iter().flat_map(|tags| tags_of(tags)).collect();
                tags.push(*tag);
                Item { tags: Some(format!("{tags:?}")), ..item }
            }
            Self::Sell(sold) => Item { sold: Some(*sold), ..item },
            Self::Weigh(weight) => Item { weight: *weight, ..item },
        }
    }
}

/// The members of a set of small numbers.
pub(crate) fn tags_of(text: &str) -> Vec<u8> {
    text.trim_matches(['[', ']']).split(',').filter_map(|tag| tag.trim().parse().ok()).collect()
}

impl Region {
    fn new(region: &str) -> Self {
        let origin = origin(region, 0);
        let (applied, heard) = (Vector::default(), BTreeMap::new());
        Self { origin, now_ms: 1, hlc: Hlc::default(), applied, heard, versions: None, log: Vec::new() }
    }

    fn add(&mut self, mark: &Mark, row: &RecordBatch) {
        let marks = std::slice::from_ref(mark);
        let versions = match &self.versions {
            None => Siblings::new(row, marks),
            Some(versions) => versions.with(row, marks),
        };
        self.versions = Some(versions.unwrap());
    }

    /// The mark of an entry that is written now.
    fn next_mark(&self) -> Mark {
        let (seq, hlc) = (self.log.len() as u64 + 1, self.hlc.next(self.now_ms));
        let dot = Dot { origin: self.origin.clone(), seq };
        Mark { set: "catalog".parse().unwrap(), dot, hlc, follows: self.applied.clone(), change: None }
    }

    fn append(&mut self, row: Option<RecordBatch>) -> Mark {
        let mark = self.next_mark();
        self.hlc = mark.hlc;
        self.applied.advance(&self.origin, mark.dot.seq);
        if let Some(row) = &row {
            self.add(&mark, row);
        }
        self.log.push((mark.clone(), row));
        mark
    }

    fn apply(&mut self, (mark, row): &Entry) {
        assert!(self.applied.get(&mark.dot.origin) + 1 == mark.dot.seq && self.applied.covers(&mark.follows));
        self.hlc = self.hlc.max(mark.hlc);
        self.applied.advance(&mark.dot.origin, mark.dot.seq);
        self.heard.insert(mark.dot.origin.clone(), mark.follows.clone());
        if let Some(row) = row {
            self.add(mark, row);
        }
    }

    /// Whether every entry that is still to come follows this one, as far as this region can know.
    fn is_stable(&self, dot: &Dot) -> bool {
        let heard = |region: &&str| {
            let other = origin(region, 0);
            other == self.origin
                || other == dot.origin
                || self.heard.get(&other).is_some_and(|follows| follows.contains(dot))
        };
        REGIONS.iter().all(heard)
    }
}

impl World {
    pub(crate) fn new(rules: &Rules) -> Self {
        Self { rules: rules.clone(), regions: REGIONS.map(Region::new).into() }
    }

    /// What readers in a region see; none before the first version.
    pub(crate) fn read(&self, region: usize) -> Option<Resolved> {
        self.regions[region].versions.as_ref().map(|versions| resolve(&self.rules, versions, &Picking))
    }

    /// The row that a client in a region reads.
    pub(crate) fn item(&self, region: usize) -> Option<Item> {
        self.read(region).filter(|resolved| !resolved.is_tombstone()).map(|resolved| item(&resolved.row))
    }

    /// Writes a row in a region, over what is there.
    pub(crate) fn write(&mut self, region: usize, written: &Item) -> Mark {
        let rows = batch(std::slice::from_ref(written));
        let before = self.read(region);
        let replaced = before.as_ref().map(|resolved| RowRef { rows: &resolved.row, index: 0 });
        let mark = self.regions[region].next_mark();
        let merge = note(&self.rules, &mark, RowRef { rows: &rows, index: 0 }, replaced);
        let row = batch(&[Item { merge, ..written.clone() }]);
        self.regions[region].append(Some(row))
    }

    pub(crate) fn step(&mut self, step: &Step) {
        match step {
            Step::Write(region, change) => {
                let read = self.item(*region).unwrap_or_default();
                self.write(*region, &change.apply(read));
            }
            Step::Delete(region) => drop(self.write(*region, &DELETED)),
            Step::Other(region) => drop(self.regions[*region].append(None)),
            Step::Apply(to, from) => drop(self.apply(*to, *from)),
            Step::Tick(region, ms) => self.regions[*region].now_ms += ms,
            Step::Settle => {
                self.settle();
                self.regions.iter_mut().for_each(|region| drop(region.append(None)));
                self.settle();
            }
            Step::Collapse(region) => self.collapse(*region),
        }
    }

    /// Whether something was applied.
    fn apply(&mut self, to: usize, from: usize) -> bool {
        let applied = self.regions[to].applied.get(&self.regions[from].origin);
        let next = usize::try_from(applied).ok().and_then(|index| self.regions[from].log.get(index)).cloned();
        match next {
            Some(entry) if to != from && self.regions[to].applied.covers(&entry.0.follows) => {
                self.regions[to].apply(&entry);
                true
            }
            _ => false,
        }
    }

    /// Whether the versions of a region may become one now.
    pub(crate) fn collapses(&self, region: usize) -> bool {
        let here = &self.regions[region];
        here.versions
            .as_ref()
            .is_some_and(|all| all.count() > 1 && all.marks().iter().all(|mark| here.is_stable(&mark.dot)))
    }

    fn collapse(&mut self, region: usize) {
        let Some(resolved) = self.read(region) else { return };
        let here = &mut self.regions[region];
        let marks = here.versions.as_ref().map(|versions| versions.marks().to_vec()).unwrap_or_default();
        if marks.iter().all(|mark| here.is_stable(&mark.dot)) {
            let kept = !resolved.is_tombstone();
            here.versions = kept.then(|| Siblings::new(&resolved.row, &marks[marks.len() - 1..]).unwrap());
        }
    }

    /// Everybody applies everything.
    pub(crate) fn settle(&mut self) {
        let pairs = |count: usize| (0..count).flat_map(move |to| (0..count).map(move |from| (to, from)));
        let mut moved = true;
        while moved {
            moved = pairs(self.regions.len()).filter(|(to, from)| self.apply(*to, *from)).count() > 0;
        }
        let all: Vec<u64> = self.regions.iter().map(|region| region.log.len() as u64).collect();
        for region in &self.regions {
            let applied: Vec<u64> = self.regions.iter().map(|other| region.applied.get(&other.origin)).collect();
            assert_eq!(applied, all, "an entry was left behind");
        }
    }
}
