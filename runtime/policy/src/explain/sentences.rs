//! The sentences of an explanation.

use std::collections::BTreeMap;
use std::fmt;

use super::{BudgetExplained, ClauseExplained, Explanation, HomeValue, NoiseExplained};
use crate::Mask;

/// Digits of a digest that tell policies apart at a glance.
const DIGEST_DIGITS: usize = 12;

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digest = self.sha256.get(..DIGEST_DIGITS).unwrap_or(&self.sha256);
        write!(f, "{} v{} sha256:{digest}", self.dataset, self.version)?;
        line(f, 2, &self.about())?;
        self.homes(f)?;
        if self.clauses.is_empty() {
            line(f, 2, "Nothing about these rows crosses a border: there is no clause.")?;
        }
        for clause in &self.clauses {
            line(f, 2, &format!("Clause `{}`:", clause.id))?;
            clause.sentences().iter().try_for_each(|sentence| line(f, 4, sentence))?;
        }
        match self.stays.as_slice() {
            [] => Ok(()),
            [alone] => line(f, 2, &format!("No clause mentions `{alone}`: it never leaves.")),
            columns => line(f, 2, &format!("No clause mentions {}: they never leave.", list(columns, "and"))),
        }
    }
}

impl Explanation {
    fn about(&self) -> String {
        let column = &self.entity.column;
        if self.follows.is_none() {
            return format!("A row is about the one that its `{column}` names. Thresholds count these: the entities.");
        }
        let root = &self.entity.dataset;
        format!("A row is about the one that `{column}` of its `{root}` names. Thresholds count these: the entities.")
    }

    fn homes(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = &self.follows {
            let regions = joined(&self.homes.keys().cloned().collect::<Vec<_>>(), "or");
            let column = &self.column;
            return line(
                f,
                2,
                &format!("It lives where the row of `{parent}` does that its `{column}` names: in {regions}."),
            );
        }
        line(f, 2, &format!("It lives where its `{}` says:", self.column))?;
        self.homes.iter().try_for_each(|(region, values)| {
            let values: Vec<String> = values.iter().map(ToString::to_string).collect();
            line(f, 4, &format!("{region}, for {}.", joined(&values, "and")))
        })
    }
}

impl fmt::Display for HomeValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(value) => write!(f, "{value}"),
            Self::Text(value) => write!(f, "'{value}'"),
        }
    }
}

impl ClauseExplained {
    fn sentences(&self) -> Vec<String> {
        let mut all = vec![self.border()];
        all.extend(match self.form {
            "rows" => self.of_rows(),
            "masked" => self.of_masked(),
            _ => self.of_aggregates(),
        });
        if !self.identifiers.is_empty() {
            all.push(format!("Among these columns are identifiers: {}.", list(&self.identifiers, "and")));
        }
        all.extend(self.limits());
        all.push(match self.purposes.as_slice() {
            [] => "It holds for any purpose, and for none.".to_owned(),
            purposes => format!("It holds for questions that state the purpose {} only.", list(purposes, "or")),
        });
        all.push(match &self.expires {
            None => "It has no last day.".to_owned(),
            Some(day) => format!("Its last day is {day}."),
        });
        all.push(format!("Legal basis: {}", self.legal_basis));
        all
    }

    fn border(&self) -> String {
        let whose = if self.from == self.to {
            "each other's rows".to_owned()
        } else {
            format!("rows that live in {}", joined(&self.from, "or"))
        };
        let what = match self.form {
            "rows" => "copies, and anything computed from them",
            "masked" => "masked copies, and anything computed from them",
            _ => "aggregates: numbers over groups of rows, and no rows",
        };
        format!("Of {whose}, {} may get {what}.", joined(&self.to, "and"))
    }

    fn of_rows(&self) -> Vec<String> {
        match self.columns.as_slice() {
            [] => vec!["Rows may show no column: all of them are identifiers.".to_owned()],
            columns => vec![format!("Rows may show {}.", list(columns, "and"))],
        }
    }

    /// One sentence a mask, for all columns that have it.
    fn of_masked(&self) -> Vec<String> {
        let mut by_mask: BTreeMap<Mask, Vec<String>> = BTreeMap::new();
        for (column, mask) in &self.masks {
            by_mask.entry(*mask).or_default().push(column.clone());
        }
        let mut all = vec![format!("Rows may show {} and no other column.", list(&self.columns, "and"))];
        all.extend(by_mask.into_iter().map(|(mask, columns)| masked(mask, &list(&columns, "and"))));
        all
    }

    fn of_aggregates(&self) -> Vec<String> {
        let told = |columns: &[String], some: &str, none: &str| match columns {
            [] => format!("{none}."),
            columns => format!("{some} {}.", list(columns, "and")),
        };
        let mut all = vec![
            told(&self.group_by, "Groups may be made by", "No groups may be made"),
            told(&self.filter_by, "Rows may be filtered and joined by", "Rows may be filtered or joined by no column"),
            told(&self.measures, "Numbers may be computed from", "Numbers may be computed from no column"),
            told(&self.functions, "Functions that may be called:", "No function may be called"),
        ];
        if !self.plugins.is_empty() {
            all.push(format!("Bytes that only a plugin understands may come from {}.", list(&self.plugins, "or")));
        }
        all
    }

    fn limits(&self) -> Vec<String> {
        let mut all = vec![match self.minimum_entities {
            0 => "Nothing is held back for being about few entities.".to_owned(),
            1 => "A group is released even if one entity alone stands behind it.".to_owned(),
            fewest => format!("A group that fewer than {fewest} entities stand behind is held back."),
        }];
        all.extend(self.dominance_percent.map(|percent| {
            format!("So is one where a single entity makes up more than {percent} percent of a count or sum.")
        }));
        all.extend(self.presence());
        all.extend(self.bounds.iter().map(|(column, [min, max])| {
            format!("In what is computed, `{column}` below {min} counts as {min}, and above {max} as {max}.")
        }));
        all.push(match self.round_to {
            None if self.form == "masked" => "What is computed from them is not rounded.".to_owned(),
            None => "Numbers are not rounded.".to_owned(),
            Some(step) => format!("Numbers are rounded to multiples of {step}."),
        });
        all.extend(self.noise());
        all.extend(self.over_time());
        all
    }

    /// What noise means for one question, and for all that a budget admits.
    fn noise(&self) -> Vec<String> {
        let (Some(noise), Some(budget)) = (self.differential_privacy, &self.budget) else { return Vec::new() };
        let NoiseExplained { epsilon, rows_per_entity_max } = noise;
        #[expect(clippy::cast_precision_loss, reason = "at most a million questions")]
        let most = shortest(epsilon * budget.questions as f64);
        vec![
            format!(
                "Numbers have noise (differential privacy): each question spends an epsilon of {epsilon}, at most {most} \
                 in {}.",
                counted(budget.days, "day")
            ),
            format!("Of one entity, at most {} count in a question.", counted(rows_per_entity_max, "row")),
            "Every group of the listed values is released, also where nobody is in it.".to_owned(),
        ]
    }

    /// Whether it shows that a group exists which is too small.
    fn presence(&self) -> Option<String> {
        let listed = |column: &&String| self.domains.contains(column);
        let others: Vec<String> = self.group_by.iter().filter(|column| !listed(column)).cloned().collect();
        if self.minimum_entities <= 1 || self.group_by.is_empty() {
            return None;
        }
        Some(match (self.domains.as_slice(), others.as_slice()) {
            ([], others) => format!("Whether a group exists that is too small may show: by {}.", list(others, "or")),
            (listed, []) => {
                format!("Whether a group exists that is too small does not show, by {} as it is.", list(listed, "or"))
            }
            (listed, others) => format!(
                "Whether a group exists that is too small does not show, by {} as it is; it may, by {}.",
                list(listed, "or"),
                list(others, "or")
            ),
        })
    }

    /// What holds over several questions.
    fn over_time(&self) -> Vec<String> {
        let mut all = Vec::new();
        match (self.difference_checks, self.minimum_entities) {
            (_, 0 | 1) => {}
            (true, fewest) => all.push(format!(
                "Each answer is compared with what its tenant got earlier, so that no two differ by fewer than {fewest} \
                 entities."
            )),
            (false, _) => all.push(
                "Answers are not compared with earlier ones: who asks is trusted not to subtract one from another."
                    .to_owned(),
            ),
        }
        if self.difference_checks && self.minimum_entities > 1 {
            all.push(if self.strict_differences {
                "An answer about the very same rows as an earlier one is given only where it is put the same way.".to_owned()
            } else {
                "That two answers are about the very same rows is told: who asks may learn that a filter leaves nobody out."
                    .to_owned()
            });
        }
        all.extend(self.budget.as_ref().map(|BudgetExplained { questions, days }| {
            format!("A tenant has {} answered in any {}.", counted(*questions, "question"), counted(*days, "day"))
        }));
        all.extend(self.snapshot_hours.map(|hours| {
            format!("Answers come from a state of the rows that advances every {}.", counted(hours, "hour"))
        }));
        all
    }
}

/// What is seen of columns that have this mask.
fn masked(mask: Mask, columns: &str) -> String {
    match mask {
        Mask::Plain => format!("Seen as they are: {columns}."),
        Mask::Null => format!("Missing in every row: {columns}."),
        Mask::Hmac => format!("Replaced by codes, the same for equal values of one region: {columns}."),
        Mask::Prefix(characters) => format!("Cut after {}: {columns}.", counted(characters, "character")),
        Mask::MultipleOf(step) => format!("Rounded down to multiples of {step}: {columns}."),
        Mask::Year | Mask::Quarter | Mask::Month => format!("Put back to the first day of the {mask}: {columns}."),
    }
}

/// The number without the last digits that binary fractions add.
fn shortest(number: f64) -> String {
    let text = format!("{number:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// `1 day`, `2 days`.
fn counted(number: u64, what: &str) -> String {
    if number == 1 { format!("{number} {what}") } else { format!("{number} {what}s") }
}

/// A line of its own. What a file's texts have in them cannot break it, or move a terminal's cursor.
fn line(f: &mut fmt::Formatter<'_>, indent: usize, text: &str) -> fmt::Result {
    write!(f, "\n{:indent$}", "")?;
    text.chars().try_for_each(|c| if c.is_control() { write!(f, "{}", c.escape_default()) } else { write!(f, "{c}") })
}

fn list(names: &[String], last: &str) -> String {
    joined(&names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>(), last)
}

/// `a, b and c`.
fn joined(names: &[String], last: &str) -> String {
    match names {
        [] => "nothing".to_owned(),
        [alone] => alone.clone(),
        [first @ .., end] => format!("{} {last} {end}", first.join(", ")),
    }
}
