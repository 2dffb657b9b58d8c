//! Which resident columns decide on the rows of reference data that a row meets.
//!
//! Whoever joins a table of everybody's to a resident column has a number for each of its values, and with that number
//! as a factor inside an aggregate what a condition on the column would give.

use std::collections::{BTreeMap, BTreeSet};

use datafusion::common::DFSchema;
use datafusion::logical_expr::Expr;
use domicile_policy::ColumnUse;

use crate::QueryError;
use crate::expression::{Flow, Lookup, Origin, column_flow};

/// What is compared with what in a subtree.
#[derive(Debug, Default)]
pub(super) struct Lookups {
    /// What each table gives away of resident columns to reference data that it is compared with.
    origins: Vec<BTreeSet<Lookup>>,
    /// Tables that hold reference data.
    reference: BTreeSet<Origin>,
    /// Tables that one condition compares, with each other and with resident columns.
    compared: Vec<(BTreeSet<Origin>, BTreeSet<Lookup>)>,
}

impl Lookups {
    /// The flow of every column of one more occurrence of reference data.
    pub(super) fn reference(&mut self) -> Flow {
        let flow = self.occurs(BTreeSet::new());
        self.reference.extend(&flow.origins);
        flow
    }

    /// The flow of every column of one more mapper that sees these columns.
    pub(super) fn mapper(&mut self, inputs: &BTreeSet<ColumnUse>) -> Flow {
        self.occurs(inputs.iter().map(|column| Lookup { column: column.clone(), ordinal: None }).collect())
    }

    fn occurs(&mut self, gives: BTreeSet<Lookup>) -> Flow {
        let origin = Origin(self.origins.len());
        self.origins.push(gives);
        Flow { origins: BTreeSet::from([origin]), ..Flow::default() }
    }

    /// Notes what a condition compares.
    ///
    /// # Errors
    /// Where it has a column that is none of `schema`.
    pub(super) fn compare(&mut self, condition: &Expr, schema: &DFSchema, input: &[Flow]) -> Result<(), QueryError> {
        let (mut origins, mut lookups) = (BTreeSet::new(), BTreeSet::new());
        for column in condition.column_refs() {
            let flow = column_flow(column, schema, input)?;
            origins.extend(&flow.origins);
            match flow.lookup() {
                Some(lookup) => drop(lookups.insert(lookup)),
                None => lookups.extend(flow.columns().map(|column| Lookup { column: column.clone(), ordinal: None })),
            }
        }
        if !self.reference.is_disjoint(&origins) {
            self.compared.push((origins, lookups));
        }
        Ok(())
    }

    /// Notes in each flow by which resident columns its reference data were looked up, be it over other reference data.
    pub(super) fn resolve(&self, flows: &mut [Flow]) {
        let mut found: BTreeMap<Origin, BTreeSet<Lookup>> = BTreeMap::new();
        let mut changed = true;
        while changed {
            changed = false;
            for (origins, lookups) in &self.compared {
                let mut all = lookups.clone();
                for origin in origins {
                    all.extend(self.origins[origin.0].iter().chain(found.get(origin).into_iter().flatten()).cloned());
                }
                for origin in origins.intersection(&self.reference) {
                    let known = found.entry(*origin).or_default();
                    let before = known.len();
                    known.extend(all.iter().cloned());
                    changed |= known.len() > before;
                }
            }
        }
        for flow in flows {
            flow.lookups.extend(flow.origins.iter().filter_map(|origin| found.get(origin)).flatten().cloned());
        }
    }
}
