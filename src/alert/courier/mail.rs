//! Mail. The only file that names `lettre`.
//!
//! Contract: TLS is there before the account, its password or a word of a letter is said, unless the server is on this
//! machine. Where TLS cannot be had, nothing is sent.

use std::error::Error as _;
use std::future::Future;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lettre::message::header::ContentType;
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::ClientId;
use secrecy::{ExposeSecret, SecretString};

use super::{Receipt, SILENCE};
use crate::alert::error::{DeliveryError, MailFault};
use crate::alert::letter::{Letter, plain};
use crate::model::{AlertsName, Email, MailAddress, MailSecurity};

/// How long the farewell may take: the letter is there already, or will not come.
const FAREWELL: Duration = Duration::from_secs(5);

/// A server demands a login with this answer.
const DEMANDS_LOGIN: &str = "530";

/// People with mailboxes, and what it takes to reach them.
pub(super) struct Post<'a> {
    /// The alerts.
    pub(super) alerts: &'a AlertsName,
    /// Whom, and by which server.
    pub(super) email: &'a Email,
    /// The password of its account, if it has one.
    pub(super) password: Option<&'a SecretString>,
    /// Certificates to trust besides the system's.
    pub(super) ca: Option<&'a [u8]>,
}

impl Post<'_> {
    /// Hands a letter to the mail server.
    pub(super) async fn send(&self, letter: &Letter, id: &str) -> Result<Receipt, DeliveryError> {
        self.send_by(self.email.server.security(), letter, id).await
    }

    /// The same, with this kind of security.
    async fn send_by(&self, security: MailSecurity, letter: &Letter, id: &str) -> Result<Receipt, DeliveryError> {
        let message = self.message(letter, id)?;
        let mut connection = self.connect(security).await?;
        let ended = match self.log_in(&mut connection).await {
            Ok(()) => self.hand_over(&mut connection, &message).await,
            Err(error) => Err(error),
        };
        let _gone_already = tokio::time::timeout(FAREWELL, connection.abort()).await;
        ended
    }

    fn message(&self, letter: &Letter, id: &str) -> Result<Message, DeliveryError> {
        let cannot = |error: &dyn std::fmt::Display| self.failed(MailFault::Refused, &error.to_string());
        let mailbox = |address: &MailAddress| address.as_str().parse::<Mailbox>().map_err(|error| cannot(&error));
        let mut builder = Message::builder()
            .from(mailbox(&self.email.from)?)
            .subject(letter.subject())
            .message_id(Some(format!("<{id}@xopero>")))
            .header(ContentType::TEXT_PLAIN);
        for address in &self.email.to {
            builder = builder.to(mailbox(address)?);
        }
        builder.body(letter.text()).map_err(|error| cannot(&error))
    }

    fn tls(&self) -> Result<TlsParameters, DeliveryError> {
        let parameters = || {
            let mut builder = TlsParameters::builder(self.email.server.host().to_owned());
            if let Some(pem) = self.ca {
                builder = builder.add_root_certificate(Certificate::from_pem(pem)?);
            }
            builder.build()
        };
        parameters().map_err(|error| self.no_connection(&error))
    }

    /// A connection on which secrets may be told.
    async fn connect(&self, security: MailSecurity) -> Result<AsyncSmtpConnection, DeliveryError> {
        let (from_the_start, then) = match security {
            MailSecurity::Tls => (Some(self.tls()?), None),
            MailSecurity::StartTls => (None, Some(self.tls()?)),
            MailSecurity::Loopback => (None, None),
        };
        let (server, hello) = (&self.email.server, ClientId::default());
        let address = (server.host(), server.port());
        let connecting = AsyncSmtpConnection::connect_tokio1(address, Some(SILENCE), &hello, from_the_start, None);
        let mut connection = self.in_time(connecting).await?;
        let Some(tls) = then else { return Ok(connection) };
        if !connection.can_starttls() {
            let _gone_already = tokio::time::timeout(FAREWELL, connection.abort()).await;
            return Err(self.failed(MailFault::NoStartTls, "it offers no STARTTLS: nothing was sent"));
        }
        self.in_time(connection.starttls(tls, &hello)).await?;
        Ok(connection)
    }

    /// Somebody who listens and says nothing expects another kind of beginning.
    async fn in_time<T>(&self, work: impl Future<Output = Result<T, SmtpError>>) -> Result<T, DeliveryError> {
        if let Ok(ended) = tokio::time::timeout(SILENCE, work).await {
            return ended.map_err(|error| self.no_connection(&error));
        }
        let reason = format!("it is there, and said nothing within {} s", SILENCE.as_secs());
        Err(self.failed(MailFault::Unreachable, &reason))
    }

    async fn log_in(&self, connection: &mut AsyncSmtpConnection) -> Result<(), DeliveryError> {
        let (Some((account, _)), Some(password)) = (&self.email.login, self.password) else { return Ok(()) };
        if connection.server_info().get_auth_mechanism(DEFAULT_MECHANISMS).is_none() {
            return Err(self.failed(MailFault::NoLogin, "it lets nobody log in by PLAIN or LOGIN"));
        }
        let credentials = Credentials::new(account.to_string(), password.expose_secret().to_owned());
        match connection.auth(DEFAULT_MECHANISMS, &credentials).await {
            Ok(_welcome) => Ok(()),
            Err(error) => {
                let words = self.words(&error);
                Err(if error.is_permanent() {
                    let reason = format!("it does not let in account {account}: {words}");
                    self.failed(MailFault::Login { alerts: self.alerts.clone() }, &reason)
                } else {
                    self.failed(MailFault::Refused, &format!("account {account} could not log in: {words}"))
                })
            }
        }
    }

    /// A mailbox that has gone does not keep the letter from the others.
    async fn hand_over(
        &self,
        connection: &mut AsyncSmtpConnection,
        message: &Message,
    ) -> Result<Receipt, DeliveryError> {
        let (envelope, refused) = (message.envelope(), |error: SmtpError| self.refused(&error));
        connection.command(Mail::new(envelope.from().cloned(), Vec::new())).await.map_err(refused)?;
        let (mut taken, mut turned_away) = (false, Vec::new());
        for address in envelope.to() {
            match connection.command(Rcpt::new(address.clone(), Vec::new())).await {
                Ok(_) => taken = true,
                Err(error) if error.status().is_some() => turned_away.push((address, error)),
                Err(error) => return Err(self.refused(&error)),
            }
        }
        let others: Vec<String> =
            turned_away.iter().map(|(address, error)| format!("{address}: {}", self.words(error))).collect();
        if !taken {
            let first = turned_away.iter().find(|(_, error)| demands_login(error)).or(turned_away.first());
            let fault = first.map_or(MailFault::Refused, |(_, error)| self.fault(error));
            return Err(self.failed(fault, &others.join("; ")));
        }
        connection.command(Data).await.map_err(refused)?;
        let answer = connection.message(&message.formatted()).await.map_err(refused)?;
        let left_out = (!others.is_empty()).then(|| plain(&others.join("; ")));
        Ok(Receipt { place: self.email.server.to_string(), answer: format!("status {}", answer.code()), left_out })
    }

    fn failed(&self, fault: MailFault, reason: &str) -> DeliveryError {
        DeliveryError::Mail { place: self.email.server.to_string(), fault, reason: plain(reason) }
    }

    fn refused(&self, error: &SmtpError) -> DeliveryError {
        self.failed(self.fault(error), &self.words(error))
    }

    fn fault(&self, error: &SmtpError) -> MailFault {
        if demands_login(error) { MailFault::LoginDemanded { alerts: self.alerts.clone() } } else { MailFault::Refused }
    }

    fn no_connection(&self, error: &SmtpError) -> DeliveryError {
        let cause = self.words(error);
        // What a server answers may speak of anything.
        if error.status().is_some() {
            return self.failed(MailFault::Refused, &cause);
        }
        if cause.contains("certificate") {
            return self.failed(MailFault::Certificate, &format!("its certificate is not trusted: {cause}"));
        }
        if is_garbled(error) {
            return self.failed(MailFault::Tls, &format!("it does not speak TLS here: {cause}"));
        }
        self.failed(MailFault::Unreachable, &format!("cannot be reached: {cause}"))
    }

    /// What the server said, or what happened instead. A server that repeats the password is not repeated.
    fn words(&self, error: &SmtpError) -> String {
        let error = innermost(error);
        let said = error.source().map_or_else(|| error.to_string(), whole);
        let said = match error.status() {
            Some(code) => format!("{code} {said}"),
            None => said,
        };
        let repeats = self.secrets().iter().any(|secret| said.contains(secret.expose_secret()));
        match error.status() {
            Some(code) if repeats => format!("{code}, in words that repeat the password"),
            None if repeats => "it said something that repeats the password".to_owned(),
            Some(_) | None => said,
        }
    }

    /// The forms in which the password goes to the server.
    fn secrets(&self) -> Vec<SecretString> {
        let (Some((account, _)), Some(password)) = (&self.email.login, self.password) else { return Vec::new() };
        let password = password.expose_secret();
        let both = STANDARD.encode(format!("\0{account}\0{password}"));
        vec![password.into(), STANDARD.encode(password).into(), both.into()]
    }
}

fn demands_login(error: &SmtpError) -> bool {
    error.status().is_some_and(|code| code.to_string() == DEMANDS_LOGIN)
}

/// The error that others of its kind only wrap.
fn innermost(error: &SmtpError) -> &SmtpError {
    match error.source().and_then(|cause| cause.downcast_ref::<SmtpError>()) {
        Some(inner) => innermost(inner),
        None => error,
    }
}

/// Whether what came is no TLS.
fn is_garbled(error: &SmtpError) -> bool {
    let cause = innermost(error).source().and_then(|cause| cause.downcast_ref::<std::io::Error>());
    cause.is_some_and(|cause| cause.kind() == std::io::ErrorKind::InvalidData)
}

/// An error with its causes.
fn whole(error: &(dyn std::error::Error + 'static)) -> String {
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

#[cfg(test)]
mod tests;
