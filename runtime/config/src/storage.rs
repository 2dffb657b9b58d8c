//! The section `[storage]` of a region's file.

use std::path::Path;

use domicile_types::limits;
use serde::Deserialize;

use crate::region::Source;
use crate::strict::Spanned;
use crate::{ConfigError, StorageUrl};

/// Storage of a region besides its data folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Storage {
    /// Where partitions go that have become old; none where they stay.
    pub cold_url: Option<StorageUrl>,
    /// Where backups may be written and restored from: at these places and below them.
    pub backup_urls: Vec<StorageUrl>,
    /// Most bytes that background work reads and writes, a second.
    pub compaction_bytes_per_s_max: u64,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawStorage {
    cold_url: Option<Spanned<String>>,
    #[serde(default)]
    backup_urls: Vec<Spanned<String>>,
    compaction_bytes_per_s_max: Option<Spanned<i64>>,
}

impl Storage {
    /// `data_dir` is resolved against `folder`, as places in the section are.
    pub(crate) fn check(
        raw: &RawStorage,
        source: &Source<'_>,
        folder: &Path,
        data_dir: &Path,
    ) -> Result<Self, ConfigError> {
        // Where it cannot be written as an address, no address leads into it.
        let own = data_dir.to_str().and_then(|dir| StorageUrl::parse(dir, folder).ok());
        let url = |text: &Spanned<String>| {
            let invalid = |problem| ConfigError::Invalid { at: source.at(text.span().start), problem };
            let url = StorageUrl::parse(text.get_ref(), folder).map_err(|problem| invalid(problem.to_string()))?;
            if own.as_ref().is_some_and(|own| own.covers(&url)) {
                let place = text.get_ref();
                return Err(invalid(format!(
                    "`{place}` is inside of `data_dir`, which is the store's own; take a folder beside it"
                )));
            }
            Ok(url)
        };
        if let Some(surplus) = raw.backup_urls.get(limits::BACKUP_URLS_MAX) {
            let problem = format!("`backup_urls` has more than {} places", limits::BACKUP_URLS_MAX);
            return Err(ConfigError::Invalid { at: source.at(surplus.span().start), problem });
        }
        let rate = raw.compaction_bytes_per_s_max.as_ref();
        let rate = source.number("compaction_bytes_per_s_max", rate, limits::COMPACTION_BYTES_PER_S_MAX)?;
        Ok(Self {
            cold_url: raw.cold_url.as_ref().map(url).transpose()?,
            backup_urls: raw.backup_urls.iter().map(url).collect::<Result<_, _>>()?,
            compaction_bytes_per_s_max: rate.unwrap_or(limits::COMPACTION_BYTES_PER_S_DEFAULT),
        })
    }
}
