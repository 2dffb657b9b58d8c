//! `domicile plugin`.

use domicile_types::limits::PLUGIN_BYTES_MAX;
use domicile_wire::client::full;
use http::{HeaderMap, Method};
use serde_json::Value;

use crate::args::PluginVerb;
use crate::edge::{Edge, header};
use crate::output::{Failure, Output, say, table, text};

pub(crate) async fn run(edge: &Edge, output: Output, verb: PluginVerb) -> Result<(), Failure> {
    match verb {
        PluginVerb::Deploy { file, name, version } => {
            let wasm = std::fs::read(&file).map_err(|e| Failure::usage(format!("{}: {e}", file.display())))?;
            if wasm.len() > PLUGIN_BYTES_MAX {
                let message = format!("{} is larger than the limit of {PLUGIN_BYTES_MAX} bytes", file.display());
                return Err(Failure::usage(message));
            }
            let mut headers = HeaderMap::new();
            header(&mut headers, "content-type", "application/wasm")?;
            let part = |part: &str| url::form_urlencoded::byte_serialize(part.as_bytes()).collect::<String>();
            let path = format!("/v1/plugins/{}/versions/{}", part(&name), part(&version));
            let answer = edge.json(Method::PUT, &path, headers, full(wasm)).await?;
            output.show(&answer, || deployed(&answer));
        }
        PluginVerb::List => {
            let answer = edge.get("/v1/plugins").await?;
            output.show(&answer, || listed(&answer));
        }
    }
    Ok(())
}

fn entries(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn deployed(answer: &Value) {
    let regions: Vec<String> = entries(&answer["active_in"]).map(text).collect();
    let [name, version, sha256] = ["name", "version", "sha256"].map(|key| text(&answer[key]));
    say!("{name} {version} (sha256 {sha256}) is active in {}", regions.join(", "));
    entries(&answer["provides"]).for_each(|provided| say!("  {}", text(provided)));
    for pending in entries(&answer["pending_in"]) {
        say!("  pending in {}: {}", text(&pending["region"]), text(&pending["reason"]));
    }
}

fn listed(answer: &Value) {
    let provides = |plugin: &Value| entries(&plugin["provides"]).map(text).collect::<Vec<_>>().join("; ");
    let row = |plugin: &Value| {
        let mut row: Vec<String> = ["name", "version", "world"].iter().map(|key| text(&plugin[*key])).collect();
        row.push(provides(plugin));
        row
    };
    let rows: Vec<Vec<String>> = entries(&answer["plugins"]).map(row).collect();
    table(&["plugin", "version", "world", "provides"].map(str::to_owned), &rows);
}
