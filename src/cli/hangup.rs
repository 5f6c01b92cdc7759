//! SIGHUP: whatever goes on for long reads everything again, or ends with its terminal.

use std::io::{self, IsTerminal};

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::interrupt::Interrupt;
use super::{CliError, exit_code};

/// Listens for it from here on. Whoever holds the sender can ask for the same. One that tells that the terminal was
/// closed is an interrupt.
pub fn listen(interrupt: Interrupt) -> Result<(Sender<()>, Receiver<()>), CliError> {
    let mut hangups = signal(SignalKind::hangup())
        .map_err(|error| CliError::new(exit_code::FAILED, format!("cannot listen for signals: {error}")))?;
    let (ask, asked) = channel(1);
    let (sender, before) = (ask.clone(), on_terminal());
    tokio::spawn(async move {
        while hangups.recv().await.is_some() {
            // Nobody can see or stop what goes on without its terminal.
            if before.iter().zip(on_terminal()).any(|(before, now)| *before && !now) {
                interrupt.set();
                return;
            }
            // One that waits already asks for the same.
            let _already_asked = sender.try_send(());
        }
    });
    Ok((ask, asked))
}

/// Which of the streams that somebody reads lead to a terminal.
fn on_terminal() -> [bool; 2] {
    [io::stdout().is_terminal(), io::stderr().is_terminal()]
}
