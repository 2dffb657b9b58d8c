//! Components that are versions of another one.

use anyhow::{Result, ensure};

/// The same component with other bytes: a custom section more, which means nothing.
pub fn same_again(wasm: &[u8], note: &str) -> Vec<u8> {
    let name = b"note";
    // Both lengths take one byte, being below 128.
    let content = [&[u8::try_from(name.len()).unwrap_or(0)][..], name, note.as_bytes()].concat();
    let section = [&[0, u8::try_from(content.len() % 128).unwrap_or(0)][..], &content].concat();
    [wasm, &section].concat()
}

/// The component with one text in it written in another way, of the same length.
///
/// # Errors
/// Where it does not have the text exactly once.
pub fn with_text(wasm: &[u8], from: &str, to: &str) -> Result<Vec<u8>> {
    ensure!(from.len() == to.len(), "{from} and {to}");
    let places: Vec<usize> =
        wasm.windows(from.len()).enumerate().filter(|(_, part)| *part == from.as_bytes()).map(|(at, _)| at).collect();
    ensure!(places.len() == 1, "`{from}` stands {} times in the component", places.len());
    let mut changed = wasm.to_vec();
    changed[places[0]..places[0] + to.len()].copy_from_slice(to.as_bytes());
    Ok(changed)
}

/// The component with a number in it replaced, wherever the code has it.
///
/// # Errors
/// Where it does not have the number.
pub fn with_number(wasm: &[u8], from: f64, to: f64) -> Result<Vec<u8>> {
    let (from, to) = (from.to_le_bytes(), to.to_le_bytes());
    let places: Vec<usize> =
        wasm.windows(from.len()).enumerate().filter(|(_, part)| *part == from).map(|(at, _)| at).collect();
    ensure!(!places.is_empty(), "{from:?} is not in the component");
    let mut changed = wasm.to_vec();
    places.into_iter().for_each(|at| changed[at..at + to.len()].copy_from_slice(&to));
    Ok(changed)
}

/// A component whose one function takes seconds to compile: thousands of variables that depend on each other, in loops
/// within loops. It exports nothing that a region knows, so that it is refused once it is compiled.
pub fn slow_to_compile() -> Vec<u8> {
    const VARIABLES: u32 = 4000;
    const LOOPS: usize = 400;
    const ADDITIONS: u32 = 20;
    // One parameter and so many variables, all of 64 bits.
    let mut code = [&[1][..], &leb(VARIABLES), &[0x7e]].concat();
    let mut seed = 1_u32;
    let mut variable = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        leb(1 + (seed >> 8) % VARIABLES)
    };
    for _ in 0..LOOPS {
        code.extend([0x03, 0x40]);
        for _ in 0..ADDITIONS {
            code.extend([&[0x20][..], &variable(), &[0x20], &variable(), &[0x7c, 0x21], &variable()].concat());
        }
        code.extend([&[0x20][..], &variable(), &[0xa7, 0x0d, 0]].concat());
    }
    code.extend([0x0b; LOOPS]);
    code.extend([0x20, 0, 0x0b]);
    let body = [&leb(length(&code))[..], &code].concat();
    let sections = [
        section(1, &[1, 0x60, 1, 0x7e, 1, 0x7e]),
        section(3, &[1, 0]),
        section(7, &[1, 1, b'f', 0, 0]),
        section(10, &[&[1][..], &body].concat()),
    ];
    let module = [b"\0asm\x01\0\0\0".to_vec(), sections.concat()].concat();
    let name = b"domicile:plugin/merge@1.1.0";
    let export = [&[1, 0, name.len() as u8][..], name, &[5, 0, 0]].concat();
    // The module and an instance of it, an instance of nothing, and that as the plugin's interface.
    let parts = [section(1, &module), section(2, &[1, 0, 0, 0]), section(5, &[1, 1, 0]), section(11, &export)];
    [b"\0asm\x0d\0\x01\0".to_vec(), parts.concat()].concat()
}

fn section(id: u8, content: &[u8]) -> Vec<u8> {
    [&[id][..], &leb(length(content)), content].concat()
}

fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}

/// An unsigned number as LEB128.
fn leb(mut number: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = (number & 0x7f) as u8;
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}
