//! Mappers, questions and merge rules, driven natively.

use std::sync::Arc;

use domicile_sdk::native::{Columns, Plugin};
use domicile_sdk::{Column, Contents, Date, Element, Value, Values, Version};

fn column<'a, T: Element + ?Sized>(rows: impl IntoIterator<Item = Option<T::Item<'a>>>) -> Arc<Contents> {
    Arc::new(rows.into_iter().collect::<Column<T>>().into_contents())
}

mod busiest {
    use domicile_sdk::mapper::OutputKind;
    use domicile_sdk::{Category, Date, Mapper, Outputs, Parameters, Row, Rows};

    #[derive(Parameters)]
    struct Busiest {
        #[parameter(default = 2)]
        least: i64,
        #[parameter(default = "any")]
        kind: String,
        #[parameter(default = 0.5)]
        weight: f64,
        #[parameter(default = Date::of(2000, 1, 1))]
        since: Date,
    }

    #[derive(Row)]
    struct Visit<'a> {
        kind: &'a str,
        on: Option<Date>,
        paid: f64,
    }

    #[derive(Category)]
    enum Size {
        Small,
        #[category("LARGE")]
        VeryLarge,
    }

    #[derive(Outputs)]
    struct Visitor {
        size: Option<Size>,
        #[measure(min = 0.0, max = 10.0)]
        paid: Option<f64>,
    }

    #[domicile_sdk::mapper]
    impl Mapper for Busiest {
        type Input = Visit<'static>;
        type Output = Visitor;
        const DATASET: &str = "visits";
        const GROUP_BY: &[&str] = &["size"];

        fn check(&self) -> Result<(), String> {
            if self.least > 0 { Ok(()) } else { Err("`least` has to be positive".to_owned()) }
        }

        fn map(&self, rows: Rows<'_, Visit<'static>>) -> Result<Visitor, String> {
            let fits = |visit: &Visit<'_>| self.kind == "any" || visit.kind == self.kind;
            let recent = |visit: &Visit<'_>| visit.on.is_none_or(|on| on >= self.since);
            let visits: Vec<Visit<'_>> = rows.iter().filter(|visit| fits(visit) && recent(visit)).collect();
            if visits.is_empty() {
                return Ok(Visitor { size: None, paid: None });
            }
            let size = if visits.len() as i64 >= self.least { Size::VeryLarge } else { Size::Small };
            let paid = visits.iter().map(|visit| visit.paid * self.weight).sum();
            Ok(Visitor { size: Some(size), paid: Some(paid) })
        }
    }

    #[test]
    fn outputs_declare_their_bounds() {
        let outputs = Visitor::declare();
        assert!(matches!(&outputs[0].kind, OutputKind::Category(texts) if texts == &["small", "LARGE"]));
        assert!(matches!(&outputs[1].kind, OutputKind::Measure(bounds) if bounds.max == 10.0));
    }
}

fn busiest(parameters: &[Value]) -> Result<domicile_sdk::native::MapperInstance, String> {
    let Plugin::Mapper(plugin) = busiest::__domicile_native() else { panic!("it is a mapper") };
    plugin.configure(parameters)
}

fn parameters(least: i64, kind: &str) -> [Value; 4] {
    [Value::Bigint(least), Value::Text(kind.to_owned()), Value::Double(2.0), Value::Date(Date::of(2000, 1, 1).0)]
}

#[test]
fn a_mapper_describes_itself() {
    let Plugin::Mapper(plugin) = busiest::__domicile_native() else { panic!("it is a mapper") };
    let description = plugin.describe();
    assert_eq!((description.dataset.as_str(), description.endpoint.group_by), ("visits", vec!["size".to_owned()]));
    let names = |fields: Vec<String>| fields.join(" ");
    assert_eq!(names(description.inputs.into_iter().map(|field| field.name).collect()), "kind on paid");
    let defaults: Vec<Value> = description.parameters.into_iter().map(|parameter| parameter.default).collect();
    let any = Value::Text("any".to_owned());
    assert_eq!(defaults, [Value::Bigint(2), any, Value::Double(0.5), Value::Date(Date::of(2000, 1, 1).0)]);
}

#[test]
fn entities_are_mapped_by_their_own_rows() {
    let kinds = column::<str>([Some("a"), Some("b"), Some("a"), Some("b"), Some("a")]);
    let dates = column::<Date>([None, None, Some(Date(0)), None, None]);
    let paid = column::<f64>([1.0, 2.0, 4.0, 8.0, 16.0].map(Some));
    let inputs = [kinds, dates, paid];
    // The third row lies before the date; the second entity has nothing else of this kind.
    let mapped = busiest(&parameters(1, "a")).and_then(|mapper| mapper.map(&[1, 4, 5], &inputs)).expect("it maps");
    let Values::Dictionary(sizes) = &mapped[0].values else { panic!("categories are a dictionary") };
    assert_eq!((&sizes.indices[..], &sizes.texts.bytes[..]), (&[1, 0, 1][..], &b"smallLARGE"[..]));
    assert_eq!(mapped[0].validity, Some(vec![0b101]));
    assert_eq!(*mapped[1], *column::<f64>([Some(2.0), None, Some(32.0)]));
    let none = busiest(&parameters(1, "a")).and_then(|mapper| {
        mapper.map(
            &[],
            &[0, 1, 2].map(|index| match index {
                0 => column::<str>([]),
                1 => column::<Date>([]),
                _ => column::<f64>([]),
            }),
        )
    });
    assert_eq!(none.map(|columns| columns.len()), Ok(2));
}

#[test]
fn a_mapper_refuses_what_does_not_fit() {
    let error = |found: Result<(), String>| found.err().unwrap_or_default();
    assert_eq!(error(busiest(&parameters(0, "a")).map(|_| ())), "`least` has to be positive");
    assert_eq!(error(busiest(&[]).map(|_| ())), "4 values were declared, 0 came");
    let nulls = [Value::Null, Value::Null, Value::Null, Value::Null];
    let expect = "`least` came as null, which its field in the plugin cannot hold";
    assert_eq!(error(busiest(&nulls).map(|_| ())), expect);

    let inputs =
        [column::<str>([Some("a"), None]), column::<Date>([None, None]), column::<f64>([Some(1.0), Some(2.0)])];
    let found = busiest(&parameters(1, "a")).and_then(|mapper| mapper.map(&[2], &inputs)).map(|_| ());
    assert_eq!(error(found), "`kind` has no value in 1 of 2 rows, and its field in the plugin is no `Option`");
    let found = busiest(&parameters(1, "a")).and_then(|mapper| mapper.map(&[1], &inputs)).map(|_| ());
    assert_eq!(error(found), "`kind` has 2 rows instead of 1");
}

mod totals {
    use domicile_sdk::{Query, Row, Rows, Table};

    #[derive(Row)]
    struct Line<'a> {
        name: &'a str,
        price: f64,
    }

    #[derive(Row)]
    struct Sum {
        name: String,
        sum: f64,
        proof: Vec<u8>,
    }

    #[derive(Default)]
    struct Totals {
        lines: Vec<(String, f64)>,
        proof: Vec<u8>,
    }

    #[domicile_sdk::query]
    impl Query for Totals {
        type Parameters = ();
        type Input = Line<'static>;
        type Partial = Sum;
        type Output = Line<'static>;
        const INPUT: &str = "SELECT name, price FROM lines";

        fn open((): ()) -> Result<Self, String> {
            Ok(Self::default())
        }

        fn input(&mut self, rows: Rows<'_, Line<'static>>) -> Result<(), String> {
            self.lines.extend(rows.iter().map(|line| (line.name.to_owned(), line.price)));
            Ok(())
        }

        fn partial(self) -> Result<Table<Sum>, String> {
            Ok(self.lines.into_iter().map(|(name, sum)| Sum { name, sum, proof: vec![1, 2] }).collect())
        }

        fn merge(&mut self, rows: Rows<'_, Sum>) -> Result<(), String> {
            for row in rows.iter() {
                self.lines.push((row.name, row.sum));
                self.proof.extend(row.proof);
            }
            Ok(())
        }

        fn finish(self) -> Result<Table<Line<'static>>, String> {
            if self.proof.len() != 2 * self.lines.len() {
                return Err("the proof is incomplete".to_owned());
            }
            Ok(self.lines.iter().map(|(name, price)| Line { name, price: *price }).collect())
        }
    }
}

#[test]
fn a_question_goes_from_rows_to_partials_to_the_answer() {
    let Plugin::Query(plugin) = totals::__domicile_native() else { panic!("it is a question") };
    let description = plugin.describe();
    assert_eq!(description.input, "SELECT name, price FROM lines");
    assert_eq!(
        description.partial.iter().map(|field| field.name.as_str()).collect::<Vec<_>>(),
        ["name", "sum", "proof"]
    );
    let rows =
        Columns { rows: 2, columns: vec![column::<str>([Some("x"), Some("y")]), column::<f64>([1.0, 2.0].map(Some))] };
    let open = || plugin.open(&[]).unwrap_or_else(|error| panic!("{error}"));
    let partial = |rows: &Columns| {
        let session = open();
        session.input(rows).expect("it takes rows");
        let partial = session.partial().expect("it contributes");
        assert!(session.partial().is_err() && session.input(rows).is_err(), "a session ends");
        partial
    };
    let session = open();
    session.merge(&partial(&rows)).expect("it takes a contribution");
    session.merge(&partial(&rows)).expect("it takes a contribution");
    let answer = session.finish().expect("it answers");
    assert_eq!(answer.rows, 4);
    assert_eq!(*answer.columns[0], *column::<str>(["x", "y", "x", "y"].map(Some)));
    assert!(session.finish().is_err());
    let wrong = Columns { rows: 3, ..rows };
    assert_eq!(open().input(&wrong), Err("`name` has 2 rows instead of 3".to_owned()));
}

mod newest {
    use domicile_sdk::{Merge, Row, Version};

    #[derive(Row, Clone)]
    struct Item {
        quantity: Option<i64>,
        name: String,
    }

    struct Newest;

    #[domicile_sdk::merge]
    impl Merge for Newest {
        type Row = Item;

        fn resolve(versions: &[Version<Item>]) -> Result<Item, String> {
            let newest = versions.last().ok_or("there is no version")?;
            Ok(Item { quantity: newest.row.quantity, name: format!("{} of {}", newest.row.name, newest.origin) })
        }
    }
}

#[test]
fn versions_are_resolved_by_value() {
    let Plugin::Merge(plugin) = newest::__domicile_native() else { panic!("it is a rule") };
    assert_eq!(plugin.describe().len(), 2);
    let version = |quantity, name: &str| Version {
        written_at: 1 << 16,
        origin: "us-east".to_owned(),
        row: vec![quantity, Value::Text(name.to_owned())],
    };
    let resolved = plugin.resolve(&[version(Value::Bigint(1), "a"), version(Value::Null, "b")]);
    assert_eq!(resolved, Ok(vec![Value::Null, Value::Text("b of us-east".to_owned())]));
    let error = plugin.resolve(&[version(Value::Double(1.0), "a")]);
    assert_eq!(error, Err("`quantity` came as double, which its field in the plugin cannot hold".to_owned()));
}
