//! Reference data that some regions hold and others do not: it is loaded in each of them, and a join with a table that
//! is empty in one region would drop that region's rows without a word.

use std::collections::BTreeSet;

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::logical_expr::LogicalPlan;
use domicile_store::{Snapshot, StoreReader};
use domicile_types::{DatasetName, RegionId};

use crate::QueryError;
use crate::admit::AdmittedPlan;
use crate::catalog::{Relation, relation};
use crate::fragment::{Fragment, Shape};
use crate::remote::Part;

/// A region that holds nothing of a reference dataset which another one holds.
#[derive(Debug)]
pub(crate) struct Lack {
    pub(crate) region: RegionId,
    pub(crate) dataset: String,
    pub(crate) holder: RegionId,
}

impl From<Lack> for QueryError {
    fn from(Lack { region, dataset, holder }: Lack) -> Self {
        Self::ReferenceMissing { region, dataset, holder }
    }
}

/// The reference datasets that a fragment reads and this region holds no rows of.
///
/// # Errors
/// Where a table of the fragment is none of the catalog's, or its rows cannot be read.
pub(crate) fn without_rows(
    fragment: &Fragment,
    reader: &StoreReader,
    snapshot: &Snapshot,
) -> Result<Vec<String>, QueryError> {
    let mut without = Vec::new();
    for dataset in read_by(fragment)? {
        if !reader.has_rows(snapshot, &dataset)? {
            without.push(dataset.to_string());
        }
    }
    Ok(without)
}

/// Who lacks reference data that another of those who answered, or this region, holds.
///
/// # Errors
/// As for [`without_rows`].
pub(crate) fn lacks(
    parts: &[Part],
    admitted: &AdmittedPlan,
    here: &RegionId,
    reader: &StoreReader,
    snapshot: &Snapshot,
) -> Result<Vec<Lack>, QueryError> {
    let mut lacks = Vec::new();
    let reads: Vec<_> = admitted.fragments.iter().map(|(text, _)| read_by(&text.fragment)).collect::<Result<_, _>>()?;
    for dataset in reads.iter().flatten().collect::<BTreeSet<_>>() {
        let lacking = |part: &&Part| part.without_rows.iter().any(|name| name == dataset.as_str());
        let holds = |part: &&Part| reads[part.fragment].contains(dataset) && !lacking(part);
        let held_here = reader.has_rows(snapshot, dataset)?.then_some(here);
        let Some(holder) = held_here.or_else(|| parts.iter().find(holds).map(Part::answered_by)) else { continue };
        let lack =
            |region: &RegionId| Lack { region: region.clone(), dataset: dataset.to_string(), holder: holder.clone() };
        lacks.extend(parts.iter().filter(lacking).map(|part| lack(part.answered_by())));
    }
    Ok(lacks)
}

fn read_by(fragment: &Fragment) -> Result<BTreeSet<DatasetName>, QueryError> {
    let plan = match &fragment.shape {
        Shape::Groups { input, .. } => input,
        Shape::Rows(plan) => plan,
    };
    let (mut read, mut failed) = (BTreeSet::new(), None);
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            match relation(scan) {
                Ok(Relation::Reference { dataset }) => drop(read.insert(dataset)),
                Ok(_) => {}
                Err(error) => failed = Some(error),
            }
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    failed.map_or(Ok(read), Err)
}
