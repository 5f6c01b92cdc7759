//! Where is listened: a unix socket, or TCP on loopback.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use tokio::net::{TcpListener, UnixListener};

use super::WebError;

/// The user and the group of the process may ask.
const SOCKET_MODE: u32 = 0o660;

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// At the usual unix socket.
    Usual,
    /// At this unix socket.
    Unix(PathBuf),
    /// At this address of loopback.
    Tcp(SocketAddr),
}

impl Listen {
    /// The word for the usual place.
    pub const USUAL: &str = "unix";
}

impl FromStr for Listen {
    type Err = WebError;

    fn from_str(text: &str) -> Result<Self, WebError> {
        let unknown = || WebError::NotAnAddress { text: text.chars().take(200).collect() };
        if text == Self::USUAL {
            return Ok(Self::Usual);
        }
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.is_empty() { Err(unknown()) } else { Ok(Self::Unix(path.into())) };
        }
        let numeric = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
        let address: SocketAddr = numeric.as_deref().unwrap_or(text).parse().map_err(|_| unknown())?;
        if address.ip().is_loopback() { Ok(Self::Tcp(address)) } else { Err(WebError::NotLoopback { address }) }
    }
}

/// A place that is listened at. The file of a socket is removed with it.
#[derive(Debug)]
pub struct Listener(pub(super) Bound);

/// What is bound.
#[derive(Debug)]
pub(super) enum Bound {
    Tcp(TcpListener, SocketAddr),
    Unix(UnixListener, SocketFile),
}

/// The file of a socket, removed when it is dropped if it is still the same.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    identity: Option<(u64, u64)>,
}

impl Listener {
    /// Listens. `usual` is the usual socket. A socket that a process left behind is replaced, one at which somebody
    /// answers is not.
    pub fn bind(listen: &Listen, usual: &Path) -> Result<Self, WebError> {
        let path = match listen {
            Listen::Usual => usual,
            Listen::Unix(path) => path,
            Listen::Tcp(address) => return Self::bind_tcp(*address),
        };
        let failed = |source| WebError::Bind { address: format!("unix:{}", path.display()), source };
        clear(path)?;
        // The process makes files for its user alone: nobody else can come in between.
        let listener = UnixListener::bind(path).map_err(failed)?;
        fs::set_permissions(path, fs::Permissions::from_mode(SOCKET_MODE)).map_err(failed)?;
        Ok(Self(Bound::Unix(listener, SocketFile { path: path.to_owned(), identity: identity(path) })))
    }

    fn bind_tcp(address: SocketAddr) -> Result<Self, WebError> {
        let failed = |source| WebError::Bind { address: address.to_string(), source };
        let listener = std::net::TcpListener::bind(address).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let listener = TcpListener::from_std(listener).map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        Ok(Self(Bound::Tcp(listener, bound)))
    }

    /// Where, for people.
    pub fn address(&self) -> String {
        match &self.0 {
            Bound::Tcp(_, address) => format!("http://{address}"),
            Bound::Unix(_, file) => format!("unix:{}", file.path.display()),
        }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.identity.is_some() && identity(&self.path) == self.identity {
            // One that stays is replaced by the next process.
            let _stays = fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::symlink_metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

/// Removes a socket at which nobody answers.
fn clear(path: &Path) -> Result<(), WebError> {
    let failed = |source| WebError::Bind { address: format!("unix:{}", path.display()), source };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed(error)),
        Ok(metadata) if !metadata.file_type().is_socket() => Err(WebError::NotASocket { path: path.to_owned() }),
        Ok(_) => match UnixStream::connect(path) {
            Ok(_) => Err(WebError::InUse { path: path.to_owned() }),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path).map_err(failed),
            Err(error) => Err(failed(error)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_socket_or_of_this_machine() {
        let parsed = |text: &str| text.parse::<Listen>();
        assert_eq!(parsed("unix").unwrap(), Listen::Usual);
        assert_eq!(parsed("unix:/run/x.sock").unwrap(), Listen::Unix("/run/x.sock".into()));
        for local in ["127.0.0.1:9477", "localhost:9477", "[::1]:9477", "127.8.8.8:1"] {
            assert!(matches!(parsed(local), Ok(Listen::Tcp(_))), "{local}");
        }
        for foreign in ["0.0.0.0:9477", "[::]:9477", "192.0.2.7:9477", "[::ffff:127.0.0.1]:80"] {
            let error = parsed(foreign).unwrap_err();
            assert!(matches!(error, WebError::NotLoopback { .. }), "{foreign}");
            assert!(error.hint().unwrap().contains("127.0.0.1"));
        }
        for nothing in ["", "unix:", "9477", "127.0.0.1", "example.com:80", "http://127.0.0.1:1", "localhost:x"] {
            assert!(matches!(parsed(nothing), Err(WebError::NotAnAddress { .. })), "{nothing}");
        }
    }

    #[tokio::test]
    async fn a_socket_is_for_user_and_group_and_goes_with_its_listener() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.sock");
        let listener = Listener::bind(&Listen::Usual, &path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, SOCKET_MODE);
        assert!(matches!(Listener::bind(&Listen::Usual, &path), Err(WebError::InUse { .. })));
        drop(listener);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_socket_that_was_left_behind_is_replaced_and_a_file_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let listener = Listener::bind(&Listen::Unix(path.clone()), Path::new("/nowhere")).unwrap();
        // Somebody else took the place: theirs stays.
        fs::remove_file(&path).unwrap();
        fs::write(&path, "precious").unwrap();
        drop(listener);
        assert!(matches!(Listener::bind(&Listen::Unix(path.clone()), &path), Err(WebError::NotASocket { .. })));
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }

    #[tokio::test]
    async fn a_path_that_is_too_long_is_said_to_be() {
        let path = PathBuf::from(format!("/tmp/{}", "x".repeat(200)));
        let error = Listener::bind(&Listen::Unix(path.clone()), &path).unwrap_err();
        assert!(error.hint().unwrap().contains("107"), "{error:?}");
    }
}
