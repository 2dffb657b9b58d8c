//! Descriptions that do not hold together, and the schemas of those that do.

use domicile_store::{DatasetSpec, ENTITY_COLUMN, HLC_COLUMN, arrow_schema, stored_schema};
use domicile_types::{ColumnType, KeyValue, Residency};
use tempfile::TempDir;

use crate::fixture::{dataset, follows, name, region, specs};

#[track_caller]
fn check(change: impl FnOnce(&mut Vec<DatasetSpec>), expect: &str) {
    let root = TempDir::new().unwrap();
    let mut specs = specs();
    change(&mut specs);
    let error = crate::fixture::open(root.path(), specs).unwrap_err();
    assert_eq!(error.to_string(), expect);
}

#[test]
fn descriptions_that_do_not_hold_together() {
    check(|specs| specs.push(specs[3].clone()), "dataset `nation` cannot be stored: it is described twice");
    check(
        |specs| specs[0].residency = follows("order", "l_orderkey"),
        "dataset `lineitem` cannot be stored: it follows `order`, which does not exist; did you mean `orders`?",
    );
    check(
        |specs| specs[0].residency = follows("nation", "l_orderkey"),
        "dataset `lineitem` cannot be stored: it follows `nation`, which is reference data and has no home",
    );
    check(
        |specs| specs[0].residency = follows("orders", "l_linenumber"),
        "dataset `lineitem` cannot be stored: column `l_linenumber` must have the type of a single-column primary key of `orders`",
    );
    check(
        |specs| specs[0].residency = follows("orders", "l_orderky"),
        "dataset `lineitem` cannot be stored: dataset `lineitem` has no column `l_orderky`; did you mean `l_orderkey`?",
    );
    check(
        |specs| specs[2].residency = follows("orders", "c_custkey"),
        "dataset `lineitem` cannot be stored: following `follows` from it leads in a circle",
    );
    let text_homes = |specs: &mut Vec<DatasetSpec>| {
        let Residency::Column { homes, .. } = &mut specs[2].residency else { panic!("customers have a column") };
        homes.insert(KeyValue::Text("DE".to_owned()), region("eu-central"));
    };
    check(
        text_homes,
        "dataset `customer` cannot be stored: residency column `c_nationkey` and the values in its map must be all integers or all texts",
    );
    let decimal = ColumnType::Decimal { precision: 39, scale: 2 };
    check(
        |specs| specs[3].dataset = dataset("nation", &[("n", decimal, true)], &[]),
        "dataset `nation` cannot be stored: column `n` needs a decimal precision of 1 to 38 and a scale of 0 to the precision",
    );
}

#[test]
fn followers_have_the_entity_type_of_the_root() {
    let mut specs = specs();
    let stored = stored_schema(&specs, &name("lineitem")).unwrap();
    let names: Vec<_> = stored.fields().iter().skip(3).map(|field| field.name().as_str()).collect();
    assert_eq!(names, ["_entity", "_hlc", "_seq", "_origin", "_epoch", "_op"]);
    assert_eq!(stored.field(3).name(), ENTITY_COLUMN);
    assert_eq!(stored.field(3).data_type().to_string(), "Int64");
    let nation = stored_schema(&specs, &name("nation")).unwrap();
    let declared = arrow_schema(&specs[3]);
    assert!(nation.fields().iter().zip(declared.fields()).all(|(stored, field)| stored.name() == field.name()));
    assert!(nation.field(1).is_nullable(), "a tombstone has only the key");
    assert_eq!(nation.field(2).name(), HLC_COLUMN);
    let Residency::Column { entity, .. } = &mut specs[2].residency else { panic!("customers have a column") };
    *entity = "c_name".to_owned();
    assert_eq!(stored_schema(&specs, &name("lineitem")).unwrap().field(3).data_type().to_string(), "Utf8");
}

#[test]
fn homes_can_be_texts() {
    let root = TempDir::new().unwrap();
    let columns = [("id", ColumnType::Text, false), ("country", ColumnType::Text, false)];
    let homes = [("DE", "eu-central"), ("US", "us-east")];
    let residency = Residency::Column {
        column: "country".to_owned(),
        entity: "id".to_owned(),
        homes: homes.iter().map(|(value, home)| (KeyValue::Text((*value).to_owned()), region(home))).collect(),
    };
    let spec = DatasetSpec { dataset: dataset("people", &columns, &["id"]), residency };
    let mut store = crate::fixture::open(&root.path().join("s"), vec![spec]).unwrap();
    let file = root.path().join("upload");
    let mut load = |rows: &str| {
        std::fs::write(&file, rows).unwrap();
        crate::fixture::load_file(&mut store, "people", &file, domicile_store::Format::Csv)
    };
    let error = load("id,country\na,DE\nb,US\nc,DE\nd,FR\n").unwrap_err().to_string();
    assert!(
        error.starts_with("2 rows were refused") && error.ends_with("value \"US\": home is us-east; load it there")
    );
    load("id,country\nb,DE\na,DE\n").unwrap();
    assert_eq!(crate::fixture::rows(&store.reader(), "people"), ["a|DE|a", "b|DE|b"]);
}
