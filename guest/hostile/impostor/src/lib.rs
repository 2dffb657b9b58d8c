//! Exports the names of the world of mergers with other types.

mod bindings {
    wit_bindgen::generate!({
        inline: "
            package domicile:plugin@1.0.0;

            interface merge {
                describe: func() -> string;
                resolve: func(versions: u32) -> u32;
            }

            world impostor {
                export merge;
            }
        ",
    });
}

use bindings::exports::domicile::plugin::merge::Guest;

struct Impostor;

impl Guest for Impostor {
    fn describe() -> String {
        "trust me".to_owned()
    }

    fn resolve(versions: u32) -> u32 {
        versions
    }
}

bindings::export!(Impostor with_types_in bindings);
