//! What the guard knows about the rows of a plan.

use arrow::datatypes::DataType;
use datafusion::common::{Column, Result};
use datafusion::functions_aggregate::expr_fn::{count, sum};
use datafusion::logical_expr::{Expr, ExprFunctionExt, cast, col, lit, when};

use super::mark::{MarkKey, row_mark};
use super::support::Supports;

/// Columns of a plan beside those that were asked for.
#[derive(Debug, Clone)]
pub(crate) struct About {
    /// The column that says whom a row is about.
    pub(crate) entity: Column,
    /// The versions of the rows that it is made of, one of each table.
    pub(crate) versions: Vec<Version>,
    /// The columns that values are computed of, as they are stored and bounded.
    pub(crate) measures: Vec<Measure>,
}

/// Says which version of which row of a table a row is made of.
#[derive(Debug, Clone)]
pub(crate) struct Version {
    /// The table: a dataset, or a mapper.
    pub(crate) table: String,
    /// Which occurrence of the table in the plan; several versions of one are of some of its rows each.
    pub(crate) occurrence: usize,
    /// Which of its rows, where not all.
    pub(crate) of: Option<String>,
    /// Whether something that leaves is made of just these rows.
    pub(crate) is_used: bool,
    pub(crate) columns: VersionColumns,
}

/// Where to read a version from.
#[derive(Debug, Clone)]
pub(crate) enum VersionColumns {
    /// The row's version itself, or its values.
    Row(Vec<Column>),
    /// The sum of the marks of several rows.
    Marks(Column),
}

impl Version {
    /// The mark of the row, or the marks of the rows.
    pub(crate) fn mark(&self, key: MarkKey) -> Expr {
        match &self.columns {
            VersionColumns::Row(columns) => row_mark(key, columns.iter().cloned().map(col).collect()),
            VersionColumns::Marks(column) => col(column.clone()),
        }
    }

    pub(super) fn columns(&self) -> &[Column] {
        match &self.columns {
            VersionColumns::Row(columns) => columns,
            VersionColumns::Marks(column) => std::slice::from_ref(column),
        }
    }
}

/// A column that values are computed of.
#[derive(Debug, Clone)]
pub(crate) struct Measure {
    /// Its table.
    pub(crate) table: String,
    /// Its name there.
    pub(crate) name: String,
    pub(crate) column: Column,
    pub(crate) is_number: bool,
}

/// The rows that stand behind a value.
#[derive(Debug, Clone)]
pub(crate) struct Trail {
    /// What it is compared with: trails of rows of the same table, or of the same column that is summed.
    pub(crate) pool: String,
    /// Says which rows of the table they are, where the pool has others too.
    pub(crate) of: Option<String>,
    /// What one value of the question is over just these rows of: those over others of them are compared with it.
    pub(crate) beside: Option<String>,
    mark: Expr,
    /// Which of the versions the marks are of.
    pub(super) version: usize,
    /// Which of them; all where it is none.
    pub(super) counts: Option<Counts>,
    /// How much each entity contributes, where one's share is limited.
    pub(crate) weight: Option<Weight>,
}

/// Rows that something is there in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) value: Expr,
    /// Zero is nothing either.
    pub(super) not_zero: bool,
}

/// How much an entity contributes to a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weight {
    /// Its rows.
    Rows,
    /// What it has of this measure.
    Measure(usize),
}

/// What values are made of.
#[derive(Debug)]
pub(super) struct Made {
    /// Some count rows, whatever is in them.
    pub(super) of_rows: bool,
    /// Some count what is in a column.
    pub(super) of_counts: bool,
    /// Some sum what is in a column.
    pub(super) of_sums: bool,
    /// One's share of a value is limited.
    pub(super) shared: bool,
    /// The rows that they are made of.
    pub(super) supports: Supports,
}

impl About {
    /// All of them.
    pub(crate) fn columns(&self) -> impl Iterator<Item = &Column> {
        let versions = self.versions.iter().flat_map(Version::columns);
        [&self.entity].into_iter().chain(versions).chain(self.measures.iter().map(|measure| &measure.column))
    }

    /// The same with the versions of these tables only.
    pub(crate) fn of_tables(mut self, counts: impl Fn(&str) -> bool) -> Self {
        self.versions.retain(|version| counts(&version.table));
        self
    }

    /// The same with other columns, one for each.
    pub(crate) fn renamed(self, rename: impl Fn(Column) -> Column) -> Self {
        let version = |mut version: Version| {
            version.columns = match version.columns {
                VersionColumns::Row(columns) => VersionColumns::Row(columns.into_iter().map(&rename).collect()),
                VersionColumns::Marks(column) => VersionColumns::Marks(rename(column)),
            };
            version
        };
        let measure = |measure: Measure| Measure { column: rename(measure.column), ..measure };
        Self {
            versions: self.versions.into_iter().map(version).collect(),
            measures: self.measures.into_iter().map(measure).collect(),
            entity: rename(self.entity),
        }
    }

    /// The rows behind the values of a group. All of its rows are compared with those of any other group of the table; so
    /// are those that a value is over, where it is not over all; and those that a sum is over with those of other sums of
    /// the column.
    ///
    /// # Errors
    /// Where a column is none of the rows'.
    pub(super) fn trails(&self, key: MarkKey, made: &Made) -> Result<Vec<Trail>> {
        let mut trails = Vec::new();
        let weight = |weight, weighs: bool| (made.shared && weighs).then_some(weight);
        for (number, version) in self.versions.iter().enumerate() {
            let mark = version.mark(key);
            let beside = |used: bool| (used && version.is_used).then(|| version.occurrence.to_string());
            let trail = |of: Option<&String>, counts, weight| {
                let of: Vec<&str> = version.of.iter().chain(of).map(String::as_str).collect();
                Trail {
                    pool: version.table.clone(),
                    of: (!of.is_empty()).then(|| of.join(", ")),
                    beside: beside(true),
                    mark: mark.clone(),
                    version: number,
                    counts,
                    weight,
                }
            };
            let all = trail(None, None, weight(Weight::Rows, made.of_rows));
            trails.push(Trail { beside: beside(made.supports.all), ..all });
            for support in made.supports.some.iter().filter(|it| !it.is_own || self.versions.len() > 1) {
                let counts = Counts { value: support.value.clone(), not_zero: false };
                trails.push(trail(Some(&support.of), Some(counts), weight(Weight::Rows, made.of_counts)));
            }
            let sums = |measure: &Measure| made.of_sums && measure.is_number && measure.table == version.table;
            for (index, measure) in self.measures.iter().enumerate().filter(|(_, it)| sums(it)) {
                let pool = format!("{}.{}", version.table, measure.name);
                let sum = |of, value| {
                    let counts = Counts { value, not_zero: true };
                    let sum = trail(of, Some(counts), weight(Weight::Measure(index), true));
                    Trail { pool: pool.clone(), beside: Some(pool.clone()), ..sum }
                };
                let column = || col(measure.column.clone());
                trails.push(sum(None, column()));
                for support in made.supports.some.iter().filter(|it| !it.is_own) {
                    let there = support.value.clone().is_not_null();
                    trails.push(sum(Some(&support.of), when(there, column()).end()?));
                }
            }
        }
        Ok(trails)
    }
}

impl Trail {
    /// Which rows count; none where all do.
    fn condition(&self) -> Option<Expr> {
        let Counts { value, not_zero } = self.counts.clone()?;
        Some(if not_zero { value.not_eq(lit(0_i64)) } else { value.is_not_null() })
    }

    /// The marks of an entity's rows together.
    ///
    /// # Errors
    /// Where the filter is none.
    pub(super) fn marks(&self) -> Result<Expr> {
        match self.condition() {
            None => Ok(sum(self.mark.clone())),
            Some(counts) => sum(self.mark.clone()).filter(counts).build(),
        }
    }

    /// The mark of one row; nothing where it does not count.
    ///
    /// # Errors
    /// Where the condition is none.
    pub(super) fn mark_of_row(&self) -> Result<Expr> {
        match self.condition() {
            None => Ok(self.mark.clone()),
            Some(counts) => when(counts, self.mark.clone()).end(),
        }
    }

    /// How many rows of an entity there are.
    ///
    /// # Errors
    /// Where the filter is none.
    pub(super) fn rows(&self) -> Result<Expr> {
        let rows = count(lit(1_i64));
        let rows = match self.condition() {
            None => rows,
            Some(counts) => rows.filter(counts).build()?,
        };
        Ok(rows)
    }
}

impl Weight {
    /// The weight as a number, of the entity's rows or of what it has of a measure.
    pub(super) fn number(self, rows: Expr, measure: impl Fn(usize) -> Expr) -> Expr {
        match self {
            Self::Rows => cast(rows, DataType::Float64),
            Self::Measure(index) => measure(index),
        }
    }
}
