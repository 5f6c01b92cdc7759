//! What one run of one client costs.

use serde::{Deserialize, Serialize};

/// What the client's processes cost.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub struct Cost {
    /// From the first process's start to the last one's end, in seconds.
    pub wall: f64,
    /// User and system time of all processes, in seconds.
    pub cpu: f64,
    /// The most memory that one of the processes had resident at once, in bytes.
    pub memory: f64,
}

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
