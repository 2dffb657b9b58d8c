//! Dataset files.

use domicile_config::DatasetFile;
use domicile_types::ColumnType;

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
