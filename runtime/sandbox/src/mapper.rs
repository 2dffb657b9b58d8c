//! A configured mapper, and the checks of what it makes.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef};

use crate::column::{self, LoweredColumn};
use crate::error::clip;
use crate::instance::Instance;
use crate::interface::{Output, OutputKind};
use crate::wit::Mapper;
use crate::{Plugin, SandboxError, Value};

/// A mapper with its parameters, in an instance of its own. After an error it is not to be used again.
pub struct MapperInstance {
    plugin: Arc<Plugin>,
    instance: Instance<Mapper>,
}

impl MapperInstance {
    pub(crate) fn new(plugin: &Arc<Plugin>, parameters: &[Value]) -> Result<Self, SandboxError> {
        check_parameters(plugin, parameters)?;
        let mut instance = Instance::<Mapper>::new(&plugin.runtime, &plugin.id, &plugin.pre)?;
        let lowered: Vec<_> = parameters.iter().map(Value::lower).collect();
        instance.call("configure", |mapper, store| mapper.configure(store, &lowered))?.map_err(|message| {
            SandboxError::ParametersRefused { plugin: Arc::clone(&plugin.id), message: clip(message) }
        })?;
        Ok(Self { plugin: Arc::clone(plugin), instance })
    }

    /// The plugin that it is a mapper of.
    pub fn plugin(&self) -> &Arc<Plugin> {
        &self.plugin
    }

    /// Maps the rows of one entity: one array for each declared input, of the input's
    /// [`arrow_type`](crate::ValueType::arrow_type), all of the same length. Answers one value for each declared output:
    /// a text of the category's list, a double within the measure's bounds, or null. A number outside the bounds
    /// becomes the nearer bound, NaN becomes null.
    ///
    /// Blocks for at most the time limit.
    ///
    /// # Errors
    /// Where the arrays do not fit the declaration, or the plugin fails, exceeds a limit or returns something that it
    /// did not declare.
    pub fn map(&mut self, columns: &[ArrayRef]) -> Result<Vec<Value>, SandboxError> {
        let interface = self.plugin.mapper_interface()?;
        let unfit = |detail| self.plugin.unfit("map", detail);
        let rows = columns.first().map_or(0, |column| column.len());
        column::check(columns, interface.inputs.iter().map(|input| input.kind), rows).map_err(unfit)?;
        let lowered = columns.iter().map(LoweredColumn::new).collect::<Result<Vec<_>, _>>().map_err(unfit)?;
        let params: Vec<_> = lowered.iter().map(LoweredColumn::as_param).collect();
        let answer = self.instance.call("map", |mapper, store| mapper.map(store, &params))?;
        let (plugin, function) = (&self.plugin.id, || "map".to_owned());
        let values = answer.map_err(|message| SandboxError::Returned {
            plugin: Arc::clone(plugin),
            function: function(),
            message: clip(message),
        })?;
        let invalid = |detail| SandboxError::OutputInvalid { plugin: Arc::clone(plugin), function: function(), detail };
        if values.len() != interface.outputs.len() {
            let (found, declared) = (values.len(), interface.outputs.len());
            return Err(invalid(format!("{found} values where {declared} outputs are declared")));
        }
        let values = interface.outputs.iter().zip(values).map(|(output, value)| admit(output, value.into()));
        values.collect::<Result<_, _>>().map_err(invalid)
    }
}

fn check_parameters(plugin: &Plugin, parameters: &[Value]) -> Result<(), SandboxError> {
    let declared = &plugin.mapper_interface()?.parameters;
    let invalid = |parameter: String, problem: String| SandboxError::ParameterInvalid {
        plugin: Arc::clone(&plugin.id),
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

/// The value as it leaves the sandbox, or why it does not.
fn admit(output: &Output, value: Value) -> Result<Value, String> {
    match (&output.kind, value) {
        (_, Value::Null) => Ok(Value::Null),
        (OutputKind::Category { values }, Value::Text(text)) => {
            if values.contains(&text) {
                return Ok(Value::Text(text));
            }
            Err(format!("a value of category `{}` that is not in its declared list", output.name))
        }
        (OutputKind::Measure { .. }, Value::Double(number)) if number.is_nan() => Ok(Value::Null),
        (OutputKind::Measure { min, max }, Value::Double(number)) => Ok(Value::Double(number.clamp(*min, *max))),
        (_, value) => {
            let found = value.kind().map_or_else(String::new, |kind| kind.to_string());
            Err(format!("a {found} for output `{}`, which is a {}", output.name, output.value_type()))
        }
    }
}
