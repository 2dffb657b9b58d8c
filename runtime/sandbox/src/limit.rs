//! What limits are called, and where they were met.

use std::fmt;
use std::time::Duration;

/// A limit that a call exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Wall-clock time.
    Time(Duration),
    /// Time of the processor.
    CpuTime(Duration),
    /// Linear memory, in bytes.
    Memory(usize),
    /// Entries of a table.
    Table(usize),
    /// The stack, in bytes.
    Stack(usize),
    /// Rows of the answer.
    OutputRows(usize),
    /// Bytes of the answer, or of what one call of the host passes.
    OutputBytes(usize),
    /// Calls of the host.
    HostCalls(u64),
    /// Columns that the call makes.
    Columns(usize),
    /// Bytes of the columns that the call makes.
    ColumnBytes(usize),
    /// Handles.
    Handles(usize),
    /// Steps, where they are counted.
    Fuel(u64),
}

impl Limit {
    /// A name for machines, units last.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Time(_) => "time_ms",
            Self::CpuTime(_) => "cpu_time_ms",
            Self::Memory(_) => "memory_bytes",
            Self::Table(_) => "table_elements",
            Self::Stack(_) => "stack_bytes",
            Self::OutputRows(_) => "output_rows",
            Self::OutputBytes(_) => "output_bytes",
            Self::HostCalls(_) => "host_calls",
            Self::Columns(_) => "columns",
            Self::ColumnBytes(_) => "column_bytes",
            Self::Handles(_) => "handles",
            Self::Fuel(_) => "fuel",
        }
    }

    /// The limit, in the unit of its name.
    pub fn value(&self) -> u64 {
        match *self {
            Self::Time(limit) | Self::CpuTime(limit) => u64::try_from(limit.as_millis()).unwrap_or(u64::MAX),
            Self::HostCalls(limit) | Self::Fuel(limit) => limit,
            Self::Memory(limit)
            | Self::Table(limit)
            | Self::Stack(limit)
            | Self::OutputRows(limit)
            | Self::OutputBytes(limit)
            | Self::Columns(limit)
            | Self::ColumnBytes(limit)
            | Self::Handles(limit) => limit as u64,
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.value();
        match self {
            Self::Time(_) => write!(f, "time limit of {value} ms"),
            Self::CpuTime(_) => write!(f, "processor time limit of {value} ms"),
            Self::Memory(_) => write!(f, "memory limit of {value} bytes"),
            Self::Table(_) => write!(f, "table limit of {value} entries"),
            Self::Stack(_) => write!(f, "stack limit of {value} bytes"),
            Self::OutputRows(_) => write!(f, "output limit of {value} rows"),
            Self::OutputBytes(_) => write!(f, "output limit of {value} bytes"),
            Self::HostCalls(_) => write!(f, "limit of {value} calls of the host"),
            Self::Columns(_) => write!(f, "limit of {value} columns made in one call"),
            Self::ColumnBytes(_) => write!(f, "limit of {value} bytes of columns made in one call"),
            Self::Handles(_) => write!(f, "limit of {value} handles"),
            Self::Fuel(_) => write!(f, "limit of {value} steps"),
        }
    }
}

/// Where a plugin's code was. Which code runs can depend on rows, so it counts as text of the plugin's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// The innermost function of the plugin's code that has a name.
    pub function: Option<String>,
    /// Source file and line, `file:line`, where the component tells them.
    pub line: Option<String>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(function) = &self.function {
            write!(f, ", in `{function}`")?;
        }
        if let Some(line) = &self.line {
            write!(f, " at {line}")?;
        }
        Ok(())
    }
}
