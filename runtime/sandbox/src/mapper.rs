//! A configured mapper, and the checks of what it makes.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array};
use arrow::datatypes::Float64Type;

use crate::columns;
use crate::error::clip;
use crate::exports::{Exports, Mapper};
use crate::functions::column;
use crate::instance::{Instance, Unanswered, argument_numbers};
use crate::interface::{MapperInterface, Output, OutputKind, Parameter};
use crate::limit::Limit;
use crate::{Interface, Plugin, SandboxError, Value};

/// A mapper with its parameters, in an instance of its own. After an error it is not to be used again.
pub struct MapperInstance {
    plugin: Arc<Plugin>,
    instance: Instance<Mapper>,
}

impl MapperInstance {
    pub(crate) fn new(plugin: &Arc<Plugin>, parameters: &[Value]) -> Result<Self, SandboxError> {
        let (Interface::Mapper(interface), Exports::Mapper(exports)) = (&plugin.interface, &plugin.exports) else {
            return Err(plugin.origin.wrong_world("mapper"));
        };
        check_parameters(plugin, &interface.parameters, parameters)?;
        let mut instance = Instance::<Mapper>::new(&plugin.origin, exports)?;
        let Instance { started, uses } = &mut instance;
        let configure = |store: &mut _| uses.configure.call(store, (parameters,));
        let (configured,) = started.call("configure", &[], 0, configure, |answer, _| Ok(answer))?;
        configured.map_err(|message| refused(plugin, message))?;
        Ok(Self { plugin: Arc::clone(plugin), instance })
    }

    /// The plugin that it is a mapper of.
    pub fn plugin(&self) -> &Arc<Plugin> {
        &self.plugin
    }

    /// Maps entities. `inputs` has an array for each declared input, of the input's
    /// [`arrow_type`](crate::ValueType::arrow_type), all of the same length. `ends` has one number for each entity: its
    /// rows are those from the end of the entity before it (from 0 for the first) up to its own end. Every entity has a
    /// row at least, and the last end is the number of rows.
    ///
    /// Answers one array for each declared output, with a row for each entity: texts of the category's list, doubles
    /// within the measure's bounds, or nulls. A number outside the bounds becomes the nearer bound, NaN becomes null.
    ///
    /// Blocks for at most the time limit.
    ///
    /// # Errors
    /// Where the arrays or ends do not fit, or the plugin fails, exceeds a limit or returns something that it did not
    /// declare.
    pub fn map(&mut self, inputs: &[ArrayRef], ends: &[u32]) -> Result<Vec<ArrayRef>, SandboxError> {
        let origin = &self.plugin.origin;
        let Interface::Mapper(interface) = &self.plugin.interface else {
            return Err(origin.wrong_world("mapper"));
        };
        let rows = inputs.first().map_or(0, |input| input.len());
        columns::check(inputs, &interface.inputs, rows)
            .and_then(|()| check_ends(ends, rows))
            .map_err(|detail| origin.unfit("map", detail))?;
        let limits = &origin.runtime.limits;
        if ends.len() > limits.output_rows_max {
            return Err(origin.limit_reached("map", Limit::OutputRows(limits.output_rows_max)));
        }
        let Instance { started, uses } = &mut self.instance;
        let params = (ends, argument_numbers(inputs.len()));
        started.call(
            "map",
            inputs,
            rows,
            |store| uses.map.call(store, params),
            |(answer,), frame| {
                let numbers = answer.map_err(Unanswered::Said)?;
                check_count(&numbers, interface)?;
                let outputs = interface.outputs.iter().zip(numbers);
                let admitted = outputs.map(|(output, number)| {
                    let array = column(frame, number, output.value_type(), ends.len(), limits)?;
                    admit(output, &array).map_err(Unanswered::Invalid)
                });
                admitted.collect()
            },
        )
    }
}

fn check_count(numbers: &[u32], interface: &MapperInterface) -> Result<(), Unanswered> {
    let (found, declared) = (numbers.len(), interface.outputs.len());
    if found == declared {
        return Ok(());
    }
    Err(Unanswered::Invalid(format!("{found} columns where {declared} outputs are declared")))
}

fn check_ends(ends: &[u32], rows: usize) -> Result<(), String> {
    let ascending = ends.windows(2).all(|pair| matches!(pair, [before, after] if before < after));
    let starts = ends.first().is_none_or(|first| *first > 0);
    let last = ends.last().copied().unwrap_or_default();
    if ascending && starts && usize::try_from(last) == Ok(rows) {
        return Ok(());
    }
    Err(format!("the ends of the entities do not ascend to the number of rows, {rows}"))
}

/// Whether a caller's parameters are those that were declared.
pub(crate) fn check_parameters(
    plugin: &Plugin,
    declared: &[Parameter],
    parameters: &[Value],
) -> Result<(), SandboxError> {
    let invalid = |parameter: String, problem: String| SandboxError::ParameterInvalid {
        plugin: Arc::clone(&plugin.origin.id),
        parameter,
        problem,
    };
    if parameters.len() != declared.len() {
        let problem = format!("is missing or too much: {} are declared", declared.len());
        return Err(invalid(format!("number {}", parameters.len().min(declared.len()) + 1), problem));
    }
    for (value, declared) in parameters.iter().zip(declared) {
        if value.kind() != Some(declared.kind) {
            return Err(invalid(format!("`{}`", declared.name), format!("is to be a {}", declared.kind)));
        }
    }
    Ok(())
}

pub(crate) fn refused(plugin: &Plugin, message: String) -> SandboxError {
    SandboxError::ParametersRefused { plugin: Arc::clone(&plugin.origin.id), message: clip(message) }
}

/// The array as it leaves the sandbox, or why it does not. It has the declared type.
fn admit(output: &Output, array: &ArrayRef) -> Result<ArrayRef, String> {
    match &output.kind {
        OutputKind::Category { values } => {
            let declared: HashSet<&str> = values.iter().map(String::as_str).collect();
            let texts = array.as_string::<i32>();
            if texts.iter().flatten().all(|text| declared.contains(text)) {
                return Ok(Arc::clone(array));
            }
            Err(format!("a value of category `{}` that is not in its declared list", output.name))
        }
        OutputKind::Measure { min, max } => {
            let clamp =
                |number: Option<f64>| number.filter(|number| !number.is_nan()).map(|number| number.clamp(*min, *max));
            let numbers = array.as_primitive::<Float64Type>();
            Ok(Arc::new(numbers.iter().map(clamp).collect::<Float64Array>()))
        }
    }
}
