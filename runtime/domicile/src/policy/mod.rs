//! `domicile policy`.

mod files;

use std::path::{Path, PathBuf};

use domicile_config::{SIGNATURE_SUFFIX, load_region};
use domicile_policy::{Date, PolicyHead};
use domicile_query::{PolicyTrust, policy_functions};
use domicile_wire::client::{full, now_unix_ms};
use domicile_wire::signature::{Envelope, PolicyStatement, public_key_text};
use http::{HeaderMap, Method};
use serde_json::{Value, json};

use crate::args::PolicyVerb;
use crate::edge::Edge;
use crate::output::{Failure, Output, say, table, text};
use crate::plugin::read_key;

pub(crate) use files::{check_known, load, source, verifying_keys};

use files::load_trusting;

/// Digits of a digest that tell policies apart at a glance.
const DIGEST_DIGITS: usize = 12;

pub(crate) async fn run(edge: &Edge, output: Output, verb: PolicyVerb) -> Result<(), Failure> {
    match verb {
        PolicyVerb::Check { config, unsigned } => check(output, &config, unsigned),
        PolicyVerb::Sign { files, key } => sign(output, &files, &key),
        PolicyVerb::List => {
            let answer = edge.get("/v1/policies").await?;
            output.show(&answer, || listed(&answer));
            Ok(())
        }
        PolicyVerb::Reload => {
            let answer = edge.json(Method::POST, "/v1/policies/reload", HeaderMap::new(), full("")).await?;
            output.show(&answer, || reloaded(&answer));
            Ok(())
        }
    }
}

fn check(output: Output, config: &Path, unsigned: bool) -> Result<(), Failure> {
    let files = load_region(config).map_err(anyhow::Error::from)?;
    let signed = if unsigned { load_trusting(&files, &PolicyTrust::default())? } else { load(&files)? };
    check_known(config, &files, &signed.set)?;
    let policies = signed.set.explain();
    let signed_by = |dataset: &str| {
        let signed_by = signed.signed_by.iter().find(|(name, _)| name.as_str() == dataset);
        signed_by.map(|(_, key)| key.as_str())
    };
    let shown = policies.iter().map(|policy| {
        let mut shown = serde_json::to_value(policy).unwrap_or_default();
        shown["signed_by"] = json!(signed_by(&policy.dataset));
        shown
    });
    let (file, region) = (config.display().to_string(), files.config.id.as_str());
    let functions = policy_functions();
    let notices = signed.set.notices(Date::of_unix_ms(now_unix_ms()), &functions);
    let notices: Vec<String> = notices.iter().map(ToString::to_string).collect();
    let policies_shown: Vec<Value> = shown.collect();
    let told = json!({
        "ok": true, "file": file, "region": region, "policies": policies_shown, "notices": notices,
    });
    output.show(&told, || {
        for (number, policy) in policies.iter().enumerate() {
            if number > 0 {
                say!("");
            }
            say!("{policy}");
            if let Some(key) = signed_by(&policy.dataset) {
                say!("  Signed by {key}.");
            }
        }
        notices.iter().for_each(|notice| say!("\nIs this meant? {notice}"));
    });
    Ok(())
}

/// Writes the signature of each file beside it. All are read before one is signed.
fn sign(output: Output, files: &[PathBuf], key: &Path) -> Result<(), Failure> {
    let key = read_key(key)?;
    let public = public_key_text(&key.verifying_key());
    let read = |file: &PathBuf| {
        let shown = file.display().to_string();
        let text = std::fs::read_to_string(file).map_err(|e| Failure::usage(format!("{shown}: {e}")))?;
        let head = PolicyHead::read(&shown, &text).map_err(anyhow::Error::from)?;
        Ok((shown, head))
    };
    let heads = files.iter().map(read).collect::<Result<Vec<_>, Failure>>()?;
    let mut signed = Vec::with_capacity(heads.len());
    for (file, head) in heads {
        let (dataset, sha256) = (head.dataset.to_string(), head.digest.to_string());
        let statement = PolicyStatement { dataset, version: head.version, sha256 };
        let signature = format!("{file}{SIGNATURE_SUFFIX}");
        let written = std::fs::write(&signature, Envelope::sign(&statement, &key).to_json());
        written.map_err(|e| Failure::usage(format!("{signature}: {e}")))?;
        signed.push(json!({
            "file": file, "signature": signature, "dataset": statement.dataset, "version": statement.version,
            "sha256": statement.sha256,
        }));
    }
    output.show(&json!({"signed_by": public, "signed": signed}), || {
        for one in &signed {
            let [file, dataset] = ["signature", "dataset"].map(|key| text(&one[key]));
            say!("{file}: version {} of the policy of `{dataset}`, signed by {public}", one["version"]);
        }
    });
    Ok(())
}

fn listed(answer: &Value) {
    let digits = |policy: &Value| text(&policy["sha256"]).chars().take(DIGEST_DIGITS).collect();
    let signed_by = |policy: &Value| policy["signed_by"].as_str().unwrap_or("nobody").to_owned();
    let row =
        |policy: &Value| vec![text(&policy["dataset"]), text(&policy["version"]), digits(policy), signed_by(policy)];
    let rows: Vec<Vec<String>> = answer["policies"].as_array().into_iter().flatten().map(row).collect();
    table(&["dataset", "version", "sha256", "signed by"].map(str::to_owned), &rows);
}

fn reloaded(answer: &Value) {
    let region = text(&answer["region"]);
    let changed = answer["changed"].as_array().map(Vec::as_slice).unwrap_or_default();
    if changed.is_empty() {
        say!("{region}: the policy files are those in force");
        return;
    }
    for change in changed {
        let dataset = text(&change["dataset"]);
        say!("{region}: policy of `{dataset}`: version {} instead of {}", change["to_version"], change["from_version"]);
    }
    let in_force = answer["policies"].as_array().map_or(0, Vec::len);
    match in_force.saturating_sub(changed.len()) {
        0 => {}
        1 => say!("{region}: the other policy is unchanged"),
        others => say!("{region}: the other {others} policies are unchanged"),
    }
}
