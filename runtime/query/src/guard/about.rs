//! What the guard knows about the rows of a plan.

use arrow::datatypes::DataType;
use datafusion::common::{Column, DFSchema, Result};
use datafusion::functions_aggregate::expr_fn::{count, sum};
use datafusion::logical_expr::{Expr, ExprFunctionExt, ExprSchemable, cast, col, lit, when};

use super::mark::{MarkKey, row_mark};

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
    pub(crate) columns: Vec<Column>,
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
    /// The column that they have something in, where the pool has others too.
    pub(crate) of: Option<String>,
    mark: Expr,
    /// Which of them.
    counts: Option<Expr>,
    /// How much each entity contributes, where one's share is limited.
    pub(crate) weight: Option<Weight>,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Made {
    /// Some count rows, whatever is in them.
    pub(super) of_rows: bool,
    /// Some count what is in a column.
    pub(super) of_counts: bool,
    /// Some sum what is in a column.
    pub(super) of_sums: bool,
    /// Some sum what is computed of columns, which counts rows too: those that have something in all of them.
    pub(super) of_terms: bool,
    /// One's share of a value is limited.
    pub(super) shared: bool,
}

impl About {
    /// All of them.
    pub(crate) fn columns(&self) -> impl Iterator<Item = &Column> {
        let versions = self.versions.iter().flat_map(|version| &version.columns);
        [&self.entity].into_iter().chain(versions).chain(self.measures.iter().map(|measure| &measure.column))
    }

    /// The same with the versions of these tables only.
    pub(crate) fn of_tables(mut self, counts: impl Fn(&str) -> bool) -> Self {
        self.versions.retain(|version| counts(&version.table));
        self
    }

    /// The same with other columns, one for each.
    pub(crate) fn renamed(self, rename: impl Fn(Column) -> Column) -> Self {
        let version = |version: Version| Version {
            table: version.table,
            columns: version.columns.into_iter().map(&rename).collect(),
        };
        let measure = |measure: Measure| Measure { column: rename(measure.column), ..measure };
        Self {
            versions: self.versions.into_iter().map(version).collect(),
            measures: self.measures.into_iter().map(measure).collect(),
            entity: rename(self.entity),
        }
    }

    /// The rows behind the values of a group of `schema`. All of its rows are compared with those of any other group of
    /// the table; so are those that have something in a column, where not all have; and those that a sum is over with
    /// those of other sums of the column.
    ///
    /// # Errors
    /// Where a column is none of `schema`.
    pub(super) fn trails(&self, key: MarkKey, schema: &DFSchema, made: Made) -> Result<Vec<Trail>> {
        let mut trails = Vec::new();
        let weight = |weight, weighs: bool| (made.shared && weighs).then_some(weight);
        for version in &self.versions {
            let mark = row_mark(key, version.columns.iter().cloned().map(col).collect());
            let trail =
                |counts, weight| Trail { pool: version.table.clone(), of: None, mark: mark.clone(), counts, weight };
            trails.push(trail(None, weight(Weight::Rows, made.of_rows)));
            for (index, measure) in self.measures.iter().enumerate().filter(|(_, it)| it.table == version.table) {
                let column = col(measure.column.clone());
                let sums = made.of_sums && measure.is_number;
                if sums {
                    let weight = weight(Weight::Measure(index), true);
                    let pool = format!("{}.{}", version.table, measure.name);
                    trails.push(Trail { pool, ..trail(Some(column.clone().not_eq(lit(0_i64))), weight) });
                }
                let counts = made.of_counts || made.of_terms || !sums;
                if counts && column.nullable(schema)? {
                    let of = Some(measure.name.clone());
                    let there = trail(Some(column.is_not_null()), weight(Weight::Rows, made.of_counts));
                    trails.push(Trail { of, ..there });
                }
            }
        }
        Ok(trails)
    }
}

impl Trail {
    /// The marks of an entity's rows together.
    ///
    /// # Errors
    /// Where the filter is none.
    pub(super) fn marks(&self) -> Result<Expr> {
        match &self.counts {
            None => Ok(sum(self.mark.clone())),
            Some(counts) => sum(self.mark.clone()).filter(counts.clone()).build(),
        }
    }

    /// The mark of one row; nothing where it does not count.
    ///
    /// # Errors
    /// Where the condition is none.
    pub(super) fn mark_of_row(&self) -> Result<Expr> {
        match &self.counts {
            None => Ok(self.mark.clone()),
            Some(counts) => when(counts.clone(), self.mark.clone()).end(),
        }
    }

    /// How many rows of an entity there are.
    ///
    /// # Errors
    /// Where the filter is none.
    pub(super) fn rows(&self) -> Result<Expr> {
        let rows = count(lit(1_i64));
        let rows = match &self.counts {
            None => rows,
            Some(counts) => rows.filter(counts.clone()).build()?,
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
