//! Which set of policies may take the place of another one.

use domicile_policy::{PolicyHead, PolicySet, Succession};
use domicile_types::{Column, ColumnType};

use crate::world::{CUSTOMER, changed, datasets, files, name, set};

type Files = Vec<(String, String)>;

/// What comes of the set of `new` in the place of that of `old`: `dataset 1>2` for each change, or the refusal.
fn succeeding(old: &Files, new: &Files) -> Result<Vec<String>, String> {
    let changes = set(new).succeeding(&set(old)).map_err(|error| error.to_string())?;
    let told =
        |Succession { dataset, from_version, to_version }: Succession| format!("{dataset} {from_version}>{to_version}");
    Ok(changes.into_iter().map(told).collect())
}

/// The files with `from` replaced by `to` in the one named `file`, which gives itself this version.
#[track_caller]
fn version(file: &str, number: u32, from: &str, to: &str) -> Files {
    let mut files = changed(file, from, to);
    let (_, text) = files.iter_mut().find(|(name, _)| name == file).unwrap();
    let line = text.lines().find(|line| line.starts_with("version = ")).unwrap().to_owned();
    *text = text.replace(&line, &format!("version = {number}"));
    files
}

#[test]
fn what_changed_has_a_higher_version() {
    assert_eq!(succeeding(&files(), &files()), Ok(vec![]));
    let fewer = |number| version("customer.toml", number, "minimum_entities = 10", "minimum_entities = 20");
    assert_eq!(succeeding(&files(), &fewer(2)), Ok(vec!["customer 1>2".to_owned()]));
    assert_eq!(succeeding(&files(), &fewer(7)), Ok(vec!["customer 1>7".to_owned()]));
    let mut both = fewer(2);
    let orders = version("orders.toml", 4, "minimum_entities = 25", "minimum_entities = 5");
    both[1] = orders[1].clone();
    assert_eq!(succeeding(&files(), &both), Ok(vec!["customer 1>2".to_owned(), "orders 3>4".to_owned()]));
    let refusal = |file: &str, dataset: &str, version: u32, current: u32| {
        Err(format!(
            "{file}: the policy of `{dataset}` has changed and says `version = {version}`, after {current}; receipts name \
             versions, so count it up"
        ))
    };
    assert_eq!(succeeding(&files(), &fewer(1)), refusal("customer.toml", "customer", 1, 1));
    assert_eq!(succeeding(&fewer(5), &fewer(4)), refusal("customer.toml", "customer", 4, 5));
    // The way back is a new version as well.
    assert_eq!(succeeding(&fewer(2), &files()), refusal("customer.toml", "customer", 1, 2));
    // A comment is a change: receipts name the digest of the whole text.
    let comment = changed("orders.toml", "schema = 1", "# other words\nschema = 1");
    assert_eq!(succeeding(&files(), &comment), refusal("orders.toml", "orders", 3, 3));
}

#[test]
fn rows_stay_where_they_are() {
    let refused = |file: &str, dataset: &str| {
        Err(format!(
            "{file}: the residency of `{dataset}` has changed, and its rows lie where the old one says; restore the \
             section [residency], or load the rows into regions that are started with the new one"
        ))
    };
    for (from, to) in [
        ("values = [24]", "values = [24, 25]"),
        ("values = [6, 7]", "values = [6]"),
        ("entity = \"c_key\"", "entity = \"c_name\""),
    ] {
        assert_eq!(
            succeeding(&files(), &version("customer.toml", 2, from, to)),
            refused("customer.toml", "customer"),
            "{to}"
        );
    }
    let other = version("orders.toml", 4, "on = \"o_customer\"", "on = \"o_key\"");
    assert_eq!(succeeding(&files(), &other), refused("orders.toml", "orders"));
    // The name of a home is for the reader of the file.
    let renamed = version("customer.toml", 2, "name = \"EUROPE\"", "name = \"Europe\"");
    assert_eq!(succeeding(&files(), &renamed), Ok(vec!["customer 1>2".to_owned()]));
}

#[test]
fn datasets_stay_what_they_are() {
    let refusal = "is not what it was when the region was started; restart the region to change datasets";
    let mut more = datasets();
    let mut part = more[3].clone();
    part.0.name = name("part_too");
    more.push(part);
    let mut wider = datasets();
    wider[0].0.columns[1] = Column { name: "c_name".to_owned(), kind: ColumnType::Text, nullable: true };
    for (changed, dataset) in [(more, "part_too"), (wider, "customer")] {
        let changed = PolicySet::load(&changed, &files()).unwrap();
        let expect = format!("dataset `{dataset}` {refusal}");
        assert_eq!(changed.succeeding(&set(&files())).unwrap_err().to_string(), expect);
        assert_eq!(set(&files()).succeeding(&changed).unwrap_err().to_string(), expect);
    }
}

#[test]
fn the_head_of_a_file_is_read_without_its_dataset() {
    let head = PolicyHead::read("customer.toml", CUSTOMER).unwrap();
    assert_eq!((head.dataset, head.version), (name("customer"), 1));
    assert_eq!(head.digest, set(&files()).policy(&name("customer")).unwrap().digest);
    let refused = PolicyHead::read("x.toml", "schema = 1\ndataset = \"x\"\nversion = -1\n").unwrap_err().to_string();
    assert!(refused.starts_with("x.toml:3:11: "), "{refused}");
}
