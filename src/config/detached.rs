//! What a declaration cannot say that lies in no directory of this machine, because it comes from a commit.

use std::path::Path;

use super::{Decoded, Diagnostic, Invalid};
use crate::model::Address;

/// Refuses what would be read later beside the file: there is nothing beside it.
///
/// Relative places of backups are another matter: they begin in the directory that the program works in.
pub fn without_directory(decoded: Decoded) -> Result<Decoded, Invalid> {
    let mut diagnostics = Vec::new();
    let declaration = &decoded.declaration;
    let servers = declaration.servers.iter().map(|(name, server)| (Address::server(name), &server.ca_file));
    let alerts = declaration.alerts.iter().map(|(name, alerts)| (Address::alerts(name), &alerts.ca_file));
    for (address, ca_file) in servers.chain(alerts) {
        let Some(path) = ca_file.as_ref().filter(|path| Path::new(path).is_relative()) else { continue };
        let message = format!("{address} has a `ca-file` that is relative to a directory");
        let mut diagnostic = Diagnostic::error("xopero::relative-ca-file", message);
        if let Some(place) = decoded.places.get(&address) {
            diagnostic = diagnostic.at(place.span, format!("{path:?} cannot be found from a branch"));
        }
        let help = "put the certificates on the machine that runs the backups, and give the absolute path there";
        diagnostics.push(diagnostic.help(help));
    }
    if diagnostics.is_empty() { Ok(decoded) } else { Err(Invalid { diagnostics }) }
}
