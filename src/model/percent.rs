//! Shares in whole percent.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A text that is not a share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a share is a whole number from 0 to 100 with a percent sign, such as \"20%\"")]
pub struct InvalidPercent;

/// A share in whole percent, from 0 to 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Percent(u8);

impl Percent {
    /// All of it.
    pub const ALL: Self = Self(100);

    /// Takes a number up to 100.
    pub const fn new(number: u8) -> Option<Self> {
        if number <= 100 { Some(Self(number)) } else { None }
    }

    /// The number, up to 100.
    pub const fn get(self) -> u8 {
        self.0
    }

    /// Whether `part` is a larger share of `whole` than this. Nothing is no share of anything.
    pub const fn is_exceeded_by(self, part: usize, whole: usize) -> bool {
        part > 0 && part as u128 * 100 > whole as u128 * self.0 as u128
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

impl FromStr for Percent {
    type Err = InvalidPercent;
    fn from_str(text: &str) -> Result<Self, InvalidPercent> {
        let digits = text.strip_suffix('%').filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
        digits.and_then(|digits| digits.parse().ok()).and_then(Self::new).ok_or(InvalidPercent)
    }
}

impl TryFrom<u8> for Percent {
    type Error = InvalidPercent;
    fn try_from(number: u8) -> Result<Self, InvalidPercent> {
        Self::new(number).ok_or(InvalidPercent)
    }
}

impl From<Percent> for u8 {
    fn from(percent: Percent) -> u8 {
        percent.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_have_a_number_and_a_sign() {
        assert_eq!("5%".parse(), Ok(Percent(5)));
        assert_eq!("100%".parse(), Ok(Percent::ALL));
        for wrong in ["", "%", "5", "101%", "-1%", "+5%", "5 %", "1.5%", "5%%", "999999999999%"] {
            assert_eq!(wrong.parse::<Percent>(), Err(InvalidPercent), "{wrong:?}");
        }
    }

    #[test]
    fn shares_are_exceeded_by_more_and_not_by_as_much() {
        let fifth = Percent(20);
        assert!(!fifth.is_exceeded_by(2, 10) && fifth.is_exceeded_by(3, 10));
        assert!(Percent(0).is_exceeded_by(1, 1000) && !Percent(0).is_exceeded_by(0, 0));
        assert!(!Percent::ALL.is_exceeded_by(usize::MAX, usize::MAX));
    }
}
