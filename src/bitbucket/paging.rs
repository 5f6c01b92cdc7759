//! Pages of a list. `size` is the count of one page and is not looked at; only `nextPageStart` leads on.

use serde::Deserialize;
use serde_json::Value;

use super::{BitbucketError, Client, LARGEST_PAGE};
use crate::http::Authorization;

/// What is asked for at once. A server may give less.
const LIMIT: u32 = 1000;

/// One page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// What could be understood.
    pub values: Vec<T>,
    /// What could not.
    pub quarantined: Vec<Quarantined>,
    /// Where the next page starts; `None` after the last one. Always beyond the start of this one.
    pub next: Option<u64>,
}

/// An entry that cannot be used. It is reported; it does not fail the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantined {
    /// Its number, if at least that is legible.
    pub id: Option<u64>,
    /// Why it cannot be used.
    pub why: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawPage {
    values: Vec<Value>,
    is_last_page: bool,
    #[serde(default)]
    next_page_start: Value,
}

impl Client {
    /// Gets the page that begins at `start`; `read` makes an entry, or says why it cannot.
    pub(super) async fn page<T>(
        &self,
        segments: &[&str],
        start: u64,
        authorization: &Authorization,
        read: impl Fn(Value) -> Result<T, String>,
    ) -> Result<Page<T>, BitbucketError> {
        self.page_of(segments, &[], (start, LIMIT), authorization, read).await
    }

    /// The same of what fits `filter`, from a start and with at most so many entries.
    pub(super) async fn page_of<T>(
        &self,
        segments: &[&str],
        filter: &[(&str, &str)],
        (start, limit): (u64, u32),
        authorization: &Authorization,
        read: impl Fn(Value) -> Result<T, String>,
    ) -> Result<Page<T>, BitbucketError> {
        let window = [("start", start.to_string()), ("limit", limit.to_string())];
        let window = window.each_ref().map(|(name, value)| (*name, value.as_str()));
        let query: Vec<(&str, &str)> = filter.iter().copied().chain(window).collect();
        let raw: RawPage = self.http.get_json(segments, &query, authorization, LARGEST_PAGE).await?.value;
        let next =
            next(&raw, start).map_err(|next| BitbucketError::Paging { resource: segments.join("/"), start, next })?;
        let mut page = Page { values: Vec::with_capacity(raw.values.len()), quarantined: Vec::new(), next };
        for value in raw.values {
            let id = value.get("id").and_then(Value::as_u64);
            match read(value) {
                Ok(value) => page.values.push(value),
                Err(why) => page.quarantined.push(Quarantined { id, why }),
            }
        }
        Ok(page)
    }
}

/// Where the next page starts; an error, as text, if the page leads nowhere or back.
fn next(page: &RawPage, start: u64) -> Result<Option<u64>, String> {
    if page.is_last_page {
        return Ok(None);
    }
    match page.next_page_start.as_u64() {
        Some(next) if next > start => Ok(Some(next)),
        Some(next) => Err(next.to_string()),
        None => Err("missing".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next_of(json: &str, start: u64) -> Result<Option<u64>, String> {
        next(&serde_json::from_str(json).unwrap(), start)
    }

    #[test]
    fn quirk_03_only_a_page_that_leads_on_has_a_next_one() {
        assert_eq!(next_of(r#"{"values":[],"isLastPage":true,"nextPageStart":null}"#, 0), Ok(None));
        assert_eq!(next_of(r#"{"values":[],"isLastPage":true}"#, 7), Ok(None));
        assert_eq!(next_of(r#"{"size":1,"values":[1],"isLastPage":false,"nextPageStart":31}"#, 25), Ok(Some(31)));
        assert_eq!(next_of(r#"{"values":[],"isLastPage":false}"#, 0), Err("missing".into()));
        assert_eq!(next_of(r#"{"values":[],"isLastPage":false,"nextPageStart":null}"#, 0), Err("missing".into()));
        assert_eq!(next_of(r#"{"values":[],"isLastPage":false,"nextPageStart":-1}"#, 0), Err("missing".into()));
        assert_eq!(next_of(r#"{"values":[],"isLastPage":false,"nextPageStart":25}"#, 25), Err("25".into()));
    }
}
