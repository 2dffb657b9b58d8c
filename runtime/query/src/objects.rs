//! Cold storage and backups over an object store: a directory (`file:///…`) or S3 and what speaks its protocol
//! (`s3://bucket/prefix`).

use std::collections::VecDeque;
use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};

use bytes::Bytes;
use domicile_store::{Objects, ReadAt};
use futures::TryStreamExt;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{Error as ObjectError, MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload};
use url::Url;

use crate::ObjectThreads;

/// Files up to this size are sent in one request, larger ones in parts of at least this size.
const PART_BYTES_MIN: u64 = 8 * 1024 * 1024;
/// Parts that one upload may have; S3 accepts 10,000.
const PARTS_MAX: u64 = 9_000;
/// Parts of one upload that are on their way at a time.
const PARTS_IN_FLIGHT_MAX: usize = 4;

/// An object store behind a URL. Its calls block, and may be made from any thread.
pub struct ObjectFiles {
    store: Arc<dyn ObjectStore>,
    /// What comes before every name.
    prefix: Path,
    /// The directory, where it is one of this machine: what is written there has to be made durable here.
    directory: Option<PathBuf>,
    /// For messages.
    url: String,
    threads: ObjectThreads,
}

impl fmt::Debug for ObjectFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectFiles").field("url", &self.url).finish_non_exhaustive()
    }
}

impl ObjectFiles {
    /// The store that `url` names. A directory need not be there until something is put into it. `variables` are those
    /// of the environment: S3 takes its credentials, region and endpoint from the usual `AWS_…` ones. Requests run on
    /// `threads`.
    ///
    /// # Errors
    /// Where the URL is not of a known kind or reads as another, or what it names cannot be used.
    pub fn open(
        url: &str,
        variables: impl IntoIterator<Item = (String, String)>,
        threads: ObjectThreads,
    ) -> io::Result<Self> {
        let refuse = |why: String| io::Error::new(io::ErrorKind::InvalidInput, format!("`{url}`: {why}"));
        let parsed = Url::parse(url).map_err(|error| refuse(format!("not a URL ({error})")))?;
        if parsed.as_str() != url {
            // Whoever allowed the place judged its text.
            return Err(refuse(format!("it reads as `{parsed}`; write that, if it is meant")));
        }
        match (parsed.scheme(), parsed.host_str()) {
            ("file", None | Some("")) => {
                let directory = parsed.to_file_path().map_err(|()| refuse("not an absolute path".to_owned()))?;
                let prefix = Path::from_absolute_path(&directory).map_err(|error| refuse(error.to_string()))?;
                let store = LocalFileSystem::new().with_automatic_cleanup(false);
                Ok(Self { directory: Some(directory), ..Self::over(Arc::new(store), url, prefix, threads) })
            }
            ("s3", Some(bucket)) => {
                let prefix = Path::from_url_path(parsed.path()).map_err(|error| refuse(error.to_string()))?;
                let settings = variables.into_iter().filter_map(|(name, value)| Some((setting(&name)?, value)));
                let builder =
                    settings.fold(AmazonS3Builder::new(), |builder, (key, value)| builder.with_config(key, value));
                let store = builder.with_bucket_name(bucket).build().map_err(|error| failed(url, error))?;
                Ok(Self::over(Arc::new(store), url, prefix, threads))
            }
            _ => Err(refuse("use file:///directory or s3://bucket/prefix".to_owned())),
        }
    }

    /// Any other object store, called `url` in messages; names are put behind `prefix`.
    pub fn over(store: Arc<dyn ObjectStore>, url: &str, prefix: Path, threads: ObjectThreads) -> Self {
        Self { store, prefix, directory: None, url: url.trim_end_matches('/').to_owned(), threads }
    }

    /// Makes the directory, where it is one of this machine: it is known early whether it can be written to.
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn create(&self) -> io::Result<()> {
        let Some(directory) = &self.directory else { return Ok(()) };
        std::fs::create_dir_all(directory)
            .map_err(|error| io::Error::new(error.kind(), format!("`{}` cannot be created: {error}", self.url)))
    }

    fn path(&self, name: &str) -> io::Result<Path> {
        let name = Path::parse(name).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        Ok(self.prefix.parts().chain(name.parts()).collect())
    }

    /// Runs `request` and waits for it.
    fn wait<T: Send + 'static>(
        &self,
        name: &str,
        request: impl Future<Output = object_store::Result<T>> + Send + 'static,
    ) -> io::Result<T> {
        self.finish(name, &self.start(request))
    }

    fn start<T: Send + 'static>(
        &self,
        request: impl Future<Output = object_store::Result<T>> + Send + 'static,
    ) -> Receiver<object_store::Result<T>> {
        let (sender, receiver) = sync_channel(1);
        self.threads.spawn(async move {
            // Whoever waited may have given up.
            let _ = sender.send(request.await);
        });
        receiver
    }

    fn finish<T>(&self, name: &str, request: &Receiver<object_store::Result<T>>) -> io::Result<T> {
        let done = request.recv().map_err(|_| io::Error::other("the region is stopping"))?;
        done.map_err(|error| failed(&format!("{}/{name}", self.url), error))
    }

    fn upload(&self, name: &str, source: &dyn ReadAt, size: u64) -> io::Result<()> {
        let (store, path) = (Arc::clone(&self.store), self.path(name)?);
        let mut upload = self.wait(name, async move { store.put_multipart(&path).await })?;
        match self.upload_parts(name, source, size, upload.as_mut()) {
            Ok(()) => self.wait(name, async move { upload.complete().await }).map(drop),
            Err(error) => {
                if let Err(kept) = self.wait(name, async move { upload.abort().await }) {
                    tracing::warn!(error = %kept, "parts of a broken-off upload stay in the object store");
                }
                Err(error)
            }
        }
    }

    fn upload_parts(
        &self,
        name: &str,
        source: &dyn ReadAt,
        size: u64,
        upload: &mut dyn MultipartUpload,
    ) -> io::Result<()> {
        let part_bytes = PART_BYTES_MIN.max(size.div_ceil(PARTS_MAX));
        let (mut offset, mut flying) = (0, VecDeque::new());
        while offset < size {
            let length = part_bytes.min(size - offset);
            let bytes = source.read_at(offset, usize::try_from(length).unwrap_or(usize::MAX))?;
            if flying.len() == PARTS_IN_FLIGHT_MAX
                && let Some(oldest) = flying.pop_front()
            {
                self.finish(name, &oldest)?;
            }
            flying.push_back(self.start(upload.put_part(PutPayload::from_bytes(bytes))));
            offset += length;
        }
        flying.iter().try_for_each(|part| self.finish(name, part))
    }
}

impl Objects for ObjectFiles {
    fn put(&self, name: &str, source: &dyn ReadAt) -> io::Result<()> {
        let size = source.size()?;
        if size > PART_BYTES_MIN {
            self.upload(name, source, size)?;
        } else {
            let bytes = source.read_at(0, usize::try_from(size).unwrap_or(usize::MAX))?;
            let (store, path) = (Arc::clone(&self.store), self.path(name)?);
            self.wait(name, async move { store.put(&path, PutPayload::from_bytes(bytes)).await })?;
        }
        self.secure(name)
    }

    /// Makes a file of this machine, and the names that lead to it, durable. What others keep is durable once told of.
    fn secure(&self, name: &str) -> io::Result<()> {
        let Some(directory) = &self.directory else { return Ok(()) };
        let path = directory.join(name);
        File::open(&path)?.sync_all()?;
        let above = path.ancestors().skip(1).take_while(|folder| folder.starts_with(directory));
        above.map(FilePath::to_path_buf).try_for_each(|folder| File::open(folder)?.sync_all())
    }

    fn read_at(&self, name: &str, offset: u64, length: usize) -> io::Result<Bytes> {
        if length == 0 {
            return Ok(Bytes::new());
        }
        let (store, path) = (Arc::clone(&self.store), self.path(name)?);
        let end = offset.saturating_add(length as u64);
        let bytes = self.wait(name, async move { store.get_range(&path, offset..end).await })?;
        if bytes.len() == length { Ok(bytes) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    fn size(&self, name: &str) -> io::Result<u64> {
        let (store, path) = (Arc::clone(&self.store), self.path(name)?);
        Ok(self.wait(name, async move { store.head(&path).await })?.size)
    }

    fn list(&self, prefix: &str) -> io::Result<Vec<String>> {
        // Stores list below whole folders only.
        let folder = prefix.rsplit_once('/').map_or("", |(folder, _)| folder);
        let (store, path) = (Arc::clone(&self.store), self.path(folder)?);
        let found: Vec<_> = self.wait(prefix, async move { store.list(Some(&path)).try_collect().await })?;
        let name = |path: &Path| {
            let parts: Vec<String> = path.prefix_match(&self.prefix)?.map(|part| part.as_ref().to_owned()).collect();
            Some(parts.join("/"))
        };
        let names = found.iter().filter_map(|object| name(&object.location));
        Ok(names.filter(|name| name.starts_with(prefix)).collect())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let (store, path) = (Arc::clone(&self.store), self.path(name)?);
        match self.wait(name, async move { store.delete(&path).await }) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            done => done,
        }
    }

    fn address(&self, name: &str) -> String {
        format!("{}/{name}", self.url)
    }
}

fn setting(variable: &str) -> Option<AmazonS3ConfigKey> {
    let known = variable.starts_with("AWS_").then(|| variable.to_ascii_lowercase().parse());
    known?.ok()
}

/// What went wrong with `what`, of the kind that the cause has.
fn failed(what: &str, error: ObjectError) -> io::Error {
    let kind = match &error {
        ObjectError::NotFound { .. } => io::ErrorKind::NotFound,
        ObjectError::PermissionDenied { .. } | ObjectError::Unauthenticated { .. } => io::ErrorKind::PermissionDenied,
        other => system_kind(other).unwrap_or(io::ErrorKind::Other),
    };
    let advice = match kind {
        io::ErrorKind::PermissionDenied => "; check the credentials (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY)",
        _ => "",
    };
    io::Error::new(kind, format!("{what}: {error}{advice}"))
}

/// What the operating system said, where it is behind the error.
fn system_kind(error: &ObjectError) -> Option<io::ErrorKind> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(inner) = cause {
        if let Some(system) = inner.downcast_ref::<io::Error>() {
            return Some(system.kind());
        }
        cause = inner.source();
    }
    None
}
