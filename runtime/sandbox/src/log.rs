//! The last lines that a plugin logged.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use domicile_types::limits;

use crate::PluginId;
use crate::wit::Level;

/// One line of a plugin's log. Its text may hold values of rows: it stays in the region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// Counts the plugin's lines from 0 on, so that a reader sees where older ones were dropped.
    pub sequence: u64,
    /// How urgent it is.
    pub level: LogLevel,
    /// The text, cut to [`PLUGIN_MESSAGE_BYTES_MAX`](limits::PLUGIN_MESSAGE_BYTES_MAX).
    pub text: String,
}

/// How urgent a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Finest detail.
    Trace,
    /// For the plugin's author.
    Debug,
    /// Worth knowing.
    Info,
    /// Worth a look.
    Warn,
    /// Something failed.
    Error,
    /// The plugin was about to trap.
    Critical,
}

impl LogLevel {
    /// The level's name, in lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
            Self::Critical => "critical",
        }
    }
}

impl From<Level> for LogLevel {
    fn from(level: Level) -> Self {
        match level {
            Level::Trace => Self::Trace,
            Level::Debug => Self::Debug,
            Level::Info => Self::Info,
            Level::Warn => Self::Warn,
            Level::Error => Self::Error,
            Level::Critical => Self::Critical,
        }
    }
}

/// A ring of lines.
#[derive(Debug, Default)]
pub(crate) struct Log(Mutex<Lines>);

#[derive(Debug, Default)]
struct Lines {
    next: u64,
    kept: VecDeque<LogLine>,
}

impl Log {
    pub(crate) fn add(&self, id: &PluginId, level: Level, message: &str) {
        let (plugin, version) = (id.name.as_str(), id.version.as_str());
        match level {
            Level::Trace => tracing::trace!(plugin, version, message),
            Level::Debug => tracing::debug!(plugin, version, message),
            Level::Info => tracing::info!(plugin, version, message),
            Level::Warn => tracing::warn!(plugin, version, message),
            Level::Error | Level::Critical => tracing::error!(plugin, version, message),
        }
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.kept.len() >= limits::PLUGIN_LOG_LINES_KEPT_MAX {
            lines.kept.pop_front();
        }
        let sequence = lines.next;
        lines.next += 1;
        lines.kept.push_back(LogLine { sequence, level: level.into(), text: message.to_owned() });
    }

    /// The lines that are kept, the oldest first.
    pub(crate) fn lines(&self) -> Vec<LogLine> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).kept.iter().cloned().collect()
    }
}
