//! A region with four small datasets, and the few verbs that tests need.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::UInt8Type;
use arrow::row::{RowConverter, SortField};
use arrow::util::display::array_value_to_string;
use domicile_store::{
    Ack, Batch, DatasetSpec, Format, HLC_COLUMN, OP_COLUMN, Operation, Source, Store, StoreError, StoreParts,
    StoreReader, VERSION_COLUMNS,
};
use domicile_types::{Column, ColumnType, Dataset, DatasetName, KeyValue, RegionId, Residency};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tempfile::TempDir;

/// The moment at which tests happen.
pub(crate) const NOW_MS: u64 = 1_900_000_000_000;

pub(crate) const CUSTOMERS: &str = "c_custkey,c_name,c_nationkey,c_acctbal,c_since\n\
    2,Berta,7,-3.50,2021-02-28\n\
    1,\"Adam, \"\"A\"\"\",6,711.56,\n";

pub(crate) const ORDERS: &str = "o_orderkey,o_custkey\n12,2\n10,1\n11,2\n";

pub(crate) const LINES: &str = "l_orderkey,l_linenumber,l_quantity\n12,1,5\n10,2,1\n10,1,3\n";

pub(crate) const NATIONS: &str = "n_nationkey,n_name\n6,FRANCE\n7,GERMANY\n24,UNITED STATES\n";

#[derive(Debug)]
pub(crate) struct Region {
    /// Holds the store's directory and the files to load.
    pub(crate) root: TempDir,
    pub(crate) store: Store,
}

pub(crate) fn name(text: &str) -> DatasetName {
    text.parse().unwrap()
}

pub(crate) fn region(text: &str) -> RegionId {
    text.parse().unwrap()
}

pub(crate) fn dataset(text: &str, columns: &[(&str, ColumnType, bool)], key: &[&str]) -> Dataset {
    let columns = columns
        .iter()
        .map(|(name, kind, nullable)| Column { name: (*name).to_owned(), kind: *kind, nullable: *nullable })
        .collect();
    Dataset::new(name(text), columns, key.iter().map(|key| (*key).to_owned()).collect()).unwrap()
}

pub(crate) fn follows(parent: &str, column: &str) -> Residency {
    Residency::Follows { dataset: name(parent), column: column.to_owned() }
}

/// Nations 6 and 7 are at home in `eu-central`, 24 in `us-east`.
pub(crate) fn homes(values: &[(i64, &str)]) -> Residency {
    Residency::Column {
        column: "c_nationkey".to_owned(),
        entity: "c_custkey".to_owned(),
        homes: values.iter().map(|(value, home)| (KeyValue::Integer(*value), region(home))).collect(),
    }
}

pub(crate) fn specs() -> Vec<DatasetSpec> {
    use ColumnType::{BigInt, Date, Decimal, Integer, Text};
    let money = Decimal { precision: 15, scale: 2 };
    let customer = dataset(
        "customer",
        &[
            ("c_custkey", BigInt, false),
            ("c_name", Text, false),
            ("c_nationkey", BigInt, true),
            ("c_acctbal", money, false),
            ("c_since", Date, true),
        ],
        &["c_custkey"],
    );
    let orders = dataset("orders", &[("o_orderkey", BigInt, false), ("o_custkey", BigInt, false)], &["o_orderkey"]);
    let lines = [("l_orderkey", BigInt, false), ("l_linenumber", Integer, false), ("l_quantity", money, false)];
    let lineitem = dataset("lineitem", &lines, &["l_orderkey", "l_linenumber"]);
    let nation = dataset("nation", &[("n_nationkey", BigInt, false), ("n_name", Text, false)], &["n_nationkey"]);
    vec![
        DatasetSpec { dataset: lineitem, residency: follows("orders", "l_orderkey") },
        DatasetSpec { dataset: orders, residency: follows("customer", "o_custkey") },
        DatasetSpec { dataset: customer, residency: homes(&[(6, "eu-central"), (7, "eu-central"), (24, "us-east")]) },
        DatasetSpec { dataset: nation, residency: Residency::Reference },
    ]
}

impl Region {
    pub(crate) fn empty() -> Self {
        let root = TempDir::new().unwrap();
        let store = open(&root.path().join("store"), specs()).unwrap();
        Self { root, store }
    }

    /// With customers 1 and 2, their orders and lines.
    pub(crate) fn filled() -> Self {
        let mut region = Self::empty();
        for (dataset, rows) in [("customer", CUSTOMERS), ("orders", ORDERS), ("lineitem", LINES)] {
            region.load(dataset, rows).unwrap();
        }
        region
    }

    pub(crate) fn dir(&self) -> PathBuf {
        self.root.path().join("store")
    }

    /// Files in a directory of the store.
    pub(crate) fn files(&self, dir: &str) -> Vec<PathBuf> {
        let mut files: Vec<_> =
            fs::read_dir(self.dir().join(dir)).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }

    /// Files in the directory of the segments.
    pub(crate) fn segment_files(&self) -> Vec<PathBuf> {
        self.files("segments")
    }

    /// Loads CSV text.
    pub(crate) fn load(&mut self, dataset: &str, rows: &str) -> Result<Ack, StoreError> {
        self.load_as(dataset, Format::Csv, rows)
    }

    /// Loads bytes in a format.
    pub(crate) fn load_as(&mut self, dataset: &str, format: Format, rows: impl AsRef<[u8]>) -> Result<Ack, StoreError> {
        let file = self.root.path().join("upload");
        fs::write(&file, rows).unwrap();
        load_file(&mut self.store, dataset, &file, format)
    }

    /// Loads CSV text that an idempotency key makes known again.
    pub(crate) fn load_once(&mut self, dataset: &str, key: &str, rows: &str) -> Result<Ack, StoreError> {
        let batch = Batch { idempotency_key: Some(key.to_owned()), ..batch(dataset, Operation::Upsert, Format::Csv) };
        commit(&mut self.store, batch, Source::Stream(Box::new(Cursor::new(rows.to_owned()))))
    }

    /// Deletes the rows whose keys are in CSV text.
    pub(crate) fn delete(&mut self, dataset: &str, keys: &str) -> Result<Ack, StoreError> {
        let batch = batch(dataset, Operation::Delete, Format::Csv);
        commit(&mut self.store, batch, Source::Stream(Box::new(Cursor::new(keys.to_owned()))))
    }

    /// Makes segments of all recent rows.
    pub(crate) fn flush(&mut self) {
        flush(&mut self.store);
    }

    /// Closes the store, gives `change` its directory, and opens it again.
    pub(crate) fn reopen(self, change: impl FnOnce(&Path)) -> Result<Self, StoreError> {
        let (root, store) = (self.root, self.store);
        drop(store);
        let dir = root.path().join("store");
        change(&dir);
        let store = open(&dir, specs())?;
        Ok(Self { root, store })
    }

    /// The rows of a dataset that count, in the order of the key.
    #[track_caller]
    pub(crate) fn rows(&self, dataset: &str) -> Vec<String> {
        rows(&self.store.reader(), dataset)
    }
}

pub(crate) fn open(dir: &Path, specs: Vec<DatasetSpec>) -> Result<Store, StoreError> {
    Store::open(StoreParts::local(dir.to_owned(), region("eu-central"), specs))
}

pub(crate) fn batch(dataset: &str, operation: Operation, format: Format) -> Batch {
    Batch { dataset: name(dataset), operation, format, idempotency_key: None }
}

pub(crate) fn commit(store: &mut Store, batch: Batch, source: Source) -> Result<Ack, StoreError> {
    let prepared = store.preparer().prepare(batch, source, NOW_MS)?;
    store.commit(vec![prepared], NOW_MS).pop().unwrap()
}

pub(crate) fn load_file(store: &mut Store, dataset: &str, file: &Path, format: Format) -> Result<Ack, StoreError> {
    commit(store, batch(dataset, Operation::Upsert, format), Source::File(file.to_owned()))
}

/// Makes segments of all recent rows.
pub(crate) fn flush(store: &mut Store) {
    store.freeze_recent();
    while let Some(job) = store.next_job(NOW_MS) {
        let done = job.run(&|_| {});
        store.finish(done).unwrap();
    }
}

/// Loads bytes into the fresh dataset `facts (id bigint, fact <kind> nullable)`. Gives what is stored.
pub(crate) fn load_facts(kind: ColumnType, format: Format, rows: &[u8]) -> Result<Vec<String>, StoreError> {
    let root = TempDir::new().unwrap();
    let facts = dataset("facts", &[("id", ColumnType::BigInt, false), ("fact", kind, true)], &[]);
    let specs = vec![DatasetSpec { dataset: facts, residency: Residency::Reference }];
    let store = open(&root.path().join("store"), specs).unwrap();
    let mut region = Region { root, store };
    region.load_as("facts", format, rows)?;
    Ok(region.rows("facts"))
}

/// The rows of a dataset that count, by looking at every version of each: declared columns and entity, cells separated
/// by `|`, in the order of the key, or of arrival where there is none.
#[track_caller]
pub(crate) fn rows(reader: &StoreReader, dataset: &str) -> Vec<String> {
    versions(reader, dataset).into_iter().filter(|version| !version.deleted).map(|version| version.text).collect()
}

/// The newest version of a row.
pub(crate) struct Version {
    deleted: bool,
    text: String,
}

#[track_caller]
fn versions(reader: &StoreReader, dataset: &str) -> Vec<Version> {
    let stored = reader.stored_schema(&name(dataset)).unwrap();
    let spec = reader.specs().iter().find(|spec| spec.dataset.name == name(dataset)).unwrap();
    let mut batches = Vec::new();
    for partition in reader.snapshot().partitions(&name(dataset)).unwrap() {
        for segment in &partition.segments {
            let bytes = segment.read(0..segment.bytes).unwrap();
            let read = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap().build().unwrap();
            let read: Vec<_> = read.map(Result::unwrap).collect();
            assert_eq!(read.iter().map(RecordBatch::num_rows).sum::<usize>() as u64, segment.rows);
            batches.extend(read);
        }
        batches.extend(partition.recent.iter().cloned());
    }
    let all = concat_batches(&stored, &batches).unwrap();
    let by = |names: &[&str]| {
        let columns: Vec<_> = names.iter().map(|name| Arc::clone(all.column_by_name(name).unwrap())).collect();
        let fields = columns.iter().map(|column| SortField::new(column.data_type().clone())).collect();
        RowConverter::new(fields).unwrap().convert_columns(&columns).unwrap()
    };
    let shown = stored.fields().iter().take_while(|field| field.name() != HLC_COLUMN).count();
    let ops = all.column_by_name(OP_COLUMN).unwrap().as_primitive::<UInt8Type>();
    let version_order = by(&VERSION_COLUMNS);
    let key: Vec<&str> = spec.dataset.primary_key.iter().map(String::as_str).collect();
    let key_order = by(if key.is_empty() { &VERSION_COLUMNS } else { &key });
    let mut newest: BTreeMap<Vec<u8>, (Vec<u8>, Version)> = BTreeMap::new();
    for row in 0..all.num_rows() {
        let cells = all.columns()[..shown].iter().map(|column| array_value_to_string(column, row).unwrap());
        let text = cells.collect::<Vec<_>>().join("|");
        let version = (version_order.row(row).as_ref().to_vec(), Version { deleted: ops.value(row) != 0, text });
        match newest.entry(key_order.row(row).as_ref().to_vec()) {
            Entry::Vacant(entry) => drop(entry.insert(version)),
            Entry::Occupied(mut entry) if entry.get().0 < version.0 => drop(entry.insert(version)),
            Entry::Occupied(_) => {}
        }
    }
    newest.into_values().map(|(_, version)| version).collect()
}
