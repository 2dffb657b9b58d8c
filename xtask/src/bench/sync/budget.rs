//! What the figures should be, and by how much they are not.

use serde_json::{Map, Value};

use crate::voice::Voice;

/// What a figure should be.
enum Budget {
    AtLeast(f64),
    AtMost(f64),
}

use Budget::{AtLeast, AtMost};

/// By name of the figure.
const BUDGETS: [(&str, Budget); 9] = [
    ("apply_rows_per_s", AtLeast(1e6)),
    ("vs_postgres", AtLeast(20.0)),
    ("vs_jetstream", AtLeast(3.0)),
    ("catchup_vs_parquet", AtMost(1.05)),
    ("tail_vs_parquet", AtMost(1.3)),
    ("small_tail_vs_pgoutput", AtMost(0.4)),
    ("metadata_bytes_per_row", AtMost(2.0)),
    ("stored_metadata_bytes_per_row", AtMost(2.0)),
    ("small_tail_metadata_bytes_per_row", AtMost(2.0)),
];
/// Milliseconds beyond the way of a write that 99 in 100 may take to be seen.
const BEYOND_DELAY_MS_MAX: f64 = 15.0;

/// Says of each budget whether it is kept.
pub(super) fn show(figures: &Map<String, Value>, voice: &Voice) {
    for (name, budget) in &BUDGETS {
        voice.line(format_args!("  {name}: {}", budget.judge(figures.get(*name).and_then(Value::as_f64))));
    }
    let delays = figures.get("convergence_p99_ms").and_then(Value::as_object);
    for (delay, p99_ms) in delays.into_iter().flatten() {
        let budget = AtMost(delay.parse().unwrap_or(0.0) + BEYOND_DELAY_MS_MAX);
        voice.line(format_args!("  convergence_p99_ms at {delay} ms one way: {}", budget.judge(p99_ms.as_f64())));
    }
}

impl Budget {
    fn judge(&self, figure: Option<f64>) -> String {
        let Some(figure) = figure else { return "not measured".to_owned() };
        let (bound, limit, kept) = match self {
            AtLeast(limit) => ("at least", *limit, figure >= *limit),
            AtMost(limit) => ("at most", *limit, figure <= *limit),
        };
        let kept = if kept { "kept".to_owned() } else { format!("missed, {:.2} of it", figure / limit) };
        format!("{figure:.2}, {bound} {limit}: {kept}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missed_says_by_how_much() {
        assert_eq!(AtLeast(20.0).judge(Some(15.0)), "15.00, at least 20: missed, 0.75 of it");
        assert_eq!(AtMost(2.0).judge(Some(3.0)), "3.00, at most 2: missed, 1.50 of it");
        assert_eq!(AtMost(2.0).judge(Some(2.0)), "2.00, at most 2: kept");
        assert_eq!(AtMost(2.0).judge(None), "not measured");
    }
}
