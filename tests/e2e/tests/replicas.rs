//! Copies of rows that live in another region under the same law: who answers for a home that is away, and how it says so.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use domicile_harness::{Cluster, Mode, Options, Response};
use domicile_tests::copies::{
    FORBIDDEN, HOME, KEEPER, as_of, await_copies, load, person, seconds, start, status, until,
};
use serde_json::{Value, json};

const PERSONS: &str = "SELECT country, count(*) AS n, sum(age) AS years FROM person GROUP BY country ORDER BY country";
const NOTES: &str = "SELECT id, note FROM person WHERE country = 1 ORDER BY id";
const TRIPS: &str = "SELECT count(*) AS n, sum(miles) AS miles FROM trip";

fn world() -> Result<Cluster> {
    let cluster = start(Options { links: true, ..Options::default() })?;
    for (region, country) in [(HOME, 1_u8), (KEEPER, 2), (FORBIDDEN, 3)] {
        let id = 100 * i64::from(country);
        let persons: Vec<Value> =
            (0..5).map(|n| person(id + n, country, 20 + n, &format!("note {}", id + n))).collect();
        load(&cluster.edge(region), "person", &persons)?;
        let trips: Vec<Value> = (0..10).map(|n| json!({"id": id + n, "person": id + n % 5, "miles": n})).collect();
        load(&cluster.edge(region), "trip", &trips)?;
    }
    // What was written over and what was deleted are so in the copy, too.
    load(&cluster.edge(HOME), "person", &[person(101, 1, 50, "another note")])?;
    let gone = [("Content-Type", "application/x-ndjson")];
    let deleted = cluster.edge(HOME).rows("DELETE", "trip", &gone, b"{\"id\":109}\n")?;
    assert_eq!(deleted.status, 200, "{}", deleted.text());
    await_copies(&cluster)?;
    Ok(cluster)
}

fn ask(cluster: &Cluster, region: &str, sql: &str, max_staleness: Option<&str>) -> Result<Response> {
    let headers: Vec<(&str, &str)> = max_staleness.map(|seconds| ("Max-Staleness", seconds)).into_iter().collect();
    cluster.edge(region).query_with(sql, &headers)
}

/// Who answered for the home; none where it did itself.
fn stand_in(response: &Response) -> Result<Option<String>> {
    let answer = response.answer()?;
    let document = answer.document();
    assert!(answer.is_full(), "{document}");
    let stood_in = &document["coverage"]["stood_in"];
    assert!(stood_in.is_null() || stood_in[0]["home"] == HOME, "{document}");
    Ok(stood_in[0]["region"].as_str().map(str::to_owned))
}

/// The moment that a stand-in's rows are of, in seconds since 1970.
fn moment(response: &Response) -> Result<f64> {
    let (header, answer) = (as_of(response)?, response.answer()?);
    assert_eq!(answer.document()["coverage"]["stood_in"][0]["as_of"], header.as_str());
    seconds(&header)
}

fn now() -> Result<f64> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64())
}

#[test]
fn a_copy_answers_for_a_home_that_is_away_and_says_of_when() -> Result<()> {
    let mut cluster = world()?;
    let before = ask(&cluster, FORBIDDEN, PERSONS, None)?;
    assert_eq!(stand_in(&before)?, None);
    as_of(&before)?.parse::<u64>().context("the version of the home's store")?;
    let expect = before.answer()?.cells();
    assert_eq!(expect[0], ["1", "5", "139"].map(|cell| Some(cell.to_owned())), "{expect:?}");
    let rows = ask(&cluster, KEEPER, NOTES, None)?;
    assert_eq!(stand_in(&rows)?, None);
    let notes = rows.answer()?.cells();
    assert_eq!(notes[1][1].as_deref(), Some("another note"));
    let denied = ask(&cluster, FORBIDDEN, NOTES, None)?;
    assert_eq!(denied.status, 403, "{}", denied.text());

    // Whoever accepts an age gets the copy where it is nearer, and the home where none is accepted.
    let near = ask(&cluster, KEEPER, PERSONS, Some("3600"))?;
    assert_eq!((stand_in(&near)?.as_deref(), near.answer()?.cells()), (Some(KEEPER), expect.clone()));
    assert_eq!(ask(&cluster, KEEPER, NOTES, Some("3600"))?.answer()?.cells(), notes);
    assert_eq!(stand_in(&ask(&cluster, KEEPER, PERSONS, Some("0"))?)?, None);
    for odd in ["-1", "1.5", "soon", "99999999999"] {
        let refused = ask(&cluster, KEEPER, PERSONS, Some(odd))?;
        assert!(refused.status == 400 && refused.text().contains("`Max-Staleness` is 0 to"), "{}", refused.text());
    }

    await_copies(&cluster)?;
    let (written, stopped) = (now()?, {
        cluster.stop(HOME)?;
        now()?
    });
    for region in [FORBIDDEN, KEEPER] {
        let stood_in = ask(&cluster, region, PERSONS, None)?;
        assert_eq!((stand_in(&stood_in)?.as_deref(), stood_in.answer()?.cells()), (Some(KEEPER), expect.clone()));
        let moment = moment(&stood_in)?;
        assert!(moment > written - 30.0 && moment < stopped, "{moment} is not near {written} and before {stopped}");
    }
    assert_eq!(ask(&cluster, KEEPER, NOTES, None)?.answer()?.cells(), notes);
    let denied = ask(&cluster, FORBIDDEN, NOTES, None)?;
    assert_eq!(denied.status, 403, "{}", denied.text());

    check_refusals(&cluster)?;
    check_receipt(&cluster)?;

    // A keeper that starts anew has not forgotten how old its copies are.
    cluster.stop(KEEPER)?;
    cluster.resume(KEEPER)?;
    let again = ask(&cluster, KEEPER, PERSONS, None)?;
    assert_eq!((stand_in(&again)?.as_deref(), again.answer()?.cells()), (Some(KEEPER), expect.clone()));
    assert!(moment(&again)? < stopped);

    cluster.resume(HOME)?;
    let home = || Ok((ask(&cluster, FORBIDDEN, PERSONS, None)?, ask(&cluster, KEEPER, PERSONS, None)?));
    let is_home = |(one, other): &(Response, Response)| {
        [one, other].iter().all(|response| stand_in(response).is_ok_and(|stand_in| stand_in.is_none()))
    };
    let (answer, _) = until("the home does not answer again", home, is_home)?;
    assert_eq!(answer.answer()?.cells(), expect);
    load(&cluster.edge(HOME), "person", &[person(105, 1, 1, "later")])?;
    await_copies(&cluster)?;
    let copied = ask(&cluster, KEEPER, NOTES, Some("3600"))?.answer()?.cells();
    assert_eq!(copied.len(), 6, "{copied:?}");
    Ok(())
}

/// While the home is away: what no copy answers.
fn check_refusals(cluster: &Cluster) -> Result<()> {
    let unmet = |sql: &str, region: &str, max_staleness: Option<&str>, texts: &[&str]| -> Result<()> {
        let refused = ask(cluster, region, sql, max_staleness)?;
        let problem = refused.json()?;
        assert_eq!((refused.status, &problem["type"]), (503, &json!("/problems/coverage-unmet")), "{problem}");
        assert_eq!(problem["missing"][0]["region"], HOME, "{problem}");
        let detail = problem["detail"].as_str().unwrap_or_default();
        texts.iter().for_each(|text| assert!(detail.contains(text), "{text} is not in {detail}"));
        Ok(())
    };
    unmet(PERSONS, FORBIDDEN, Some("0"), &[])?;
    until(
        "the copy does not age",
        || status(&cluster.edge(KEEPER)),
        |found| found["behind_ms"].as_u64() > Some(1_100),
    )?;
    for region in [FORBIDDEN, KEEPER] {
        unmet(PERSONS, region, Some("1"), &["more than the 1000 ms of `Max-Staleness`"])?;
    }
    unmet(TRIPS, FORBIDDEN, None, &["compared with earlier ones", "only `eu-central` itself answers"])?;
    let partial = cluster.edge(FORBIDDEN).query_with(TRIPS, &[("Require-Coverage", "partial")])?.answer()?;
    assert_eq!(partial.missing(), [HOME]);
    let shown = cluster.cli(KEEPER).run(&["sync", "status"])?.success()?.stdout;
    assert!(shown.contains("copies of what lives in eu-central, at most"), "{shown}");
    Ok(())
}

/// The receipt of an answer names the region that gave it and the home of the rows, and the keeper's ledger has it.
fn check_receipt(cluster: &Cluster) -> Result<()> {
    let answer = ask(cluster, FORBIDDEN, PERSONS, None)?.answer()?;
    let path = format!("/v1/queries/{}/receipt", answer.query_id());
    let receipts = cluster.edge(FORBIDDEN).get(&path)?.json()?;
    let all = receipts["receipts"].as_array().context("no receipts")?;
    let of_copy = all.iter().find(|signed| signed["receipt"]["home"] == HOME).context("no receipt of a copy")?;
    let receipt = &of_copy["receipt"];
    assert_eq!((&receipt["from"], &receipt["to"]), (&json!(KEEPER), &json!(FORBIDDEN)), "{receipt}");
    assert_eq!(receipt["clauses"][0]["clause"], "reports", "{receipt}");
    let own = all.iter().find(|signed| signed["receipt"]["from"] == KEEPER && signed["receipt"]["home"].is_null());
    assert!(own.is_some(), "the keeper's own rows have a receipt of their own: {receipts}");
    let ledger = cluster.edge(KEEPER).ledger()?;
    assert!(ledger.iter().any(|record| record["hash"] == of_copy["hash"]), "the keeper's ledger lacks it");
    Ok(())
}

#[test]
fn a_home_that_hangs_or_is_cut_off_is_answered_for() -> Result<()> {
    let cluster = world()?;
    let expect = ask(&cluster, FORBIDDEN, PERSONS, None)?.answer()?.cells();
    for mode in [Mode::Cut, Mode::BlackHole] {
        cluster.network().set_one_way(FORBIDDEN, HOME, mode)?;
        let answer = ask(&cluster, FORBIDDEN, PERSONS, None)?;
        assert_eq!(
            (stand_in(&answer)?.as_deref(), answer.answer()?.cells()),
            (Some(KEEPER), expect.clone()),
            "{mode:?}"
        );
        cluster.network().heal()?;
        let look = || ask(&cluster, FORBIDDEN, PERSONS, None);
        until("the home does not answer again", look, |found| stand_in(found).is_ok_and(|it| it.is_none()))?;
    }
    // Cut off from its home alone, a copy grows old and says so.
    cluster.network().set(KEEPER, HOME, Mode::Cut)?;
    load(&cluster.edge(HOME), "person", &[person(150, 1, 1, "unseen")])?;
    let old = ask(&cluster, KEEPER, PERSONS, None)?;
    assert_eq!((stand_in(&old)?.as_deref(), old.answer()?.cells()), (Some(KEEPER), expect));
    let here = ask(&cluster, FORBIDDEN, PERSONS, None)?;
    assert_eq!(stand_in(&here)?, None);
    assert_eq!(here.answer()?.cells()[0][1].as_deref(), Some("6"));
    Ok(())
}
