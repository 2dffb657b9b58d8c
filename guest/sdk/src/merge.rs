//! How a rule that resolves conflicts becomes a plugin.

use std::marker::PhantomData;

use crate::bindings::merge::exports::domicile::plugin::merge as contract;
use crate::row::fields;
use crate::{Field, OwnedRow, Value};

/// Resolves conflicts between versions of one row. The same versions give the same answer, everywhere and always. Put
/// [`#[merge]`](macro@crate::merge) on the implementation.
///
/// This world is given nothing: no log, no columns, no kernels. A panic ends the call without a word, so prefer errors.
///
/// ```
/// use domicile_sdk::{Merge, Row, Version, merge};
///
/// #[derive(Row, Clone)]
/// pub struct Stock {
///     quantity: Option<i64>,
/// }
///
/// pub struct Largest;
///
/// #[merge]
/// impl Merge for Largest {
///     type Row = Stock;
///
///     fn resolve(versions: &[Version<Stock>]) -> Result<Stock, String> {
///         Ok(Stock { quantity: versions.iter().filter_map(|version| version.row.quantity).max() })
///     }
/// }
///
/// fn main() {
///     let of = |quantity| Version { written_at: 0, origin: "us-east".to_owned(), row: Stock { quantity } };
///     assert_eq!(Largest::resolve(&[of(Some(1)), of(None)]).unwrap().quantity, Some(1));
/// }
/// ```
pub trait Merge: 'static {
    /// The columns that the plugin resolves.
    type Row: OwnedRow;

    /// The row that holds from now on. There are at least two versions, ordered by when they were written, then by
    /// origin.
    ///
    /// # Errors
    /// Where the versions cannot be resolved.
    fn resolve(versions: &[Version<Self::Row>]) -> Result<Self::Row, String>;
}

/// One version of a row.
#[derive(Debug, Clone, PartialEq)]
pub struct Version<R> {
    /// When it was written, by the writing region's hybrid logical clock; see [`Self::written_at_ms`].
    pub written_at: u64,
    /// The region that wrote it.
    pub origin: String,
    /// What was written.
    pub row: R,
}

impl<R> Version<R> {
    /// When it was written, in milliseconds since 1970-01-01.
    ///
    /// ```
    /// use domicile_sdk::Version;
    ///
    /// let version = Version { written_at: 5 << 16 | 3, origin: "us-east".to_owned(), row: () };
    /// assert_eq!(version.written_at_ms(), 5);
    /// ```
    pub fn written_at_ms(&self) -> u64 {
        self.written_at >> 16
    }
}

/// The columns that a rule resolves.
pub(crate) fn describe<M: Merge>() -> Vec<Field> {
    use crate::Row;
    fields(M::Row::FIELDS)
}

/// The row that holds.
pub(crate) fn resolve<M: Merge>(versions: &[Version<Vec<Value>>]) -> Result<Vec<Value>, String> {
    let typed = versions.iter().map(|version| {
        let row = M::Row::from_values(&version.row)?;
        Ok(Version { written_at: version.written_at, origin: version.origin.clone(), row })
    });
    Ok(M::resolve(&typed.collect::<Result<Vec<_>, String>>()?)?.into_values())
}

/// The exports of a plugin of the world `merge-plugin`.
#[doc(hidden)]
pub struct Exports<M>(PhantomData<M>);

impl<M: Merge> contract::Guest for Exports<M> {
    fn describe() -> Vec<Field> {
        crate::panic::start_silent();
        describe::<M>()
    }

    fn resolve(versions: Vec<contract::Version>) -> Result<Vec<Value>, String> {
        crate::panic::start_silent();
        let version = |version: contract::Version| Version {
            written_at: version.written_at,
            origin: version.origin,
            row: version.values,
        };
        resolve::<M>(&versions.into_iter().map(version).collect::<Vec<_>>())
    }
}
