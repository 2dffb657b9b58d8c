//! The table of what became of the questions.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

use crate::judge::{Held, Outcome};

/// What became of all questions, in their order.
#[derive(Debug, Default)]
pub struct Report {
    /// Names and outcomes.
    pub outcomes: Vec<(String, Outcome)>,
}

impl Report {
    /// How many questions were answered, in percent.
    pub fn admitted_percent(&self) -> f64 {
        let refused = self.count(|outcome| matches!(outcome, Outcome::Refused(_)));
        100.0 * (self.outcomes.len() - refused) as f64 / self.outcomes.len().max(1) as f64
    }

    /// Questions with an outcome of that kind.
    pub fn count(&self, is: impl Fn(&Outcome) -> bool) -> usize {
        self.outcomes.iter().filter(|(_, outcome)| is(outcome)).count()
    }

    /// Right answers from which nothing is missing.
    pub fn whole(&self) -> usize {
        self.count(|outcome| matches!(outcome, Outcome::Right(held) if held.is_nothing()))
    }

    /// Questions from whose answers more is missing than the rule of the guard wants, in percent.
    pub fn short_percent(&self) -> f64 {
        let short = |outcome: &Outcome| match outcome {
            Outcome::Right(held) | Outcome::Uncompared(held, _) => held.beyond > 0,
            Outcome::Refused(_) | Outcome::Wrong(_) => false,
        };
        100.0 * self.count(short) as f64 / self.outcomes.len().max(1) as f64
    }

    /// Questions whose answers were not compared, in percent.
    pub fn uncompared_percent(&self) -> f64 {
        let uncompared = self.count(|outcome| matches!(outcome, Outcome::Uncompared(..)));
        100.0 * uncompared as f64 / self.outcomes.len().max(1) as f64
    }

    /// The wrong answers, a line each.
    pub fn wrong(&self) -> Vec<String> {
        let wrong = self.outcomes.iter().filter_map(|(name, outcome)| match outcome {
            Outcome::Wrong(why) => Some(format!("{name}: {why}")),
            _ => None,
        });
        wrong.collect()
    }
}

impl Held {
    /// Whether nothing was held back.
    pub fn is_nothing(&self) -> bool {
        self.reported.values().all(|count| *count == 0)
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<52} {:<8} {:<12} held back", "question", "admitted", "equal")?;
        let mut causes: BTreeMap<&str, usize> = BTreeMap::new();
        for (name, outcome) in &self.outcomes {
            let (admitted, equal, rest) = match outcome {
                Outcome::Refused(why) => {
                    *causes.entry(why).or_default() += 1;
                    ("no", "", String::new())
                }
                Outcome::Wrong(why) => ("yes", "NO", why.clone()),
                Outcome::Right(held) => ("yes", "yes", held.to_string()),
                Outcome::Uncompared(held, why) => ("yes", "not compared", format!("{held}: {why}")),
            };
            writeln!(f, "{name:<52} {admitted:<8} {equal:<12} {rest}")?;
        }
        let mut causes: Vec<_> = causes.into_iter().collect();
        causes.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        for (why, count) in causes {
            writeln!(f, "{count} refused: {why}")?;
        }
        writeln!(
            f,
            "{} questions: {:.1} % admitted, {} right and whole, {} right with groups held back, {} not compared, \
             {} wrong; more held back than the rules want from {:.1} %",
            self.outcomes.len(),
            self.admitted_percent(),
            self.whole(),
            self.count(|outcome| matches!(outcome, Outcome::Right(_))) - self.whole(),
            self.count(|outcome| matches!(outcome, Outcome::Uncompared(..))),
            self.wrong().len(),
            self.short_percent(),
        )
    }
}

impl Display for Held {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let held = self.reported.iter().filter(|(_, count)| **count > 0);
        let mut held: Vec<String> = held.map(|(region, count)| format!("{region} up to {count}")).collect();
        if self.beyond > 0 {
            held.push(format!("{} beyond the rules", self.beyond));
        }
        f.write_str(&held.join(", "))
    }
}
