//! One page of a list. `size` is the count of one page and is not looked at; only `nextPageStart` leads on.

use serde::Deserialize;
use serde_json::Value;

/// One page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// What could be understood.
    pub values: Vec<T>,
    /// What could not.
    pub quarantined: Vec<Quarantined>,
    /// Where the next page starts; `None` after the last one. Always beyond the start of this one.
    pub next: Option<u64>,
    /// The length of the answer in bytes.
    pub bytes: usize,
}

/// An entry that cannot be used. It is reported; it does not fail the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantined {
    /// Its number, if at least that is legible.
    pub id: Option<u64>,
    /// Why it cannot be used.
    pub why: String,
}

/// A page as it came.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RawPage {
    values: Vec<Value>,
    is_last_page: bool,
    #[serde(default)]
    next_page_start: Value,
}

impl RawPage {
    /// Reads the entries of a page that was asked for from `start`; an error, as text, if it leads nowhere or back.
    pub(super) fn read<T>(
        self,
        start: u64,
        bytes: usize,
        entry: impl Fn(Value) -> Result<T, String>,
    ) -> Result<Page<T>, String> {
        let next = self.next(start)?;
        let mut page = Page { values: Vec::with_capacity(self.values.len()), quarantined: Vec::new(), next, bytes };
        for value in self.values {
            let id = value.get("id").and_then(Value::as_u64);
            match entry(value) {
                Ok(value) => page.values.push(value),
                Err(why) => page.quarantined.push(Quarantined { id, why }),
            }
        }
        Ok(page)
    }

    /// Where the next page starts.
    fn next(&self, start: u64) -> Result<Option<u64>, String> {
        if self.is_last_page {
            return Ok(None);
        }
        match self.next_page_start.as_u64() {
            Some(next) if next > start => Ok(Some(next)),
            Some(next) => Err(next.to_string()),
            None => Err("missing".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next_of(json: &str, start: u64) -> Result<Option<u64>, String> {
        serde_json::from_str::<RawPage>(json).unwrap().next(start)
    }

    #[test]
    fn quirk_03_only_a_page_that_leads_on_has_a_next_one() {
        assert_eq!(next_of(r#"{"values":[],"isLastPage":true,"nextPageStart":null}"#, 0), Ok(None));
        assert_eq!(next_of(r#"{"values":[],"isLastPage":true}"#, 7), Ok(None));
        assert_eq!(next_of(r#"{"values":[],"isLastPage":true,"nextPageStart":9}"#, 7), Ok(None));
        assert_eq!(next_of(r#"{"size":1,"values":[1],"isLastPage":false,"nextPageStart":31}"#, 25), Ok(Some(31)));
        assert_eq!(next_of(r#"{"values":[],"isLastPage":false}"#, 0), Err("missing".into()));
        assert_eq!(next_of(r#"{"values":[],"isLastPage":false,"nextPageStart":null}"#, 0), Err("missing".into()));
        assert_eq!(next_of(r#"{"values":[],"isLastPage":false,"nextPageStart":-1}"#, 0), Err("missing".into()));
        assert_eq!(next_of(r#"{"values":[],"isLastPage":false,"nextPageStart":"25"}"#, 0), Err("missing".into()));
        assert_eq!(next_of(r#"{"values":[],"isLastPage":false,"nextPageStart":25}"#, 25), Err("25".into()));
        assert_eq!(next_of(r#"{"values":[],"isLastPage":false,"nextPageStart":0}"#, 25), Err("0".into()));
    }

    #[test]
    fn a_page_without_a_word_on_its_end_is_no_page() {
        assert!(serde_json::from_str::<RawPage>(r#"{"values":[]}"#).is_err());
        assert!(serde_json::from_str::<RawPage>(r#"{"isLastPage":true}"#).is_err());
    }
}
