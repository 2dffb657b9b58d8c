//! The questions of `cases/`, asked as one user in one go, and what became of them.

use anyhow::{Context, Result};
use domicile_harness::Options;
use domicile_tests::world::{SCALE, World};
use domicile_utility::case::{self, Case};
use domicile_utility::judge::Judge;
use domicile_utility::oracle::Oracle;
use domicile_utility::report::Report;
use domicile_utility::soundness::Rule;

/// Fewest questions, in percent, that are answered as they were asked.
const ADMITTED_PERCENT_MIN: f64 = 95.0;
/// Fewest right answers, in percent of all, from which nothing is missing.
const WHOLE_PERCENT_MIN: f64 = 70.0;
/// Most questions, in percent, from whose answers more is missing than the rule of the guard wants: what would come too
/// near to earlier releases, or could be computed from margins.
const SHORT_PERCENT_MAX: f64 = 10.0;
/// Most questions, in percent, whose groups cannot be told apart well enough to compare the answer.
const UNCOMPARED_PERCENT_MAX: f64 = 5.0;

fn ask(world: &World, case: &Case) -> Result<domicile_harness::Response> {
    let purpose = case.purpose.iter().map(|purpose| ("Purpose", purpose.as_str()));
    world.edge(&case.edge).query_with(&case.question, &purpose.collect::<Vec<_>>())
}

#[test]
fn analysts_get_answers_and_they_are_right() -> Result<()> {
    let cases = case::all()?;
    assert!(cases.len() >= 100, "only {} questions", cases.len());
    let world = World::start(&Options::default())?;
    let answers = cases.iter().map(|case| ask(&world, case)).collect::<Result<Vec<_>>>()?;
    let oracle = Oracle::new(SCALE)?;
    let judge = Judge { oracle: &oracle, rule: Rule::shipped()? };
    let mut report = Report::default();
    for (case, answer) in cases.iter().zip(&answers) {
        let outcome = judge.judge(case, answer).with_context(|| case.name.clone())?;
        report.outcomes.push((case.name.clone(), outcome));
    }
    println!("{report}");
    let wrong = report.wrong();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(report.admitted_percent() >= ADMITTED_PERCENT_MIN, "{:.1} % are admitted", report.admitted_percent());
    let whole = 100.0 * report.whole() as f64 / cases.len() as f64;
    assert!(whole >= WHOLE_PERCENT_MIN, "{whole:.1} % are answered wholly");
    let short = report.short_percent();
    assert!(short <= SHORT_PERCENT_MAX, "more is held back than the rules want from {short:.1} %");
    let uncompared = report.uncompared_percent();
    assert!(uncompared <= UNCOMPARED_PERCENT_MAX, "{uncompared:.1} % are not compared");
    Ok(())
}
