//! The gate: no plan is executed, here or elsewhere, that the policies have not admitted.
//!
//! [`AdmittedPlan`] and [`AdmittedFragment`] can only be made here, and only they can be bound to data.

use std::collections::BTreeSet;

use arrow::datatypes::SchemaRef;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};
use domicile_policy::{Border, PolicySet, Verdict};
use domicile_sandbox::PluginId;
use domicile_types::{RegionId, Residency};

use crate::QueryError;
use crate::catalog::Catalog;
use crate::client::{Client, Destination};
use crate::fragment::Fragment;
use crate::noise::Noised;
use crate::split::{Conditions, FragmentText, resident_datasets, split};

/// Who asks from where, and for what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asking<'a> {
    pub(crate) here: &'a RegionId,
    pub(crate) client: &'a Client,
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
    let (judged, rest) = judged_split(plan, catalog, asking)?;
    let mut fragments = Vec::with_capacity(judged.len());
    for judged in judged {
        for (_, verdict) in judged.crossings {
            verdict?;
        }
        fragments.push((judged.text, judged.homes));
    }
    Ok(AdmittedPlan { fragments, rest, admission: Admission(()) })
}

/// The fragments of a plan, judged, and the rest of it: conditions inside aggregates as group keys, unless the policies
/// admit the plan in another way only.
fn judged_split(
    plan: LogicalPlan,
    catalog: &Catalog,
    asking: Asking<'_>,
) -> Result<(Vec<JudgedFragment>, LogicalPlan), QueryError> {
    let judge = |conditions| {
        let split = split(plan.clone(), catalog, conditions)?;
        let judged = split.fragments.into_iter().map(|text| JudgedFragment::of(text, catalog, asking));
        Ok::<_, QueryError>((judged.collect::<Vec<_>>(), split.rest))
    };
    let is_admitted = |fragments: &[JudgedFragment]| {
        fragments.iter().flat_map(|it| &it.crossings).all(|(_, verdict)| verdict.is_ok())
    };
    let plain = judge(Conditions::AsKeys)?;
    if is_admitted(&plain.0) {
        return Ok(plain);
    }
    let others = [Conditions::AndLookupsAsKeys, Conditions::Inside].into_iter();
    let admitted = others.filter_map(|conditions| judge(conditions).ok()).find(|(judged, _)| is_admitted(judged));
    Ok(admitted.unwrap_or(plain))
}

/// A fragment with the verdict on each of its crossings. It cannot be executed.
#[derive(Debug)]
pub(crate) struct JudgedFragment {
    pub(crate) text: FragmentText,
    /// The homes that it would be asked of.
    pub(crate) homes: BTreeSet<RegionId>,
    /// Those of them that the result crosses a border from.
    pub(crate) crossings: Vec<(RegionId, Result<Verdict, QueryError>)>,
}

impl JudgedFragment {
    fn of(text: FragmentText, catalog: &Catalog, asking: Asking<'_>) -> Self {
        let homes = homes(&text.fragment, catalog, asking.scope);
        let crossing = |home: &RegionId| {
            let verdict = asking.client.destinations(home, asking.here);
            let verdict =
                verdict.and_then(|to| judge(&text.fragment, catalog, home, &to, asking.purpose, asking.today));
            Some((home.clone(), verdict.transpose()?))
        };
        let crossings = homes.iter().filter_map(crossing).collect();
        Self { text, homes, crossings }
    }
}

/// What of a plan would cross, each crossing judged as [`admit`] would. None of it where all rows live in the asking
/// region.
///
/// # Errors
/// Where the plan cannot be answered across regions at all.
pub(crate) fn judged(
    plan: LogicalPlan,
    catalog: &Catalog,
    asking: Asking<'_>,
) -> Result<Vec<JudgedFragment>, QueryError> {
    if stays_here(&plan, catalog, asking)?.is_some() {
        return Ok(Vec::new());
    }
    Ok(judged_split(plan, catalog, asking)?.0)
}

/// Judges what each home would release, for every region that it goes to.
fn judge_all(
    fragment: &Fragment,
    catalog: &Catalog,
    homes: &BTreeSet<RegionId>,
    asking: Asking<'_>,
) -> Result<(), QueryError> {
    for home in homes {
        let to = asking.client.destinations(home, asking.here)?;
        judge(fragment, catalog, home, &to, asking.purpose, asking.today)?;
    }
    Ok(())
}

/// The plan as it is, where all its rows live in the asking region and whoever asks stands there too: nothing crosses,
/// so everything is allowed.
fn stays_here(plan: &LogicalPlan, catalog: &Catalog, asking: Asking<'_>) -> Result<Option<AdmittedPlan>, QueryError> {
    let datasets = resident_datasets(plan)?;
    let homes = datasets.iter().flat_map(|dataset| catalog.policies().homes(dataset)).collect();
    let homes = in_scope(homes, asking.scope);
    let only_here = homes.len() == 1 && homes.contains(asking.here) && asking.client.stands_at(asking.here);
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
    judge_all(&fragment, catalog, &homes, asking)?;
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
    here: &RegionId,
    to: &Destination,
    purpose: Option<&str>,
    today: i32,
) -> Result<AdmittedFragment, QueryError> {
    let kept = !to.crosses();
    let fragment = if kept { Fragment::kept(plan, plugin) } else { Fragment::of_input(plan, catalog, plugin)? };
    admit_fragment(fragment, catalog, here, to, purpose, today)
}

/// What all regions that a result goes to ask together; none where it goes nowhere.
fn judge(
    fragment: &Fragment,
    catalog: &Catalog,
    from: &RegionId,
    to: &BTreeSet<RegionId>,
    purpose: Option<&str>,
    today: i32,
) -> Result<Option<Verdict>, QueryError> {
    let mut all: Option<Verdict> = None;
    for to in to {
        let border = Border { from, to, purpose, today };
        let verdict = catalog.policies().judge(&fragment.facts, &border).map_err(QueryError::Denied)?;
        all = Some(match all {
            None => verdict,
            Some(others) => others.and(verdict),
        });
    }
    let Some(verdict) = all else { return Ok(None) };
    if let Some(Err(what)) = Noised::of(fragment, catalog.policies(), &verdict, from)? {
        let to = to.first().unwrap_or(from);
        let border = Border { from, to, purpose, today };
        let denial = catalog.policies().unnoised(&fragment.facts, &border, &verdict, what);
        return Err(denial.map_or(QueryError::PlanRefused, QueryError::Denied));
    }
    Ok(Some(verdict))
}

/// A fragment that this region may execute, and on what conditions its result may leave.
#[derive(Debug)]
pub(crate) struct AdmittedFragment {
    pub(crate) fragment: Fragment,
    /// Where the rows live.
    pub(crate) home: RegionId,
    /// None where the result stays in the region.
    pub(crate) verdict: Option<Verdict>,
    pub(crate) admission: Admission,
}

impl AdmittedFragment {
    /// How it is noised; none where it is not.
    ///
    /// # Errors
    /// Where it cannot be, as it was found before it was admitted.
    pub(crate) fn noised(&self, policies: &PolicySet, here: &RegionId) -> Result<Option<Noised>, QueryError> {
        let Some(verdict) = &self.verdict else { return Ok(None) };
        let noised = Noised::of(&self.fragment, policies, verdict, here)?;
        noised.transpose().map_err(|_| QueryError::PlanRefused)
    }
}

/// Admits a fragment in a region that holds the data, which lives in `home`, for all regions that its result goes to.
///
/// # Errors
/// Where this region's own policies do not let the result cross.
pub(crate) fn admit_fragment(
    fragment: Fragment,
    catalog: &Catalog,
    home: &RegionId,
    to: &Destination,
    purpose: Option<&str>,
    today: i32,
) -> Result<AdmittedFragment, QueryError> {
    let verdict = judge(&fragment, catalog, home, &to.regions, purpose, today)?;
    Ok(AdmittedFragment { fragment, home: home.clone(), verdict, admission: Admission(()) })
}

/// Admits a fragment that was executed under the policies of `then` once more, under those of `now`. What comes back
/// names the clauses of `now`.
///
/// # Errors
/// Where the policies of `now` would have let something else cross, or nothing.
pub(crate) fn admit_again(
    admitted: AdmittedFragment,
    then: &Catalog,
    now: &Catalog,
    here: &RegionId,
    to: &Destination,
    purpose: Option<&str>,
    today: i32,
) -> Result<AdmittedFragment, QueryError> {
    let (before, after) = (then.policies(), now.policies());
    if before.digest() == after.digest() {
        return Ok(admitted);
    }
    let changed = || QueryError::PolicyChanged { region: here.clone() };
    let AdmittedFragment { fragment, verdict, .. } = admitted;
    // What crosses was computed from values within their bounds, and judged by their domains; no verdict tells of these.
    let declared =
        |set: &PolicySet, dataset| set.policy(dataset).map(|policy| (policy.bounds.clone(), policy.domains.clone()));
    if fragment.facts.datasets.iter().any(|dataset| declared(before, dataset) != declared(after, dataset)) {
        return Err(changed());
    }
    let again = admit_fragment(fragment, now, here, to, purpose, today).map_err(|error| match error {
        QueryError::Denied(_) => changed(),
        other => other,
    })?;
    match (&verdict, &again.verdict) {
        (None, None) => Ok(again),
        (Some(old), Some(new)) if old.is_the_same_permission(new) => Ok(again),
        _ => Err(changed()),
    }
}
