//! One table as Arrow batches, with the column types of `regions/datasets/`.

use std::sync::Arc;

use anyhow::{Context, Result};
use arrow::array::RecordBatch;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use tpchgen::generators::{
    CustomerGenerator, LineItemGenerator, NationGenerator, OrderGenerator, PartGenerator, PartSuppGenerator,
    RegionGenerator, SupplierGenerator,
};
use tpchgen_arrow::{
    CustomerArrow, LineItemArrow, NationArrow, OrderArrow, PartArrow, PartSuppArrow, RecordBatchIterator, RegionArrow,
    SupplierArrow,
};

/// A table of TPC-H.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Table {
    /// Five regions of the world.
    Region,
    /// Twenty-five nations.
    Nation,
    /// Suppliers.
    Supplier,
    /// Parts.
    Part,
    /// Which supplier supplies which part.
    PartSupp,
    /// Customers: the entity that residency is about.
    Customer,
    /// Orders.
    Orders,
    /// Line items of orders.
    LineItem,
}

impl Table {
    /// All tables, in an order in which they can be loaded.
    pub const ALL: [Self; 8] = [
        Self::Region,
        Self::Nation,
        Self::Supplier,
        Self::Part,
        Self::PartSupp,
        Self::Customer,
        Self::Orders,
        Self::LineItem,
    ];

    /// The tables whose rows have a home, in an order in which they can be loaded.
    pub const RESIDENT: [Self; 3] = [Self::Customer, Self::Orders, Self::LineItem];

    /// The name of the dataset.
    pub fn name(self) -> &'static str {
        match self {
            Self::Region => "region",
            Self::Nation => "nation",
            Self::Supplier => "supplier",
            Self::Part => "part",
            Self::PartSupp => "partsupp",
            Self::Customer => "customer",
            Self::Orders => "orders",
            Self::LineItem => "lineitem",
        }
    }

    /// Whether the rows have a home.
    pub fn is_resident(self) -> bool {
        Self::RESIDENT.contains(&self)
    }

    /// Whether it is small enough to be handed over as CSV.
    pub(crate) fn is_csv(self) -> bool {
        matches!(self, Self::Region | Self::Nation | Self::Supplier | Self::Customer)
    }

    /// The columns in order, each with whether it holds numbers.
    pub fn columns(self) -> Vec<(String, bool)> {
        let is_number = |kind: &DataType| !matches!(kind, DataType::Utf8 | DataType::Date32);
        self.schema().fields().iter().map(|field| (field.name().clone(), is_number(field.data_type()))).collect()
    }

    /// The schema: texts as `Utf8`, keys as `Int64`, money as `Decimal128(15, 2)`, dates as `Date32`.
    pub fn schema(self) -> SchemaRef {
        plain_schema(self.generator(0.001).schema())
    }

    /// The whole table at a scale factor, in batches.
    pub fn batches(self, scale: f64) -> impl Iterator<Item = Result<RecordBatch>> {
        let schema = self.schema();
        self.generator(scale).map(move |batch| {
            let columns = batch.columns().iter().zip(schema.fields()).map(|(column, field)| {
                cast(column, field.data_type()).with_context(|| format!("cannot convert `{}`", field.name()))
            });
            Ok(RecordBatch::try_new(Arc::clone(&schema), columns.collect::<Result<_>>()?)?)
        })
    }

    /// The whole table as texts, row by row: dates as `1998-08-02`, money as `12.50`.
    pub fn rows(self, scale: f64) -> impl Iterator<Item = Result<Vec<String>>> {
        self.batches(scale).flat_map(|batch| match batch.and_then(|batch| texts(&batch)) {
            Ok(rows) => rows.into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error)],
        })
    }

    fn generator(self, scale: f64) -> Box<dyn RecordBatchIterator> {
        match self {
            Self::Region => Box::new(RegionArrow::new(RegionGenerator::new(scale, 1, 1))),
            Self::Nation => Box::new(NationArrow::new(NationGenerator::new(scale, 1, 1))),
            Self::Supplier => Box::new(SupplierArrow::new(SupplierGenerator::new(scale, 1, 1))),
            Self::Part => Box::new(PartArrow::new(PartGenerator::new(scale, 1, 1))),
            Self::PartSupp => Box::new(PartSuppArrow::new(PartSuppGenerator::new(scale, 1, 1))),
            Self::Customer => Box::new(CustomerArrow::new(CustomerGenerator::new(scale, 1, 1))),
            Self::Orders => Box::new(OrderArrow::new(OrderGenerator::new(scale, 1, 1))),
            Self::LineItem => Box::new(LineItemArrow::new(LineItemGenerator::new(scale, 1, 1))),
        }
    }
}

fn texts(batch: &RecordBatch) -> Result<Vec<Vec<String>>> {
    let options = FormatOptions::default();
    let columns: Vec<ArrayFormatter<'_>> =
        batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options)).collect::<Result<_, _>>()?;
    let row = |row: usize| columns.iter().map(|column| Ok(column.value(row).try_to_string()?)).collect();
    (0..batch.num_rows()).map(row).collect()
}

fn plain_schema(schema: &SchemaRef) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| {
        let kind = if field.data_type() == &DataType::Utf8View { DataType::Utf8 } else { field.data_type().clone() };
        Field::new(field.name(), kind, field.is_nullable())
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}
