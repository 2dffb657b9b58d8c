//! The attribute `aggregate` inside of `functions`.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::spanned::Spanned;
use syn::{Attribute, FnArg, Ident, ImplItem, ImplItemFn, ItemImpl, Meta, Type};

use crate::functions::{locals, returned};
use crate::types::{argument, argument_name, checked, forever, no_generics, snake_case, sql_name, whole_column};

/// An aggregate function.
pub(crate) struct Aggregate {
    /// Its entry in the list of functions.
    pub(crate) function: TokenStream,
    /// The implementation of the trait `Aggregate`.
    pub(crate) implementation: TokenStream,
}

/// The aggregate function that an `impl` is marked as, whose mark is taken away; none where there is no mark.
pub(crate) fn expand(item: &mut ItemImpl) -> syn::Result<Option<Aggregate>> {
    let Some(index) = item.attrs.iter().position(|attribute| attribute.path().is_ident("aggregate")) else {
        return Ok(None);
    };
    let mark = item.attrs.remove(index);
    if let Some((_, path, _)) = &item.trait_ {
        return Err(syn::Error::new(path.span(), "mark an `impl` of the state itself, not of a trait"));
    }
    no_generics(&item.generics, false, "the state of an aggregate")?;
    let state = &*item.self_ty;
    let name = function_name(&mark, state)?;
    let implementation = implementation(item)?;
    let function = quote!(::domicile_sdk::functions::Function {
        name: #name,
        arguments: <#state as ::domicile_sdk::Aggregate>::ARGUMENTS,
        returns: <#state as ::domicile_sdk::Aggregate>::RETURNS,
        body: ::domicile_sdk::functions::Body::Aggregate(|| {
            ::std::boxed::Box::new(::domicile_sdk::aggregate::GroupsOf::<#state>::default())
        }),
    });
    Ok(Some(Aggregate { function, implementation }))
}

fn function_name(mark: &Attribute, state: &Type) -> syn::Result<String> {
    match &mark.meta {
        Meta::List(list) => sql_name(&list.parse_args::<Ident>()?),
        Meta::Path(_) => match state {
            Type::Path(path) if path.path.segments.len() == 1 => {
                let name = &path.path.segments[0].ident;
                checked(&snake_case(&name.to_string()), name.span())
            }
            other => Err(syn::Error::new(other.span(), "name the function: `#[aggregate(name)]`")),
        },
        Meta::NameValue(value) => {
            Err(syn::Error::new(value.span(), "name the function like this: `#[aggregate(name)]`"))
        }
    }
}

fn find<'a>(item: &'a ItemImpl, name: &str) -> Option<&'a ImplItemFn> {
    item.items.iter().find_map(|item| match item {
        ImplItem::Fn(method) if method.sig.ident == name => Some(method),
        _ => None,
    })
}

fn need<'a>(item: &'a ItemImpl, name: &str, shape: &str) -> syn::Result<&'a ImplItemFn> {
    find(item, name).ok_or_else(|| {
        syn::Error::new(item.self_ty.span(), format!("an aggregate needs a method `{name}`, like `{shape}`"))
    })
}

fn implementation(item: &ItemImpl) -> syn::Result<TokenStream> {
    let state = &*item.self_ty;
    let update = update(item)?;
    let merge = need(item, "merge", "fn merge(&mut self, other: Self)")?;
    let other = match merge.sig.inputs.last() {
        Some(FnArg::Typed(other)) if matches!(&*other.ty, Type::Reference(_)) => quote!(&other),
        Some(FnArg::Typed(_)) => quote!(other),
        _ => return Err(syn::Error::new(merge.sig.span(), "`merge` takes the other state: `other: Self`")),
    };
    let finish = need(item, "finish", "fn finish(&self) -> f64")?;
    let answer = forever(returned(&finish.sig)?);
    let bytes = bytes(item)?;
    Ok(quote! {
        impl ::domicile_sdk::Aggregate for #state {
            const RETURNS: ::domicile_sdk::ValueType = <#answer as ::domicile_sdk::Answer>::KIND;
            type Answer = #answer;
            #update

            fn merge(&mut self, other: Self) -> ::std::result::Result<(), ::std::string::String> {
                ::domicile_sdk::Outcome::outcome(<#state>::merge(self, #other))
            }

            fn finish(&self) -> Self::Answer {
                <#state>::finish(self)
            }
            #bytes
        }
    })
}

fn update(item: &ItemImpl) -> syn::Result<TokenStream> {
    let state = &*item.self_ty;
    let update = need(item, "update", "fn update(&mut self, value: f64)")?;
    no_generics(&update.sig.generics, true, "`update`")?;
    let mut inputs = update.sig.inputs.iter();
    if !matches!(inputs.next(), Some(FnArg::Receiver(_))) {
        return Err(syn::Error::new(update.sig.span(), "`update` starts with `&mut self`"));
    }
    let arguments = inputs.map(argument).collect::<syn::Result<Vec<_>>>()?;
    if let Some((_, column)) = arguments.iter().find(|(_, kind)| whole_column(kind).is_some()) {
        return Err(syn::Error::new(column.span(), "`update` takes the values of one row"));
    }
    let names = arguments.iter().map(|(name, _)| argument_name(name)).collect::<syn::Result<Vec<_>>>()?;
    let kinds: Vec<Type> = arguments.iter().map(|(_, kind)| forever(kind)).collect();
    let columns = locals("column", kinds.len());
    let views = locals("view", kinds.len());
    let index = 0..kinds.len();
    Ok(quote! {
        const ARGUMENTS: &'static [(&'static str, ::domicile_sdk::ValueType)] =
            &[#((#names, <#kinds as ::domicile_sdk::Cell>::KIND)),*];

        fn update_rows(
            __rows: usize,
            __numbers: &[u32],
            __states: &mut ::domicile_sdk::aggregate::States<'_, Self>,
        ) -> ::std::result::Result<(), ::std::string::String> {
            #(let #columns = ::domicile_sdk::functions::Argument::<#kinds>::read(__numbers[#index], __rows)?;)*
            #(let #views = #columns.view(__rows);)*
            __states.each(__rows, &[#(#columns.missing()),*], |__state, __row| {
                <#state>::update(__state, #(<#kinds as ::domicile_sdk::Cell>::get(#views, __row)),*)
            })
        }
    })
}

fn bytes(item: &ItemImpl) -> syn::Result<TokenStream> {
    let state = item.self_ty.to_token_stream();
    let (to, from) = match (find(item, "to_bytes"), find(item, "from_bytes")) {
        (Some(_), Some(_)) => (
            quote!(::std::result::Result::Ok(<#state>::to_bytes(self))),
            quote!(<#state>::from_bytes(bytes).map_err(|error| ::std::string::ToString::to_string(&error))),
        ),
        (None, None) => {
            (quote!(::domicile_sdk::state::to_bytes(self)), quote!(::domicile_sdk::state::from_bytes(bytes)))
        }
        (Some(one), None) | (None, Some(one)) => {
            return Err(syn::Error::new(one.sig.ident.span(), "`to_bytes` and `from_bytes` belong together"));
        }
    };
    Ok(quote! {
        fn to_bytes(&self) -> ::std::result::Result<::std::vec::Vec<u8>, ::std::string::String> {
            #to
        }

        fn from_bytes(bytes: &[u8]) -> ::std::result::Result<Self, ::std::string::String> {
            #from
        }
    })
}
