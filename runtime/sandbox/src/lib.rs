//! Runs plugins: WebAssembly components that other people wrote, without authority and within limits.
//!
//! [`Sandbox::load`] turns bytes into a [`Plugin`] whose imports, exports and descriptor have been checked. A plugin of
//! the world `functions` is called through [`Plugin::call_function`], one of the world `mapper` through
//! [`Plugin::mapper`]. Arrow arrays go in and come out; what a plugin returns is checked before anything else sees it.
//!
//! A plugin is given one thing only, a log. It has no clock, no randomness, no files and no network, and no way to ask
//! for them: a component that imports more is refused at load.
//!
//! Calls block the thread they are made on, for at most [`SandboxLimits::call_timeout`].

mod column;
mod error;
mod imports;
mod instance;
mod interface;
mod limits;
mod mapper;
mod plugin;
mod pool;
mod runtime;
mod sandbox;
mod validate;
mod value;
mod wit;

pub use error::{ErrorKind, OutputUnit, SandboxError};
pub use interface::{Endpoint, Field, FunctionSignature, Interface, MapperInterface, Output, OutputKind, Parameter};
pub use limits::SandboxLimits;
pub use mapper::MapperInstance;
pub use plugin::{Plugin, PluginId};
pub use sandbox::Sandbox;
pub use value::{Value, ValueType};
