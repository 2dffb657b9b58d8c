//! Backups of a region's store, made while it is at work.

use std::sync::Arc;

use domicile_store::{BackupReport, BackupRequest, BackupSummary, Objects, Selection, list_backups};
use domicile_wire::client::now_unix_ms;
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;

use crate::owner::OwnerGone;
use crate::{ObjectFiles, ObjectThreads, QueryError, Region};

impl Region {
    /// Backs up what is committed by now to the place that `url` names. It goes on where the caller gives up.
    ///
    /// # Errors
    /// Where another backup is being made, there is nothing of that name, the place cannot be reached, or the store
    /// fails.
    pub async fn back_up(&self, url: String, selection: Selection) -> Result<BackupReport, QueryError> {
        let objects = objects(url, self.object_threads.clone()).await?;
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
        let objects = objects(url, self.object_threads.clone()).await?;
        let place = Arc::clone(&self.listing_slots).acquire_owned().await.map_err(|_| OwnerGone)?;
        let listing = spawn_blocking(move || {
            // Where whoever asked has gone, this goes on for a while, and keeps its place.
            let _place = place;
            list_backups(objects.as_ref())
        });
        Ok(listing.await.map_err(|error| QueryError::Execution(error.to_string()))??)
    }
}

async fn objects(url: String, threads: ObjectThreads) -> Result<Arc<dyn Objects>, QueryError> {
    let opening = spawn_blocking(move || {
        let opened = ObjectFiles::open(&url, std::env::vars(), threads);
        opened.map_err(|source| domicile_store::StoreError::Objects { action: "open", name: url, source })
    });
    let objects = opening.await.map_err(|error| QueryError::Execution(error.to_string()))??;
    Ok(Arc::new(objects))
}
