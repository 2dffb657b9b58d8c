//! How long it takes to judge a fragment: 1,000 clauses over ten datasets and 20 regions, random questions, one at a
//! time. Prints one line of JSON.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Instant;

use domicile_policy::{Border, ColumnUse, Form, FragmentFacts, PolicyError, PolicySet};
use domicile_types::{Column, ColumnType, Dataset, DatasetName, RegionId};

const DATASETS: usize = 10;
const CLAUSES: usize = 1000;
const REGIONS: usize = 20;
const QUESTIONS: usize = 20_000;
/// Columns of each dataset beside its key and its home.
const QUASI: usize = 6;
const MEASURES: usize = 4;
const FUNCTIONS: [&str; 6] = ["count", "sum", "avg", "date_trunc", "date_part", "to_char"];

/// A sequence of numbers that looks random and is the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.0 >> 33) % bound as u64).unwrap_or_default()
    }

    /// Each of them with a chance of `percent`.
    fn some<T: Clone>(&mut self, all: &[T], percent: usize) -> Vec<T> {
        all.iter().filter(|_| self.below(100) < percent).cloned().collect()
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut numbers = Numbers(7);
    let regions: Vec<RegionId> = (0..REGIONS).map(|at| format!("region-{at}").parse()).collect::<Result<_, _>>()?;
    let datasets: Vec<DatasetName> = (0..DATASETS).map(|at| format!("data_{at}").parse()).collect::<Result<_, _>>()?;
    let set = policies(&datasets, &mut numbers)?;
    let clauses: usize = set.policies().map(|policy| policy.allow.len()).sum();
    let mut times_ns = Vec::with_capacity(QUESTIONS);
    let mut admitted = 0;
    for _ in 0..QUESTIONS {
        let facts = question(&datasets, &mut numbers);
        let from = &regions[numbers.below(REGIONS)];
        let to = &regions[numbers.below(REGIONS)];
        let border = Border { from, to, purpose: Some("reporting"), today: 20_000 };
        let start = Instant::now();
        let verdict = set.judge(&facts, &border);
        times_ns.push(start.elapsed().as_nanos());
        admitted += usize::from(verdict.is_ok());
    }
    times_ns.sort_unstable();
    let percentile_us = |percent: usize| times_ns[times_ns.len() * percent / 100] as f64 / 1000.0;
    println!(
        "{{\"judge_p50_us\":{:.1},\"judge_p99_us\":{:.1},\"clauses\":{clauses},\"regions\":{REGIONS},\"questions\":{QUESTIONS},\
         \"admitted\":{admitted}}}",
        percentile_us(50),
        percentile_us(99)
    );
    Ok(())
}

fn columns() -> Vec<String> {
    let own = ["key", "home"].map(str::to_owned).into_iter();
    own.chain((0..QUASI).map(|at| format!("quasi_{at}")))
        .chain((0..MEASURES).map(|at| format!("measure_{at}")))
        .collect()
}

/// Clauses are drawn until there are as many as wanted that say something of their own.
fn policies(names: &[DatasetName], numbers: &mut Numbers) -> Result<PolicySet, Box<dyn std::error::Error>> {
    let mut datasets = Vec::new();
    let mut files = Vec::new();
    for name in names {
        let column = |name: String| Column { name, kind: ColumnType::BigInt, nullable: false };
        let dataset = Dataset::new(name.clone(), columns().into_iter().map(column).collect(), vec!["key".to_owned()])?;
        let described = vec![(dataset.clone(), false)];
        let mut clauses: Vec<String> = (0..CLAUSES / DATASETS).map(|at| clause(at, numbers)).collect();
        let needless =
            |clauses: &[String]| match PolicySet::load(&described, &[(name.to_string(), policy(name, clauses))]) {
                Ok(_) => Ok(None),
                Err(PolicyError::ClauseCovered { clause, .. } | PolicyError::ClauseNoBorder { clause, .. }) => {
                    Ok(Some(clause))
                }
                Err(other) => Err(other),
            };
        while let Some(id) = needless(&clauses)? {
            let at = id.trim_start_matches("clause-").parse::<usize>()?;
            clauses[at] = clause(at, numbers);
        }
        files.push((name.to_string(), policy(name, &clauses)));
        datasets.push((dataset, false));
    }
    Ok(PolicySet::load(&datasets, &files)?)
}

fn policy(name: &DatasetName, clauses: &[String]) -> String {
    let (quasi, measures): (Vec<String>, Vec<String>) =
        columns().into_iter().skip(2).partition(|column| column.starts_with("quasi"));
    let mut text =
        format!("schema = 1\ndataset = \"{name}\"\nversion = 1\n[residency]\nentity = \"key\"\ncolumn = \"home\"\n");
    for region in 0..REGIONS {
        let _ = writeln!(text, "[[residency.home]]\nregion = \"region-{region}\"\nvalues = [{region}]");
    }
    let _ =
        writeln!(text, "[classes]\nidentifier = [\"key\"]\nquasi = {:?}", [vec!["home".to_owned()], quasi].concat());
    let _ = writeln!(text, "measure = {measures:?}");
    text + &clauses.concat()
}

fn clause(number: usize, numbers: &mut Numbers) -> String {
    let columns = columns();
    let regions: Vec<String> = (0..REGIONS).map(|region| format!("region-{region}")).collect();
    let (from, to) = (numbers.some(&regions, 50), numbers.some(&regions, 50));
    let head = format!(
        "[[allow]]\nid = \"clause-{number}\"\nfrom = {from:?}\nto = {to:?}\nlegal_basis = \"basis of {number}\"\n"
    );
    if from.is_empty() || to.is_empty() {
        return clause(number, numbers);
    }
    if numbers.below(5) == 0 {
        let masks = ["plain", "null", "hmac"];
        let listed = numbers.some(&columns[1..], 60).into_iter();
        let listed: Vec<String> = listed.map(|column| format!("{column} = \"{}\"", masks[numbers.below(3)])).collect();
        let key = "key = \"hmac\"".to_owned();
        let listed = [vec![key], listed].concat().join(", ");
        return format!("{head}form = \"masked\"\ncolumns = {{ {listed} }}\n");
    }
    let (quasi, measures) = (&columns[1..2 + QUASI], &columns[2 + QUASI..]);
    let (groups, filters) = (numbers.some(quasi, 70), numbers.some(quasi, 70));
    let measures = numbers.some(measures, 70);
    let functions = numbers.some(&FUNCTIONS, 80);
    let minimum = 1 + numbers.below(30);
    format!(
        "{head}form = \"aggregate\"\nfunctions = {functions:?}\ngroup_by = {groups:?}\nfilter_by = {filters:?}\nmeasures = \
         {measures:?}\nminimum_entities = {minimum}\n"
    )
}

/// One to three datasets; of each some columns.
fn question(datasets: &[DatasetName], numbers: &mut Numbers) -> FragmentFacts {
    let columns = columns();
    let read: BTreeSet<DatasetName> =
        (0..=numbers.below(3)).map(|_| datasets[numbers.below(DATASETS)].clone()).collect();
    let mut some = |columns: &[String], most: usize| -> Vec<ColumnUse> {
        let mut uses = Vec::new();
        for dataset in &read {
            for _ in 0..numbers.below(most + 1) {
                let column = columns[numbers.below(columns.len())].clone();
                uses.push(ColumnUse { dataset: dataset.clone(), column });
            }
        }
        uses
    };
    let (quasi, measures) = (&columns[1..2 + QUASI], &columns[2 + QUASI..]);
    let (outputs, group_by) = (some(&columns, 2), some(quasi, 2));
    let (measures, filters) = (some(measures, 2), some(quasi, 2));
    let rows = numbers.below(4) == 0;
    FragmentFacts {
        datasets: read,
        form: if rows { Form::Rows } else { Form::Aggregate },
        outputs: if rows { outputs } else { Vec::new() },
        group_by: if rows { Vec::new() } else { group_by },
        measures: if rows { Vec::new() } else { measures },
        filters,
        functions: if rows {
            BTreeSet::new()
        } else {
            numbers.some(&FUNCTIONS, 30).into_iter().map(str::to_owned).collect()
        },
        plugins: BTreeSet::new(),
    }
}
