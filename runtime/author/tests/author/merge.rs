//! The world `merge`.

use domicile_author::{Request, World};

use crate::project::Project;

#[test]
fn a_merge_goes_through_the_loop() {
    let project = Project::new("stock", World::Merge);
    project.test_natively();
    let built = project.build("merge");
    assert_eq!(built.provides, ["resolves quantity bigint, note text"]);
    project.passes();
    project.differs_where_spoiled(
        "tests/stock/expected.csv",
        "7,recount",
        "7,counted",
        ["2", "note", "counted", "recount"],
    );
    let report = project.bench();
    let versions: Vec<usize> = report.workloads[0].batches.iter().map(|batch| batch.rows).collect();
    assert_eq!((report.workloads[0].name.as_str(), versions), ("resolve", vec![2, 8, 64]));

    let request = Request { row: Some("item".to_owned()), ..Request::default() };
    let ask = || project.run(&built.path, "tests/stock/input.csv", request.clone());
    assert_eq!(ask().unwrap(), "item,quantity,note\nnails,35,sold\nscrews,7,recount\n");
    project.change("tests/stock/input.csv", "nails,200,eu-central", "nails,100,us-east");
    let refused = ask().unwrap_err().to_string();
    assert!(
        refused.ends_with(
            "input.csv: row 2, column `written_at`: the same region wrote another version of the row at the same moment"
        ),
        "{refused}"
    );
    project.change("tests/stock/input.csv", "nails,100,us-east,35", "nails,200,eu-central,35");

    // The last note counts, so the order of writing matters; the quantity alone would not mind.
    project.write("tests/stock/case.toml", "row = \"item\"\nany_order = true\n");
    assert!(project.failing_checks().iter().all(|check| *check == "the versions written in another order"));
}
