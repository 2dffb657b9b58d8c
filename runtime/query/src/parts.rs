//! What regions gave for the fragments of a question.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::cast;
use arrow::datatypes::SchemaRef;
use domicile_wire::api::{Coverage, RegionReason};
use domicile_wire::receipt::SignedReceipt;

use crate::QueryError;
use crate::admit::AdmittedPlan;
use crate::remote::Part;

/// What the regions gave, by fragment.
pub(crate) struct Parts {
    /// With the home that each came from.
    pub(crate) batches: Vec<Vec<(String, RecordBatch)>>,
    pub(crate) coverage: Coverage,
    pub(crate) as_of: BTreeMap<String, u64>,
    pub(crate) region_ms: BTreeMap<String, f64>,
    pub(crate) suppressed: BTreeMap<String, u64>,
    /// The epsilon of each region's noise, in millionths.
    pub(crate) epsilon_millionths: BTreeMap<String, u64>,
    pub(crate) border_bytes: u64,
    pub(crate) receipts: Vec<SignedReceipt>,
}

impl Parts {
    pub(crate) fn add(&mut self, part: Part, admitted: &AdmittedPlan) -> Result<(), QueryError> {
        let home = part.home.to_string();
        let schema = &admitted.fragments[part.fragment].0.schema;
        for batch in &part.batches {
            self.batches[part.fragment].push((home.clone(), conform(batch, schema, &home)?));
        }
        if part.suppressed > 0 {
            *self.suppressed.entry(home.clone()).or_default() += part.suppressed;
        }
        if part.epsilon_millionths > 0 {
            *self.epsilon_millionths.entry(home.clone()).or_default() += part.epsilon_millionths;
        }
        self.as_of.insert(home.clone(), part.as_of);
        *self.region_ms.entry(home.clone()).or_default() += part.elapsed_ms;
        self.border_bytes += part.border_bytes;
        self.receipts.extend(part.receipt);
        if !self.coverage.answered.contains(&home) && !self.coverage.missing.iter().any(|m| m.region == home) {
            self.coverage.answered.push(home);
        }
        Ok(())
    }

    /// The partial results of one fragment, from homes that answered all they were asked: a home that is missing from
    /// one part of the answer is missing from all of it.
    pub(crate) fn batches_of(&self, fragment: usize) -> Vec<RecordBatch> {
        let counts = |(home, _): &&(String, RecordBatch)| !self.is_missing(home);
        self.batches[fragment].iter().filter(counts).map(|(_, batch)| batch.clone()).collect()
    }

    fn is_missing(&self, home: &str) -> bool {
        self.coverage.missing.iter().any(|missing| missing.region == home)
    }

    /// The same, in the order of the homes' names.
    pub(crate) fn batches_by_home(&self, fragment: usize) -> Vec<RecordBatch> {
        let mut batches: Vec<&(String, RecordBatch)> = self.batches[fragment].iter().collect();
        batches.sort_by(|(one, _), (other, _)| one.cmp(other));
        batches.into_iter().filter(|(home, _)| !self.is_missing(home)).map(|(_, batch)| batch.clone()).collect()
    }

    pub(crate) fn miss(&mut self, missing: RegionReason) {
        self.coverage.full = false;
        self.coverage.answered.retain(|home| *home != missing.region);
        if !self.coverage.missing.iter().any(|m| m.region == missing.region) {
            self.coverage.missing.push(missing);
        }
    }
}

/// The batch under the agreed schema: regions of different versions may differ in nullability, never in meaning.
fn conform(batch: &RecordBatch, schema: &SchemaRef, home: &str) -> Result<RecordBatch, QueryError> {
    let unfit =
        |detail: String| QueryError::Execution(format!("the partial result of `{home}` does not fit: {detail}"));
    if batch.num_columns() != schema.fields().len() {
        return Err(unfit(format!("{} columns for {}", batch.num_columns(), schema.fields().len())));
    }
    let columns = batch.columns().iter().zip(schema.fields());
    let columns = columns.map(|(column, field)| cast(column, field.data_type()).map_err(|e| unfit(e.to_string())));
    RecordBatch::try_new(Arc::clone(schema), columns.collect::<Result<_, _>>()?).map_err(|e| unfit(e.to_string()))
}
