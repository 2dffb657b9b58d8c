//! The owner of the policies in force: one change at a time, and each of all files together.

use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use domicile_policy::Succession;

use crate::QueryError;
use crate::catalog::Catalog;
use crate::policies::SignedPolicies;
use crate::policies::versions::VersionFile;

/// Reads and checks all policy files of a region, as at its start.
pub type PolicySource = Box<dyn FnMut() -> Result<SignedPolicies, QueryError> + Send>;

/// Lets new policies take the place of those in force.
pub(crate) struct PolicyKeeper {
    source: PolicySource,
    versions: VersionFile,
    current: Arc<ArcSwap<Catalog>>,
}

impl PolicyKeeper {
    /// The keeper of what is in force in `current`; `data_dir` remembers their versions.
    ///
    /// # Errors
    /// Where one of them is earlier than one that was in force before.
    pub(crate) fn open(
        source: PolicySource,
        data_dir: &Path,
        current: Arc<ArcSwap<Catalog>>,
    ) -> Result<Self, QueryError> {
        let versions = VersionFile(data_dir.join("policies.json"));
        versions.advance(current.load().signed_policies())?;
        Ok(Self { source, versions, current })
    }

    /// What changed, and the catalog that has it. Questions that run keep the one that they began with.
    ///
    /// # Errors
    /// Where the files are refused, or cannot follow those in force; then nothing changed.
    pub(crate) fn reload(&mut self) -> Result<(Vec<Succession>, Arc<Catalog>), QueryError> {
        let next = (self.source)()?;
        let current = self.current.load_full();
        let changed = next.set.succeeding(current.policies());
        let changed = changed.map_err(|error| QueryError::PoliciesRefused { detail: error.to_string() })?;
        self.versions.advance(&next)?;
        let next = Arc::new(current.with_policies(next));
        self.current.store(Arc::clone(&next));
        Ok((changed, next))
    }
}
