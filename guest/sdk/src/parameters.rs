//! Parameters as fields of an ordinary struct.

use crate::bindings::functions::domicile::plugin::types::Parameter;
use crate::{Date, Scalar, Value};

/// What a caller may set: a struct with fields of type `i64`, `f64`, `String` or [`Date`]. Derive it; the derive makes
/// the defaults the struct's `Default`, too.
///
/// ```
/// use domicile_sdk::{Date, Parameters};
///
/// #[derive(Parameters)]
/// struct Window {
///     #[parameter(default = Date::of(1992, 1, 1))]
///     from: Date,
///     #[parameter(default = 12)]
///     months: i64,
///     #[parameter(default = "all")]
///     segment: String,
/// }
///
/// assert_eq!(Window::default().months, 12);
/// ```
pub trait Parameters: Default {
    /// The names and defaults.
    fn declare() -> Vec<Parameter>;
    /// From one value a parameter.
    ///
    /// # Errors
    /// Where there are more or fewer values, or one has another type.
    fn from_values(values: &[Value]) -> Result<Self, String>;
}

/// No parameters.
impl Parameters for () {
    fn declare() -> Vec<Parameter> {
        Vec::new()
    }

    fn from_values(values: &[Value]) -> Result<Self, String> {
        expect_values(values, 0)
    }
}

/// A type that a parameter may have.
///
/// ```
/// fn may_be_a_parameter<T: domicile_sdk::ParameterType>() {}
/// may_be_a_parameter::<String>();
/// ```
pub trait ParameterType: Scalar {}
impl ParameterType for i64 {}
impl ParameterType for f64 {}
impl ParameterType for String {}
impl ParameterType for Date {}

#[doc(hidden)]
pub fn parameter(name: &str, default: impl ParameterType) -> Parameter {
    Parameter { name: name.to_owned(), default: default.into_value() }
}

#[doc(hidden)]
pub fn expect_values(values: &[Value], declared: usize) -> Result<(), String> {
    match values.len() == declared {
        true => Ok(()),
        false => Err(format!("{declared} values were declared, {} came", values.len())),
    }
}
