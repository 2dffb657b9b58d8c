//! What regions gave for the fragments of a question.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::cast;
use arrow::datatypes::SchemaRef;
use chrono::{DateTime, SecondsFormat};
use domicile_types::RegionId;
use domicile_wire::api::{Coverage, RegionReason, StandIn};
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
        match part.stand_in {
            None => drop(self.as_of.insert(home.clone(), part.as_of)),
            Some((region, as_of_ms)) => self.stood_in(&home, &region, as_of_ms),
        }
        *self.region_ms.entry(home.clone()).or_default() += part.elapsed_ms;
        self.border_bytes += part.border_bytes;
        self.receipts.extend(part.receipt);
        if !self.coverage.answered.contains(&home) && !self.coverage.missing.iter().any(|m| m.region == home) {
            self.coverage.answered.push(home);
        }
        Ok(())
    }

    /// Takes note of who answered for a home. What several parts are of counts as the oldest of it.
    fn stood_in(&mut self, home: &str, region: &RegionId, as_of_ms: u64) {
        let as_of = moment(as_of_ms);
        let stood_in = &mut self.coverage.stood_in;
        match stood_in.iter_mut().find(|known| known.home == home && known.region == region.as_str()) {
            Some(known) => known.as_of = as_of.min(std::mem::take(&mut known.as_of)),
            None => stood_in.push(StandIn { home: home.to_owned(), region: region.to_string(), as_of }),
        }
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
        self.coverage.stood_in.retain(|one| one.home != missing.region);
        if !self.coverage.missing.iter().any(|m| m.region == missing.region) {
            self.coverage.missing.push(missing);
        }
    }
}

/// A moment as RFC 3339 has it, in UTC and with milliseconds, so that the earlier of two comes first as a text, too.
fn moment(unix_ms: u64) -> String {
    let known = i64::try_from(unix_ms).ok().and_then(DateTime::from_timestamp_millis);
    known.unwrap_or(DateTime::UNIX_EPOCH).to_rfc3339_opts(SecondsFormat::Millis, true)
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
