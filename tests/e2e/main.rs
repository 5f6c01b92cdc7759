//! The real executable against a fake Bitbucket server on loopback, with stock git as the judge.

mod file;
mod proof;
mod support;

mod archive;
mod backup;
mod credentials;
mod declare;
mod destinations;
mod increments;
mod listed;
mod protocol;
mod restore;
mod scope;
mod shapes;
mod stock_tools;
