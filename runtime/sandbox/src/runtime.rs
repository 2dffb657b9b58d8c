//! The engine that all plugins of a sandbox share, its clock, and the count of instances.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use wasmtime::{Config, Engine, Inlining, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::pool::IdleInstances;
use crate::{PluginId, SandboxError, SandboxLimits};

/// How often running plugins are looked at. A call ends at most two ticks after its time limit.
const TICK: Duration = Duration::from_millis(10);
/// Core instances of one component: its module, and those that wire its imports.
const CORE_INSTANCES_PER_COMPONENT: u32 = 16;
/// Tables of one component: its module's, and that of the wiring.
const TABLES_PER_COMPONENT: u32 = 4;
/// Entries of a table, which bounds the functions that a plugin can call indirectly.
pub(crate) const TABLE_ELEMENTS_MAX: usize = 20_000;
/// Host memory for one component's and one core module's bookkeeping, in bytes.
const INSTANCE_BYTES_MAX: usize = 1024 * 1024;
/// Memory that an instance keeps between two lives, in bytes; the rest goes back to the system.
const KEPT_RESIDENT_BYTES: usize = 1024 * 1024;

/// Everything that outlives a single plugin.
pub(crate) struct Runtime {
    pub(crate) engine: Engine,
    pub(crate) limits: SandboxLimits,
    pub(crate) idle: IdleInstances,
    live: AtomicUsize,
    _ticker: Ticker,
}

impl Runtime {
    pub(crate) fn new(limits: SandboxLimits) -> Result<Self, SandboxError> {
        let failed = |detail: String| SandboxError::Engine { detail };
        let config = config(&limits)?;
        let engine = Engine::new(&config).map_err(|error| failed(format!("{error:#}")))?;
        let ticker = Ticker::start(engine.clone()).map_err(|error| failed(error.to_string()))?;
        Ok(Self { engine, limits, idle: IdleInstances::default(), live: AtomicUsize::new(0), _ticker: ticker })
    }

    /// Ticks after which a call that starts now has used up its time, never less than the limit.
    pub(crate) fn call_ticks(&self) -> u64 {
        let ticks = self.limits.call_timeout.as_nanos().div_ceil(TICK.as_nanos());
        u64::try_from(ticks).unwrap_or(u64::MAX - 1).saturating_add(1)
    }

    /// The right to one more instance. Where all are taken, an idle instance makes room.
    pub(crate) fn slot(self: &Arc<Self>, plugin: &Arc<PluginId>) -> Result<Slot, SandboxError> {
        loop {
            let limit = self.limits.instances_max;
            let taken = self.live.fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| (n < limit).then_some(n + 1));
            if taken.is_ok() {
                return Ok(Slot(Arc::clone(self)));
            }
            if !self.idle.evict() {
                return Err(SandboxError::TooManyInstances { plugin: Arc::clone(plugin), limit });
            }
        }
    }
}

/// The right to one instance; given back on drop. An instance drops its store before this.
pub(crate) struct Slot(Arc<Runtime>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.live.fetch_sub(1, Ordering::AcqRel);
    }
}

fn config(limits: &SandboxLimits) -> Result<Config, SandboxError> {
    let instances = u32::try_from(limits.instances_max)
        .ok()
        .filter(|instances| *instances > 0 && instances.checked_mul(CORE_INSTANCES_PER_COMPONENT).is_some())
        .ok_or_else(|| SandboxError::Engine { detail: "`instances_max` is zero or too large".to_owned() })?;
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(instances)
        .total_core_instances(instances * CORE_INSTANCES_PER_COMPONENT)
        .total_memories(instances)
        .total_tables(instances * TABLES_PER_COMPONENT)
        .max_core_instances_per_component(CORE_INSTANCES_PER_COMPONENT)
        .max_memories_per_component(1)
        .max_tables_per_component(TABLES_PER_COMPONENT)
        .max_component_instance_size(INSTANCE_BYTES_MAX)
        .max_core_instance_size(INSTANCE_BYTES_MAX)
        .max_memory_size(limits.memory_bytes_max)
        .table_elements(TABLE_ELEMENTS_MAX)
        .linear_memory_keep_resident(KEPT_RESIDENT_BYTES);
    let mut config = Config::new();
    config
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        .compiler_inlining(Inlining::Yes)
        .concurrency_support(false)
        .epoch_interruption(true)
        .memory_init_cow(true)
        .memory_may_move(false);
    Ok(config)
}

/// The thread that advances the engine's epoch; it ends when this is dropped.
struct Ticker {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    fn start(engine: Engine) -> std::io::Result<Self> {
        let (stop, stopped) = mpsc::channel::<()>();
        let tick = move || {
            while stopped.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                engine.increment_epoch();
            }
        };
        let thread = thread::Builder::new().name("plugin-ticker".to_owned()).spawn(tick)?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // The thread cannot panic, and a drop has nobody to tell.
            drop(thread.join());
        }
    }
}
