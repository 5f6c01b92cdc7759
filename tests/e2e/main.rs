//! The real executable against a fake Bitbucket server on loopback, with stock git as the judge.

mod file;
mod json_schema;
mod proof;
mod scene;
mod support;

mod archive;
mod backup;
mod credentials;
mod deadline;
mod declare;
mod destinations;
mod edits;
mod faults;
mod format;
mod hostile;
mod increments;
mod init;
mod kills;
mod limits;
mod listed;
mod lsp;
mod observe;
mod protocol;
mod refusals;
mod restore;
mod review;
mod rotate;
mod runs;
mod scope;
mod secrets_scan;
mod selection;
mod shapes;
mod status;
mod stock_tools;
mod unusable_destinations;
