//! A dataset with a column of every type, its rows as values of Rust, and marks.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int32Array, Int64Array,
    RecordBatch, StringArray, UInt8Array,
};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Field, Float64Type, Int32Type, Int64Type, Schema, SchemaRef,
};
use domicile_sync::conflict::{MergePlugin, Resolved, Rules, Siblings};
use domicile_types::{
    Column, ColumnPolicy, ColumnType, ConflictPolicy, Dataset, Dot, Hlc, Mark, Origin, Residency, RowPolicy, Vector,
};

/// What versions of the row with the id 1 say.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Item {
    pub(crate) stock: Option<i64>,
    pub(crate) ordered: Option<i32>,
    /// In hundredths.
    pub(crate) price: Option<i128>,
    pub(crate) weight: Option<f64>,
    pub(crate) tags: Option<String>,
    pub(crate) since: Option<i32>,
    pub(crate) sold: Option<bool>,
    pub(crate) merge: Option<String>,
    pub(crate) deleted: bool,
}

pub(crate) const DELETED: Item = Item {
    stock: None,
    ordered: None,
    price: None,
    weight: None,
    tags: None,
    since: None,
    sold: None,
    merge: None,
    deleted: true,
};

const COLUMNS: [(&str, ColumnType, DataType); 8] = [
    ("id", ColumnType::BigInt, DataType::Int64),
    ("stock", ColumnType::BigInt, DataType::Int64),
    ("ordered", ColumnType::Integer, DataType::Int32),
    ("price", ColumnType::Decimal { precision: 5, scale: 2 }, DataType::Decimal128(5, 2)),
    ("weight", ColumnType::Double, DataType::Float64),
    ("tags", ColumnType::Text, DataType::Utf8),
    ("since", ColumnType::Date, DataType::Date32),
    ("sold", ColumnType::Boolean, DataType::Boolean),
];

pub(crate) fn dataset() -> Dataset {
    let column = |(name, kind, _): (&str, ColumnType, DataType)| Column { name: name.to_owned(), kind, nullable: true };
    Dataset::new("item".parse().unwrap(), COLUMNS.map(column).to_vec(), vec!["id".to_owned()]).unwrap()
}

pub(crate) fn schema() -> SchemaRef {
    let declared = COLUMNS.map(|(name, _, kind)| Field::new(name, kind, name != "id"));
    let hidden = [Field::new("_merge", DataType::Utf8, true), Field::new("_op", DataType::UInt8, false)];
    Arc::new(Schema::new(declared.into_iter().chain(hidden).collect::<Vec<_>>()))
}

pub(crate) fn batch(items: &[Item]) -> RecordBatch {
    let price: Decimal128Array = items.iter().map(|item| item.price).collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(vec![1; items.len()])),
        Arc::new(items.iter().map(|item| item.stock).collect::<Int64Array>()),
        Arc::new(items.iter().map(|item| item.ordered).collect::<Int32Array>()),
        Arc::new(price.with_precision_and_scale(5, 2).unwrap()),
        Arc::new(items.iter().map(|item| item.weight).collect::<Float64Array>()),
        Arc::new(items.iter().map(|item| item.tags.as_deref()).collect::<StringArray>()),
        Arc::new(items.iter().map(|item| item.since).collect::<Date32Array>()),
        Arc::new(items.iter().map(|item| item.sold).collect::<BooleanArray>()),
        Arc::new(items.iter().map(|item| item.merge.as_deref()).collect::<StringArray>()),
        Arc::new(items.iter().map(|item| u8::from(item.deleted)).collect::<UInt8Array>()),
    ];
    RecordBatch::try_new(schema(), columns).unwrap()
}

/// The only row of a batch.
pub(crate) fn item(rows: &RecordBatch) -> Item {
    assert_eq!((rows.num_rows(), rows.schema()), (1, schema()));
    fn value<T>(array: &dyn Array, read: impl Fn() -> T) -> Option<T> {
        array.is_valid(0).then(read)
    }
    let column = |name: &str| Arc::clone(rows.column_by_name(name).unwrap());
    let text = |name: &str| value(&column(name), || column(name).as_string::<i32>().value(0).to_owned());
    Item {
        stock: value(&column("stock"), || column("stock").as_primitive::<Int64Type>().value(0)),
        ordered: value(&column("ordered"), || column("ordered").as_primitive::<Int32Type>().value(0)),
        price: value(&column("price"), || column("price").as_primitive::<Decimal128Type>().value(0)),
        weight: value(&column("weight"), || column("weight").as_primitive::<Float64Type>().value(0)),
        tags: text("tags"),
        since: value(&column("since"), || column("since").as_primitive::<Date32Type>().value(0)),
        sold: value(&column("sold"), || column("sold").as_boolean().value(0)),
        merge: text("_merge"),
        deleted: column("_op").as_primitive::<arrow::datatypes::UInt8Type>().value(0) == 1,
    }
}

/// A version: its mark and what it says.
pub(crate) type Version = (Mark, Item);

pub(crate) fn origin(region: &str, epoch: u32) -> Origin {
    Origin { region: region.parse().unwrap(), epoch }
}

/// A version of a region, by the number of its entry and its moment, that follows nothing.
pub(crate) fn version(region: &str, seq: u64, hlc: u64, item: Item) -> Version {
    let dot = Dot { origin: origin(region, 0), seq };
    (Mark { set: "catalog".parse().unwrap(), dot, hlc: Hlc(hlc), follows: Vector::default(), change: None }, item)
}

/// The version, that follows entries of a region.
pub(crate) fn after((mut mark, item): Version, region: &str, seq: u64) -> Version {
    mark.follows.advance(&origin(region, 0), seq);
    (mark, item)
}

pub(crate) fn siblings(versions: &[Version]) -> Siblings {
    let (marks, items): (Vec<Mark>, Vec<Item>) = versions.iter().cloned().unzip();
    Siblings::new(&batch(&items), &marks).unwrap()
}

pub(crate) fn rules(row: RowPolicy, columns: &[(&str, ColumnPolicy)]) -> Rules {
    let columns = columns.iter().map(|(name, policy)| ((*name).to_owned(), *policy)).collect();
    Rules::new(&ConflictPolicy { row, columns }, &dataset(), &Residency::Reference).unwrap()
}

/// The row that versions come to, where the plugin can be asked.
pub(crate) fn resolve(rules: &Rules, siblings: &Siblings, plugin: &dyn MergePlugin) -> Resolved {
    domicile_sync::conflict::resolve(rules, siblings, plugin).unwrap()
}
