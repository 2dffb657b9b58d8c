//! The gate: no plan is executed, here or elsewhere, that the policies have not admitted.
//!
//! [`AdmittedPlan`] and [`AdmittedFragment`] can only be made here, and only they can be bound to data.

use std::collections::BTreeSet;

use arrow::datatypes::SchemaRef;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};
use domicile_policy::{Border, Verdict};
use domicile_sandbox::PluginId;
use domicile_types::{RegionId, Residency};

use crate::QueryError;
use crate::catalog::Catalog;
use crate::fragment::Fragment;
use crate::split::{FragmentText, resident_datasets, split};

/// Who asks from where, and for what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asking<'a> {
    pub(crate) here: &'a RegionId,
    /// Homes that the caller asks; all of them where the caller names none.
    pub(crate) scope: Option<&'a BTreeSet<RegionId>>,
    pub(crate) purpose: Option<&'a str>,
    /// Days since 1970-01-01.
    pub(crate) today: i32,
}

/// Proof that a plan went through this gate.
#[derive(Debug)]
pub(crate) struct Admission(());

/// A plan that may be executed.
#[derive(Debug)]
pub(crate) struct AdmittedPlan {
    /// Fragments with the homes that each is asked of.
    pub(crate) fragments: Vec<(FragmentText, BTreeSet<RegionId>)>,
    /// What the asking region computes from the partial results.
    pub(crate) rest: LogicalPlan,
    pub(crate) admission: Admission,
}

/// Admits a plan over the world in the asking region.
///
/// # Errors
/// Where a part of it may not cross a border, or cannot be answered across regions at all.
pub(crate) fn admit(plan: LogicalPlan, catalog: &Catalog, asking: Asking<'_>) -> Result<AdmittedPlan, QueryError> {
    if let Some(only_here) = stays_here(&plan, catalog, asking)? {
        return Ok(only_here);
    }
    let split = split(plan, catalog)?;
    let mut fragments = Vec::with_capacity(split.fragments.len());
    for text in split.fragments {
        let homes = homes(&text.fragment, catalog, asking.scope);
        for home in homes.iter().filter(|home| *home != asking.here) {
            judge(&text.fragment, catalog, home, asking.here, asking.purpose, asking.today)?;
        }
        fragments.push((text, homes));
    }
    Ok(AdmittedPlan { fragments, rest: split.rest, admission: Admission(()) })
}

/// The plan as it is, where all its rows live in the asking region: nothing crosses, so everything is allowed.
fn stays_here(plan: &LogicalPlan, catalog: &Catalog, asking: Asking<'_>) -> Result<Option<AdmittedPlan>, QueryError> {
    let datasets = resident_datasets(plan)?;
    let homes = datasets.iter().flat_map(|dataset| catalog.policies().homes(dataset)).collect();
    let homes = in_scope(homes, asking.scope);
    let only_here = homes.len() == 1 && homes.contains(asking.here);
    let whole = || AdmittedPlan { fragments: Vec::new(), rest: plan.clone(), admission: Admission(()) };
    Ok((datasets.is_empty() || only_here).then(whole))
}

/// The homes that have rows for the fragment: those of its datasets that a filter on a residency column leaves.
fn homes(fragment: &Fragment, catalog: &Catalog, scope: Option<&BTreeSet<RegionId>>) -> BTreeSet<RegionId> {
    let all = fragment.facts.datasets.iter().flat_map(|dataset| catalog.policies().homes(dataset)).collect();
    let mut asked = in_scope(all, scope);
    for fixed in &fragment.fixed {
        if let Some(Residency::Column { column, homes, .. }) = catalog.policies().residency(&fixed.column.dataset)
            && *column == fixed.column.column
        {
            asked.retain(|home| fixed.values.iter().any(|value| homes.get(value) == Some(home)));
        }
    }
    asked
}

fn in_scope(mut homes: BTreeSet<RegionId>, scope: Option<&BTreeSet<RegionId>>) -> BTreeSet<RegionId> {
    if let Some(scope) = scope {
        homes.retain(|home| scope.contains(home));
    }
    homes
}

/// Admits the input of a query plugin in the asking region. `question` is its text and what a home's answer looks like.
///
/// # Errors
/// As [`admit`].
pub(crate) fn admit_input(
    plan: LogicalPlan,
    plugin: &PluginId,
    question: (String, SchemaRef),
    catalog: &Catalog,
    asking: Asking<'_>,
) -> Result<AdmittedPlan, QueryError> {
    let here = BTreeSet::from([asking.here.clone()]);
    let (fragment, homes) = match stays_here(&plan, catalog, asking)? {
        Some(only_here) => (Fragment::kept(only_here.rest, plugin), here),
        None => {
            let fragment = Fragment::of_input(plan, catalog, plugin)?;
            let homes = homes(&fragment, catalog, asking.scope);
            (fragment, homes)
        }
    };
    for home in homes.iter().filter(|home| *home != asking.here) {
        judge(&fragment, catalog, home, asking.here, asking.purpose, asking.today)?;
    }
    let rest = LogicalPlanBuilder::empty(false).build()?;
    let text = FragmentText { fragment, sql: question.0, schema: question.1 };
    Ok(AdmittedPlan { fragments: vec![(text, homes)], rest, admission: Admission(()) })
}

/// Admits the input of a query plugin in a region that holds data; the plugin's result goes to `to`.
///
/// # Errors
/// Where this region's own policies do not let the result cross.
pub(crate) fn admit_own_input(
    plan: LogicalPlan,
    plugin: &PluginId,
    catalog: &Catalog,
    asking: Asking<'_>,
    to: &RegionId,
) -> Result<AdmittedFragment, QueryError> {
    let Asking { here, purpose, today, .. } = asking;
    let fragment = if to == here { Fragment::kept(plan, plugin) } else { Fragment::of_input(plan, catalog, plugin)? };
    admit_fragment(fragment, catalog, here, to, purpose, today)
}

fn judge(
    fragment: &Fragment,
    catalog: &Catalog,
    from: &RegionId,
    to: &RegionId,
    purpose: Option<&str>,
    today: i32,
) -> Result<Verdict, QueryError> {
    let border = Border { from, to, purpose, today };
    catalog.policies().judge(&fragment.facts, &border).map_err(QueryError::Denied)
}

/// A fragment that this region may execute, and on what conditions its result may leave.
#[derive(Debug)]
pub(crate) struct AdmittedFragment {
    pub(crate) fragment: Fragment,
    /// None where the result stays in the region.
    pub(crate) verdict: Option<Verdict>,
    pub(crate) admission: Admission,
}

/// Admits a fragment in the region that holds the data. `to` is the region that the result goes to.
///
/// # Errors
/// Where this region's own policies do not let the result cross.
pub(crate) fn admit_fragment(
    fragment: Fragment,
    catalog: &Catalog,
    here: &RegionId,
    to: &RegionId,
    purpose: Option<&str>,
    today: i32,
) -> Result<AdmittedFragment, QueryError> {
    let verdict = if to == here { None } else { Some(judge(&fragment, catalog, here, to, purpose, today)?) };
    Ok(AdmittedFragment { fragment, verdict, admission: Admission(()) })
}
