//! What a plugin may use.

use std::time::Duration;

use domicile_types::limits;

/// Bounds on what plugins use. The same for every plugin of a sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SandboxLimits {
    /// Largest component, in bytes.
    pub component_bytes_max: usize,
    /// Longest that compiling may take in a process of its own, which is killed then.
    pub compile_timeout: Duration,
    /// Linear memory of one instance, in bytes. Rounded down to 64 KiB.
    pub memory_bytes_max: usize,
    /// Stack of a plugin's code, in bytes.
    pub stack_bytes_max: usize,
    /// Entries of a plugin's table.
    pub table_elements_max: usize,
    /// Longest that one call may take in wall-clock time; the call ends within about 20 ms of it.
    pub call_timeout: Duration,
    /// Longest that one call may compute, in time of its thread's processor; the call ends within about 20 ms of it.
    pub cpu_time_max: Duration,
    /// Longest that an instance may take to start, in wall-clock time.
    pub start_timeout: Duration,
    /// Steps of one call of a plugin that resolves conflicts: the same everywhere, which time is not.
    pub merge_fuel_max: u64,
    /// Rows that one call may be asked for or return.
    pub output_rows_max: usize,
    /// Bytes that one call may return, and one call of the host may pass.
    pub output_bytes_max: usize,
    /// Columns that one call may make.
    pub columns_max: usize,
    /// Bytes of the columns that one call makes, together.
    pub column_bytes_max: usize,
    /// Times that one call may call the host.
    pub host_calls_max: u64,
    /// Instances that exist at once, over all plugins.
    pub instances_max: usize,
    /// Bytes that one call may log; further lines are dropped.
    pub log_bytes_max: usize,
}

impl Default for SandboxLimits {
    fn default() -> Self {
        Self {
            component_bytes_max: limits::PLUGIN_BYTES_MAX,
            compile_timeout: limits::PLUGIN_COMPILE_TIMEOUT,
            memory_bytes_max: limits::PLUGIN_MEMORY_BYTES_MAX,
            stack_bytes_max: limits::PLUGIN_STACK_BYTES_MAX,
            table_elements_max: limits::PLUGIN_TABLE_ELEMENTS_MAX,
            call_timeout: limits::PLUGIN_TIMEOUT,
            cpu_time_max: limits::PLUGIN_CPU_TIME_MAX,
            start_timeout: limits::PLUGIN_START_TIMEOUT,
            merge_fuel_max: limits::PLUGIN_MERGE_FUEL_MAX,
            output_rows_max: limits::PLUGIN_OUTPUT_ROWS_MAX,
            output_bytes_max: limits::PLUGIN_OUTPUT_BYTES_MAX,
            columns_max: limits::PLUGIN_COLUMNS_MAX,
            column_bytes_max: limits::PLUGIN_COLUMN_BYTES_MAX,
            host_calls_max: limits::PLUGIN_HOST_CALLS_MAX,
            instances_max: limits::PLUGIN_INSTANCES_MAX,
            log_bytes_max: limits::PLUGIN_LOG_BYTES_MAX,
        }
    }
}
