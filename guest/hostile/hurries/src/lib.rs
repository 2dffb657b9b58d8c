//! Was built for a version of the contract that there is not yet.

mod bindings {
    wit_bindgen::generate!({
        inline: "
            package domicile:plugin@1.99.0;

            interface merge {
                describe: func() -> string;
            }

            world tomorrow {
                export merge;
            }
        ",
    });
}

use bindings::exports::domicile::plugin::merge::Guest;

struct Hurries;

impl Guest for Hurries {
    fn describe() -> String {
        "from tomorrow".to_owned()
    }
}

bindings::export!(Hurries with_types_in bindings);
