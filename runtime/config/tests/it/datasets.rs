//! Dataset files.

use domicile_config::DatasetFile;
use domicile_types::{ColumnType, Every, Lifecycle, Partitioning, TimePartition, ValuePartition};

fn file(column: &str) -> String {
    format!("schema = 1\nname = \"orders\"\nprimary_key = [\"o_orderkey\"]\n[[column]]\n{column}\n")
}

#[track_caller]
fn check(text: &str, expect: &str) {
    assert_eq!(DatasetFile::parse("d.toml", text).unwrap_err().to_string(), expect);
}

#[track_caller]
fn check_type(name: &str, expect: ColumnType) {
    let text = file(&format!("name = \"o_orderkey\"\ntype = \"{name}\""));
    assert_eq!(DatasetFile::parse("d.toml", &text).unwrap().dataset.columns[0].kind, expect);
}

#[test]
fn every_type_is_read() {
    check_type("bigint", ColumnType::BigInt);
    check_type("integer", ColumnType::Integer);
    check_type("double", ColumnType::Double);
    check_type("decimal(15,2)", ColumnType::Decimal { precision: 15, scale: 2 });
    check_type("decimal(38, 38)", ColumnType::Decimal { precision: 38, scale: 38 });
    check_type("text", ColumnType::Text);
    check_type("date", ColumnType::Date);
    check_type("boolean", ColumnType::Boolean);
}

#[test]
fn datasets_are_resident_and_columns_not_null_unless_they_say_so() {
    let plain = DatasetFile::parse("d.toml", &file("name = \"o_orderkey\"\ntype = \"bigint\"")).unwrap();
    assert!(!plain.reference && !plain.dataset.columns[0].nullable);
    let text = file("name = \"o_orderkey\"\ntype = \"bigint\"\nnullable = true")
        .replace("primary", "reference = true\nprimary");
    let marked = DatasetFile::parse("d.toml", &text).unwrap();
    assert!(marked.reference && marked.dataset.columns[0].nullable);
}

#[test]
fn wrong_types_are_refused() {
    let with = |name: &str| file(&format!("name = \"o_orderkey\"\ntype = \"{name}\""));
    check(&with("bigin"), "d.toml:6:8: unknown type `bigin`; did you mean `bigint`?");
    check(&with("zzz"), "d.toml:6:8: unknown type `zzz`");
    for decimal in ["decimal", "decimal(39,2)", "decimal(5,6)", "decimal(0,0)", "decimal(5)"] {
        check(
            &with(decimal),
            &format!(
                "d.toml:6:8: `{decimal}` is not a decimal: write decimal(precision,scale) with precision 1 to 38 and scale 0 to precision"
            ),
        );
    }
}

#[test]
fn contradictions_are_refused_at_the_name() {
    check(
        &file("name = \"o_orderky\"\ntype = \"bigint\""),
        "d.toml:2:8: dataset `orders` has no column `o_orderkey`; did you mean `o_orderky`?",
    );
    check("schema = 1\nname = \"orders\"\n", "d.toml:2:8: dataset `orders` has no columns");
}

fn divided(sections: &str) -> String {
    let column = |(name, kind): (&str, &str)| format!("[[column]]\nname = \"{name}\"\ntype = \"{kind}\"\n");
    let columns = [("id", "bigint"), ("day", "date"), ("segment", "text"), ("price", "double")];
    format!("schema = 1\nname = \"orders\"\n{sections}\n{}", columns.map(column).concat())
}

#[test]
fn partitions_and_how_long_they_are_kept() {
    let text = divided(
        "[partition]\ntime = { column = \"day\", every = \"month\" }\n\
         by = [{ column = \"segment\" }, { column = \"id\", buckets = 16 }]\n\
         [lifecycle]\nkeep_days = 2555\ntier_after_days = 90",
    );
    let dataset = DatasetFile::parse("d.toml", &text).unwrap().dataset;
    let time = TimePartition { column: "day".to_owned(), every: Every::Month };
    let by = |column: &str, buckets| ValuePartition { column: column.to_owned(), buckets };
    assert_eq!(
        dataset.partitioning,
        Partitioning { time: Some(time), by: vec![by("segment", None), by("id", Some(16))] }
    );
    assert_eq!(dataset.lifecycle, Lifecycle { keep_days: Some(2555), tier_after_days: Some(90) });
    let plain = DatasetFile::parse("d.toml", &divided("")).unwrap().dataset;
    assert!(plain.partitioning.is_empty() && plain.lifecycle == Lifecycle::default());
    for (word, every) in [("day", Every::Day), ("quarter", Every::Quarter)] {
        let text = divided(&format!("[partition.time]\ncolumn = \"day\"\nevery = \"{word}\""));
        let time = DatasetFile::parse("d.toml", &text).unwrap().dataset.partitioning.time;
        assert_eq!(time.map(|time| time.every), Some(every));
    }
}

#[test]
fn partitions_that_cannot_be_are_refused_where_they_stand() {
    let by = |by: &str| divided(&format!("[partition]\nby = [{by}]"));
    let time = |time: &str| divided(&format!("[partition]\ntime = {{ {time} }}"));
    check(
        &by("{ column = \"segmnt\" }"),
        "d.toml:4:18: dataset `orders` has no column `segmnt`; did you mean `segment`?",
    );
    check(
        &by("{ column = \"price\" }"),
        "d.toml:4:18: dataset `orders` cannot be partitioned by `price`; take a bigint, integer, text or boolean column",
    );
    check(
        &by("{ column = \"id\" }, { column = \"id\" }"),
        "d.toml:4:37: dataset `orders` is partitioned by `id` twice; name each column once",
    );
    check(&by("{ column = \"id\", buckets = 0 }"), "d.toml:4:34: `buckets` must lie between 1 and 1024");
    check(&by("{ column = \"id\", bukets = 4 }"), "d.toml:4:24: unknown key `bukets`; did you mean `buckets`?");
    check(
        &time("column = \"day\", every = \"week\""),
        "d.toml:4:34: unknown value `week`; values here: day, month, quarter",
    );
    check(
        &time("column = \"id\", every = \"day\""),
        "d.toml:4:19: dataset `orders` cannot have time partitions by `id`; they need a column of type date",
    );
    check(&time("column = \"day\""), "d.toml:4:8: key `every` is missing in this table");
}

#[test]
fn days_are_counted_from_time_partitions_in_order() {
    let kept = |days: &str| {
        divided(&format!("[partition]\ntime = {{ column = \"day\", every = \"day\" }}\n[lifecycle]\n{days}"))
    };
    check(
        &divided("[lifecycle]\nkeep_days = 30"),
        "d.toml:4:13: dataset `orders` has a lifecycle in days and no time partitions; give it `partition.time`",
    );
    check(&kept("keep_days = 0"), "d.toml:6:13: `keep_days` must lie between 1 and 365000");
    check(&kept("keep_days = 9\ntier_after_days = 9"), "d.toml:7:19: `tier_after_days` must lie between 1 and 8");
    check(&kept("tier_after_day = 9"), "d.toml:6:1: unknown key `tier_after_day`; did you mean `tier_after_days`?");
}
