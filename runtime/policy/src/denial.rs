//! A denial, in words that the person who asked can act on.

use std::fmt;

use domicile_types::{DatasetName, Digest, RegionId};

use crate::{Class, ColumnUse, Date, Rewrite, Unnoised};

/// The fragment may not cross.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Denial {
    /// Why: how the closest clause of `dataset` fails.
    pub reason: DenialReason,
    /// The dataset whose policy the reason is about.
    pub dataset: DatasetName,
    /// Every column that stands in the way, over all datasets, once each, in the order of the `SELECT`. Empty where
    /// only the functions, or the dataset itself, do.
    pub columns: Vec<ColumnUse>,
    /// The policy, its version and digest: `customer v1 sha256:…`; `none` where no policy covers the dataset.
    pub policy: String,
    /// The region that the data lives in.
    pub from: RegionId,
    /// The region that it would have gone to.
    pub to: RegionId,
    /// Questions near this one that would be admitted here and now, the nearest first; at most
    /// [`domicile_types::limits::REWRITES_MAX`].
    pub rewrites: Vec<Rewrite>,
}

/// How the closest clause fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DenialReason {
    /// The dataset is not known to the policies.
    UnknownDataset,
    /// No clause is about this border.
    NoClause,
    /// The clause holds for other purposes.
    Purpose {
        /// The clause.
        clause: String,
        /// The purpose stated.
        stated: Option<String>,
        /// The purposes it holds for.
        allowed: Vec<String>,
    },
    /// The clause holds no more.
    Expired {
        /// The clause.
        clause: String,
        /// Last day on which it held.
        expires: Date,
    },
    /// Rows were asked for and the clause admits aggregates.
    RowsAsked {
        /// The clause.
        clause: String,
    },
    /// The clause has differential privacy, and this cannot be noised.
    Unnoised {
        /// The clause.
        clause: String,
        /// What cannot.
        what: Unnoised,
    },
    /// Columns, functions or plugins that the clause does not list.
    NotListed {
        /// The clause.
        clause: String,
        /// The columns.
        columns: Vec<RefusedColumn>,
        /// The functions.
        functions: Vec<String>,
        /// The plugins whose own bytes would cross.
        plugins: Vec<Digest>,
    },
}

/// What a column was to be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Shown in a row.
    Output,
    /// Group key.
    GroupBy,
    /// Aggregate argument.
    Measure,
    /// Filter, join or order.
    Filter,
}

/// A column, what it was to be used for, and how sensitive it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedColumn {
    /// The column.
    pub column: ColumnUse,
    /// What for.
    pub role: Role,
    /// Its class; `None` where the dataset has no such column.
    pub class: Option<Class>,
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.columns.is_empty() {
            write!(f, "this use of `{}`", self.dataset)?;
        } else {
            f.write_str(&quoted(&self.columns))?;
        }
        write!(f, " may not cross from {} to {}: ", self.from, self.to)?;
        match self.reason {
            DenialReason::UnknownDataset => write!(f, "{}", self.reason),
            _ => write!(f, "policy {} {}", self.policy, self.reason),
        }
    }
}

impl fmt::Display for DenialReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownDataset => f.write_str("no policy covers this dataset"),
            Self::NoClause => f.write_str("has no clause for this border"),
            Self::Purpose { clause, stated, allowed } => {
                write!(f, "admits purpose {} (clause `{clause}`), and ", quoted(allowed))?;
                match stated {
                    Some(stated) => write!(f, "`{stated}` was stated"),
                    None => f.write_str("none was stated"),
                }
            }
            Self::Expired { clause, expires } => write!(f, "has clause `{clause}`, which expired after {expires}"),
            Self::RowsAsked { clause } => write!(f, "admits aggregates only, no rows (clause `{clause}`)"),
            Self::Unnoised { clause, what } => write!(f, "(clause `{clause}`) releases numbers with noise: {what}"),
            Self::NotListed { clause, columns, functions, plugins } => {
                write!(f, "(clause `{clause}`) does not admit ")?;
                let columns = columns.iter().map(RefusedColumn::to_string);
                let functions = functions.iter().map(|function| format!("function `{function}`"));
                let states = plugins.iter().map(|digest| format!("bytes that plugin code with sha256 {digest} makes"));
                f.write_str(&columns.chain(functions).chain(states).collect::<Vec<_>>().join(", "))?;
                if plugins.is_empty() {
                    return Ok(());
                }
                f.write_str(
                    "; whoever answers for the data can approve that code by its sha256 under `plugins` of the clause",
                )
            }
        }
    }
}

impl fmt::Display for RefusedColumn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.class == Some(Class::Identifier) {
            f.write_str("identifier ")?;
        }
        let role = match self.role {
            Role::Output => "in a row",
            Role::GroupBy => "as a group key",
            Role::Measure => "as a measure",
            Role::Filter => "as a filter",
        };
        write!(f, "`{}` {role}", self.column.column)
    }
}

fn quoted(names: &[impl fmt::Display]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
