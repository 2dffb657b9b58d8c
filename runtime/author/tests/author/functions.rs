//! The world `functions`.

use domicile_author::{Format, Progress, Request, RunOptions, World, write};

use crate::project::{NoSql, Project};

fn discounts() -> Request {
    Request { function: Some("net_price".to_owned()), ..Request::default() }
}

#[test]
fn functions_go_through_the_loop() {
    let project = Project::new("prices", World::Functions);
    project.test_natively();
    let built = project.build("functions");
    assert_eq!(
        built.provides,
        [
            "net_price(price double, discount double) → double",
            "aggregate average_price(price double, quantity double) → double",
        ]
    );
    project.passes();
    project.differs_where_spoiled("tests/discounts/expected.csv", "150.0", "151", ["1", "net_price", "151.0", "150.0"]);

    let report = project.bench();
    let names: Vec<&str> = report.workloads.iter().map(|workload| workload.name.as_str()).collect();
    assert_eq!(names, ["net_price", "average_price"]);
    let rows: Vec<usize> = report.workloads[0].batches.iter().map(|batch| batch.rows).collect();
    assert_eq!(rows, [1, 64, 1024, 8192]);
    // Two doubles in, one and perhaps its validity out.
    let (read, written) = (report.workloads[0].bytes_in_per_row, report.workloads[0].bytes_out_per_row);
    assert!((16.0..17.0).contains(&read) && (8.0..9.0).contains(&written), "{read} {written}");

    let answer = project.run(&built.path, "tests/discounts/input.csv", discounts()).unwrap();
    assert_eq!(answer, "price,discount,net_price\n200.0,0.25,150.0\n80.5,0.0,80.5\n,0.1,\n200.0,1.5,\n");
    every_format_is_the_same(&project, &built.path, &answer);

    // A sum that forgets what merged states took in is right in one piece, and wrong in parts.
    project.change("src/lib.rs", "self.revenue += other.revenue;", "");
    assert_eq!(project.failing_checks(), ["states of three parts merged"]);
    what_a_region_refuses_is_refused(&project);
}

fn every_format_is_the_same(project: &Project, plugin: &std::path::Path, expected: &str) {
    let options = RunOptions {
        plugin: plugin.to_path_buf(),
        input: Some(project.folder.join("tests/discounts/input.csv")),
        tables: Vec::new(),
        request: discounts(),
    };
    let rows = domicile_author::run(&options, &NoSql, Progress::Quiet).unwrap();
    for name in ["rows.json", "rows.ndjson", "rows.parquet"] {
        let path = project.folder.join(name);
        write(&rows, Format::of(&path).unwrap(), std::fs::File::create(&path).unwrap()).unwrap();
        assert_eq!(project.run(plugin, name, discounts()).unwrap(), expected, "{name}");
    }
}

fn what_a_region_refuses_is_refused(project: &Project) {
    project.change(
        "src/lib.rs",
        "(0.0..=1.0).contains(&discount).then(|| price * (1.0 - discount))",
        "let now = std::time::SystemTime::now().elapsed().map_or(0.0, |age| age.as_secs_f64());\n        \
         (discount >= now).then_some(price)",
    );
    let refused = project.try_build().unwrap_err().to_string();
    assert!(refused.contains("clock"), "{refused}");
}
