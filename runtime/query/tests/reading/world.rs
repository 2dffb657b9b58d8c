//! A region of its own in a temporary directory: its store while it is written, then the region that answers.

use std::io::Cursor;
use std::path::PathBuf;
use std::time::Duration;

use arrow::array::{Array, RecordBatch};
use arrow::util::display::array_value_to_string;
use domicile_policy::PolicySet;
use domicile_query::{
    Answer, Catalog, ClientTrust, Deployment, ObjectThreads, PluginTrust, QueryError, QueryRequest, Region,
    RegionParts, SignedPolicies, deploy, endpoint_request, run,
};
use domicile_sandbox::{Compiler, Sandbox, SandboxLimits};
use domicile_store::{Batch, DatasetSpec, Format, Operation, Sizes, Source, Store, StoreParts};
use domicile_types::{Dataset, RegionId, Residency, Secret};
use ed25519_dalek::SigningKey;
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// A store that is written.
pub(crate) struct Writing {
    dir: TempDir,
    datasets: Vec<Dataset>,
    store: Store,
    now_ms: u64,
}

/// The region over what was written.
pub(crate) struct World {
    pub(crate) dir: TempDir,
    region: Region,
    runtime: Runtime,
}

fn region_id() -> RegionId {
    "eu-central".parse().unwrap()
}

fn specs(datasets: &[Dataset]) -> Vec<DatasetSpec> {
    datasets.iter().map(|dataset| DatasetSpec { dataset: dataset.clone(), residency: Residency::Reference }).collect()
}

impl Writing {
    /// Everything that happens at some size happens here after a few rows.
    pub(crate) fn start(datasets: Vec<Dataset>) -> Self {
        let small = Sizes {
            recent_bytes_max: 40 * 1024,
            batch_bytes_max: 6 * 1024,
            chunk_bytes_max: 6 * 1024,
            chunk_rows_max: 40,
            log_file_bytes: 16 * 1024,
            segment_rows_max: 100,
            ..Sizes::default()
        };
        Self::with_sizes(datasets, small)
    }

    pub(crate) fn with_sizes(datasets: Vec<Dataset>, sizes: Sizes) -> Self {
        let dir = TempDir::new().unwrap();
        let parts = StoreParts { sizes, ..StoreParts::local(dir.path().join("store"), region_id(), specs(&datasets)) };
        Self { dir, datasets, store: Store::open(parts).unwrap(), now_ms: 1_700_000_000_000 }
    }

    pub(crate) fn upsert(&mut self, dataset: &str, rows: &[Value]) {
        self.write(dataset, Operation::Upsert, rows);
    }

    pub(crate) fn delete(&mut self, dataset: &str, keys: &[Value]) {
        self.write(dataset, Operation::Delete, keys);
    }

    fn write(&mut self, dataset: &str, operation: Operation, rows: &[Value]) {
        self.now_ms += 1;
        let text: String = rows.iter().map(|row| format!("{row}\n")).collect();
        let source = Source::Stream(Box::new(Cursor::new(text.into_bytes())));
        let dataset = dataset.parse().unwrap();
        let batch = Batch { dataset, operation, format: Format::Ndjson, idempotency_key: None };
        let prepared = self.store.preparer().prepare(batch, source, self.now_ms).unwrap();
        self.store.commit(vec![prepared], self.now_ms).into_iter().for_each(|ack| assert!(ack.unwrap().rows > 0));
        if self.store.is_full() {
            self.work();
        }
    }

    /// Does the background work that is due.
    pub(crate) fn work(&mut self) {
        while let Some(job) = self.store.next_job(self.now_ms) {
            self.store.finish(job.run(&|_| ())).unwrap();
        }
    }

    /// Lets what is recent become segments.
    pub(crate) fn flush(&mut self) {
        self.store.freeze_recent();
        self.work();
    }

    pub(crate) fn segments(&self, dataset: &str) -> usize {
        self.store.reader().snapshot().segments_len(&dataset.parse().unwrap())
    }

    pub(crate) fn read(self) -> World {
        self.read_with(SandboxLimits { instances_max: 32, ..SandboxLimits::default() })
    }

    /// With other limits of plugins.
    pub(crate) fn read_with(self, limits: SandboxLimits) -> World {
        let datasets: Vec<_> = self.datasets.iter().map(|dataset| (dataset.clone(), true)).collect();
        let policies = PolicySet::load(&datasets, &[]).unwrap();
        let same = SignedPolicies::from(policies.clone());
        let region = Region::start(RegionParts {
            id: region_id(),
            catalog: Catalog::new(specs(&self.datasets), policies),
            policy_source: Box::new(move || Ok(same.clone())),
            store: self.store,
            incoming: self.dir.path().join("incoming"),
            background_bytes_per_s_max: 64 * 1024 * 1024,
            object_threads: ObjectThreads::start().unwrap(),
            data_dir: self.dir.path().to_owned(),
            sandbox: Sandbox::new(limits, Compiler::InProcess).unwrap(),
            plugin_trust: PluginTrust { allow_unsigned: true, ..Default::default() },
            client_trust: ClientTrust { allow_anonymous: true, ..Default::default() },
            receipt_key: SigningKey::from_bytes(&[7; 32]),
            new_mark_key: 7,
            secret: Secret::new(vec![7; 32]),
            peers: Vec::new(),
            peer_tls: None,
            query_timeout: Duration::from_secs(60),
        });
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        World { dir: self.dir, region: region.unwrap(), runtime }
    }
}

impl World {
    pub(crate) fn region(&self) -> &Region {
        &self.region
    }

    pub(crate) fn deploy(&self, name: &str, wasm: Vec<u8>) {
        let (name, version, wasm) = (name.parse().unwrap(), "1.0.0".to_owned(), wasm.into());
        let deployment = Deployment { name, version, wasm, envelope: None, promote: false };
        self.runtime.block_on(deploy(&self.region, deployment)).unwrap();
    }

    /// A directory for rows on their way in.
    pub(crate) fn make_incoming(&self) {
        std::fs::create_dir(self.dir.path().join("incoming")).unwrap();
    }

    pub(crate) fn ask(&self, sql: &str) -> Result<Answer, QueryError> {
        self.runtime.block_on(run(&self.region, self.request(sql)))
    }

    /// What a plugin's endpoint answers.
    pub(crate) fn ask_endpoint(&self, name: &str, parameters: &[(&str, &str)]) -> Result<Answer, QueryError> {
        let parameters = parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let request = endpoint_request(&self.region, name, parameters, self.request(""))?;
        self.runtime.block_on(run(&self.region, request))
    }

    fn request(&self, sql: &str) -> QueryRequest {
        QueryRequest {
            id: "q".parse().unwrap(),
            client: self.region.client_here(None).unwrap(),
            sql: sql.to_owned(),
            purpose: None,
            scope: None,
            partial: false,
            timeout: Duration::from_secs(60),
            parameters: None,
            query_plugin: None,
        }
    }

    /// Rows as texts that compare equal wherever the values do.
    pub(crate) fn rows(&self, sql: &str) -> Vec<Vec<String>> {
        let answer = self.ask(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
        answer.batches.iter().flat_map(texts).collect()
    }

    /// The plan that `EXPLAIN` shows.
    pub(crate) fn plan(&self, sql: &str) -> String {
        let rows = self.rows(&format!("EXPLAIN {sql}"));
        rows.iter().map(|row| format!("{}: {}\n", row[0], row[1])).collect()
    }

    pub(crate) fn segment_files(&self) -> Vec<PathBuf> {
        let files = std::fs::read_dir(self.dir.path().join("store/segments")).unwrap();
        files.map(|file| file.unwrap().path()).collect()
    }
}

fn texts(batch: &RecordBatch) -> Vec<Vec<String>> {
    let text = |column: &dyn Array, row: usize| {
        if column.is_null(row) {
            return "∅".to_owned();
        }
        let text = array_value_to_string(column, row).unwrap();
        match text.as_str() {
            "true" => number(1.0),
            "false" => number(0.0),
            _ if column.data_type().is_numeric() => number(text.parse().unwrap()),
            _ => text,
        }
    };
    (0..batch.num_rows()).map(|row| batch.columns().iter().map(|column| text(column, row)).collect()).collect()
}

/// A number as text, however exact its type is.
pub(crate) fn number(value: f64) -> String {
    format!("{value:.4}")
}
