//! All policies of a program, checked together.

use std::collections::{BTreeMap, BTreeSet};

use domicile_types::{Dataset, DatasetName, Digest, RegionId, Residency, nearest};
use sha2::{Digest as _, Sha256};

use crate::build::{FollowsAt, Source, build, dataset_of};
use crate::file::RawPolicy;
use crate::places::Places;
use crate::{Border, ColumnUse, Denial, FragmentFacts, Policy, PolicyError, Verdict, follows, judge, reach};

/// The policies of every resident dataset, and the datasets they are about.
///
/// Every resident dataset has exactly one policy, and every chain of followed datasets ends at one that names homes.
#[derive(Debug, Clone)]
pub struct PolicySet {
    policies: BTreeMap<DatasetName, Policy>,
    datasets: BTreeMap<DatasetName, (Dataset, bool)>,
    /// Where the files say what may not be meant. Every policy has them.
    places: BTreeMap<DatasetName, Places>,
    digest: Digest,
}

impl PolicySet {
    /// Checks the policy `files` (name for messages, text) against the `datasets` (and whether each is reference
    /// data) and against each other.
    ///
    /// # Errors
    /// Where a file is not a policy, contradicts itself, its dataset or another file, has a clause that could be left
    /// out, or a resident dataset has none.
    pub fn load(datasets: &[(Dataset, bool)], files: &[(String, String)]) -> Result<Self, PolicyError> {
        let datasets: BTreeMap<DatasetName, (Dataset, bool)> =
            datasets.iter().map(|entry| (entry.0.name.clone(), entry.clone())).collect();
        let mut policies: BTreeMap<DatasetName, Policy> = BTreeMap::new();
        let mut first_file: BTreeMap<DatasetName, &str> = BTreeMap::new();
        let mut followers: BTreeMap<DatasetName, FollowsAt> = BTreeMap::new();
        let mut places: BTreeMap<DatasetName, Places> = BTreeMap::new();
        for (file, text) in files {
            let source = Source { file, text };
            let raw = source.parse()?;
            let dataset = described(&datasets, source, &raw)?;
            if let Some(first) = first_file.insert(dataset.name.clone(), file) {
                let at = source.at(&raw.dataset);
                return Err(PolicyError::PolicyRepeated { at, dataset: dataset.name.clone(), first: first.to_owned() });
            }
            let built = build(source, raw, dataset)?;
            followers.extend(built.follows.map(|at| (dataset.name.clone(), at)));
            places.insert(dataset.name.clone(), built.places);
            policies.insert(dataset.name.clone(), built.policy);
        }
        follows::check(&policies, &datasets, &followers)?;
        let without = datasets.iter().find(|(name, (_, reference))| !reference && !policies.contains_key(*name));
        if let Some((dataset, _)) = without {
            return Err(PolicyError::PolicyMissing { dataset: dataset.clone() });
        }
        reach::check(&policies, &places)?;
        let digest = digest(&policies);
        Ok(Self { policies, datasets, places, digest })
    }

    /// The policies, in the order of their datasets' names.
    pub fn policies(&self) -> impl ExactSizeIterator<Item = &Policy> {
        self.policies.values()
    }

    /// The policy of a resident dataset.
    pub fn policy(&self, dataset: &DatasetName) -> Option<&Policy> {
        self.policies.get(dataset)
    }

    /// How the home of the dataset's rows is found; `None` where there is no such dataset.
    pub fn residency(&self, dataset: &DatasetName) -> Option<&Residency> {
        match self.datasets.get(dataset)? {
            (_, true) => Some(&Residency::Reference),
            (_, false) => self.policies.get(dataset).map(|policy| &policy.residency),
        }
    }

    /// The regions where rows of the dataset live, its parents' homes where it follows one; empty for reference
    /// data.
    pub fn homes(&self, dataset: &DatasetName) -> BTreeSet<RegionId> {
        self.root(dataset).map(|root| root.residency.regions()).unwrap_or_default()
    }

    /// The dataset whose rows are the entities of this one (`customer` for `lineitem`, and for itself); `None` for
    /// reference data.
    pub fn entity_root(&self, dataset: &DatasetName) -> Option<&DatasetName> {
        self.root(dataset).map(|root| &root.dataset)
    }

    /// Whether the two columns are the two ends of a `follows`: a join on their equality stays within one entity
    /// and one region.
    pub fn is_follows_join(&self, one: &ColumnUse, other: &ColumnUse) -> bool {
        self.refers_to(one, other) || self.refers_to(other, one)
    }

    /// Every region that a policy names: as a home, or in a clause.
    pub fn regions(&self) -> BTreeSet<RegionId> {
        let named = |policy: &Policy| {
            let clauses = policy.allow.iter().flat_map(|clause| clause.from.union(&clause.to).cloned());
            policy.residency.regions().into_iter().chain(clauses.collect::<Vec<_>>())
        };
        self.policies.values().flat_map(named).collect()
    }

    /// The digest of all policies, whatever the order of their files.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Whether the fragment may cross the border. What no clause admits may not; a fragment that stays in its
    /// region, or reads reference data only, needs no clause.
    ///
    /// # Errors
    /// The denial, with every column that stands in the way.
    pub fn judge(&self, facts: &FragmentFacts, border: &Border<'_>) -> Result<Verdict, Box<Denial>> {
        judge::judge(self, facts, border)
    }

    pub(crate) fn places(&self, dataset: &DatasetName) -> Option<&Places> {
        self.places.get(dataset)
    }

    pub(crate) fn datasets(&self) -> &BTreeMap<DatasetName, (Dataset, bool)> {
        &self.datasets
    }

    pub(crate) fn schema(&self, dataset: &DatasetName) -> Option<&Dataset> {
        self.datasets.get(dataset).map(|(schema, _)| schema)
    }

    fn root(&self, dataset: &DatasetName) -> Option<&Policy> {
        follows::root(&self.policies, dataset).ok().flatten()
    }

    fn refers_to(&self, child: &ColumnUse, parent: &ColumnUse) -> bool {
        let Some(Residency::Follows { dataset, column }) = self.residency(&child.dataset) else { return false };
        let key = self.schema(dataset).map(|schema| schema.primary_key.as_slice());
        *dataset == parent.dataset
            && *column == child.column
            && key.is_some_and(|key| key == std::slice::from_ref(&parent.column))
    }
}

fn described<'a>(
    datasets: &'a BTreeMap<DatasetName, (Dataset, bool)>,
    source: Source<'_>,
    raw: &RawPolicy,
) -> Result<&'a Dataset, PolicyError> {
    let dataset = dataset_of(raw).clone();
    match datasets.get(&dataset) {
        Some((schema, false)) => Ok(schema),
        Some((_, true)) => Err(PolicyError::ReferencePolicy { at: source.at(&raw.dataset), dataset }),
        None => {
            let nearest = nearest(dataset.as_str(), datasets.keys().map(DatasetName::as_str)).map(str::to_owned);
            Err(PolicyError::UnknownDataset { at: source.at(&raw.dataset), dataset, nearest })
        }
    }
}

fn digest(policies: &BTreeMap<DatasetName, Policy>) -> Digest {
    let mut hasher = Sha256::new();
    for policy in policies.values() {
        hasher.update(policy.digest.0);
    }
    Digest(hasher.finalize().into())
}
