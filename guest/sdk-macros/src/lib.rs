//! The attributes and derives of `domicile-sdk`, which documents and re-exports them.

mod aggregate;
mod functions;
mod outputs;
mod parameters;
mod row;
mod types;
mod world;

use proc_macro::TokenStream;
use syn::{DeriveInput, ItemImpl, ItemMod, parse_macro_input};

fn tokens(expanded: syn::Result<proc_macro2::TokenStream>) -> TokenStream {
    expanded.unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Makes the functions of a module functions of SQL, of the same names.
///
/// Put it on an inline module at the root of the crate. Every `pub fn` in the module is a scalar function, and every
/// `impl` marked `#[aggregate]` an aggregate function; everything else is left alone.
///
/// ```
/// #[domicile_sdk::functions]
/// pub mod functions {
///     use domicile_sdk::Date;
///
///     pub fn days_between(earlier: Date, later: Option<Date>) -> Option<i64> {
///         later.map(|later| later.days_since(earlier))
///     }
/// }
/// # fn main() {}
/// ```
///
/// # Aggregates
///
/// The state of a group is an ordinary struct. Its `Default` is the state of no rows. `update` takes a row in; its
/// arguments are those of the function. `merge` takes in what another state took in, `finish` is the answer. A row
/// where an argument that is no `Option` is null is left out. `to_bytes` and `from_bytes` carry the state elsewhere;
/// with the feature `serde` of `domicile-sdk` they may be missing, if the struct can be serialized.
///
/// The function is called like the struct, in lower case: `weighted_mean`. Another name goes in parentheses:
/// `#[aggregate(wmean)]`.
///
/// ```
/// #[domicile_sdk::functions]
/// pub mod functions {
///     #[derive(Default)]
///     pub struct WeightedMean {
///         sum: f64,
///         weight: f64,
///     }
///
///     #[aggregate]
///     impl WeightedMean {
///         fn update(&mut self, value: f64, weight: f64) {
///             self.sum += value * weight;
///             self.weight += weight;
///         }
///
///         fn merge(&mut self, other: Self) {
///             self.sum += other.sum;
///             self.weight += other.weight;
///         }
///
///         fn finish(&self) -> Option<f64> {
///             (self.weight != 0.0).then(|| self.sum / self.weight)
///         }
///
///         fn to_bytes(&self) -> Vec<u8> {
///             [self.sum.to_le_bytes(), self.weight.to_le_bytes()].concat()
///         }
///
///         fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
///             let number = |at: usize| {
///                 let bytes = bytes.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
///                 bytes.map(f64::from_le_bytes).ok_or("a state has 16 bytes")
///             };
///             Ok(Self { sum: number(0)?, weight: number(8)? })
///         }
///     }
/// }
/// # fn main() {}
/// ```
#[proc_macro_attribute]
pub fn functions(attribute: TokenStream, item: TokenStream) -> TokenStream {
    let module = parse_macro_input!(item as ItemMod);
    tokens(world::no_arguments(attribute.into(), "functions").and_then(|()| functions::expand(module)))
}

/// Makes an implementation of the trait `Mapper` the plugin of the crate. Put it at the root of the crate.
///
/// ```
/// use domicile_sdk::{Mapper, Outputs, Row, Rows};
///
/// #[derive(domicile_sdk::Parameters)]
/// struct Spending {}
///
/// #[derive(Row)]
/// struct Order {
///     o_totalprice: Option<f64>,
/// }
///
/// #[derive(Outputs)]
/// struct Customer {
///     #[measure(min = 0.0, max = 1e7)]
///     spent: f64,
/// }
///
/// #[domicile_sdk::mapper]
/// impl Mapper for Spending {
///     type Input = Order;
///     type Output = Customer;
///     const DATASET: &str = "orders";
///
///     fn map(&self, orders: Rows<'_, Order>) -> Result<Customer, String> {
///         Ok(Customer { spent: orders.iter().filter_map(|order| order.o_totalprice).sum() })
///     }
/// }
/// # fn main() {}
/// ```
#[proc_macro_attribute]
pub fn mapper(attribute: TokenStream, item: TokenStream) -> TokenStream {
    let item = parse_macro_input!(item as ItemImpl);
    tokens(world::expand(attribute.into(), &item, "mapper"))
}

/// Makes an implementation of the trait `Query` the plugin of the crate. Put it at the root of the crate.
///
/// ```
/// use domicile_sdk::{Query, Row, Rows, Table};
///
/// #[derive(Row)]
/// struct Count {
///     orders: i64,
/// }
///
/// struct Orders(i64);
///
/// #[domicile_sdk::query]
/// impl Query for Orders {
///     type Parameters = ();
///     type Input = Count;
///     type Partial = Count;
///     type Output = Count;
///     const INPUT: &str = "SELECT count(*) AS orders FROM orders";
///
///     fn open((): ()) -> Result<Self, String> {
///         Ok(Self(0))
///     }
///
///     fn input(&mut self, rows: Rows<'_, Count>) -> Result<(), String> {
///         self.merge(rows)
///     }
///
///     fn partial(self) -> Result<Table<Count>, String> {
///         self.finish()
///     }
///
///     fn merge(&mut self, rows: Rows<'_, Count>) -> Result<(), String> {
///         self.0 += rows.iter().map(|count| count.orders).sum::<i64>();
///         Ok(())
///     }
///
///     fn finish(self) -> Result<Table<Count>, String> {
///         Ok([Count { orders: self.0 }].into_iter().collect())
///     }
/// }
/// # fn main() {}
/// ```
#[proc_macro_attribute]
pub fn query(attribute: TokenStream, item: TokenStream) -> TokenStream {
    let item = parse_macro_input!(item as ItemImpl);
    tokens(world::expand(attribute.into(), &item, "query"))
}

/// Makes an implementation of the trait `Merge` the plugin of the crate. Put it at the root of the crate.
///
/// ```
/// use domicile_sdk::{Merge, Row, Version};
///
/// #[derive(Row, Clone)]
/// struct Note {
///     note: Option<String>,
/// }
///
/// struct LastWriter;
///
/// #[domicile_sdk::merge]
/// impl Merge for LastWriter {
///     type Row = Note;
///
///     fn resolve(versions: &[Version<Note>]) -> Result<Note, String> {
///         Ok(versions.last().ok_or("there is no version")?.row.clone())
///     }
/// }
/// # fn main() {}
/// ```
#[proc_macro_attribute]
pub fn merge(attribute: TokenStream, item: TokenStream) -> TokenStream {
    let item = parse_macro_input!(item as ItemImpl);
    tokens(world::expand(attribute.into(), &item, "merge"))
}

/// Makes a struct a row of a table; see the trait of that name.
#[proc_macro_derive(Row)]
pub fn derive_row(item: TokenStream) -> TokenStream {
    tokens(row::expand(&parse_macro_input!(item as DeriveInput)))
}

/// Makes a struct the parameters of a plugin; see the trait of that name.
#[proc_macro_derive(Parameters, attributes(parameter))]
pub fn derive_parameters(item: TokenStream) -> TokenStream {
    tokens(parameters::expand(&parse_macro_input!(item as DeriveInput)))
}

/// Makes a struct the outputs of a mapper; see the trait of that name.
#[proc_macro_derive(Outputs, attributes(measure))]
pub fn derive_outputs(item: TokenStream) -> TokenStream {
    tokens(outputs::expand(&parse_macro_input!(item as DeriveInput)))
}

/// Makes an enum a closed list of texts; see the trait of that name.
#[proc_macro_derive(Category, attributes(category))]
pub fn derive_category(item: TokenStream) -> TokenStream {
    tokens(outputs::expand_category(&parse_macro_input!(item as DeriveInput)))
}
