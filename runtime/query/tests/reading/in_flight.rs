//! Policies that change while another region's question is answered: what they forbid by now does not leave.

use std::io::Cursor;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use domicile_query::{
    Catalog, FragmentReply, ObjectThreads, PluginTrust, PolicyTrust, QueryError, Region, RegionParts, SignedPolicies,
    answer, reload_policies,
};
use domicile_sandbox::{Compiler, Sandbox, SandboxLimits};
use domicile_store::{Batch, DatasetSpec, Format, Operation, Source, Store, StoreParts};
use domicile_types::{ColumnType, Dataset, RegionId, Secret};
use domicile_wire::api::FragmentRequest;
use ed25519_dalek::SigningKey;
use serde_json::json;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::data::dataset;
use crate::held_disk::{Gate, HeldDisk};

const QUESTION: &str =
    "SELECT visit.country AS g0, count(1) AS a0, sum(visit.spent) AS a1 FROM visit GROUP BY visit.country";

const POLICY: &str = r#"schema = 1
dataset = "visit"
version = 1

[residency]
entity = "who"
column = "country"

[[residency.home]]
region = "eu-central"
values = ["DE", "FR"]

[classes]
identifier = ["id", "who"]
public = ["country"]
measure = ["spent"]

[bounds]
spent = [0, 1000]

[[allow]]
id = "statistics"
from = ["eu-central"]
to = ["us-east"]
form = "aggregate"
functions = ["count", "sum"]
group_by = ["country"]
measures = ["spent"]
minimum_entities = 5
legal_basis = "for tests"
"#;

fn region(id: &str) -> RegionId {
    id.parse().unwrap()
}

/// The policy with `from` replaced by `to`, as version 2.
#[track_caller]
fn second(from: &str, to: &str) -> String {
    assert_eq!(POLICY.matches(from).count(), 1, "{from}");
    POLICY.replace(from, to).replace("version = 1", "version = 2")
}

fn visits() -> Dataset {
    let columns = [
        ("id", ColumnType::BigInt, false),
        ("who", ColumnType::BigInt, false),
        ("country", ColumnType::Text, false),
        ("spent", ColumnType::Double, false),
    ];
    dataset("visit", &columns, &["id"])
}

/// A region with rows in segments, behind a gate, under a policy that can be replaced.
struct World {
    region: Arc<Region>,
    policy: Arc<Mutex<String>>,
    gate: Arc<Gate>,
    held: Receiver<()>,
    runtime: Runtime,
    _dir: TempDir,
}

fn policies(text: &str) -> Result<SignedPolicies, QueryError> {
    let files = [("visit.toml".to_owned(), text.to_owned())];
    SignedPolicies::load(&[(visits(), false)], &files, &Default::default(), &PolicyTrust::default())
}

/// A store with 30 visits of as many entities in each of two countries, all of them in segments.
fn filled(dir: &TempDir, specs: Vec<DatasetSpec>, gate: &Arc<Gate>) -> Store {
    let local = StoreParts::local(dir.path().join("store"), region("eu-central"), specs);
    let mut store = Store::open(StoreParts { disk: Arc::new(HeldDisk(Arc::clone(gate))), ..local }).unwrap();
    let row = |id: u64| json!({"id": id, "who": id, "country": if id < 30 { "DE" } else { "FR" }, "spent": 100.0});
    let text: String = (0..60).map(|id| format!("{}\n", row(id))).collect();
    let batch = Batch {
        dataset: "visit".parse().unwrap(),
        operation: Operation::Upsert,
        format: Format::Ndjson,
        idempotency_key: None,
    };
    let source = Source::Stream(Box::new(Cursor::new(text.into_bytes())));
    let prepared = store.preparer().prepare(batch, source, 1_700_000_000_000).unwrap();
    store.commit(vec![prepared], 1_700_000_000_000).into_iter().for_each(|ack| assert_eq!(ack.unwrap().rows, 60));
    store.freeze_recent();
    while let Some(job) = store.next_job(1_700_000_000_000) {
        store.finish(job.run(&|_| ())).unwrap();
    }
    store
}

fn world() -> World {
    let dir = TempDir::new().unwrap();
    let (gate, held) = Gate::new();
    let policy = Arc::new(Mutex::new(POLICY.to_owned()));
    let signed = policies(POLICY).unwrap();
    let residency = signed.set.residency(&"visit".parse().unwrap()).unwrap().clone();
    let specs = vec![DatasetSpec { dataset: visits(), residency }];
    let source = Arc::clone(&policy);
    let region = Region::start(RegionParts {
        id: region("eu-central"),
        catalog: Catalog::new(specs.clone(), signed),
        policy_source: Box::new(move || policies(&source.lock().unwrap())),
        store: filled(&dir, specs, &gate),
        incoming: dir.path().join("incoming"),
        background_bytes_per_s_max: 64 * 1024 * 1024,
        object_threads: ObjectThreads::start().unwrap(),
        data_dir: dir.path().to_owned(),
        sandbox: Sandbox::new(SandboxLimits::default(), Compiler::InProcess).unwrap(),
        plugin_trust: PluginTrust::default(),
        client_trust: domicile_query::ClientTrust { allow_anonymous: true, ..Default::default() },
        new_mark_key: 7,
        receipt_key: SigningKey::from_bytes(&[7; 32]),
        secret: Secret::new(vec![7; 32]),
        peers: Vec::new(),
        peer_tls: None,
        query_timeout: Duration::from_secs(60),
    });
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    World { region: Arc::new(region.unwrap()), policy, gate, held, runtime, _dir: dir }
}

async fn ask(region: Arc<Region>) -> Result<FragmentReply, QueryError> {
    let request = FragmentRequest {
        query_id: "q".to_owned(),
        sql: QUESTION.to_owned(),
        purpose: None,
        plugins: Vec::new(),
        partial_of: None,
        token: None,
        explain: false,
        timeout_ms: 60_000,
    };
    answer(&region, &"us-east".parse().unwrap(), request).await
}

impl World {
    fn ask(&self) -> Result<FragmentReply, QueryError> {
        self.runtime.block_on(ask(Arc::clone(&self.region)))
    }

    fn reload(&self, policy: &str) -> Result<usize, QueryError> {
        *self.policy.lock().unwrap() = policy.to_owned();
        self.runtime.block_on(reload_policies(&self.region)).map(|answer| answer.changed.len())
    }

    /// What comes of a question that is reading its rows when `policy` takes effect.
    fn ask_while(&self, policy: &str) -> Result<FragmentReply, QueryError> {
        self.gate.close();
        let asked = self.runtime.spawn(ask(Arc::clone(&self.region)));
        self.held.recv().unwrap();
        assert!(!asked.is_finished());
        assert_eq!(self.reload(policy).unwrap(), 1);
        self.gate.open();
        self.runtime.block_on(asked).unwrap()
    }
}

/// The versions of the policy that a reply's receipt names.
fn versions(reply: &FragmentReply) -> Vec<u64> {
    reply.facts.receipt.receipt.clauses.iter().map(|clause| clause.policy_version).collect()
}

#[test]
fn what_is_forbidden_meanwhile_does_not_leave() {
    for (from, to) in [
        ("to = [\"us-east\"]", "to = [\"ap-south\"]"),
        ("functions = [\"count\", \"sum\"]", "functions = [\"count\"]"),
        ("group_by = [\"country\"]", "group_by = []"),
        ("legal_basis = ", "expires = \"2001-01-01\"\nlegal_basis = "),
        // What is released would be something else.
        ("minimum_entities = 5", "minimum_entities = 6"),
        ("minimum_entities = 5", "minimum_entities = 5\nround_to = 10"),
        ("minimum_entities = 5", "minimum_entities = 5\nsnapshot_hours = 24"),
        ("spent = [0, 1000]", "spent = [0, 50]"),
        ("legal_basis = \"for tests\"", "legal_basis = \"for other reasons\""),
    ] {
        let world = world();
        let error = world.ask_while(&second(from, to)).expect_err(to);
        assert!(
            matches!(&error, QueryError::PolicyChanged { region } if region.as_str() == "eu-central"),
            "{to}: {error}"
        );
        let written = world.region.ledger().records(1).unwrap().count();
        assert_eq!(written, 0, "{to}: a receipt for what did not leave");
    }
}

#[test]
fn what_is_still_allowed_leaves_under_the_new_version() {
    let world = world();
    let before = world.ask().unwrap();
    assert_eq!(versions(&before), [1]);
    let wider = second("functions = [\"count\", \"sum\"]", "functions = [\"count\", \"sum\", \"avg\"]");
    let reply = world.ask_while(&wider).unwrap();
    assert_eq!(versions(&reply), [2]);
    assert_eq!(reply.body, before.body);
    assert_eq!((before.facts.receipt.receipt.rows_released, reply.facts.receipt.receipt.rows_released), (2, 2));
}

#[test]
fn what_is_asked_afterwards_is_denied() {
    let world = world();
    assert_eq!(versions(&world.ask().unwrap()), [1]);
    assert_eq!(world.reload(&second("group_by = [\"country\"]", "group_by = []")).unwrap(), 1);
    assert!(matches!(world.ask(), Err(QueryError::Denied(_))));
    // The same files again change nothing, and an earlier version does not come back.
    let same = world.policy.lock().unwrap().clone();
    assert_eq!(world.reload(&same).unwrap(), 0);
    let refused = world.reload(POLICY).unwrap_err().to_string();
    assert!(refused.contains("`version = 1`, after 2"), "{refused}");
    let refused = world.reload("schema = 1").unwrap_err();
    assert!(matches!(refused, QueryError::PoliciesRefused { .. }), "{refused}");
    assert!(matches!(world.ask(), Err(QueryError::Denied(_))));
    assert_eq!(world.reload(&POLICY.replace("version = 1", "version = 3")).unwrap(), 1);
    assert_eq!(versions(&world.ask().unwrap()), [3]);
}
