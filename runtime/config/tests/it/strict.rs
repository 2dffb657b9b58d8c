//! The words that the TOML and serde crates use are pinned here: if they change, the messages below do.

use domicile_config::strict::{self, Parsed, Schema, Spanned};
use domicile_types::RegionId;

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only the refusals matter here")]
struct Example {
    schema: Schema,
    region: Option<Parsed<RegionId>>,
    form: Option<Form>,
    count: Option<Spanned<u64>>,
    #[serde(default)]
    item: Vec<Item>,
}

#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
enum Form {
    Aggregate,
    Replicate,
}

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only the refusals matter here")]
struct Item {
    name: String,
}

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[track_caller]
fn check(text: &str, expect: &str) {
    assert_eq!(strict::parse::<Example>("x.toml", text).unwrap_err().to_string(), expect);
}

#[test]
fn what_fits_is_read() {
    let example: Example =
        strict::parse("x.toml", "schema = 1\nregion = \"eu\"\ncount = 3\n[[item]]\nname = \"a\"\n").unwrap();
    assert_eq!(example.region, Some(Parsed("eu".parse().unwrap())));
    assert_eq!(example.count.unwrap().span(), 33..34);
    assert_eq!(example.item.len(), 1);
}

#[test]
fn unknown_keys_name_the_nearest_or_all() {
    check("schema = 1\n  conut = 3\n", "x.toml:2:3: unknown key `conut`; did you mean `count`?");
    check("schema = 1\nzzz = 3\n", "x.toml:2:1: unknown key `zzz`; keys here: schema, region, form, count, item");
    check("schema = 1\n[[item]]\nname = \"a\"\nnaem = \"b\"\n", "x.toml:4:1: unknown key `naem`; did you mean `name`?");
    check("schema = 1\n[itme]\n", "x.toml:2:2: unknown key `itme`; did you mean `item`?");
    let nowhere = strict::parse::<Nothing>("x.toml", "a = 1").unwrap_err();
    assert_eq!(nowhere.to_string(), "x.toml:1:1: unknown key `a`");
}

#[test]
fn unknown_values_name_the_nearest_or_all() {
    check("schema = 1\nform = \"agregate\"", "x.toml:2:8: unknown value `agregate`; did you mean `aggregate`?");
    check("schema = 1\nform = \"zzz\"", "x.toml:2:8: unknown value `zzz`; values here: aggregate, replicate");
}

#[test]
fn missing_keys_name_the_table() {
    check("", "x.toml:1:1: key `schema` is missing in this table");
    check("schema = 1\n\n[[item]]\n", "x.toml:3:1: key `name` is missing in this table");
}

#[test]
fn wrong_types_are_reported_at_the_value() {
    check("schema = \"1\"", "x.toml:1:10: invalid type: string \"1\", expected a whole number");
    check("schema = 1\ncount = -1", "x.toml:2:9: invalid value: integer `-1`, expected a whole number from 0");
    check("schema = 1\nregion = 5", "x.toml:2:10: invalid type: integer `5`, expected a text");
    check("schema = 1\nitem = 5", "x.toml:2:8: invalid type: integer `5`, expected a list");
}

#[test]
fn names_are_checked_where_they_stand() {
    check(
        "schema = 1\nregion = \"EU\"",
        "x.toml:2:10: `EU` is not a region id: use lower-case letters, digits and `-`, starting with a letter",
    );
}

#[test]
fn another_schema_is_refused_before_its_keys_are() {
    check("schema = 2\nnew_key = 1", "x.toml:1:10: schema 2 is not known; this program reads schema 1");
}

#[test]
fn broken_toml_is_reported_where_it_breaks() {
    check("schema = 1\nschema = 1", "x.toml:2:1: duplicate key");
    check("schema = 1\ncount 3", "x.toml:2:7: key with no value, expected `=`");
    check("schema = 1\nregion = \"eu", "x.toml:2:13: invalid basic string, expected `\"`");
}

#[test]
fn columns_count_characters() {
    check(
        "# é\nschema = 1\nitem = [{ name = \"éé\", naem = 1 }]",
        "x.toml:3:24: unknown key `naem`; did you mean `name`?",
    );
}
