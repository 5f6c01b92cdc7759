//! SIGHUP: whatever goes on for long reads everything again, or ends with its terminal.

use std::io::{self, IsTerminal};

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{Receiver, channel};

use super::interrupt::Interrupt;
use super::{CliError, exit_code};

/// Listens for it from here on. One that tells that the terminal was closed is an interrupt.
pub fn listen(interrupt: Interrupt) -> Result<Receiver<()>, CliError> {
    let mut hangups = signal(SignalKind::hangup())
        .map_err(|error| CliError::new(exit_code::FAILED, format!("cannot listen for signals: {error}")))?;
    let (ask, asked) = channel(1);
    let before = on_terminal();
    tokio::spawn(async move {
        while hangups.recv().await.is_some() {
            // Nobody can see or stop what goes on without its terminal.
            if before.iter().zip(on_terminal()).any(|(before, now)| *before && !now) {
                interrupt.set();
                return;
            }
            // One that waits already asks for the same.
            let _already_asked = ask.try_send(());
        }
    });
    Ok(asked)
}

/// Which of the streams that somebody reads lead to a terminal.
fn on_terminal() -> [bool; 2] {
    [io::stdout().is_terminal(), io::stderr().is_terminal()]
}
