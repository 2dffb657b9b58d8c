//! Replication set files, on a disk beside what they have to fit.

use std::fs;

use domicile_config::load_region;
use domicile_types::{Acknowledge, ReplicationSet};
use tempfile::TempDir;

const REGION: &str = r#"schema = 1
datasets_dir = "all/datasets"
policies_dir = "policies"
data_dir = "data"
[region]
id = "eu-central"
name = "Frankfurt"
jurisdictions = ["EU"]
latitude = 50.1
longitude = 8.7
secret_file = "own.secret"
[listen]
http = "127.0.0.1:0"
[[peer]]
id = "us-east"
url = "http://127.0.0.1:1"
secret_file = "us.secret"
[[peer]]
id = "ap-south"
url = "http://127.0.0.1:2"
secret_file = "ap.secret"
"#;

const DATASETS: [&str; 3] = ["nation", "part", "supplier"];

const CATALOG: &str = r#"schema = 1
name = "catalog"
regions = ["eu-central", "us-east"]
datasets = ["nation", "part"]
acknowledge = "jurisdiction:2"
"#;

/// A folder with a region, its datasets and `sets`, by the names of their files.
fn folder(region: &str, sets: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("eu.toml", region);
    write("policies/.keep", "");
    let key = "primary_key = [\"id\"]\n[[column]]\nname = \"id\"\ntype = \"bigint\"\n";
    for name in DATASETS {
        write(&format!("all/datasets/{name}.toml"), &format!("schema = 1\nname = \"{name}\"\nreference = true\n{key}"));
    }
    write("all/datasets/orders.toml", &format!("schema = 1\nname = \"orders\"\n{key}"));
    let origins = "[conflict]\nrow = \"origin_priority\"\norigins = [\"us-east\"]\n[[column]]";
    let price = format!("schema = 1\nname = \"price\"\nreference = true\n{key}").replace("[[column]]", origins);
    write("all/datasets/price.toml", &price);
    sets.iter().for_each(|(name, text)| write(name, text));
    folder
}

fn load(region: &str, sets: &[(&str, &str)]) -> Result<Vec<ReplicationSet>, String> {
    let folder = folder(region, sets);
    let loaded = load_region(&folder.path().join("eu.toml"));
    let text = |error: domicile_config::ConfigError| error.to_string();
    let dir = folder.path().display().to_string();
    loaded.map(|files| files.replication).map_err(|error| text(error).replace(&dir, "DIR"))
}

/// The refusal of the catalog with `from` replaced by `to`.
#[track_caller]
fn check(from: &str, to: &str, expect: &str) {
    assert_eq!(CATALOG.matches(from).count(), 1, "{from} must stand once in the file");
    let got = load(REGION, &[("all/replication/catalog.toml", &CATALOG.replace(from, to))]);
    assert_eq!(got, Err(format!("DIR/all/replication/catalog.toml:{expect}")));
}

#[test]
fn sets_are_read_in_the_order_of_their_files() {
    let others = r#"schema = 1
name = "others"
regions = ["ap-south", "us-east"]
datasets = ["supplier"]
"#;
    let sets = load(REGION, &[("all/replication/b.toml", CATALOG), ("all/replication/a.toml", others)]).unwrap();
    let set = |name: &str, regions: [&str; 2], datasets: &[&str], acknowledge| ReplicationSet {
        name: name.parse().unwrap(),
        regions: regions.map(|region| region.parse().unwrap()).into(),
        datasets: datasets.iter().map(|dataset| dataset.parse().unwrap()).collect(),
        home: None,
        acknowledge,
    };
    let elsewhere = set("others", ["ap-south", "us-east"], &["supplier"], Acknowledge::Local);
    let catalog =
        set("catalog", ["eu-central", "us-east"], &["nation", "part"], Acknowledge::Jurisdiction { copies: 2 });
    assert_eq!(sets, [elsewhere, catalog], "a set of other regions is kept, too");
}

#[test]
fn the_folder_may_be_missing_unless_it_is_named() {
    assert_eq!(load(REGION, &[]), Ok(Vec::new()));
    let named = REGION.replace("data_dir", "replication_dir = \"sets\"\ndata_dir");
    assert_eq!(load(&named, &[]).unwrap_err(), "cannot read DIR/sets: No such file or directory (os error 2)");
    let sets = load(&named, &[("sets/catalog.toml", CATALOG), ("all/replication/wrong.toml", "?")]).unwrap();
    assert_eq!(sets[0].name.as_str(), "catalog");
}

#[test]
fn sets_name_known_regions_once() {
    check(
        "\"us-east\"",
        "\"us-eats\"",
        "3:26: region `us-eats` is neither this region nor one of its peers; did you mean `us-east`?",
    );
    check("\"us-east\"", "\"eu-central\"", "3:26: `eu-central` is listed twice; name it once");
    check(", \"us-east\"", "", "3:11: replication set `catalog` needs at least two regions");
    check(
        "\"us-east\"",
        "\"US\"",
        "3:26: `US` is not a region id: use lower-case letters, digits and `-`, starting with a letter",
    );
}

#[test]
fn sets_name_known_reference_data_once() {
    check("\"part\"", "\"prat\"", "4:23: there is no dataset `prat`; did you mean `part`?");
    check("\"part\"", "\"nation\"", "4:23: `nation` is listed twice; name it once");
    check("[\"nation\", \"part\"]", "[]", "4:12: `datasets` must not be empty");
    check(
        "\"part\"",
        "\"orders\"",
        "4:23: dataset `orders` is not reference data: its rows have homes; say whose rows are copied with \
         `home = \"REGION\"`, or leave it out",
    );
}

#[test]
fn origins_of_a_priority_are_in_the_set() {
    check(
        "[\"eu-central\", \"us-east\"]\ndatasets = [\"nation\", \"part\"]",
        "[\"eu-central\", \"ap-south\"]\ndatasets = [\"price\"]",
        "4:13: the conflict policy of dataset `price` lists region `us-east`, which is not in the set",
    );
    let priced = CATALOG.replace("\"part\"", "\"price\"");
    assert!(load(REGION, &[("all/replication/catalog.toml", &priced)]).is_ok());
}

#[test]
fn a_dataset_is_in_one_set_and_a_name_is_of_one_set() {
    let second = |text: &str| {
        load(REGION, &[("all/replication/a.toml", CATALOG), ("all/replication/b.toml", text)]).unwrap_err()
    };
    assert_eq!(
        second(&CATALOG.replace("catalog", "more").replace("\"nation\", ", "\"supplier\", ")),
        "DIR/all/replication/b.toml:4:25: dataset `part` is already in replication set `catalog`, described in \
         DIR/all/replication/a.toml; a dataset is in one set only, or in one for each home"
    );
    assert_eq!(
        second(&CATALOG.replace("[\"nation\", \"part\"]", "[\"supplier\"]")),
        "DIR/all/replication/b.toml:2:8: replication set `catalog` is already described in DIR/all/replication/a.toml; \
         give this one another name, or remove it"
    );
}

#[test]
fn writes_wait_for_copies_that_there_are() {
    check(
        "jurisdiction:2",
        "jurisdiction:1",
        "5:15: a write cannot wait for 1 copies; in this set it can be 2 to 2, or \"local\"",
    );
    check(
        "jurisdiction:2",
        "jurisdiction:3",
        "5:15: a write cannot wait for 3 copies; in this set it can be 2 to 2, or \"local\"",
    );
    for none in ["jurisdiction", "jurisdiction:", "jurisdiction:two", "jurisdiction:256", "jurisdiction:-2", "all"] {
        check(
            "jurisdiction:2",
            none,
            &format!(
                "5:15: `{none}` does not say when a write is done; write \"local\" or \"jurisdiction:COPIES\", for example \
                 \"jurisdiction:2\""
            ),
        );
    }
    let local = CATALOG.replace("jurisdiction:2", "local");
    let sets = load(REGION, &[("all/replication/catalog.toml", &local)]).unwrap();
    assert_eq!(sets[0].acknowledge, Acknowledge::Local);
}

#[test]
fn sets_are_read_strictly() {
    check("regions", "region", "3:1: unknown key `region`; did you mean `regions`?");
    check("schema = 1", "schema = 2", "1:10: schema 2 is not known; this program reads schema 1");
    check("name = \"catalog\"\n", "", "1:1: key `name` is missing in this table");
    check(
        "\"catalog\"",
        "\"Catalog\"",
        "2:8: `Catalog` is not a replication set name: use lower-case letters, digits and `_`, starting with a letter",
    );
}

/// Of rows that live in `eu-central`, with a copy under the same law.
const COPIES: &str = r#"schema = 1
name = "orders_eu"
regions = ["eu-central", "us-east"]
datasets = ["orders"]
home = "eu-central"
"#;

/// The region, with peers under these laws.
fn under(us: &str, ap: &str) -> String {
    let peer = |text: String, id: &str, law: &str| {
        text.replace(&format!("id = \"{id}\""), &format!("id = \"{id}\"\njurisdictions = [{law}]"))
    };
    peer(peer(REGION.to_owned(), "us-east", us), "ap-south", ap)
}

/// The refusal of the copies with `from` replaced by `to`.
#[track_caller]
fn check_copies(from: &str, to: &str, expect: &str) {
    assert_eq!(COPIES.matches(from).count(), 1, "{from} must stand once in the file");
    let got = load(&under("\"US\", \"EU\"", "\"IN\""), &[("all/replication/o.toml", &COPIES.replace(from, to))]);
    assert_eq!(got, Err(format!("DIR/all/replication/o.toml:{expect}")));
}

#[test]
fn copies_of_what_lives_somewhere_stay_under_its_law() {
    let sets = load(&under("\"US\", \"EU\"", "\"IN\""), &[("all/replication/o.toml", COPIES)]).unwrap();
    let region = |id: &str| id.parse().unwrap();
    assert_eq!(sets[0].home, Some(region("eu-central")));
    assert!(sets[0].is_own_of(&region("eu-central")) && !sets[0].is_own_of(&region("us-east")));
    assert_eq!(sets[0].copied_from(&region("us-east")), Some(&region("eu-central")));
    assert_eq!([sets[0].copied_from(&region("eu-central")), sets[0].copied_from(&region("ap-south"))], [None, None]);
    check_copies(
        "\"us-east\"",
        "\"ap-south\"",
        "3:26: region `ap-south` shares no jurisdiction with `eu-central`, where the rows live, so it can have no copies of \
         them; leave it out, or correct the `jurisdictions` of both in this region's file",
    );
    check_copies(
        "home = \"eu-central\"",
        "home = \"eu-centra\"",
        "5:8: the set's home `eu-centra` is not one of its \
         regions; did you mean `eu-central`?",
    );
    check_copies(
        "home = \"eu-central\"",
        "home = \"EU\"",
        "5:8: `EU` is not a region id: use lower-case letters, digits \
         and `-`, starting with a letter",
    );
    check_copies(
        "\"orders\"",
        "\"orders\", \"part\"",
        "4:23: dataset `part` is reference data, whose rows live nowhere in particular; put it into a set without `home`",
    );
    check_copies("\"us-east\"", "\"eu-central\"", "3:26: `eu-central` is listed twice; name it once");
}

#[test]
fn each_home_may_have_its_own_copies() {
    let other = COPIES.replace("orders_eu", "orders_us").replace("home = \"eu-central\"", "home = \"us-east\"");
    let region = under("\"US\", \"EU\"", "\"IN\"");
    let both = |text: &str| load(&region, &[("all/replication/a.toml", COPIES), ("all/replication/b.toml", text)]);
    assert_eq!(both(&other).unwrap().len(), 2);
    assert_eq!(
        both(&COPIES.replace("orders_eu", "again")).unwrap_err(),
        "DIR/all/replication/b.toml:4:13: dataset `orders` is already in replication set `orders_eu`, described in \
         DIR/all/replication/a.toml; a dataset is in one set only, or in one for each home"
    );
}
