//! Snapshots that somebody holds while the store goes on.

use crate::reader::{self, ReadError};
use crate::world::{Held, World};

impl World {
    pub(crate) fn hold(&mut self) -> Result<(), String> {
        if self.held.len() >= 3 {
            let oldest = self.rng.index(self.held.len());
            self.held.remove(oldest);
        }
        let Some(all) = self.read_all()? else { return Ok(()) };
        let snapshot = self.store().reader().snapshot();
        self.held.push(Held { snapshot, rows: all.into_iter().map(|found| found.rows).collect() });
        Ok(())
    }

    pub(crate) fn look_at_held(&mut self) -> Result<(), String> {
        let failures = self.failures();
        for held in &self.held {
            for (table, rows) in self.tables.iter().zip(&held.rows) {
                match reader::read(&held.snapshot, table) {
                    Ok(found) if found.rows == *rows => {}
                    Ok(_) => return Err(format!("{}: a snapshot changed", table.name())),
                    Err(ReadError::Wrong(text)) => return Err(text),
                    Err(ReadError::Refused(_)) if self.failures() > failures => {}
                    Err(ReadError::Refused(error)) => return Err(format!("a held snapshot is refused: {error}")),
                }
            }
        }
        Ok(())
    }
}
