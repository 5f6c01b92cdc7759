//! One origin over HTTP: no redirects, no cookies, bounded answers, classified failures. HTTP/2 where the server offers
//! it, else HTTP/1.1 with connections that are kept; one TLS stack; the proxies that the caller names and no others.
//!
//! Every call is **one** attempt with **one** [`Authorization`]. Whether to wait, to exchange the credential or to
//! give up is decided by the rooms above, from [`HttpError::retry`] and the variant. An [`Authorization`] leaves
//! this process only inside a header, and only to an address that the server's [`BaseUrl`](crate::model::BaseUrl)
//! covers.
//!
//! Answers are streams ([`Answer`]) or bounded JSON documents ([`Json`]). What a server wrote into an error is kept
//! short and raw; whoever shows it escapes it.

mod answer;
mod authorization;
mod classify;
mod client;
mod error;
mod proxies;
mod retry_after;
mod tally;
#[cfg(test)]
mod tls_tests;

pub use answer::{Answer, Json};
pub use authorization::Authorization;
pub use client::{HttpClient, Method, Request};
pub use error::{HttpError, Refusal, RequestPlace, Retry, TransportError};
pub use proxies::Proxies;
pub use tally::Tally;
