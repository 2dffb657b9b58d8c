//! Every attack of the corpus, against three regions. `ATTACKS=family` or `ATTACKS=family:part of a name` runs some
//! only; with a name, what came back is shown.

use std::collections::BTreeMap;
use std::env;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Context, Result, ensure};
use domicile_attacks::case::{Attack, Corpus};
use domicile_attacks::files::{load_watchlist, watchlist};
use domicile_attacks::plugins::Plugins;
use domicile_attacks::report::{Outcome, judge, table};
use domicile_attacks::run::Runner;
use domicile_attacks::world::{Instances, World};
use domicile_harness::workspace::REGIONS;
use domicile_harness::{Cluster, Options, build};

/// Attacks that run at once.
const THREADS: usize = 4;

/// An attack that is asked for.
struct Chosen<'c> {
    attack: &'c Attack,
    world: &'c World,
    /// The datasets of its own and of its control.
    instances: [String; 2],
    /// Nobody else who asks in this world has the same.
    tenant: String,
}

fn chosen(corpus: &Corpus) -> Result<Vec<Chosen<'_>>> {
    let wanted = env::var("ATTACKS").unwrap_or_default();
    let (family, name) = wanted.split_once(':').unwrap_or((&wanted, ""));
    let mut asked = BTreeMap::<&str, usize>::new();
    let mut chosen = Vec::new();
    for (index, attack) in corpus.attacks.iter().enumerate() {
        if !attack.family.contains(family) || !attack.name.contains(name) {
            continue;
        }
        let world = corpus.worlds.get(&attack.world).context("a world is missing")?;
        let own = |run| if attack.fresh { format!("own{index}{run}") } else { world.name.clone() };
        let number = asked.entry(&world.name).or_default();
        *number += 1;
        chosen.push(Chosen { attack, world, instances: [own("g"), own("c")], tenant: format!("tenant{number}") });
    }
    ensure!(!chosen.is_empty(), "no attack is named so");
    Ok(chosen)
}

fn start(instances: &Instances<'_>, plugins: Option<&Plugins>) -> Result<Cluster> {
    let digests = plugins.map_or(Ok(Vec::new()), Plugins::digests)?;
    let files: Vec<_> = instances.iter().flat_map(|(instance, world)| world.files(instance, &digests)).collect();
    let options = Options {
        datasets: files.iter().map(|file| (file.name.clone(), file.dataset.clone())).chain([watchlist()]).collect(),
        policies: files.iter().map(|file| (file.name.clone(), file.policy.clone())).collect(),
        tokens_only: REGIONS.into(),
        ..Options::default()
    };
    let cluster = Cluster::for_test(&build::binary(build::Profile::Dev)?, &options)?;
    load_watchlist(&cluster)?;
    plugins.map_or(Ok(()), |plugins| plugins.deploy(&cluster))?;
    let next = AtomicUsize::new(0);
    let all: Vec<_> = instances.iter().collect();
    in_threads(|| {
        while let Some((instance, world)) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
            world.load(instance, &cluster)?;
        }
        Ok(())
    })?;
    Ok(cluster)
}

fn in_threads(work: impl Fn() -> Result<()> + Sync) -> Result<()> {
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(&work)).collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}

#[test]
fn no_attack_succeeds_and_every_control_does() -> Result<()> {
    let corpus = Corpus::read()?;
    let chosen = chosen(&corpus)?;
    let instances = chosen.iter().flat_map(|one| one.instances.iter().map(|name| (name.clone(), one.world)));
    let instances: Instances<'_> = instances.collect();
    let plugins = chosen.iter().any(|one| one.attack.plugins).then(Plugins::build).transpose()?;
    let cluster = start(&instances, plugins.as_ref())?;
    let runner = Runner::new(&cluster);
    instances.keys().try_for_each(|instance| runner.check_answered(instance))?;
    let (next, outcomes) = (AtomicUsize::new(0), Mutex::new(BTreeMap::<usize, Outcome>::new()));
    in_threads(|| {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(Chosen { attack, world, instances, tenant }) = chosen.get(index) else { return Ok(()) };
            let outcome = judge(attack, world, &runner, instances.each_ref().map(String::as_str), tenant);
            let outcome = outcome.with_context(|| format!("{}: {}", attack.family, attack.name))?;
            outcomes.lock().expect("no thread panics with it").insert(index, outcome);
        }
    })?;
    let outcomes = outcomes.into_inner()?;
    let outcomes: Vec<_> = chosen.iter().map(|one| one.attack).zip(outcomes.into_values()).collect();
    let table = table(&outcomes);
    println!("{table}");
    if env::var("ATTACKS").is_ok_and(|wanted| wanted.contains(':')) {
        outcomes.iter().for_each(|(attack, outcome)| println!("{}: {}{}", attack.family, attack.name, outcome.seen));
    }
    ensure!(outcomes.iter().all(|(_, outcome)| outcome.toothless.is_none()), "controls failed; the table is above");
    let leaks = outcomes.iter().filter(|(_, outcome)| outcome.leak.is_some()).count();
    ensure!(leaks == 0, "{leaks} of {} attacks succeeded; the table is above", outcomes.len());
    Ok(())
}
