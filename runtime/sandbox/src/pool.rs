//! Instances of function plugins that wait for their next call.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::instance::Instance;
use crate::wit::Functions;

/// Idle instances of all plugins, the longest idle first. Never longer than the limit on instances.
#[derive(Default)]
pub(crate) struct IdleInstances(Mutex<VecDeque<(PluginKey, Instance<Functions>)>>);

/// Tells apart the plugins of one sandbox, two loads of the same bytes included.
pub(crate) type PluginKey = u64;

impl IdleInstances {
    /// The most recently used instance of a plugin, whose memory is the likeliest to be in a cache.
    pub(crate) fn take(&self, plugin: PluginKey) -> Option<Instance<Functions>> {
        let mut idle = self.lock();
        let position = idle.iter().rposition(|(key, _)| *key == plugin)?;
        idle.remove(position).map(|(_, instance)| instance)
    }

    pub(crate) fn put(&self, plugin: PluginKey, instance: Instance<Functions>) {
        self.lock().push_back((plugin, instance));
    }

    /// Ends the instance that has been idle the longest; false where there is none.
    pub(crate) fn evict(&self) -> bool {
        let evicted = self.lock().pop_front();
        evicted.is_some()
    }

    /// Ends all idle instances of a plugin.
    pub(crate) fn remove(&self, plugin: PluginKey) {
        self.lock().retain(|(key, _)| *key != plugin);
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(PluginKey, Instance<Functions>)>> {
        // Nothing panics while holding the lock, and the queue is consistent between any two operations.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
