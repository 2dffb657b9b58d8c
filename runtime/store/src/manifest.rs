//! The manifest: which segments a store consists of. One file, replaced as a whole.
//!
//! Its first line names the format and the SHA-256 digest of the JSON that follows, so that a damaged manifest is
//! told from a valid one before anything is believed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;

use domicile_types::{DatasetName, Digest, KeyValue, RegionId, Residency};
use serde::{Deserialize, Serialize};

use crate::catalog::{Catalog, Entry};
use crate::segment::Segment;
use crate::{ManifestProblem, StoreError, hash};

/// The file's name in the store's directory.
pub(crate) const FILE: &str = "MANIFEST";

const FORMAT: &str = "domicile-manifest 1";

/// What a store consists of at one version.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    region: String,
    /// Commits so far.
    pub(crate) version: u64,
    datasets: BTreeMap<String, Held>,
}

/// What is held of one dataset.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Held {
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<Rule>,
    segments: Vec<SegmentEntry>,
    loads: Vec<LoadEntry>,
}

/// The residency rule that the rows were checked under, as far as a change of it would make them wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Rule {
    Reference,
    Column { column: String, entity: String, values: BTreeSet<Value> },
    Follows { dataset: String, column: String },
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Value {
    Integer(i64),
    Text(String),
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SegmentEntry {
    file: String,
    rows: u64,
    bytes: u64,
    sha256: String,
}

/// A load that was committed.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LoadEntry {
    sha256: String,
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    pub(crate) version: u64,
}

/// What one load adds.
pub(crate) struct Addition<'a> {
    pub(crate) entry: &'a Entry,
    pub(crate) segments: &'a [Segment],
    /// Values of the residency column in the rows.
    pub(crate) values: &'a BTreeSet<KeyValue>,
    /// Digest of the loaded file.
    pub(crate) source: Digest,
}

impl Manifest {
    pub(crate) fn new(region: &RegionId) -> Self {
        Self { region: region.to_string(), version: 0, datasets: BTreeMap::new() }
    }

    /// The manifest in `path`, or none where there is no such file.
    pub(crate) fn read(path: &Path) -> Result<Option<Self>, StoreError> {
        let refuse = |problem| StoreError::Manifest { path: path.to_owned(), problem };
        let content = match fs::read(path) {
            Ok(content) => content,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(StoreError::io("read", path)(source)),
        };
        let end = content.iter().position(|byte| *byte == b'\n').ok_or_else(|| refuse(ManifestProblem::Format))?;
        let (head, body) = (&content[..end], &content[end + 1..]);
        let digest = std::str::from_utf8(head)
            .ok()
            .and_then(|head| head.strip_prefix(FORMAT)?.strip_prefix(' '))
            .ok_or_else(|| refuse(ManifestProblem::Format))?;
        if digest.parse() != Ok(hash::of_bytes(body)) {
            return Err(refuse(ManifestProblem::Checksum));
        }
        serde_json::from_slice(body).map(Some).map_err(|_| refuse(ManifestProblem::Format))
    }

    /// The file's content.
    pub(crate) fn encode(&self, path: &Path) -> Result<Vec<u8>, StoreError> {
        let mut body = serde_json::to_vec_pretty(self).map_err(|error| StoreError::io("encode", path)(error.into()))?;
        body.push(b'\n');
        let mut content = format!("{FORMAT} {}\n", hash::of_bytes(&body)).into_bytes();
        content.append(&mut body);
        Ok(content)
    }

    /// Checks that the store is this region's, and that its rows are where the present rules want them.
    pub(crate) fn check(&self, path: &Path, region: &RegionId, catalog: &Catalog) -> Result<(), StoreError> {
        let refuse = |problem| StoreError::Manifest { path: path.to_owned(), problem };
        if self.region != region.as_str() {
            return Err(refuse(ManifestProblem::Region { found: self.region.clone() }));
        }
        for (name, held) in &self.datasets {
            let entry = name.parse().ok().and_then(|name: DatasetName| catalog.entry(&name).ok());
            let Some(entry) = entry else {
                return Err(refuse(ManifestProblem::Dataset { dataset: name.clone() }));
            };
            if let Some(rule) = &held.rule
                && !held.segments.is_empty()
            {
                rule.check(entry, region)?;
            }
        }
        Ok(())
    }

    /// The segments of a dataset, which lie in `dir`.
    pub(crate) fn segments(&self, dataset: &DatasetName, dir: &Path) -> Result<Vec<Segment>, StoreError> {
        let segment = |entry: &SegmentEntry| {
            let damaged = |_| StoreError::Manifest { path: dir.with_file_name(FILE), problem: ManifestProblem::Format };
            let digest = entry.sha256.parse().map_err(damaged)?;
            Ok(Segment { path: dir.join(&entry.file), rows: entry.rows, bytes: entry.bytes, digest })
        };
        self.datasets.get(dataset.as_str()).map_or(Ok(Vec::new()), |held| held.segments.iter().map(segment).collect())
    }

    /// The load of the same bytes into a dataset, where there was one.
    pub(crate) fn load(&self, dataset: &DatasetName, source: &Digest) -> Option<&LoadEntry> {
        let source = source.to_string();
        self.datasets.get(dataset.as_str())?.loads.iter().find(|load| load.sha256 == source)
    }

    pub(crate) fn segments_len(&self) -> usize {
        self.datasets.values().map(|held| held.segments.len()).sum()
    }

    pub(crate) fn loads_len(&self) -> usize {
        self.datasets.values().map(|held| held.loads.len()).sum()
    }

    /// The manifest of the next version.
    pub(crate) fn with(&self, addition: &Addition<'_>) -> Self {
        let mut next = self.clone();
        next.version += 1;
        let held = next.datasets.entry(addition.entry.spec.dataset.name.to_string()).or_default();
        if held.segments.is_empty() {
            held.rule = Some(Rule::of(addition.entry));
        }
        if let Some(Rule::Column { values, .. }) = &mut held.rule {
            values.extend(addition.values.iter().map(Value::of));
        }
        held.segments.extend(addition.segments.iter().map(SegmentEntry::of));
        held.loads.push(LoadEntry {
            sha256: addition.source.to_string(),
            rows: addition.segments.iter().map(|segment| segment.rows).sum(),
            bytes: addition.segments.iter().map(|segment| segment.bytes).sum(),
            version: next.version,
        });
        next
    }
}

impl SegmentEntry {
    fn of(segment: &Segment) -> Self {
        let file = segment.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Self { file, rows: segment.rows, bytes: segment.bytes, sha256: segment.digest.to_string() }
    }
}

impl Value {
    fn of(value: &KeyValue) -> Self {
        match value {
            KeyValue::Integer(value) => Self::Integer(*value),
            KeyValue::Text(value) => Self::Text(value.clone()),
        }
    }

    fn key(&self) -> KeyValue {
        match self {
            Self::Integer(value) => KeyValue::Integer(*value),
            Self::Text(value) => KeyValue::Text(value.clone()),
        }
    }
}

impl Rule {
    fn of(entry: &Entry) -> Self {
        match &entry.spec.residency {
            Residency::Reference => Self::Reference,
            Residency::Column { column, entity, .. } => {
                Self::Column { column: column.clone(), entity: entity.clone(), values: BTreeSet::new() }
            }
            Residency::Follows { dataset, column } => {
                Self::Follows { dataset: dataset.to_string(), column: column.clone() }
            }
        }
    }

    fn check(&self, entry: &Entry, region: &RegionId) -> Result<(), StoreError> {
        let dataset = entry.spec.dataset.name.clone();
        let (mut found, expected) = (self.clone(), Self::of(entry));
        if let Self::Column { values, .. } = &mut found {
            values.clear();
        }
        if found != expected {
            return Err(StoreError::ResidencyChanged { dataset });
        }
        let (Self::Column { column, values, .. }, Residency::Column { homes, .. }) = (self, &entry.spec.residency)
        else {
            return Ok(());
        };
        for value in values.iter().map(Value::key) {
            let home = homes.get(&value);
            if home != Some(region) {
                let (column, value) = (column.clone(), value.to_string());
                return Err(StoreError::RowsOutsideHome { dataset, column, value, home: home.cloned() });
            }
        }
        Ok(())
    }
}
