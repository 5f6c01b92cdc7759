//! The fake server, from the outside: through sockets and through stock git.

mod client;
mod faults;
mod git;
mod rest;
mod tokens;
mod worlds;
