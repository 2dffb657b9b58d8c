//! The nearest known name, for messages about an unknown one.

/// The candidate most similar to `name`, where one is similar enough to be worth naming.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const SIMILAR_ENOUGH: f64 = 0.7;
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(&name.to_lowercase(), &candidate.to_lowercase()), candidate))
        .filter(|(score, _)| *score >= SIMILAR_ENOUGH)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// Whether a name is another one with a slip or two: a letter too much, too few, or another.
pub fn is_slip_of(name: &str, known: &str) -> bool {
    const SLIPS_MAX: usize = 2;
    strsim::levenshtein(&name.to_lowercase(), &known.to_lowercase()) <= SLIPS_MAX
}

/// The clause that ends such a message: `; did you mean …?`, or nothing.
pub fn suggestion(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |name| format!("; did you mean `{name}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, expect: Option<&str>) {
        assert_eq!(nearest(name, ["orders", "customer", "lineitem"]), expect);
    }

    #[test]
    fn names_what_was_probably_meant() {
        check("order", Some("orders"));
        check("Custommer", Some("customer"));
        check("zzz", None);
    }

    #[test]
    fn slips_are_few() {
        for (name, known, slip) in [("coutn", "count", true), ("SUN", "sum", true), ("random", "radians", false)] {
            assert_eq!(is_slip_of(name, known), slip, "{name} and {known}");
        }
    }
}
