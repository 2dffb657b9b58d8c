//! What a plugin may use.

use std::time::Duration;

use domicile_types::limits;

/// Bounds on what plugins use. The same for every plugin of a sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SandboxLimits {
    /// Largest component, in bytes.
    pub component_bytes_max: usize,
    /// Linear memory of one instance, in bytes, over all its memories. Rounded down to 64 KiB.
    pub memory_bytes_max: usize,
    /// Longest that one call may take; the call ends within about 20 ms of it.
    pub call_timeout: Duration,
    /// Rows that one function call may be asked for, and so return.
    pub output_rows_max: usize,
    /// Bytes that one call may return.
    pub output_bytes_max: usize,
    /// Instances that exist at once, over all plugins, idle ones included.
    pub instances_max: usize,
    /// Bytes that one call may log; further lines are dropped.
    pub log_bytes_max: usize,
}

impl Default for SandboxLimits {
    fn default() -> Self {
        Self {
            component_bytes_max: limits::PLUGIN_BYTES_MAX,
            memory_bytes_max: limits::PLUGIN_MEMORY_BYTES_MAX,
            call_timeout: limits::PLUGIN_TIMEOUT,
            output_rows_max: limits::PLUGIN_OUTPUT_ROWS_MAX,
            output_bytes_max: limits::PLUGIN_OUTPUT_BYTES_MAX,
            instances_max: limits::PLUGIN_INSTANCES_MAX,
            log_bytes_max: limits::PLUGIN_LOG_BYTES_MAX,
        }
    }
}
