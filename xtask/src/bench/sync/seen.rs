//! When writes are seen elsewhere, by the delay of the links, and when a partition is healed.

use domicile_harness::Mode;
use serde_json::{Map, Value, json};

use crate::bench::convergence::{Delayed, Healed};

/// The figures by name, each null where nothing was measured.
pub(super) fn figures(measured: Option<(&[Delayed], &[Healed])>) -> Map<String, Value> {
    let by_delay = |figure: fn(&Delayed) -> f64| {
        let of_each = |delayed: &Delayed| (delayed.delay_ms.to_string(), json!(figure(delayed)));
        json!(measured.map(|(delayed, _)| delayed.iter().map(of_each).collect::<Map<_, _>>()))
    };
    let healed = measured.map(|(_, healed)| healed);
    let after = |mode: Mode| {
        let of_mode = healed.and_then(|healed| healed.iter().find(|healed| healed.mode == mode));
        json!(of_mode.map(|healed| healed.heal_s))
    };
    // The longer of both: a link that says nothing is cut as well as one that is closed.
    let longest = healed.and_then(|healed| healed.iter().map(|healed| healed.heal_s).reduce(f64::max));
    let figures = [
        ("convergence_p50_ms", by_delay(|delayed| delayed.p50_ms)),
        ("convergence_p99_ms", by_delay(|delayed| delayed.p99_ms)),
        ("heal_s", json!(longest)),
        ("heal_after_cut_s", after(Mode::Cut)),
        ("heal_after_silence_s", after(Mode::BlackHole)),
    ];
    figures.into_iter().map(|(name, figure)| (name.to_owned(), figure)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longer_of_both_ways_to_heal_counts() {
        let [cut, silent] = [(Mode::Cut, 0.5), (Mode::BlackHole, 2.0)].map(|(mode, heal_s)| Healed {
            mode,
            partition_s: 60.0,
            alone_rows: 1,
            others_rows: 1,
            heal_s,
        });
        let delayed = |delay_ms, p99_ms| Delayed {
            delay_ms,
            p50_ms: 1.0,
            p99_ms,
            ping_p50_ms: 0.0,
            ping_p99_ms: 0.0,
            read_p50_ms: 0.0,
        };
        let figures = figures(Some((&[delayed(0, 9.0), delayed(20, 33.0)], &[cut, silent])));
        let expect = json!({
            "convergence_p50_ms": {"0": 1.0, "20": 1.0},
            "convergence_p99_ms": {"0": 9.0, "20": 33.0},
            "heal_s": 2.0,
            "heal_after_cut_s": 0.5,
            "heal_after_silence_s": 2.0,
        });
        assert_eq!(Value::Object(figures), expect);
    }

    #[test]
    fn what_was_not_measured_is_null() {
        assert!(figures(None).values().all(Value::is_null));
    }
}
