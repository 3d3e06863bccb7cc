//! The built command, from outside: what it says, what it serves, how it ends.

#[path = "../common/mod.rs"]
mod common;
mod ending;
mod limits;
mod logging;
mod serving;
#[path = "../skip/mod.rs"]
mod skip;
mod usage;
