//! How an ordinary struct becomes a mapper.

use std::cell::RefCell;
use std::marker::PhantomData;

use crate::bindings::mapper::exports::domicile::plugin::mapper as contract;
use crate::row::fields;
use crate::{Outputs, Parameters, Row, Rows, Table, Value};

pub use contract::{Bounds, Endpoint, MapperDescriptor, Output, OutputKind};

/// From the rows of one entity to a few declared, bounded values. The struct's fields are the parameters; put
/// [`#[mapper]`](macro@crate::mapper) on the implementation.
///
/// ```
/// use domicile_sdk::{Category, Mapper, Outputs, Parameters, Row, Rows, mapper};
///
/// #[derive(Parameters)]
/// pub struct BigSpender {
///     #[parameter(default = 100_000.0)]
///     least: f64,
/// }
///
/// #[derive(Row)]
/// pub struct Order {
///     o_totalprice: f64,
/// }
///
/// #[derive(Category, PartialEq, Debug)]
/// pub enum Spender {
///     Big,
///     Small,
/// }
///
/// #[derive(Outputs)]
/// pub struct Customer {
///     spender: Spender,
///     #[measure(min = 0.0, max = 10_000_000.0)]
///     spent: f64,
/// }
///
/// #[mapper]
/// impl Mapper for BigSpender {
///     type Input = Order;
///     type Output = Customer;
///     const DATASET: &str = "orders";
///     const GROUP_BY: &[&str] = &["spender"];
///     const SUM: &[&str] = &["spent"];
///
///     fn map(&self, orders: Rows<'_, Order>) -> Result<Customer, String> {
///         let spent = orders.iter().map(|order| order.o_totalprice).sum();
///         let spender = if spent >= self.least { Spender::Big } else { Spender::Small };
///         Ok(Customer { spender, spent })
///     }
/// }
///
/// fn main() {
///     let orders = [Order { o_totalprice: 70_000.0 }, Order { o_totalprice: 30_000.0 }].into_iter().collect();
///     let customer = domicile_sdk::mapper::map_one(&BigSpender::default(), &orders).unwrap();
///     assert_eq!((customer.spender, customer.spent), (Spender::Big, 100_000.0));
/// }
/// ```
pub trait Mapper: Parameters + 'static {
    /// The columns that are read.
    type Input: Row;
    /// The values that are made.
    type Output: Outputs;
    /// The dataset whose rows are mapped.
    const DATASET: &str;
    /// The categories by which the plugin's own endpoint groups.
    const GROUP_BY: &[&str] = &[];
    /// The measures that the plugin's own endpoint sums.
    const SUM: &[&str] = &[];

    /// Refuses parameters that make no sense. Called once, before the first rows.
    ///
    /// # Errors
    /// The text tells the caller what to pass.
    fn check(&self) -> Result<(), String> {
        Ok(())
    }

    /// Maps one entity, which has at least one row. The rows are in no particular order.
    ///
    /// # Errors
    /// Where the rows cannot be mapped. This ends the query, so prefer an output that may be none.
    fn map(&self, rows: Rows<'_, Self::Input>) -> Result<Self::Output, String>;
}

/// Maps one entity outside of a plugin, for tests.
///
/// # Errors
/// The mapper's own.
pub fn map_one<M: Mapper>(mapper: &M, rows: &Table<M::Input>) -> Result<M::Output, String> {
    mapper.check()?;
    mapper.map(rows.rows())
}

/// What a mapper says of itself.
pub(crate) fn describe<M: Mapper>() -> MapperDescriptor {
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    MapperDescriptor {
        dataset: M::DATASET.to_owned(),
        inputs: fields(M::Input::FIELDS),
        parameters: M::declare(),
        outputs: M::Output::declare(),
        endpoint: Endpoint { group_by: texts(M::GROUP_BY), sum: texts(M::SUM) },
    }
}

/// A mapper with its parameters, whatever its type.
pub(crate) trait Configured {
    /// As the contract's `map`.
    fn map(&self, ends: &[u32], inputs: &[u32]) -> Result<Vec<u32>, String>;
}

struct With<M>(M);

impl<M: Mapper> Configured for With<M> {
    fn map(&self, ends: &[u32], inputs: &[u32]) -> Result<Vec<u32>, String> {
        let rows = ends.last().copied().unwrap_or(0);
        let table = Table::<M::Input>::read(rows, inputs)?;
        let mut outputs = <M::Output as Outputs>::Builders::default();
        let mut start = 0;
        for end in ends {
            let end = *end as usize;
            self.0.map(Rows::of(table.rows().columns(), start..end))?.put(&mut outputs);
            start = end;
        }
        Ok(M::Output::write(outputs))
    }
}

/// A mapper with these parameters.
pub(crate) fn configure<M: Mapper>(parameters: &[Value]) -> Result<Box<dyn Configured>, String> {
    let mapper = M::from_values(parameters)?;
    mapper.check()?;
    Ok(Box::new(With(mapper)))
}

thread_local! {
    /// The mapper of this instance. A component has one thread and one world.
    static CONFIGURED: RefCell<Option<Box<dyn Configured>>> = const { RefCell::new(None) };
}

/// The exports of a plugin of the world `mapper-plugin`.
#[doc(hidden)]
pub struct Exports<M>(PhantomData<M>);

impl<M: Mapper> contract::Guest for Exports<M> {
    fn describe() -> MapperDescriptor {
        crate::panic::start();
        describe::<M>()
    }

    fn configure(parameters: Vec<Value>) -> Result<(), String> {
        crate::panic::start();
        let mapper = configure::<M>(&parameters)?;
        CONFIGURED.set(Some(mapper));
        Ok(())
    }

    fn map(ends: Vec<u32>, inputs: Vec<u32>) -> Result<Vec<u32>, String> {
        CONFIGURED.with_borrow(|mapper| match mapper {
            Some(mapper) => mapper.map(&ends, &inputs),
            None => Err("`map` was called before `configure`".to_owned()),
        })
    }
}
