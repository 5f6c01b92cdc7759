//! Where the state is, and the password of its server.
//!
//! A password never comes from the arguments of the process, which everybody on the host can read.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use secrecy::SecretString;
use zeroize::Zeroizing;

use super::{CliError, env, exit_code};
use crate::state::{StateLocation, Surroundings};

/// The name of the password among systemd's credentials.
const CREDENTIAL: &str = "xopero-state-password";

/// No password is longer.
const LARGEST: usize = 4096;

/// What was said about the state, before the verb and in the environment.
#[derive(Debug, Clone)]
pub struct StateOptions {
    /// The address. Not for people: one from the environment may hold a password.
    pub address: Option<SecretString>,
    /// Whether the address stands in the arguments of the process.
    pub typed: bool,
    /// The file that holds the password.
    pub password_file: Option<PathBuf>,
}

impl StateOptions {
    /// The address, if it stands in the arguments: one with a password is refused there.
    pub fn typed_words(&self) -> Option<String> {
        use secrecy::ExposeSecret;
        let address = self.address.as_ref().filter(|_| self.typed)?;
        Some(address.expose_secret().to_owned())
    }

    /// The place, which by default is below `base`.
    pub fn location(&self, base: &Path) -> Result<StateLocation, CliError> {
        use secrecy::ExposeSecret;
        let Some(address) = &self.address else { return Ok(StateLocation::beside(base)) };
        let (host, ssl_mode) = (env::postgres_host(), env::postgres_ssl_mode());
        let surroundings = Surroundings {
            host: host.as_deref(),
            ssl_mode: ssl_mode.as_deref(),
            has_root_certificate: env::has_postgres_root_certificate(),
            typed: self.typed,
        };
        let location = StateLocation::parse(address.expose_secret(), base, &surroundings)?;
        if let Some(file) = &self.password_file {
            return Ok(location.with_password(read(file, false)?));
        }
        if location.lacks_password()
            && let Some(directory) = env::credentials_directory()
        {
            let file = directory.join(CREDENTIAL);
            if file.exists() {
                // systemd keeps its credentials from others by the directory.
                return Ok(location.with_password(read(&file, true)?));
            }
        }
        Ok(location)
    }
}

/// Reads the one line of a file that nobody else can read.
fn read(path: &Path, any_mode: bool) -> Result<SecretString, CliError> {
    let refused = |why: String, hint: String| {
        let what = format!("cannot take the password of the state from {}: {why}", path.display());
        CliError::new(exit_code::SECRETS, what).with_hint(hint)
    };
    let failed = |error: io::Error| refused(error.to_string(), "name a file with the password on one line".to_owned());
    // Without waiting for the other end of a pipe. All checks are made on the open file.
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let flags = i32::try_from(flags.bits()).expect("flags are few");
    let file = File::options().read(true).custom_flags(flags).open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(failed(io::Error::other("it is not a regular file")));
    }
    let own = [0, rustix::process::geteuid().as_raw()].contains(&metadata.uid());
    if !own || (metadata.mode() & 0o077 != 0 && !any_mode) {
        let (path, why) = (path.display(), "others can read or change it".to_owned());
        return Err(refused(why, format!("make it yours alone: chown it, then chmod 600 {path}")));
    }
    // Room for all of it at once: a buffer that grows leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(LARGEST + 1));
    file.take(LARGEST as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| failed(io::Error::other("it is not UTF-8 text")))?;
    let line = text.strip_suffix('\n').unwrap_or(text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.is_empty() || line.contains('\n') || bytes.len() > LARGEST {
        return Err(failed(io::Error::other("it does not hold one line")));
    }
    Ok(SecretString::from(line))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn the_password_is_one_line_that_nobody_else_can_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        let write = |text: &str, mode: u32| {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        for text in ["hunter2", "hunter2\n", "hunter2\r\n"] {
            write(text, 0o600);
            assert_eq!(read(&path, false).unwrap().expose_secret(), "hunter2");
        }
        for text in ["", "\n", "hunter2\nhunter3\n", &"x".repeat(5000)] {
            write(text, 0o600);
            let error = read(&path, false).unwrap_err();
            assert_eq!(error.code(), exit_code::SECRETS);
            assert!(!error.text().contains("hunter"), "{}", error.text());
        }
        write("hunter2", 0o640);
        assert!(read(&path, false).unwrap_err().text().contains("others can read"));
        assert_eq!(read(&path, true).unwrap().expose_secret(), "hunter2");
        assert!(read(folder.path(), false).is_err());
    }
}
