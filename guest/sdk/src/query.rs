//! How an ordinary struct becomes a question with a name.

use std::cell::RefCell;
use std::marker::PhantomData;

use crate::bindings::query::exports::domicile::plugin::query as contract;
use crate::row::fields;
use crate::{Parameters, Row, Rows, Table, Value};

pub use contract::QueryDescriptor;

/// A question with a name: SQL in each region, then [`input`](Self::input) and [`partial`](Self::partial) over its rows
/// there, then [`merge`](Self::merge) and [`finish`](Self::finish) where the contributions of the regions meet. Put
/// [`#[query]`](macro@crate::query) on the implementation.
///
/// ```
/// use domicile_sdk::{Parameters, Query, Row, Rows, Table, query};
///
/// #[derive(Parameters)]
/// pub struct Settings {
///     #[parameter(default = 0.0)]
///     least: f64,
/// }
///
/// #[derive(Row)]
/// pub struct Order {
///     o_totalprice: Option<f64>,
/// }
///
/// #[derive(Row)]
/// pub struct Total {
///     orders: i64,
///     revenue: f64,
/// }
///
/// #[derive(Default)]
/// pub struct Revenue {
///     orders: i64,
///     revenue: f64,
/// }
///
/// #[query]
/// impl Query for Revenue {
///     type Parameters = Settings;
///     type Input = Order;
///     type Partial = Total;
///     type Output = Total;
///     const INPUT: &str = "SELECT o_totalprice FROM orders WHERE o_totalprice >= $least";
///
///     fn open(_settings: Settings) -> Result<Self, String> {
///         Ok(Self::default())
///     }
///
///     fn input(&mut self, rows: Rows<'_, Order>) -> Result<(), String> {
///         self.orders += rows.len() as i64;
///         self.revenue += rows.iter().filter_map(|order| order.o_totalprice).sum::<f64>();
///         Ok(())
///     }
///
///     fn partial(self) -> Result<Table<Total>, String> {
///         Ok([Total { orders: self.orders, revenue: self.revenue }].into_iter().collect())
///     }
///
///     fn merge(&mut self, rows: Rows<'_, Total>) -> Result<(), String> {
///         for total in rows.iter() {
///             self.orders += total.orders;
///             self.revenue += total.revenue;
///         }
///         Ok(())
///     }
///
///     fn finish(self) -> Result<Table<Total>, String> {
///         self.partial()
///     }
/// }
/// # fn main() {}
/// ```
pub trait Query: Sized + 'static {
    /// What a caller may set.
    type Parameters: Parameters;
    /// The columns that [`Self::INPUT`] gives.
    type Input: Row;
    /// What one region contributes.
    type Partial: Row;
    /// The answer.
    type Output: Row;
    /// One `SELECT` over datasets, with `$name` where a parameter's value belongs.
    const INPUT: &str;

    /// A session of the question, in a region or where the contributions meet.
    ///
    /// # Errors
    /// Where a parameter makes no sense; the text tells the caller what to pass.
    fn open(parameters: Self::Parameters) -> Result<Self, String>;

    /// In a region: takes in rows that the SQL gave, a batch at a time, in no particular order.
    ///
    /// # Errors
    /// Where the rows make no sense. This ends the query.
    fn input(&mut self, rows: Rows<'_, Self::Input>) -> Result<(), String>;

    /// In a region: what it contributes.
    ///
    /// # Errors
    /// Where nothing can be contributed. This ends the query.
    fn partial(self) -> Result<Table<Self::Partial>, String>;

    /// Where contributions meet: takes in rows of one, in the order of the regions' names.
    ///
    /// # Errors
    /// Where the rows make no sense. This ends the query.
    fn merge(&mut self, rows: Rows<'_, Self::Partial>) -> Result<(), String>;

    /// Where contributions meet: the answer.
    ///
    /// # Errors
    /// Where there is none. This ends the query.
    fn finish(self) -> Result<Table<Self::Output>, String>;
}

/// What a question says of itself.
pub(crate) fn describe<Q: Query>() -> QueryDescriptor {
    QueryDescriptor {
        parameters: Q::Parameters::declare(),
        input: Q::INPUT.to_owned(),
        columns: fields(Q::Input::FIELDS),
        partial: fields(Q::Partial::FIELDS),
        outputs: fields(Q::Output::FIELDS),
    }
}

/// A table as the contract has it: rows, and the numbers of columns.
pub(crate) type Numbers = (u32, Vec<u32>);

/// A session, whatever its question.
pub(crate) trait AnySession {
    fn input(&self, rows: u32, columns: &[u32]) -> Result<(), String>;
    fn partial(&self) -> Result<Numbers, String>;
    fn merge(&self, rows: u32, columns: &[u32]) -> Result<(), String>;
    fn finish(&self) -> Result<Numbers, String>;
}

struct Session<Q>(RefCell<Option<Q>>);

impl<Q> Session<Q> {
    fn with<T>(&self, work: impl FnOnce(&mut Q) -> Result<T, String>) -> Result<T, String> {
        work(self.0.borrow_mut().as_mut().ok_or("the session has given its answer and takes no more rows")?)
    }

    fn end(&self) -> Result<Q, String> {
        self.0.borrow_mut().take().ok_or_else(|| "the session has given its answer already".to_owned())
    }
}

impl<Q: Query> AnySession for Session<Q> {
    fn input(&self, rows: u32, columns: &[u32]) -> Result<(), String> {
        let table = Table::<Q::Input>::read(rows, columns)?;
        self.with(|query| query.input(table.rows()))
    }

    fn partial(&self) -> Result<Numbers, String> {
        Ok(self.end()?.partial()?.write())
    }

    fn merge(&self, rows: u32, columns: &[u32]) -> Result<(), String> {
        let table = Table::<Q::Partial>::read(rows, columns)?;
        self.with(|query| query.merge(table.rows()))
    }

    fn finish(&self) -> Result<Numbers, String> {
        Ok(self.end()?.finish()?.write())
    }
}

/// A session with these parameters.
pub(crate) fn open<Q: Query>(parameters: &[Value]) -> Result<Box<dyn AnySession>, String> {
    let query = Q::open(Q::Parameters::from_values(parameters)?)?;
    Ok(Box::new(Session(RefCell::new(Some(query)))))
}

/// The exports of a plugin of the world `query-plugin`.
#[doc(hidden)]
pub struct Exports<Q>(PhantomData<Q>);

impl<Q: Query> contract::Guest for Exports<Q> {
    type Session = ExportedSession<Q>;

    fn describe() -> QueryDescriptor {
        crate::panic::start();
        describe::<Q>()
    }
}

/// A session as the contract knows it.
#[doc(hidden)]
pub struct ExportedSession<Q> {
    session: Box<dyn AnySession>,
    query: PhantomData<Q>,
}

fn table((rows, columns): Numbers) -> contract::Table {
    contract::Table { rows, columns }
}

impl<Q: Query> contract::GuestSession for ExportedSession<Q> {
    fn open(parameters: Vec<Value>) -> Result<contract::Session, String> {
        crate::panic::start();
        Ok(contract::Session::new(Self { session: open::<Q>(&parameters)?, query: PhantomData }))
    }

    fn input(&self, rows: contract::Table) -> Result<(), String> {
        self.session.input(rows.rows, &rows.columns)
    }

    fn partial(&self) -> Result<contract::Table, String> {
        self.session.partial().map(table)
    }

    fn merge(&self, rows: contract::Table) -> Result<(), String> {
        self.session.merge(rows.rows, &rows.columns)
    }

    fn finish(&self) -> Result<contract::Table, String> {
        self.session.finish().map(table)
    }
}
