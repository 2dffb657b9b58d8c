//! Threads of their own for requests to object stores: a request that needs a thread never waits for one that waits
//! for requests.

use std::future::Future;
use std::io;
use std::sync::Arc;

use tokio::runtime::{Builder, Runtime};

/// Threads that send requests; what is done on the disk for them has further ones.
const SENDING: usize = 2;

/// The threads that requests to object stores run on. They end once nothing uses them.
#[derive(Debug, Clone)]
pub struct ObjectThreads(Arc<Threads>);

/// Taken when dropped, which may be on a thread that must not wait.
#[derive(Debug)]
struct Threads(Option<Runtime>);

impl ObjectThreads {
    /// Starts the threads.
    ///
    /// # Errors
    /// Where the system has none to give.
    pub fn start() -> io::Result<Self> {
        let runtime =
            Builder::new_multi_thread().worker_threads(SENDING).thread_name("objects").enable_all().build()?;
        Ok(Self(Arc::new(Threads(Some(runtime)))))
    }

    pub(crate) fn spawn(&self, request: impl Future<Output = ()> + Send + 'static) {
        if let Some(runtime) = &self.0.0 {
            runtime.spawn(request);
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
