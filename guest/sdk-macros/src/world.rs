//! What makes a type the plugin of its crate.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::spanned::Spanned;
use syn::{ItemImpl, Type};

pub(crate) fn no_arguments(attribute: TokenStream, name: &str) -> syn::Result<()> {
    match attribute.is_empty() {
        true => Ok(()),
        false => Err(syn::Error::new(attribute.span(), format!("`#[{name}]` takes no arguments"))),
    }
}

pub(crate) fn expand(attribute: TokenStream, item: &ItemImpl, world: &str) -> syn::Result<TokenStream> {
    no_arguments(attribute, world)?;
    if item.trait_.is_none() {
        let message = format!("put `#[{world}]` on the implementation of the trait of that name");
        return Err(syn::Error::new(item.self_ty.span(), message));
    }
    let exports = exports(world, &item.self_ty);
    Ok(quote!(#item #exports))
}

/// The exports of a component, or natively the function that a native runner calls: only one crate of a program may
/// have exports of these names.
pub(crate) fn exports(world: &str, plugin: &Type) -> TokenStream {
    let world = format_ident!("{world}");
    let export = format_ident!("export_{world}");
    quote! {
        #[cfg(target_family = "wasm")]
        const _: () = {
            type DomicilePlugin = ::domicile_sdk::#world::Exports<#plugin>;
            domicile_sdk::bindings::#world::#export!(DomicilePlugin with_types_in domicile_sdk::bindings::#world);
        };

        #[cfg(not(target_family = "wasm"))]
        #[doc(hidden)]
        pub fn __domicile_native() -> ::domicile_sdk::native::Plugin {
            ::domicile_sdk::native::Plugin::#world::<#plugin>()
        }
    }
}
