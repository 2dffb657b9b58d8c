//! The life of policies: signed, listed, and replaced while regions run.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use domicile_harness::{Cli, Cluster, Options, Ran, Response, build};
use domicile_tests::check::problem;
use domicile_tests::world::sha256;
use serde_json::{Value, json};

/// Asked of the region whose policies change.
const QUESTION: &str = "SELECT c_mktsegment, count(*) FROM customer GROUP BY c_mktsegment";
const OWNER: &str = "eu-central";

struct World {
    cluster: Cluster,
    /// Of the policy files, which all regions share; those of other regions are read at their start only.
    policies: PathBuf,
}

fn world() -> Result<World> {
    let cluster = Cluster::for_test(&build::binary(build::Profile::Dev)?, &Options::default())?;
    let policies = cluster.dir().context("a cluster for tests has a folder")?.join("policies");
    Ok(World { cluster, policies })
}

fn utf8(path: &Path) -> Result<&str> {
    path.to_str().context("a path that is UTF-8")
}

/// `text` with `from` replaced by `to`, as this version.
fn changed(text: &str, version: u32, from: &str, to: &str) -> Result<String> {
    ensure!(text.matches(from).count() == 1, "{from} does not stand there once");
    let text = text.replace(from, to);
    let line = text.lines().find(|line| line.starts_with("version = ")).context("no version")?.to_owned();
    Ok(text.replace(&line, &format!("version = {version}")))
}

impl World {
    fn file(&self, dataset: &str) -> PathBuf {
        self.policies.join(format!("{dataset}.toml"))
    }

    /// The file of a dataset as it was at first.
    fn text(&self, dataset: &str) -> Result<String> {
        Ok(fs::read_to_string(domicile_harness::workspace::regions_dir().join(format!("policies/{dataset}.toml")))?)
    }

    fn write(&self, dataset: &str, text: &str) -> Result<()> {
        Ok(fs::write(self.file(dataset), text)?)
    }

    /// Another region asks.
    fn ask(&self) -> Result<Response> {
        self.cluster.edge("us-east").query_with(QUESTION, &[("Data-Region", OWNER)])
    }

    /// The version of customers' policy that the receipt of an answer names.
    fn receipt_version(&self) -> Result<u64> {
        let answer = self.ask()?.answer()?;
        let id = answer.document()["query_id"].as_str().context("no id")?.to_owned();
        let receipts = self.cluster.edge("us-east").get(&format!("/v1/queries/{id}/receipt"))?.json()?;
        let version = receipts.pointer("/receipts/0/receipt/clauses/0/policy_version").and_then(Value::as_u64);
        version.with_context(|| format!("no receipt in {receipts}"))
    }

    fn reload(&self) -> Result<Ran> {
        self.cluster.cli(OWNER).json(&["policy", "reload"])
    }

    /// That the files are refused with these texts, and that nothing has changed.
    #[track_caller]
    fn is_refused(&self, texts: &[&str]) -> Result<()> {
        let before = self.list()?;
        let ran = self.reload()?;
        let document = ran.document()?;
        assert_eq!((ran.code, &document["status"]), (1, &json!(422)), "{document}");
        assert_eq!(document["type"], "/problems/policies-refused", "{document}");
        let detail = document["detail"].as_str().unwrap_or_default();
        assert!(texts.iter().all(|text| detail.contains(text)), "{texts:?} in {detail}");
        assert_eq!(self.list()?, before);
        Ok(())
    }

    /// What is in force: `dataset version` of each, and who signed it.
    fn list(&self) -> Result<Vec<(String, Value)>> {
        let answer = self.cluster.cli(OWNER).json(&["policy", "list"])?.success()?.document()?;
        let entry = |policy: &Value| {
            let dataset = policy["dataset"].as_str().unwrap_or_default();
            (format!("{dataset} {}", policy["version"]), policy["signed_by"].clone())
        };
        Ok(answer["policies"].as_array().into_iter().flatten().map(entry).collect())
    }
}

#[test]
fn a_new_version_counts_for_what_is_asked_afterwards() -> Result<()> {
    let world = world()?;
    assert_eq!(world.receipt_version()?, 1);
    assert_eq!(world.reload()?.success()?.document()?["changed"], json!([]), "nothing has changed");

    let group = "group_by = [\"c_nationkey\", \"c_mktsegment\", \"c_acctbal\"]";
    let narrower = changed(&world.text("customer")?, 2, group, "group_by = [\"c_nationkey\"]")?;
    world.write("customer", &narrower)?;
    assert_eq!(world.receipt_version()?, 1, "a file that nobody told the region of");
    let answer = world.reload()?.success()?.document()?;
    assert_eq!(answer["changed"], json!([{"dataset": "customer", "from_version": 1, "to_version": 2}]));
    assert_eq!((&answer["region"], &answer["policies"][0]["version"]), (&json!(OWNER), &json!(2)));
    assert_eq!(answer["policies"][0]["sha256"], sha256(narrower.as_bytes()));
    let denied = problem(&world.ask()?, 403, Some("residency-denied"), &["`customer.c_mktsegment`", "customer v2"]);
    assert_eq!(denied["from"], OWNER, "the region that asks still has the first version");
    let shown = world.cluster.cli(OWNER).run(&["policy", "list"])?.success()?.stdout;
    let row = format!("customer  2        {}  nobody", &sha256(narrower.as_bytes())[..12]);
    assert!(shown.lines().any(|line| line == row), "{row} in {shown}");

    // The other way to tell it, and the way back.
    let wide = world.text("customer")?.replace("version = 1", "version = 3");
    world.write("customer", &wide)?;
    world.cluster.hang_up(OWNER)?;
    while !world.list()?.contains(&("customer 3".to_owned(), Value::Null)) {
        std::thread::yield_now();
    }
    assert_eq!(world.receipt_version()?, 3);
    // Told of files that it does not take, a region goes on with those that it has.
    world.write("customer", "schema = 2")?;
    world.cluster.hang_up(OWNER)?;
    while !world.cluster.log(OWNER)?.contains("those before stay in force") {
        std::thread::yield_now();
    }
    assert_eq!(world.receipt_version()?, 3);
    Ok(())
}

#[test]
fn files_are_taken_together_or_not_at_all() -> Result<()> {
    let mut world = world()?;
    let (customer, lineitem) = (world.text("customer")?, world.text("lineitem")?);
    let stricter = changed(&customer, 2, "minimum_entities = 10", "minimum_entities = 20")?;
    world.write("customer", &stricter)?;
    world.write("lineitem", &changed(&lineitem, 2, "group_by = [", "group_by = [\"l_nothing\", ")?)?;
    world.is_refused(&["lineitem.toml:", "has no column `l_nothing`"])?;
    assert_eq!(world.receipt_version()?, 1);

    // Nor is a good file taken beside one that cannot follow what is in force.
    world.write("lineitem", &lineitem.replace("\nform = ", "\n\nform = "))?;
    world.is_refused(&["lineitem.toml: ", "`version = 1`, after 1"])?;
    world.write("lineitem", &lineitem)?;
    world.write("customer", &changed(&customer, 2, "values = [1, 2, 3, 17, 24]", "values = [1, 2, 3, 17]")?)?;
    world.is_refused(&["customer.toml: ", "residency of `customer` has changed"])?;
    fs::remove_file(world.file("customer"))?;
    world.is_refused(&["`customer` has no policy"])?;

    world.write("customer", &stricter)?;
    let answer = world.reload()?.success()?.document()?;
    assert_eq!(answer["changed"], json!([{"dataset": "customer", "from_version": 1, "to_version": 2}]));
    assert_eq!(world.receipt_version()?, 2);
    world.write("customer", &customer)?;
    world.is_refused(&["customer.toml: ", "`version = 1`, after 2"])?;
    // A start does not make it forgotten.
    world.cluster.stop(OWNER)?;
    let refused = format!("{:#}", world.cluster.resume(OWNER).err().context("it started")?);
    assert!(refused.contains("version 1 of the policy of `customer` comes after 2"), "{refused}");
    world.cluster.stop(OWNER).ok();
    world.write("customer", &stricter)?;
    world.cluster.resume(OWNER)?;
    assert_eq!(world.receipt_version()?, 2);
    Ok(())
}

#[test]
fn what_was_released_is_not_forgotten_with_its_file() -> Result<()> {
    let mut world = world()?;
    world.receipt_version()?;
    let history = world.cluster.file(OWNER).data_dir.join("releases.jsonl");
    world.cluster.stop(OWNER)?;
    fs::remove_file(&history)?;
    let refused = format!("{:#}", world.cluster.resume(OWNER).err().context("it started")?);
    assert!(refused.contains("releases.jsonl is missing, while the ledger has 1 receipts"), "{refused}");
    world.cluster.stop(OWNER).ok();
    fs::write(&history, "")?;
    world.cluster.resume(OWNER)?;
    assert_eq!(world.receipt_version()?, 1);
    Ok(())
}

/// A key in a file, and its public half.
fn key(cli: &Cli, file: &Path) -> Result<String> {
    let made = cli.json(&["plugin", "key", "new", utf8(file)?])?.success()?.document()?;
    Ok(made["public_key"].as_str().context("no public key")?.to_owned())
}

/// Regions of which one takes policies of one key only; the key, and another one.
struct Signed {
    world: World,
    ours: PathBuf,
    theirs: PathBuf,
    public: String,
}

impl Signed {
    fn start() -> Result<Self> {
        let mut world = world()?;
        let folder = world.cluster.dir().context("a folder")?.to_path_buf();
        let (ours, theirs) = (folder.join("ours.pem"), folder.join("theirs.pem"));
        let public = key(&world.cluster.cli(OWNER), &ours)?;
        key(&world.cluster.cli(OWNER), &theirs)?;
        let config = world.cluster.file(OWNER).config.clone();
        world.cluster.stop(OWNER)?;
        let text = fs::read_to_string(&config)?;
        fs::write(&config, format!("{text}\n[policies]\ntrusted_keys = [\"{public}\"]\n"))?;
        Ok(Self { world, ours, theirs, public })
    }

    fn sign(&self, key: &Path, datasets: &[&str]) -> Result<Value> {
        let files: Vec<PathBuf> = datasets.iter().map(|dataset| self.world.file(dataset)).collect();
        let mut arguments = vec!["policy", "sign", "--key", utf8(key)?];
        arguments.extend(files.iter().map(|file| utf8(file)).collect::<Result<Vec<_>>>()?);
        self.world.cluster.cli(OWNER).json(&arguments)?.success()?.document()
    }

    /// `policy check` says what is wrong with the files, if anything.
    fn checked(&self, options: &[&str]) -> Result<Ran> {
        let file = &self.world.cluster.file(OWNER).config;
        self.world.cluster.cli(OWNER).run(&[&["policy", "check", utf8(file)?], options].concat())
    }
}

#[test]
fn only_signed_policies_count_where_keys_are_listed() -> Result<()> {
    let mut signed = Signed::start()?;
    let unsigned = format!("{:#}", signed.world.cluster.resume(OWNER).err().context("it started")?);
    assert!(unsigned.contains("customer.toml.sig") && unsigned.contains("domicile policy sign"), "{unsigned}");
    assert!(signed.checked(&[])?.code == 2);
    let said = signed.checked(&["--unsigned"])?.success()?.stdout;
    assert!(said.contains("customer v1") && !said.contains("Signed by"), "{said}");
    signed.world.cluster.stop(OWNER).ok();
    let told = signed.sign(&signed.ours, &["customer", "lineitem", "orders"])?;
    let text = signed.world.text("customer")?;
    assert_eq!(
        (&told["signed_by"], &told["signed"][0]["sha256"]),
        (&json!(signed.public), &json!(sha256(text.as_bytes())))
    );
    signed.world.cluster.resume(OWNER)?;
    let by_us = json!(signed.public);
    for (_, signed_by) in signed.world.list()? {
        assert_eq!(signed_by, by_us);
    }
    assert!(signed.checked(&[])?.success()?.stdout.contains(&format!("  Signed by {}.\n", signed.public)));
    assert_eq!(signed.world.receipt_version()?, 1);

    // Changed after it was signed; signed by somebody else; signed for another version; not signed at all.
    let world = &signed.world;
    world.write("customer", &changed(&text, 2, "minimum_entities = 10", "minimum_entities = 1")?)?;
    world.is_refused(&["customer.toml is not accepted", "is over a text with sha256", "sign it again"])?;
    let checked = signed.checked(&[])?;
    assert!(checked.code == 2 && checked.stderr.contains("is over a text with sha256"), "{}", checked.stderr);
    signed.sign(&signed.theirs, &["customer"])?;
    world.is_refused(&["customer.toml is not accepted", "does not trust", "`trusted_keys` in [policies]"])?;
    fs::copy(world.policies.join("orders.toml.sig"), world.policies.join("customer.toml.sig"))?;
    world.is_refused(&["customer.toml is not accepted", "is over a text with sha256"])?;
    fs::write(world.policies.join("customer.toml.sig"), "{}")?;
    world.is_refused(&["customer.toml is not accepted", "cannot be read"])?;
    fs::remove_file(world.policies.join("customer.toml.sig"))?;
    world.is_refused(&["there is no ", "customer.toml.sig", "domicile policy sign"])?;

    signed.sign(&signed.ours, &["customer"])?;
    let answer = world.reload()?.success()?.document()?;
    assert_eq!(answer["changed"], json!([{"dataset": "customer", "from_version": 1, "to_version": 2}]));
    assert_eq!(world.receipt_version()?, 2);
    // An earlier text with a good signature does not come back: not at once, and not when the region starts again.
    let second = fs::read_to_string(world.file("customer"))?;
    world.write("customer", &text)?;
    signed.sign(&signed.ours, &["customer"])?;
    world.is_refused(&["customer.toml: ", "`version = 1`, after 2"])?;
    signed.world.cluster.stop(OWNER)?;
    let earlier = format!("{:#}", signed.world.cluster.resume(OWNER).err().context("it started")?);
    assert!(earlier.contains("version 1 of the policy of `customer` comes after 2"), "{earlier}");
    signed.world.cluster.stop(OWNER).ok();
    signed.world.write("customer", &second)?;
    signed.sign(&signed.ours, &["customer"])?;
    signed.world.cluster.resume(OWNER)?;
    assert_eq!(signed.world.receipt_version()?, 2);
    Ok(())
}

#[test]
fn what_is_no_policy_is_not_signed() -> Result<()> {
    let signed = Signed::start()?;
    let cli = signed.world.cluster.cli(OWNER);
    let file = signed.world.file("customer");
    signed.world.write("customer", "schema = 1\ndataset = 7\n")?;
    let refused = cli.run(&["policy", "sign", utf8(&file)?, "--key", utf8(&signed.ours)?])?;
    assert!(refused.code == 2 && refused.stderr.contains("customer.toml:2:11: "), "{}", refused.stderr);
    assert!(!signed.world.policies.join("customer.toml.sig").exists());
    signed.world.write("customer", &signed.world.text("customer")?)?;
    let refused = cli.run(&["policy", "sign", utf8(&file)?, "--key", utf8(&file)?])?;
    assert!(refused.code == 2 && refused.stderr.contains("open to other users"), "{}", refused.stderr);
    let shown = cli.run(&["policy", "sign", utf8(&file)?, "--key", utf8(&signed.ours)?])?.success()?.stdout;
    assert!(shown.contains("customer.toml.sig: version 1 of the policy of `customer`, signed by ed25519:"), "{shown}");
    let envelope: Value = serde_json::from_slice(&fs::read(signed.world.policies.join("customer.toml.sig"))?)?;
    assert_eq!(envelope["payloadType"], "application/vnd.domicile.policy.v1+json");
    Ok(())
}

#[test]
fn reading_again_tells_what_has_changed_and_that_the_rest_has_not() -> Result<()> {
    let world = world()?;
    let cli = world.cluster.cli(OWNER);
    let before = cli.run(&["policy", "reload"])?.success()?.stdout;
    assert_eq!(before.trim_end(), format!("{OWNER}: the policy files are those in force"));
    let group = "group_by = [\"c_nationkey\", \"c_mktsegment\", \"c_acctbal\"]";
    world.write("customer", &changed(&world.text("customer")?, 2, group, "group_by = [\"c_nationkey\"]")?)?;
    let told = cli.run(&["policy", "reload"])?.success()?.stdout;
    let expect =
        format!("{OWNER}: policy of `customer`: version 2 instead of 1\n{OWNER}: the other 2 policies are unchanged");
    assert_eq!(told.trim_end(), expect);
    Ok(())
}
