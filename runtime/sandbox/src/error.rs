//! Everything that can go wrong with a plugin.

use std::sync::Arc;
use std::time::Duration;

use domicile_types::limits;

use crate::PluginId;
use crate::contract::CONTRACT_VERSION;
use crate::limit::{Limit, Place};

/// Why a plugin was refused, or a call into it failed.
///
/// `Display` may repeat text that the plugin's code wrote. Such text can hold values of rows, and so can the way in which
/// the code failed: none of it is told across a border. A region's own log gets what
/// [`SandboxError::without_guest_text`] leaves.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SandboxError {
    /// The engine could not be set up.
    #[error("the plugin engine cannot start: {detail}")]
    Engine {
        /// What the engine says.
        detail: String,
    },
    /// The version is not one.
    #[error(
        "`{version}` is not a plugin version: use 1 to 64 letters, digits, `.`, `-` and `+`, starting with a digit"
    )]
    VersionInvalid {
        /// The refused text.
        version: String,
    },
    /// The component has too many bytes.
    #[error("plugin {plugin} has {bytes} bytes, at most {limit} are accepted")]
    ComponentTooLarge {
        /// The plugin.
        plugin: Arc<PluginId>,
        /// Its size.
        bytes: usize,
        /// The limit, in bytes.
        limit: usize,
    },
    /// The bytes are not a component that this engine runs.
    #[error("plugin {plugin} is not a WebAssembly component that can run here: {detail}")]
    ComponentMalformed {
        /// The plugin.
        plugin: Arc<PluginId>,
        /// What the compiler says.
        detail: String,
    },
    /// Compiling the component takes too long.
    #[error("compiling plugin {plugin} exceeded its time limit of {} ms", limit.as_millis())]
    CompileTimeout {
        /// The plugin.
        plugin: Arc<PluginId>,
        /// The limit.
        limit: Duration,
    },
    /// The process that compiles could not do its work.
    #[error("plugin {plugin} could not be compiled: {detail}")]
    CompileFailed {
        /// The plugin.
        plugin: Arc<PluginId>,
        /// What went wrong.
        detail: String,
    },
    /// The component's code is larger than what is compiled.
    #[error("the code of plugin {plugin} has {found} {what}, at most {limit} are accepted")]
    CodeTooLarge {
        /// The plugin.
        plugin: Arc<PluginId>,
        /// What there is too much of.
        what: &'static str,
        /// How much there is.
        found: usize,
        /// The limit.
        limit: usize,
    },
    /// The component was built for a version of the contract that this host does not speak.
    #[error(
        "plugin {plugin} was built for `{item}`; this host speaks `domicile:plugin` 1.0.0 to {CONTRACT_VERSION}: build \
         the plugin with an SDK of one of these versions, or update the host"
    )]
    ContractUnspoken {
        /// The plugin.
        plugin: Arc<PluginId>,
        /// The import or export that says so.
        item: String,
    },
    /// The component asks for something that plugins are not given.
    #[error("plugin {plugin} imports `{import}`, which plugins of its world are not given")]
    ImportRefused {
        /// The plugin.
        plugin: Arc<PluginId>,
        /// The import, as `package:name/interface@version` or with `#function`.
        import: String,
    },
    /// The component belongs to no known world.
    #[error("plugin {plugin} belongs to no world of `domicile:plugin`: {detail}")]
    WorldUnknown {
        /// The plugin.
        plugin: Arc<PluginId>,
        /// What is wrong.
        detail: String,
    },
    /// The component does not have what its world asks.
    #[error("plugin {plugin} does not export `{export}` as its world asks: {detail}")]
    ExportMissing {
        /// The plugin.
        plugin: Arc<PluginId>,
        /// The export.
        export: String,
        /// What is wrong with it.
        detail: String,
    },
    /// The plugin describes itself in a way that makes no sense.
    #[error("plugin {plugin} declares {item} wrongly: {problem}")]
    DescriptorInvalid {
        /// The plugin.
        plugin: Arc<PluginId>,
        /// The declaration at fault.
        item: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The plugin has another world than the caller takes it for.
    #[error("plugin {plugin} is not of the world `{wanted}`")]
    WrongWorld {
        /// The plugin.
        plugin: Arc<PluginId>,
        /// The world that was needed.
        wanted: &'static str,
    },
    /// A parameter has a value that it cannot have.
    #[error("parameter {parameter} of plugin {plugin} {problem}")]
    ParameterInvalid {
        /// The plugin.
        plugin: Arc<PluginId>,
        /// The parameter: its name in backquotes, or its position.
        parameter: String,
        /// What is wrong with the value.
        problem: String,
    },
    /// The plugin refuses the values of its parameters. It has seen no rows by then.
    #[error("plugin {plugin} refuses its parameters: {message}")]
    ParametersRefused {
        /// The plugin.
        plugin: Arc<PluginId>,
        /// The plugin's words.
        message: String,
    },
    /// The caller passed columns that do not fit the declaration.
    #[error("`{function}` of plugin {plugin} was called with arguments that it does not declare: {detail}")]
    ArgumentsInvalid {
        /// The plugin.
        plugin: Arc<PluginId>,
        /// The function.
        function: String,
        /// What does not fit.
        detail: String,
    },
    /// The plugin's code stopped: it panicked, divided by zero, or the like.
    #[error("`{function}` of plugin {plugin} trapped: {}{place}", message.as_deref().unwrap_or(trap))]
    Trapped {
        /// The plugin.
        plugin: Arc<PluginId>,
        /// The function.
        function: String,
        /// What the engine says.
        trap: String,
        /// What the plugin said last, with the source file and line where it uses the SDK. Guest text.
        message: Option<String>,
        /// Where the plugin was, unless its message says so. Guest text.
        place: Box<Place>,
    },
    /// A call exceeded a limit.
    #[error("`{function}` of plugin {plugin} exceeded its {limit}{place}")]
    LimitReached {
        /// The plugin.
        plugin: Arc<PluginId>,
        /// The function.
        function: String,
        /// The limit.
        limit: Limit,
        /// Where the plugin was. Guest text.
        place: Box<Place>,
    },
    /// The call passed something to the host that it may not.
    #[error("`{function}` of plugin {plugin} misused `{import}`: {detail}{place}")]
    Misused {
        /// The plugin.
        plugin: Arc<PluginId>,
        /// The function.
        function: String,
        /// The function of the host.
        import: &'static str,
        /// What is wrong. Never repeats values.
        detail: String,
        /// Where the plugin was. Guest text.
        place: Box<Place>,
    },
    /// The call returned something that it may not.
    #[error("`{function}` of plugin {plugin} returned something invalid: {detail}")]
    OutputInvalid {
        /// The plugin.
        plugin: Arc<PluginId>,
        /// The function.
        function: String,
        /// What is invalid. Never repeats what the plugin returned.
        detail: String,
    },
    /// All instances are in use.
    #[error("plugin {plugin} cannot run: all {limit} plugin instances of this region are in use; try again")]
    TooManyInstances {
        /// The plugin.
        plugin: Arc<PluginId>,
        /// The limit.
        limit: usize,
    },
    /// The plugin says that it cannot do what it was asked.
    #[error("`{function}` of plugin {plugin} failed: {message}")]
    Returned {
        /// The plugin.
        plugin: Arc<PluginId>,
        /// The function.
        function: String,
        /// The plugin's words. Guest text.
        message: String,
    },
}

/// Whose fault an error is, which is what its HTTP status says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The plugin is at fault: it was refused at load, or its code failed or exceeded a limit (422).
    Plugin,
    /// The plugin took too long (504).
    TimedOut,
    /// The request names a version or parameter that is wrong, or the wrong plugin (400).
    Request,
    /// There is no capacity at the moment (503).
    Busy,
    /// The runtime itself is at fault (500).
    Internal,
}

/// A text that a plugin's author or its code wrote, cut to a length that people read.
pub(crate) fn clip(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(limits::PLUGIN_MESSAGE_BYTES_MAX));
    text
}

/// Stands for a plugin's words, and for details that hold numbers which a plugin chose.
const WITHHELD: &str = "(the details are in the plugin's own log)";

impl SandboxError {
    /// Whose fault it is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Engine { .. } | Self::CompileFailed { .. } | Self::ArgumentsInvalid { .. } => ErrorKind::Internal,
            Self::VersionInvalid { .. }
            | Self::WrongWorld { .. }
            | Self::ParameterInvalid { .. }
            | Self::ParametersRefused { .. } => ErrorKind::Request,
            Self::LimitReached { limit: Limit::Time(_) | Limit::CpuTime(_), .. } => ErrorKind::TimedOut,
            Self::TooManyInstances { .. } => ErrorKind::Busy,
            Self::ComponentTooLarge { .. }
            | Self::ComponentMalformed { .. }
            | Self::CompileTimeout { .. }
            | Self::CodeTooLarge { .. }
            | Self::ContractUnspoken { .. }
            | Self::ImportRefused { .. }
            | Self::WorldUnknown { .. }
            | Self::ExportMissing { .. }
            | Self::DescriptorInvalid { .. }
            | Self::Trapped { .. }
            | Self::LimitReached { .. }
            | Self::Misused { .. }
            | Self::OutputInvalid { .. }
            | Self::Returned { .. } => ErrorKind::Plugin,
        }
    }

    /// The plugin that it is about; none where there is not yet one.
    pub fn plugin(&self) -> Option<&PluginId> {
        match self {
            Self::Engine { .. } | Self::VersionInvalid { .. } => None,
            Self::ComponentTooLarge { plugin, .. }
            | Self::ComponentMalformed { plugin, .. }
            | Self::CompileTimeout { plugin, .. }
            | Self::CompileFailed { plugin, .. }
            | Self::CodeTooLarge { plugin, .. }
            | Self::ContractUnspoken { plugin, .. }
            | Self::ImportRefused { plugin, .. }
            | Self::WorldUnknown { plugin, .. }
            | Self::ExportMissing { plugin, .. }
            | Self::DescriptorInvalid { plugin, .. }
            | Self::WrongWorld { plugin, .. }
            | Self::ParameterInvalid { plugin, .. }
            | Self::ParametersRefused { plugin, .. }
            | Self::ArgumentsInvalid { plugin, .. }
            | Self::Trapped { plugin, .. }
            | Self::LimitReached { plugin, .. }
            | Self::Misused { plugin, .. }
            | Self::OutputInvalid { plugin, .. }
            | Self::TooManyInstances { plugin, .. }
            | Self::Returned { plugin, .. } => Some(plugin),
        }
    }

    /// The same error without text that the plugin's code wrote while it saw rows. The code may still have chosen, for a
    /// row that it looked for, which error it is.
    #[must_use]
    pub fn without_guest_text(self) -> Self {
        match self {
            Self::Trapped { plugin, function, trap, .. } => {
                Self::Trapped { plugin, function, trap, message: None, place: Box::default() }
            }
            Self::LimitReached { plugin, function, limit, .. } => {
                Self::LimitReached { plugin, function, limit, place: Box::default() }
            }
            Self::Misused { plugin, function, import, .. } => {
                Self::Misused { plugin, function, import, detail: WITHHELD.to_owned(), place: Box::default() }
            }
            Self::OutputInvalid { plugin, function, .. } => {
                Self::OutputInvalid { plugin, function, detail: WITHHELD.to_owned() }
            }
            Self::Returned { plugin, function, .. } => {
                Self::Returned { plugin, function, message: WITHHELD.to_owned() }
            }
            other => other,
        }
    }
}
