//! The engines that all plugins of a sandbox share, their clock, and the count of instances.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use domicile_types::limits::PLUGIN_MERGE_INSTANCES_MAX;
use wasmtime::{
    Config, Enabled, Engine, Inlining, InstanceAllocationStrategy, PoolingAllocationConfig, WasmBacktraceDetails,
};

use crate::turns::Turns;
use crate::{PluginId, SandboxError, SandboxLimits};

/// How often running plugins are looked at. A call ends at most two ticks after its time limit.
const TICK: Duration = Duration::from_millis(10);
/// Core instances of one component: its module, and those that wire its imports.
const CORE_INSTANCES_PER_COMPONENT: u32 = 16;
/// Tables of one component: its module's, and that of the wiring.
const TABLES_PER_COMPONENT: u32 = 4;
/// Host memory for one component's and one core module's bookkeeping, in bytes.
const INSTANCE_BYTES_MAX: usize = 1024 * 1024;
/// Memory that an instance keeps between two lives, in bytes; the rest goes back to the system.
const KEPT_RESIDENT_BYTES: usize = 1024 * 1024;

/// As of memory, of a table.
const KEPT_TABLE_BYTES: usize = 64 * 1024;

/// Everything that outlives a single plugin.
pub(crate) struct Runtime {
    engine: Engine,
    pure_engine: Engine,
    pub(crate) limits: Arc<SandboxLimits>,
    pub(crate) turns: Arc<Turns>,
    live: AtomicUsize,
    _ticker: Ticker,
}

impl Runtime {
    pub(crate) fn new(limits: SandboxLimits) -> Result<Self, SandboxError> {
        let failed = |error: wasmtime::Error| SandboxError::Engine { detail: format!("{error:#}") };
        let instances = limits.instances_max;
        let engine = Engine::new(&pooled(config(&limits, false), &limits, instances)?).map_err(failed)?;
        let instances = instances.min(PLUGIN_MERGE_INSTANCES_MAX);
        let pure_engine = Engine::new(&pooled(config(&limits, true), &limits, instances)?).map_err(failed)?;
        let ticker = Ticker::start([engine.clone(), pure_engine.clone()])
            .map_err(|error| SandboxError::Engine { detail: error.to_string() })?;
        let turns = Turns::new(thread::available_parallelism().map_or(1, usize::from).saturating_sub(1));
        let limits = Arc::new(limits);
        Ok(Self { engine, pure_engine, limits, turns, live: AtomicUsize::new(0), _ticker: ticker })
    }

    /// The engine for plugins that are given something, or for pure ones.
    pub(crate) fn engine(&self, pure: bool) -> &Engine {
        if pure { &self.pure_engine } else { &self.engine }
    }

    /// The right to one more instance.
    pub(crate) fn slot(self: &Arc<Self>, plugin: &Arc<PluginId>) -> Result<Slot, SandboxError> {
        let limit = self.limits.instances_max;
        self.live
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |live| (live < limit).then_some(live + 1))
            .map(|_| Slot(Arc::clone(self)))
            .map_err(|_| SandboxError::TooManyInstances { plugin: Arc::clone(plugin), limit })
    }
}

/// The right to one instance; given back on drop. An instance drops its store before this.
pub(crate) struct Slot(Arc<Runtime>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.live.fetch_sub(1, Ordering::AcqRel);
    }
}

/// What compiled code depends on. The process that compiles has the same.
///
/// Pure code counts its steps, knows one NaN only, and its relaxed vector instructions do the same everywhere.
pub(crate) fn config(limits: &SandboxLimits, pure: bool) -> Config {
    let mut config = Config::new();
    config
        // Across modules only: within one, the plugin's own compiler did it, and frames would be missing from errors.
        .compiler_inlining(Inlining::InterModule)
        .concurrency_support(false)
        .epoch_interruption(true)
        .memory_init_cow(true)
        .memory_may_move(false)
        .max_wasm_stack(limits.stack_bytes_max)
        // Source lines in errors, for components that tell them.
        .wasm_backtrace_details(WasmBacktraceDetails::Enable)
        .consume_fuel(pure)
        .cranelift_nan_canonicalization(pure)
        .relaxed_simd_deterministic(pure);
    config
}

fn pooled(mut config: Config, limits: &SandboxLimits, instances: usize) -> Result<Config, SandboxError> {
    let instances = u32::try_from(instances)
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
        .table_elements(limits.table_elements_max)
        .linear_memory_keep_resident(KEPT_RESIDENT_BYTES)
        .table_keep_resident(KEPT_TABLE_BYTES)
        // Where the system tells which pages were written, only those are reset.
        .pagemap_scan(Enabled::Auto);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    Ok(config)
}

/// The thread that advances the engines' epochs; it ends when this is dropped.
struct Ticker {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    fn start(engines: [Engine; 2]) -> std::io::Result<Self> {
        let (stop, stopped) = mpsc::channel::<()>();
        let tick = move || {
            while stopped.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                engines.iter().for_each(Engine::increment_epoch);
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
