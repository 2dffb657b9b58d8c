//! The derives `Outputs` and `Category`.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{Attribute, Data, DeriveInput, Expr, Field, Fields, Ident, LitStr, Type, Variant};

use crate::types::{named_fields, no_generics, snake_case, sql_name};

struct Output<'a> {
    name: &'a Ident,
    builder: TokenStream,
    declare: TokenStream,
}

fn bounds(attribute: &Attribute) -> syn::Result<(Expr, Expr)> {
    let (mut min, mut max) = (None, None);
    attribute.parse_nested_meta(|meta| {
        let bound = match meta.path.get_ident() {
            Some(name) if name == "min" => &mut min,
            Some(name) if name == "max" => &mut max,
            _ => return Err(meta.error("only `min = …` and `max = …` are known here")),
        };
        *bound = Some(meta.value()?.parse()?);
        Ok(())
    })?;
    let message = "a measure needs both bounds: `#[measure(min = …, max = …)]`";
    min.zip(max).ok_or_else(|| syn::Error::new_spanned(attribute, message))
}

fn output<'a>(name: &'a Ident, field: &Field) -> syn::Result<Output<'a>> {
    let (kind, text): (&Type, String) = (&field.ty, sql_name(name)?);
    match field.attrs.iter().find(|attribute| attribute.path().is_ident("measure")) {
        Some(measure) => {
            let (min, max) = bounds(measure)?;
            let builder = quote!(::domicile_sdk::outputs::Measures<#kind>);
            let declare = quote!(::domicile_sdk::outputs::Measures::<#kind>::declare(#text, #min, #max));
            Ok(Output { name, builder, declare })
        }
        None => {
            let builder = quote!(::domicile_sdk::outputs::Categories<#kind>);
            let declare = quote!(::domicile_sdk::outputs::Categories::<#kind>::declare(#text));
            Ok(Output { name, builder, declare })
        }
    }
}

pub(crate) fn expand(item: &DeriveInput) -> syn::Result<TokenStream> {
    no_generics(&item.generics, false, "outputs")?;
    let fields = named_fields(item, "a set of outputs")?;
    let outputs = fields.into_iter().map(|(name, field)| output(name, field)).collect::<syn::Result<Vec<_>>>()?;
    let (name, visible) = (&item.ident, &item.vis);
    let builders = format_ident!("{name}Builders");
    let names: Vec<_> = outputs.iter().map(|output| output.name).collect();
    let builder = outputs.iter().map(|output| &output.builder);
    let declare = outputs.iter().map(|output| &output.declare);
    Ok(quote! {
        #[doc(hidden)]
        #[derive(Default)]
        #visible struct #builders {
            #(#names: #builder,)*
        }

        impl ::domicile_sdk::Outputs for #name {
            type Builders = #builders;

            fn declare() -> ::std::vec::Vec<::domicile_sdk::mapper::Output> {
                ::std::vec![#(#declare),*]
            }

            fn put(self, builders: &mut #builders) {
                #(builders.#names.put(self.#names);)*
            }

            fn write(builders: #builders) -> ::std::vec::Vec<u32> {
                ::std::vec![#(builders.#names.write()),*]
            }
        }
    })
}

fn text(variant: &Variant) -> syn::Result<String> {
    if !matches!(variant.fields, Fields::Unit) {
        return Err(syn::Error::new_spanned(variant, "a variant of a category has no fields"));
    }
    match variant.attrs.iter().find(|attribute| attribute.path().is_ident("category")) {
        Some(attribute) => Ok(attribute.parse_args::<LitStr>()?.value()),
        None => Ok(snake_case(&variant.ident.to_string())),
    }
}

pub(crate) fn expand_category(item: &DeriveInput) -> syn::Result<TokenStream> {
    no_generics(&item.generics, false, "a category")?;
    let Data::Enum(data) = &item.data else {
        return Err(syn::Error::new(item.ident.span(), "a category is an enum"));
    };
    let name = &item.ident;
    let texts = data.variants.iter().map(text).collect::<syn::Result<Vec<_>>>()?;
    let variants = data.variants.iter().map(|variant| &variant.ident);
    let index = 0..texts.len();
    Ok(quote! {
        impl ::domicile_sdk::Category for #name {
            const TEXTS: &'static [&'static str] = &[#(#texts),*];

            fn position(&self) -> usize {
                match self {
                    #(Self::#variants => #index,)*
                }
            }
        }

        impl ::domicile_sdk::CategoryField for #name {
            type Category = Self;

            fn chosen(self) -> ::std::option::Option<usize> {
                ::std::option::Option::Some(::domicile_sdk::Category::position(&self))
            }
        }
    })
}
