//! The section `[conflict]` of dataset files.

use domicile_config::DatasetFile;
use domicile_types::{ColumnPolicy, ConflictPolicy, RowPolicy};

const COLUMNS: [(&str, &str); 4] = [("id", "bigint"), ("stock", "integer"), ("tags", "text"), ("sold", "boolean")];

/// A dataset file whose section starts in line 4.
fn file(section: &str) -> String {
    let column = |(name, kind): (&str, &str)| format!("[[column]]\nname = \"{name}\"\ntype = \"{kind}\"\n");
    format!("schema = 1\nname = \"item\"\nprimary_key = [\"id\"]\n{section}\n{}", COLUMNS.map(column).concat())
}

#[track_caller]
fn check(section: &str, row: RowPolicy, columns: &[(&str, ColumnPolicy)]) {
    let columns = columns.iter().map(|(name, policy)| ((*name).to_owned(), *policy)).collect();
    let conflict = DatasetFile::parse("d.toml", &file(section)).unwrap().conflict;
    assert_eq!(conflict, ConflictPolicy { row, columns });
}

#[track_caller]
fn check_refused(section: &str, expect: &str) {
    assert_eq!(DatasetFile::parse("d.toml", &file(section)).unwrap_err().to_string(), expect);
}

#[test]
fn the_last_write_counts_unless_the_file_says_otherwise() {
    check("", RowPolicy::Lww, &[]);
    check("[conflict]", RowPolicy::Lww, &[]);
    check("[conflict.columns]", RowPolicy::Lww, &[]);
}

#[test]
fn every_policy_is_read() {
    let row = |name: &str| format!("[conflict]\nrow = \"{name}\"");
    check(&row("lww"), RowPolicy::Lww, &[]);
    check(&row("first_write"), RowPolicy::FirstWrite, &[]);
    check(&row("column_lww"), RowPolicy::ColumnLww, &[]);
    check(&row("manual"), RowPolicy::Manual, &[]);
    check(&row("wasm:stock_rules"), RowPolicy::Wasm("stock_rules".parse().unwrap()), &[]);
    check(
        "[conflict]\nrow = \"origin_priority\"\norigins = [\"us-east\", \"eu-central\"]",
        RowPolicy::OriginPriority(["us-east", "eu-central"].map(|region| region.parse().unwrap()).into()),
        &[],
    );
    check(
        "[conflict]\nrow = \"column_lww\"\n[conflict.columns]\nstock = \"counter\"\ntags = \"set_union\"\nsold = \"max\"",
        RowPolicy::ColumnLww,
        &[("stock", ColumnPolicy::Counter), ("tags", ColumnPolicy::SetUnion), ("sold", ColumnPolicy::Max)],
    );
    check("[conflict]\ncolumns = { stock = \"min\" }", RowPolicy::Lww, &[("stock", ColumnPolicy::Min)]);
}

#[test]
fn words_that_are_none_are_refused_where_they_stand() {
    check_refused(
        "[conflict]\nrow = \"frist_write\"",
        "d.toml:5:7: unknown value `frist_write`; did you mean `first_write`?",
    );
    check_refused(
        "[conflict]\nrow = \"zzz\"",
        "d.toml:5:7: unknown value `zzz`; values here: lww, first_write, origin_priority, column_lww, manual, wasm:PLUGIN",
    );
    check_refused("[conflict]\nrows = \"lww\"", "d.toml:5:1: unknown key `rows`; did you mean `row`?");
    check_refused(
        "[conflict]\nrow = \"wasm:Stock\"",
        "d.toml:5:7: `Stock` is not a plugin name: use lower-case letters, digits and `_`, starting with a letter",
    );
    check_refused(
        "[conflict.columns]\nstock = \"count\"",
        "d.toml:5:9: unknown value `count`; did you mean `counter`?",
    );
    check_refused("[conflict]\nrow = 5", "d.toml:5:7: invalid type: integer `5`, expected a text");
}

#[test]
fn a_priority_has_regions_and_nothing_else_does() {
    check_refused("[conflict]\nrow = \"origin_priority\"", "d.toml:5:7: key `origins` is missing in this table");
    let with = |row: &str, origins: &str| format!("[conflict]\nrow = \"{row}\"\norigins = {origins}");
    check_refused(
        &with("manual", "[\"eu\"]"),
        "d.toml:6:11: `origins` belongs to `row = \"origin_priority\"`, and this policy is `manual`",
    );
    check_refused(
        "[conflict]\norigins = [\"eu\"]",
        "d.toml:5:11: `origins` belongs to `row = \"origin_priority\"`, and this policy is `lww`",
    );
    check_refused(
        &with("origin_priority", "[]"),
        "d.toml:5:7: dataset `item` has the conflict policy `origin_priority` and names no regions; list them, the first first",
    );
    check_refused(
        &with("origin_priority", "[\"eu\", \"us\", \"eu\"]"),
        "d.toml:6:24: the conflict policy of dataset `item` lists region `eu` twice; name each region once",
    );
    check_refused(
        &with("origin_priority", "[\"EU\"]"),
        "d.toml:6:12: `EU` is not a region id: use lower-case letters, digits and `-`, starting with a letter",
    );
}

#[test]
fn columns_have_policies_that_fit() {
    let columns = |columns: &str| format!("[conflict.columns]\n{columns}");
    check_refused(
        &columns("sold = \"max\"\nstok = \"counter\""),
        "d.toml:6:1: dataset `item` has no column `stok`; did you mean `stock`?",
    );
    check_refused(
        &columns("id = \"max\""),
        "d.toml:5:1: column `id` of dataset `item` belongs to the primary key, which all versions of a row have in \
         common; remove its conflict policy",
    );
    check_refused(
        &columns("tags = \"counter\""),
        "d.toml:5:8: column `tags` of dataset `item` cannot have the conflict policy `counter`, which needs a bigint, \
         integer, decimal or double",
    );
    check_refused(
        &columns("stock = \"set_union\""),
        "d.toml:5:9: column `stock` of dataset `item` cannot have the conflict policy `set_union`, which needs a text",
    );
}

#[test]
fn without_a_key_there_is_nothing_to_decide() {
    let keyless = |section: &str| file(section).replace("primary_key = [\"id\"]", "reference = true");
    let refused = "dataset `item` has no primary key, so no two versions are of one row; give it one, or remove its \
                   conflict policy";
    let check = |section: &str, expect: Result<(), String>| {
        let got = DatasetFile::parse("d.toml", &keyless(section)).map(|_| ()).map_err(|error| error.to_string());
        assert_eq!(got, expect);
    };
    check("[conflict]\nrow = \"lww\"", Ok(()));
    check("[conflict]\nrow = \"manual\"", Err(format!("d.toml:5:7: {refused}")));
    check("[conflict.columns]\nstock = \"max\"", Err(format!("d.toml:5:1: {refused}")));
}
