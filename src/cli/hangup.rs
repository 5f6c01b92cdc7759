//! SIGHUP: whatever goes on for long reads everything again.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::{CliError, exit_code};

/// Listens for it from here on. Whoever holds the sender can ask for the same.
pub fn listen() -> Result<(Sender<()>, Receiver<()>), CliError> {
    let mut hangups = signal(SignalKind::hangup())
        .map_err(|error| CliError::new(exit_code::FAILED, format!("cannot listen for signals: {error}")))?;
    let (ask, asked) = channel(1);
    let sender = ask.clone();
    tokio::spawn(async move {
        while hangups.recv().await.is_some() {
            // One that waits already asks for the same.
            let _already_asked = sender.try_send(());
        }
    });
    Ok((ask, asked))
}
