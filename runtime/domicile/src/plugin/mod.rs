//! `domicile plugin`.

mod key;
mod logs;
mod show;

use std::path::Path;

use domicile_types::limits::PLUGIN_BYTES_MAX;
use domicile_wire::api::header as headers;
use domicile_wire::client::full;
use domicile_wire::content_digest::content_digest;
use domicile_wire::receipt::sha256;
use domicile_wire::signature::{Envelope, PluginStatement};
use http::{HeaderMap, Method};
use serde_json::{Value, json};

use crate::args::{DeployOf, PluginVerb};
use crate::author;
use crate::edge::{Edge, header};
use crate::output::{Failure, Output};

pub(crate) use key::read as read_key;

/// What stands for no version on the command line.
const NONE: &str = "none";

pub(crate) async fn run(edge: &Edge, output: Output, verb: PluginVerb) -> Result<(), Failure> {
    match verb {
        PluginVerb::Key(verb) => key::run(output, &verb),
        PluginVerb::Deploy(of) => {
            let answer = deploy(edge, of).await?;
            output.show(&answer, || show::deployed(&answer));
            Ok(())
        }
        PluginVerb::Author(verb) => tokio::task::block_in_place(|| author::run(output, verb)),
        PluginVerb::List => {
            let answer = edge.get("/v1/plugins").await?;
            output.show(&answer, || show::listed(&answer));
            Ok(())
        }
        PluginVerb::Status { name } => {
            let mut answer = edge.get(&path(&name, "")).await?;
            answer["metrics"] = edge.get(&path(&name, "/metrics")).await?["versions"].take();
            output.show(&answer, || show::status(&answer));
            Ok(())
        }
        PluginVerb::Promote { name, version } => {
            change(edge, output, &name, "promote", json!({"version": version})).await
        }
        PluginVerb::Rollback { name } => change(edge, output, &name, "rollback", json!({})).await,
        PluginVerb::Canary { name, version, percent } => {
            let version = Some(version).filter(|version| version != NONE);
            change(edge, output, &name, "canary", json!({"version": version, "percent": percent})).await
        }
        PluginVerb::Shadow { name, version: Some(version) } => {
            let version = Some(version).filter(|version| version != NONE);
            change(edge, output, &name, "shadow", json!({"version": version})).await
        }
        PluginVerb::Shadow { name, version: None } => {
            let answer = edge.get(&path(&name, "/shadow")).await?;
            output.show(&answer, || show::shadow(&answer));
            Ok(())
        }
        PluginVerb::Logs { name, version, follow } => logs::run(edge, output, &name, version, follow).await,
        PluginVerb::Delete { name, version } => {
            let path = path(&name, &format!("/versions/{}", part(&version)));
            let answer = edge.json(Method::DELETE, &path, HeaderMap::new(), full("")).await?;
            output.show(&answer, || show::deleted(&answer));
            Ok(())
        }
    }
}

fn part(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

fn path(name: &str, rest: &str) -> String {
    format!("/v1/plugins/{}{rest}", part(name))
}

async fn change(edge: &Edge, output: Output, name: &str, what: &str, body: Value) -> Result<(), Failure> {
    let mut headers = HeaderMap::new();
    header(&mut headers, "content-type", "application/json")?;
    let answer = edge.json(Method::POST, &path(name, &format!("/{what}")), headers, full(body.to_string())).await?;
    output.show(&answer, || show::released(&answer));
    Ok(())
}

async fn deploy(edge: &Edge, of: DeployOf) -> Result<Value, Failure> {
    let wasm = component(&of.file)?;
    let mut headers = HeaderMap::new();
    header(&mut headers, "content-type", "application/wasm")?;
    header(&mut headers, headers::CONTENT_DIGEST, &content_digest(&wasm))?;
    if let Some(file) = &of.key {
        let statement =
            PluginStatement { name: of.name.clone(), version: of.version.clone(), sha256: sha256(&wasm).to_string() };
        let envelope = Envelope::sign(&statement, &key::read(file)?);
        header(&mut headers, headers::SIGNATURE, &envelope.to_header())?;
    }
    let promote = if of.promote { "?promote=true" } else { "" };
    let path = path(&of.name, &format!("/versions/{}{promote}", part(&of.version)));
    edge.json(Method::PUT, &path, headers, full(wasm)).await
}

fn component(file: &Path) -> Result<Vec<u8>, Failure> {
    let wasm = std::fs::read(file).map_err(|e| Failure::usage(format!("{}: {e}", file.display())))?;
    if wasm.len() > PLUGIN_BYTES_MAX {
        let message = format!("{} is larger than the limit of {PLUGIN_BYTES_MAX} bytes", file.display());
        return Err(Failure::usage(message));
    }
    Ok(wasm)
}
