//! The built command, from outside: what it says, what it serves, how it ends.

#[path = "../common/mod.rs"]
mod common;
mod delay;
mod ending;
mod given;
mod half_close;
mod launchers;
mod limits;
mod logging;
mod notify;
mod ready;
mod rules;
mod serving;
mod signals;
#[path = "../skip/mod.rs"]
mod skip;
mod sources;
mod timeouts;
mod unix;
mod usage;
