//! Who won, and the table of it.

use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::{Context, Result};

use crate::case::Attack;
use crate::infer::{Value, infer, value};
use crate::run::Runner;
use crate::transcript::Transcript;
use crate::world::{Side, World};

/// How near an inferred number has to come to the secret.
const TOLERANCE: f64 = 0.01;

/// How one attack ended.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// What leaked, if anything did.
    pub leak: Option<String>,
    /// Why the control failed, if it did.
    pub toothless: Option<String>,
    /// What came back under guard.
    pub seen: String,
}

/// What an attacker concludes from what came back: one of the worlds, or a value of its own that names one.
#[derive(Debug, Clone, PartialEq)]
enum Conclusion {
    World(Side),
    Other(Value),
}

/// Runs an attack and its control.
///
/// # Errors
/// Where it cannot be run, or what it infers cannot be computed.
pub fn judge(
    attack: &Attack,
    world: &World,
    runner: &Runner<'_>,
    instances: [&str; 2],
    tenant: &str,
) -> Result<Outcome> {
    let run = |control, instance| -> Result<[Transcript; 2]> {
        let [a, b] = Side::BOTH.map(|side| runner.run(attack, control, (instance, tenant), side));
        Ok([a?, b?])
    };
    let guarded = run(false, instances[0])?;
    let control = run(true, instances[1])?;
    let seen = shown(&guarded);
    if attack.obtain.is_some() {
        return Ok(Outcome { seen, ..obtained(attack, &guarded, &control)? });
    }
    let secret = world.secret.each_ref().map(|secret| serde_json::to_value(secret).map(|json| value(&json)));
    let [a, b] = secret;
    let secret = [a?, b?];
    let mut outcome = told_apart(attack, &secret, &guarded, &control)?;
    if attack.indistinguishable && outcome.leak.is_none() {
        outcome.leak = difference(&guarded);
    }
    Ok(Outcome { seen, ..outcome })
}

fn obtained(attack: &Attack, guarded: &[Transcript; 2], control: &[Transcript; 2]) -> Result<Outcome> {
    let holds = |variant: bool, transcript: &Transcript| -> Result<bool> {
        let condition = attack.variant(variant).obtain.context("no condition")?.to_owned();
        Ok(infer(&condition, transcript)? == Value::Truth(true))
    };
    let leaks = holds(false, &guarded[0])? || holds(false, &guarded[1])?;
    let bites = holds(true, &control[0])? && holds(true, &control[1])?;
    Ok(Outcome {
        leak: leaks.then(|| format!("it was obtained: {}", shown(guarded))),
        toothless: (!bites).then(|| format!("it was not obtained: {}", shown(control))),
        ..Outcome::default()
    })
}

fn told_apart(
    attack: &Attack,
    secret: &[Value; 2],
    guarded: &[Transcript; 2],
    control: &[Transcript; 2],
) -> Result<Outcome> {
    let inferred = |variant: bool, transcripts: &[Transcript; 2]| -> Result<[Value; 2]> {
        let expression = attack.variant(variant).infer.context("nothing is inferred")?.to_owned();
        Ok([infer(&expression, &transcripts[0])?, infer(&expression, &transcripts[1])?])
    };
    let learnt = inferred(false, guarded)?;
    let conclusions = learnt.each_ref().map(|learnt| conclusion(learnt, secret));
    let knows = |learnt: &[Value; 2]| learnt.iter().zip(secret).any(|(learnt, secret)| is_near(learnt, secret));
    let leaks = if attack.noised { knows(&learnt) } else { conclusions[0] != conclusions[1] };
    let known = inferred(true, control)?;
    let exact = known.iter().zip(secret).all(|(known, secret)| is_near(known, secret));
    let truths = matches!(&known, [Value::Truth(a), Value::Truth(b)] if a != b);
    let of = |learnt: &[Value; 2], transcripts| format!("{:?} and {:?}: {}", learnt[0], learnt[1], shown(transcripts));
    Ok(Outcome {
        leak: leaks.then(|| format!("inferred {}", of(&learnt, guarded))),
        toothless: (!exact && !truths).then(|| format!("inferred {}", of(&known, control))),
        ..Outcome::default()
    })
}

/// A number names the secret that it is nearer to; anything else itself.
fn conclusion(learnt: &Value, secret: &[Value; 2]) -> Conclusion {
    let (Value::Number(learnt), [Value::Number(a), Value::Number(b)]) = (learnt, secret) else {
        return Conclusion::Other(learnt.clone());
    };
    Conclusion::World(if (learnt - a).abs() < (learnt - b).abs() { Side::A } else { Side::B })
}

fn is_near(known: &Value, secret: &Value) -> bool {
    match (known, secret) {
        (Value::Number(known), Value::Number(secret)) => (known - secret).abs() <= TOLERANCE,
        _ => known == secret,
    }
}

/// The first line at which the two differ.
fn difference(transcripts: &[Transcript; 2]) -> Option<String> {
    let [a, b] = transcripts.each_ref().map(|transcript| format!("{:#}", transcript.normalized()));
    let (a, b) = a.lines().zip(b.lines()).find(|(a, b)| a != b).or((a != b).then_some((a.as_str(), b.as_str())))?;
    Some(format!("the worlds look different: {} / {}: {}", a.trim(), b.trim(), shown(transcripts)))
}

/// What came back, in short.
fn shown(transcripts: &[Transcript; 2]) -> String {
    const CHARS: usize = 300;
    let mut shown = String::new();
    for (side, transcript) in ["A", "B"].iter().zip(transcripts) {
        for (name, back) in &transcript.steps {
            let text: String = match back.document.get("rows") {
                Some(rows) => format!("{rows} held {}", back.document["suppressed_groups"]),
                None => back.document.get("detail").map_or_else(|| back.response.text(), ToString::to_string),
            };
            let text: String = text.chars().take(CHARS).collect();
            // Writing to a String does not fail.
            let _ = write!(shown, "\n      {side} {name}: {} {text}", back.response.status);
        }
    }
    shown
}

/// The table by family, and below it each attack that leaked or whose control did not succeed.
pub fn table(outcomes: &[(&Attack, Outcome)]) -> String {
    let mut families = BTreeMap::<&str, [usize; 3]>::new();
    for (attack, outcome) in outcomes {
        let counts = families.entry(&attack.family).or_default();
        counts[0] += 1;
        counts[1] += usize::from(outcome.leak.is_some());
        counts[2] += usize::from(outcome.toothless.is_none());
    }
    let mut text = format!("{:<28} {:>8} {:>8} {:>15}\n", "family", "attacks", "leaks", "controls bite");
    let mut row = |name: &str, counts: [usize; 3]| {
        let _ = writeln!(text, "{name:<28} {:>8} {:>8} {:>15}", counts[0], counts[1], counts[2]);
    };
    let mut all = [0; 3];
    for (family, counts) in &families {
        row(family, *counts);
        all = [0, 1, 2].map(|column| all[column] + counts[column]);
    }
    row("all", all);
    for (attack, outcome) in outcomes {
        for (what, told) in [("LEAK", &outcome.leak), ("NO BITE", &outcome.toothless)] {
            if let Some(told) = told {
                let _ = writeln!(text, "\n{what} {}: {}\n    {told}", attack.family, attack.name);
            }
        }
    }
    text
}
