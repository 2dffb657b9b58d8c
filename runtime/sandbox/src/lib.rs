//! Runs plugins: WebAssembly components that other people wrote, without authority and within limits.
//!
//! [`Sandbox::load`] turns bytes into a [`Plugin`] whose imports, exports and descriptor have been checked. Its world
//! says how it is used: [`Plugin::functions`] and [`Plugin::accumulator`], [`Plugin::mapper`], [`Plugin::query`] or
//! [`Plugin::merge`]. Arrow arrays go in and come out; what a plugin returns is checked before anything else sees it.
//!
//! A plugin is given a log, the columns of its call, and kernels that work on them. It has no clock, no randomness, no
//! files and no network, and no way to ask for them: a component that imports more is refused at load. Plugins that
//! resolve conflicts are given nothing, and answer the same everywhere.
//!
//! Calls block the thread they are made on, for at most [`SandboxLimits::call_timeout`].

mod accumulator;
mod artefact;
mod clock;
mod columns;
mod compile;
mod contract;
mod error;
mod explain;
mod exports;
mod frame;
mod functions;
mod host;
mod imports;
mod inspect;
mod instance;
mod interface;
mod kernels;
mod limit;
mod limits;
mod log;
mod mapper;
mod merge;
mod metrics;
mod plugin;
mod refusal;
mod runtime;
mod sandbox;
mod session;
mod turns;
mod unchecked;
mod validate;
mod value;
mod wit;

pub use accumulator::Accumulator;
pub use artefact::ArtefactCache;
pub use compile::{Compiler, compile_stdin_to_stdout};
pub use contract::CONTRACT_VERSION;
pub use error::{ErrorKind, SandboxError};
pub use functions::FunctionCalls;
pub use interface::{
    Endpoint, Field, FunctionKind, FunctionSignature, Interface, MapperInterface, MergeInterface, Output, OutputKind,
    Parameter, QueryInterface,
};
pub use limit::{Limit, Place};
pub use limits::SandboxLimits;
pub use log::{LogLevel, LogLine};
pub use mapper::MapperInstance;
pub use merge::{MergeInstance, RowVersion};
pub use metrics::PluginMetrics;
pub use plugin::{Plugin, PluginId};
pub use sandbox::Sandbox;
pub use session::QuerySession;
pub use value::{Value, ValueType};
