//! The datasets that a store holds: their descriptions, checked against each other, and their Arrow schemas.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use domicile_types::{Column, ColumnType, Dataset, DatasetName, Every, KeyValue, MERGE_COLUMN, Residency};

use crate::version::hidden_fields;
use crate::{Noting, SpecProblem, StoreError, widen};

/// The hidden column of a resident dataset: the entity (a customer key) that each row is about. It has the type of
/// the entity column of the dataset at the root of the references.
pub const ENTITY_COLUMN: &str = "_entity";

/// A dataset and the rule that finds the home of its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatasetSpec {
    /// Columns and key.
    pub dataset: Dataset,
    /// Where its rows live.
    pub residency: Residency,
}

/// The declared columns of a dataset, in order.
pub fn arrow_schema(spec: &DatasetSpec) -> SchemaRef {
    Arc::new(Schema::new(spec.dataset.columns.iter().map(field).collect::<Vec<_>>()))
}

/// What the segments of a dataset hold: the declared columns; where rows have a home, [`ENTITY_COLUMN`]; the hidden
/// columns of versions. Where the dataset has a key, only the key must have values: a tombstone has nothing else. Where
/// rows say what they change, [`StoreReader::stored_schema`](crate::StoreReader::stored_schema) has one column more.
///
/// `specs` are all datasets: the entity's type is that of the dataset at the root of the references.
///
/// # Errors
/// Where `dataset` is not among `specs`, or its residency names a dataset or column that does not exist.
pub fn stored_schema(specs: &[DatasetSpec], dataset: &DatasetName) -> Result<SchemaRef, StoreError> {
    stored_with(specs, dataset, None)
}

fn stored_with(specs: &[DatasetSpec], dataset: &DatasetName, notes: Option<Field>) -> Result<SchemaRef, StoreError> {
    let spec = find(specs, dataset)
        .ok_or_else(|| StoreError::unknown(dataset, specs.iter().map(|spec| spec.dataset.name.as_str())))?;
    let entity = entity_type(specs, spec).map_err(|problem| StoreError::Spec { dataset: dataset.clone(), problem })?;
    let key = &spec.dataset.primary_key;
    let stored = |column: &Column| match key.is_empty() {
        true => field(column),
        false => field(column).with_nullable(!key.contains(&column.name)),
    };
    let mut fields: Vec<Field> = spec.dataset.columns.iter().map(stored).collect();
    fields.extend(entity.map(|kind| Field::new(ENTITY_COLUMN, data_type(kind), !key.is_empty())));
    fields.extend(notes);
    fields.extend(hidden_fields());
    Ok(Arc::new(Schema::new(fields)))
}

fn field(column: &Column) -> Field {
    Field::new(&column.name, data_type(column.kind), column.nullable)
}

fn data_type(kind: ColumnType) -> DataType {
    match kind {
        ColumnType::BigInt => DataType::Int64,
        ColumnType::Integer => DataType::Int32,
        ColumnType::Double => DataType::Float64,
        ColumnType::Decimal { precision, scale } => DataType::Decimal128(precision, scale),
        ColumnType::Text => DataType::Utf8,
        ColumnType::Date => DataType::Date32,
        ColumnType::Boolean => DataType::Boolean,
    }
}

/// The type as people write it in a dataset file.
pub(crate) fn type_name(kind: &DataType) -> String {
    match kind {
        DataType::Int64 => "bigint".to_owned(),
        DataType::Int32 => "integer".to_owned(),
        DataType::Float64 => "double".to_owned(),
        DataType::Decimal128(precision, scale) => format!("decimal({precision},{scale})"),
        DataType::Utf8 => "text".to_owned(),
        DataType::Date32 => "date".to_owned(),
        DataType::Boolean => "boolean".to_owned(),
        other => other.to_string(),
    }
}

fn find<'a>(specs: &'a [DatasetSpec], dataset: &DatasetName) -> Option<&'a DatasetSpec> {
    specs.iter().find(|spec| spec.dataset.name == *dataset)
}

/// The type of the entity of a dataset's rows; none for reference data.
fn entity_type(specs: &[DatasetSpec], spec: &DatasetSpec) -> Result<Option<ColumnType>, SpecProblem> {
    let mut current = spec;
    for _ in 0..=specs.len() {
        match &current.residency {
            Residency::Reference => return Ok(None),
            Residency::Column { entity, .. } => return Ok(Some(current.dataset.column(entity)?.kind)),
            Residency::Follows { dataset, .. } => current = parent(specs, dataset)?,
        }
    }
    Err(SpecProblem::Circle)
}

fn parent<'a>(specs: &'a [DatasetSpec], dataset: &DatasetName) -> Result<&'a DatasetSpec, SpecProblem> {
    let parent = find(specs, dataset).ok_or_else(|| SpecProblem::NoParent {
        parent: dataset.clone(),
        nearest: domicile_types::nearest(dataset.as_str(), specs.iter().map(|spec| spec.dataset.name.as_str()))
            .map(str::to_owned),
    })?;
    match parent.residency {
        Residency::Reference => Err(SpecProblem::ReferenceParent { parent: dataset.clone() }),
        _ => Ok(parent),
    }
}

/// The datasets of one store, checked.
#[derive(Debug)]
pub(crate) struct Catalog {
    specs: Vec<DatasetSpec>,
    entries: BTreeMap<DatasetName, Entry>,
}

/// One dataset with all that follows from its description.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) spec: DatasetSpec,
    /// Declared columns.
    pub(crate) schema: SchemaRef,
    /// Declared columns, the entity, what the rows say of their changes, and the columns of versions.
    pub(crate) stored: SchemaRef,
    /// Says what rows change, where conflicts are resolved by that.
    pub(crate) noting: Option<Arc<dyn Noting>>,
    /// Mark of all that stored rows depend on: columns, key and partitioning.
    pub(crate) shape: u32,
    /// The marks from before the last columns were added: rows of these shapes lack them.
    narrower: Vec<u32>,
    /// Columns that must have a value whatever their declaration says.
    required: Vec<String>,
}

impl Entry {
    /// Whether a row without a value in this declared column is refused.
    pub(crate) fn requires(&self, column: &str) -> bool {
        let declared = self.schema.field_with_name(column).is_ok_and(|field| !field.is_nullable());
        declared || self.required.iter().any(|required| required == column)
    }

    /// Whether rows that were stored under this mark can be read, if need be without values in columns that were added
    /// since.
    pub(crate) fn fits(&self, shape: u32) -> bool {
        self.shape == shape || self.narrower.contains(&shape)
    }

    /// The rows with all columns that are stored now; none where they are not of this dataset, or have columns that it
    /// lacks. `schema` is that of all columns, or some.
    pub(crate) fn widened(&self, rows: RecordBatch, schema: &SchemaRef) -> Option<RecordBatch> {
        widen::widened(rows, schema, &self.spec.dataset)
    }

    pub(crate) fn primary_key(&self) -> &[String] {
        &self.spec.dataset.primary_key
    }
}

impl Catalog {
    pub(crate) fn new(
        specs: Vec<DatasetSpec>,
        noting: &BTreeMap<DatasetName, Arc<dyn Noting>>,
    ) -> Result<Self, StoreError> {
        let mut entries = BTreeMap::new();
        for spec in &specs {
            let refuse = |problem| StoreError::Spec { dataset: spec.dataset.name.clone(), problem };
            check(&specs, spec).map_err(refuse)?;
            let noting = noting.get(&spec.dataset.name).cloned();
            let notes = noting.is_some().then(|| Field::new(MERGE_COLUMN, DataType::Utf8, true));
            let entry = Entry {
                schema: arrow_schema(spec),
                shape: shape(spec, notes.is_some()),
                narrower: narrower(spec).iter().map(|spec| shape(spec, notes.is_some())).collect(),
                stored: stored_with(&specs, &spec.dataset.name, notes)?,
                noting,
                required: required(spec),
                spec: spec.clone(),
            };
            if entries.insert(spec.dataset.name.clone(), entry).is_some() {
                return Err(refuse(SpecProblem::Repeated));
            }
        }
        Ok(Self { specs, entries })
    }

    pub(crate) fn specs(&self) -> &[DatasetSpec] {
        &self.specs
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    pub(crate) fn entry(&self, dataset: &DatasetName) -> Result<&Entry, StoreError> {
        self.entries
            .get(dataset)
            .ok_or_else(|| StoreError::unknown(dataset, self.entries.keys().map(DatasetName::as_str)))
    }
}

/// CRC-32C of a line for each column, the key and the partitioning, and for what rows say of their changes.
fn shape(spec: &DatasetSpec, is_noted: bool) -> u32 {
    let Dataset { columns, primary_key, partitioning, .. } = &spec.dataset;
    let column = |column: &Column| {
        let nullable = if column.nullable { " nullable" } else { "" };
        format!("{} {}{nullable}\n", column.name, type_name(&data_type(column.kind)))
    };
    let mut text: String = columns.iter().map(column).collect();
    text += &format!("key {}\n", primary_key.join(","));
    let every = partitioning.time.as_ref().map(|time| match time.every {
        Every::Day => format!("day {}\n", time.column),
        Every::Month => format!("month {}\n", time.column),
        Every::Quarter => format!("quarter {}\n", time.column),
    });
    text += &every.unwrap_or_default();
    for by in &partitioning.by {
        text += &format!("by {} {}\n", by.column, by.buckets.unwrap_or(0));
    }
    if is_noted {
        text += "notes\n";
    }
    crc32c::crc32c(text.as_bytes())
}

/// The description without its last columns: without the last one, the last two and so on, as long as rows without them
/// can be.
fn narrower(spec: &DatasetSpec) -> Vec<DatasetSpec> {
    let required = required(spec);
    let is_needed = |name: &str| {
        required.iter().any(|needed| needed == name) || spec.dataset.partitioning.columns().any(|needed| needed == name)
    };
    let (mut current, mut all) = (spec.clone(), Vec::new());
    while current.dataset.columns.pop().is_some_and(|last| last.nullable && !is_needed(&last.name)) {
        all.push(current.clone());
    }
    all
}

fn required(spec: &DatasetSpec) -> Vec<String> {
    let mut columns = spec.dataset.primary_key.clone();
    match &spec.residency {
        Residency::Reference => {}
        Residency::Column { column, entity, .. } => columns.extend([column.clone(), entity.clone()]),
        Residency::Follows { column, .. } => columns.push(column.clone()),
    }
    columns
}

fn check(specs: &[DatasetSpec], spec: &DatasetSpec) -> Result<(), SpecProblem> {
    for column in &spec.dataset.columns {
        if let ColumnType::Decimal { precision, scale } = column.kind {
            let fits = (1..=38).contains(&precision) && u8::try_from(scale).is_ok_and(|scale| scale <= precision);
            if !fits {
                return Err(SpecProblem::Decimal { column: column.name.clone() });
            }
        }
    }
    match &spec.residency {
        Residency::Reference => Ok(()),
        Residency::Column { column, homes, .. } => {
            let kind = spec.dataset.column(column)?.kind;
            let fits = |value: &KeyValue| match value {
                KeyValue::Integer(_) => is_integer(kind),
                KeyValue::Text(_) => kind == ColumnType::Text,
            };
            if (is_integer(kind) || kind == ColumnType::Text) && homes.keys().all(fits) {
                return Ok(());
            }
            Err(SpecProblem::HomeType { column: column.clone() })
        }
        Residency::Follows { dataset, column } => {
            let kind = spec.dataset.column(column)?.kind;
            let parent = parent(specs, dataset)?;
            if let [key] = parent.dataset.primary_key.as_slice()
                && parent.dataset.column(key)?.kind == kind
            {
                return Ok(());
            }
            Err(SpecProblem::ParentKey { parent: dataset.clone(), column: column.clone() })
        }
    }
}

fn is_integer(kind: ColumnType) -> bool {
    matches!(kind, ColumnType::BigInt | ColumnType::Integer)
}
