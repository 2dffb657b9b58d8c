//! What `wit-bindgen` makes of `wit/plugin.wit`: one module a world, the types and imports shared.
#![expect(missing_docs, reason = "generated; the documentation is in the WIT file")]

/// The world `functions-plugin`, and the imports of all worlds.
pub mod functions {
    wit_bindgen::generate!({
        world: "functions-plugin",
        path: "../../wit",
        pub_export_macro: true,
        export_macro_name: "export_functions",
        default_bindings_module: "domicile_sdk::bindings::functions",
        additional_derives: [PartialEq],
    });
}

/// The world `mapper-plugin`.
pub mod mapper {
    wit_bindgen::generate!({
        world: "mapper-plugin",
        path: "../../wit",
        pub_export_macro: true,
        export_macro_name: "export_mapper",
        default_bindings_module: "domicile_sdk::bindings::mapper",
        additional_derives: [PartialEq],
        with: {
            "domicile:plugin/types@1.1.0": super::functions::domicile::plugin::types,
            "domicile:plugin/columns@1.1.0": super::functions::domicile::plugin::columns,
            "domicile:plugin/kernels@1.1.0": super::functions::domicile::plugin::kernels,
            "domicile:plugin/host@1.1.0": super::functions::domicile::plugin::host,
        },
    });
}

/// The world `query-plugin`.
pub mod query {
    wit_bindgen::generate!({
        world: "query-plugin",
        path: "../../wit",
        pub_export_macro: true,
        export_macro_name: "export_query",
        default_bindings_module: "domicile_sdk::bindings::query",
        additional_derives: [PartialEq],
        with: {
            "domicile:plugin/types@1.1.0": super::functions::domicile::plugin::types,
            "domicile:plugin/columns@1.1.0": super::functions::domicile::plugin::columns,
            "domicile:plugin/kernels@1.1.0": super::functions::domicile::plugin::kernels,
            "domicile:plugin/host@1.1.0": super::functions::domicile::plugin::host,
        },
    });
}

/// The world `merge-plugin`.
pub mod merge {
    wit_bindgen::generate!({
        world: "merge-plugin",
        path: "../../wit",
        pub_export_macro: true,
        export_macro_name: "export_merge",
        default_bindings_module: "domicile_sdk::bindings::merge",
        additional_derives: [PartialEq],
        with: {
            "domicile:plugin/types@1.1.0": super::functions::domicile::plugin::types,
        },
    });
}
