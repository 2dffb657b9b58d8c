//! Receipts of what crosses a border: written before a byte leaves, and checked before one is used.

use std::collections::BTreeSet;

use domicile_policy::{FragmentFacts, Verdict};
use domicile_types::{QueryId, RegionId};
use domicile_wire::api::PluginPin;
use domicile_wire::client::now_unix_ms;
use domicile_wire::receipt::{ClauseRecord, ClientRecord, PluginRecord, Receipt, SignedReceipt, sha256};
use domicile_wire::{WireError, frame};

use crate::QueryError;
use crate::admit::admit_again;
use crate::client::Destination;
use crate::region::Region;
use crate::remote::{Done, Question};

/// What was done as bytes that may leave, with their receipt. What the policies forbid by now does not leave.
///
/// # Errors
/// Where the policies have changed meanwhile, or the ledger cannot be written.
pub(crate) async fn seal(
    region: &Region,
    destination: &Destination,
    query: &str,
    question: Question<'_>,
    mut done: Done,
) -> Result<(Vec<u8>, SignedReceipt, Done), QueryError> {
    let body = frame::encode(&done.released.schema, &done.released.batches)?;
    let (then, now, today) = (question.catalog, region.catalog(), region.today());
    done.admitted = admit_again(done.admitted, then, &now, &region.id, destination, question.purpose, today)?;
    let receipt = receipt(region, destination, query, question, &done, &body).await?;
    Ok((body, receipt, done))
}

/// Writes the receipt of `body`, which holds what was done, to this region's ledger.
async fn receipt(
    region: &Region,
    destination: &Destination,
    query: &str,
    question: Question<'_>,
    done: &Done,
    body: &[u8],
) -> Result<SignedReceipt, QueryError> {
    let draft = draft(region, destination, query, question, done, body);
    let sql = question.sql.to_owned();
    let receipt = region.ledger.run(move |ledger| ledger.record(draft, sql)).await??;
    let Done { released, .. } = done;
    let (tenant, groups, suppressed) = (destination.tenant(), released.rows, released.suppressed);
    tracing::info!(bytes = body.len(), groups, suppressed, tenant, "released");
    Ok(receipt)
}

fn draft(
    region: &Region,
    destination: &Destination,
    query: &str,
    question: Question<'_>,
    done: &Done,
    body: &[u8],
) -> Receipt {
    let facts = &done.admitted.fragment.facts;
    let columns = facts.outputs.iter().chain(&facts.group_by).chain(&facts.measures).chain(&facts.filters);
    let columns: BTreeSet<String> = columns.map(ToString::to_string).collect();
    let verdict = done.admitted.verdict.as_ref();
    Receipt {
        sequence: 0,
        previous: String::new(),
        at_unix_ms: now_unix_ms(),
        query_id: query.to_owned(),
        from: region.id.to_string(),
        to: destination.label(&region.id),
        client: destination.client.record(),
        form: verdict.map_or(facts.form, |verdict| verdict.form).to_string(),
        datasets: facts.datasets.iter().map(ToString::to_string).collect(),
        columns: columns.into_iter().collect(),
        clauses: verdict.into_iter().flat_map(clauses).collect(),
        purpose: question.purpose.map(str::to_owned),
        plugins: made_by(question.pins, facts),
        minimum_entities: done.minimum_entities,
        epsilon_millionths: verdict.and_then(|verdict| Some(verdict.differential_privacy?.epsilon_millionths)),
        rows_released: done.released.rows,
        groups_suppressed: done.released.suppressed,
        bytes: body.len() as u64,
        body_sha256: sha256(body).to_string(),
        question_sha256: String::new(),
    }
}

/// The clauses of a verdict as receipts name them.
pub(crate) fn clauses(verdict: &Verdict) -> impl Iterator<Item = ClauseRecord> {
    verdict.clauses.iter().map(|clause| ClauseRecord {
        dataset: clause.dataset.to_string(),
        clause: clause.clause.clone(),
        policy_version: u64::from(clause.policy_version),
        policy_sha256: clause.policy_digest.to_string(),
        legal_basis: clause.legal_basis.clone(),
    })
}

/// The plugins whose own bytes are in what crossed.
fn made_by(pins: &[PluginPin], facts: &FragmentFacts) -> Vec<PluginRecord> {
    let approved = |pin: &&PluginPin| facts.plugins.iter().any(|digest| digest.to_string() == pin.sha256);
    pins.iter().filter(approved).map(record).collect()
}

fn record(pin: &PluginPin) -> PluginRecord {
    PluginRecord { name: pin.name.clone(), sha256: pin.sha256.clone(), parameters: pin.parameters.clone() }
}

/// What a receipt has to be for.
#[derive(Debug)]
pub(crate) struct Crossing<'c> {
    pub(crate) from: &'c RegionId,
    pub(crate) to: &'c RegionId,
    pub(crate) client: Option<ClientRecord>,
    pub(crate) query: &'c QueryId,
    pub(crate) question: Question<'c>,
}

impl Crossing<'_> {
    /// Checks that the receipt is for exactly these bytes, this question, this border and this client, and that no code
    /// made the bytes that was not asked for, or not as it was asked for.
    ///
    /// # Errors
    /// Names the first thing that does not fit.
    pub(crate) fn check(&self, signed: &SignedReceipt, body: &[u8]) -> Result<(), WireError> {
        let invalid = |detail: String| WireError::Receipt { region: self.from.clone(), detail };
        signed.verify().map_err(|e| invalid(e.to_string()))?;
        let receipt = &signed.receipt;
        let question = sha256(self.question.sql.as_bytes()).to_string();
        let checks = [
            (receipt.from == self.from.as_str(), "it names another source"),
            (receipt.to == self.to.as_str(), "it names another destination"),
            (
                receipt.client == self.client,
                "it names another client, or other regions as those where the client stands; compare the \
                 `jurisdictions` of all regions in both regions' files",
            ),
            (receipt.query_id == self.query.as_str(), "it is for another query"),
            (receipt.question_sha256 == question, "it is for another question"),
            (receipt.bytes == body.len() as u64, "it covers another number of bytes"),
            (receipt.body_sha256 == sha256(body).to_string(), "it covers other bytes"),
        ];
        let failed = checks.into_iter().find(|(holds, _)| !holds);
        failed.map_or(Ok(()), |(_, detail)| Err(invalid(detail.to_owned())))?;
        self.check_plugins(receipt).map_err(invalid)
    }

    fn check_plugins(&self, receipt: &Receipt) -> Result<(), String> {
        let made_by = &receipt.plugins;
        let pinned: Vec<PluginRecord> = self.question.pins.iter().map(record).collect();
        if let Some(other) = made_by.iter().find(|record| !pinned.contains(record)) {
            let name = &other.name;
            return Err(format!("it names plugin `{name}` with other code or parameters than asked for"));
        }
        let named = |name: &str| made_by.iter().any(|record| record.name == name);
        let whole = self.question.partial_of.is_none_or(named);
        if whole { Ok(()) } else { Err("it does not name the plugin".to_owned()) }
    }
}
