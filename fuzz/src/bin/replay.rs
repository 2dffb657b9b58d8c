//! Runs targets over the inputs kept for them, without libFuzzer: `replay [TARGET…]`.

use std::path::Path;
use std::process::ExitCode;
use std::{env, fs, io};

fn main() -> ExitCode {
    let named: Vec<String> = env::args().skip(1).collect();
    let known = |name: &String| domicile_fuzz::TARGETS.iter().any(|(target, _)| target == name);
    if let Some(unknown) = named.iter().find(|name| !known(name)) {
        eprintln!("there is no target `{unknown}`");
        return ExitCode::FAILURE;
    }
    domicile_fuzz::let_panics_unwind();
    for (target, _) in
        domicile_fuzz::TARGETS.iter().filter(|(name, _)| named.is_empty() || named.iter().any(|n| n == name))
    {
        match replay(target) {
            Ok(0) => return failure(target, "its corpus is empty"),
            Ok(inputs) => println!("{target}: {inputs} inputs hold"),
            Err(error) => return failure(target, &error.to_string()),
        }
    }
    ExitCode::SUCCESS
}

fn failure(target: &str, problem: &str) -> ExitCode {
    eprintln!("{target}: {problem}");
    ExitCode::FAILURE
}

fn replay(target: &str) -> io::Result<usize> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let mut inputs = 0;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let input = fs::read(&path)?;
        if std::panic::catch_unwind(|| domicile_fuzz::run_loudly(target, &input)).is_err() {
            return Err(io::Error::other(format!("{} does not hold", path.display())));
        }
        inputs += 1;
    }
    Ok(inputs)
}
