//! Whose plugins run: signatures, checked in every region that a plugin comes to.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use domicile_harness::{Cli, Cluster, Options, Ran, Response, build};
use domicile_tests::check::problem;
use domicile_tests::wasm::same_again;
use domicile_tests::world::plugin;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// A key in a file.
struct Key {
    file: PathBuf,
    public: String,
}

fn key(binary: &Path, folder: &Path, name: &str) -> Result<Key> {
    let file = folder.join(name);
    let made = Cli::new(binary, "http://127.0.0.1:1").json(&["plugin", "key", "new", utf8(&file)?])?;
    let public = made.success()?.document()?["public_key"].as_str().context("no public key")?.to_owned();
    Ok(Key { file, public })
}

fn utf8(path: &Path) -> Result<&str> {
    path.to_str().context("a path that is not UTF-8")
}

/// Two regions that trust one key, a third that trusts another.
struct Signed {
    cluster: Cluster,
    ours: Key,
    theirs: Key,
    folder: tempfile::TempDir,
}

fn signed() -> Result<Signed> {
    let binary = build::binary(build::Profile::Dev)?;
    let folder = tempfile::tempdir()?;
    let (ours, theirs) = (key(&binary, folder.path(), "ours")?, key(&binary, folder.path(), "theirs")?);
    let trusted_keys = vec![
        ("eu-central", ours.public.clone()),
        ("us-east", ours.public.clone()),
        ("ap-south", theirs.public.clone()),
    ];
    let cluster = Cluster::for_test(&binary, &Options { trusted_keys, ..Options::default() })?;
    Ok(Signed { cluster, ours, theirs, folder })
}

impl Signed {
    fn deploy(&self, region: &str, version: &str, key: Option<&Key>) -> Result<Ran> {
        let mut arguments = vec!["plugin", "deploy", utf8(plugin("rfm")?)?, "--name", "rfm", "--version", version];
        if let Some(key) = key {
            arguments.extend(["--key", utf8(&key.file)?]);
        }
        self.cluster.cli(region).json(&arguments)
    }

    fn put(&self, version: &str, signature: &str, wasm: &[u8]) -> Result<Response> {
        let path = format!("/v1/plugins/rfm/versions/{version}");
        self.cluster.edge("us-east").send("PUT", &path, &[("Domicile-Signature", signature)], wasm)
    }

    /// The envelope that the region keeps with the version.
    fn envelope(&self) -> Result<Value> {
        let file = self.cluster.file("us-east").data_dir.join("plugins/registry.json");
        let kept: Value = serde_json::from_slice(&std::fs::read(file)?)?;
        Ok(kept["versions"][0]["envelope"].clone())
    }
}

#[track_caller]
fn refused(ran: &Ran, texts: &[&str]) -> Result<()> {
    let document = ran.document()?;
    assert_eq!((ran.code, &document["type"]), (1, &json!("/problems/signature-refused")), "{document}");
    let detail = document["detail"].as_str().unwrap_or_default();
    texts.iter().for_each(|text| assert!(detail.contains(text), "`{text}` is not in: {detail}"));
    Ok(())
}

#[test]
fn only_what_a_trusted_key_signed_runs() -> Result<()> {
    let world = signed()?;
    refused(&world.deploy("eu-central", "1.0.0", None)?, &["no signature", "trusted_keys", "--key"])?;
    refused(&world.deploy("eu-central", "1.0.0", Some(&world.theirs))?, &[&world.theirs.public, "does not trust"])?;
    let deployed = world.deploy("eu-central", "1.0.0", Some(&world.ours))?.success()?.document()?;
    assert_eq!(deployed["signed_by"], world.ours.public.as_str(), "{deployed}");
    assert_eq!(deployed["deployed_in"], json!(["eu-central", "us-east"]), "{deployed}");
    // The region that does not trust the key checks for itself.
    assert_eq!(deployed["pending_in"][0]["region"], "ap-south", "{deployed}");
    let reason = deployed["pending_in"][0]["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("does not trust") && reason.contains(&world.ours.public), "{reason}");
    assert!(!world.cluster.edge("ap-south").get("/v1/plugins")?.text().contains("1.0.0"));
    Ok(())
}

#[test]
fn a_signature_holds_for_one_name_version_and_component() -> Result<()> {
    let world = signed()?;
    world.deploy("us-east", "1.0.0", Some(&world.ours))?.success()?;
    let rfm = std::fs::read(plugin("rfm")?)?;
    let envelope = world.envelope()?;
    let header = |envelope: &Value| BASE64.encode(envelope.to_string());
    let good = header(&envelope);
    assert_eq!(world.put("1.0.0", &good, &rfm)?.status, 200, "the very same again");
    let is_refused = |response: Response, text: &str| problem(&response, 403, Some("signature-refused"), &[text]);
    is_refused(world.put("1.0.1", &good, &rfm)?, "over `rfm` 1.0.0");
    is_refused(world.put("1.0.0", &good, &same_again(&rfm, "else"))?, "sha256");
    let elsewhere = world.cluster.edge("us-east").send(
        "PUT",
        "/v1/plugins/other/versions/1.0.0",
        &[("Domicile-Signature", good.as_str())],
        &rfm,
    )?;
    is_refused(elsewhere, "over `rfm` 1.0.0");

    let mut forged = envelope.clone();
    let payload = json!({"name": "rfm", "version": "1.0.1", "sha256": hex(&rfm)});
    forged["payload"] = json!(BASE64.encode(payload.to_string()));
    is_refused(world.put("1.0.1", &header(&forged), &rfm)?, "was not made with");
    let mut nothing = envelope.clone();
    nothing["signatures"] = json!([]);
    is_refused(world.put("1.0.1", &header(&nothing), &rfm)?, "signatures");
    for unreadable in ["e30=", "no base64!", &good[..good.len() / 2]] {
        problem(&world.put("1.0.1", unreadable, &rfm)?, 400, Some("bad-request"), &["Domicile-Signature"]);
    }
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_key_that_is_trusted_no_more_stops_what_it_signed() -> Result<()> {
    let mut world = signed()?;
    world.deploy("us-east", "1.0.0", Some(&world.ours))?.success()?;
    world.cluster.kill("us-east")?;
    world.cluster.resume("us-east")?;
    let edge = world.cluster.edge("us-east");
    let kept = edge.get("/v1/plugins/rfm")?.json()?;
    assert_eq!(kept["versions"][0]["signed_by"], world.ours.public.as_str(), "{kept}");

    world.cluster.stop("us-east")?;
    let config = world.cluster.file("us-east").config.clone();
    let text = std::fs::read_to_string(&config)?;
    std::fs::write(&config, text.replace(&world.ours.public, &world.theirs.public))?;
    world.cluster.resume("us-east")?;
    let shown = edge.get("/v1/plugins/rfm")?.json()?;
    assert_eq!((&shown["versions"], &shown["refused"][0]["version"]), (&json!([]), &json!("1.0.0")), "{shown}");
    problem(&edge.get("/v1/endpoints/rfm")?, 404, Some("unknown-endpoint"), &["rfm"]);

    let again = world.deploy("us-east", "1.0.0", Some(&world.theirs))?.success()?.document()?;
    assert_eq!((&again["signed_by"], &again["active"]), (&json!(world.theirs.public), &json!(true)), "{again}");
    assert_eq!(edge.get("/v1/plugins/rfm")?.json()?["refused"], json!([]));
    Ok(())
}

#[test]
fn keys_are_files_of_their_owner() -> Result<()> {
    let world = signed()?;
    let cli = world.cluster.cli("us-east");
    let again = cli.run(&["plugin", "key", "new", utf8(&world.ours.file)?])?;
    assert!(again.code == 2 && again.stderr.contains("there already"), "{}", again.stderr);
    let pem = std::fs::read_to_string(&world.ours.file)?;
    assert!(pem.starts_with("-----BEGIN PRIVATE KEY-----\n"), "not PKCS #8");
    let copy = world.folder.path().join("copy");
    std::fs::write(&copy, &pem)?;
    let permit = |mode: &str| std::process::Command::new("chmod").arg(mode).arg(&copy).status();
    ensure!(permit("644")?.success(), "chmod");
    let open = world.deploy("us-east", "1.0.0", Some(&Key { file: copy.clone(), public: String::new() }))?;
    assert!(open.code == 2 && open.stdout.contains("open to other users"), "{}", open.stdout);
    ensure!(permit("600")?.success(), "chmod");
    let signed = world.deploy("us-east", "1.0.0", Some(&Key { file: copy, public: String::new() }))?;
    assert_eq!(signed.success()?.document()?["signed_by"], world.ours.public.as_str());

    let config = utf8(&world.cluster.file("us-east").config)?.to_owned();
    cli.run(&["config", "check", &config])?.success()?;
    let text = std::fs::read_to_string(&config)?;
    // This one is a point of the curve that has every signature.
    let weak = format!("ed25519:{}", BASE64.encode([[1_u8].as_slice(), &[0; 31]].concat()));
    std::fs::write(&config, text.replace(&world.ours.public, &weak))?;
    let weak = cli.run(&["config", "check", &config])?;
    assert!(weak.code == 2 && weak.stderr.contains("not a key that anybody could sign with"), "{}", weak.stderr);
    Ok(())
}

#[test]
fn bodies_are_what_their_digest_says_and_never_compiled_code() -> Result<()> {
    let cluster = Cluster::for_test(&build::binary(build::Profile::Dev)?, &Options::default())?;
    let edge = cluster.edge("us-east");
    let rfm = std::fs::read(plugin("rfm")?)?;
    let digest = |bytes: &[u8]| format!("sha-256=:{}:", BASE64.encode(Sha256::digest(bytes)));
    let put = |body: &[u8], digest: &str| {
        edge.send("PUT", "/v1/plugins/rfm/versions/1.0.0", &[("Content-Digest", digest)], body)
    };
    problem(&put(&rfm, &digest(b"another"))?, 400, Some("digest-mismatch"), &["changed on its way"]);
    problem(&put(&rfm, "sha-512=:AAAA:")?, 400, Some("digest-mismatch"), &["sha-256"]);
    let deployed = put(&rfm, &format!("sha-512=:AAAA:, {}", digest(&rfm)))?;
    assert_eq!(deployed.status, 200, "{}", deployed.text());
    assert_eq!(deployed.header("content-digest"), Some(digest(&deployed.body).as_str()));

    // Artefacts that the engine compiles are ELF files.
    let mut compiled = b"\x7fELF\x02\x01\x01\xc8".to_vec();
    compiled.resize(4096, 0);
    for path in ["/v1/plugins/rfm/versions/2.0.0", "/v1/plugins/ready.cwasm/versions/1.0.0"] {
        let response = edge.send("PUT", path, &[("Content-Type", "application/wasm")], &compiled)?;
        assert!([400, 422].contains(&response.status), "{path}: {} {}", response.status, response.text());
    }
    let response = edge.deploy("rfm", "2.0.0", &compiled)?;
    problem(&response, 422, Some("plugin-rejected"), &["compiled artefact", ".wasm"]);
    assert!(!edge.get("/v1/plugins")?.text().contains("2.0.0"));
    Ok(())
}
