//! A large object on its way in: constant memory, all or nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use object_store::path::Path as Key;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use tokio::task::JoinSet;

use super::{Attempt, StoreError};
use crate::crash::{self, CrashPoint};

/// Parts that are being written while the next one fills.
const IN_FLIGHT: usize = 2;

/// Bytes that were written by uploads that are under way in this process.
static NAMELESS: AtomicU64 = AtomicU64::new(0);

/// Bytes that uploads under way in this process have written, and that have no name yet.
pub fn nameless_bytes() -> u64 {
    NAMELESS.load(Ordering::Relaxed)
}

/// What an upload has written, until it is over.
#[derive(Debug, Default)]
struct Nameless(u64);

impl Nameless {
    fn add(&mut self, bytes: usize) {
        let bytes = bytes as u64;
        self.0 += bytes;
        NAMELESS.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl Drop for Nameless {
    fn drop(&mut self) {
        NAMELESS.fetch_sub(self.0, Ordering::Relaxed);
    }
}

/// An object that is being written. Dropping it leaves nothing under its key.
#[derive(Debug)]
pub struct Upload {
    objects: Arc<dyn ObjectStore>,
    place: Arc<str>,
    key: String,
    /// Bytes of one part.
    part: usize,
    waiting: Vec<Bytes>,
    waiting_bytes: usize,
    parts: Option<Parts>,
    written: Nameless,
}

struct Parts {
    upload: Box<dyn MultipartUpload>,
    /// Tasks, because a part makes no progress by itself. Those that are left end with this.
    in_flight: JoinSet<Result<(), object_store::Error>>,
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts").field("in_flight", &self.in_flight.len()).finish_non_exhaustive()
    }
}

impl Upload {
    /// Up to `1 + IN_FLIGHT` parts are in memory at once.
    pub(super) fn new(objects: Arc<dyn ObjectStore>, place: Arc<str>, key: String, part: usize) -> Self {
        let (waiting, written) = (Vec::new(), Nameless::default());
        Self { objects, place, key, part, waiting, waiting_bytes: 0, parts: None, written }
    }

    /// The key it will have.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Appends bytes. Waits when the storage is slower than the source.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), StoreError> {
        self.waiting_bytes += bytes.len();
        self.waiting.push(bytes);
        if self.waiting_bytes >= self.part {
            self.send_part().await.map_err(|source| self.sort(source))?;
        }
        Ok(())
    }

    /// Completes the object. When this returns it is on stable storage under its key.
    pub async fn finish(mut self) -> Result<(), StoreError> {
        self.complete().await.map_err(|source| self.sort(source))
    }

    /// Gives the object up and returns its space.
    pub async fn abort(mut self) {
        if let Some(mut parts) = self.parts.take() {
            while let Some(_outcome_is_moot) = parts.in_flight.join_next().await {}
            if let Err(error) = parts.upload.abort().await {
                tracing::warn!(key = self.key, %error, "an unfinished upload could not be removed");
            }
        }
    }

    async fn send_part(&mut self) -> Result<(), object_store::Error> {
        let parts = match &mut self.parts {
            Some(parts) => parts,
            none => {
                let upload = self.objects.put_multipart(&Key::from(self.key.as_str())).await?;
                none.insert(Parts { upload, in_flight: JoinSet::new() })
            }
        };
        if parts.in_flight.len() == IN_FLIGHT
            && let Some(ended) = parts.in_flight.join_next().await
        {
            ended??;
        }
        let payload = PutPayload::from_iter(self.waiting.drain(..));
        self.written.add(self.waiting_bytes);
        self.waiting_bytes = 0;
        parts.in_flight.spawn(parts.upload.put_part(payload));
        crash::point(CrashPoint::PackPartSent);
        Ok(())
    }

    async fn complete(&mut self) -> Result<(), object_store::Error> {
        if self.parts.is_none() {
            let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
            let payload = PutPayload::from_iter(self.waiting.drain(..));
            return self.objects.put_opts(&Key::from(self.key.as_str()), payload, options).await.map(drop);
        }
        if self.waiting_bytes > 0 {
            self.send_part().await?;
        }
        if let Some(mut parts) = self.parts.take() {
            while let Some(ended) = parts.in_flight.join_next().await {
                ended??;
            }
            crash::point(CrashPoint::PackDue);
            parts.upload.complete().await?;
        }
        Ok(())
    }

    fn sort(&self, source: object_store::Error) -> StoreError {
        StoreError::sort(&self.place, &self.key, Attempt::Write, source)
    }
}
