//! Reading `Retry-After`, which may be absent, seconds, a date, negative or absurd.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;

/// The shortest wait that a server can ask for.
const SHORTEST: Duration = Duration::from_secs(1);

/// The longest wait that a server can ask for.
const LONGEST: Duration = Duration::from_mins(10);

/// How long the server asked to wait, clamped to 1 second .. 10 minutes; `None` if it did not say, or not readably.
///
/// A date is compared with the server's own `Date`, so a wrong clock on this side does no harm.
pub(super) fn retry_after(text: Option<&str>, date: Option<&str>) -> Option<Duration> {
    let text = text?.trim();
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        if text.starts_with('-') {
            return Some(SHORTEST);
        }
        return Some(Duration::from_secs(digits.parse().unwrap_or(u64::MAX)).clamp(SHORTEST, LONGEST));
    }
    let (until, sent) = (date_time(text)?, date_time(date?)?);
    if until <= sent {
        return Some(SHORTEST);
    }
    Some(until.duration_since(sent).unsigned_abs().clamp(SHORTEST, LONGEST))
}

/// A date of HTTP's main form. Its weekday is not checked against the date.
fn date_time(text: &str) -> Option<Timestamp> {
    DateTimeParser::new().relaxed_weekday(true).parse_timestamp(text.trim()).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_form_is_understood_and_clamped() {
        let after = |text: &str| retry_after(Some(text), Some("Sun, 06 Nov 1994 08:49:37 GMT"));
        assert_eq!(after("7"), Some(Duration::from_secs(7)));
        assert_eq!(after(" 0 "), Some(SHORTEST));
        assert_eq!(after("-5"), Some(SHORTEST));
        assert_eq!(after("9223372036854775807"), Some(LONGEST));
        assert_eq!(after("99999999999999999999999999"), Some(LONGEST));
        assert_eq!(after("Sun, 06 Nov 1994 08:50:07 GMT"), Some(Duration::from_secs(30)));
        assert_eq!(after("Sun, 06 Nov 1994 08:49:07 GMT"), Some(SHORTEST));
        assert_eq!(after("Sun, 06 Nov 2094 08:49:07 GMT"), Some(LONGEST));
        assert_eq!(after("soon"), None);
        assert_eq!(after(""), None);
        assert_eq!(retry_after(None, None), None);
        assert_eq!(retry_after(Some("Sun, 06 Nov 1994 08:50:07 GMT"), None), None);
    }

    proptest! {
        #[test]
        fn no_text_gives_a_wait_outside_the_bounds(text: String, date: Option<String>) {
            if let Some(wait) = retry_after(Some(&text), date.as_deref()) {
                prop_assert!((SHORTEST..=LONGEST).contains(&wait));
            }
        }
    }
}
