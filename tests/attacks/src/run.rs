//! Running the steps of an attack in one world.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, anyhow, bail, ensure};
use domicile_harness::peer::{self, Way};
use domicile_harness::{Cluster, Edge, Response};
use serde_json::{Value, json};

use crate::case::{Attack, Forged, Step};
use crate::files::header_row;
use crate::infer::{infer, plain};
use crate::transcript::{Back, Transcript};
use crate::world::{Side, World};

/// The edge that attackers ask, and the region that the rows live in.
const ATTACKER: &str = "us-east";
const HOME: &str = "eu-central";
/// Where attackers stand, and what they may do.
const ANALYST: &str = "--in US --role query";

/// Runs attacks against one cluster.
#[derive(Debug)]
pub struct Runner<'c> {
    cluster: &'c Cluster,
    fragments: AtomicU64,
    /// Tokens by what they say.
    tokens: Mutex<BTreeMap<String, String>>,
    /// What plain questions of controls gave, by dataset, purpose and text: many controls ask the same.
    known: Mutex<BTreeMap<[String; 3], Response>>,
}

/// One run: the datasets of one side, one purpose, one tenant.
struct Run<'r> {
    runner: &'r Runner<'r>,
    tenant: &'r str,
    purpose: &'r str,
    side: Side,
    so_far: Transcript,
}

impl<'c> Runner<'c> {
    /// A runner over loaded regions.
    pub fn new(cluster: &'c Cluster) -> Self {
        Self { cluster, fragments: AtomicU64::new(0), tokens: Mutex::default(), known: Mutex::default() }
    }

    /// What the steps give over the datasets of `instance`, asked by `tenant`. What one tenant was given of a dataset
    /// bears upon what it is given next.
    ///
    /// # Errors
    /// Where a step cannot be done at all. That it is refused is no error.
    pub fn run(
        &self,
        attack: &Attack,
        control: bool,
        (instance, tenant): (&str, &str),
        side: Side,
    ) -> Result<Transcript> {
        let variant = attack.variant(control);
        let so_far = Transcript { dataset: World::dataset(instance, side), steps: Vec::new() };
        let mut run = Run { runner: self, tenant, purpose: variant.purpose, side, so_far };
        for (name, step) in variant.steps()? {
            let response = if control && !attack.fresh { run.known_step(&step) } else { run.step(&step) };
            let response = response.with_context(|| format!("step `{name}`; {}", self.log_tail()))?;
            run.so_far.steps.push((name, Back::new(response)));
        }
        Ok(run.so_far)
    }

    /// What the attacker's edge logged last: where it gave no answer, that says why.
    fn log_tail(&self) -> String {
        const LINES: usize = 8;
        let log = self.cluster.log(ATTACKER).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        format!("{ATTACKER} logged\n{}", lines[lines.len().saturating_sub(LINES)..].join("\n"))
    }

    /// Checks that a harmless question is answered under guard: where nothing is, nothing leaks.
    ///
    /// # Errors
    /// Where it is not.
    pub fn check_answered(&self, instance: &str) -> Result<()> {
        let edge = self.cluster.edge(ATTACKER).with_token(&self.token(ANALYST, "harmless")?);
        for side in Side::BOTH {
            let sql = format!("SELECT count(*) AS persons FROM {}", World::dataset(instance, side));
            let answer = edge.query_with(&sql, &[("Purpose", "guarded")])?.answer()?;
            ensure!(answer.sum("persons")? > 0.0, "{sql}: {:?}", answer.rows());
        }
        Ok(())
    }

    /// A token for a client, made once.
    fn token(&self, client: &str, tenant: &str) -> Result<String> {
        let named = if client.contains("--subject") { "" } else { " --subject attacker" };
        let of_tenant = if client.contains("--tenant") { String::new() } else { format!(" --tenant {tenant}") };
        let arguments = format!("{client}{named}{of_tenant}");
        remembered(&self.tokens, arguments, |arguments| {
            self.cluster.token(&arguments.split_whitespace().collect::<Vec<_>>())
        })
    }
}

/// What was made for `key` once, or is now.
fn remembered<K: Ord, V: Clone>(
    known: &Mutex<BTreeMap<K, V>>,
    key: K,
    make: impl FnOnce(&K) -> Result<V>,
) -> Result<V> {
    let locked = || known.lock().map_err(|_| anyhow!("another thread panicked"));
    if let Some(value) = locked()?.get(&key) {
        return Ok(value.clone());
    }
    let value = make(&key)?;
    locked()?.insert(key, value.clone());
    Ok(value)
}

impl Run<'_> {
    /// As [`Run::step`], where what the tenant was given before does not matter.
    fn known_step(&self, step: &Step) -> Result<Response> {
        let plain = Step { sql: step.sql.clone(), ..Step::default() };
        match &step.sql {
            Some(sql) if *step == plain && self.purpose.starts_with("without-") && !sql.contains("{=") => {
                let key = [self.so_far.dataset.clone(), self.purpose.to_owned(), sql.clone()];
                remembered(&self.runner.known, key, |_| self.step(step))
            }
            _ => self.step(step),
        }
    }

    fn step(&self, step: &Step) -> Result<Response> {
        let body = if self.side == Side::B { step.body_b.as_ref().or(step.body.as_ref()) } else { step.body.as_ref() };
        let body = body.map(|body| self.filled(body)).transpose()?.unwrap_or_default();
        let mut headers = Vec::new();
        for (name, value) in &step.headers {
            headers.push((name.as_str(), self.filled(value)?));
        }
        let purpose = step.purpose.as_deref().unwrap_or(self.purpose);
        if !purpose.is_empty() && step.store.is_none() && step.delete.is_none() {
            headers.push(("Purpose", purpose.to_owned()));
        }
        let rows = step.store.as_ref().map(|dataset| ("POST", dataset)).or(step.delete.as_ref().map(|d| ("DELETE", d)));
        if rows.is_some() {
            headers.push(("Content-Type", "text/csv".to_owned()));
        }
        // Of other regions the attacker wants nothing, unless the step says so.
        if step.sql.is_some() && !step.headers.contains_key("Data-Region") {
            headers.push(("Data-Region", HOME.to_owned()));
        }
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        if let Some(sql) = &step.sql {
            self.edge(step, ATTACKER)?.query_with(&self.filled(sql)?, &headers)
        } else if let Some((method, dataset)) = rows {
            let dataset = self.filled(dataset)?;
            let header = if method == "POST" { header_row(&dataset) } else { String::new() };
            self.edge(step, HOME)?.rows(method, &dataset, &headers, (header + &body).as_bytes())
        } else if let Some(path) = &step.path {
            let method = step.method.as_deref().unwrap_or("GET");
            self.edge(step, ATTACKER)?.send(method, &self.filled(path)?, &headers, body.as_bytes())
        } else if let Some(forged) = &step.fragment {
            self.fragment(forged, purpose, self.token(step)?)
        } else {
            bail!("it does nothing")
        }
    }

    /// The token that a step is done with; none where nobody does it.
    fn token(&self, step: &Step) -> Result<Option<String>> {
        let own = match step.client.as_deref() {
            Some("nobody") => None,
            client => Some(self.runner.token(client.unwrap_or(ANALYST), self.tenant)?),
        };
        Ok(match &step.token {
            Some(other) => Some(other.replace("{token}", &own.unwrap_or_default())),
            None => own,
        })
    }

    fn edge(&self, step: &Step, default: &str) -> Result<Edge> {
        let edge = self.runner.cluster.edge(step.at.as_deref().unwrap_or(default));
        let stores = step.store.is_some() || step.delete.is_some();
        if step.client.as_deref() == Some("operator") || (stores && step.client.is_none()) {
            return Ok(edge);
        }
        Ok(match self.token(step)? {
            Some(token) => edge.with_token(&token),
            None => edge.without_token(),
        })
    }

    fn fragment(&self, forged: &Forged, purpose: &str, token: Option<String>) -> Result<Response> {
        let way = Way { from: forged.from.as_deref().unwrap_or(ATTACKER), to: forged.to.as_deref().unwrap_or(HOME) };
        let number = self.runner.fragments.fetch_add(1, Ordering::Relaxed);
        let mut fragment = json!({
            "query_id": format!("forged{number}"),
            "purpose": purpose,
            "plugins": [],
            "partial_of": null,
            "token": token,
            "timeout_ms": 30_000,
        });
        self.change(&mut fragment, &forged.with)?;
        let mut headers = peer::signature(self.runner.cluster, way, fragment.to_string().as_bytes())?;
        for (name, value) in headers.iter_mut() {
            if let Some(other) = forged.headers.get(*name) {
                other.clone_into(value);
            }
        }
        self.change(&mut fragment, &forged.later)?;
        let to = forged.sent_to.as_deref().unwrap_or(way.to);
        peer::deliver(self.runner.cluster, to, &headers, fragment.to_string().as_bytes())
    }

    fn change(&self, fragment: &mut Value, members: &toml::Table) -> Result<()> {
        for (name, value) in members {
            let value = serde_json::to_value(value)?;
            fragment[name] = match value.as_str() {
                // What a TOML file cannot say.
                Some("null") => Value::Null,
                Some(text) => self.filled(text)?.into(),
                None => value,
            };
        }
        Ok(())
    }

    /// The text with the dataset's name, and with what was concluded so far, in their places.
    fn filled(&self, text: &str) -> Result<String> {
        let mut filled = text.replace("{t}", &self.so_far.dataset);
        while let Some((before, rest)) = filled.split_once("{=") {
            let (expression, after) = rest.split_once('}').context("`{=` without its `}`")?;
            let value = plain(&infer(expression, &self.so_far)?).unwrap_or_else(|| "nothing".to_owned());
            filled = format!("{before}{value}{after}");
        }
        Ok(filled)
    }
}
