//! What a plugin declares about itself, once checked.

use domicile_types::DatasetName;
use wasmtime::component::{ComponentType, Lift};

use crate::{Value, ValueType};

/// What a plugin offers, by its world.
#[derive(Debug, Clone, PartialEq)]
pub enum Interface {
    /// World `functions`: functions for SQL. Never empty.
    Functions(Vec<FunctionSignature>),
    /// World `mapper`: one entity's rows to a few declared values.
    Mapper(MapperInterface),
    /// World `query`: a question with a name.
    Query(QueryInterface),
    /// World `merge`: resolves conflicts between versions of one row.
    Merge(MergeInterface),
}

impl Interface {
    /// The name of the world.
    pub fn world(&self) -> &'static str {
        match self {
            Self::Functions(_) => "functions",
            Self::Mapper(_) => "mapper",
            Self::Query(_) => "query",
            Self::Merge(_) => "merge",
        }
    }
}

/// What a function makes of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
pub enum FunctionKind {
    /// One row in, one value out.
    #[component(name = "scalar")]
    Scalar,
    /// Many rows in, one value out.
    #[component(name = "aggregate")]
    Aggregate,
}

/// A function.
#[derive(Debug, Clone, PartialEq, Eq, ComponentType, Lift)]
#[component(record)]
pub struct FunctionSignature {
    /// Name, unique in the plugin and usable in SQL without quotes.
    pub name: String,
    /// What it makes of rows.
    pub kind: FunctionKind,
    /// Arguments in order. None is of bytes.
    pub arguments: Vec<Field>,
    /// Type of the answer; not bytes.
    pub returns: ValueType,
}

/// A name and a type.
#[derive(Debug, Clone, PartialEq, Eq, ComponentType, Lift)]
#[component(record)]
pub struct Field {
    /// Name, unique among its kind.
    pub name: String,
    /// Type.
    pub kind: ValueType,
}

impl Field {
    /// The field of an Arrow schema that it is. Any value may be missing.
    pub fn arrow_field(&self) -> arrow::datatypes::Field {
        arrow::datatypes::Field::new(&self.name, self.kind.arrow_type(), true)
    }
}

/// What a query reads and makes.
#[derive(Debug, Clone, PartialEq)]
pub struct QueryInterface {
    /// Parameters in order.
    pub parameters: Vec<Parameter>,
    /// One `SELECT`, with `$name` where a parameter's value belongs. Not looked at here.
    pub input: String,
    /// The columns that `input` gives, in order. Never empty.
    pub columns: Vec<Field>,
    /// The columns of what one region contributes, in order. Never empty.
    pub partial: Vec<Field>,
    /// The columns of the answer, in order. Never empty; none is of bytes.
    pub outputs: Vec<Field>,
}

impl QueryInterface {
    /// The defaults of the parameters, in order.
    pub fn defaults(&self) -> Vec<Value> {
        self.parameters.iter().map(|parameter| parameter.default.clone()).collect()
    }
}

/// Which columns a plugin resolves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergeInterface {
    /// The columns in order. Never empty; none is of bytes.
    pub columns: Vec<Field>,
}

/// What a mapper reads and makes.
#[derive(Debug, Clone, PartialEq)]
pub struct MapperInterface {
    /// The dataset whose rows are mapped.
    pub dataset: DatasetName,
    /// The dataset's columns that the plugin sees, in the order in which it gets them. Never empty.
    pub inputs: Vec<Field>,
    /// Parameters in order.
    pub parameters: Vec<Parameter>,
    /// Output columns in order. Never empty; no name is also an input's.
    pub outputs: Vec<Output>,
    /// How the plugin's endpoint aggregates where the caller says nothing else.
    pub endpoint: Endpoint,
}

impl MapperInterface {
    /// The defaults of the parameters, in order.
    pub fn defaults(&self) -> Vec<Value> {
        self.parameters.iter().map(|parameter| parameter.default.clone()).collect()
    }
}

/// A setting of a mapper or query.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// Name, unique among the parameters.
    pub name: String,
    /// Type: bigint, double, text or date.
    pub kind: ValueType,
    /// The value where the caller gives none; of type `kind`, never null.
    pub default: Value,
}

/// An output column of a mapper.
#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    /// Name, unique among the outputs.
    pub name: String,
    /// What it may hold.
    pub kind: OutputKind,
}

impl Output {
    /// The type of its values: text for a category, double for a measure.
    pub fn value_type(&self) -> ValueType {
        match self.kind {
            OutputKind::Category { .. } => ValueType::Text,
            OutputKind::Measure { .. } => ValueType::Double,
        }
    }
}

/// What an output column may hold, null aside.
#[derive(Debug, Clone, PartialEq)]
pub enum OutputKind {
    /// One text of a closed list.
    Category {
        /// The list, in the plugin's order, without repetition. Never empty.
        values: Vec<String>,
    },
    /// A double within bounds.
    Measure {
        /// Smallest value; finite.
        min: f64,
        /// Largest value; finite and above `min`.
        max: f64,
    },
}

/// How a mapper's endpoint aggregates where the caller says nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Names of category outputs to group by, without repetition.
    pub group_by: Vec<String>,
    /// Names of measure outputs to sum, without repetition.
    pub sum: Vec<String>,
}
