//! The derive `Parameters`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{DeriveInput, Expr, Field, Ident};

use crate::types::{named_fields, no_generics, sql_name};

fn default(name: &Ident, field: &Field) -> syn::Result<Expr> {
    let mut default = None;
    for attribute in field.attrs.iter().filter(|attribute| attribute.path().is_ident("parameter")) {
        attribute.parse_nested_meta(|meta| match meta.path.is_ident("default") {
            true => {
                default = Some(meta.value()?.parse()?);
                Ok(())
            }
            false => Err(meta.error("only `default = …` is known here")),
        })?;
    }
    let message = "a parameter needs a default: `#[parameter(default = …)]`";
    default.ok_or_else(|| syn::Error::new(name.span(), message))
}

pub(crate) fn expand(item: &DeriveInput) -> syn::Result<TokenStream> {
    no_generics(&item.generics, false, "parameters")?;
    let fields = named_fields(item, "a set of parameters")?;
    let name = &item.ident;
    let names: Vec<_> = fields.iter().map(|(name, _)| *name).collect();
    let kinds: Vec<_> = fields.iter().map(|(_, field)| &field.ty).collect();
    let texts = names.iter().map(|name| sql_name(name)).collect::<syn::Result<Vec<_>>>()?;
    let defaults = fields.iter().map(|(name, field)| default(name, field)).collect::<syn::Result<Vec<_>>>()?;
    let (index, count) = (0..names.len(), names.len());
    Ok(quote! {
        impl ::std::default::Default for #name {
            fn default() -> Self {
                Self { #(#names: <#kinds as ::std::convert::From<_>>::from(#defaults),)* }
            }
        }

        impl ::domicile_sdk::Parameters for #name {
            fn declare() -> ::std::vec::Vec<::domicile_sdk::Parameter> {
                let defaults = Self::default();
                ::std::vec![#(::domicile_sdk::parameters::parameter(#texts, defaults.#names)),*]
            }

            fn from_values(values: &[::domicile_sdk::Value]) -> ::std::result::Result<Self, ::std::string::String> {
                ::domicile_sdk::parameters::expect_values(values, #count)?;
                ::std::result::Result::Ok(Self {
                    #(#names: ::domicile_sdk::row::value_field(values, #index, #texts)?,)*
                })
            }
        }
    })
}
