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

/// How long it takes until one more request is allowed, by the headers that other Atlassian servers send: so many
/// requests per interval. Clamped like [`retry_after`]; `None` if one of them is missing or no number.
pub(super) fn refill(interval_seconds: Option<&str>, fill_rate: Option<&str>) -> Option<Duration> {
    let number = |text: Option<&str>| text?.trim().parse::<u64>().ok().filter(|number| *number > 0);
    let (interval, rate) = (number(interval_seconds)?, number(fill_rate)?);
    Some(Duration::from_secs(interval.div_ceil(rate)).clamp(SHORTEST, LONGEST))
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
    fn quirk_08_every_form_of_retry_after_is_understood_and_clamped() {
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

    #[test]
    fn the_rate_of_refill_tells_the_wait_too() {
        assert_eq!(refill(Some("60"), Some("5")), Some(Duration::from_secs(12)));
        assert_eq!(refill(Some("1"), Some("5")), Some(SHORTEST));
        assert_eq!(refill(Some("18446744073709551615"), Some("1")), Some(LONGEST));
        for (interval, rate) in [(None, Some("5")), (Some("60"), None), (Some("60"), Some("0")), (Some("x"), Some("5"))]
        {
            assert_eq!(refill(interval, rate), None);
        }
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
