//! Writes that count only once a second region of their jurisdiction has them.

use std::collections::BTreeSet;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use domicile_harness::{Cluster, Edge, Mode, Options};
use domicile_tests::numbers::{Numbers, setting};
use domicile_tests::replicated::{self, ITEMS, TOGETHER_TIMEOUT};

/// The region that takes writes.
const HERE: &str = "eu-central";
/// One that is under the same law here.
const SECOND: &str = "ap-south";
/// One that is not.
const ELSEWHERE: &str = "us-east";
const TWO_COPIES: &[(&str, &str)] = &[("Acknowledge", "jurisdiction:2")];
/// Longest that the next write may take.
const ACK_TIMEOUT: Duration = Duration::from_secs(60);

fn start() -> Result<Cluster> {
    replicated::start(Options { jurisdictions: vec![(SECOND, vec!["IN", "EU"])], ..Options::default() })
}

/// Cuts a region off from both others.
fn cut_off(cluster: &Cluster, region: &str, mode: Mode) -> Result<()> {
    let others = [HERE, SECOND, ELSEWHERE].into_iter().filter(|other| *other != region);
    others.into_iter().try_for_each(|other| cluster.network().set(region, other, mode))
}

fn ids(edge: &Edge) -> Result<BTreeSet<i64>> {
    Ok(replicated::rows(edge, ITEMS)?.into_iter().map(|(id, _)| id).collect())
}

/// Waits until a region has this item.
fn await_item(edge: &Edge, id: i64) -> Result<()> {
    let deadline = Instant::now() + TOGETHER_TIMEOUT;
    while !ids(edge)?.contains(&id) {
        ensure!(Instant::now() < deadline, "{} does not get item {id}", edge.url());
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Writes items, one after the other, until one is not acknowledged. Gives those that were.
fn write_until_refused(edge: &Edge, acks: &Sender<()>) -> BTreeSet<i64> {
    let mut acknowledged = BTreeSet::new();
    for id in 1.. {
        let answer = replicated::put(edge, ITEMS, id, "item", TWO_COPIES);
        if !answer.is_ok_and(|answer| answer.status == 200) {
            break;
        }
        acknowledged.insert(id);
        if acks.send(()).is_err() {
            break;
        }
    }
    acknowledged
}

#[test]
fn what_was_acknowledged_with_two_copies_survives_the_loss_of_one() -> Result<()> {
    const LOCAL: i64 = -1;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos() as u64;
    let seed = setting("DOMICILE_CUTS_SEED", now);
    println!("again with DOMICILE_CUTS_SEED={seed}");
    let mut cluster = start()?;
    let mut numbers = Numbers::new(seed);
    cluster.network().set_delay(Duration::from_millis(numbers.below(10)));
    let (here, wanted) = (cluster.edge(HERE), 10 + numbers.below(60));
    let mode = if numbers.below(2) == 0 { Mode::Cut } else { Mode::BlackHole };
    let (acks, acknowledged) = channel();
    let acknowledged = thread::scope(|scope| -> Result<_> {
        let writer = scope.spawn(|| write_until_refused(&here, &acks));
        for _ in 0..wanted {
            acknowledged.recv_timeout(ACK_TIMEOUT).context("nothing is acknowledged")?;
        }
        cut_off(&cluster, HERE, mode)?;
        // For comparison: this one exists once, and the writer's last one waits for its second copy.
        let local = replicated::put(&here, ITEMS, LOCAL, "local", &[])?;
        ensure!(local.status == 200, "{}", local.text());
        cluster.kill(HERE)?;
        cluster.kill(SECOND)?;
        cluster.destroy_data(HERE)?;
        writer.join().map_err(|_| anyhow::anyhow!("the writer panicked"))
    })?;
    cluster.network().heal()?;
    cluster.resume(SECOND)?;
    let there = ids(&cluster.edge(SECOND))?;
    let lost: Vec<_> = acknowledged.difference(&there).collect();
    ensure!(lost.is_empty(), "acknowledged with two copies, and lost with one: {lost:?}");
    ensure!(!there.contains(&LOCAL), "nothing was lost, so that this shows nothing");
    println!("{} acknowledged, {} there", acknowledged.len(), there.len());
    await_item(&cluster.edge(ELSEWHERE), *acknowledged.last().context("nothing was acknowledged")?)?;
    ensure!(acknowledged.is_subset(&ids(&cluster.edge(ELSEWHERE))?), "not all go on to the third region");
    Ok(())
}

#[test]
fn a_write_without_a_second_copy_is_not_acknowledged() -> Result<()> {
    let cluster = start()?;
    let here = cluster.edge(HERE);
    // Whom the region itself cannot ask may still ask it, and says then what it has.
    cluster.network().set_one_way(HERE, SECOND, Mode::Cut)?;
    let acknowledged = replicated::put(&here, ITEMS, 1, "item", TWO_COPIES)?;
    assert_eq!(acknowledged.status, 200, "{}", acknowledged.text());
    ensure!(ids(&cluster.edge(SECOND))?.contains(&1), "acknowledged before the second copy was there");

    cut_off(&cluster, HERE, Mode::BlackHole)?;
    let refused = replicated::put(&here, ITEMS, 2, "item", TWO_COPIES)?;
    let text = refused.text();
    assert!(refused.status == 504 && text.contains("not-acknowledged"), "{text}");
    assert!(text.contains("only 1 of 2 regions") && text.contains("Nothing has to be sent again"), "{text}");
    assert_eq!(replicated::put(&here, ITEMS, 3, "item", &[])?.status, 200, "one copy is all that was asked for");
    assert_eq!(ids(&here)?, BTreeSet::from([1, 2, 3]), "what was not acknowledged is stored all the same");
    assert_eq!(ids(&cluster.edge(SECOND))?, BTreeSet::from([1]), "nothing passes");

    // A region under another law does not count.
    cluster.network().set(HERE, ELSEWHERE, Mode::Pass)?;
    cut_off(&cluster, SECOND, Mode::BlackHole)?;
    let refused = replicated::put(&here, ITEMS, 4, "item", TWO_COPIES)?;
    assert_eq!(refused.status, 504, "{}", refused.text());
    await_item(&cluster.edge(ELSEWHERE), 4)?;

    cluster.network().heal()?;
    let acknowledged = replicated::put(&here, ITEMS, 5, "item", TWO_COPIES)?;
    assert_eq!(acknowledged.status, 200, "{}", acknowledged.text());
    assert_eq!(ids(&cluster.edge(SECOND))?, BTreeSet::from([1, 2, 3, 4, 5]), "entries count after those before");
    Ok(())
}
