//! Lists of any length, read page by page and never without an end.
//!
//! Bitbucket shows each account what it may see and keeps no snapshot between pages: an entry can be on two of them, or
//! on none. Tell entries apart by their numbers, and read all pages with one account, or [`Pager::restart`].

use futures_util::Stream;
use futures_util::stream::try_unfold;
use serde_json::Value;

use super::page::RawPage;
use super::{BitbucketError, Client, LARGEST_PAGE, Page};
use crate::http::Authorization;

/// What is asked for at once. A server may give less, without a word.
const LIMIT: u32 = 1000;

/// What can be listed: a resource, what its entries have to fit, and how one is read.
#[derive(Debug, Clone)]
pub struct List<T> {
    segments: Vec<String>,
    filter: Vec<(&'static str, String)>,
    limit: u32,
    read: fn(Value) -> Result<T, String>,
}

impl<T> List<T> {
    /// The list at an address; `read` makes an entry, or says why it cannot.
    pub(super) fn at(segments: &[&str], read: fn(Value) -> Result<T, String>) -> Self {
        let segments = segments.iter().map(|segment| (*segment).to_owned()).collect();
        Self { segments, filter: Vec::new(), limit: LIMIT, read }
    }

    /// Only what fits.
    pub(super) fn filter(mut self, name: &'static str, value: &str) -> Self {
        self.filter.push((name, value.to_owned()));
        self
    }

    /// One entry at a time: a look that costs as little as one can.
    #[must_use]
    pub fn one_by_one(self) -> Self {
        Self { limit: 1, ..self }
    }

    fn name(&self) -> String {
        self.segments.join("/")
    }
}

impl Client {
    /// Gets the first page of a list, and no other.
    pub async fn first_page<T>(
        &self,
        list: &List<T>,
        authorization: &Authorization,
    ) -> Result<Page<T>, BitbucketError> {
        self.page(list, 0, authorization).await
    }

    /// Gets the page that begins at `start`.
    async fn page<T>(
        &self,
        list: &List<T>,
        start: u64,
        authorization: &Authorization,
    ) -> Result<Page<T>, BitbucketError> {
        let segments: Vec<&str> = list.segments.iter().map(String::as_str).collect();
        let (from, limit) = (start.to_string(), list.limit.to_string());
        let filter = list.filter.iter().map(|(name, value)| (*name, value.as_str()));
        let query: Vec<_> = filter.chain([("start", from.as_str()), ("limit", limit.as_str())]).collect();
        let answer = self.http.get_json::<RawPage>(&segments, &query, authorization, LARGEST_PAGE).await?;
        let read = answer.value.read(start, answer.bytes, list.read);
        read.map_err(|next| BitbucketError::Paging { resource: list.name(), start, next })
    }
}

/// How much a list may be before it is taken for one without an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Pages.
    pub pages: u64,
    /// Entries, also those that cannot be used.
    pub entries: u64,
    /// Bytes of all answers.
    pub bytes: u64,
}

impl Default for Bounds {
    /// More than any Bitbucket lists.
    fn default() -> Self {
        Self { pages: 10_000, entries: 1_000_000, bytes: 4 << 30 }
    }
}

/// Where the reading of a list stands.
#[derive(Debug, Clone)]
pub struct Pager<T> {
    list: List<T>,
    bounds: Bounds,
    /// Where the next page begins; nothing after the last one.
    next: Option<u64>,
    /// What was read so far, also before the reading began anew.
    read: Bounds,
}

impl<T> Pager<T> {
    /// Before the first page.
    pub fn new(list: List<T>) -> Self {
        Self::within(list, Bounds::default())
    }

    /// The same with bounds of one's own.
    pub fn within(list: List<T>, bounds: Bounds) -> Self {
        Self { list, bounds, next: Some(0), read: Bounds { pages: 0, entries: 0, bytes: 0 } }
    }

    /// Whether no page was read since the beginning.
    pub fn is_at_start(&self) -> bool {
        self.next == Some(0)
    }

    /// Whether the last page was read.
    pub fn is_over(&self) -> bool {
        self.next.is_none()
    }

    /// Asks for the next page and goes no further: the same question can be put again, with whatever credential. After
    /// the last page there is an empty one.
    pub async fn ask(&self, client: &Client, authorization: &Authorization) -> Result<Page<T>, BitbucketError> {
        match self.next {
            Some(start) => client.page(&self.list, start, authorization).await,
            None => Ok(Page { values: Vec::new(), quarantined: Vec::new(), next: None, bytes: 0 }),
        }
    }

    /// Goes behind a page that came.
    pub fn turn(&mut self, page: &Page<T>) -> Result<(), BitbucketError> {
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        let entries = count(page.values.len()).saturating_add(count(page.quarantined.len()));
        let Bounds { pages, entries: listed, bytes } = self.read;
        self.read = Bounds {
            pages: pages.saturating_add(1),
            entries: listed.saturating_add(entries),
            bytes: bytes.saturating_add(count(page.bytes)),
        };
        self.next = page.next;
        let (read, most) = (self.read, self.bounds);
        let endless = |most, what| BitbucketError::Endless { resource: self.list.name(), most, what };
        // The last page is not too many.
        if !self.is_over() && read.pages >= most.pages {
            return Err(endless(most.pages, "pages"));
        }
        if read.entries > most.entries {
            return Err(endless(most.entries, "entries"));
        }
        if read.bytes > most.bytes {
            return Err(endless(most.bytes, "bytes"));
        }
        Ok(())
    }

    /// Begins with the first page again. What was read counts on.
    pub fn restart(&mut self) {
        self.next = Some(0);
    }

    /// Gets the next page; nothing after the last one.
    pub async fn next(
        &mut self,
        client: &Client,
        authorization: &Authorization,
    ) -> Result<Option<Page<T>>, BitbucketError> {
        if self.is_over() {
            return Ok(None);
        }
        let page = self.ask(client, authorization).await?;
        self.turn(&page)?;
        Ok(Some(page))
    }

    /// The pages that are left, as a stream that ends after the last one or after an error.
    pub fn into_stream(
        self,
        client: &Client,
        authorization: &Authorization,
    ) -> impl Stream<Item = Result<Page<T>, BitbucketError>> {
        try_unfold(self, async move |mut pager| {
            let page = pager.next(client, authorization).await?;
            Ok(page.map(|page| (page, pager)))
        })
    }
}

#[cfg(test)]
mod tests {
    use futures_util::TryStreamExt;

    use super::*;
    use crate::bitbucket::canned::{Canned, authorization};

    fn list() -> List<u64> {
        List::at(&["rest", "numbers"], |value| value["id"].as_u64().ok_or_else(|| "no number".to_owned()))
    }

    fn asked(start: u64) -> String {
        format!("/bb/rest/numbers?start={start}&limit=1000")
    }

    /// Pages of one entry each; the last one says so.
    async fn numbers(starts: &[u64]) -> Client {
        let mut canned: Option<Canned> = None;
        for (index, start) in starts.iter().enumerate() {
            let next = starts.get(index + 1);
            let end = next
                .map_or(r#""isLastPage":true"#.into(), |next| format!(r#""isLastPage":false,"nextPageStart":{next}"#));
            // What a page says of its own size is no use to anybody.
            let body = format!(r#"{{"size":1,"limit":3,"values":[{{"id":{start}}},{{}}],{end}}}"#);
            canned = Some(match canned {
                None => Canned::answer(&asked(*start), &body),
                Some(canned) => canned.then(&asked(*start), &body),
            });
        }
        canned.unwrap().serve().await
    }

    #[tokio::test]
    async fn quirk_01_02_all_pages_are_read_whatever_they_say_of_their_size() {
        let client = numbers(&[0, 3, 31, 32]).await;
        let authorization = authorization();
        let pages: Vec<Page<u64>> =
            Pager::new(list()).into_stream(&client, &authorization).try_collect().await.unwrap();
        let found: Vec<u64> = pages.iter().flat_map(|page| page.values.clone()).collect();
        assert_eq!(found, [0, 3, 31, 32]);
        assert_eq!(pages.iter().map(|page| page.quarantined.len()).sum::<usize>(), 4);
    }

    #[tokio::test]
    async fn a_question_can_be_put_again_and_the_reading_begun_anew() {
        let client = numbers(&[0, 7]).await;
        let authorization = authorization();
        let mut pager = Pager::new(list());
        for _ in 0..2 {
            assert_eq!(pager.ask(&client, &authorization).await.unwrap().values, [0]);
        }
        let first = pager.next(&client, &authorization).await.unwrap().unwrap();
        assert_eq!((first.values, pager.is_at_start(), pager.is_over()), (vec![0], false, false));
        pager.restart();
        assert!(pager.is_at_start());
        let mut read = Vec::new();
        while let Some(page) = pager.next(&client, &authorization).await.unwrap() {
            read.extend(page.values);
        }
        assert_eq!((read, pager.is_over()), (vec![0, 7], true));
        assert_eq!(pager.next(&client, &authorization).await.unwrap(), None);
        assert_eq!(pager.read.pages, 3, "what was read before counts on");
    }

    #[tokio::test]
    async fn a_list_without_an_end_is_not_read_for_ever() {
        let client = numbers(&[0, 1, 2, 3]).await;
        let authorization = authorization();
        let generous = Bounds::default();
        for (bounds, what) in [
            (Bounds { pages: 3, ..generous }, "3 pages"),
            (Bounds { entries: 7, ..generous }, "7 entries"),
            (Bounds { bytes: 100, ..generous }, "100 bytes"),
        ] {
            let pages = Pager::within(list(), bounds).into_stream(&client, &authorization);
            let error = pages.try_collect::<Vec<_>>().await.unwrap_err();
            assert!(error.to_string().contains(&format!("rest/numbers: more than {what}")), "{error}");
        }
        let exact = Bounds { pages: 4, entries: 8, ..generous };
        assert!(
            Pager::within(list(), exact).into_stream(&client, &authorization).try_collect::<Vec<_>>().await.is_ok()
        );
    }

    #[tokio::test]
    async fn quirk_03_a_page_that_leads_back_ends_the_reading() {
        for next in ["0", "3", "null", "-7", r#""9""#] {
            let back = format!(r#"{{"values":[],"isLastPage":false,"nextPageStart":{next}}}"#);
            let first = r#"{"values":[{"id":1}],"isLastPage":false,"nextPageStart":3}"#;
            let client = Canned::answer(&asked(0), first).then(&asked(3), &back).serve().await;
            let authorization = authorization();
            let error =
                Pager::new(list()).into_stream(&client, &authorization).try_collect::<Vec<_>>().await.unwrap_err();
            assert!(matches!(error, BitbucketError::Paging { start: 3, .. }), "{next}: {error:?}");
        }
    }
}
