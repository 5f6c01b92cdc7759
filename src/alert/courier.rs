//! Sending one letter by one way: one attempt.

mod mail;
mod program;
mod signature;

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use url::Url;

use super::error::{DeliveryError, HttpErrorHidden};
use super::letter::Letter;
use crate::http::{Authorization, HttpClient, HttpError, Method, Proxies, Request};
use crate::model::alerts::{ADDRESS, BOUND_TO_ALERTS, PASSWORD, SIGNING_KEY, TOKEN};
use crate::model::{
    AlertAddress, AlertUrl, Alerts, AlertsName, BaseUrl, Channel, Email, Ntfy, Sealed, SecretKind, Webhook,
};
use crate::secret::{Expected, IdentitySources, find_identities, open};

/// How long a receiver may be silent.
const SILENCE: Duration = Duration::from_secs(20);

/// How long an attempt may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// Whether programs may be called. It is a setting of the machine, and never of the file that names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AllowExec {
    /// They may.
    Yes,
    /// They may not.
    No,
}

/// Who sends, and with what.
#[derive(Debug, Clone)]
pub struct Courier {
    /// Where relative paths begin.
    pub base: PathBuf,
    /// Through what servers are reached.
    pub proxies: Proxies,
    /// Where identities are looked for.
    pub identities: IdentitySources,
    /// Whether programs may be called.
    pub allow_exec: AllowExec,
}

/// That a letter was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Where, as far as it may be shown.
    pub place: String,
    /// What the receiver said: `status 204`.
    pub answer: String,
    /// Who did not get it although others did, and why.
    pub left_out: Option<String>,
}

impl Receipt {
    /// That everybody who was meant got it.
    fn whole(place: impl Into<String>, answer: impl Into<String>) -> Self {
        Self { place: place.into(), answer: answer.into(), left_out: None }
    }
}

/// An address with what may be shown of it.
struct Target {
    address: AlertUrl,
    place: String,
}

impl Courier {
    /// Sends a letter with this identity.
    pub async fn send(
        &self,
        name: &AlertsName,
        alerts: &Alerts,
        channel: Channel,
        letter: &Letter,
        id: &str,
    ) -> Result<Receipt, DeliveryError> {
        let attempt = self.attempt(name, alerts, channel, letter, id);
        tokio::time::timeout(PATIENCE, attempt)
            .await
            .unwrap_or_else(|_| Err(DeliveryError::Slow { place: channel.to_string(), within: PATIENCE }))
    }

    async fn attempt(
        &self,
        name: &AlertsName,
        alerts: &Alerts,
        channel: Channel,
        letter: &Letter,
        id: &str,
    ) -> Result<Receipt, DeliveryError> {
        let ca = self.certificates(alerts)?;
        let ca = ca.as_deref();
        let document = letter.document(id, name);
        match channel {
            Channel::Webhook => match &alerts.webhook {
                Some(webhook) => self.webhook(webhook, &document, id, ca).await,
                None => Ok(nobody()),
            },
            Channel::Healthchecks => match &alerts.healthchecks {
                Some(address) => self.healthchecks(address, letter, ca).await,
                None => Ok(nobody()),
            },
            Channel::Ntfy => match &alerts.ntfy {
                Some(ntfy) => self.ntfy(ntfy, letter, ca).await,
                None => Ok(nobody()),
            },
            Channel::Slack => match &alerts.slack {
                Some(sealed) => self.slack(sealed, letter, ca).await,
                None => Ok(nobody()),
            },
            Channel::Email => match &alerts.email {
                Some(email) => {
                    let password = self.password(email)?;
                    let post = mail::Post { alerts: name, email, password: password.as_ref(), ca };
                    post.send(letter, id).await
                }
                None => Ok(nobody()),
            },
            Channel::Exec => match &alerts.exec {
                Some(program) => match self.allow_exec {
                    AllowExec::Yes => program::call(program, &document).await,
                    AllowExec::No => Err(DeliveryError::ExecNotAllowed { program: program.clone() }),
                },
                None => Ok(nobody()),
            },
        }
    }

    fn certificates(&self, alerts: &Alerts) -> Result<Option<Vec<u8>>, DeliveryError> {
        let Some(path) = &alerts.ca_file else { return Ok(None) };
        let path = self.base.join(path);
        let read = std::fs::read(&path).and_then(|pem| if is_pem(&pem) { Ok(pem) } else { Err(no_certificate()) });
        read.map(Some).map_err(|source| DeliveryError::CaFile { path, source })
    }

    fn open(
        &self,
        sealed: &Sealed,
        (channel, key): (Channel, &str),
        expected: &Expected,
    ) -> Result<SecretString, DeliveryError> {
        let failed = |source| DeliveryError::Secret { what: format!("{channel} {key}"), source };
        let identities = find_identities(&self.identities).map_err(failed)?;
        open(sealed, &identities, expected).map_err(failed)
    }

    fn target(&self, address: &AlertAddress, channel: Channel) -> Result<Target, DeliveryError> {
        match address {
            AlertAddress::Clear(address) => Ok(Target { address: address.clone(), place: address.to_string() }),
            AlertAddress::Sealed(sealed) => self.sealed_target(sealed, channel),
        }
    }

    fn sealed_target(&self, sealed: &Sealed, channel: Channel) -> Result<Target, DeliveryError> {
        let expected =
            Expected { kind: SecretKind::Address, origin: BOUND_TO_ALERTS.to_owned(), account: channel.account() };
        let text = self.open(sealed, (channel, ADDRESS), &expected)?;
        let address = AlertUrl::secret(text.expose_secret())
            .map_err(|_| DeliveryError::Address { channel: channel.to_string() })?;
        let place = format!("{}/…", address.origin());
        Ok(Target { address, place })
    }

    /// What is sealed for the address in clear text.
    fn bound(
        &self,
        sealed: Option<&Sealed>,
        (channel, key): (Channel, &str),
        kind: SecretKind,
        target: &Target,
    ) -> Result<Option<SecretString>, DeliveryError> {
        let expected = Expected { kind, origin: target.address.as_str().to_owned(), account: channel.account() };
        sealed.map(|sealed| self.open(sealed, (channel, key), &expected)).transpose()
    }

    fn password(&self, email: &Email) -> Result<Option<SecretString>, DeliveryError> {
        let Some((account, sealed)) = &email.login else { return Ok(None) };
        let expected = Expected { kind: SecretKind::Password, origin: email.server.origin(), account: account.clone() };
        self.open(sealed, (Channel::Email, PASSWORD), &expected).map(Some)
    }

    async fn webhook(
        &self,
        webhook: &Webhook,
        document: &Value,
        id: &str,
        ca: Option<&[u8]>,
    ) -> Result<Receipt, DeliveryError> {
        let target = self.target(&webhook.address, Channel::Webhook)?;
        let secret = (Channel::Webhook, SIGNING_KEY);
        let key = self.bound(webhook.signing_key.as_ref(), secret, SecretKind::SigningKey, &target)?;
        let body = document.to_string();
        let signature = key.map(|key| signature::of(key.expose_secret().as_bytes(), body.as_bytes()));
        let mut headers = vec![("content-type", "application/json"), ("idempotency-key", id)];
        headers.extend(signature.as_deref().map(|signature| ("x-xopero-signature", signature)));
        let url = target.address.url().clone();
        self.post(&target, url, &headers, body, None, ca).await
    }

    async fn healthchecks(
        &self,
        address: &AlertAddress,
        letter: &Letter,
        ca: Option<&[u8]>,
    ) -> Result<Receipt, DeliveryError> {
        let target = self.target(address, Channel::Healthchecks)?;
        let url = match letter {
            Letter::Ping { ping, .. } => {
                let mut url = target.address.url().clone();
                if !ping.kind.segments().is_empty() {
                    url = target.address.with(ping.kind.segments());
                }
                url.query_pairs_mut().append_pair("rid", &ping.uuid());
                url
            }
            // It is written down there, and changes nothing.
            Letter::Alert { .. } | Letter::Test { .. } => target.address.with(&["log"]),
        };
        self.post(&target, url, &[("content-type", PLAIN)], letter.text(), None, ca).await
    }

    async fn ntfy(&self, ntfy: &Ntfy, letter: &Letter, ca: Option<&[u8]>) -> Result<Receipt, DeliveryError> {
        let target = self.target(&ntfy.address, Channel::Ntfy)?;
        let token = self.bound(ntfy.token.as_ref(), (Channel::Ntfy, TOKEN), SecretKind::Token, &target)?;
        let authorization = token.map(|token| Authorization::bearer(Channel::Ntfy.account(), &token)).transpose();
        let authorization = authorization.map_err(|error| http(&target, error))?;
        let subject = visible(&letter.subject());
        let priority = if letter.is_urgent() { "high" } else { "default" };
        let headers = [("content-type", PLAIN), ("title", &*subject), ("priority", priority)];
        let url = target.address.url().clone();
        self.post(&target, url, &headers, letter.text(), authorization.as_ref(), ca).await
    }

    async fn slack(&self, sealed: &Sealed, letter: &Letter, ca: Option<&[u8]>) -> Result<Receipt, DeliveryError> {
        let target = self.sealed_target(sealed, Channel::Slack)?;
        let text = format!("*{}*\n```{}```", slack_text(&letter.subject()), slack_text(&letter.text()));
        let url = target.address.url().clone();
        let body = json!({ "text": text }).to_string();
        self.post(&target, url, &[("content-type", "application/json")], body, None, ca).await
    }

    async fn post(
        &self,
        target: &Target,
        url: Url,
        headers: &[(&'static str, &str)],
        body: String,
        authorization: Option<&Authorization>,
        ca: Option<&[u8]>,
    ) -> Result<Receipt, DeliveryError> {
        let base: BaseUrl = target.address.origin();
        let client = HttpClient::new(&base, ca, &self.proxies, SILENCE).map_err(|error| http(target, error))?;
        let request = Request { method: Method::Post, url, headers, body: Bytes::from(body) };
        let answer = match authorization {
            Some(authorization) => client.send(request, authorization).await,
            None => client.send_as_stranger(request).await,
        };
        let answer = answer.map_err(|error| http(target, error))?;
        Ok(Receipt::whole(target.place.clone(), format!("status {}", answer.status())))
    }
}

const PLAIN: &str = "text/plain; charset=utf-8";

/// Whether it has certificates that can be trusted: what is none would be passed over in silence.
fn is_pem(text: &[u8]) -> bool {
    const BEGINS: &[u8] = b"-----BEGIN CERTIFICATE-----";
    text.windows(BEGINS.len()).any(|window| window == BEGINS)
}

fn no_certificate() -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::InvalidData, "it holds no certificate in PEM")
}

/// For a way that is not declared.
fn nobody() -> Receipt {
    Receipt::whole("nowhere", "nobody is to be told")
}

fn http(target: &Target, error: HttpError) -> DeliveryError {
    DeliveryError::Http { place: target.place.clone(), source: Box::new(HttpErrorHidden(error)) }
}

/// What a header can carry.
fn visible(text: &str) -> String {
    text.chars().map(|c| if (' '..='~').contains(&c) { c } else { '?' }).collect()
}

/// Text that Slack shows as it is: no mentions, no links, no end of the block.
fn slack_text(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace("```", "'''")
}

#[cfg(test)]
pub(super) mod tests;
