//! The derive `Row`.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::ext::IdentExt;
use syn::{DeriveInput, Ident, Type};

use crate::types::{forever, named_fields, no_generics};

pub(crate) fn expand(item: &DeriveInput) -> syn::Result<TokenStream> {
    no_generics(&item.generics, true, "a row")?;
    let fields = named_fields(item, "a row")?;
    if fields.is_empty() {
        return Err(syn::Error::new(item.ident.span(), "a row needs a field"));
    }
    let row = Fields {
        item,
        names: fields.iter().map(|(name, _)| *name).collect(),
        texts: fields.iter().map(|(name, _)| name.unraw().to_string()).collect(),
        kinds: fields.iter().map(|(_, field)| forever(&field.ty)).collect(),
    };
    let (structs, implementation, owned) = (row.structs(), row.implementation(), row.owned());
    Ok(quote!(#structs #implementation #owned))
}

struct Fields<'a> {
    item: &'a DeriveInput,
    names: Vec<&'a Ident>,
    texts: Vec<String>,
    kinds: Vec<Type>,
}

impl Fields<'_> {
    fn columns(&self) -> Ident {
        format_ident!("{}Columns", self.item.ident)
    }

    fn builders(&self) -> Ident {
        format_ident!("{}Builders", self.item.ident)
    }

    fn structs(&self) -> TokenStream {
        let Self { names, texts, kinds, .. } = self;
        let (visible, columns, builders) = (&self.item.vis, self.columns(), self.builders());
        let about = format!("The columns of [`{}`].", self.item.ident);
        let about_fields = texts.iter().map(|text| format!("The column `{text}`."));
        quote! {
            #[doc = #about]
            #visible struct #columns {
                #(
                    #[doc = #about_fields]
                    #visible #names: ::domicile_sdk::Column<<#kinds as ::domicile_sdk::Cell>::Element>,
                )*
            }

            #[doc(hidden)]
            #[derive(Default)]
            #visible struct #builders {
                #(#names: ::domicile_sdk::row::FieldBuilder<#kinds>,)*
            }
        }
    }

    fn implementation(&self) -> TokenStream {
        let Self { names, texts, kinds, .. } = self;
        let (name, columns, builders) = (&self.item.ident, self.columns(), self.builders());
        let (generics, types, clause) = self.item.generics.split_for_impl();
        let lifetimes = self.item.generics.params.iter().map(|_| quote!('__at));
        let at = if self.item.generics.params.is_empty() { quote!(#name) } else { quote!(#name<#(#lifetimes),*>) };
        let index = 0..names.len();
        quote! {
            impl #generics ::domicile_sdk::Row for #name #types #clause {
                type Columns = #columns;
                type At<'__at> = #at;
                type Builders = #builders;
                const FIELDS: &'static [(&'static str, ::domicile_sdk::ValueType)] =
                    &[#((#texts, <#kinds as ::domicile_sdk::Cell>::KIND)),*];

                fn read(numbers: &[u32], rows: usize) -> ::std::result::Result<#columns, ::std::string::String> {
                    ::std::result::Result::Ok(#columns {
                        #(#names: ::domicile_sdk::row::read_field::<#kinds>(numbers[#index], rows, #texts)?,)*
                    })
                }

                #[inline]
                fn at(columns: &#columns, row: usize) -> Self::At<'_> {
                    #name { #(#names: <#kinds as ::domicile_sdk::Cell>::at(&columns.#names, row),)* }
                }

                fn put(row: Self::At<'_>, builders: &mut #builders) {
                    #(<#kinds as ::domicile_sdk::Cell>::put(row.#names, &mut builders.#names);)*
                }

                fn build(builders: #builders) -> #columns {
                    #columns { #(#names: builders.#names.finish(),)* }
                }

                fn write(columns: #columns) -> ::std::vec::Vec<u32> {
                    ::std::vec![#(::domicile_sdk::row::write_field(columns.#names)),*]
                }
            }
        }
    }

    fn owned(&self) -> TokenStream {
        if !self.item.generics.params.is_empty() {
            return TokenStream::new();
        }
        let Self { names, texts, kinds, .. } = self;
        let (name, index, count) = (&self.item.ident, 0..names.len(), names.len());
        quote! {
            impl ::domicile_sdk::OwnedRow for #name {
                fn from_values(
                    values: &[::domicile_sdk::Value],
                ) -> ::std::result::Result<Self, ::std::string::String> {
                    ::domicile_sdk::parameters::expect_values(values, #count)?;
                    ::std::result::Result::Ok(Self {
                        #(#names: ::domicile_sdk::row::value_field(values, #index, #texts)?,)*
                    })
                }

                fn into_values(self) -> ::std::vec::Vec<::domicile_sdk::Value> {
                    ::std::vec![#(<#kinds as ::domicile_sdk::Scalar>::into_value(self.#names)),*]
                }
            }
        }
    }
}
