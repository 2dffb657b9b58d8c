//! A component of another world altogether.

mod bindings {
    wit_bindgen::generate!({
        inline: "
            package somebody:elses;

            world greeter {
                export greet: func(name: string) -> string;
            }
        ",
    });
}

use bindings::Guest;

struct Stranger;

impl Guest for Stranger {
    fn greet(name: String) -> String {
        format!("hello, {name}")
    }
}

bindings::export!(Stranger with_types_in bindings);
