//! Ctrl-C and SIGTERM: the first asks to stop, and what is under way ends in good order. The second ends at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::exit_code;

/// How a command learns that it must stop.
#[derive(Debug, Clone, Default)]
pub struct Interrupt {
    /// For asynchronous work.
    pub token: CancellationToken,
    /// For work on threads.
    pub flag: Arc<AtomicBool>,
}

impl Interrupt {
    /// Begins to listen for signals, and confirms the first with `confirm`.
    pub fn listen(confirm: impl FnOnce() + Send + 'static) -> Self {
        let interrupt = Self::default();
        // A thread of its own hears the second signal also while a disk holds up all others.
        let Ok(runtime) = Builder::new_current_thread().enable_io().build() else { return interrupt };
        // From here on, and not only when the thread below first runs, a signal does not end the process by itself.
        let signals = {
            let _inside = runtime.enter();
            (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
        };
        let (Ok(mut interrupted), Ok(mut terminated)) = signals else { return interrupt };
        let heard = interrupt.clone();
        std::thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = interrupted.recv() => {}
                    _ = terminated.recv() => {}
                }
                confirm();
                heard.set();
                tokio::select! {
                    _ = interrupted.recv() => {}
                    _ = terminated.recv() => {}
                }
                #[expect(
                    clippy::disallowed_methods,
                    reason = "asked twice, nothing may hold the process, not even a disk"
                )]
                std::process::exit(exit_code::INTERRUPTED.into());
            });
        });
        interrupt
    }

    /// Asks to stop.
    pub fn set(&self) {
        self.flag.store(true, Ordering::Relaxed);
        self.token.cancel();
    }

    /// Whether it was asked to stop.
    pub fn is_set(&self) -> bool {
        self.flag.load(Ordering::Relaxed)
    }
}
