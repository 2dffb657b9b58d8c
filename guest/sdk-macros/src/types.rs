//! What the macros ask of types and names.

use proc_macro2::Span;
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::visit_mut::{self, VisitMut};
use syn::{Data, DeriveInput, Field, Fields, FnArg, GenericParam, Generics, Ident, Lifetime, Pat, Type, TypeReference};

struct Replace(Lifetime);

impl VisitMut for Replace {
    fn visit_lifetime_mut(&mut self, lifetime: &mut Lifetime) {
        *lifetime = self.0.clone();
    }

    fn visit_type_reference_mut(&mut self, reference: &mut TypeReference) {
        reference.lifetime = Some(self.0.clone());
        visit_mut::visit_type_mut(self, &mut reference.elem);
    }
}

/// The type with every lifetime `'static`, those left out included, so that it can stand in a constant.
pub(crate) fn forever(kind: &Type) -> Type {
    let mut kind = kind.clone();
    Replace(Lifetime::new("'static", Span::call_site())).visit_type_mut(&mut kind);
    kind
}

/// The type of a whole column behind a reference: a reference to anything but `str` and slices.
pub(crate) fn whole_column(kind: &Type) -> Option<&Type> {
    let Type::Reference(reference) = kind else { return None };
    match &*reference.elem {
        Type::Path(path) if path.path.is_ident("str") => None,
        Type::Slice(_) => None,
        column => Some(column),
    }
}

/// An argument's name and type.
pub(crate) fn argument(argument: &FnArg) -> syn::Result<(&Ident, &Type)> {
    match argument {
        FnArg::Typed(typed) => match &*typed.pat {
            Pat::Ident(name) => Ok((&name.ident, &typed.ty)),
            pattern => Err(syn::Error::new(pattern.span(), "SQL needs a name here: `name: type`")),
        },
        FnArg::Receiver(receiver) => Err(syn::Error::new(receiver.span(), "a function of SQL has no `self`")),
    }
}

/// An argument's name as SQL sees it: one that the code does not use may begin with `_`.
pub(crate) fn argument_name(name: &Ident) -> syn::Result<String> {
    checked(name.unraw().to_string().trim_start_matches('_'), name.span())
}

/// A name as SQL sees it.
pub(crate) fn sql_name(name: &Ident) -> syn::Result<String> {
    checked(&name.unraw().to_string(), name.span())
}

/// A name, if SQL can see it.
pub(crate) fn checked(name: &str, place: Span) -> syn::Result<String> {
    let plain = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_';
    match name.starts_with(|first: char| first.is_ascii_lowercase()) && name.chars().all(plain) {
        true => Ok(name.to_owned()),
        false => Err(syn::Error::new(
            place,
            "names that SQL sees have lower-case letters, digits and `_`, and start with a letter",
        )),
    }
}

/// `SomeName` as `some_name`.
pub(crate) fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for (index, letter) in name.chars().enumerate() {
        if letter.is_uppercase() && index > 0 {
            snake.push('_');
        }
        snake.extend(letter.to_lowercase());
    }
    snake
}

/// The fields of a struct with named ones.
pub(crate) fn named_fields<'a>(item: &'a DeriveInput, what: &str) -> syn::Result<Vec<(&'a Ident, &'a Field)>> {
    match &item.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(fields) => {
                Ok(fields.named.iter().filter_map(|field| Some((field.ident.as_ref()?, field))).collect())
            }
            Fields::Unit => Ok(Vec::new()),
            Fields::Unnamed(fields) => Err(syn::Error::new(fields.span(), format!("the fields of {what} need names"))),
        },
        _ => Err(syn::Error::new(item.ident.span(), format!("{what} has to be a struct"))),
    }
}

/// Refuses what generic code would be needed for.
pub(crate) fn no_generics(generics: &Generics, lifetimes: bool, what: &str) -> syn::Result<()> {
    for parameter in &generics.params {
        if !(lifetimes && matches!(parameter, GenericParam::Lifetime(_))) {
            let allowed = if lifetimes { "no generic parameters but lifetimes" } else { "no generic parameters" };
            return Err(syn::Error::new(parameter.span(), format!("{what} can have {allowed}")));
        }
    }
    Ok(())
}
