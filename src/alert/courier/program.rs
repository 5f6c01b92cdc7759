//! A program of this machine: it reads the document from standard input and ends with 0.

use std::io::Write;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::Receipt;
use crate::alert::error::DeliveryError;

/// How often it is looked whether it has ended.
const LOOK: Duration = Duration::from_millis(20);

/// Where programs that it calls are found.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Ends the program when nobody waits for it any more.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ended_already = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// Calls it. It gets no arguments, and of the environment only `PATH`: what it prints is not read.
pub(super) async fn call(program: &str, document: &Value) -> Result<Receipt, DeliveryError> {
    let failed = |reason: String| DeliveryError::Exec { program: program.to_owned(), reason };
    let child = Command::new(program)
        .env_clear()
        .env("PATH", PATH)
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| failed(format!("cannot be called: {error}")))?;
    let mut running = Running(child);
    if let Some(mut input) = running.0.stdin.take() {
        let text = format!("{document}\n");
        // A pipe holds less than a document can have, and the program may not read it at once, or at all.
        let written = tokio::task::spawn_blocking(move || input.write_all(text.as_bytes()));
        drop(written);
    }
    loop {
        match running.0.try_wait() {
            Ok(None) => tokio::time::sleep(LOOK).await,
            Ok(Some(status)) if status.success() => {
                return Ok(Receipt::whole(program, "it ended with 0"));
            }
            Ok(Some(status)) => return Err(failed(ended(status))),
            Err(error) => return Err(failed(format!("cannot be waited for: {error}"))),
        }
    }
}

fn ended(status: ExitStatus) -> String {
    match status.code() {
        Some(code) => format!("ended with {code}"),
        None => "was killed by a signal".to_owned(),
    }
}
