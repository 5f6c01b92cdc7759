//! What can go wrong before anything is served.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Nothing can be served.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    /// It is no address.
    #[error("{text:?} is neither unix:PATH nor an address and a port such as 127.0.0.1:9477")]
    NotAnAddress {
        /// What was given.
        text: String,
    },
    /// Others than this machine could ask.
    #[error("{address} can be reached from other machines, and nothing here asks who calls")]
    NotLoopback {
        /// The address.
        address: SocketAddr,
    },
    /// Another process answers at the socket.
    #[error("somebody else listens at {}", path.display())]
    InUse {
        /// The socket.
        path: PathBuf,
    },
    /// Something else is at the place of the socket.
    #[error("{} is there already, and is no socket", path.display())]
    NotASocket {
        /// The place.
        path: PathBuf,
    },
    /// It cannot be listened there.
    #[error("cannot listen at {address}")]
    Bind {
        /// Where.
        address: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

impl WebError {
    /// What to do next.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotLoopback { address } => Some(format!(
                "listen at 127.0.0.1:{} or at a unix socket, and let a proxy that asks who calls pass it on",
                address.port()
            )),
            Self::InUse { .. } => Some("stop it, or listen elsewhere: `--listen unix:PATH`".to_owned()),
            Self::NotASocket { .. } => Some("remove it, or listen elsewhere: `--listen unix:PATH`".to_owned()),
            Self::Bind { source, .. } if source.kind() == io::ErrorKind::InvalidInput => {
                Some("the path of a socket has 107 bytes at most: `--listen unix:/run/xopero.sock`".to_owned())
            }
            Self::NotAnAddress { .. } | Self::Bind { .. } => None,
        }
    }
}
