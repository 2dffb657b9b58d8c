//! What the host keeps for one instance while it runs.

use std::sync::Arc;
use std::time::Duration;

use domicile_types::limits::{PLUGIN_LOG_LINE_BYTES, PLUGIN_LONG_CALL_AFTER};
use wasmtime::ResourceLimiter;

use crate::clock::CallClock;
use crate::error::clip;
use crate::frame::Frame;
use crate::limit::Limit;
use crate::log::Log;
use crate::refusal::Refusal;
use crate::turns::{Turn, Turns};
use crate::wit::Level;
use crate::{PluginId, SandboxLimits};

/// What an instance's store owns.
pub(crate) struct HostState {
    pub(crate) frame: Frame,
    pub(crate) traffic: Traffic,
    pub(crate) clock: CallClock,
    turns: Arc<Turns>,
    turn: Option<Turn>,
    plugin: Arc<PluginId>,
    log: Arc<Log>,
    limits: Arc<SandboxLimits>,
    host_calls_left: u64,
    log_bytes_left: usize,
    memory_bytes: usize,
    critical: Option<String>,
}

/// What one call moved over the boundary.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Traffic {
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) host_calls: u64,
}

impl HostState {
    pub(crate) fn new(plugin: &Arc<PluginId>, log: &Arc<Log>, limits: &Arc<SandboxLimits>, turns: &Arc<Turns>) -> Self {
        Self {
            frame: Frame::new(limits),
            traffic: Traffic::default(),
            clock: CallClock::start(limits.start_timeout, limits.cpu_time_max),
            turns: Arc::clone(turns),
            turn: None,
            plugin: Arc::clone(plugin),
            log: Arc::clone(log),
            host_calls_left: limits.host_calls_max,
            log_bytes_left: limits.log_bytes_max,
            limits: Arc::clone(limits),
            memory_bytes: 0,
            critical: None,
        }
    }

    /// Begins a call: what earlier calls used counts no more.
    pub(crate) fn begin(&mut self) {
        self.clock = CallClock::start(self.limits.call_timeout, self.limits.cpu_time_max);
        self.host_calls_left = self.limits.host_calls_max;
        self.log_bytes_left = self.limits.log_bytes_max;
        self.traffic = Traffic::default();
        self.critical = None;
    }

    /// Counts a call of the host.
    pub(crate) fn host_called(&mut self) -> Result<(), Refusal> {
        let left = self.host_calls_left.checked_sub(1);
        self.host_calls_left = left.ok_or(Refusal::Limit(Limit::HostCalls(self.limits.host_calls_max)))?;
        self.traffic.host_calls += 1;
        Ok(())
    }

    /// Ends a call, or the start of the instance: its turn goes to another.
    pub(crate) fn end(&mut self) {
        self.turn = None;
    }

    /// Whether the call has time left. A call that has taken long waits for its turn here, so all work of plugins, and
    /// all that the host does for them, comes by now and then.
    pub(crate) fn check_time(&mut self) -> Result<(), Refusal> {
        let elapsed = self.clock.check().map_err(Refusal::Limit)?;
        if elapsed < PLUGIN_LONG_CALL_AFTER {
            return Ok(());
        }
        if self.turn.as_ref().is_some_and(Turn::is_over) {
            self.turn = None;
        }
        if self.turn.is_none() {
            self.turn = self.turns.take(self.clock.deadline());
            self.clock.check().map_err(Refusal::Limit)?;
        }
        Ok(())
    }

    /// Bytes of the instance's linear memory.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }

    /// Takes a line from the plugin, unless the call has logged its fill.
    pub(crate) fn log(&mut self, level: Level, message: String) {
        // Each line costs, however little it says.
        let bytes = message.len().saturating_add(PLUGIN_LOG_LINE_BYTES);
        let Some(left) = self.log_bytes_left.checked_sub(bytes) else {
            return;
        };
        self.log_bytes_left = left;
        let message = clip(message);
        self.log.add(&self.plugin, level, &message);
        if level == Level::Critical {
            self.critical = Some(message);
        }
    }

    /// The last critical message of the call.
    pub(crate) fn take_critical(&mut self) -> Option<String> {
        self.critical.take()
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.clock.elapsed()
    }
}

impl ResourceLimiter for HostState {
    fn memory_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        // A component has one memory (the pool sees to it). Trapping here, instead of letting the allocation fail,
        // keeps what the plugin does about the failure from hiding the cause.
        let limit = self.limits.memory_bytes_max;
        if desired > limit {
            return Err(Refusal::Limit(Limit::Memory(limit)).into());
        }
        self.memory_bytes = desired;
        Ok(true)
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let limit = self.limits.table_elements_max;
        if desired > limit {
            return Err(Refusal::Limit(Limit::Table(limit)).into());
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use domicile_types::Digest;

    use super::*;

    #[test]
    fn lines_that_say_nothing_count_too() {
        let name = "demo".parse().expect("a plugin name");
        let id = Arc::new(PluginId { name, version: "1.0.0".to_owned(), digest: Digest([0; 32]) });
        let limits = SandboxLimits { log_bytes_max: PLUGIN_LOG_LINE_BYTES * 10, ..SandboxLimits::default() };
        let log = Arc::new(Log::default());
        let mut state = HostState::new(&id, &log, &Arc::new(limits), &Turns::new(1));
        for _ in 0..100 {
            state.log(Level::Info, String::new());
        }
        assert_eq!(log.lines().len(), 10);
        state.begin();
        state.log(Level::Info, String::new());
        assert_eq!(log.lines().len(), 11, "each call has its own");
    }
}
