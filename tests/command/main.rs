//! The built command, from outside: what it says, what it serves, how it ends.

mod activation;
#[path = "../common/mod.rs"]
mod common;
mod delay;
mod ending;
mod given;
mod half_close;
mod hangup;
mod launchers;
mod limits;
mod logging;
#[path = "../namespace/mod.rs"]
mod namespace;
mod notify;
mod orphans;
#[path = "../place/mod.rs"]
mod place;
mod ready;
mod rules;
mod serving;
mod signals;
#[path = "../skip/mod.rs"]
mod skip;
mod sources;
mod streams;
#[path = "../terminal/mod.rs"]
mod terminal;
mod timeouts;
mod unix;
mod usage;
