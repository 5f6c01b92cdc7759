//! The way through TLS: a private CA is trusted if it is named, and nobody else's is.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use secrecy::SecretString;
use serde_json::Value;

use super::*;
use crate::model::{AccountName, BaseUrl};

const CA: &[u8] = include_bytes!("test_pki/ca.pem");

/// Serves one TLS connection and gives back what it received in clear.
fn serve() -> (SocketAddr, std::thread::JoinHandle<String>) {
    let certificate = CertificateDer::from_pem_slice(include_bytes!("test_pki/server.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("test_pki/server-key.pem")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let (socket, _) = listener.accept().unwrap();
        let mut stream = StreamOwned::new(ServerConnection::new(Arc::new(config)).unwrap(), socket);
        let (mut seen, mut buffer) = (String::new(), [0; 1024]);
        while !seen.ends_with("\r\n\r\n") {
            match stream.read(&mut buffer) {
                Ok(count) if count > 0 => seen.push_str(std::str::from_utf8(&buffer[..count]).unwrap()),
                Ok(_) | Err(_) => return seen,
            }
        }
        let answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
        stream.write_all(answer).unwrap();
        seen
    });
    (address, server)
}

async fn ask(address: SocketAddr, ca: Option<&[u8]>) -> Result<Json<Value>, HttpError> {
    let base = BaseUrl::new(&format!("https://{address}")).unwrap();
    let authorization = Authorization::bearer(AccountName::new("svc").unwrap(), &SecretString::from("s3cr3t")).unwrap();
    let client = HttpClient::new(&base, ca, &Proxies::default(), Duration::from_mins(2))?;
    client.get_json(&["rest"], &[], &authorization, 100).await
}

#[tokio::test]
async fn a_named_private_ca_is_trusted() {
    let (address, server) = serve();
    ask(address, Some(CA)).await.unwrap();
    assert!(server.join().unwrap().contains("authorization: Bearer s3cr3t"));
}

#[tokio::test]
async fn an_unknown_ca_sees_no_credential() {
    let (address, server) = serve();
    // A machine without any certificate refuses at setup, any other at the handshake.
    let error = ask(address, None).await.unwrap_err();
    if let HttpError::Unreachable { cause, .. } = &error {
        assert!(cause.to_string().contains("certificate"), "{cause}");
        assert_eq!(server.join().unwrap(), "");
    } else {
        assert!(matches!(error, HttpError::Setup { .. }), "{error:?}");
    }
}
