//! What one run of one client costs.

use serde::{Deserialize, Serialize};

use crate::measure::Cost;

/// What the server saw.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub struct Traffic {
    /// Requests to git.
    pub git_requests: usize,
    /// Requests to the REST API.
    pub rest_requests: usize,
    /// Bytes of all bodies, in both directions.
    pub bytes: u64,
}

/// One run.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// What it cost the client.
    pub cost: Cost,
    /// What the server saw of it.
    pub traffic: Traffic,
}

/// The value in the middle.
pub fn median(runs: &[Run], figure: impl Fn(&Run) -> f64) -> f64 {
    let mut values: Vec<f64> = runs.iter().map(figure).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
