//! Exports two worlds at once.

mod bindings {
    wit_bindgen::generate!({
        inline: "
            package domicile:plugin@1.1.0;

            interface merge {
                describe: func() -> string;
            }

            interface mapper {
                describe: func() -> string;
            }

            world both {
                export merge;
                export mapper;
            }
        ",
    });
}

use bindings::exports::domicile::plugin::{mapper, merge};

struct Doubles;

impl merge::Guest for Doubles {
    fn describe() -> String {
        "a merger".to_owned()
    }
}

impl mapper::Guest for Doubles {
    fn describe() -> String {
        "a mapper".to_owned()
    }
}

bindings::export!(Doubles with_types_in bindings);
