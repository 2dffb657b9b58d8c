//! A plugin that a test makes, and what every world has in common.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use arrow::array::RecordBatch;
use domicile_author::{
    AuthorError, BenchOptions, BenchReport, Built, InputSql, NewOptions, Outcome, Progress, Request, RunOptions, Table,
    TestOptions, TestReport, World, write,
};
use domicile_sandbox::Value;

/// For tests that give the rows themselves.
pub(crate) struct NoSql;

impl InputSql for NoSql {
    fn select(&self, sql: &str, _: &[Table], _: &[(String, Value)]) -> Result<Vec<RecordBatch>, String> {
        Err(format!("no test that gives rows runs SQL: {sql}"))
    }
}

/// A plugin as `plugin new` makes it. All of them share what cargo builds for them.
pub(crate) struct Project {
    pub(crate) folder: PathBuf,
}

impl Project {
    /// Makes it anew. Its place is the same in each run, so that what it depends on is not built again.
    pub(crate) fn new(name: &str, world: World) -> Self {
        let all = Path::new(env!("CARGO_TARGET_TMPDIR")).join("author");
        let folder = all.join(name);
        if folder.exists() {
            fs::remove_dir_all(&folder).unwrap();
        }
        fs::create_dir_all(all.join(".cargo")).unwrap();
        // Where `CARGO_TARGET_DIR` is set, it counts instead, and is shared just as well.
        let target = toml::Value::from(all.join("target").display().to_string());
        fs::write(all.join(".cargo/config.toml"), format!("build.target-dir = {target}\n")).unwrap();
        let options = NewOptions { name: name.to_owned(), world, path: Some(folder.clone()) };
        assert_eq!(domicile_author::create(&options).unwrap(), folder);
        let again = domicile_author::create(&options).unwrap_err();
        assert!(matches!(&again, AuthorError::Exists { path } if *path == folder), "{again}");
        Self { folder }
    }

    pub(crate) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.folder.join(path)).unwrap()
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        fs::write(self.folder.join(path), text).unwrap();
    }

    /// Replaces a part of a file, which has to be there.
    pub(crate) fn change(&self, path: &str, from: &str, to: &str) {
        let text = self.read(path);
        assert!(text.contains(from), "{path} has no `{from}`:\n{text}");
        self.write(path, &text.replace(from, to));
    }

    pub(crate) fn test_natively(&self) {
        let mut command = Command::new(env!("CARGO"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CARGO_PKG_")) {
            command.env_remove(name);
        }
        let output = command.args(["test", "--quiet"]).current_dir(&self.folder).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stdout));
        assert!(!text.contains("warning"), "{text}");
    }

    pub(crate) fn try_build(&self) -> Result<Built, AuthorError> {
        domicile_author::build(&self.folder, Progress::Quiet)
    }

    pub(crate) fn build(&self, world: &str) -> Built {
        let built = self.try_build().unwrap();
        assert_eq!((built.world, built.version.as_str()), (world, "0.1.0"));
        assert_eq!(built.bytes as u64, fs::metadata(&built.path).unwrap().len());
        assert_eq!(built.to_json()["sha256"].as_str().unwrap().len(), 64);
        built
    }

    fn options(&self, update: bool) -> TestOptions {
        TestOptions { plugin: self.folder.clone(), cases: None, update }
    }

    pub(crate) fn test(&self) -> TestReport {
        domicile_author::test(&self.options(false), &NoSql, Progress::Quiet).unwrap()
    }

    #[track_caller]
    pub(crate) fn passes(&self) {
        let report = self.test();
        assert!(report.passed(), "{report}");
        assert_eq!(report.to_json()["passed"], true);
    }

    /// The checks of the only case that fails, by their names.
    #[track_caller]
    pub(crate) fn failing_checks(&self) -> Vec<&'static str> {
        let report = self.test();
        let failed = report.cases.iter().find_map(|case| match &case.outcome {
            Outcome::Different(checks) => Some(checks.iter().map(|check| check.name).collect()),
            _ => None,
        });
        failed.unwrap_or_else(|| panic!("no case differs: {report}"))
    }

    /// Spoils an expected value, sees the difference, and takes it back by `--update`.
    pub(crate) fn differs_where_spoiled(&self, expected: &str, right: &str, wrong: &str, shown: [&str; 4]) {
        let before = self.read(expected);
        self.change(expected, right, wrong);
        let report = self.test();
        let text = report.to_string();
        let line = text.lines().find(|line| line.split_whitespace().collect::<Vec<_>>() == shown);
        assert!(line.is_some() && text.contains("expected rows:") && report.failures() == 1, "{text}");
        domicile_author::test(&self.options(true), &NoSql, Progress::Quiet).unwrap();
        self.passes();
        self.write(expected, &before);
        self.passes();
    }

    /// A short benchmark, with both halves.
    pub(crate) fn bench(&self) -> BenchReport {
        let round_time = Duration::from_millis(1);
        let options = BenchOptions { rounds: 1, starts: 3, round_time, ..BenchOptions::of(self.folder.clone()) };
        let report = domicile_author::bench(&options, Progress::Quiet).unwrap();
        for batch in report.workloads.iter().flat_map(|workload| &workload.batches) {
            assert!(batch.sandboxed_ns > 0.0 && batch.native_ns.is_some_and(|native| native > 0.0), "{batch:?}");
        }
        assert!(report.start_us_p50 > 0.0 && report.start_us_p50 <= report.start_us_p99, "{report:?}");
        report
    }

    /// The answer over a file of the project, as CSV.
    pub(crate) fn run(&self, plugin: &Path, input: &str, request: Request) -> Result<String, AuthorError> {
        let options = RunOptions {
            plugin: plugin.to_path_buf(),
            input: Some(self.folder.join(input)),
            tables: Vec::new(),
            request,
        };
        csv(domicile_author::run(&options, &NoSql, Progress::Quiet)?)
    }
}

pub(crate) fn csv(rows: arrow::array::RecordBatch) -> Result<String, AuthorError> {
    let mut text = Vec::new();
    write(&rows, domicile_author::Format::Csv, &mut text).unwrap();
    Ok(String::from_utf8(text).unwrap())
}
