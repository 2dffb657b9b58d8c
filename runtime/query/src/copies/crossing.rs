//! Rows on their way into copies: what the home lets leave, with its receipt, and what a copy takes.

use std::collections::BTreeSet;

use domicile_policy::{Border, ColumnUse, Form, FragmentFacts, Verdict};
use domicile_types::{RegionId, ReplicationSet, Vector};
use domicile_wire::WireError;
use domicile_wire::client::now_unix_ms;
use domicile_wire::receipt::{Receipt, SignedReceipt, sha256};

use crate::QueryError;
use crate::catalog::Catalog;
use crate::crossing::clauses;
use crate::region::Region;

/// How receipts name what copies are made of.
const FORM: &str = "replicate";

/// The terms under which a region may keep copies of the rows of a set; none where it may not. Whether both stand under
/// one law is not looked at.
pub(crate) fn permission(catalog: &Catalog, set: &ReplicationSet, to: &RegionId, today: i32) -> Option<Verdict> {
    let from = set.home.as_ref()?;
    let border = Border { from, to, purpose: None, today };
    let verdict = catalog.policies().judge(&whole(catalog, set)?, &border).ok()?;
    let as_they_are = verdict.form == Form::Rows && verdict.masks.is_empty() && !verdict.clauses.is_empty();
    as_they_are.then_some(verdict)
}

/// All columns of all datasets of a set.
fn whole(catalog: &Catalog, set: &ReplicationSet) -> Option<FragmentFacts> {
    let mut outputs = Vec::new();
    for dataset in &set.datasets {
        let columns = &catalog.spec(dataset.as_str()).ok()?.dataset.columns;
        outputs
            .extend(columns.iter().map(|column| ColumnUse { dataset: dataset.clone(), column: column.name.clone() }));
    }
    Some(FragmentFacts {
        datasets: set.datasets.clone(),
        form: Form::Rows,
        outputs,
        group_by: Vec::new(),
        measures: Vec::new(),
        filters: Vec::new(),
        functions: BTreeSet::new(),
        plugins: BTreeSet::new(),
    })
}

/// What a region asks of a home: the rows of a set that its copies lack.
#[derive(Debug, Clone, Copy)]
pub struct CopyQuestion<'q> {
    /// The set, which has a home.
    pub set: &'q ReplicationSet,
    /// What the copies have.
    pub have: &'q Vector,
    /// Who asks.
    pub to: &'q RegionId,
}

impl CopyQuestion<'_> {
    /// As the ledger keeps it.
    fn text(&self) -> String {
        let have: Vec<String> = self.have.iter().map(|(origin, seq)| format!("{origin}:{seq}")).collect();
        let after = if have.is_empty() { "the start".to_owned() } else { have.join(", ") };
        format!("entries of replication set `{}` after {after}", self.set.name)
    }

    fn id(&self) -> String {
        format!("replication:{}", self.set.name)
    }
}

impl Region {
    /// Whether rows that live here may leave for another region's copies now: by the policies of this very moment, and
    /// because both stand under one law.
    pub fn may_copy(&self, set: &ReplicationSet, to: &RegionId) -> bool {
        self.terms_of_copy(set, to).is_some()
    }

    fn terms_of_copy(&self, set: &ReplicationSet, to: &RegionId) -> Option<Verdict> {
        let gives = set.home.as_ref() == Some(&self.id) && *to != self.id && set.regions.contains(to);
        let law = gives && self.share_law(&self.id, to);
        law.then(|| permission(&self.catalog(), set, to, self.today())).flatten()
    }

    /// Writes the receipt of bytes that leave for another region's copies; none where they may not.
    ///
    /// # Errors
    /// Where the ledger cannot be written: then nothing may leave.
    pub async fn copy_receipt(
        &self,
        asked: CopyQuestion<'_>,
        rows: u64,
        body: &[u8],
    ) -> Result<Option<SignedReceipt>, QueryError> {
        let Some(verdict) = self.terms_of_copy(asked.set, asked.to) else { return Ok(None) };
        let catalog = self.catalog();
        let columns = whole(&catalog, asked.set).map(|facts| facts.outputs).unwrap_or_default();
        let draft = Receipt {
            sequence: 0,
            previous: String::new(),
            at_unix_ms: now_unix_ms(),
            query_id: asked.id(),
            from: self.id.to_string(),
            to: asked.to.to_string(),
            client: None,
            home: None,
            form: FORM.to_owned(),
            datasets: asked.set.datasets.iter().map(ToString::to_string).collect(),
            columns: columns.iter().map(ToString::to_string).collect(),
            clauses: clauses(&verdict).collect(),
            purpose: None,
            plugins: Vec::new(),
            minimum_entities: 0,
            epsilon_millionths: None,
            rows_released: rows,
            groups_suppressed: 0,
            bytes: body.len() as u64,
            body_sha256: sha256(body).to_string(),
            question_sha256: String::new(),
        };
        let question = asked.text();
        let receipt = self.ledger.run(move |ledger| ledger.record(draft, question)).await??;
        tracing::info!(set = %asked.set.name, to = %asked.to, bytes = body.len(), rows, "copied");
        Ok(Some(receipt))
    }

    /// Checks that rows for the copies here came with a receipt for just these bytes, and notes it.
    ///
    /// # Errors
    /// Names the first thing that does not fit.
    pub fn check_copy(
        &self,
        asked: CopyQuestion<'_>,
        signed: Option<&SignedReceipt>,
        body: &[u8],
    ) -> Result<(), QueryError> {
        let home = asked.set.home.clone().unwrap_or_else(|| self.id.clone());
        let invalid = |detail: &str| WireError::Receipt { region: home.clone(), detail: detail.to_owned() };
        let signed = signed.ok_or_else(|| invalid("there is none"))?;
        signed.verify().map_err(|error| invalid(&error.to_string()))?;
        let receipt = &signed.receipt;
        let checks = [
            (receipt.from == home.as_str(), "it names another source"),
            (receipt.to == asked.to.as_str(), "it names another destination"),
            (receipt.form == FORM && receipt.query_id == asked.id(), "it is for something else"),
            (receipt.question_sha256 == sha256(asked.text().as_bytes()).to_string(), "it is for another question"),
            (receipt.bytes == body.len() as u64, "it covers another number of bytes"),
            (receipt.body_sha256 == sha256(body).to_string(), "it covers other bytes"),
        ];
        match checks.into_iter().find(|(holds, _)| !holds) {
            Some((_, detail)) => Err(invalid(detail).into()),
            None => {
                self.heads.note(signed);
                Ok(())
            }
        }
    }
}
