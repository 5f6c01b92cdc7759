//! The name of a change set.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Change, Rail, Resource};
use crate::model::{Address, Lineage, hex};

/// Part of every id, raised when the meaning of an id changes.
const FORMAT: u32 = 2;

/// Digits of an id.
const DIGITS: usize = 12;

/// A text that is not the id of a change set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a plan id is the 12 hexadecimal digits that `xopero plan` shows")]
pub struct InvalidPlanId;

/// The name of a change set: twelve hexadecimal digits that follow from what it does.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PlanId(String);

impl PlanId {
    /// The id of changes with the resources before and after, on a state if there is one.
    pub(super) fn of(lineage: Option<Lineage>, touched: &[Touched<'_>], rails: &[Rail]) -> Self {
        // What a rail says has numbers that move every night; what it is about has not.
        let rails: Vec<_> = rails.iter().map(|rail| (rail.kind, rail.risk, &rail.addresses)).collect();
        let words = serde_json::to_vec(&(FORMAT, lineage, touched, rails)).expect("texts and numbers are JSON");
        let mut digits = hex::encode(&Sha256::digest(words));
        digits.truncate(DIGITS);
        Self(digits)
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One address that does not stay as it is.
#[derive(Serialize)]
pub(super) struct Touched<'a> {
    address: &'a str,
    action: &'static str,
    moved_from: Option<&'a str>,
    before: Option<&'a Resource>,
    after: Option<&'a Resource>,
}

impl<'a> Touched<'a> {
    pub(super) fn new(change: &'a Change, before: Option<&'a Resource>, after: Option<&'a Resource>) -> Self {
        let moved_from = change.moved_from.as_ref().map(Address::as_str);
        Self { address: change.address.as_str(), action: change.action.as_str(), moved_from, before, after }
    }
}

impl fmt::Display for PlanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for PlanId {
    type Err = InvalidPlanId;
    fn from_str(text: &str) -> Result<Self, InvalidPlanId> {
        if text.len() == DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err(InvalidPlanId)
        }
    }
}

impl TryFrom<String> for PlanId {
    type Error = InvalidPlanId;
    fn try_from(text: String) -> Result<Self, InvalidPlanId> {
        text.parse()
    }
}

impl From<PlanId> for String {
    fn from(id: PlanId) -> String {
        id.0
    }
}
