//! Work over whole batches, each kind plainly and by the host: the parameter `work` says which.

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

struct Session {
    work: i64,
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
        Ok(Handle::new(Self { work: *work, total: RefCell::default(), groups: RefCell::default() }))
    }

    fn input(&self, rows: Table) -> Result<(), String> {
        let columns = &rows.columns;
        let total = match self.work {
            0 => revenue(columns)?,
            1 => revenue_by_host(columns)?,
            2 => parsed(columns)?,
            3 => sum(host::convert(columns[TEXT], ValueType::Double))?,
            4 => {
                let (keys, values) = (bigints(columns[KEY])?, doubles(columns[PRICE])?);
                kernels::group(&mut self.groups.borrow_mut(), &keys, &values);
                0.0
            }
            5 => {
                group_by_host(&mut self.groups.borrow_mut(), columns)?;
                0.0
            }
            _ => return Err("there is no such work".to_owned()),
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

fn revenue(columns: &[u32]) -> Result<f64, String> {
    let [quantity, price, discount] = [QUANTITY, PRICE, DISCOUNT].map(|column| doubles(columns[column]));
    Ok(kernels::revenue(&quantity?, &price?, &discount?, BELOW))
}

fn revenue_by_host(columns: &[u32]) -> Result<f64, String> {
    let below =
        host::compare(&Operand::Column(columns[QUANTITY]), Comparison::Less, &Operand::Value(Value::Double(BELOW)));
    let kept = host::filter(&[columns[PRICE], columns[DISCOUNT]], below);
    let left = host::calculate(&Operand::Value(Value::Double(1.0)), Arithmetic::Subtract, &Operand::Column(kept[1]));
    sum(host::calculate(&Operand::Column(kept[0]), Arithmetic::Multiply, &Operand::Column(left)))
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
