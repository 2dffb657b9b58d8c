//! Reading a region's file and the folders it names.

use std::fs;
use std::path::{Path, PathBuf};

use crate::{ConfigError, DatasetFile, RegionConfig};

/// Everything that a region's file leads to.
#[derive(Debug, Clone, PartialEq)]
pub struct RegionFiles {
    /// The region.
    pub config: RegionConfig,
    /// The datasets, in the order of their files' names.
    pub datasets: Vec<DatasetFile>,
    /// Name (with its folder, for messages) and text of every policy file, in the order of the names.
    pub policy_texts: Vec<(String, String)>,
}

/// Reads the region file at `path`, its datasets and its policies. Secrets are left unread.
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
    let policy_texts = toml_files(&config.policies_dir)?
        .into_iter()
        .map(|file| Ok((file.display().to_string(), read(&file)?)))
        .collect::<Result<_, ConfigError>>()?;
    Ok(RegionFiles { config, datasets, policy_texts })
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
