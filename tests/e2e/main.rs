//! The real executable against a fake Bitbucket server on loopback, with stock git as the judge.

mod support;

mod backup;
