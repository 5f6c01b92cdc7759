//! TLS in front of the server, and which HTTP is offered through it.

use std::sync::Arc;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// A certificate with its key, and whether HTTP/2 is offered.
#[derive(Clone)]
pub(crate) struct Tls {
    pub(crate) certificate: Vec<u8>,
    pub(crate) key: Vec<u8>,
    pub(crate) http2: bool,
}

impl Tls {
    /// What accepts connections.
    ///
    /// # Panics
    /// When the certificate or the key cannot be used.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        let certificates = CertificateDer::pem_slice_iter(&self.certificate);
        let certificates = certificates.collect::<Result<Vec<_>, _>>().expect("certificates in PEM");
        let key = PrivateKeyDer::from_pem_slice(&self.key).expect("a key in PEM");
        let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()));
        let builder = builder.with_safe_default_protocol_versions().expect("the provider has the usual versions");
        let config = builder.with_no_client_auth().with_single_cert(certificates, key);
        let mut config = config.expect("the key belongs to the certificate");
        let offered: &[&[u8]] = if self.http2 { &[b"h2", b"http/1.1"] } else { &[b"http/1.1"] };
        config.alpn_protocols = offered.iter().map(|name| name.to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    }
}
