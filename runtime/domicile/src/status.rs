//! `domicile region`, `domicile config` and `domicile secret`.

use std::io::ErrorKind;

use domicile_config::{ConfigError, RegionConfig, load_region, read_secret};
use serde_json::{Value, json};

use crate::args::{ConfigVerb, RegionVerb, SecretVerb};
use crate::edge::Edge;
use crate::output::{Failure, Output, say, table, text};
use crate::private_file;
use crate::serve::{check_receipt_key, client_trust, plugin_trust};
use crate::{peer_tls, policy, replication, together};

pub(crate) async fn region(edge: &Edge, output: Output, verb: &RegionVerb) -> Result<(), Failure> {
    let RegionVerb::Status = verb;
    let answer = edge.get("/v1/regions").await?;
    output.show(&answer, || {
        let row = |region: &Value| {
            let state = match (region["here"].as_bool(), region["reachable"].as_bool()) {
                (Some(true), _) => "this region".to_owned(),
                (_, Some(true)) => format!("{:.1} ms away", region["round_trip_ms"].as_f64().unwrap_or_default()),
                _ => format!("out of reach: {}", text(&region["reason"])),
            };
            vec![text(&region["region"]), state]
        };
        let rows: Vec<Vec<String>> = answer["regions"].as_array().into_iter().flatten().map(row).collect();
        table(&["region", "state"].map(str::to_owned), &rows);
    });
    Ok(())
}

pub(crate) fn config(output: Output, verb: &ConfigVerb) -> Result<(), Failure> {
    let ConfigVerb::Check { files } = verb;
    let mut checked = Vec::new();
    let regions = files.iter().map(|file| load_region(file)).collect::<Result<Vec<_>, _>>();
    let regions = regions.map_err(anyhow::Error::from)?;
    let all: Vec<&RegionConfig> = regions.iter().map(|region| &region.config).collect();
    for (file, region) in files.iter().zip(&regions) {
        let policies = policy::load(region)?.set;
        policy::check_known(file, region, &policies)?;
        replication::load(region)?;
        plugin_trust(&region.config.plugins).map_err(|e| e.context(file.display().to_string()))?;
        client_trust(&region.config).map_err(|e| e.context(file.display().to_string()))?;
        let mut problems = files_needed(&region.config);
        problems.extend(together::problems(&region.config, &all));
        let labels: Vec<String> = policies.policies().map(domicile_policy::Policy::label).collect();
        checked.push(json!({
            "file": file.display().to_string(), "region": region.config.id.as_str(),
            "datasets": region.datasets.len(), "peers": region.config.peers.len(), "policies": labels,
            "problems": problems,
        }));
    }
    let ok = checked.iter().all(|file| file["problems"].as_array().is_none_or(Vec::is_empty));
    output.show(&json!({"ok": ok, "files": checked}), || {
        for file in &checked {
            let [path, region] = ["file", "region"].map(|key| text(&file[key]));
            say!("{path}: region {region}, {} datasets, {} peers", file["datasets"], file["peers"]);
            file["policies"].as_array().into_iter().flatten().for_each(|policy| say!("  policy {}", text(policy)));
            let problems = file["problems"].as_array().into_iter().flatten();
            problems.for_each(|problem| say!("  not ready to start: {}", text(problem)));
        }
    });
    if ok { Ok(()) } else { Err(Failure::Shown) }
}

/// What keeps the region from starting in the files that its own file names beside datasets and policies: secrets,
/// certificates, and the key of its receipts once there is one. A sentence for each.
fn files_needed(config: &RegionConfig) -> Vec<String> {
    let own = (&config.secret_file, "this region".to_owned());
    let peers = config.peers.iter().map(|peer| (&peer.secret_file, format!("`{}`", peer.id)));
    let told = |(file, whose): (&std::path::PathBuf, String)| {
        let error = read_secret(file).err()?;
        Some(match error {
            ConfigError::Unreadable { path, source } if source.kind() == ErrorKind::NotFound => format!(
                "there is no {}, the secret of {whose}; put it there, or make one with `domicile secret new` where the \
                 region is new",
                path.display()
            ),
            error => format!("the secret of {whose}: {error}"),
        })
    };
    let mut problems: Vec<String> = std::iter::once(own).chain(peers).filter_map(told).collect();
    let certificates = config.tls.as_ref().map(|tls| peer_tls::load(&config.id, tls).map(drop));
    problems.extend(certificates.and_then(Result::err).map(|error| format!("{error:#}")));
    problems.extend(check_receipt_key(&config.data_dir).err().map(|error| format!("{error:#}")));
    problems
}

pub(crate) fn secret(output: Output, verb: &SecretVerb) -> Result<(), Failure> {
    let SecretVerb::New { file } = verb;
    let shown = file.display().to_string();
    let mut random = [0_u8; 32];
    getrandom::fill(&mut random).map_err(|e| Failure::usage(format!("no randomness: {e}")))?;
    let text: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    private_file::create(file, text.as_bytes(), "no region uses it")?;
    output.show(&json!({"file": shown}), || say!("{shown}: a new secret; give it to the other regions safely"));
    Ok(())
}
