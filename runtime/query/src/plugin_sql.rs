//! The scalar functions of plugins in SQL.

use std::sync::Arc;

use arrow::array::Array;
use arrow::datatypes::DataType;
use datafusion::common::{DataFusionError, Result as DataFusionResult};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use domicile_sandbox::{FunctionCalls, FunctionKind, FunctionSignature, Interface, Plugin, SandboxError};

use crate::plugins::PluginSet;

/// The calls that one query makes of one plugin, over all its functions and partitions.
type Calls = Arc<Result<FunctionCalls, SandboxError>>;

/// Every scalar function of the active plugins, for one query: what instances keep, no other query sees.
pub(crate) fn functions(plugins: &PluginSet) -> Vec<ScalarUDF> {
    let mut functions = Vec::new();
    for plugin in plugins.active() {
        let Interface::Functions(signatures) = plugin.interface() else { continue };
        let calls = Arc::new(plugin.functions());
        let scalar = signatures.iter().enumerate().filter(|(_, signature)| signature.kind == FunctionKind::Scalar);
        functions.extend(scalar.map(|(index, signature)| PluginFunction::new(plugin, &calls, index, signature).into()));
    }
    functions
}

/// A scalar function of a plugin.
pub(crate) struct PluginFunction {
    plugin: Arc<Plugin>,
    calls: Calls,
    index: usize,
    name: String,
    arguments: Vec<DataType>,
    returns: DataType,
    signature: Signature,
}

impl PluginFunction {
    fn new(plugin: &Arc<Plugin>, calls: &Calls, index: usize, function: &FunctionSignature) -> Self {
        let arguments: Vec<DataType> = function.arguments.iter().map(|argument| argument.kind.arrow_type()).collect();
        let (name, returns) = (function.name.clone(), function.returns.arrow_type());
        // Plugin functions are pure; they are called volatile so that the planner does not call them to fold constants,
        // outside of the query's time limit.
        let signature = if arguments.is_empty() {
            Signature::nullary(Volatility::Volatile)
        } else {
            Signature::exact(arguments.clone(), Volatility::Volatile)
        };
        let (plugin, calls) = (Arc::clone(plugin), Arc::clone(calls));
        Self { plugin, calls, index, name, arguments, returns, signature }
    }
}

impl std::fmt::Debug for PluginFunction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PluginFunction").field("plugin", &self.plugin.id()).field("name", &self.name).finish()
    }
}

impl PartialEq for PluginFunction {
    fn eq(&self, other: &Self) -> bool {
        self.plugin.id() == other.plugin.id() && self.index == other.index
    }
}

impl Eq for PluginFunction {}

impl std::hash::Hash for PluginFunction {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.plugin.id().digest.hash(state);
        self.index.hash(state);
    }
}

impl ScalarUDFImpl for PluginFunction {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> DataFusionResult<DataType> {
        Ok(self.returns.clone())
    }

    fn invoke_with_args(&self, call: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&call.args)?;
        let mut arguments = Vec::with_capacity(arrays.len());
        for (array, kind) in arrays.iter().zip(&self.arguments) {
            arguments.push(arrow::compute::cast(array, kind)?);
        }
        let rows = arguments.first().map_or(call.number_rows, |array| array.len());
        let calls = self.calls.as_ref().as_ref().map_err(|error| failed(error.clone()))?;
        blocking(|| calls.call(self.index, &arguments, rows)).map(ColumnarValue::Array).map_err(failed)
    }
}

/// Runs plugin code, which may block up to its time limit, without holding up the tasks of this thread.
pub(crate) fn blocking<R>(run: impl FnOnce() -> R) -> R {
    tokio::task::block_in_place(run)
}

pub(crate) fn failed(error: SandboxError) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}
