//! Where components are compiled: in this process, or in one that is killed when it takes too long.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use domicile_types::limits;
use rustix::process::{Resource, Rlimit, setrlimit};
use wasmtime::component::Component;
use wasmtime::{Engine, Precompiled};

use crate::artefact::{Artefact, ArtefactCache, Purpose};
use crate::error::clip;
use crate::runtime::{Runtime, config};
use crate::{PluginId, SandboxError, SandboxLimits, unchecked};

/// Where components are compiled.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Compiler {
    /// In this process: nothing but the checks before bounds how long it takes.
    #[default]
    InProcess,
    /// In a process of its own, which is killed at
    /// [`compile_timeout`](crate::SandboxLimits::compile_timeout).
    Process {
        /// A program that calls [`compile_stdin_to_stdout`]; of the same build as this one.
        program: PathBuf,
        /// Its arguments.
        args: Vec<OsString>,
        /// Where what it makes is kept, so that the next sandbox need not start it.
        cache: Option<ArtefactCache>,
    },
}

/// The first byte of what the process reads: which engine the code is for.
const PLAIN: u8 = 0;
const PURE: u8 = 1;
/// The first byte of what it writes: an artefact follows, or a message.
const COMPILED: u8 = 0;
const REFUSED: u8 = 1;

impl Compiler {
    pub(crate) fn compile(
        &self,
        runtime: &Runtime,
        pure: bool,
        plugin: &Arc<PluginId>,
        wasm: &[u8],
    ) -> Result<Component, SandboxError> {
        let engine = runtime.engine(pure);
        let malformed = |error: wasmtime::Error| malformed(plugin, format!("{error:#}"));
        let Self::Process { program, args, cache } = self else {
            return Component::from_binary(engine, wasm).map_err(malformed);
        };
        let purpose = Purpose::new(engine, plugin.digest, pure);
        let kept = cache.as_ref().and_then(|cache| cache.get(&purpose));
        // What was kept does not fit where the limits are narrower now; compiling says so again.
        if let Some(component) = kept.and_then(|kept| unchecked::deserialize(engine, &kept).ok()) {
            return Ok(component);
        }
        let mut command = Command::new(program);
        command.args(args);
        let artefact = compiled_by(command, &runtime.limits, pure, plugin, wasm)?;
        // What does not fit into this sandbox's pool shows now.
        let component = unchecked::deserialize(engine, &artefact).map_err(malformed)?;
        if let Some(cache) = cache {
            cache.put(&purpose, &artefact);
        }
        Ok(component)
    }
}

fn malformed(plugin: &Arc<PluginId>, detail: String) -> SandboxError {
    SandboxError::ComponentMalformed { plugin: Arc::clone(plugin), detail: clip(detail) }
}

/// What a process of its own makes of a component.
fn compiled_by(
    command: Command,
    limits: &SandboxLimits,
    pure: bool,
    plugin: &Arc<PluginId>,
    wasm: &[u8],
) -> Result<Artefact, SandboxError> {
    let failed = |detail: String| SandboxError::CompileFailed { plugin: Arc::clone(plugin), detail };
    let limit = limits.compile_timeout;
    let mut request = Vec::with_capacity(wasm.len() + 9);
    request.push(if pure { PURE } else { PLAIN });
    request.extend_from_slice(&(limits.stack_bytes_max as u64).to_le_bytes());
    request.extend_from_slice(wasm);
    let answer = converse(command, request, limit).map_err(|problem| match problem {
        Problem::TimedOut => SandboxError::CompileTimeout { plugin: Arc::clone(plugin), limit },
        Problem::Failed(detail) => failed(detail),
    })?;
    match answer.split_first() {
        Some((&COMPILED, artefact)) if Engine::detect_precompiled(artefact) == Some(Precompiled::Component) => {
            Ok(Artefact::of_compiler(artefact.to_vec()))
        }
        Some((&REFUSED, detail)) => Err(malformed(plugin, String::from_utf8_lossy(detail).into_owned())),
        _ => Err(failed("the process that compiles ended without an answer that makes sense".to_owned())),
    }
}

enum Problem {
    TimedOut,
    Failed(String),
}

/// Kills the process, unless it has ended.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only where the process has ended and been waited for.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Starts a process, gives it the request and reads its answer to the end.
fn converse(mut command: Command, request: Vec<u8>, limit: Duration) -> Result<Vec<u8>, Problem> {
    let failed = |error: std::io::Error| Problem::Failed(format!("the process that compiles: {error}"));
    command.env_clear().stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut running = Running(command.spawn().map_err(failed)?);
    let (Some(mut stdin), Some(stdout)) = (running.0.stdin.take(), running.0.stdout.take()) else {
        return Err(Problem::Failed("the process that compiles has no pipes".to_owned()));
    };
    // Both threads end with the process, whose ends of the pipes close then.
    let write = move || {
        // A process that does not read on says why in its answer, or ends.
        drop(stdin.write_all(&request));
    };
    thread::Builder::new().name("compile-write".to_owned()).spawn(write).map_err(failed)?;
    let (sender, receiver) = mpsc::channel();
    let read = move || {
        let mut answer = Vec::new();
        let read = stdout.take(limits::PLUGIN_ARTEFACT_BYTES_MAX + 1).read_to_end(&mut answer);
        // Nobody waits any more where the time is up.
        drop(sender.send(read.map(|_| answer)));
    };
    thread::Builder::new().name("compile-read".to_owned()).spawn(read).map_err(failed)?;
    match receiver.recv_timeout(limit) {
        Ok(Ok(answer)) if answer.len() as u64 <= limits::PLUGIN_ARTEFACT_BYTES_MAX => Ok(answer),
        Ok(Ok(_)) => {
            Err(Problem::Failed(format!("it compiles to more than {} bytes", limits::PLUGIN_ARTEFACT_BYTES_MAX)))
        }
        Ok(Err(error)) => Err(failed(error)),
        Err(RecvTimeoutError::Timeout) => Err(Problem::TimedOut),
        Err(RecvTimeoutError::Disconnected) => Err(Problem::Failed("its answer could not be read".to_owned())),
    }
}

/// The whole of a process that compiles: reads a component from standard input and writes what it compiles to, or why
/// it does not, to standard output. For [`Compiler::Process`], and nothing else.
///
/// # Errors
/// Where standard input or output fail.
pub fn compile_stdin_to_stdout() -> std::io::Result<()> {
    let memory = Some(limits::PLUGIN_COMPILE_MEMORY_BYTES_MAX);
    // Not every system has this limit; the limit on time holds without it.
    if let Err(error) = setrlimit(Resource::As, Rlimit { current: memory, maximum: memory }) {
        tracing::debug!(%error, "no limit on the memory that compiling takes");
    }
    let mut request = Vec::new();
    std::io::stdin().lock().take(limits::PLUGIN_BYTES_MAX as u64 * 4).read_to_end(&mut request)?;
    let mut stdout = std::io::stdout().lock();
    match compile(&request) {
        Ok(artefact) => {
            stdout.write_all(&[COMPILED])?;
            stdout.write_all(&artefact)?;
        }
        Err(detail) => {
            stdout.write_all(&[REFUSED])?;
            stdout.write_all(detail.as_bytes())?;
        }
    }
    stdout.flush()
}

fn compile(request: &[u8]) -> Result<Vec<u8>, String> {
    let (kind, rest) = request.split_first().ok_or("an empty request")?;
    let (stack, wasm) = rest.split_first_chunk::<8>().ok_or("a request without a component")?;
    let stack_bytes_max = usize::try_from(u64::from_le_bytes(*stack)).map_err(|error| error.to_string())?;
    let limits = SandboxLimits { stack_bytes_max, ..SandboxLimits::default() };
    let engine = Engine::new(&config(&limits, *kind == PURE)).map_err(|error| format!("{error:#}"))?;
    engine.precompile_component(wasm).map_err(|error| format!("{error:#}"))
}
