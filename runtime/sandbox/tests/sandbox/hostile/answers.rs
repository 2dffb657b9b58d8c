//! Plugins that answer with what they did not declare.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Float64Array};
use domicile_sandbox::{ErrorKind, Plugin, SandboxError, Value};

use super::check;
use crate::guest::{load, sandbox};

pub(super) fn misstates() {
    let sandbox = sandbox();
    let misstates = load(&sandbox, "hostile_misstates");
    let prefix = |function: &str| format!("`{function}` of plugin `misstates` 1.2.3");
    let expect = [
        ("fewer_rows", 10, "returned something invalid: 9 rows where 10 were asked for"),
        ("more_rows", 10, "exceeded its output limit of 10 rows"),
        ("another_type", 10, "returned something invalid: a double where bigint is declared"),
        ("no_column", 10, "returned something invalid: 1000 is no column of the call"),
        ("too_many_bytes", 40, "exceeded its output limit of 33554432 bytes"),
        ("own_argument", 10, "returned something invalid: 0 is no column of the call"),
    ];
    for (index, (function, rows, expect)) in expect.into_iter().enumerate() {
        let answer = misstates.functions().unwrap().call(index, &[], rows);
        check(answer.clone(), ErrorKind::Plugin, &format!("{} {expect}", prefix(function)));
        let crossing = answer.unwrap_err().without_guest_text().to_string();
        assert!(expect.starts_with("exceeded") || crossing.ends_with("(the details are in the plugin's own log)"));
    }
    let states = misstates.accumulator(6).unwrap().state(2);
    let invalid = "returned something invalid:";
    let expect = format!("{} {invalid} a bigint where bytes is declared", prefix("states_of_bigints"));
    check(states, ErrorKind::Plugin, &expect);
    let answers = misstates.accumulator(7).unwrap().finish(2);
    let expect = format!("{} {invalid} 1 rows where 2 were asked for", prefix("fewer_groups"));
    check(answers, ErrorKind::Plugin, &expect);
}

fn lie(plugin: &Arc<Plugin>, lie: &str) -> Result<Vec<Vec<Value>>, SandboxError> {
    let mut mapper = plugin.mapper(&[Value::Text(lie.to_owned())])?;
    let prices: ArrayRef = Arc::new(Float64Array::from(vec![42.0, 1.0, 2.0]));
    let outputs = mapper.map(&[prices], &[1, 3])?;
    Ok(outputs.iter().map(|output| (0..output.len()).filter_map(|row| Value::at(output, row)).collect()).collect())
}

pub(super) fn lies() {
    let sandbox = sandbox();
    let lies = load(&sandbox, "hostile_lies");
    let small = |total: Value| vec![vec![Value::Text("small".to_owned()); 2], vec![total; 2]];
    assert_eq!(lie(&lies, "none").unwrap(), small(Value::Double(42.0)));
    assert_eq!(lie(&lies, "nan").unwrap(), small(Value::Null));
    assert_eq!(lie(&lies, "above").unwrap(), small(Value::Double(100.0)));
    assert_eq!(lie(&lies, "below").unwrap(), small(Value::Double(0.0)));
    let invalid = "returned something invalid:";
    let expect = [
        (
            "category",
            "returned something invalid: a value of category `size` that is not in its declared list".to_owned(),
        ),
        ("type", format!("{invalid} a bigint where double is declared")),
        ("too few", format!("{invalid} 1 columns where 2 outputs are declared")),
        ("too many", format!("{invalid} 3 columns where 2 outputs are declared")),
        ("fewer entities", format!("{invalid} 1 rows where 2 were asked for")),
        ("more entities", "exceeded its output limit of 2 rows".to_owned()),
        ("no column", format!("{invalid} 1000 is no column of the call")),
        ("input", "exceeded its output limit of 2 rows".to_owned()),
    ];
    for (kind, detail) in expect {
        check(lie(&lies, kind), ErrorKind::Plugin, &format!("`map` of plugin `lies` 1.2.3 {detail}"));
    }
    let expect = "plugin `lies` 1.2.3 refuses its parameters: `lie` is to be a kind of lie";
    check(lie(&lies, "refuse"), ErrorKind::Request, expect);
}

pub(super) fn fabricates() {
    let sandbox = sandbox();
    let fabricates = load(&sandbox, "hostile_fabricates");
    let session = |lie: &str| fabricates.query(&[Value::Text(lie.to_owned())]).unwrap();
    assert_eq!(session("none").partial().unwrap().num_rows(), 2);
    let invalid = "returned something invalid:";
    let expect = [
        ("fewer rows", format!("{invalid} for `n`: 2 rows where 3 were asked for")),
        ("many rows", "exceeded its output limit of 1048576 rows".to_owned()),
        ("no columns", format!("{invalid} 0 columns where 1 are declared")),
        ("too many columns", format!("{invalid} 2 columns where 1 are declared")),
        ("another type", format!("{invalid} for `n`: a boolean where bigint is declared")),
    ];
    for (lie, detail) in expect {
        let expect = |function: &str| format!("`{function}` of plugin `fabricates` 1.2.3 {detail}");
        check(session(lie).partial(), ErrorKind::Plugin, &expect("partial"));
        check(session(lie).finish(), ErrorKind::Plugin, &expect("finish"));
    }
}
