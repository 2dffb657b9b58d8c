//! The world `mapper`.

use std::collections::BTreeMap;

use domicile_author::{Request, World};

use crate::project::Project;

#[test]
fn a_mapper_goes_through_the_loop() {
    let project = Project::new("spenders", World::Mapper);
    project.test_natively();
    let built = project.build("mapper");
    assert_eq!(
        built.provides,
        [
            "reads orders: o_totalprice double",
            "parameters least double = 100000.0",
            "makes spender (big | small), spent (0 to 10000000)",
        ]
    );
    project.passes();
    project.differs_where_spoiled("tests/spenders/expected.csv", "8,small", "8,big", ["2", "spender", "big", "small"]);
    let report = project.bench();
    assert_eq!(report.workloads[0].name, "map");

    let request = |least: &str| Request {
        entity: Some("o_custkey".to_owned()),
        parameters: BTreeMap::from([("least".to_owned(), least.to_owned())]),
        ..Request::default()
    };
    let ask = |request| project.run(&built.path, "tests/spenders/input.csv", request);
    assert_eq!(ask(request("999.75")).unwrap(), "o_custkey,spender,spent\n7,big,1000.0\n8,big,999.75\n9,small,0.0\n");
    let refused = ask(request("-1")).unwrap_err().to_string();
    assert!(refused.contains("`least` is to be 0 or more"), "{refused}");
    let refused = ask(request("much")).unwrap_err().to_string();
    assert_eq!(refused, "parameter `least`: `much` is not a double");

    // What was seen of one customer shows in another's answer, unless each has an instance of its own.
    project.change("src/lib.rs", "let spent = orders", "let spent: f64 = SEEN.get() + orders");
    project.change("src/lib.rs", "sum + price);", "sum + price);\n        SEEN.set(spent);");
    project.change(
        "src/lib.rs",
        "#[mapper]",
        "thread_local! { static SEEN: std::cell::Cell<f64> = const { std::cell::Cell::new(0.0) }; }\n\n#[mapper]",
    );
    let failing = project.failing_checks();
    assert!(failing.contains(&"one entity at a time, each in a fresh instance"), "{failing:?}");
}
