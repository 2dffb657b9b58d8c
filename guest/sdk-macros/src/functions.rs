//! The attribute `functions`.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::spanned::Spanned;
use syn::{Ident, Item, ItemFn, ItemMod, ReturnType, Signature, Type, Visibility, parse_quote};

use crate::types::{argument, argument_name, forever, no_generics, sql_name, whole_column};
use crate::{aggregate, world};

pub(crate) fn expand(mut module: ItemMod) -> syn::Result<TokenStream> {
    let Some((_, items)) = &mut module.content else {
        return Err(syn::Error::new(module.span(), "put `#[functions]` on a module with its contents: `mod … { … }`"));
    };
    let mut functions = Vec::new();
    let mut implementations = Vec::new();
    for item in items.iter_mut() {
        match item {
            Item::Fn(function) if matches!(function.vis, Visibility::Public(_)) => functions.push(scalar(function)?),
            Item::Impl(state) => {
                if let Some(aggregate) = aggregate::expand(state)? {
                    functions.push(aggregate.function);
                    implementations.push(aggregate.implementation);
                }
            }
            _ => {}
        }
    }
    if functions.is_empty() {
        let message = "there is no function here: write a `pub fn`, or mark an `impl` as `#[aggregate]`";
        return Err(syn::Error::new(module.ident.span(), message));
    }
    items.push(parse_quote! {
        #[doc(hidden)]
        pub struct DomicileFunctions;
    });
    items.push(Item::Verbatim(quote! {
        impl ::domicile_sdk::functions::Functions for DomicileFunctions {
            const FUNCTIONS: &'static [::domicile_sdk::functions::Function] = &[#(#functions),*];
        }
        #(#implementations)*
    }));
    let name = &module.ident;
    let exports = world::exports("functions", &parse_quote!(#name::DomicileFunctions));
    Ok(quote!(#module #exports))
}

/// The type that a function returns.
pub(crate) fn returned(signature: &Signature) -> syn::Result<&Type> {
    match &signature.output {
        ReturnType::Type(_, kind) => Ok(kind),
        ReturnType::Default => {
            Err(syn::Error::new(signature.ident.span(), "a function of SQL has to return something"))
        }
    }
}

fn scalar(function: &ItemFn) -> syn::Result<TokenStream> {
    let signature = &function.sig;
    no_generics(&signature.generics, true, "a function of SQL")?;
    if let Some(asyncness) = &signature.asyncness {
        return Err(syn::Error::new(asyncness.span(), "a function of SQL cannot wait"));
    }
    if let Some(unsafety) = &signature.unsafety {
        return Err(syn::Error::new(unsafety.span(), "a function of SQL has to be safe for any argument"));
    }
    let name = sql_name(&signature.ident)?;
    let arguments = signature.inputs.iter().map(argument).collect::<syn::Result<Vec<_>>>()?;
    let columns: Vec<_> = arguments.iter().filter_map(|(_, kind)| whole_column(kind)).map(forever).collect();
    let answer = forever(returned(signature)?);
    let names = arguments.iter().map(|(name, _)| argument_name(name)).collect::<syn::Result<Vec<_>>>()?;
    if columns.is_empty() {
        let kinds: Vec<Type> = arguments.iter().map(|(_, kind)| forever(kind)).collect();
        let body = by_row(&signature.ident, &kinds);
        Ok(quote!(::domicile_sdk::functions::Function {
            name: #name,
            arguments: &[#((#names, <#kinds as ::domicile_sdk::Cell>::KIND)),*],
            returns: <#answer as ::domicile_sdk::Answer>::KIND,
            body: ::domicile_sdk::functions::Body::Scalar(#body),
        }))
    } else if columns.len() == arguments.len() {
        let body = by_batch(&signature.ident, &columns);
        Ok(quote!(::domicile_sdk::functions::Function {
            name: #name,
            arguments: &[#((#names, <#columns as ::domicile_sdk::ColumnArgument>::KIND)),*],
            returns: <#answer as ::domicile_sdk::ColumnAnswer>::KIND,
            body: ::domicile_sdk::functions::Body::Scalar(#body),
        }))
    } else {
        let message = "some arguments are whole columns (`&…`) and some are not: take all one way";
        Err(syn::Error::new(signature.inputs.span(), message))
    }
}

/// Names for `count` local variables.
pub(crate) fn locals(prefix: &str, count: usize) -> Vec<Ident> {
    (0..count).map(|index| format_ident!("__{prefix}{index}")).collect()
}

fn by_row(function: &Ident, kinds: &[Type]) -> TokenStream {
    let columns = locals("column", kinds.len());
    let views = locals("view", kinds.len());
    let index = 0..kinds.len();
    quote!(|__rows, __numbers| {
        #(let #columns = ::domicile_sdk::functions::Argument::<#kinds>::read(__numbers[#index], __rows)?;)*
        #(let #views = #columns.view(__rows);)*
        ::domicile_sdk::functions::by_row(__rows, &[#(#columns.missing()),*], |__row| {
            #function(#(<#kinds as ::domicile_sdk::Cell>::get(#views, __row)),*)
        })
    })
}

fn by_batch(function: &Ident, kinds: &[Type]) -> TokenStream {
    let columns = locals("column", kinds.len());
    let index = 0..kinds.len();
    quote!(|__rows, __numbers| {
        #(let #columns = <#kinds as ::domicile_sdk::ColumnArgument>::from_number(__numbers[#index])?;)*
        ::domicile_sdk::functions::by_batch(__rows, #function(#(&#columns),*))
    })
}
