//! Damage to what was durable: it is reported with file and offset, or does not matter. It is never served.

use std::path::Path;

use domicile_store::StoreError;

use crate::disk::Damage;
use crate::model::difference;
use crate::reader::{self, ReadError};
use crate::world::{DIR, World};

/// A file that is appended to: damage to what was written last looks like a torn write there.
fn is_log(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "wal") || path.to_string_lossy().contains("/MANIFEST-")
}

impl World {
    /// Damages the disk, and starts the store once more.
    pub(crate) fn rot(&mut self) -> Result<(), String> {
        self.disk.crash();
        self.close();
        self.disk.heal();
        let lock = Path::new(DIR).join("LOCK");
        let Some(damage) = self.disk.damage(|path| *path != lock, is_log) else { return Ok(()) };
        self.report.count("damages", 1);
        let mut refused = 0;
        match self.open_store() {
            Err(error) => {
                self.report.count("damages that prevent a start", 1);
                return names(&error, &damage);
            }
            Ok(store) => self.store = Some(store),
        }
        let snapshot = self.store().reader().snapshot();
        for (number, table) in self.tables.iter().enumerate() {
            let expected = self.model.kept(number, &self.model.visible(number), self.day());
            match reader::read(&snapshot, table).map(|found| self.model.kept(number, &found.rows, self.day())) {
                Ok(rows) if rows == expected => {}
                Ok(rows) => {
                    let difference = difference(&expected, &rows);
                    return Err(format!("{}: {damage:?} is served: {difference}", table.name()));
                }
                Err(ReadError::Wrong(text)) => return Err(format!("{damage:?} is served: {text}")),
                Err(ReadError::Refused(error)) => {
                    names(&error, &damage)?;
                    refused += 1;
                }
            }
        }
        let one = damage.path.parent() == Some(&Path::new(DIR).join("segments"));
        if one && refused > 1 {
            return Err(format!("{damage:?} makes {refused} datasets unreadable"));
        }
        self.report.count("damages that refuse rows", u64::from(refused > 0));
        Ok(())
    }
}

/// The error has to say where the damage is.
fn names(error: &StoreError, damage: &Damage) -> Result<(), String> {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    let file = damage.path.file_name().unwrap_or_default().to_string_lossy();
    let says = text.contains(file.as_ref()) && text.contains("offset");
    if says { Ok(()) } else { Err(format!("{damage:?} is reported as: {text}")) }
}
