//! Functions as SQL calls them, driven natively.
#![expect(missing_docs, reason = "what a plugin shows is for its users")]

use std::sync::Arc;

use domicile_sdk::functions::FunctionKind;
use domicile_sdk::native::{FunctionsPlugin, Plugin};
use domicile_sdk::{Column, Contents, Date, Element, ValueType};

#[domicile_sdk::functions]
pub mod functions {
    use domicile_sdk::{Column, Date, HostColumn};

    pub fn ratio(left: i64, right: i64) -> i64 {
        left / right
    }

    pub fn initials<'a>(first: &'a str, last: Option<&str>) -> Result<&'a str, std::fmt::Error> {
        let end = if last.is_some() { 1 } else { first.len() };
        first.get(..end).ok_or(std::fmt::Error)
    }

    pub fn month(date: Date) -> Option<i64> {
        (date.0 >= 0).then(|| i64::from(date.year_month_day().1))
    }

    pub fn always() -> bool {
        true
    }

    pub fn doubled(value: &Column<f64>) -> Column<f64> {
        value.map(|value| value * 2.0)
    }

    pub fn too_short(_value: &Column<f64>) -> Column<i64> {
        Column::from(Vec::new())
    }

    pub fn untouched(value: &HostColumn<str>) -> HostColumn<str> {
        *value
    }

    fn helper() -> i64 {
        1
    }

    #[derive(Default)]
    pub struct LongestText {
        longest: Option<String>,
    }

    #[aggregate(longest)]
    impl LongestText {
        fn update(&mut self, text: &str, least: i64) -> Result<(), String> {
            if least < helper() {
                return Err("`least` has to be at least 1".to_owned());
            }
            let longer = self.longest.as_ref().is_none_or(|longest| longest.len() < text.len());
            if longer && text.len() as i64 >= least {
                self.longest = Some(text.to_owned());
            }
            Ok(())
        }

        fn merge(&mut self, other: Self) {
            if let Some(text) = other.longest {
                self.longest = self.longest.take().filter(|own| own.len() >= text.len()).or(Some(text));
            }
        }

        fn finish(&self) -> Option<&'static str> {
            self.longest.as_ref().map(|text| if text.len() > 3 { "long" } else { "short" })
        }

        fn to_bytes(&self) -> Vec<u8> {
            self.longest.clone().unwrap_or_default().into_bytes()
        }

        fn from_bytes(bytes: &[u8]) -> Result<Self, std::str::Utf8Error> {
            let text = std::str::from_utf8(bytes)?.to_owned();
            Ok(Self { longest: Some(text).filter(|text| !text.is_empty()) })
        }
    }
}

fn plugin() -> FunctionsPlugin {
    match __domicile_native() {
        Plugin::Functions(plugin) => plugin,
        _ => panic!("it has functions"),
    }
}

fn number(name: &str) -> u32 {
    let position = plugin().signatures().iter().position(|signature| signature.name == name);
    position.unwrap_or_else(|| panic!("there is no `{name}`")) as u32
}

fn column<'a, T: Element + ?Sized>(rows: impl IntoIterator<Item = Option<T::Item<'a>>>) -> Arc<Contents> {
    Arc::new(rows.into_iter().collect::<Column<T>>().into_contents())
}

fn call(name: &str, rows: u32, arguments: &[Arc<Contents>]) -> Result<Contents, String> {
    plugin().call(number(name), rows, arguments)
}

fn check<'a, T: Element + ?Sized>(found: Result<Contents, String>, expect: &[Option<T::Item<'a>>]) {
    assert_eq!(found.as_ref(), Ok(&*column::<T>(expect.iter().copied())));
}

#[test]
fn signatures_are_those_of_the_public_functions() {
    let signatures = plugin().signatures();
    let names: Vec<&str> = signatures.iter().map(|signature| signature.name.as_str()).collect();
    let expect = ["ratio", "initials", "month", "always", "doubled", "too_short", "untouched", "longest"];
    assert_eq!(names, expect);
    let longest = &signatures[7];
    assert_eq!((longest.kind, longest.returns), (FunctionKind::Aggregate, ValueType::Text));
    let arguments: Vec<_> = longest.arguments.iter().map(|field| (field.name.as_str(), field.kind)).collect();
    assert_eq!(arguments, [("text", ValueType::Text), ("least", ValueType::Bigint)]);
}

#[test]
fn a_row_that_lacks_an_argument_is_not_computed() {
    let left = column::<i64>([Some(6), Some(1), None, Some(9)]);
    let right = column::<i64>([Some(2), None, Some(0), Some(3)]);
    // The placeholder of a null is zero, by which nothing may be divided.
    check::<i64>(call("ratio", 4, &[left, right]), &[Some(3), None, None, Some(3)]);
    check::<i64>(call("ratio", 0, &[column::<i64>([]), column::<i64>([])]), &[]);
}

#[test]
fn options_see_nulls_and_errors_end_the_call() {
    let first = column::<str>([Some("Ada"), Some("Bo")]);
    let last = column::<str>([Some("L"), None]);
    check::<str>(call("initials", 2, &[first.clone(), last.clone()]), &[Some("A"), Some("Bo")]);
    let umlaut = column::<str>([Some("Änne"), None]);
    let error = call("initials", 2, &[umlaut, last]).map(|_| ());
    assert_eq!(error, Err("an error occurred when formatting an argument".to_owned()));
}

#[test]
fn answers_may_be_null_and_arguments_may_be_none_at_all() {
    let dates = column::<Date>([Some(Date::of(2000, 2, 29)), Some(Date(-1)), None]);
    check::<i64>(call("month", 3, &[dates]), &[Some(2), None, None]);
    check::<bool>(call("always", 2, &[]), &[Some(true), Some(true)]);
}

#[test]
fn whole_columns_keep_their_nulls_and_their_length() {
    let values = column::<f64>([Some(1.5), None]);
    check::<f64>(call("doubled", 2, std::slice::from_ref(&values)), &[Some(3.0), None]);
    let error = call("too_short", 2, &[values]).map(|_| ());
    assert_eq!(error, Err("the function answered 0 rows for a batch of 2".to_owned()));
    check::<str>(call("untouched", 1, &[column::<str>([Some("as it was")])]), &[Some("as it was")]);
}

#[test]
fn calls_that_do_not_fit_are_refused() {
    let values = || column::<f64>([Some(1.0)]);
    let check = |found: Result<Contents, String>, expect: &str| assert_eq!(found.map(|_| ()), Err(expect.to_owned()));
    check(call("ratio", 1, &[values()]), "2 columns were declared, the call has 1");
    check(call("ratio", 1, &[values(), values()]), "a column of bigint was asked for, this one holds double");
    check(call("month", 2, &[column::<Date>([None])]), "an argument has 1 rows instead of 2");
    check(call("longest", 1, &[values()]), "2 columns were declared, the call has 1");
    check(plugin().call(8, 1, &[]), "the plugin has no function of that number");
}

#[test]
fn groups_grow_and_are_forgotten_from_the_first_on() {
    let least = |rows: usize| column::<i64>(vec![Some(1); rows]);
    let mut groups = plugin().accumulator(number("longest")).expect("it is an aggregate");
    let texts = column::<str>([Some("four"), Some("a"), None, Some("bb")]);
    groups.update(4, &[texts, least(4)], &[2, 0, 1, 0], 4).expect("it takes rows");
    check::<str>(groups.finish(2), &[Some("short"), None]);
    // What was group 2 is group 0 now.
    groups.update(1, &[column::<str>([Some("ccc")]), least(1)], &[1], 3).expect("it takes rows");
    check::<str>(groups.finish(3), &[Some("long"), Some("short"), None]);
    // Without group numbers all rows belong to the first group.
    groups.update(2, &[column::<str>([Some("a"), Some("bbbb")]), least(2)], &[], 1).expect("it takes rows");
    check::<str>(groups.finish(1), &[Some("long")]);
}

#[test]
fn states_go_on_elsewhere() {
    let mut here = plugin().accumulator(number("longest")).expect("it is an aggregate");
    let least = column::<i64>([Some(1), Some(1)]);
    here.update(2, &[column::<str>([Some("a"), Some("bbbb")]), least], &[0, 1], 3).expect("it takes rows");
    let states = Arc::new(here.state(3).expect("it has states"));
    let mut there = plugin().accumulator(number("longest")).expect("it is an aggregate");
    there.merge(3, &states, &[0, 0, 1], 2).expect("it takes states");
    there.merge(2, &column::<[u8]>([None, Some(&b"cc"[..])]), &[0, 1], 2).expect("it takes states");
    check::<str>(there.finish(2), &[Some("long"), Some("short")]);
    assert!(there.merge(1, &column::<[u8]>([Some(&b"\xff"[..])]), &[], 1).is_err());
}

#[test]
fn an_aggregate_says_what_is_wrong() {
    let mut groups = plugin().accumulator(number("longest")).expect("it is an aggregate");
    let rows = [column::<str>([Some("a")]), column::<i64>([Some(0)])];
    assert_eq!(groups.update(1, &rows, &[], 1), Err("`least` has to be at least 1".to_owned()));
    let rows = [column::<str>([Some("a")]), column::<i64>([Some(1)])];
    assert_eq!(groups.update(1, &rows, &[7], 2), Err("row 0 belongs to group 7, of 2".to_owned()));
    assert_eq!(groups.update(1, &rows, &[0, 0], 2), Err("2 group numbers came with 1 rows".to_owned()));
    assert!(plugin().accumulator(0).is_err() && plugin().accumulator(99).is_err());
}
