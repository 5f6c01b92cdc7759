//! Dates: milliseconds since 1970, or a text in one of the forms of ISO 8601.

use jiff::Timestamp;
use jiff::fmt::strtime;
use serde_json::Value;

/// Reads a date; nothing, if it is none.
pub(super) fn date(value: &Value) -> Option<Timestamp> {
    match value {
        Value::Number(millis) => Timestamp::from_millisecond(millis.as_i64()?).ok(),
        Value::String(text) => {
            let without_colon =
                || strtime::parse("%Y-%m-%dT%H:%M:%S%.f%z", text).and_then(|parsed| parsed.to_timestamp());
            text.parse().or_else(|_| without_colon()).ok()
        }
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn quirk_28_dates_come_in_any_form() {
        let noon: Timestamp = "2026-06-05T12:00:00.5Z".parse().unwrap();
        for form in [
            json!(noon.as_millisecond()),
            json!("2026-06-05T12:00:00.500Z"),
            json!("2026-06-05T12:00:00.5+0000"),
            json!("2026-06-05T14:00:00.500+0200"),
            json!("2026-06-05T14:00:00.500+02:00"),
        ] {
            assert_eq!(date(&form), Some(noon), "{form}");
        }
        for hostile in [json!(null), json!("soon"), json!(""), json!(1e300), json!(u64::MAX), json!({}), json!(true)] {
            assert_eq!(date(&hostile), None, "{hostile}");
        }
    }
}
