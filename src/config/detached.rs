//! What a declaration cannot say that lies in no directory of this machine, because it comes from a commit.

use std::path::Path;

use super::{Decoded, Diagnostic, Invalid};
use crate::model::Address;

/// Refuses what would be read later beside the file: there is nothing beside it.
///
/// Relative places of backups are another matter: they begin in the directory that the program works in.
pub fn without_directory(decoded: Decoded) -> Result<Decoded, Invalid> {
    let mut diagnostics = Vec::new();
    for (name, server) in &decoded.declaration.servers {
        let Some(path) = server.ca_file.as_ref().filter(|path| Path::new(path).is_relative()) else { continue };
        let message = format!("server \"{name}\" has a `ca-file` that is relative to a directory");
        let mut diagnostic = Diagnostic::error("xopero::relative-ca-file", message);
        if let Some(place) = decoded.places.get(&Address::server(name)) {
            diagnostic = diagnostic.at(place.span, format!("{path:?} cannot be found from a branch"));
        }
        let help = "put the certificates on the machine that runs the backups, and give the absolute path there";
        diagnostics.push(diagnostic.help(help));
    }
    if diagnostics.is_empty() { Ok(decoded) } else { Err(Invalid { diagnostics }) }
}
