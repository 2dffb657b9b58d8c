//! Backups of a region's store, made while it is at work.

use std::sync::Arc;

use domicile_store::{BackupReport, BackupRequest, BackupSummary, Objects, Selection, list_backups};
use domicile_wire::client::now_unix_ms;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;

use crate::owner::OwnerGone;
use crate::{ObjectFiles, QueryError, Region};

impl Region {
    /// Backs up what is committed by now to the place that `url` names. It goes on where the caller gives up.
    ///
    /// # Errors
    /// Where another backup is being made, there is nothing of that name, the place cannot be reached, or the store
    /// fails.
    pub async fn back_up(&self, url: String, selection: Selection) -> Result<BackupReport, QueryError> {
        let objects = objects(url).await?;
        let (told, done) = oneshot::channel();
        // Whoever asked may have gone; the log says what became of it.
        let on_done = Box::new(move |outcome| drop(told.send(outcome)));
        let request = BackupRequest { objects, selection, on_done };
        self.storage().run(move |store| store.request_backup(request, now_unix_ms())).await??;
        Ok(done.await.map_err(|_| OwnerGone)??)
    }

    /// The backups at the place that `url` names, of all regions that keep theirs there; the oldest first.
    ///
    /// # Errors
    /// Where the place cannot be reached.
    pub async fn backups(&self, url: String) -> Result<Vec<BackupSummary>, QueryError> {
        let objects = objects(url).await?;
        let listing = spawn_blocking(move || list_backups(objects.as_ref()));
        Ok(listing.await.map_err(|error| QueryError::Execution(error.to_string()))??)
    }
}

async fn objects(url: String) -> Result<Arc<dyn Objects>, QueryError> {
    let handle = Handle::current();
    let opening = spawn_blocking(move || {
        let opened = ObjectFiles::open(&url, std::env::vars(), handle);
        opened.map_err(|source| domicile_store::StoreError::Objects { action: "open", name: url, source })
    });
    let objects = opening.await.map_err(|error| QueryError::Execution(error.to_string()))??;
    Ok(Arc::new(objects))
}
