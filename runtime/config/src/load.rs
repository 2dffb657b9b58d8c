//! Reading a region's file and the folders it names.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use domicile_types::ReplicationSet;
use domicile_types::limits::POLICY_SIGNATURE_BYTES_MAX;

use crate::replication::{Known, SetFile};
use crate::{ConfigError, DatasetFile, RegionConfig};

/// Everything that a region's file leads to.
#[derive(Debug, Clone, PartialEq)]
pub struct RegionFiles {
    /// The region.
    pub config: RegionConfig,
    /// The datasets, in the order of their files' names.
    pub datasets: Vec<DatasetFile>,
    /// The replication sets, in the order of their files' names; also those that this region is not in.
    pub replication: Vec<ReplicationSet>,
    /// Name (with its folder, for messages) and text of every policy file, in the order of the names.
    pub policy_texts: Vec<(String, String)>,
    /// The bytes of the signature beside a policy file, by the name of that file, where there is one.
    pub policy_signatures: BTreeMap<String, Vec<u8>>,
}

/// The policy files of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyFiles {
    /// As [`RegionFiles::policy_texts`].
    pub texts: Vec<(String, String)>,
    /// As [`RegionFiles::policy_signatures`].
    pub signatures: BTreeMap<String, Vec<u8>>,
}

/// What the name of a policy file ends with that holds the signature of the other one.
pub const SIGNATURE_SUFFIX: &str = ".sig";

/// Where replication set files are looked for when the region's file does not say it: a folder beside the datasets'.
const REPLICATION_DIR_DEFAULT: &str = "replication";

/// Reads the region file at `path`, its datasets, its replication sets and its policies. Secrets are left unread.
///
/// # Errors
/// Where a file cannot be read or is wrong, or a dataset moves to cold storage that the region does not have.
pub fn load_region(path: &Path) -> Result<RegionFiles, ConfigError> {
    let config = RegionConfig::parse(path, &read(path)?)?;
    let datasets = load_datasets(&config.datasets_dir)?;
    let tiered = datasets.iter().find(|file| file.dataset.lifecycle.tier_after_days.is_some());
    if let (Some(tiered), None) = (tiered, &config.storage.cold_url) {
        return Err(ConfigError::NoColdStorage { file: path.to_owned(), dataset: tiered.dataset.name.clone() });
    }
    let replication = load_replication(&config, &datasets)?;
    let PolicyFiles { texts, signatures } = load_policies(&config.policies_dir)?;
    Ok(RegionFiles { config, datasets, replication, policy_texts: texts, policy_signatures: signatures })
}

/// Reads every `.toml` file of the region's folder of replication sets, in the order of the names. A folder that the
/// region's file does not name may be missing.
///
/// # Errors
/// Where a file cannot be read or is wrong, or does not fit the region, its peers, its datasets or an earlier file.
fn load_replication(config: &RegionConfig, datasets: &[DatasetFile]) -> Result<Vec<ReplicationSet>, ConfigError> {
    let beside = config.datasets_dir.with_file_name(REPLICATION_DIR_DEFAULT);
    let files = match toml_files(config.replication_dir.as_ref().unwrap_or(&beside)) {
        Err(ConfigError::Unreadable { source, .. })
            if config.replication_dir.is_none() && source.kind() == io::ErrorKind::NotFound =>
        {
            return Ok(Vec::new());
        }
        files => files?,
    };
    let peers = config.peers.iter().map(|peer| (&peer.id, peer.jurisdictions.as_slice()));
    let laws = peers.chain([(&config.id, config.jurisdictions.as_slice())]).collect();
    let known = Known { laws, datasets };
    let mut sets: Vec<SetFile> = Vec::new();
    for file in files {
        let set = SetFile::parse(&file.display().to_string(), &read(&file)?, &known, &sets)?;
        sets.push(set);
    }
    Ok(sets.into_iter().map(|file| file.set).collect())
}

/// Reads every `.toml` file of `folder`, in the order of the names, and the signature beside it where there is one.
///
/// # Errors
/// Where a file cannot be read, or a signature is too large to be one.
pub fn load_policies(folder: &Path) -> Result<PolicyFiles, ConfigError> {
    let mut policies = PolicyFiles { texts: Vec::new(), signatures: BTreeMap::new() };
    for file in toml_files(folder)? {
        let name = file.display().to_string();
        if let Some(signature) = read_signature(&PathBuf::from(format!("{name}{SIGNATURE_SUFFIX}")))? {
            policies.signatures.insert(name.clone(), signature);
        }
        policies.texts.push((name, read(&file)?));
    }
    Ok(policies)
}

fn read_signature(path: &Path) -> Result<Option<Vec<u8>>, ConfigError> {
    let unreadable = |source| ConfigError::Unreadable { path: path.to_owned(), source };
    let file = match fs::File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(unreadable)?,
    };
    let mut bytes = Vec::new();
    file.take(POLICY_SIGNATURE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > POLICY_SIGNATURE_BYTES_MAX {
        let problem = format!("it has more than {POLICY_SIGNATURE_BYTES_MAX} bytes, and so is no signature");
        return Err(unreadable(io::Error::new(io::ErrorKind::InvalidData, problem)));
    }
    Ok(Some(bytes))
}

/// Reads every `.toml` file of `folder` as a dataset, in the order of the names.
///
/// # Errors
/// Where a file cannot be read or is wrong, or two describe one dataset.
pub fn load_datasets(folder: &Path) -> Result<Vec<DatasetFile>, ConfigError> {
    let mut read_from: Vec<PathBuf> = Vec::new();
    let mut datasets: Vec<DatasetFile> = Vec::new();
    for file in toml_files(folder)? {
        let found = DatasetFile::parse(&file.display().to_string(), &read(&file)?)?;
        if let Some(index) = datasets.iter().position(|known| known.dataset.name == found.dataset.name) {
            let first = read_from.swap_remove(index);
            return Err(ConfigError::DatasetRepeated { file, first, dataset: found.dataset.name });
        }
        datasets.push(found);
        read_from.push(file);
    }
    Ok(datasets)
}

fn toml_files(folder: &Path) -> Result<Vec<PathBuf>, ConfigError> {
    let unreadable = |source| ConfigError::Unreadable { path: folder.to_owned(), source };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden && path.extension().is_some_and(|extension| extension == "toml") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn read(path: &Path) -> Result<String, ConfigError> {
    fs::read_to_string(path).map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })
}
