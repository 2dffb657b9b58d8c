//! Never returns: the host has to end the call at its time limit.

fn spin(value: i64) -> i64 {
    let mut value = value;
    loop {
        value = std::hint::black_box(value.wrapping_add(1));
    }
}

domicile_sdk::functions! {
    fn spin(value: i64) -> i64;
}
