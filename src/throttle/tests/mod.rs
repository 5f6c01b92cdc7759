//! The budgets against a model that is too simple to be wrong, and in worlds that are not.

mod alone;
mod beliefs;
mod estate;
mod laws;
mod model;
mod pressure;
mod queue;
mod restarts;
mod simulation;
mod world;

use std::time::{Duration, Instant};

use crate::clock::{Clock, SystemClock};
use crate::model::{AccountName, BaseUrl, CredentialRole, Limit, LimitSource, RateLimit};

use super::Holder;

fn start() -> Instant {
    SystemClock.monotonic()
}

fn told(burst: u32, refill_per_second: u32) -> Limit {
    Limit { limit: RateLimit::Bucket { burst, refill_per_second }, source: LimitSource::Server }
}

fn unlimited() -> Limit {
    Limit { limit: RateLimit::Unlimited, source: LimitSource::Server }
}

fn role(name: &str) -> CredentialRole {
    if name == "main" { CredentialRole::Main } else { CredentialRole::Additional(name.parse().unwrap()) }
}

fn account(name: &str) -> AccountName {
    name.parse().unwrap()
}

fn holder(server: &str, name: &str) -> Holder {
    Holder::new(&BaseUrl::new(&format!("https://{server}.example.com")).unwrap(), &account(name))
}

const fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}
