//! The egress guard: what aggregates of a region have to keep to before anything of them leaves.
//!
//! [`plan`] computes, beside what was asked, how many entities stand behind each group and each value, and how much of a
//! value its largest contributor makes up. [`release`] holds back what is too small or too dominated, and with it as
//! much as it takes that nobody gets it back by subtracting; the rest is rounded.

mod about;
mod domain;
mod equations;
mod evidence;
mod exact;
mod margins;
mod mark;
mod once;
mod plan;
mod release;
mod support;
mod suppress;
mod trace;

pub(crate) use about::{About, Measure, Version, VersionColumns};
pub(crate) use domain::{Domains, KeyDomain};
pub(crate) use mark::MarkKey;
pub(crate) use plan::{Grouping, Guarded, plan};
pub(crate) use release::{Judged, judge, rounded};
pub(crate) use support::Supports;

/// The guard's own columns, by their places behind the columns that are released.
#[derive(Debug)]
pub(crate) struct GuardColumns {
    /// Distinct entities of the group.
    pub(crate) entities: usize,
    /// The traces of the rows behind it, where releases are compared.
    pub(crate) traces: Vec<TraceColumn>,
    /// For each guarded value.
    pub(crate) values: Vec<ValueColumns>,
}

/// Traces of groups.
#[derive(Debug)]
pub(crate) struct TraceColumn {
    /// What they are compared with.
    pub(crate) pool: String,
    /// Says which rows of the table stand behind them, where the pool has others too.
    pub(crate) of: Option<String>,
    /// Those with the same are compared with each other, group by group.
    pub(crate) beside: Option<String>,
    pub(crate) column: usize,
    /// Whether their places have weights.
    pub(crate) weighs: bool,
}

/// What is known about one value of a group.
#[derive(Debug)]
pub(crate) struct ValueColumns {
    /// Distinct entities that have part in the value.
    pub(crate) present: usize,
    /// The largest contribution of one entity, and all of them together; where one's share is limited.
    pub(crate) weights: Option<(usize, usize)>,
}
