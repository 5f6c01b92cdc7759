//! SIGHUP: whatever goes on for long reads everything again, or ends with its terminal.

use std::io::{self, IsTerminal};

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio_util::sync::CancellationToken;

use super::{CliError, exit_code};

/// Listens for it from here on. Whoever holds the sender can ask for the same. One that tells that the terminal was
/// closed cancels `stop`.
pub fn listen(stop: CancellationToken) -> Result<(Sender<()>, Receiver<()>), CliError> {
    let mut hangups = signal(SignalKind::hangup())
        .map_err(|error| CliError::new(exit_code::FAILED, format!("cannot listen for signals: {error}")))?;
    let (ask, asked) = channel(1);
    let (sender, was_on_terminal) = (ask.clone(), io::stderr().is_terminal());
    tokio::spawn(async move {
        while hangups.recv().await.is_some() {
            // Nobody can see or stop what goes on without its terminal.
            if was_on_terminal && !io::stderr().is_terminal() {
                stop.cancel();
                return;
            }
            // One that waits already asks for the same.
            let _already_asked = sender.try_send(());
        }
    });
    Ok((ask, asked))
}
