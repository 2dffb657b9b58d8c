//! Differential privacy at the source: what leaves of a question has noise that hides any one entity.
//!
//! Of each entity only so many rows count ([`bounded`]), so that one entity changes all groups' values of one aggregate
//! together by a known amount ([`figures`]). The values are computed exactly, as integers on a grid; to each value of each
//! group that there can be ([`groups`]) an integer of discrete Laplace noise is added ([`draw`]).

mod bounded;
mod draw;
mod figures;
mod groups;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan};
use domicile_policy::{DifferentialPrivacy, PolicySet, Unnoised, Verdict};
use domicile_types::RegionId;

pub(crate) use bounded::bounded;
pub(crate) use draw::Scale;
pub(crate) use figures::{Figure, Measured, figure};
pub(crate) use groups::Groups;

use crate::QueryError;
use crate::definition::Definition;
use crate::fragment::{Fragment, Shape};
use crate::guard::{KeyDomain, MarkKey, rounded};
use crate::key_domains::Listed;

/// How an admitted fragment is noised.
#[derive(Debug)]
pub(crate) struct Noised {
    pub(crate) terms: DifferentialPrivacy,
    /// Of each aggregate, what one row adds to it at most.
    pub(crate) measured: Vec<Measured>,
    /// The values of each group key.
    pub(crate) keys: Vec<KeyDomain>,
    /// The types of keys and values, as the asking region expects them.
    kinds: Vec<DataType>,
}

impl Noised {
    /// How the fragment is noised under this verdict; none where it asks for no noise.
    ///
    /// # Errors
    /// Tells what cannot be noised.
    pub(crate) fn of(
        fragment: &Fragment,
        policies: &PolicySet,
        verdict: &Verdict,
        home: &RegionId,
    ) -> Result<Option<Result<Self, Unnoised>>, QueryError> {
        let Some(terms) = verdict.differential_privacy else { return Ok(None) };
        let Shape::Groups { input, group, aggregates, .. } = &fragment.shape else {
            return Ok(Some(Err(Unnoised::Functions(fragment.facts.functions.iter().cloned().collect()))));
        };
        let measured: Result<Vec<Measured>, Unnoised> =
            fragment.figures.iter().map(|figure| figure.measured(policies)).collect();
        let measured = match measured {
            Ok(measured) => measured,
            Err(what) => return Ok(Some(Err(what))),
        };
        // The definition's own numbers do not matter for the values of keys.
        let definition = Definition::of(MarkKey(0), input, group)?;
        let listed = Listed { definition: &definition, fixed: &fragment.fixed, verdict, policies, home };
        let indexes: Vec<usize> = (0..group.len()).collect();
        let keys = listed.keys(&indexes, input.schema(), group)?;
        let keys = keys.filter(|keys| Groups::count(keys).is_some()).ok_or(Unnoised::Keys);
        let kinds = kinds(input, group, aggregates)?;
        Ok(Some(keys.map(|keys| Self { terms, measured, keys, kinds })))
    }

    /// The grouping as it is computed: sums as integers on a grid.
    ///
    /// # Errors
    /// Where an aggregate is none that can be noised.
    pub(crate) fn exact(&self, aggregates: &[Expr]) -> Result<Vec<Expr>, QueryError> {
        let exact = aggregates.iter().zip(&self.measured).map(|(aggregate, measured)| measured.exact(aggregate));
        exact.collect()
    }

    /// Adds noise to the rows, whose columns are those that `names` tells the numbers of, and rounds what comes of it.
    ///
    /// # Errors
    /// Where the system gives no randomness, or a column is none of the plan's.
    pub(crate) fn noise(
        &self,
        rows: &RecordBatch,
        names: &[(usize, String)],
        round_to: u64,
    ) -> Result<RecordBatch, QueryError> {
        let is_value: Vec<bool> = names.iter().map(|(index, _)| *index >= self.keys.len()).collect();
        let values = is_value.iter().filter(|is_value| **is_value).count();
        let rows = draw::noise(rows, names, self, values)?;
        rounded(&rows, &is_value, round_to).map_err(|e| QueryError::Execution(e.to_string()))
    }

    /// Every group that there can be, with noise, of the groups that there are.
    ///
    /// # Errors
    /// As [`Noised::noise`], and where the fragment has not each of its keys once.
    pub(crate) fn released(
        &self,
        schema: &SchemaRef,
        batches: &[RecordBatch],
        names: &[(usize, String)],
        round_to: u64,
    ) -> Result<RecordBatch, QueryError> {
        let rows = concat_batches(schema, batches).map_err(|e| QueryError::Execution(e.to_string()))?;
        self.noise(&groups::completed(&rows, names, &self.keys)?, names, round_to)
    }

    /// The scale of the noise on an aggregate of which this many values are released of each group.
    pub(crate) fn scale(&self, aggregate: usize, values: usize) -> Option<Scale> {
        Some(Scale::of(self.measured.get(aggregate)?, self.terms, values))
    }
}

/// The types of an aggregate's columns, as the asking region expects them.
///
/// # Errors
/// Where the aggregates are not those of the input.
fn kinds(input: &LogicalPlan, group: &[Expr], aggregates: &[Expr]) -> Result<Vec<DataType>, QueryError> {
    let asked = Aggregate::try_new(Arc::new(input.clone()), group.to_vec(), aggregates.to_vec())?;
    Ok(asked.schema.fields().iter().map(|field| field.data_type().clone()).collect())
}
