//! Scalar functions, for one query.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::array::{Array, ArrayRef};

use crate::columns;
use crate::exports::{Exports, Scalar};
use crate::frame::{Frame, bytes_of};
use crate::instance::{Instance, Unanswered, argument_numbers};
use crate::limit::Limit;
use crate::{FunctionKind, FunctionSignature, Plugin, SandboxError, SandboxLimits, ValueType};

/// The scalar functions of a plugin in one query. Its instances end with it, so that nothing that the plugin keeps is
/// there in the next query.
///
/// Threads that call at once get an instance each; a thread that calls again finds it warm.
pub struct FunctionCalls {
    plugin: Arc<Plugin>,
    idle: Mutex<Vec<Instance<Scalar>>>,
}

impl FunctionCalls {
    pub(crate) fn new(plugin: &Arc<Plugin>) -> Result<Self, SandboxError> {
        match plugin.exports {
            Exports::Functions { .. } => Ok(Self { plugin: Arc::clone(plugin), idle: Mutex::default() }),
            _ => Err(plugin.origin.wrong_world("functions")),
        }
    }

    /// The plugin whose functions they are.
    pub fn plugin(&self) -> &Arc<Plugin> {
        &self.plugin
    }

    /// Computes the scalar function at an index of [`Interface::Functions`](crate::Interface::Functions) over a batch:
    /// one array of `rows` rows for each declared argument, of the argument's
    /// [`arrow_type`](crate::ValueType::arrow_type). The answer has `rows` rows of the declared type.
    ///
    /// Blocks for at most the time limit.
    ///
    /// # Errors
    /// Where the plugin has no such function, the arguments do not fit it, there are more rows than the limit, no
    /// instance is free, or the plugin fails, exceeds a limit or returns something invalid.
    pub fn call(&self, index: usize, arguments: &[ArrayRef], rows: usize) -> Result<ArrayRef, SandboxError> {
        let (number, signature) = self.plugin.function(index, FunctionKind::Scalar)?;
        let (origin, name) = (&self.plugin.origin, signature.name.as_str());
        columns::check(arguments, &signature.arguments, rows).map_err(|detail| origin.unfit(name, detail))?;
        let limits = &origin.runtime.limits;
        let row_count = u32::try_from(rows).ok().filter(|_| rows <= limits.output_rows_max);
        let row_count =
            row_count.ok_or_else(|| origin.limit_reached(name, Limit::OutputRows(limits.output_rows_max)))?;
        let mut instance = self.instance()?;
        let Instance { started, uses } = &mut instance;
        let params = (number, row_count, argument_numbers(arguments.len()));
        let answer = started.call(
            name,
            arguments,
            rows,
            |store| uses.call.call(store, params),
            |(answer,), frame| column(frame, answer.map_err(Unanswered::Said)?, signature.returns, rows, limits),
        );
        if answer.is_ok() {
            self.lock().push(instance);
        }
        answer
    }

    fn instance(&self) -> Result<Instance<Scalar>, SandboxError> {
        if let Some(instance) = self.lock().pop() {
            return Ok(instance);
        }
        match &self.plugin.exports {
            Exports::Functions { scalar, .. } => Instance::new(&self.plugin.origin, scalar),
            _ => Err(self.plugin.origin.wrong_world("functions")),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Instance<Scalar>>> {
        // Nothing panics while holding the lock, and the stack is consistent between any two operations.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Plugin {
    /// The function at an index, if it is of the kind.
    pub(crate) fn function(&self, index: usize, kind: FunctionKind) -> Result<(u32, &FunctionSignature), SandboxError> {
        let crate::Interface::Functions(functions) = &self.interface else {
            return Err(self.origin.wrong_world("functions"));
        };
        let found = u32::try_from(index).ok().and_then(|number| Some((number, functions.get(index)?)));
        let unfit = |detail: String| self.origin.unfit(&format!("#{index}"), detail);
        let (number, signature) = found.ok_or_else(|| unfit(format!("it has {} functions", functions.len())))?;
        if signature.kind == kind {
            return Ok((number, signature));
        }
        let detail = match kind {
            FunctionKind::Scalar => "it is an aggregate function, not a scalar one",
            FunctionKind::Aggregate => "it is a scalar function, not an aggregate one",
        };
        Err(self.origin.unfit(&signature.name, detail.to_owned()))
    }
}

/// A column that a plugin answers with, if it is what was declared and asked for.
pub(crate) fn column(
    frame: &Frame,
    number: u32,
    kind: ValueType,
    rows: usize,
    limits: &SandboxLimits,
) -> Result<ArrayRef, Unanswered> {
    let invalid = |detail: String| Unanswered::Invalid(detail);
    let array = frame.find(number).ok_or_else(|| invalid(format!("{number} is no column of the call")))?;
    if array.len() > rows {
        return Err(Unanswered::Limit(Limit::OutputRows(rows)));
    }
    if array.len() != rows {
        return Err(invalid(format!("{} rows where {rows} were asked for", array.len())));
    }
    match ValueType::from_arrow(array.data_type()) {
        Some(found) if found == kind => (),
        found => {
            let found = found.map_or_else(|| "column".to_owned(), |found| found.to_string());
            return Err(invalid(format!("a {found} where {kind} is declared")));
        }
    }
    if bytes_of(array) > limits.output_bytes_max {
        return Err(Unanswered::Limit(Limit::OutputBytes(limits.output_bytes_max)));
    }
    Ok(Arc::clone(array))
}
