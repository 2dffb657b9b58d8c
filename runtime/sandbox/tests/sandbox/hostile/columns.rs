//! Plugins that pass to the host's functions what these do not take.

use arrow::array::{AsArray, Int64Array};
use arrow::datatypes::Int64Type;
use domicile_sandbox::{ErrorKind, Limit, SandboxError};

use super::{call, check, integer, text};
use crate::guest::{load, sandbox};

pub(super) fn garbles() {
    let sandbox = sandbox();
    let garbles = load(&sandbox, "hostile_garbles");
    let none = "runs without offsets, of which there is one more than there are rows";
    let offsets = "runs whose offsets are negative, descending or beyond their bytes";
    let utf8 = "texts that are not UTF-8";
    let expect = [
        ("no offsets", none),
        ("negative offsets", offsets),
        ("negative first offset", offsets),
        ("descending offsets", offsets),
        ("offsets beyond bytes", offsets),
        ("largest offset", offsets),
        ("not UTF-8", utf8),
        ("split character", utf8),
        ("no offsets of bytes", none),
        ("offsets beyond bytes of bytes", offsets),
        ("short validity", "a validity of 1 bytes where 2 are needed"),
        ("long validity", "a validity of 3 bytes where 2 are needed"),
        ("validity of no rows", "a validity of 1 bytes where 0 are needed"),
        ("short validity of booleans", "a validity of 0 bytes where 2 are needed"),
        ("short validity of texts", "a validity of 0 bytes where 2 are needed"),
        ("index beyond texts", "a dictionary of 1 texts with an index beyond them"),
        ("index into no texts", "a dictionary of 0 texts with an index beyond them"),
        ("dictionary without offsets", none),
        ("dictionary that is not UTF-8", utf8),
    ];
    for (case, detail) in expect {
        let expect = format!("`garbles` of plugin `garbles` 1.2.3 misused `columns.write`: {detail}");
        check(call(&garbles, 0, text(case)), ErrorKind::Plugin, &expect);
    }
    call(&garbles, 0, text("sound")).unwrap();
}

pub(super) fn clings() {
    let sandbox = sandbox();
    let clings = load(&sandbox, "hostile_clings");
    let calls = clings.functions().unwrap();
    assert_eq!(calls.call(0, &[integer()], 1).unwrap().as_primitive::<Int64Type>(), &Int64Array::from(vec![1]));
    let expect = "`reads` of plugin `clings` 1.2.3 misused `columns.read`: 10 is no column of this call";
    check(calls.call(1, &[integer()], 1), ErrorKind::Plugin, expect);
}

pub(super) fn misuses() {
    let sandbox = sandbox();
    let misuses = load(&sandbox, "hostile_misuses");
    let expect = [
        ("compare types", "compare", "bigint and text, which do not compare"),
        ("compare values", "compare", "two values and no column"),
        ("calculate texts", "calculate", "text and text, which have no sum"),
        ("calculate lengths", "calculate", "columns of different lengths"),
        ("combine bigints", "combine", "a column of bigint where boolean is needed"),
        ("negate bigints", "negate", "a column of bigint where boolean is needed"),
        ("present of no column", "present", "1000 is no column of this call"),
        ("convert boolean to date", "convert", "a column of boolean, which has no form as date"),
        ("filter by bigints", "filter", "a column of bigint where boolean is needed"),
        ("take beyond", "take", "a row number that is not among the 3 that there are"),
        ("take negative", "take", "a row number that is not among the 3 that there are"),
        ("concatenate types", "concatenate", "columns of different types"),
        ("concatenate nothing", "concatenate", "0 columns, from 1 to 16384 are accepted"),
        ("sort by nothing", "sort", "0 columns, from 1 to 64 are accepted"),
        ("sort by lengths", "sort", "columns of different lengths"),
        ("sort by many", "sort", "100 columns, from 1 to 64 are accepted"),
        ("hash nothing", "hash", "0 columns, from 1 to 64 are accepted"),
        ("group by nothing", "group", "0 columns, from 1 to 64 are accepted"),
        ("join types", "join", "keys of different types"),
        ("join numbers of keys", "join", "keys of different types"),
        ("reduce texts", "reduce", "a column of text, which has no sum"),
        ("reduce groups beyond", "reduce-groups", "a row's group that is not among the 2 that there are"),
    ];
    for (case, kernel, detail) in expect {
        let expect = format!("`misuses` of plugin `misuses` 1.2.3 misused `kernels.{kernel}`: {detail}");
        check(call(&misuses, 0, text(case)), ErrorKind::Plugin, &expect);
    }
    for case in ["reduce many groups", "take a long text often", "join everything with everything", "concatenate often"]
    {
        let error = call(&misuses, 0, text(case)).unwrap_err();
        assert!(matches!(error, SandboxError::LimitReached { limit: Limit::ColumnBytes(_), .. }), "{case}: {error}");
    }
}
