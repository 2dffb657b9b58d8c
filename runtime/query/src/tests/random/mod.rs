//! Random questions under random policies, compared with a judge that knows how each question was put together.
//!
//! The generator builds the text of a question from parts, and notes of each part which columns flow where. The judge
//! decides from these notes and from the policies as they were drawn, and never sees a plan. What it forbids must not be
//! admitted: not in the region that asks, and not in the one that owns the rows.

mod judge;
mod policies;
mod questions;
mod relations;

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionContext;
use domicile_types::RegionId;
use domicile_types::limits::THREAD_STACK_BYTES;

use crate::QueryError;
use crate::admit::{AdmittedPlan, Asking, admit, admit_fragment};
use crate::catalog::Catalog;
use crate::client::Destination;
use crate::fragment::Fragment;
use crate::parse::parse;
use crate::plugins::PluginSet;
use judge::{Crossing, allowed};
use policies::{Rules, World};
use questions::{Question, question};

const WORLDS: u64 = 40;
const QUESTIONS: u64 = 20;
/// Share of questions, in percent, that engine and judge both admit, at least: with fewer, little would be tested.
const ADMITTED_PERCENT_MIN: u64 = 15;
/// And the share of those that the judge forbids.
const FORBIDDEN_PERCENT_MIN: u64 = 15;

const REGIONS: [&str; 3] = ["eu", "us", "ap"];
/// The region that asks.
const HERE: &str = "us";
const TODAY: i32 = 20_000;

/// Numbers that look random: the same for the same seed.
#[derive(Debug)]
struct Chance(u64);

impl Chance {
    fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) % end.max(1) as u64) as usize
    }

    /// True this often in a hundred times.
    fn percent(&mut self, share: usize) -> bool {
        self.below(100) < share
    }

    fn of<'t, T>(&mut self, all: &'t [T]) -> &'t T {
        &all[self.below(all.len())]
    }

    fn some<T: Copy>(&mut self, all: &[T], share: usize) -> Vec<T> {
        all.iter().copied().filter(|_| self.percent(share)).collect()
    }
}

#[derive(Debug, Default)]
struct Seen {
    asked: u64,
    both_admit: u64,
    forbidden: u64,
    /// Denied, and allowed by the judge: the engine may ask for more than what flows.
    stricter: u64,
    /// Cannot be answered across regions.
    beyond: u64,
    crossings: u64,
    /// Questions that an owning region would answer as they are.
    whole: u64,
}

fn region(id: &str) -> RegionId {
    id.parse().unwrap()
}

/// Who asks for what.
struct Terms {
    scope: Option<BTreeSet<RegionId>>,
    purpose: Option<&'static str>,
}

/// The crossings of a question that the judge forbids.
fn forbidden<'q>(rules: &[Rules], question: &'q Question, terms: &Terms) -> Option<(&'q Crossing, &'static str)> {
    let in_scope = |home: &str| terms.scope.as_ref().is_none_or(|scope| scope.contains(&region(home)));
    question.crossings.iter().find_map(|crossing| {
        let elsewhere = crossing.homes.iter().copied().filter(|home| *home != HERE && in_scope(home));
        let mut forbidding = elsewhere.filter(|home| !allowed(rules, crossing, home, HERE, terms.purpose));
        Some((crossing, forbidding.next()?))
    })
}

/// Where what a home computes goes to.
fn to_here(home: &RegionId) -> Destination {
    let here = region(HERE);
    Destination::of(home, &here, &super::anonymous(&here)).unwrap()
}

/// What an owning region makes of the fragments that were admitted: the same facts, and the same verdict.
async fn owners_agree(catalog: &Catalog, session: &SessionContext, admitted: &AdmittedPlan, terms: &Terms) -> u64 {
    let mut crossings = 0;
    for (text, homes) in &admitted.fragments {
        let plan = parse(session, &text.sql).await.unwrap_or_else(|error| panic!("{error}: {}", text.sql));
        for home in homes.iter().filter(|home| home.as_str() != HERE) {
            let (fragment, _) = Fragment::recognize(&plan, catalog).unwrap();
            assert_eq!(fragment.facts, text.fragment.facts, "{}", text.sql);
            let owned = admit_fragment(fragment, catalog, home, &to_here(home), terms.purpose, TODAY);
            assert!(owned.unwrap().verdict.is_some(), "{}", text.sql);
            crossings += 1;
        }
    }
    crossings
}

/// Whether an owning region admits the whole question, sent to it as if it were a fragment.
fn admits_whole(catalog: &Catalog, plan: &LogicalPlan, home: &str, terms: &Terms) -> bool {
    let Ok((fragment, _)) = Fragment::recognize(plan, catalog) else { return false };
    admit_fragment(fragment, catalog, &region(home), &to_here(&region(home)), terms.purpose, TODAY).is_ok()
}

async fn check(world: &World, session: &SessionContext, chance: &mut Chance, seed: u64, seen: &mut Seen) {
    let question = question(chance);
    let scope = chance.percent(20).then(|| chance.some(&REGIONS, 60).into_iter().map(region).collect());
    let purpose = *chance.of(&[None, None, Some("reporting"), Some("fraud")]);
    let terms = Terms { scope, purpose };
    let told = || format!("seed {seed}\n{}\n{:#?}\n{:#?}", question.sql, question.crossings, world.rules);
    let plan = parse(session, &question.sql).await.unwrap_or_else(|error| panic!("{error}\n{}", told()));
    let here = region(HERE);
    let client = super::anonymous(&here);
    let asking = Asking { here: &here, client: &client, scope: terms.scope.as_ref(), purpose, today: TODAY };
    let forbidden_by = forbidden(&world.rules, &question, &terms);
    seen.asked += 1;
    seen.forbidden += u64::from(forbidden_by.is_some());
    for home in REGIONS.into_iter().filter(|home| *home != HERE) {
        // As a fragment, it reads every row of the region.
        let all = |crossing: &Crossing| allowed(&world.rules, crossing, home, HERE, purpose);
        if admits_whole(&world.catalog, &plan, home, &terms) {
            assert!(question.crossings.iter().all(all), "{home} admits the whole of it\n{}", told());
            seen.whole += 1;
        }
    }
    match (admit(plan, &world.catalog, asking), forbidden_by) {
        (Ok(_), Some((crossing, home))) => panic!("admitted, and forbidden from {home}: {crossing:?}\n{}", told()),
        (Ok(admitted), None) => {
            seen.both_admit += 1;
            seen.crossings += owners_agree(&world.catalog, session, &admitted, &terms).await;
            asks_every_home(&question, &admitted, &terms)
                .unwrap_or_else(|home| panic!("{home} is left out\n{}", told()));
        }
        (Err(QueryError::Denied(_)), None) => seen.stricter += 1,
        (Err(QueryError::Denied(_)), Some(_)) => {}
        (Err(QueryError::AcrossRegions { .. }), _) => seen.beyond += 1,
        (Err(error), _) => panic!("{error}\n{}", told()),
    }
}

/// No home that could have rows for the answer is left out where the question crosses borders at all.
fn asks_every_home(question: &Question, admitted: &AdmittedPlan, terms: &Terms) -> Result<(), &'static str> {
    let asked: BTreeSet<&str> = admitted.fragments.iter().flat_map(|(_, homes)| homes).map(RegionId::as_str).collect();
    let in_scope = |home: &&str| terms.scope.as_ref().is_none_or(|scope| scope.contains(&region(home)));
    let concerned = question.crossings.iter().flat_map(|crossing| crossing.homes.iter().copied()).filter(in_scope);
    let concerned: BTreeSet<&'static str> = concerned.collect();
    if concerned.iter().all(|home| *home == HERE) {
        return Ok(());
    }
    concerned.into_iter().find(|home| !asked.contains(home)).map_or(Ok(()), Err)
}

#[test]
fn nothing_is_admitted_that_the_judge_forbids() {
    // Planning recurses deeper than the stack of a test's thread.
    let worker = std::thread::Builder::new().stack_size(THREAD_STACK_BYTES).spawn(all_seeds).unwrap();
    let seen = worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    eprintln!("seeds 0 to {}: {seen:?}", WORLDS - 1);
    assert!(seen.both_admit * 100 >= seen.asked * ADMITTED_PERCENT_MIN, "{seen:?}");
    assert!(seen.forbidden * 100 >= seen.asked * FORBIDDEN_PERCENT_MIN, "{seen:?}");
    assert!(seen.crossings >= seen.both_admit && seen.whole > 0, "{seen:?}");
}

fn all_seeds() -> Seen {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut seen = Seen::default();
    for seed in 0..WORLDS {
        let mut chance = Chance::new(seed);
        let world = World::drawn(&mut chance);
        let environment = Arc::new(RuntimeEnv::default());
        let session = world.catalog.fragment_session(&PluginSet::default(), &environment).unwrap();
        for _ in 0..QUESTIONS {
            runtime.block_on(check(&world, &session, &mut chance, seed, &mut seen));
        }
    }
    seen
}
