//! Regions that meet over mutual TLS: what they tell each other, and whom they do not let in.

use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use domicile_harness::peer::{self, Way};
use domicile_harness::tls::{Authority, ENDED, Shown, VALID};
use domicile_harness::tls_client::Caller;
use domicile_harness::workspace::REGIONS;
use domicile_harness::{Cluster, Options, Response, build};
use domicile_tests::world::shared;

const PING: (&str, &str) = ("GET", "/v1/peer/ping");
/// Connections that are left half open: more than a region has handshakes under way.
const HALF_OPEN: usize = 200;
/// Connections that one region may hold to another.
const CONNECTIONS: usize = 16;
/// Longest that something may take that happens by itself.
const TIMEOUT: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(20);

fn start(options: &Options) -> Result<Cluster> {
    Cluster::for_test(&build::binary(build::Profile::Dev)?, options)
}

fn over_tls() -> Options {
    Options { tls: true, ..Options::default() }
}

/// Three regions that nobody changes.
fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    shared(&CLUSTER, || start(&over_tls()))
}

/// What comes of a request to the door of `eu-central`, shown this certificate and signed by that region.
fn ask(shown: Option<&Shown>, signer: &str, (method, path): (&str, &str)) -> Result<Response> {
    let cluster = cluster();
    let headers = peer::signature_for(cluster, Way { from: signer, to: "eu-central" }, (method, path), b"")?;
    let caller = Caller {
        address: cluster.file("eu-central").peer_address(),
        region: "eu-central",
        authority: &cluster.authority()?.pem,
        shown,
        alpn: &["h2"],
    };
    caller.send(method, path, &headers, b"")
}

fn good(names: &[&str]) -> Result<Shown> {
    cluster().authority()?.certify(names, VALID)
}

/// A connection that does not come about, and what is said about it.
#[track_caller]
fn check_refused(shown: Option<&Shown>, expect: &str) {
    let told = format!("{:#}", ask(shown, "us-east", PING).expect_err("nobody is to be let in"));
    assert!(told.contains(expect), "{told}");
}

#[test]
fn a_peer_with_its_certificate_is_answered() -> Result<()> {
    let answer = ask(Some(&good(&["us-east"])?), "us-east", PING)?;
    assert_eq!(answer.status, 200, "{}", answer.text());
    // It gets what is for peers, and nothing else.
    for path in ["/livez", "/v1/datasets", "/metrics"] {
        assert_eq!(ask(Some(&good(&["us-east"])?), "us-east", ("GET", path))?.status, 404, "{path}");
    }
    Ok(())
}

#[test]
fn who_shows_no_certificate_is_refused() {
    check_refused(None, "CertificateRequired");
}

#[test]
fn a_certificate_of_another_authority_is_refused() -> Result<()> {
    let other = Authority::new("another authority")?;
    check_refused(Some(&other.certify(&["us-east"], VALID)?), "UnknownCA");
    // One that has the same name is no better.
    let same_name = Authority::new("authority of a test")?;
    check_refused(Some(&same_name.certify(&["us-east"], VALID)?), "received fatal alert");
    Ok(())
}

#[test]
fn a_certificate_that_has_ended_is_refused() -> Result<()> {
    check_refused(Some(&cluster().authority()?.certify(&["us-east"], ENDED)?), "CertificateExpired");
    Ok(())
}

#[test]
fn a_certificate_names_one_region() -> Result<()> {
    for names in [&["us-east", "ap-south"][..], &[], &["us-east.example"], &["elsewhere"]] {
        assert!(ask(Some(&good(names)?), "us-east", PING).is_err(), "{names:?}");
    }
    Ok(())
}

#[test]
fn a_region_cannot_speak_for_another() -> Result<()> {
    // It has both: a certificate of its own, and the secret of the other one.
    let refused = ask(Some(&good(&["ap-south"])?), "us-east", PING)?;
    assert_eq!(refused.status, 403, "{}", refused.text());
    let problem = refused.json()?;
    assert_eq!(problem["type"].as_str().and_then(|kind| kind.rsplit('/').next()), Some("peer-certificate"));
    assert_eq!((problem["signer"].as_str(), problem["certificate"].as_str()), (Some("us-east"), Some("ap-south")));
    let answer = ask(Some(&good(&["ap-south"])?), "ap-south", PING)?;
    assert_eq!(answer.status, 200, "{}", answer.text());
    Ok(())
}

#[test]
fn a_certificate_does_not_replace_the_signature() -> Result<()> {
    let cluster = cluster();
    let shown = good(&["us-east"])?;
    let caller = Caller {
        address: cluster.file("eu-central").peer_address(),
        region: "eu-central",
        authority: &cluster.authority()?.pem,
        shown: Some(&shown),
        alpn: &["h2"],
    };
    assert_eq!(caller.send("GET", PING.1, &[], b"")?.status, 401);
    // The other protocols of the web are not spoken, nor is none.
    for alpn in [&["http/1.1"][..], &[]] {
        let refused = Caller { alpn, ..caller }.send("GET", PING.1, &[], b"");
        assert!(refused.is_err(), "{alpn:?}: {refused:?}");
    }
    Ok(())
}

#[test]
fn the_front_door_is_not_for_peers() -> Result<()> {
    let ping_front = |cluster: &Cluster| {
        let headers = peer::signature_for(cluster, Way { from: "us-east", to: "eu-central" }, PING, b"")?;
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        cluster.edge("eu-central").send(PING.0, PING.1, &headers, b"")
    };
    let refused = ping_front(cluster())?;
    assert_eq!(refused.status, 421, "{}", refused.text());
    assert!(refused.text().contains("at the address in `peers` of [listen]"), "{}", refused.text());
    let way = Way { from: "us-east", to: "eu-central" };
    assert_eq!(peer::ask(cluster(), way, &serde_json::json!({}))?.status, 421);
    for path in ["plugins", "plugins/components/00", "log", "anything"] {
        assert_eq!(cluster().edge("eu-central").get(&format!("/v1/peer/{path}"))?.status, 421, "{path}");
    }
    let plain = start(&Options::default())?;
    assert_eq!(ping_front(&plain)?.status, 200, "without [tls]");
    Ok(())
}

/// What passes between two regions while one counts the other's customers, and while a product is written at one of
/// them and read at the other.
fn passed(tls: bool) -> Result<Vec<u8>> {
    let product = "schema = 1\nname = \"product\"\nreference = true\nprimary_key = [\"id\"]\n\
                   [[column]]\nname = \"id\"\ntype = \"bigint\"\n";
    let regions = REGIONS.map(|region| format!("\"{region}\"")).join(", ");
    let set = format!("schema = 1\nname = \"catalog\"\nregions = [{regions}]\ndatasets = [\"product\"]\n");
    let options = Options {
        tls,
        datasets: vec![("product".to_owned(), product.to_owned())],
        replication: vec![("catalog".to_owned(), set)],
        record: Some(("eu-central", "us-east")),
        ..Options::permissive()
    };
    let cluster = start(&options)?;
    let load = |region: &str, dataset: &str, rows: &str| {
        let kind = ("Content-Type", "application/x-ndjson");
        let answer = cluster.edge(region).rows("POST", dataset, &[kind], rows.as_bytes())?;
        ensure!(answer.status == 200, "{}", answer.text());
        Ok(())
    };
    for (region, nation) in [("eu-central", 6), ("us-east", 24), ("ap-south", 8)] {
        let customer = |key: u32| {
            format!(
                "{{\"c_custkey\":{key},\"c_name\":\"n\",\"c_address\":\"a\",\"c_nationkey\":{nation},\"c_phone\":\"p\",\
                 \"c_acctbal\":1,\"c_mktsegment\":\"BUILDING\",\"c_comment\":\"c\"}}\n"
            )
        };
        load(region, "customer", &(nation * 100..nation * 100 + 7).map(customer).collect::<String>())?;
    }
    let answer =
        cluster.edge("eu-central").query("SELECT c_mktsegment, COUNT(*) FROM customer GROUP BY c_mktsegment")?;
    let cells = answer.answer()?.cells();
    assert_eq!(cells, [["BUILDING", "21"].map(|cell| Some(cell.to_owned()))]);
    load("us-east", "product", "{\"id\":4711}\n")?;
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let answer = cluster.edge("eu-central").query("SELECT id FROM product")?;
        if answer.status == 200 && answer.answer()?.cells() == [[Some("4711".to_owned())]] {
            return Ok(cluster.recorded());
        }
        ensure!(Instant::now() < deadline, "the product does not arrive: {}", answer.text());
        thread::sleep(PAUSE);
    }
}

#[test]
fn regions_answer_and_replicate_and_nobody_reads_along() -> Result<()> {
    let reads = |bytes: &[u8], word: &str| bytes.windows(word.len()).any(|window| window == word.as_bytes());
    let (clear, hidden) = (passed(false)?, passed(true)?);
    for word in ["c_mktsegment", "PRI * HTTP/2.0"] {
        assert!(reads(&clear, word), "{word} passes in the clear without [tls]");
        assert!(!reads(&hidden, word), "{word} passes in the clear with [tls]");
    }
    assert!(hidden.len() > 1024, "the recorder was not asked");
    Ok(())
}

/// Whether the other side has ended the connection.
fn is_ended(connection: &TcpStream) -> bool {
    match connection.peek(&mut [0]) {
        Ok(count) => count == 0,
        Err(error) => error.kind() != ErrorKind::WouldBlock,
    }
}

#[test]
fn half_open_connections_stop_nobody() -> Result<()> {
    let cluster = start(&over_tls())?;
    let address = cluster.file("eu-central").peer_address();
    let connect = |_| {
        let connection = TcpStream::connect(address)?;
        connection.set_nonblocking(true)?;
        anyhow::Ok(connection)
    };
    let half_open: Vec<TcpStream> = (0..HALF_OPEN).map(connect).collect::<Result<_>>()?;
    let shown = cluster.authority()?.certify(&["us-east"], VALID)?;
    let caller = Caller {
        address,
        region: "eu-central",
        authority: &cluster.authority()?.pem,
        shown: Some(&shown),
        alpn: &["h2"],
    };
    let headers = peer::signature_for(&cluster, Way { from: "us-east", to: "eu-central" }, PING, b"")?;
    assert_eq!(caller.send(PING.0, PING.1, &headers, b"")?.status, 200);
    // The oldest made room, and the newest did not have to.
    let (newest, oldest) = (half_open.last().context("none")?, half_open.first().context("none")?);
    assert!(!is_ended(newest));
    assert!(is_ended(oldest));
    assert_eq!(cluster.edge("eu-central").get("/readyz")?.status, 200);
    // None of them is kept for ever.
    let deadline = Instant::now() + TIMEOUT;
    while !half_open.iter().all(is_ended) {
        ensure!(Instant::now() < deadline, "a connection stays half open");
        thread::sleep(PAUSE);
    }
    // Nor one that says something else.
    let mut other = TcpStream::connect(address)?;
    std::io::Write::write_all(&mut other, b"GET /v1/peer/ping HTTP/1.1\r\n\r\n")?;
    other.set_read_timeout(Some(TIMEOUT))?;
    let mut told = Vec::new();
    other.read_to_end(&mut told).or_else(|error| match error.kind() {
        ErrorKind::ConnectionReset => Ok(0),
        _ => Err(error),
    })?;
    assert!(!told.starts_with(b"HTTP"), "{told:?}");
    Ok(())
}

#[test]
fn a_peer_with_many_connections_loses_the_oldest() -> Result<()> {
    let cluster = start(&over_tls())?;
    let shown = cluster.authority()?.certify(&["ap-south"], VALID)?;
    let caller = Caller {
        address: cluster.file("eu-central").peer_address(),
        region: "eu-central",
        authority: &cluster.authority()?.pem,
        shown: Some(&shown),
        alpn: &["h2"],
    };
    let headers = peer::signature_for(&cluster, Way { from: "ap-south", to: "eu-central" }, PING, b"")?;
    // Those of the region itself, which has the same certificate, count as well.
    let (ended, answer) = caller.crowd(CONNECTIONS + 4, PING.1, &headers)?;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!((4..8).contains(&ended), "{ended} connections ended");
    Ok(())
}
