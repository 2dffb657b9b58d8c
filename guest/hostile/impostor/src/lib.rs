//! Exports the names of the world `functions` with other types.

mod bindings {
    wit_bindgen::generate!({
        inline: "
            package somebody:elses;

            world impostor {
                export describe: func() -> string;
                export call: func(function: u32) -> u32;
            }
        ",
    });
}

use bindings::Guest;

struct Impostor;

impl Guest for Impostor {
    fn describe() -> String {
        "trust me".to_owned()
    }

    fn call(function: u32) -> u32 {
        function
    }
}

bindings::export!(Impostor with_types_in bindings);
