//! One pack on its way from the server to every destination that needs it.

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::archive::{ArchiveError, PackWriter, StoredPack};
use crate::git::{PackLimits, PackStream, PackSummary, PackWalker};
use crate::model::ObjectFormat;
use crate::secret::PublicKeys;
use crate::store::Store;

use super::TaskError;
use super::error::lines;

/// Where a pack goes.
#[derive(Clone)]
pub(super) struct Target {
    /// The destination.
    pub(super) store: Store,
    /// For whom it is encrypted there.
    pub(super) keys: PublicKeys,
    /// The key that it gets.
    pub(super) key: String,
}

/// A pack that was received, and what became of it at each target.
pub(super) struct Received {
    /// The pack.
    pub(super) summary: PackSummary,
    /// Per target, in order: the stored pack; `None` for a pack without objects, which is not stored.
    pub(super) stored: Vec<Result<Option<StoredPack>, ArchiveError>>,
}

/// Streams a pack to all targets on a thread of its own: to inflate, hash and encrypt it is work for a processor, and
/// everything else would wait for it. Ends early when `stop` is cancelled, or when nobody waits for it any more.
pub(super) async fn receive_apart(
    stream: PackStream,
    format: ObjectFormat,
    increment: bool,
    targets: Vec<Target>,
    progress: impl FnMut(u64) + Send + 'static,
    stop: &CancellationToken,
) -> Result<Received, TaskError> {
    let runtime = Handle::current();
    let stop = stop.child_token();
    let _given_up = stop.clone().drop_guard();
    let work = tokio::task::spawn_blocking(move || {
        runtime.block_on(async {
            tokio::select! {
                biased;
                () = stop.cancelled() => Err(TaskError::Stopped),
                received = receive(stream, format, increment, &targets, progress) => received,
            }
        })
    });
    match work.await {
        Ok(received) => received,
        Err(ended) => match ended.try_into_panic() {
            // The task that waits for it ends by the same defect.
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_cancelled) => Err(TaskError::Stopped),
        },
    }
}

/// Streams a pack through the walk to all targets. Nothing is stored unless the walk reached a sound end and the
/// server closed the stream as the protocol demands. A target that fails leaves the others alone.
///
/// An `increment` is refused if it may lean on objects that the server knows us to have: every stored pack must be
/// usable by itself.
async fn receive(
    mut stream: PackStream,
    format: ObjectFormat,
    increment: bool,
    targets: &[Target],
    mut progress: impl FnMut(u64),
) -> Result<Received, TaskError> {
    let mut writers: Vec<Result<PackWriter, ArchiveError>> =
        targets.iter().map(|target| PackWriter::begin(&target.store, target.key.clone(), &target.keys)).collect();
    let walked = match pump(&mut stream, format, &mut writers, &mut progress).await {
        Ok(summary) if increment && summary.named_bases > 0 => Err(TaskError::NotSelfContained),
        walked => walked,
    };
    match walked {
        Ok(summary) => {
            let mut stored = Vec::with_capacity(writers.len());
            for writer in writers {
                stored.push(match writer {
                    Ok(writer) if summary.objects == 0 => {
                        writer.abort().await;
                        Ok(None)
                    }
                    Ok(writer) => writer.finish().await.map(Some),
                    Err(error) => Err(error),
                });
            }
            Ok(Received { summary, stored })
        }
        Err(error) => {
            for writer in writers.into_iter().flatten() {
                writer.abort().await;
            }
            Err(error)
        }
    }
}

async fn pump(
    stream: &mut PackStream,
    format: ObjectFormat,
    writers: &mut [Result<PackWriter, ArchiveError>],
    progress: &mut impl FnMut(u64),
) -> Result<PackSummary, TaskError> {
    let mut walker = PackWalker::new(format, PackLimits::default());
    let place = stream.place().clone();
    let unsound = |cause| TaskError::UnsoundPack { place: place.clone(), cause };
    let mut received = 0;
    while let Some(bytes) = stream.next().await? {
        walker.push(&bytes).map_err(unsound)?;
        for slot in writers.iter_mut() {
            if let Ok(writer) = slot
                && let Err(error) = writer.write(&bytes).await
                && let Ok(failed) = std::mem::replace(slot, Err(error))
            {
                failed.abort().await;
            }
        }
        if writers.iter().all(Result::is_err) {
            let failed: Vec<_> = writers.iter().filter_map(|writer| writer.as_ref().err()).collect();
            let hint = failed.iter().find_map(|error| error.hint());
            let reasons = failed.into_iter().map(|error| lines(error).join(": ")).collect();
            return Err(TaskError::NoDestination { reasons, hint });
        }
        received += bytes.len() as u64;
        progress(received);
    }
    walker.finish().map_err(unsound)
}
