//! Region files.

use std::path::Path;
use std::time::Duration;

use domicile_config::{RegionConfig, Storage, StorageUrl};

const GOOD: &str = r#"schema = 1
datasets_dir = "datasets"
policies_dir = "policies"
data_dir = "../data/eu-central"

[region]
id = "eu-central"
name = "Frankfurt"
jurisdictions = ["EU", "DE"]
latitude = 50.1
longitude = 8
secret_file = "/etc/domicile/own.secret"

[listen]
http = "127.0.0.1:7401"

[limits]
query_timeout_ms = 1500

[[peer]]
id = "us-east"
url = "http://127.0.0.1:7402/"
secret_file = "../secrets/us-east.secret"
"#;

/// The refusal of the good file with `from` replaced by `to`.
#[track_caller]
fn check(from: &str, to: &str, expect: &str) {
    assert_eq!(GOOD.matches(from).count(), 1, "{from} must stand once in the file");
    let got = RegionConfig::parse(Path::new("r/eu.toml"), &GOOD.replace(from, to));
    assert_eq!(got.unwrap_err().to_string(), expect);
}

#[test]
fn paths_are_relative_to_the_file() {
    let config = RegionConfig::parse(Path::new("r/eu.toml"), GOOD).unwrap();
    assert_eq!(config.id.as_str(), "eu-central");
    assert_eq!(config.jurisdictions, ["EU", "DE"]);
    assert_eq!((config.latitude, config.longitude), (50.1, 8.0));
    assert_eq!(config.listen.port(), 7401);
    assert_eq!(config.data_dir, Path::new("r/../data/eu-central"));
    assert_eq!(config.datasets_dir, Path::new("r/datasets"));
    assert_eq!(config.policies_dir, Path::new("r/policies"));
    assert_eq!(config.secret_file, Path::new("/etc/domicile/own.secret"));
    assert_eq!(config.peers[0].url.as_str(), "http://127.0.0.1:7402");
    assert_eq!(config.peers[0].secret_file, Path::new("r/../secrets/us-east.secret"));
}

#[test]
fn limits_that_are_not_set_are_the_programs_own() {
    let config = RegionConfig::parse(Path::new("eu.toml"), GOOD).unwrap();
    assert_eq!(config.limits.query_timeout, Duration::from_millis(1500));
    assert_eq!(config.limits.load_bytes_max, domicile_types::limits::LOAD_BYTES_MAX);
    assert_eq!(config.limits.body_silence, domicile_types::limits::BODY_SILENCE_MAX);
    assert_eq!(config.limits.plugin_timeout, domicile_types::limits::PLUGIN_TIMEOUT);
    assert_eq!(config.limits.plugin_memory_bytes_max, domicile_types::limits::PLUGIN_MEMORY_BYTES_MAX);
    assert_eq!(config.limits.plugin_output_rows_max, domicile_types::limits::PLUGIN_OUTPUT_ROWS_MAX);
    let all = GOOD.replace(
        "query_timeout_ms = 1500",
        "load_bytes_max = 1\nbody_silence_ms = 4\nplugin_memory_bytes_max = 65536\nplugin_timeout_ms = 2\nplugin_output_rows_max = 3",
    );
    let config = RegionConfig::parse(Path::new("eu.toml"), &all).unwrap();
    assert_eq!(config.limits.query_timeout, domicile_types::limits::QUERY_TIMEOUT_DEFAULT);
    assert_eq!(config.limits.load_bytes_max, 1);
    assert_eq!(config.limits.body_silence, Duration::from_millis(4));
    assert_eq!(config.limits.plugin_memory_bytes_max, 65536);
    assert_eq!(config.limits.plugin_timeout, Duration::from_millis(2));
    assert_eq!(config.limits.plugin_output_rows_max, 3);
}

#[test]
fn keys_and_names_are_strict() {
    check("\nname = ", "\nnmae = ", "r/eu.toml:8:1: unknown key `nmae`; did you mean `name`?");
    check("[listen]\nhttp = \"127.0.0.1:7401\"\n", "", "r/eu.toml:1:1: key `listen` is missing in this table");
    check(
        "\"eu-central\"\n",
        "\"EU\"\n",
        "r/eu.toml:7:6: `EU` is not a region id: use lower-case letters, digits and `-`, starting with a letter",
    );
}

#[test]
fn values_must_say_something() {
    check("\"Frankfurt\"", "\" \"", "r/eu.toml:8:8: `name` must not be empty");
    check("[\"EU\", \"DE\"]", "[]", "r/eu.toml:9:17: `jurisdictions` must not be empty");
    check("\"DE\"", "\"\"", "r/eu.toml:9:17: `jurisdictions` must not be empty");
}

#[test]
fn numbers_have_a_range() {
    check("50.1", "90.5", "r/eu.toml:10:12: `latitude` must lie between -90 and 90");
    check("50.1", "nan", "r/eu.toml:10:12: `latitude` must lie between -90 and 90");
    check("longitude = 8", "longitude = -180.1", "r/eu.toml:11:13: `longitude` must lie between -180 and 180");
    check("1500", "0", "r/eu.toml:18:20: `query_timeout_ms` must lie between 1 and 600000");
    let silence = "r/eu.toml:18:19: `body_silence_ms` must lie between 1 and 60000";
    check("query_timeout_ms = 1500", "body_silence_ms = 60001", silence);
    check("1500", "600001", "r/eu.toml:18:20: `query_timeout_ms` must lie between 1 and 600000");
    check(
        "query_timeout_ms = 1500",
        "plugin_memory_bytes_max = 9000000000",
        "r/eu.toml:18:27: `plugin_memory_bytes_max` must lie between 1 and 67108864",
    );
}

#[test]
fn addresses_have_a_form() {
    check(
        "127.0.0.1:7401",
        "localhost",
        "r/eu.toml:15:8: `localhost` is not an address to listen at; write it as 127.0.0.1:7401 or [::1]:7401",
    );
    check(
        "http://127.0.0.1:7402/",
        "http://127.0.0.1",
        "r/eu.toml:22:7: `http://127.0.0.1` is not of the form http://host:port",
    );
}

#[test]
fn peers_are_others_and_different() {
    check(
        "\"us-east\"",
        "\"eu-central\"",
        "r/eu.toml:21:6: peer `eu-central` is this region itself; list only the others",
    );
    let again = "[[peer]]\nid = \"us-east\"\nurl = \"http://a:1\"\nsecret_file = \"x\"\n\n[[peer]]";
    check("[[peer]]", again, "r/eu.toml:26:6: peer `us-east` is listed twice; remove one");
}

#[test]
fn storage_besides_the_data_folder() {
    let config = RegionConfig::parse(Path::new("/r/eu.toml"), GOOD).unwrap();
    let rate = domicile_types::limits::COMPACTION_BYTES_PER_S_DEFAULT;
    assert_eq!(config.storage, Storage { cold_url: None, backup_urls: Vec::new(), compaction_bytes_per_s_max: rate });
    let storage = "[storage]\ncold_url = \"s3://cold/eu\"\nbackup_urls = [\"../backups\", \"file:///mnt/b\"]\n\
                   compaction_bytes_per_s_max = 1048576\n\n[limits]";
    let config = RegionConfig::parse(Path::new("/r/eu.toml"), &GOOD.replace("[limits]", storage)).unwrap().storage;
    assert_eq!(config.cold_url.unwrap().as_str(), "s3://cold/eu");
    let backups: Vec<_> = config.backup_urls.iter().map(StorageUrl::as_str).collect();
    assert_eq!(backups, ["file:///backups", "file:///mnt/b"]);
    assert_eq!(config.compaction_bytes_per_s_max, 1_048_576);
}

#[test]
fn storage_is_checked_where_it_stands() {
    let check = |line: &str, expect: &str| check("[limits]", &format!("[storage]\n{line}\n[limits]"), expect);
    check(
        "cold_url = \"gs://cold\"",
        "r/eu.toml:18:12: `gs://cold` is not a place to store at; write a path, file:///folder or s3://bucket/prefix",
    );
    check(
        "backup_urls = [\"a\", \"s3://b\"]",
        "r/eu.toml:18:21: `s3://b` does not name a bucket; it has 3 to 63 lower-case letters, digits, `.` and `-`",
    );
    let inside = "is inside of `data_dir`, which is the store's own; take a folder beside it";
    check("cold_url = \"../data/eu-central/cold\"", &format!("r/eu.toml:18:12: `../data/eu-central/cold` {inside}"));
    check("backup_urls = [\"b\", \"../data/eu-central\"]", &format!("r/eu.toml:18:21: `../data/eu-central` {inside}"));
    check("cold_uri = \"a\"", "r/eu.toml:18:1: unknown key `cold_uri`; did you mean `cold_url`?");
    check(
        "compaction_bytes_per_s_max = 0",
        "r/eu.toml:18:30: `compaction_bytes_per_s_max` must lie between 1 and 1099511627776",
    );
}

const KEY: &str = "ed25519:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

#[test]
fn plugins_are_signed_unless_the_file_says_otherwise() {
    let plugins = |section: &str| {
        let text = GOOD.replace("[limits]", &format!("{section}\n[limits]"));
        RegionConfig::parse(Path::new("eu.toml"), &text).unwrap().plugins
    };
    assert_eq!(plugins(""), domicile_config::Plugins::default());
    assert!(!plugins("").allow_unsigned);
    assert!(plugins("[plugins]\nallow_unsigned = true").allow_unsigned);
    let keys =
        plugins(&format!("[plugins]\ntrusted_keys = [\"{KEY}\", \"{}\"]", KEY.trim_end_matches('='))).trusted_keys;
    assert_eq!(keys[0].to_string(), KEY);
    assert_eq!(keys[0], keys[1], "padding says nothing");
}

#[test]
fn unsigned_plugins_are_for_the_loopback_address() {
    let exposed = GOOD.replace("127.0.0.1:7401", "0.0.0.0:7401");
    let with = |text: &str, section: &str| {
        RegionConfig::parse(Path::new("eu.toml"), &text.replace("[limits]", &format!("{section}\n[limits]")))
    };
    let refused = with(&exposed, "[plugins]\nallow_unsigned = true").unwrap_err().to_string();
    assert!(refused.starts_with("eu.toml:18:18: `allow_unsigned = true` is for the loopback address"), "{refused}");
    assert!(with(&exposed, "[plugins]\nallow_unsigned = false").is_ok());
    assert!(with(&exposed, "").is_ok());
    let loopback = GOOD.replace("127.0.0.1:7401", "[::1]:7401");
    assert!(with(&loopback, "[plugins]\nallow_unsigned = true").is_ok());
}

#[test]
fn keys_that_are_none_are_refused_where_they_stand() {
    for key in ["", "ed25519:", "ed25519:AAAA", &KEY[8..], "ed25519:????", &format!("{KEY}AAAA")] {
        let text = GOOD.replace("[limits]", &format!("[plugins]\ntrusted_keys = [\"{key}\"]\n[limits]"));
        let refused = RegionConfig::parse(Path::new("eu.toml"), &text).unwrap_err().to_string();
        assert!(refused.starts_with(&format!("eu.toml:18:17: `{key}` is not a public key")), "{refused}");
    }
}

#[test]
fn policies_are_signed_where_keys_are_listed() {
    let policies = |section: &str| {
        RegionConfig::parse(Path::new("eu.toml"), &GOOD.replace("[limits]", &format!("{section}\n[limits]")))
            .map(|config| config.policies)
            .map_err(|error| error.to_string())
    };
    assert_eq!(policies("").unwrap(), domicile_config::Policies::default());
    assert_eq!(policies("[policies]").unwrap().trusted_keys, None);
    let keys = policies(&format!("[policies]\ntrusted_keys = [\"{KEY}\"]")).unwrap().trusted_keys.unwrap();
    assert_eq!(keys.iter().map(ToString::to_string).collect::<Vec<_>>(), [KEY]);
    assert_eq!(
        policies("[policies]\ntrusted_keys = []").unwrap_err(),
        "eu.toml:18:16: `trusted_keys` must not be empty"
    );
    let refused = policies("[policies]\ntrusted_keys = [\"ed25519:AAAA\"]").unwrap_err();
    assert!(refused.starts_with("eu.toml:18:17: `ed25519:AAAA` is not a public key"), "{refused}");
    let many = vec![format!("\"{KEY}\""); 65].join(", ");
    let refused = policies(&format!("[policies]\ntrusted_keys = [{many}]")).unwrap_err();
    assert_eq!(refused, "eu.toml:18:16: `trusted_keys` has more than 64 keys");
}

/// The good file with a section, its peer with a further line.
fn with_clients(section: &str, peer: &str) -> Result<RegionConfig, String> {
    let text = GOOD.replace("[limits]", &format!("{section}\n[limits]"));
    let text = text.replace("id = \"us-east\"", &format!("id = \"us-east\"\n{peer}"));
    RegionConfig::parse(Path::new("eu.toml"), &text).map_err(|error| error.to_string())
}

#[test]
fn clients_need_tokens_unless_the_file_says_otherwise() {
    let clients = |section: &str| with_clients(section, "jurisdictions = [\"US\"]").unwrap().clients;
    assert_eq!(clients(""), domicile_config::Clients::default());
    assert!(!clients("").allow_anonymous);
    assert!(clients("[clients]\nallow_anonymous = true").allow_anonymous);
    let key = format!("[clients]\ntrusted_keys = [\"{KEY}\"]");
    assert_eq!(clients(&key).trusted_keys[0].to_string(), KEY);
    let many = format!("[clients]\ntrusted_keys = [{}]", vec![format!("\"{KEY}\""); 65].join(", "));
    assert!(with_clients(&many, "jurisdictions = [\"US\"]").unwrap_err().contains("more than 64 keys"));
}

#[test]
fn anonymous_clients_are_for_the_loopback_address() {
    let with = |text: &str, allow: bool| {
        let section = format!("[clients]\nallow_anonymous = {allow}\n[limits]");
        RegionConfig::parse(Path::new("eu.toml"), &text.replace("[limits]", &section))
    };
    let exposed = GOOD.replace("127.0.0.1:7401", "0.0.0.0:7401");
    let refused = with(&exposed, true).unwrap_err().to_string();
    assert!(refused.starts_with("eu.toml:18:19: `allow_anonymous = true` is for the loopback address"), "{refused}");
    assert!(with(&exposed, false).is_ok());
    assert!(with(GOOD, true).is_ok());
}

#[test]
fn where_tokens_count_all_peers_say_whose_law_holds_there() {
    let trusting = format!("[clients]\ntrusted_keys = [\"{KEY}\"]");
    let refused = with_clients(&trusting, "").unwrap_err();
    assert!(refused.contains(": peer `us-east` has no `jurisdictions`"), "{refused}");
    assert!(with_clients("", "").unwrap().peers[0].jurisdictions.is_empty());
    let placed = with_clients(&trusting, "jurisdictions = [\"US\", \"US-VA\"]").unwrap();
    assert_eq!(placed.peers[0].jurisdictions, ["US", "US-VA"]);
    for none in ["[]", "[\" \"]"] {
        let refused = with_clients("", &format!("jurisdictions = {none}")).unwrap_err();
        assert!(refused.ends_with("`jurisdictions` must not be empty"), "{refused}");
    }
}

/// The good file, whose region meets its peers over TLS.
fn over_tls() -> String {
    let tls = "peers = \"127.0.0.1:7501\"\n\n[tls]\ncertificate = \"eu.pem\"\nkey = \"/k/eu.key\"\nauthority = \"../ca.pem\"\n";
    let listen = "http = \"127.0.0.1:7401\"\n";
    GOOD.replace(listen, &format!("{listen}{tls}")).replace("http://", "https://")
}

#[track_caller]
fn check_tls(from: &str, to: &str, expect: &str) {
    let good = over_tls();
    assert_eq!(good.matches(from).count(), 1, "{from} must stand once in the file");
    let got = RegionConfig::parse(Path::new("r/eu.toml"), &good.replace(from, to));
    assert_eq!(got.unwrap_err().to_string(), expect);
}

#[test]
fn a_region_may_meet_its_peers_over_tls() {
    assert_eq!(RegionConfig::parse(Path::new("r/eu.toml"), GOOD).unwrap().tls, None);
    let config = RegionConfig::parse(Path::new("r/eu.toml"), &over_tls()).unwrap();
    let tls = config.tls.unwrap();
    assert_eq!((config.listen.port(), tls.listen.port()), (7401, 7501));
    assert_eq!(tls.certificate, Path::new("r/eu.pem"));
    assert_eq!(tls.key, Path::new("/k/eu.key"));
    assert_eq!(tls.authority, Path::new("r/../ca.pem"));
    assert_eq!(config.peers[0].url.as_str(), "https://127.0.0.1:7402");
}

#[test]
fn tls_is_there_as_a_whole_or_not_at_all() {
    check_tls("key = \"/k/eu.key\"\n", "", "r/eu.toml:18:1: key `key` is missing in this table");
    check_tls("authority = ", "ca = ", "r/eu.toml:21:1: unknown key `ca`; keys here: certificate, key, authority");
    check_tls(
        "peers = \"127.0.0.1:7501\"\n",
        "",
        "r/eu.toml:17:1: [tls] is there, and [listen] has no `peers`: say at which address peers ask over mutual TLS, for \
         example peers = \"127.0.0.1:7501\"",
    );
    check_tls(
        "127.0.0.1:7501",
        "127.0.0.1:7401",
        "r/eu.toml:16:9: `peers` is the same address as `http`; give peers one of their own",
    );
    check_tls(
        "https://127.0.0.1:7402/",
        "http://127.0.0.1:7402",
        "r/eu.toml:28:7: peer `us-east` has http://127.0.0.1:7402, and with [tls] peers are reached over mutual TLS: write \
         https://127.0.0.1:7402, and the port that `peers` in [listen] of that region's file names",
    );
    check(
        "http://127.0.0.1:7402/",
        "https://127.0.0.1:7402",
        "r/eu.toml:22:7: peer `us-east` has https://127.0.0.1:7402, and this region has no [tls] with `certificate`, `key` \
         and `authority`; add it (`domicile certs init` makes files for trying things out), or write http://127.0.0.1:7402",
    );
    check(
        "http = \"127.0.0.1:7401\"\n",
        "http = \"127.0.0.1:7401\"\npeers = \"127.0.0.1:7501\"\n",
        "r/eu.toml:16:9: `peers` is an address for mutual TLS, and there is no [tls] with `certificate`, `key` and \
         `authority`; add it (`domicile certs init` makes files for trying things out), or remove `peers`",
    );
}
