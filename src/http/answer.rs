//! A successful answer: its content type, and its body piece by piece.

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderMap};

use super::classify::shorten;
use super::error::{HttpError, RequestPlace, TransportError};

/// An answer with a status of success. The body is read by the caller, at the caller's pace.
#[derive(Debug)]
pub struct Answer {
    place: RequestPlace,
    content_type: String,
    response: reqwest::Response,
}

/// A JSON answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Json<T> {
    /// The document.
    pub value: T,
    /// `X-AUSERNAME`, decoded: the account that the server saw; `None` for an anonymous request.
    pub account: Option<String>,
    /// `X-AREQUESTID`: the server's number for the request.
    pub request_id: Option<String>,
    /// The length of the document in bytes.
    pub bytes: usize,
}

impl Answer {
    pub(super) fn new(place: RequestPlace, response: reqwest::Response) -> Self {
        let text = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let essence = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        Self { place, content_type: shorten(&essence), response }
    }

    /// The status, which is one of success.
    pub fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    /// The media type in lower case, without parameters; empty if the server did not say.
    pub fn content_type(&self) -> &str {
        &self.content_type
    }

    /// The request this is the answer to.
    pub fn place(&self) -> &RequestPlace {
        &self.place
    }

    /// Fails unless the media type is `expected`: a login page with status 200 is not an answer.
    pub fn require_content_type(&self, expected: &'static str) -> Result<(), HttpError> {
        if self.content_type == expected {
            return Ok(());
        }
        let content_type = if self.content_type.is_empty() { "no content type" } else { &self.content_type };
        Err(HttpError::UnexpectedContent { place: self.place.clone(), content_type: content_type.to_owned(), expected })
    }

    /// The next piece of the body; `None` at its end.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, HttpError> {
        self.response.chunk().await.map_err(|error| {
            let place = self.place.clone();
            if error.is_timeout() {
                HttpError::Timeout { place }
            } else {
                HttpError::Interrupted { place, cause: TransportError::new(error) }
            }
        })
    }

    /// The whole body, if it has at most `limit` bytes.
    pub async fn collect(&mut self, limit: usize) -> Result<Vec<u8>, HttpError> {
        let mut body = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            if chunk.len() > limit.saturating_sub(body.len()) {
                return Err(HttpError::TooLarge { place: self.place.clone(), limit });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    /// `X-AUSERNAME`, decoded.
    pub(super) fn account(&self) -> Option<String> {
        let raw = self.response.headers().get("x-ausername")?.as_bytes();
        let (name, _) = url::form_urlencoded::parse(raw).next()?;
        (!name.is_empty() && name.len() <= 1024).then(|| name.into_owned())
    }
}

/// `X-AREQUESTID` in printable ASCII.
pub(super) fn request_id(headers: &HeaderMap) -> Option<String> {
    let id = headers.get("x-arequestid")?.to_str().ok()?;
    Some(id.chars().take(64).collect())
}
