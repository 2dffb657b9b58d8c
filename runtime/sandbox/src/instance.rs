//! One instance of a component, and the calls into it.

use std::sync::Arc;

use arrow::array::ArrayRef;
use domicile_types::limits::{PLUGIN_HANDLES_MAX, PLUGIN_ITEMS_MAX};
use wasmtime::component::InstancePre;
use wasmtime::{Store, UpdateDeadline};

use crate::contract::World;
use crate::error::clip;
use crate::explain::explain;
use crate::exports::Use;
use crate::frame::Frame;
use crate::host::HostState;
use crate::limit::Limit;
use crate::log::Log;
use crate::metrics::{CallRecord, Metrics, Outcome, Recorder};
use crate::runtime::{Runtime, Slot};
use crate::wit::Level;
use crate::{PluginId, SandboxError};

/// The numbers of a call's arguments, which are its first columns.
const NUMBERS: [u32; PLUGIN_ITEMS_MAX] = {
    let mut numbers = [0; PLUGIN_ITEMS_MAX];
    let mut next = 0;
    while next < numbers.len() {
        numbers[next] = next as u32;
        next += 1;
    }
    numbers
};

/// The numbers of so many arguments. No interface declares more than there are here.
pub(crate) fn argument_numbers(count: usize) -> &'static [u32] {
    NUMBERS.get(..count).unwrap_or(&NUMBERS)
}

/// What all instances of a plugin have in common.
pub(crate) struct Origin {
    pub(crate) id: Arc<PluginId>,
    pub(crate) world: World,
    pub(crate) pre: InstancePre<HostState>,
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) log: Arc<Log>,
}

/// Why a call has no answer although the plugin returned.
pub(crate) enum Unanswered {
    /// The plugin says that it cannot do what it was asked.
    Said(String),
    /// The answer is not what was declared.
    Invalid(String),
    /// The answer exceeds a limit.
    Limit(Limit),
}

/// A running instance.
pub(crate) struct Started {
    pub(crate) store: Store<HostState>,
    pub(crate) instance: wasmtime::component::Instance,
    origin: Arc<Origin>,
    // Boxed, so that an instance that moves is small.
    recorder: Box<Recorder>,
    failed: bool,
    // Last: the store must have given its memory back to the pool before another instance takes the slot.
    _slot: Slot,
}

impl Started {
    /// A fresh instance. Code of the plugin may run already, within the time that an instance may take to start.
    pub(crate) fn new(origin: &Arc<Origin>) -> Result<Self, SandboxError> {
        let slot = origin.runtime.slot(&origin.id)?;
        let (runtime, pure) = (&origin.runtime, origin.world.is_pure());
        let state = HostState::new(&origin.id, &origin.log, &runtime.limits, &runtime.turns);
        let mut store = Store::new(runtime.engine(pure), state);
        store.limiter(|state| state);
        store.set_hostcall_fuel(runtime.limits.output_bytes_max);
        store.set_max_component_handles(PLUGIN_HANDLES_MAX);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|mut store| {
            store.data_mut().check_time()?;
            Ok(UpdateDeadline::Continue(1))
        });
        let made = refuel(&mut store, origin).and_then(|()| origin.pre.instantiate(&mut store));
        let instance = made.map_err(|error| explain(origin, "start", store.data_mut(), &error))?;
        store.data_mut().end();
        let recorder = Box::new(Recorder::new(&origin.metrics));
        Ok(Self { store, instance, origin: Arc::clone(origin), recorder, failed: false, _slot: slot })
    }

    /// Calls into the plugin under the limits of one call. The columns that it answers with are those of the call: what
    /// `finish` takes of them is all that is left of it.
    ///
    /// After an error of the plugin's code the instance is not called again.
    pub(crate) fn call<R, T>(
        &mut self,
        function: &str,
        arguments: &[ArrayRef],
        rows: usize,
        call: impl FnOnce(&mut Store<HostState>) -> wasmtime::Result<R>,
        finish: impl FnOnce(R, &Frame) -> Result<T, Unanswered>,
    ) -> Result<T, SandboxError> {
        if self.failed {
            return Err(self.origin.unfit(function, "an earlier call into this instance failed".to_owned()));
        }
        let sample = self.recorder.start(rows);
        self.store.data_mut().begin();
        self.store.data_mut().frame.begin(arguments);
        self.store.set_epoch_deadline(1);
        let returned = refuel(&mut self.store, &self.origin).and_then(|()| call(&mut self.store));
        self.store.data_mut().end();
        let answer = match returned {
            Ok(returned) => finish(returned, &self.store.data().frame)
                .map_err(|unanswered| self.origin.unanswered(function, unanswered)),
            Err(error) => {
                self.failed = true;
                Err(explain(&self.origin, function, self.store.data_mut(), &error))
            }
        };
        if let Err(error) = &answer {
            // Those who asked from elsewhere are not told, so the plugin's own log is where its author finds it.
            self.origin.log.add(&self.origin.id, Level::Error, &clip(error.to_string()));
        }
        if let Some(sample) = sample {
            self.recorder.stop(&sample);
        }
        let state = self.store.data_mut();
        state.frame.clear();
        self.recorder.record(&CallRecord {
            duration: state.elapsed(),
            outcome: outcome(&answer),
            memory_bytes: state.memory_bytes(),
            traffic: state.traffic,
        });
        answer
    }
}

fn refuel(store: &mut Store<HostState>, origin: &Origin) -> wasmtime::Result<()> {
    if origin.world.is_pure() { store.set_fuel(origin.runtime.limits.merge_fuel_max) } else { Ok(()) }
}

fn outcome<T>(answer: &Result<T, SandboxError>) -> Outcome {
    match answer {
        Ok(_) => Outcome::Answered,
        Err(SandboxError::LimitReached { .. }) => Outcome::LimitHit,
        Err(SandboxError::Returned { .. }) => Outcome::Failed,
        Err(_) => Outcome::Trapped,
    }
}

impl Origin {
    pub(crate) fn unfit(&self, function: &str, detail: String) -> SandboxError {
        SandboxError::ArgumentsInvalid { plugin: Arc::clone(&self.id), function: function.to_owned(), detail }
    }

    pub(crate) fn limit_reached(&self, function: &str, limit: Limit) -> SandboxError {
        let (plugin, function) = (Arc::clone(&self.id), function.to_owned());
        SandboxError::LimitReached { plugin, function, limit, place: Box::default() }
    }

    pub(crate) fn wrong_world(&self, wanted: &'static str) -> SandboxError {
        SandboxError::WrongWorld { plugin: Arc::clone(&self.id), wanted }
    }

    fn unanswered(&self, function: &str, unanswered: Unanswered) -> SandboxError {
        let plugin = Arc::clone(&self.id);
        match unanswered {
            Unanswered::Limit(limit) => self.limit_reached(function, limit),
            Unanswered::Said(message) => {
                SandboxError::Returned { plugin, function: function.to_owned(), message: clip(message) }
            }
            Unanswered::Invalid(detail) => {
                SandboxError::OutputInvalid { plugin, function: function.to_owned(), detail }
            }
        }
    }
}

/// An instance with the functions that its caller needs.
pub(crate) struct Instance<U> {
    pub(crate) started: Started,
    pub(crate) uses: U,
}

impl<U: Use> Instance<U> {
    pub(crate) fn new(origin: &Arc<Origin>, exports: &U::Exports) -> Result<Self, SandboxError> {
        let mut started = Started::new(origin)?;
        let instance = started.instance;
        let uses = U::bind(exports, &mut started.store, &instance).ok_or_else(|| SandboxError::Engine {
            detail: format!("the exports of plugin {} are those of another component", origin.id),
        })?;
        Ok(Self { started, uses })
    }
}
