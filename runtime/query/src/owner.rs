//! One thread that owns a value; everyone else sends it work.
//!
//! The store, the ledger and the plugin registry each block on the disk and take one change at a time. An owner
//! gives them that order without a lock that callers hold across I/O.

use std::thread;

use tokio::sync::{mpsc, oneshot};

type Job<T> = Box<dyn FnOnce(&mut T) + Send>;

/// A handle to a value that lives on a thread of its own. The thread ends once every handle is gone.
pub(crate) struct Owner<T> {
    jobs: mpsc::Sender<Job<T>>,
}

impl<T> std::fmt::Debug for Owner<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Owner(…)")
    }
}

/// The owning thread ended early: a change to its value panicked, and the value is not used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this region can make no further changes since an earlier one failed; restart it")]
pub struct OwnerGone;

impl<T: Send + 'static> Owner<T> {
    /// Starts the thread `name`, with at most `queue` jobs waiting.
    ///
    /// # Errors
    /// Where the system has no thread to give.
    pub(crate) fn start(name: &str, queue: usize, mut value: T) -> std::io::Result<Self> {
        let (jobs, mut waiting) = mpsc::channel::<Job<T>>(queue);
        thread::Builder::new().name(name.to_owned()).spawn(move || {
            while let Some(job) = waiting.blocking_recv() {
                job(&mut value);
            }
        })?;
        Ok(Self { jobs })
    }

    /// Sends a job that nobody waits for. It is dropped where the queue is full, or the owning thread has ended; says
    /// whether it was taken.
    pub(crate) fn tell(&self, job: impl FnOnce(&mut T) + Send + 'static) -> bool {
        self.jobs.try_send(Box::new(job)).is_ok()
    }

    /// Runs `job` on the value, after the jobs sent before it.
    ///
    /// # Errors
    /// Where the owning thread has ended.
    pub(crate) async fn run<R: Send + 'static>(
        &self,
        job: impl FnOnce(&mut T) -> R + Send + 'static,
    ) -> Result<R, OwnerGone> {
        let (answer, answered) = oneshot::channel();
        let job: Job<T> = Box::new(move |value| {
            // A caller that gave up does not stop the change.
            let _ = answer.send(job(value));
        });
        self.jobs.send(job).await.map_err(|_| OwnerGone)?;
        answered.await.map_err(|_| OwnerGone)
    }
}
