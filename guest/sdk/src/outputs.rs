//! What mappers make: categories and measures.

use std::marker::PhantomData;

use crate::mapper::{Bounds, Output, OutputKind};
use crate::{Builder, Contents, Dictionary, Runs, Validity, Values, host};

/// What a mapper makes of an entity: a struct with fields of a [`Category`] or, marked
/// `#[measure(min = …, max = …)]`, of `f64`; or an `Option` of either. Derive it.
///
/// A measure beyond its bounds is moved to the nearer one by the host, and NaN becomes null. Choose bounds as narrow as
/// is useful, because they limit how much one entity can move a sum.
///
/// ```
/// use domicile_sdk::{Category, Outputs};
///
/// #[derive(Category)]
/// enum Size {
///     Small,
///     Large,
/// }
///
/// #[derive(Outputs)]
/// struct Customer {
///     size: Option<Size>,
///     #[measure(min = 0.0, max = 100.0)]
///     spent: f64,
/// }
///
/// let names: Vec<String> = Customer::declare().into_iter().map(|output| output.name).collect();
/// assert_eq!(names, ["size", "spent"]);
/// ```
pub trait Outputs: Sized {
    #[doc(hidden)]
    type Builders: Default;
    /// The outputs' names, texts and bounds.
    fn declare() -> Vec<Output>;
    #[doc(hidden)]
    fn put(self, builders: &mut Self::Builders);
    #[doc(hidden)]
    fn write(builders: Self::Builders) -> Vec<u32>;
}

/// One text of a closed list: an enum without fields. Derive it; `NeedsAttention` is written `needs_attention`, unless
/// `#[category("…")]` on the variant says otherwise.
///
/// ```
/// use domicile_sdk::Category;
///
/// #[derive(Category)]
/// enum Priority {
///     NotSpecified,
///     #[category("1-URGENT")]
///     Urgent,
/// }
///
/// assert_eq!(Priority::TEXTS, ["not_specified", "1-URGENT"]);
/// assert_eq!(Priority::Urgent.position(), 1);
/// ```
pub trait Category {
    /// The texts, in the order of the variants.
    const TEXTS: &'static [&'static str];
    /// Which of them this is.
    fn position(&self) -> usize;
}

/// A [`Category`], or an `Option` of one: what a field of [`Outputs`] may be.
pub trait CategoryField {
    /// The category.
    type Category: Category;
    /// Which text of the category this is, if any.
    fn chosen(self) -> Option<usize>;
}

impl<C: Category> CategoryField for Option<C> {
    type Category = C;

    fn chosen(self) -> Option<usize> {
        self.map(|category| category.position())
    }
}

/// `f64`, or an `Option` of it: what a field of [`Outputs`] marked `#[measure]` may be.
pub trait MeasureField {
    /// The number, if any.
    fn number(self) -> Option<f64>;
}

impl MeasureField for f64 {
    fn number(self) -> Option<f64> {
        Some(self)
    }
}

impl MeasureField for Option<f64> {
    fn number(self) -> Option<f64> {
        self
    }
}

/// The categories of several entities. They are written as positions, so that no text is copied more than once.
#[doc(hidden)]
pub struct Categories<F> {
    positions: Vec<u32>,
    validity: Validity,
    field: PhantomData<F>,
}

impl<F> Default for Categories<F> {
    fn default() -> Self {
        Self { positions: Vec::new(), validity: Validity::full(0), field: PhantomData }
    }
}

#[doc(hidden)]
impl<F: CategoryField> Categories<F> {
    pub fn declare(name: &str) -> Output {
        let texts = F::Category::TEXTS.iter().map(|text| (*text).to_owned()).collect();
        Output { name: name.to_owned(), kind: OutputKind::Category(texts) }
    }

    pub fn put(&mut self, field: F) {
        let position = field.chosen();
        self.positions.push(position.and_then(|position| u32::try_from(position).ok()).unwrap_or(0));
        self.validity.push(position.is_some());
    }

    pub fn write(self) -> u32 {
        let mut texts = Runs { offsets: vec![0], bytes: Vec::new() };
        for text in F::Category::TEXTS {
            texts.bytes.extend_from_slice(text.as_bytes());
            texts.offsets.push(i32::try_from(texts.bytes.len()).unwrap_or(i32::MAX));
        }
        let rows = self.positions.len();
        let validity = Validity::from_bits(self.validity.into_bits(), rows).map(Validity::into_bits);
        let values = Values::Dictionary(Dictionary { indices: self.positions, texts });
        host::write(Contents { values, validity })
    }
}

/// The measures of several entities.
#[doc(hidden)]
pub struct Measures<F> {
    numbers: Builder<f64>,
    field: PhantomData<F>,
}

impl<F> Default for Measures<F> {
    fn default() -> Self {
        Self { numbers: Builder::default(), field: PhantomData }
    }
}

#[doc(hidden)]
impl<F: MeasureField> Measures<F> {
    pub fn declare(name: &str, min: f64, max: f64) -> Output {
        Output { name: name.to_owned(), kind: OutputKind::Measure(Bounds { min, max }) }
    }

    pub fn put(&mut self, field: F) {
        self.numbers.push(field.number());
    }

    pub fn write(self) -> u32 {
        self.numbers.finish().write()
    }
}
