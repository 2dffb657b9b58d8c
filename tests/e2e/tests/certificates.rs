//! Where certificates come from, what is said of wrong ones, and how they are replaced while regions run.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use domicile_harness::tls::{Authority, ENDED, Shown, VALID};
use domicile_harness::workspace::REGIONS;
use domicile_harness::{Cli, Cluster, Options, Ran, build};

/// Longest that something may take that happens by itself.
const TIMEOUT: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(50);

fn start() -> Result<Cluster> {
    Cluster::for_test(&build::binary(build::Profile::Dev)?, &Options { tls: true, ..Options::default() })
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path that is not UTF-8")
}

fn mode(path: &Path) -> Result<u32> {
    Ok(fs::metadata(path)?.permissions().mode() & 0o777)
}

/// `domicile certs init` into a folder.
fn init(out: &Path, arguments: &[&str]) -> Result<Ran> {
    let cli = Cli::new(&build::binary(build::Profile::Dev)?, "http://127.0.0.1:1");
    cli.json(&[&["certs", "init", "--out", text(out)?], arguments].concat())
}

#[track_caller]
fn check_no_certificates(out: &Path, arguments: &[&str], expect: &str) {
    let ran = init(out, arguments).expect("the binary runs");
    assert!(ran.code == 2 && (ran.stdout.contains(expect) || ran.stderr.contains(expect)), "{ran:?}");
}

#[test]
fn certificates_are_made_and_none_is_lost() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let out = dir.path().join("certificates");
    let made = init(&out, &["--region", "eu-central", "--region", "us-east", "--days", "30"])?.success()?.document()?;
    assert_eq!((made["authority_is_new"].as_bool(), made["days"].as_u64()), (Some(true), Some(30)));
    for (key, expect) in [("key", 0o600), ("certificate", 0o644)] {
        for region in made["regions"].as_array().context("no regions")? {
            assert_eq!(mode(Path::new(region[key].as_str().context(key.to_owned())?))?, expect, "{region}");
        }
    }
    let authority_key = out.join("authority.ca.key");
    assert_eq!((mode(&authority_key)?, mode(&out.join("authority.ca.pem"))?), (0o600, 0o644));

    // Another region later, of the same authority.
    let authority = fs::read(out.join("authority.ca.pem"))?;
    let made = init(&out, &["--region", "ap-south"])?.success()?.document()?;
    assert_eq!(made["authority_is_new"].as_bool(), Some(false));
    assert_eq!(fs::read(out.join("authority.ca.pem"))?, authority);

    let before = fs::read(out.join("us-east.key"))?;
    check_no_certificates(&out, &["--region", "new", "--region", "us-east"], "us-east.pem is there already");
    assert!(!out.join("new.pem").exists(), "all or nothing");
    assert_eq!(fs::read(out.join("us-east.key"))?, before);
    check_no_certificates(&out, &["--region", "new", "--region", "new"], "`new` is given twice");
    check_no_certificates(&out, &["--region", "new-"], "cannot be a DNS name");
    check_no_certificates(&out, &["--region", "Neu"], "lower-case letters");
    check_no_certificates(&out, &["--region", "new", "--days", "0"], "--days");
    fs::remove_file(&authority_key)?;
    check_no_certificates(&out, &["--region", "new"], "authority.ca.key is not");
    // The key of another authority.
    fs::copy(out.join("us-east.key"), &authority_key)?;
    check_no_certificates(&out, &["--region", "new"], "make no certificate that counts");
    assert!(!out.join("new.pem").exists() && !out.join("new.key").exists());
    Ok(())
}

/// The check of a region's file, as text.
fn checked(cluster: &Cluster, id: &str) -> Result<(i32, String)> {
    let ran = cluster.cli(id).run(&["config", "check", text(&cluster.file(id).config)?])?;
    Ok((ran.code, ran.stdout + &ran.stderr))
}

#[test]
fn what_is_wrong_with_certificates_is_told_before_a_start() -> Result<()> {
    let mut cluster = start()?;
    let authority = cluster.authority()?;
    let good = authority.certify(&["us-east"], VALID)?;
    let told = |shown: &Shown, expect: &str| -> Result<()> {
        cluster.recertify("us-east", authority, shown)?;
        let (code, told) = checked(&cluster, "us-east")?;
        ensure!(code == 4 && told.contains("not ready to start") && told.contains(expect), "{expect}: {told}");
        Ok(())
    };
    told(&authority.certify(&["us-east"], ENDED)?, "the certificate of `us-east` ended 3 days ago; give it one of")?;
    told(&authority.certify(&["us-east"], (2, 30))?, "does not hold yet")?;
    told(&authority.certify(&["eu-central"], VALID)?, "is for `eu-central`, and this region is `us-east`")?;
    told(&authority.certify(&["us-east", "eu-central"], VALID)?, "exactly one DNS name")?;
    told(&Authority::new("another")?.certify(&["us-east"], VALID)?, "is not of the authority in [tls]")?;
    let other_key = authority.certify(&["us-east"], VALID)?.key;
    told(&Shown { key: other_key, ..good.clone() }, "is not the key of the certificate")?;
    told(&Shown { certificate: "no PEM".to_owned(), ..good.clone() }, "has 0")?;
    told(&Shown { key: "no PEM".to_owned(), ..good.clone() }, "no private key in PEM")?;

    cluster.recertify("us-east", authority, &good)?;
    assert_eq!(checked(&cluster, "us-east")?.0, 0);
    let key = cluster.dir().context("a folder")?.join("tls").join("us-east.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644))?;
    let (code, said) = checked(&cluster, "us-east")?;
    assert!(code == 4 && said.contains("is open to other users (mode 644)"), "{said}");
    // What the check says is what the start says.
    cluster.stop("us-east")?;
    let refused = format!("{:#}", cluster.resume("us-east").expect_err("its key is open"));
    assert!(refused.contains("is open to other users (mode 644)"), "{refused}");
    Ok(())
}

/// A region's file with a text replaced, and what the check says of it.
fn check_file(cluster: &Cluster, id: &str, from: &str, to: &str, expect: &str) -> Result<()> {
    let config = &cluster.file(id).config;
    let own = fs::read_to_string(config)?;
    ensure!(own.contains(from), "{from} in {own}");
    fs::write(config, own.replacen(from, to, 1))?;
    let (code, told) = checked(cluster, id)?;
    fs::write(config, own)?;
    ensure!(code != 0 && told.contains(expect), "{expect}: {told}");
    Ok(())
}

#[test]
fn addresses_fit_whether_there_are_certificates() -> Result<()> {
    let cluster = start()?;
    let id = "us-east";
    assert_eq!(checked(&cluster, id)?.0, 0, "as it is");
    check_file(&cluster, id, "https://", "http://", "with [tls] peers are reached over mutual TLS: write https://")?;
    check_file(&cluster, id, "peers = ", "# peers = ", "[listen] has no `peers`")?;
    let door = cluster.file(id).peer_address().to_owned();
    let front = cluster.file(id).url.trim_start_matches("http://").to_owned();
    check_file(&cluster, id, &door, &front, "is the same address as `http`")?;
    check_file(&cluster, id, &door, "somewhere", "is not an address to listen at")?;

    let plain = Cluster::for_test(cluster.binary(), &Options::default())?;
    check_file(&plain, id, "http://", "https://", "this region has no [tls]")?;
    check_file(&plain, id, "[listen]\n", &format!("[listen]\npeers = \"{door}\"\n"), "there is no [tls]")?;

    // Files that are checked together.
    let files: Vec<&str> = [&cluster, &plain]
        .into_iter()
        .zip(["us-east", "eu-central"])
        .map(|(cluster, id)| text(&cluster.file(id).config))
        .collect::<Result<_>>()?;
    let ran = cluster.cli(id).run(&[&["config", "check"], files.as_slice()].concat())?;
    assert!(ran.stdout.contains("that region's own file has no [tls]; give all of them [tls], or none"), "{ran:?}");
    Ok(())
}

/// Why a region does not reach a peer; none where it does.
fn reason(cluster: &Cluster, from: &str, to: &str) -> Result<Option<String>> {
    let answer = cluster.edge(from).get("/v1/regions")?.json()?;
    let regions = answer["regions"].as_array().context("no regions")?;
    let peer = regions.iter().find(|region| region["region"] == to).context("no such peer")?;
    Ok(peer["reason"].as_str().map(str::to_owned))
}

/// Waits until one region reaches another, or says this.
fn await_reason(cluster: &Cluster, from: &str, to: &str, expect: Option<&str>) -> Result<()> {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let found = reason(cluster, from, to)?;
        match (&found, expect) {
            (None, None) => return Ok(()),
            (Some(found), Some(expect)) if found.contains(expect) => return Ok(()),
            _ => {
                ensure!(Instant::now() < deadline, "{from} to {to}: {found:?}, not {expect:?}\n{}", cluster.log(from)?)
            }
        }
        thread::sleep(PAUSE);
    }
}

#[test]
fn certificates_are_replaced_while_regions_run() -> Result<()> {
    let cluster = start()?;
    for (from, to) in [("eu-central", "us-east"), ("us-east", "eu-central"), ("ap-south", "us-east")] {
        await_reason(&cluster, from, to, None)?;
    }
    // One region goes over to another authority, made by the command for that.
    let out = cluster.dir().context("a folder")?.join("made");
    let regions = REGIONS.map(|region| ["--region", region]).concat();
    init(&out, &regions)?.success()?;
    let take = |id: &str| -> Result<()> {
        let tls = cluster.dir().context("a folder")?.join("tls");
        fs::copy(out.join("authority.ca.pem"), tls.join(format!("{id}.authority.pem")))?;
        for file in ["key", "pem"].map(|kind| format!("{id}.{kind}")) {
            fs::copy(out.join(&file), tls.join(&file))?;
        }
        Ok(())
    };
    take("us-east")?;
    cluster.hang_up("us-east")?;
    // Each side says whose certificate it is about, and what to do.
    let of_peer =
        "the certificate that `eu-central` shows to `us-east` is not of the authority in [tls]; give `eu-central` one";
    await_reason(&cluster, "us-east", "eu-central", Some(of_peer))?;
    let of_peer =
        "the certificate that `us-east` shows to `eu-central` is not of the authority in [tls]; give `us-east` one";
    await_reason(&cluster, "eu-central", "us-east", Some(of_peer))?;
    let again = reason(&cluster, "eu-central", "us-east")?.context("a reason")?;
    assert!(again.contains("`domicile certs init --region us-east --out DIR`"), "{again}");
    // The second follows, and finds out by itself. Those two reach each other, and the third reaches neither.
    take("eu-central")?;
    await_reason(&cluster, "us-east", "eu-central", None)?;
    await_reason(&cluster, "eu-central", "us-east", None)?;
    assert!(reason(&cluster, "ap-south", "us-east")?.is_some());
    take("ap-south")?;
    cluster.hang_up("ap-south")?;
    await_reason(&cluster, "ap-south", "us-east", None)?;
    Ok(())
}

#[test]
fn wrong_files_leave_the_earlier_certificates_in_use() -> Result<()> {
    let cluster = start()?;
    let authority = cluster.authority()?;
    await_reason(&cluster, "us-east", "eu-central", None)?;
    cluster.recertify("us-east", authority, &authority.certify(&["eu-central"], VALID)?)?;
    cluster.hang_up("us-east")?;
    let deadline = Instant::now() + TIMEOUT;
    while !cluster.log("us-east")?.contains("those before stay in use") {
        ensure!(Instant::now() < deadline, "nothing is said: {}", cluster.log("us-east")?);
        thread::sleep(PAUSE);
    }
    assert_eq!(reason(&cluster, "us-east", "eu-central")?, None);
    assert_eq!(reason(&cluster, "eu-central", "us-east")?, None);
    Ok(())
}

#[test]
fn a_peer_that_does_not_accept_a_certificate_says_why() -> Result<()> {
    // `us-east` trusts both authorities, and `eu-central` the first one only.
    let mut cluster = start()?;
    let (first, second) = (cluster.authority()?, Authority::new("another")?);
    cluster.recertify("us-east", &second, &second.certify(&["us-east"], VALID)?)?;
    let file = cluster.dir().context("a folder")?.join("tls").join("us-east.authority.pem");
    fs::write(&file, format!("{}{}", first.pem, second.pem))?;
    cluster.stop("us-east")?;
    cluster.resume("us-east")?;
    let refused = "`eu-central` does not accept the certificate of `us-east`: it is not of the authority that is trusted there; \
                   give `us-east` one of";
    await_reason(&cluster, "us-east", "eu-central", Some(refused))?;
    // A url that leads to the front door.
    let front = cluster.file("eu-central").url.trim_start_matches("http://").to_owned();
    domicile_harness::regions::redirect_peer(&cluster.file("ap-south").config, "eu-central", &front)?;
    cluster.stop("ap-south")?;
    cluster.resume("ap-south")?;
    await_reason(&cluster, "ap-south", "eu-central", Some("what answers there is no listener for peers"))?;
    // One that leads to another region.
    let door = cluster.file("us-east").peer_address().to_owned();
    let shown = cluster.authority()?.certify(&["us-east"], VALID)?;
    cluster.recertify("us-east", cluster.authority()?, &shown)?;
    cluster.hang_up("us-east")?;
    domicile_harness::regions::redirect_peer(&cluster.file("ap-south").config, "eu-central", &door)?;
    cluster.stop("ap-south")?;
    cluster.resume("ap-south")?;
    await_reason(&cluster, "ap-south", "eu-central", Some("not for `eu-central`; correct the `url`"))?;
    Ok(())
}

#[test]
fn a_region_without_certificates_is_told_where_peers_ask() -> Result<()> {
    let mut cluster = start()?;
    let file = &cluster.file("ap-south").config;
    let mut plain = fs::read_to_string(file)?;
    for id in ["eu-central", "us-east"] {
        let (door, front) = (cluster.file(id).peer_address(), &cluster.file(id).url);
        plain = plain.replace(&format!("https://{door}"), front);
    }
    let (before, tls) = plain.split_once("[tls]").context("no [tls]")?;
    let (_, after) = tls.split_once("\n[").context("nothing behind it")?;
    let plain = format!("{before}[{after}");
    let lines = plain.lines().filter(|line| !line.starts_with("peers = ")).map(|line| format!("{line}\n"));
    fs::write(file, lines.collect::<String>())?;
    cluster.stop("ap-south")?;
    cluster.resume("ap-south")?;
    await_reason(&cluster, "ap-south", "us-east", Some("answers its peers over mutual TLS only"))
}
