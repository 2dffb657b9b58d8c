//! How an ordinary struct becomes a mapper.

use std::cell::RefCell;

use crate::bindings::functions::domicile::plugin::types::{Bounds, Endpoint, Output, OutputKind, Parameter};
use crate::bindings::mapper::MapperDescriptor;
use crate::{Column, Date, Field, Value, ValueType};

/// What a mapper reads and makes.
pub struct Interface(MapperDescriptor);

impl Interface {
    /// A mapper over the rows of a dataset.
    pub fn of(dataset: &str) -> Self {
        let endpoint = Endpoint { group_by: Vec::new(), sum: Vec::new() };
        Self(MapperDescriptor {
            dataset: dataset.to_owned(),
            inputs: Vec::new(),
            parameters: Vec::new(),
            outputs: Vec::new(),
            endpoint,
        })
    }

    /// Adds an input column; [`Rows::column`] finds it by its position.
    #[must_use]
    pub fn input(mut self, name: &str, kind: ValueType) -> Self {
        self.0.inputs.push(Field { name: name.to_owned(), kind });
        self
    }

    /// Adds a parameter, of its default's type: `i64`, `f64`, text or [`Date`].
    #[must_use]
    pub fn parameter(mut self, name: &str, default: impl Into<Value>) -> Self {
        self.0.parameters.push(Parameter { name: name.to_owned(), default: default.into() });
        self
    }

    /// Adds an output that is one of a closed list of texts.
    #[must_use]
    pub fn category(mut self, name: &str, values: &[&str]) -> Self {
        let values = values.iter().map(|value| (*value).to_owned()).collect();
        self.0.outputs.push(Output { name: name.to_owned(), kind: OutputKind::Category(values) });
        self
    }

    /// Adds an output that is a number within bounds. The host moves a number outside them to the nearer one.
    #[must_use]
    pub fn measure(mut self, name: &str, min: f64, max: f64) -> Self {
        self.0.outputs.push(Output { name: name.to_owned(), kind: OutputKind::Measure(Bounds { min, max }) });
        self
    }

    /// Groups the answers of the plugin's endpoint by a category.
    #[must_use]
    pub fn group_by(mut self, output: &str) -> Self {
        self.0.endpoint.group_by.push(output.to_owned());
        self
    }

    /// Sums a measure in the answers of the plugin's endpoint.
    #[must_use]
    pub fn sum(mut self, output: &str) -> Self {
        self.0.endpoint.sum.push(output.to_owned());
        self
    }
}

/// The values of the parameters, in the order in which they were declared.
pub struct Parameters(Vec<Value>);

impl Parameters {
    /// A parameter of type [`Date`].
    ///
    /// # Errors
    /// Where there is no such parameter, or it has another type.
    pub fn date(&self, index: usize) -> Result<Date, String> {
        match self.0.get(index) {
            Some(Value::Date(days)) => Ok(Date(*days)),
            other => Err(wrong(index, "date", other)),
        }
    }

    /// A parameter of type `i64`.
    ///
    /// # Errors
    /// Where there is no such parameter, or it has another type.
    pub fn bigint(&self, index: usize) -> Result<i64, String> {
        match self.0.get(index) {
            Some(Value::Bigint(value)) => Ok(*value),
            other => Err(wrong(index, "bigint", other)),
        }
    }

    /// A parameter of type `f64`.
    ///
    /// # Errors
    /// Where there is no such parameter, or it has another type.
    pub fn double(&self, index: usize) -> Result<f64, String> {
        match self.0.get(index) {
            Some(Value::Double(value)) => Ok(*value),
            other => Err(wrong(index, "double", other)),
        }
    }

    /// A parameter of type text.
    ///
    /// # Errors
    /// Where there is no such parameter, or it has another type.
    pub fn text(&self, index: usize) -> Result<&str, String> {
        match self.0.get(index) {
            Some(Value::Text(value)) => Ok(value),
            other => Err(wrong(index, "text", other)),
        }
    }
}

fn wrong(index: usize, wanted: &str, found: Option<&Value>) -> String {
    format!("parameter {index} was asked for as {wanted}, found {found:?}")
}

/// The rows of one entity: at least one, in no particular order.
pub struct Rows(Vec<Column>);

impl Rows {
    /// An input column, by its position in [`Interface::input`]'s order.
    ///
    /// # Errors
    /// Where there is no such column.
    pub fn column(&self, index: usize) -> Result<&Column, String> {
        self.0.get(index).ok_or_else(|| format!("there is no input column {index}"))
    }
}

/// From the rows of one entity to a few declared values.
pub trait Mapper: Sized + 'static {
    /// What the mapper reads and makes. Called once, at load.
    fn interface() -> Interface;

    /// A mapper with these parameters.
    ///
    /// # Errors
    /// Where a parameter has a value that makes no sense; the text tells the caller what to pass.
    fn new(parameters: &Parameters) -> Result<Self, String>;

    /// One value for each declared output, in order.
    ///
    /// # Errors
    /// Where the rows cannot be mapped. This ends the query, so prefer [`Value::Null`].
    fn map(&self, rows: &Rows) -> Result<Vec<Value>, String>;
}

/// The instance that [`mapper!`](crate::mapper!) keeps. A component has one thread.
#[doc(hidden)]
pub struct Slot<M>(pub RefCell<Option<M>>);

#[doc(hidden)]
impl<M: Mapper> Slot<M> {
    pub fn describe() -> MapperDescriptor {
        crate::start();
        M::interface().0
    }

    pub fn configure(&self, parameters: Vec<Value>) -> Result<(), String> {
        crate::start();
        *self.0.borrow_mut() = Some(M::new(&Parameters(parameters))?);
        Ok(())
    }

    pub fn map(&self, rows: Vec<Column>) -> Result<Vec<Value>, String> {
        let mapper = self.0.borrow();
        mapper.as_ref().ok_or("`map` was called before `configure`")?.map(&Rows(rows))
    }
}

/// Exports a [`Mapper`] as a plugin of the world `mapper`.
#[macro_export]
macro_rules! mapper {
    ($mapper:ty) => {
        struct DomicilePlugin;

        thread_local! {
            static SLOT: $crate::mapper::Slot<$mapper> =
                const { $crate::mapper::Slot(::std::cell::RefCell::new(None)) };
        }

        impl $crate::bindings::mapper::Guest for DomicilePlugin {
            fn describe() -> $crate::bindings::mapper::MapperDescriptor {
                $crate::mapper::Slot::<$mapper>::describe()
            }

            fn configure(parameters: Vec<$crate::Value>) -> Result<(), String> {
                SLOT.with(|slot| slot.configure(parameters))
            }

            fn map(rows: Vec<$crate::Column>) -> Result<Vec<$crate::Value>, String> {
                SLOT.with(|slot| slot.map(rows))
            }
        }

        $crate::bindings::mapper::export_mapper!(DomicilePlugin);
    };
}
