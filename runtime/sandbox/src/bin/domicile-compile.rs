//! The process that compiles plugins, for tests: the runtime's own program does the same.

fn main() -> std::io::Result<()> {
    domicile_sandbox::compile_stdin_to_stdout()
}
