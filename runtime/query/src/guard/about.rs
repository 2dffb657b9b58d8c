//! What the guard knows about the rows of a plan.

use datafusion::common::{Column, Result};
use datafusion::functions_aggregate::expr_fn::sum;
use datafusion::logical_expr::{Expr, ExprFunctionExt, col, lit, when};

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
    pub(crate) column: Column,
    pub(crate) is_number: bool,
}

/// The rows that stand behind a value.
#[derive(Debug, Clone)]
pub(crate) struct Trail {
    /// The table that they are of.
    pub(crate) table: String,
    mark: Expr,
    /// Which of them.
    counts: Option<Expr>,
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

    /// The rows behind values that count rows, that count what is in a column, and that sum it.
    pub(super) fn trails(&self, key: MarkKey, counts_rows: bool, counts: bool, sums: bool) -> Vec<Trail> {
        let mut trails = Vec::new();
        for version in &self.versions {
            let mark = row_mark(key, version.columns.iter().cloned().map(col).collect());
            let trail = |counts| Trail { table: version.table.clone(), mark: mark.clone(), counts };
            let measures: Vec<&Measure> = self.measures.iter().filter(|it| it.table == version.table).collect();
            if counts_rows || measures.is_empty() {
                trails.push(trail(None));
            }
            for measure in measures {
                let column = col(measure.column.clone());
                if sums && measure.is_number {
                    trails.push(trail(Some(column.clone().not_eq(lit(0_i64)))));
                }
                if counts || !(sums && measure.is_number) {
                    trails.push(trail(Some(column.is_not_null())));
                }
            }
        }
        trails
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
}
