//! What `wit-bindgen` makes of `wit/plugin.wit`: one module a world, the types shared.
#![expect(missing_docs, reason = "generated; the documentation is in the WIT file")]

/// The world `functions`.
pub mod functions {
    wit_bindgen::generate!({
        world: "functions",
        path: "../../wit",
        pub_export_macro: true,
        export_macro_name: "export_functions",
        default_bindings_module: "domicile_sdk::bindings::functions",
        additional_derives: [PartialEq],
    });
}

/// The world `mapper`.
pub mod mapper {
    wit_bindgen::generate!({
        world: "mapper",
        path: "../../wit",
        pub_export_macro: true,
        export_macro_name: "export_mapper",
        default_bindings_module: "domicile_sdk::bindings::mapper",
        with: {
            "domicile:plugin/types@0.1.0": super::functions::domicile::plugin::types,
            "domicile:plugin/host@0.1.0": super::functions::domicile::plugin::host,
        },
    });
}
