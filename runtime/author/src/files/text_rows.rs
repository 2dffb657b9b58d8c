//! CSV, and how a text becomes a value.

use std::fs::File;
use std::io::{BufReader, Seek};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Date32Array, Float64Array, Int64Array, StringArray};
use arrow::compute::concat;
use arrow::compute::kernels::cast_utils::Parser;
use arrow::csv::ReaderBuilder;
use arrow::csv::reader::Format as CsvFormat;
use arrow::datatypes::{DataType, Date32Type, Field, Schema};
use domicile_sandbox::{Value, ValueType};

/// What is wrong with the value of a row, counted from 0.
pub(super) type Misfit = (usize, String);

/// Rows of texts.
pub(super) struct TextRows {
    names: Vec<String>,
    columns: Vec<StringArray>,
}

pub(super) fn read(mut file: &File) -> Result<TextRows, String> {
    let format = CsvFormat::default().with_header(true);
    let (headings, _) = format.infer_schema(BufReader::new(file), Some(0)).map_err(|e| e.to_string())?;
    let names: Vec<String> = headings.fields().iter().map(|field| field.name().clone()).collect();
    if names.is_empty() {
        return Err("it is empty; the first row is to have the names of the columns".to_owned());
    }
    if let Some(twice) = names.iter().enumerate().find_map(|(i, name)| names[..i].contains(name).then_some(name)) {
        return Err(format!("column `{twice}` is there twice"));
    }
    file.rewind().map_err(|e| e.to_string())?;
    let fields = names.iter().map(|name| Field::new(name, DataType::Utf8, true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let reader = ReaderBuilder::new(schema).with_header(true).build(file).map_err(|e| e.to_string())?;
    let batches = reader.collect::<Result<Vec<_>, _>>().map_err(|e| e.to_string())?;
    let column = |index: usize| {
        let parts: Vec<&dyn Array> = batches.iter().map(|batch| batch.column(index).as_ref()).collect();
        if parts.is_empty() {
            return Ok(StringArray::new_null(0));
        }
        concat(&parts).map(|array| array.as_string::<i32>().clone()).map_err(|e| e.to_string())
    };
    let columns = (0..names.len()).map(column).collect::<Result<_, _>>()?;
    Ok(TextRows { names, columns })
}

impl TextRows {
    pub(super) fn rows(&self) -> usize {
        self.columns.first().map_or(0, Array::len)
    }

    pub(super) fn columns(&self) -> Vec<String> {
        self.names.clone()
    }

    pub(super) fn keys(&self, name: &str) -> StringArray {
        let place = self.names.iter().position(|known| known == name);
        place.map_or_else(|| StringArray::new_null(self.rows()), |place| self.columns[place].clone())
    }

    pub(super) fn column(&self, name: &str, kind: ValueType) -> Result<ArrayRef, Misfit> {
        let texts = self.keys(name);
        array(texts.iter().map(|text| text.map_or(Ok(Value::Null), |text| parse_value(text, kind))), kind)
    }
}

/// The value of a type that a text writes down, or what is wrong with it.
pub(crate) fn parse_value(text: &str, kind: ValueType) -> Result<Value, String> {
    let value = match kind {
        ValueType::BigInt => text.parse().ok().map(Value::BigInt),
        ValueType::Double => text.parse().ok().map(Value::Double),
        ValueType::Text => Some(Value::Text(text.to_owned())),
        ValueType::Date => Date32Type::parse(text).map(Value::Date),
        ValueType::Boolean => text.parse().ok().map(Value::Boolean),
        ValueType::Bytes => None,
    };
    let hint = if kind == ValueType::Date { ", written as 1998-08-02" } else { "" };
    value.ok_or_else(|| format!("`{text}` is not a {kind}{hint}"))
}

/// Values of one type, or null, as an array. Values of other types do not come here.
pub(crate) fn array(values: impl Iterator<Item = Result<Value, String>>, kind: ValueType) -> Result<ArrayRef, Misfit> {
    let values = values.enumerate().map(|(row, value)| value.map_err(|problem| (row, problem)));
    let values = values.collect::<Result<Vec<Value>, Misfit>>()?;
    Ok(of_values(&values, kind))
}

/// Values of one type, or null, as an array.
pub(crate) fn of_values(values: &[Value], kind: ValueType) -> ArrayRef {
    macro_rules! collect {
        ($array:ty, $variant:ident) => {
            Arc::new(
                values
                    .iter()
                    .map(|value| if let Value::$variant(value) = value { Some(value.clone()) } else { None })
                    .collect::<$array>(),
            )
        };
    }
    match kind {
        ValueType::BigInt => collect!(Int64Array, BigInt),
        ValueType::Double => collect!(Float64Array, Double),
        ValueType::Text => collect!(StringArray, Text),
        ValueType::Date => collect!(Date32Array, Date),
        ValueType::Boolean => collect!(BooleanArray, Boolean),
        ValueType::Bytes => collect!(arrow::array::BinaryArray, Bytes),
    }
}
