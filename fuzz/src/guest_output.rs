//! What a plugin hands over as the contents of a column: it is refused, or it is the column that it says it is.
//!
//! The plugin is the component `writes`, whose functions pass on whatever memory and parameters they are told to. So
//! everything is on the way that is there with any other plugin: the engine's own reading of memory, the host's checks,
//! and those of the answer.

mod contents;
mod image;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arbitrary::{Arbitrary, Unstructured};
use arrow::array::{ArrayRef, Int64Array};
use domicile_sandbox::{Compiler, FunctionCalls, Plugin, Sandbox, SandboxLimits};

use crate::oracle;
use contents::Contents;

/// Columns that a function of the component takes.
const ARGUMENTS: usize = 8;

#[derive(Debug, Arbitrary)]
struct Input {
    contents: Contents,
    /// The function that is called, as far as it is not the one of the contents' type.
    function: Option<u8>,
    /// The rows asked for, as far as there are not as many.
    rows: Option<u8>,
    /// Bytes of memory or parameters that are something else.
    patches: Vec<(u16, u8)>,
}

pub(crate) fn run(input: &[u8]) {
    let Ok(input) = Input::arbitrary_take_rest(Unstructured::new(input)) else { return };
    let rows = input.rows.map_or_else(|| input.contents.rows(), usize::from);
    let kind = input.function.map_or_else(|| input.contents.function(), |function| usize::from(function) % 5);
    if rows == 0 {
        return;
    }
    let Some(mut image) = image::of(&input.contents, rows * ARGUMENTS * 8) else { return };
    for (at, byte) in &input.patches {
        let length = image.len();
        image[usize::from(*at) % length] = *byte;
    }
    let answer = calls().call(kind, &arguments(&image, rows), rows);
    if let Ok(column) = &answer {
        oracle::check(column);
        assert_eq!(column.len(), rows);
    }
    if input.patches.is_empty() {
        let expected =
            input.contents.expected().filter(|cells| cells.len() == rows && kind == input.contents.function());
        contents::compare(answer.as_ref().map_err(ToString::to_string), expected, &input.contents);
    }
}

fn arguments(image: &[u8], rows: usize) -> Vec<ArrayRef> {
    let words = image.chunks_exact(8).map(|word| word.try_into().map_or(0, i64::from_le_bytes)).collect::<Vec<i64>>();
    words.chunks_exact(rows).map(|column| Arc::new(Int64Array::from(column.to_vec())) as ArrayRef).collect()
}

/// A query of its own for each input.
fn calls() -> FunctionCalls {
    static PLUGIN: OnceLock<(Sandbox, Arc<Plugin>)> = OnceLock::new();
    let (_, plugin) = PLUGIN.get_or_init(|| {
        let limits = SandboxLimits { call_timeout: Duration::from_millis(500), ..SandboxLimits::default() };
        let sandbox = Sandbox::new(limits, Compiler::InProcess).expect("the sandbox does not start");
        let component = include_bytes!("../corpus/component_load/writes");
        let name = "writes".parse().expect("it is a name");
        let plugin = sandbox.load(name, "1.0.0", component).expect("the component is refused");
        (sandbox, plugin)
    });
    plugin.functions().expect("it has functions")
}
