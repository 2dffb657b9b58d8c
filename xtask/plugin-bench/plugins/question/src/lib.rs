//! Work over whole batches: the parameter `work` says which, and whether plainly, by the host, or not at all.

use std::cell::RefCell;

use domicile_sdk::bindings::functions::domicile::plugin::columns::{self, Contents, Values};
use domicile_sdk::bindings::functions::domicile::plugin::kernels::{
    self as host, Arithmetic, Comparison, Operand, Reduction,
};
use domicile_sdk::bindings::functions::domicile::plugin::types::{Field, Parameter, Value, ValueType};
use domicile_sdk::bindings::query::exports::domicile::plugin::query::{
    Guest, GuestSession, QueryDescriptor, Session as Handle, Table,
};
use kernels::Groups;

/// Rows with a quantity below this count.
const BELOW: f64 = 24.0;
/// The columns, in order.
const QUANTITY: usize = 0;
const PRICE: usize = 1;
const DISCOUNT: usize = 2;
const KEY: usize = 3;
const TEXT: usize = 4;

struct Question;

#[derive(Clone, Copy)]
enum Kind {
    Numeric,
    NumericByVectors,
    String,
    Group,
}

#[derive(Clone, Copy)]
enum How {
    Plainly,
    ByHost,
    /// The columns come in, and nothing is done with them.
    OnlyRead,
}

struct Session {
    kind: Kind,
    how: How,
    total: RefCell<f64>,
    groups: RefCell<Groups>,
}

fn field(name: &str, kind: ValueType) -> Field {
    Field { name: name.to_owned(), kind }
}

impl Guest for Question {
    type Session = Session;

    fn describe() -> QueryDescriptor {
        let total = || vec![field("total", ValueType::Double)];
        QueryDescriptor {
            parameters: vec![Parameter { name: "work".to_owned(), default: Value::Bigint(0) }],
            input: "SELECT l_quantity, l_extendedprice, l_discount, l_suppkey, l_comment FROM lineitem".to_owned(),
            columns: vec![
                field("quantity", ValueType::Double),
                field("price", ValueType::Double),
                field("discount", ValueType::Double),
                field("key", ValueType::Bigint),
                field("text", ValueType::Text),
            ],
            partial: total(),
            outputs: total(),
        }
    }
}

impl GuestSession for Session {
    fn open(parameters: Vec<Value>) -> Result<Handle, String> {
        let Some(Value::Bigint(work)) = parameters.first() else { return Err("`work` is a bigint".to_owned()) };
        let kind = match work / 3 {
            0 => Kind::Numeric,
            1 => Kind::NumericByVectors,
            2 => Kind::String,
            3 => Kind::Group,
            _ => return Err("there is no such work".to_owned()),
        };
        let how = [How::Plainly, How::ByHost, How::OnlyRead][work.rem_euclid(3) as usize];
        Ok(Handle::new(Self { kind, how, total: RefCell::default(), groups: RefCell::default() }))
    }

    fn input(&self, rows: Table) -> Result<(), String> {
        let columns = &rows.columns;
        let total = match (self.kind, self.how) {
            (Kind::Numeric, How::Plainly) => revenue(columns, kernels::revenue)?,
            (Kind::NumericByVectors, How::Plainly) => revenue(columns, kernels::revenue_by_vectors)?,
            (Kind::Numeric | Kind::NumericByVectors, How::ByHost) => revenue_by_host(columns)?,
            (Kind::Numeric | Kind::NumericByVectors, How::OnlyRead) => nothing([QUANTITY, PRICE, DISCOUNT].map(|column| columns[column])),
            (Kind::String, How::Plainly) => parsed(columns)?,
            (Kind::String, How::ByHost) => sum(host::convert(columns[TEXT], ValueType::Double))?,
            (Kind::String, How::OnlyRead) => nothing([columns[TEXT]]),
            (Kind::Group, How::Plainly) => {
                let (keys, values) = (bigints(columns[KEY])?, doubles(columns[PRICE])?);
                kernels::group(&mut self.groups.borrow_mut(), &keys, &values);
                0.0
            }
            (Kind::Group, How::ByHost) => {
                group_by_host(&mut self.groups.borrow_mut(), columns)?;
                0.0
            }
            (Kind::Group, How::OnlyRead) => nothing([columns[KEY], columns[PRICE]]),
        };
        *self.total.borrow_mut() += total;
        Ok(())
    }

    fn partial(&self) -> Result<Table, String> {
        let total = *self.total.borrow() + kernels::digest(&self.groups.borrow());
        let contents = Contents { values: Values::Double(vec![total]), validity: None };
        Ok(Table { rows: 1, columns: vec![columns::write(&contents)] })
    }

    fn merge(&self, _: Table) -> Result<(), String> {
        Ok(())
    }

    fn finish(&self) -> Result<Table, String> {
        self.partial()
    }
}

fn nothing<const N: usize>(columns: [u32; N]) -> f64 {
    columns.into_iter().for_each(|column| {
        std::hint::black_box(columns::read(column));
    });
    0.0
}

fn doubles(column: u32) -> Result<Vec<f64>, String> {
    match columns::read(column).values {
        Values::Double(values) => Ok(values),
        _ => Err("the column has no doubles".to_owned()),
    }
}

fn bigints(column: u32) -> Result<Vec<i64>, String> {
    match columns::read(column).values {
        Values::Bigint(values) => Ok(values),
        _ => Err("the column has no bigints".to_owned()),
    }
}

fn revenue(columns: &[u32], revenue: impl Fn(&[f64], &[f64], &[f64], f64) -> f64) -> Result<f64, String> {
    let [quantity, price, discount] = [QUANTITY, PRICE, DISCOUNT].map(|column| doubles(columns[column]));
    Ok(revenue(&quantity?, &price?, &discount?, BELOW))
}

fn revenue_by_host(columns: &[u32]) -> Result<f64, String> {
    let below =
        host::compare(&Operand::Column(columns[QUANTITY]), Comparison::Less, &Operand::Value(Value::Double(BELOW)));
    let one = Operand::Value(Value::Double(1.0));
    let left = host::calculate(&one, Arithmetic::Subtract, &Operand::Column(columns[DISCOUNT]));
    let revenue = host::calculate(&Operand::Column(columns[PRICE]), Arithmetic::Multiply, &Operand::Column(left));
    // Arithmetic costs less than choosing rows, so that one column is chosen from instead of two.
    sum(host::filter(&[revenue], below)[0])
}

fn sum(column: u32) -> Result<f64, String> {
    match host::reduce(column, Reduction::Sum) {
        Value::Double(sum) => Ok(sum),
        Value::Null => Ok(0.0),
        _ => Err("a sum of doubles is a double".to_owned()),
    }
}

fn parsed(columns: &[u32]) -> Result<f64, String> {
    match columns::read(columns[TEXT]).values {
        Values::Text(runs) => Ok(kernels::parsed(&runs.offsets, &runs.bytes)),
        _ => Err("the column has no texts".to_owned()),
    }
}

/// The host groups each batch; what is left here is one addition a group.
fn group_by_host(groups: &mut Groups, columns: &[u32]) -> Result<(), String> {
    let grouping = host::group(&[columns[KEY]]);
    let reduce = |reduction| host::reduce_groups(columns[PRICE], reduction, grouping.group_of_row, grouping.groups);
    let (count, sum) = (reduce(Reduction::Count), reduce(Reduction::Sum));
    let keys = bigints(host::take(&[columns[KEY]], grouping.first_row)[0])?;
    for ((key, count), sum) in keys.iter().zip(bigints(count)?).zip(doubles(sum)?) {
        let group = groups.entry(*key).or_default();
        *group = (group.0 + count, group.1 + sum);
    }
    Ok(())
}

domicile_sdk::bindings::query::export_query!(Question with_types_in domicile_sdk::bindings::query);
