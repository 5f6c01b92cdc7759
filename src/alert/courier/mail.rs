//! Mail. The only file that names `lettre`.

use lettre::message::header::ContentType;
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use secrecy::{ExposeSecret, SecretString};

use super::{Receipt, SILENCE};
use crate::alert::error::DeliveryError;
use crate::alert::letter::{Letter, plain};
use crate::model::{Email, MailAddress, MailSecurity};

/// Hands a letter to the mail server.
pub(super) async fn send(
    email: &Email,
    password: Option<&SecretString>,
    ca: Option<&[u8]>,
    letter: &Letter,
    id: &str,
) -> Result<Receipt, DeliveryError> {
    let place = email.server.to_string();
    let failed = |reason: &dyn std::fmt::Display| DeliveryError::Mail {
        place: place.clone(),
        reason: plain(&reason.to_string()),
    };
    let mailbox = |address: &MailAddress| -> Result<Mailbox, DeliveryError> {
        address.as_str().parse::<Mailbox>().map_err(|error| failed(&error))
    };
    let mut builder = Message::builder()
        .from(mailbox(&email.from)?)
        .subject(letter.subject())
        .message_id(Some(format!("<{id}@xopero>")))
        .header(ContentType::TEXT_PLAIN);
    for address in &email.to {
        builder = builder.to(mailbox(address)?);
    }
    let message = builder.body(letter.text()).map_err(|error| failed(&error))?;

    let host = email.server.host();
    let tls = || -> Result<TlsParameters, lettre::transport::smtp::Error> {
        let mut parameters = TlsParameters::builder(host.to_owned());
        if let Some(pem) = ca {
            parameters = parameters.add_root_certificate(Certificate::from_pem(pem)?);
        }
        parameters.build()
    };
    let security = match email.server.security() {
        MailSecurity::Tls => Tls::Wrapper(tls().map_err(|error| failed(&error))?),
        MailSecurity::StartTls => Tls::Required(tls().map_err(|error| failed(&error))?),
        MailSecurity::Loopback => Tls::None,
    };
    let mut transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host)
        .port(email.server.port())
        .tls(security)
        .timeout(Some(SILENCE));
    if let (Some((account, _)), Some(password)) = (&email.login, password) {
        let credentials = Credentials::new(account.to_string(), password.expose_secret().to_owned());
        transport = transport.credentials(credentials);
    }
    let answer = transport.build().send(message).await.map_err(|error| failed(&whole(&error)))?;
    Ok(Receipt { place, answer: format!("status {}", answer.code()) })
}

/// An error with its causes.
fn whole(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text
}
