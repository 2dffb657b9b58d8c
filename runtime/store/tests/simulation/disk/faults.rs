//! What goes wrong, and when.

use std::io;
use std::path::Path;

/// Something that goes wrong once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The machine stops: this operation may still happen in part, and none after it.
    Crash,
    /// One operation fails.
    Io,
    /// One sync of a file or directory fails.
    Sync,
    /// The file system becomes read-only until the next start.
    ReadOnly,
}

/// Operations as the schedule of faults and the trace tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Create,
    Open,
    Rename,
    Remove,
    List,
    CreateDir,
    SyncDir,
    Lock,
    Write,
    Read,
    Size,
    SetSize,
    Reserve,
    Sync,
}

impl Kind {
    fn writes(self) -> bool {
        !matches!(self, Self::Open | Self::List | Self::Read | Self::Size | Self::Lock)
    }
}

#[derive(Debug, Default)]
pub(super) struct Faults {
    scheduled: Vec<(u64, Fault)>,
    operations: u64,
    read_only: bool,
    fired: u64,
}

impl Faults {
    pub(super) fn schedule(&mut self, after: u64, fault: Fault) {
        self.scheduled.push((self.operations + after, fault));
    }

    pub(super) fn clear(&mut self) {
        self.scheduled.clear();
        self.read_only = false;
    }

    pub(super) fn restart(&mut self) {
        self.read_only = false;
    }

    /// How many operations have failed.
    pub(super) fn fired(&self) -> u64 {
        self.fired
    }

    pub(super) fn operations(&self) -> u64 {
        self.operations
    }

    /// Counts an operation, and tells what goes wrong with it.
    pub(super) fn meet(&mut self, kind: Kind) -> Option<Fault> {
        self.operations += 1;
        let due = self.scheduled.iter().position(|(at, fault)| {
            let fits = match fault {
                Fault::Sync => matches!(kind, Kind::Sync | Kind::SyncDir),
                Fault::Crash | Fault::Io | Fault::ReadOnly => true,
            };
            self.operations >= *at && fits
        });
        let mut met = due.map(|due| self.scheduled.remove(due).1);
        if met == Some(Fault::ReadOnly) {
            self.read_only = true;
            met = None;
        }
        if self.read_only && kind.writes() && met != Some(Fault::Crash) {
            met = Some(Fault::ReadOnly);
        }
        self.fired += u64::from(met.is_some());
        met
    }
}

/// FNV-1a over every operation: two runs that did the same have the same digest.
#[derive(Debug)]
pub(super) struct Trace {
    digest: u64,
    shown: bool,
}

impl Trace {
    pub(super) fn new(shown: bool) -> Self {
        Self { digest: 0xcbf2_9ce4_8422_2325, shown }
    }

    pub(super) fn digest(&self) -> u64 {
        self.digest
    }

    pub(super) fn add(&mut self, kind: Kind, path: &Path, offset: u64, length: u64, fault: Option<Fault>) {
        self.bytes(path.as_os_str().as_encoded_bytes());
        for number in [kind as u64, offset, length, fault.map_or(0, |fault| 1 + fault as u64)] {
            self.bytes(&number.to_le_bytes());
        }
        if self.shown {
            let fault = fault.map(|fault| format!("  <-- {fault:?}")).unwrap_or_default();
            eprintln!("    {kind:?} {} {offset} +{length}{fault}", path.display());
        }
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.digest = (self.digest ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

pub(super) fn error(fault: Fault) -> io::Error {
    match fault {
        Fault::Crash => io::Error::other("the machine has stopped"),
        Fault::Io | Fault::Sync => io::Error::from_raw_os_error(5),
        Fault::ReadOnly => io::Error::from_raw_os_error(30),
    }
}

pub(super) fn full() -> io::Error {
    io::Error::from_raw_os_error(28)
}
