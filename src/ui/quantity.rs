//! Quantities for people.

use indicatif::HumanBytes;

/// Bytes with a binary unit, such as `1.20 MiB`.
pub fn bytes(count: u64) -> String {
    HumanBytes(count).to_string()
}

/// A number with its noun: `1 reference`, `2 references`.
pub fn count(number: u64, noun: &str) -> String {
    if number == 1 {
        format!("1 {noun}")
    } else {
        format!("{number} {}s", noun.strip_suffix('y').map_or_else(|| noun.to_owned(), |stem| format!("{stem}ie")))
    }
}

/// A duration in milliseconds: `1.2 s`, `1 min 1 s`, `2 h 1 min`. Less than nothing is nothing.
pub fn millis(millis: i64) -> String {
    let millis = millis.max(0);
    let (seconds, tenths) = (millis / 1000, millis % 1000 / 100);
    match seconds {
        0..60 => format!("{seconds}.{tenths} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_readable() {
        assert_eq!(bytes(1_258_291), "1.20 MiB");
        assert_eq!((count(1, "reference"), count(0, "repository")), ("1 reference".into(), "0 repositories".into()));
        assert_eq!(millis(1234), "1.2 s");
        assert_eq!(millis(61_000), "1 min 1 s");
        assert_eq!(millis(7_260_000), "2 h 1 min");
        assert_eq!(millis(-5), "0.0 s");
    }
}
