//! Rows that were written before their dataset got further columns.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, new_null_array};
use arrow::datatypes::{Field, SchemaRef};
use domicile_types::Dataset;

/// The rows in a schema that may have more columns, as long as these were added: declared behind all others, and without
/// a value where there is none. None where the rows are not of this dataset, or have columns that it lacks.
pub(crate) fn widened(rows: RecordBatch, schema: &SchemaRef, dataset: &Dataset) -> Option<RecordBatch> {
    if rows.schema_ref() == schema {
        return Some(rows);
    }
    if rows.schema_ref().fields().iter().any(|field| schema.field_with_name(field.name()).is_err()) {
        return None;
    }
    let is_there = |name: &str| rows.schema_ref().field_with_name(name).is_ok();
    let wanted = dataset.columns.iter().filter(|column| schema.field_with_name(&column.name).is_ok());
    let added: Vec<&str> = wanted
        .rev()
        .take_while(|column| column.nullable && !is_there(&column.name))
        .map(|column| column.name.as_str())
        .collect();
    let column = |field: &Arc<Field>| -> Option<ArrayRef> {
        match rows.schema_ref().column_with_name(field.name()) {
            Some((place, known)) => (known == field.as_ref()).then(|| Arc::clone(rows.column(place))),
            None => added.contains(&field.name().as_str()).then(|| new_null_array(field.data_type(), rows.num_rows())),
        }
    };
    let columns = schema.fields().iter().map(column).collect::<Option<Vec<_>>>()?;
    RecordBatch::try_new(Arc::clone(schema), columns).ok()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use arrow::array::{Array, Int64Array};
    use arrow::datatypes::{DataType, Schema};
    use domicile_types::{Column, ColumnType};

    use super::*;

    fn dataset(is_nullable: bool) -> Dataset {
        let column = |name: &str, nullable| Column { name: name.to_owned(), kind: ColumnType::BigInt, nullable };
        let columns = vec![column("id", false), column("price", true), column("stock", is_nullable)];
        Dataset::new("item".parse().unwrap(), columns, vec!["id".to_owned()]).unwrap()
    }

    fn schema(columns: &[&str]) -> SchemaRef {
        let field = |name: &&str| Field::new(*name, DataType::Int64, *name != "id");
        Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()))
    }

    fn rows(columns: &[&str]) -> RecordBatch {
        let column = |at: usize| Arc::new(Int64Array::from(vec![at as i64; 2])) as ArrayRef;
        RecordBatch::try_new(schema(columns), (0..columns.len()).map(column).collect()).unwrap()
    }

    #[test]
    fn columns_that_may_be_missing_are() {
        let wide = schema(&["id", "price", "stock"]);
        let widened = widened(rows(&["id", "price"]), &wide, &dataset(true)).unwrap();
        assert_eq!(widened.schema_ref(), &wide);
        assert_eq!(widened.column(1).as_ref(), &Int64Array::from(vec![1, 1]) as &dyn Array);
        assert_eq!(widened.column(2).null_count(), 2);
    }

    #[test]
    fn nothing_is_lost_and_nothing_made_up() {
        let wide = schema(&["id", "price", "stock"]);
        assert!(widened(rows(&["id", "price"]), &wide, &dataset(false)).is_none(), "a value that has to be there");
        assert!(widened(rows(&["id", "stock"]), &wide, &dataset(true)).is_none(), "one that was not added");
        assert!(widened(wide_rows(), &schema(&["id", "price"]), &dataset(true)).is_none(), "a column too many");
        assert!(widened(rows(&["price", "stock"]), &wide, &dataset(true)).is_none(), "no key");
        let other = Arc::new(Schema::new(vec![Field::new("id", DataType::Utf8, false)]));
        assert!(widened(rows(&["id"]), &other, &dataset(true)).is_none(), "another type");
    }

    fn wide_rows() -> RecordBatch {
        rows(&["id", "price", "stock"])
    }
}
