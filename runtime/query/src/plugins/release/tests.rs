//! What becomes of a release, change by change.

use super::*;

fn version(number: &str) -> PluginVersion {
    PluginVersion {
        name: "rfm".to_owned(),
        version: number.to_owned(),
        sha256: format!("digest of {number}"),
        world: "mapper".to_owned(),
        provides: Vec::new(),
        deployed_at_ms: 0,
        signed_by: None,
    }
}

fn promote(version: &str) -> ReleaseChange {
    ReleaseChange::Promote { version: version.to_owned() }
}

fn canary(version: &str, percent: u8) -> ReleaseChange {
    ReleaseChange::Canary(Some((version.to_owned(), percent)))
}

fn shadow(version: &str) -> ReleaseChange {
    ReleaseChange::Shadow(Some(version.to_owned()))
}

/// Changes the release of 1.0.0 beside `deployed`, and shows what comes of it: `active [canary] [shadow] (history)`.
#[track_caller]
fn check(deployed: &[&str], changes: &[ReleaseChange], expect: &str) {
    let deployed: Vec<PluginVersion> = deployed.iter().map(|number| version(number)).collect();
    let deployed: Vec<&PluginVersion> = deployed.iter().collect();
    let mut release = first(&version("1.0.0"), Stamp { changed_at: 0, origin: "here".to_owned() });
    for (at, change) in (1..).zip(changes) {
        match changed(&release, change, &deployed, Stamp { changed_at: at, origin: "here".to_owned() }) {
            Ok(next) => release = next,
            Err(error) => return assert_eq!(format!("refused: {error}"), expect),
        }
    }
    assert_eq!(release.revision, 1 + changes.len() as u64);
    let mut shown = release.active.version;
    if let Some(canary) = release.canary {
        shown.push_str(&format!(" canary {} {}%", canary.version, canary.percent));
    }
    if let Some(shadow) = release.shadow {
        shown.push_str(&format!(" shadow {}", shadow.version));
    }
    let history: Vec<String> = release.history.into_iter().map(|before| before.version).collect();
    assert_eq!(format!("{shown} ({})", history.join(" ")), expect);
}

const THREE: [&str; 3] = ["1.0.0", "1.1.0", "2.0.0"];

#[test]
fn promotions_can_be_taken_back_one_by_one() {
    check(&THREE, &[promote("1.1.0"), promote("2.0.0")], "2.0.0 (1.0.0 1.1.0)");
    check(&THREE, &[promote("1.1.0"), promote("2.0.0"), ReleaseChange::Rollback], "1.1.0 (1.0.0)");
    check(&THREE, &[promote("2.0.0"), ReleaseChange::Rollback], "1.0.0 ()");
    check(&THREE, &[promote("1.0.0")], "1.0.0 ()");
    check(
        &THREE,
        &[ReleaseChange::Rollback],
        "refused: no other version of `rfm` was active before, or none of them is deployed any more; promote one by its number",
    );
    check(&["1.0.0", "2.0.0"], &[promote("1.1.0")], "refused: there is no version `1.1.0`; did you mean `1.0.0`?");
}

#[test]
fn what_was_deleted_is_no_way_back() {
    let three = THREE.map(version);
    let three: Vec<&PluginVersion> = three.iter().collect();
    let stamp = |at| Stamp { changed_at: at, origin: "here".to_owned() };
    let release = first(&version("1.0.0"), stamp(0));
    let release = changed(&release, &promote("1.1.0"), &three, stamp(1)).unwrap();
    let release = changed(&release, &promote("2.0.0"), &three, stamp(2)).unwrap();
    let without = [three[0], three[2]];
    let back = changed(&release, &ReleaseChange::Rollback, &without, stamp(3)).unwrap();
    assert_eq!(back.active.version, "1.0.0");
}

#[test]
fn parts_end_where_they_make_no_sense() {
    check(&THREE, &[canary("1.1.0", 10), shadow("2.0.0")], "1.0.0 canary 1.1.0 10% shadow 2.0.0 ()");
    check(&THREE, &[canary("1.1.0", 10), promote("1.1.0")], "1.1.0 (1.0.0)");
    check(&THREE, &[canary("2.0.0", 10), promote("1.1.0")], "1.1.0 canary 2.0.0 10% (1.0.0)");
    check(&THREE, &[shadow("1.1.0"), promote("1.1.0")], "1.1.0 (1.0.0)");
    check(&THREE, &[promote("1.1.0"), canary("2.0.0", 5), ReleaseChange::Rollback], "1.0.0 ()");
    check(&THREE, &[canary("1.1.0", 10), ReleaseChange::Canary(None)], "1.0.0 ()");
    check(&THREE, &[shadow("1.1.0"), ReleaseChange::Shadow(None)], "1.0.0 ()");
    let active = "refused: version 1.0.0 of `rfm` is the active one; promote another version first, or end its part";
    check(&THREE, &[canary("1.0.0", 10)], active);
    check(&THREE, &[shadow("1.0.0")], active);
    for percent in [0, 101] {
        let refused = format!("refused: parameter `percent` takes a whole number from 1 to 100, not `{percent}`");
        check(&THREE, &[canary("1.1.0", percent)], &refused);
    }
}

#[test]
fn the_way_back_is_bounded() {
    let changes: Vec<ReleaseChange> = (0..40).map(|at| promote(if at % 2 == 0 { "1.1.0" } else { "2.0.0" })).collect();
    let history = ["2.0.0 1.1.0"; RELEASE_HISTORY_MAX / 2].join(" ");
    check(&THREE, &changes, &format!("2.0.0 ({history})"));
}

/// Of 20,000 questions, how many of a hundred go to a canary of that share.
fn share(name: &str, percent: u8) -> f64 {
    let name = name.parse().unwrap();
    let canaried = (0..20_000).filter(|question| goes_to_canary(&format!("q{question:032x}"), &name, percent)).count();
    canaried as f64 / 200.0
}

#[test]
fn canaries_take_their_share() {
    assert_eq!(share("rfm", 100), 100.0);
    for percent in [1, 10, 50, 99] {
        // Five standard deviations at most.
        assert!((share("rfm", percent) - f64::from(percent)).abs() < 1.8, "{percent}");
    }
    let (rfm, pricing): (PluginName, PluginName) = ("rfm".parse().unwrap(), "pricing".parse().unwrap());
    let ids = || (0..20_000).map(|question| format!("q{question:032x}"));
    let both = ids().filter(|id| goes_to_canary(id, &rfm, 50) && goes_to_canary(id, &pricing, 50)).count();
    assert!(both.abs_diff(5_000) < 350, "two plugins do not share their draws: {both}");
}
