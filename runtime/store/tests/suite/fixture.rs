//! A region with four small datasets, and the few verbs that tests need.

use std::fs;
use std::fs::File;
use std::path::PathBuf;

use arrow::compute::concat_batches;
use arrow::util::display::array_value_to_string;
use domicile_store::{DatasetSpec, FileFormat, LoadReport, Store, StoreError, StoreReader};
use domicile_types::{Column, ColumnType, Dataset, DatasetName, KeyValue, RegionId, Residency};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tempfile::TempDir;

pub(crate) const CUSTOMERS: &str = "c_custkey,c_name,c_nationkey,c_acctbal,c_since\n\
    2,Berta,7,-3.50,2021-02-28\n\
    1,\"Adam, \"\"A\"\"\",6,711.56,\n";

pub(crate) const ORDERS: &str = "o_orderkey,o_custkey\n12,2\n10,1\n11,2\n";

pub(crate) const LINES: &str = "l_orderkey,l_linenumber,l_quantity\n12,1,5\n10,2,1\n10,1,3\n";

pub(crate) const NATIONS: &str = "n_nationkey,n_name\n6,FRANCE\n7,GERMANY\n24,UNITED STATES\n";

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
        let store = Store::open(&root.path().join("store"), region("eu-central"), specs()).unwrap();
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

    /// Files in the directory of the segments.
    pub(crate) fn segment_files(&self) -> Vec<PathBuf> {
        let mut files: Vec<_> =
            fs::read_dir(self.dir().join("segments")).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }

    /// Loads CSV text.
    pub(crate) fn load(&mut self, dataset: &str, rows: &str) -> Result<LoadReport, StoreError> {
        let file = self.root.path().join("upload.csv");
        fs::write(&file, rows).unwrap();
        self.store.load(&name(dataset), &file, FileFormat::Csv)
    }

    /// Closes the store, gives `change` its directory, and opens it again.
    pub(crate) fn reopen(self, change: impl FnOnce(&std::path::Path)) -> Result<Self, StoreError> {
        let (root, dir) = (self.root, self.store);
        drop(dir);
        let dir = root.path().join("store");
        change(&dir);
        let store = Store::open(&dir, region("eu-central"), specs())?;
        Ok(Self { root, store })
    }

    /// All rows of a dataset as the segments hold them, cells separated by `|`.
    #[track_caller]
    pub(crate) fn rows(&self, dataset: &str) -> Vec<String> {
        rows(&self.store.reader(), dataset)
    }
}

#[track_caller]
pub(crate) fn rows(reader: &StoreReader, dataset: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let schema = reader.stored_schema(&name(dataset)).unwrap();
    for segment in reader.snapshot().segments(&name(dataset)) {
        let file = File::open(&segment.path).unwrap();
        let batches = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
        let batches: Vec<_> = batches.map(Result::unwrap).collect();
        let batch = concat_batches(&schema, &batches).unwrap();
        assert_eq!(batch.num_rows() as u64, segment.rows);
        for row in 0..batch.num_rows() {
            let cells = batch.columns().iter().map(|column| array_value_to_string(column, row).unwrap());
            lines.push(cells.collect::<Vec<_>>().join("|"));
        }
    }
    lines
}
