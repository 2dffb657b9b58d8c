//! What can be wrong with a set of policies, and where.

use std::fmt;

use domicile_config::{ConfigError, Position};
use domicile_types::{DatasetError, DatasetName, KeyValue, RegionId, suggestion};

use crate::{Class, DomainError, Mask, NoiseError};

/// Why a set of policies was refused.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// A file that is not a policy file.
    #[error(transparent)]
    File(#[from] ConfigError),
    /// A policy for a dataset that nobody described.
    #[error("{at}: there is no dataset `{dataset}`{}", suggestion(.nearest.as_deref()))]
    UnknownDataset {
        /// Where it is named.
        at: Position,
        /// The name.
        dataset: DatasetName,
        /// The most similar name that exists.
        nearest: Option<String>,
    },
    /// A policy for data that lies everywhere.
    #[error(
        "{at}: `{dataset}` is reference data, which has no policy; remove this file, or `reference = true` from the dataset's"
    )]
    ReferencePolicy {
        /// Where it is named.
        at: Position,
        /// The dataset.
        dataset: DatasetName,
    },
    /// Two policies for one dataset.
    #[error("{at}: `{dataset}` already has its policy in {first}; remove one")]
    PolicyRepeated {
        /// Where the second names the dataset.
        at: Position,
        /// The dataset.
        dataset: DatasetName,
        /// The other file.
        first: String,
    },
    /// A resident dataset whose rows have no home.
    #[error("dataset `{dataset}` has no policy; write its file, or set `reference = true` in the dataset's")]
    PolicyMissing {
        /// The dataset.
        dataset: DatasetName,
    },
    /// A column is named that the dataset does not have.
    #[error("{at}: {source}")]
    UnknownColumn {
        /// Where it is named.
        at: Position,
        /// Which, and the nearest.
        source: DatasetError,
    },
    /// Columns without a class.
    #[error("{at}: no class for `{}`; list every column of `{dataset}` once (`identifier` where in doubt)", .columns.join("`, `"))]
    Unclassified {
        /// Where the classes start.
        at: Position,
        /// The dataset.
        dataset: DatasetName,
        /// The columns, in the dataset's order.
        columns: Vec<String>,
    },
    /// A column with two classes.
    #[error("{at}: column `{column}` is already classed as {first}; list it once")]
    ClassifiedTwice {
        /// Where the second class stands.
        at: Position,
        /// The column.
        column: String,
        /// The first class.
        first: Class,
    },
    /// Neither of the two ways to say where rows live, or both at once.
    #[error(
        "{at}: say where rows live: either `entity`, `column` and at least one [[residency.home]], or `follows` and `on`"
    )]
    ResidencyShape {
        /// Where the residency starts.
        at: Position,
    },
    /// An entity that may be released.
    #[error("{at}: `{column}` is what thresholds count as an entity, so its class is identifier, not {class}")]
    EntityClass {
        /// Where the entity is named.
        at: Position,
        /// Its column.
        column: String,
        /// Its class.
        class: Class,
    },
    /// A residency column whose values cannot be listed.
    #[error("{at}: `{column}` cannot say where rows live; use a column of type bigint, integer or text")]
    ResidencyType {
        /// Where the column is named.
        at: Position,
        /// The column.
        column: String,
    },
    /// A value that its column never has.
    #[error("{at}: {value} is not a value of column `{column}`; its type is {expected}")]
    HomeValueType {
        /// Where the value stands.
        at: Position,
        /// The value.
        value: KeyValue,
        /// The residency column.
        column: String,
        /// Type that the column has.
        expected: &'static str,
    },
    /// A value with two homes.
    #[error("{at}: value {value} already has its home in {home}; list it once")]
    HomeRepeated {
        /// Where the second home lists it.
        at: Position,
        /// The value.
        value: KeyValue,
        /// The first home.
        home: RegionId,
    },
    /// A clause whose threshold would mean nothing.
    #[error(
        "{at}: clause `{clause}` admits `{function}` with `minimum_entities = {minimum}`: inside an aggregate it picks out \
         single rows after the group was counted; leave it out, or say `minimum_entities = 1`"
    )]
    ConditionBelowThreshold {
        /// Where the functions are listed.
        at: Position,
        /// The clause.
        clause: String,
        /// The function.
        function: &'static str,
        /// The threshold.
        minimum: u64,
    },
    /// A clause whose threshold would not hide single rows.
    #[error(
        "{at}: clause `{clause}` admits `{function}` with `minimum_entities = {minimum}`: it shows the value of a single \
         row, however many entities stand behind the group; leave it out, or say `minimum_entities = 1`"
    )]
    ExtremeBelowThreshold {
        /// Where the functions are listed.
        at: Position,
        /// The clause.
        clause: String,
        /// The function.
        function: &'static str,
        /// The threshold.
        minimum: u64,
    },
    /// A clause about regions that have none of the rows.
    #[error(
        "{at}: clause `{clause}` would never apply: rows of `{dataset}` live in {} only; name one of these, or remove the \
         clause", names(.homes)
    )]
    ClauseFromNoHome {
        /// Where the regions are listed.
        at: Position,
        /// The clause.
        clause: String,
        /// The dataset.
        dataset: DatasetName,
        /// The regions where its rows live.
        homes: Vec<RegionId>,
    },
    /// A clause about no border.
    #[error(
        "{at}: clause `{clause}` would never apply: what goes from {} to {} crosses no border; name another region, or \
         remove the clause", names(.to), names(.to)
    )]
    ClauseNoBorder {
        /// Where the regions are listed.
        at: Position,
        /// The clause.
        clause: String,
        /// The regions.
        to: Vec<RegionId>,
    },
    /// A clause that another one makes needless.
    #[error(
        "{at}: clause `{clause}` adds nothing: clause `{by}` (line {by_line}) allows all that it does, and asks for no \
         more; remove one of them, or let `{by}` allow less"
    )]
    ClauseCovered {
        /// Where the needless one stands.
        at: Position,
        /// The needless one.
        clause: String,
        /// The other one.
        by: String,
        /// The line of the same file where the other one's id stands.
        by_line: usize,
    },
    /// A column that a list names twice.
    #[error("{at}: `{column}` stands in this `{list}` already; list it once")]
    ColumnRepeated {
        /// Where it stands for the second time.
        at: Position,
        /// The column.
        column: String,
        /// The list.
        list: &'static str,
    },
    /// Two clauses of one id.
    #[error("{at}: clause `{clause}` exists already; give each clause its own id")]
    ClauseRepeated {
        /// Where the second stands.
        at: Position,
        /// The id.
        clause: String,
    },
    /// A value that says nothing.
    #[error("{at}: `{key}` is empty, so clause `{clause}` would never apply or never be understood")]
    ClauseEmpty {
        /// Where.
        at: Position,
        /// The clause.
        clause: String,
        /// The key.
        key: &'static str,
    },
    /// An aggregate without a threshold.
    #[error("{at}: clause `{clause}` needs `minimum_entities` of at least 1")]
    MinimumEntities {
        /// Where the clause's id, or the number that is too small, stands.
        at: Position,
        /// The clause.
        clause: String,
    },
    /// A share that would hold back everything, or nothing.
    #[error(
        "{at}: clause `{clause}` has `dominance_percent = {percent}`, and must have 1 to 99: the largest share of a count \
         or sum that one entity may make up. Leave it out where any share may be released"
    )]
    DominancePercent {
        /// Where the number stands.
        at: Position,
        /// The clause.
        clause: String,
        /// The number.
        percent: u64,
    },
    /// A step that no number can be rounded to, or that leaves nothing.
    #[error("{at}: clause `{clause}` needs `round_to` from 1 to {largest}; leave it out to release exact numbers")]
    RoundTo {
        /// Where the number stands.
        at: Position,
        /// The clause.
        clause: String,
        /// The largest step.
        largest: u64,
    },
    /// Bounds of a column that is not a measure.
    #[error(
        "{at}: `{column}` is no measure of this policy, so it has no bounds; list it under `measure`, or remove this"
    )]
    BoundsClass {
        /// Where the bounds stand.
        at: Position,
        /// The column.
        column: String,
    },
    /// Bounds that no value lies between.
    #[error("{at}: the bounds of `{column}` are the least value and then the greatest, and neither is missing")]
    BoundsOrder {
        /// Where they stand.
        at: Position,
        /// The column.
        column: String,
    },
    /// Listed values that do not fit their column.
    #[error(transparent)]
    Domain(#[from] DomainError),
    /// Differential privacy beside what contradicts it.
    #[error(transparent)]
    Noise(#[from] NoiseError),
    /// A key that says nothing in a clause of this form.
    #[error("{at}: clause `{clause}` admits {form}, so `{key}` would limit nothing; remove it")]
    KeyOfOtherForm {
        /// Where the key's value stands.
        at: Position,
        /// The clause.
        clause: String,
        /// What the clause admits, and its form.
        form: &'static str,
        /// The key.
        key: &'static str,
    },
    /// Masked rows without columns.
    #[error(
        "{at}: clause `{clause}` masks no column; list each one that may be used, and its mask, in `[allow.columns]`"
    )]
    MaskedColumns {
        /// Where the clause's id stands.
        at: Position,
        /// The clause.
        clause: String,
    },
    /// A mask for columns of other types.
    #[error("{at}: mask `{mask}` does not fit `{column}`; it is for columns of type {}", .mask.types())]
    MaskType {
        /// Where the mask stands.
        at: Position,
        /// The column.
        column: String,
        /// The mask.
        mask: Mask,
    },
    /// An identifier that would cross as it is.
    #[error("{at}: `{column}` is an identifier and may not cross as it is; mask it, for example with `hmac` or `null`")]
    MaskPlain {
        /// Where the mask stands.
        at: Position,
        /// The column.
        column: String,
    },
    /// A number that is too small or too large to mean anything.
    #[error("{at}: clause `{clause}` needs `{key}` from {least} to {largest}")]
    OutOfRange {
        /// Where the number stands.
        at: Position,
        /// The clause.
        clause: String,
        /// The key.
        key: &'static str,
        /// The smallest number.
        least: u64,
        /// The largest number.
        largest: u64,
    },
    /// An identifier among the columns that may be used.
    #[error(
        "{at}: `{column}` is an identifier and may not stand in `{list}` unless the clause says `identifiers = true`"
    )]
    IdentifierListed {
        /// Where it stands.
        at: Position,
        /// The column.
        column: String,
        /// The list.
        list: &'static str,
    },
    /// A parent that has no home either.
    #[error("{at}: `{dataset}` is reference data and has no home to follow")]
    FollowsReference {
        /// Where it is named.
        at: Position,
        /// The parent.
        dataset: DatasetName,
    },
    /// A parent whose rows one column does not identify.
    #[error("{at}: `{dataset}` cannot be followed: its primary key has {columns} columns, and must have one")]
    FollowsKey {
        /// Where it is named.
        at: Position,
        /// The parent.
        dataset: DatasetName,
        /// Columns of its primary key.
        columns: usize,
    },
    /// A reference that never equals the parent's key.
    #[error("{at}: `{column}` and the primary key `{key}` of `{dataset}` have different types")]
    FollowsType {
        /// Where the column is named.
        at: Position,
        /// The referring column.
        column: String,
        /// The parent.
        dataset: DatasetName,
        /// Its key.
        key: String,
    },
    /// Datasets that follow each other and so never reach a home.
    #[error("{at}: {}, so no column says where their rows live; give one of them `entity`, `column` and homes", circle(.datasets))]
    FollowsCircle {
        /// Where one of them names the next.
        at: Position,
        /// They, each followed by the one it names.
        datasets: Vec<DatasetName>,
    },
}

fn circle(datasets: &[DatasetName]) -> String {
    match datasets {
        [alone] => format!("`{alone}` follows itself"),
        _ => format!("{} follow each other in a circle", names(datasets)),
    }
}

fn names(names: &[impl fmt::Display]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
