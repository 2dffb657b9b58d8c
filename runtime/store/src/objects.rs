//! Storage for whole, immutable files by name: what left the local disk, and backups.

use std::fmt::Debug;
use std::io;
use std::sync::OnceLock;

use bytes::Bytes;

use crate::disk::ReadAt;
use crate::{Segment, SegmentProblem};

/// An object store, as far as segments and backups need one. Calls block.
///
/// Every method fails where the other side cannot be reached or refuses.
#[expect(clippy::missing_errors_doc, reason = "said once for all methods above")]
pub trait Objects: Debug + Send + Sync {
    /// Stores content under `name`, in place of what is there: afterwards all of it is there to stay, or it fails.
    fn put(&self, name: &str, source: &dyn ReadAt) -> io::Result<()>;

    /// Makes sure that an object stays whatever happens to the machine, where a [`Objects::put`] that was cut off may
    /// have left one that is there and does not. Nothing to do where what is there stays.
    fn secure(&self, name: &str) -> io::Result<()> {
        let _ = name;
        Ok(())
    }

    /// Reads exactly `length` bytes from `offset` on.
    fn read_at(&self, name: &str, offset: u64, length: usize) -> io::Result<Bytes>;

    /// Size in bytes; [`io::ErrorKind::NotFound`] where there is no such object.
    fn size(&self, name: &str) -> io::Result<u64>;

    /// The names that start with `prefix`, in any order.
    fn list(&self, prefix: &str) -> io::Result<Vec<String>>;

    /// Removes an object; nothing where there is none.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Where an object is, for messages.
    fn address(&self, name: &str) -> String {
        name.to_owned()
    }
}

/// A segment as content to copy from. What is read was compared with its checksums.
#[derive(Debug)]
pub(crate) struct SegmentFile<'a> {
    segment: &'a Segment,
    problem: OnceLock<SegmentProblem>,
}

impl<'a> SegmentFile<'a> {
    pub(crate) fn new(segment: &'a Segment) -> Self {
        Self { segment, problem: OnceLock::new() }
    }

    /// What was found to be wrong with the segment while it was read.
    pub(crate) fn problem(&self) -> Option<SegmentProblem> {
        self.problem.get().cloned()
    }
}

impl ReadAt for SegmentFile<'_> {
    fn read_at(&self, offset: u64, length: usize) -> io::Result<Bytes> {
        self.segment.read(offset..offset.saturating_add(length as u64)).map_err(|error| {
            if let Some(problem) = error.segment_problem() {
                self.problem.get_or_init(|| problem.clone());
            }
            io::Error::other(error)
        })
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.segment.bytes)
    }
}
