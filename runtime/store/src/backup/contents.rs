//! The list that says what a backup has.

use std::collections::BTreeMap;
use std::io;

use bytes::Bytes;
use domicile_types::{DatasetName, Digest, RegionId, limits};
use serde::{Deserialize, Serialize};

use super::{BackupProblem, BackupReport, Selection};
use crate::logs;
use crate::manifest::{Remembered, Rule};
use crate::objects::Objects;
use crate::segment::SegmentEntry;
use crate::{StoreError, hash};

const FORMAT: u32 = 1;
const PREFIX: &str = "backups/";
const SUFFIX: &str = ".json";

/// What a backup has: the state of a store, or a part of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Contents {
    pub(crate) format: u32,
    pub(crate) region: String,
    pub(crate) created_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) dataset: Option<DatasetText>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) partition: Option<String>,
    pub(crate) epoch: u32,
    pub(crate) version: u64,
    pub(crate) hlc: u64,
    pub(crate) next_seq: u64,
    /// Marks of the datasets' descriptions.
    pub(crate) shapes: BTreeMap<String, u32>,
    pub(crate) rules: BTreeMap<String, Rule>,
    pub(crate) segments: Vec<SegmentEntry>,
    pub(crate) remembered: Vec<Remembered>,
    /// What counted of each replication set; only in a backup of everything.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) logs: BTreeMap<String, logs::Note>,
}

type DatasetText = String;

/// The list as an object.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    /// Of the text of `backup`.
    #[serde(with = "hash::text")]
    sha256: Digest,
    backup: Contents,
}

/// What is known of a backup without reading its segments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupSummary {
    /// Its name.
    pub name: String,
    /// The region that it is of.
    pub region: String,
    /// When it was made, in Unix milliseconds.
    pub created_ms: u64,
    /// What of the store it has.
    pub selection: Selection,
    /// Version of the store that it has.
    pub version: u64,
    /// Segments in it.
    pub segments: usize,
    /// Row versions in them.
    pub rows: u64,
    /// Bytes of them.
    pub bytes: u64,
}

impl Contents {
    pub(crate) const FORMAT: u32 = FORMAT;

    /// What of the store it has.
    pub(crate) fn selection(&self) -> Option<Selection> {
        let Some(dataset) = &self.dataset else { return Some(Selection::All) };
        let dataset: DatasetName = dataset.parse().ok()?;
        Some(match &self.partition {
            None => Selection::Dataset(dataset),
            Some(partition) => Selection::Partition(dataset, partition.clone()),
        })
    }

    pub(crate) fn report(&self, name: &str, copied_bytes: u64) -> BackupReport {
        BackupReport {
            name: name.to_owned(),
            version: self.version,
            segments: self.segments.len(),
            rows: self.segments.iter().map(|segment| segment.rows).sum(),
            bytes: self.segments.iter().map(|segment| segment.bytes).sum(),
            copied_bytes,
        }
    }

    /// Writes the list: from here on the backup exists.
    pub(crate) fn put(&self, objects: &dyn Objects, name: &str) -> Result<(), StoreError> {
        let text = serde_json::to_vec(self).map_err(StoreError::encoding)?;
        let document = Document { sha256: hash::of_bytes(&text), backup: self.clone() };
        let text = serde_json::to_vec(&document).map_err(StoreError::encoding)?;
        let object = object_of(name);
        objects.put(&object, &Bytes::from(text)).map_err(StoreError::objects("write", &object))
    }

    /// Reads the list of a backup; of the region's latest where no name is given. Gives its name too.
    pub(crate) fn load(
        objects: &dyn Objects,
        name: Option<&str>,
        region: &RegionId,
    ) -> Result<(String, Self), StoreError> {
        let refuse = |name: &str, problem| StoreError::Backup { name: name.to_owned(), problem };
        let own = |name: &String| name.split_once('-').is_some_and(|(_, of)| of == region.as_str());
        let name = match name {
            Some(name) => name.to_owned(),
            None => {
                let latest = names(objects)?.into_iter().rfind(own);
                latest.ok_or_else(|| refuse(&format!("of {region}"), BackupProblem::Missing))?
            }
        };
        let contents = Self::load_named(objects, &name)?;
        if contents.region != region.as_str() {
            return Err(refuse(&name, BackupProblem::Region { found: contents.region }));
        }
        Ok((name, contents))
    }

    fn load_named(objects: &dyn Objects, name: &str) -> Result<Self, StoreError> {
        let refuse = |name: &str, problem| StoreError::Backup { name: name.to_owned(), problem };
        let object = object_of(name);
        let size = objects.size(&object).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => refuse(name, BackupProblem::Missing),
            _ => StoreError::objects("inspect", &object)(error),
        })?;
        let max = limits::BACKUP_LIST_BYTES_MAX;
        if size > max {
            return Err(refuse(name, BackupProblem::TooLarge { actual: size, max }));
        }
        let text = objects.read_at(&object, 0, usize::try_from(size).unwrap_or(usize::MAX));
        let text = text.map_err(StoreError::objects("read", &object))?;
        let document: Document = serde_json::from_slice(&text).map_err(|_| match is_foreign(&text) {
            true => refuse(name, BackupProblem::Format),
            false => refuse(name, BackupProblem::Damaged),
        })?;
        if document.backup.format != FORMAT {
            return Err(refuse(name, BackupProblem::Format));
        }
        let text = serde_json::to_vec(&document.backup).map_err(StoreError::encoding)?;
        if hash::of_bytes(&text) != document.sha256 {
            return Err(refuse(name, BackupProblem::Damaged));
        }
        Ok(document.backup)
    }
}

/// Whether a list says that it is in another format. What cannot be read and does not say so is damaged.
fn is_foreign(text: &[u8]) -> bool {
    let list = serde_json::from_slice::<serde_json::Value>(text).unwrap_or_default();
    list["backup"]["format"].as_u64().is_some_and(|format| format != u64::from(Contents::FORMAT))
}

fn object_of(name: &str) -> String {
    format!("{PREFIX}{name}{SUFFIX}")
}

/// The names of all backups, the oldest first.
fn names(objects: &dyn Objects) -> Result<Vec<String>, StoreError> {
    let objects = objects.list(PREFIX).map_err(StoreError::objects("list", PREFIX))?;
    let name = |object: &String| Some(object.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?.to_owned());
    let mut names: Vec<String> = objects.iter().filter_map(name).collect();
    names.sort();
    Ok(names)
}

/// The backups at one place, the oldest first. Those that cannot be read are left out, and named in the log.
///
/// # Errors
/// Where the place cannot be reached.
pub fn list_backups(objects: &dyn Objects) -> Result<Vec<BackupSummary>, StoreError> {
    let mut summaries = Vec::new();
    for name in names(objects)? {
        match Contents::load_named(objects, &name) {
            Ok(contents) => {
                let BackupReport { version, segments, rows, bytes, .. } = contents.report(&name, 0);
                let selection = contents.selection().unwrap_or_default();
                let Contents { region, created_ms, .. } = contents;
                summaries.push(BackupSummary { name, region, created_ms, selection, version, segments, rows, bytes });
            }
            Err(error @ StoreError::Backup { .. }) => tracing::warn!(%error, "a backup cannot be read"),
            Err(error) => return Err(error),
        }
    }
    Ok(summaries)
}
