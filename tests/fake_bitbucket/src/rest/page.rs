//! Paging: a window over a list in which some items are invisible.

use serde_json::{Value, json};

use super::invalid;
use crate::body::Reply;
use crate::route::parameter;

/// The page size without a `limit`.
const DEFAULT_LIMIT: usize = 25;

/// Which page a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PageRequest {
    start: usize,
    limit: usize,
}

impl PageRequest {
    /// Reads `start` and `limit`; a limit above the cap is lowered without a word.
    pub(super) fn of(query: Option<&str>, cap: usize) -> Result<Self, Reply> {
        let number = |name: &str, otherwise: usize| match parameter(query, name) {
            None => Ok(otherwise),
            Some(text) => text.parse::<usize>().map_err(|_| invalid(name)),
        };
        let start = number("start", 0)?;
        let limit = number("limit", DEFAULT_LIMIT)?.clamp(1, cap.max(1));
        Ok(Self { start, limit })
    }

    /// The page. Its positions count over all items, so that the next one is not start + limit.
    pub(super) fn answer<T>(self, items: &[T], visible: impl Fn(&T) -> bool, shape: impl Fn(&T) -> Value) -> Reply {
        let rest = items.iter().enumerate().skip(self.start);
        let mut rest = rest.filter(|(_, item)| visible(item)).peekable();
        let mut values = Vec::new();
        let mut next = self.start;
        for (place, item) in rest.by_ref().take(self.limit) {
            values.push(shape(item));
            next = place + 1;
        }
        let is_last = rest.next().is_none();
        let page = json!({
            "size": values.len(),
            "limit": self.limit,
            "isLastPage": is_last,
            "values": values,
            "start": self.start,
            "nextPageStart": if is_last { Value::Null } else { json!(next) },
        });
        Reply::json(200, &page)
    }
}
