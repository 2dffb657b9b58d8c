//! A function with the columns of a file as its arguments: what scalar and aggregate functions share.

use std::sync::Arc;

use arrow::array::ArrayRef;
use domicile_sandbox::{Field, FunctionSignature, Plugin};

use super::{Request, unknown};
use crate::AuthorError;
use crate::files::LocalRows;

pub(super) struct Function {
    pub(super) plugin: Arc<Plugin>,
    /// Its place among the plugin's functions.
    pub(super) index: usize,
    pub(super) signature: FunctionSignature,
    /// In the declared order.
    pub(super) arguments: Vec<ArrayRef>,
    pub(super) rows: usize,
}

impl Function {
    pub(super) fn new(
        plugin: &Arc<Plugin>,
        functions: &[FunctionSignature],
        request: &Request,
        rows: &LocalRows,
    ) -> Result<Self, AuthorError> {
        let index = index_of(functions, request.function.as_deref())?;
        let signature = functions[index].clone();
        let names = || signature.arguments.iter().map(|argument| argument.name.as_str());
        if let Some(name) = request.columns.keys().find(|name| !names().any(|known| known == *name)) {
            return Err(unknown("argument", name, names()));
        }
        let read = |argument: &Field| {
            let column = request.columns.get(&argument.name).unwrap_or(&argument.name);
            rows.column(column, argument.kind)
        };
        let arguments = signature.arguments.iter().map(read).collect::<Result<_, _>>()?;
        Ok(Self { plugin: Arc::clone(plugin), index, signature, arguments, rows: rows.rows() })
    }
}

/// The place of the function of that name, or of the only one there is.
pub(crate) fn index_of(functions: &[FunctionSignature], name: Option<&str>) -> Result<usize, AuthorError> {
    let names = || functions.iter().map(|function| function.name.as_str());
    match name {
        Some(name) => names().position(|known| known == name).ok_or_else(|| unknown("function", name, names())),
        None if functions.len() == 1 => Ok(0),
        None => {
            let names = names().collect::<Vec<_>>().join("`, `");
            Err(AuthorError::setting(format!("name a `function`: the plugin has `{names}`")))
        }
    }
}
