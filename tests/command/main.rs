//! The built command, from outside: its arguments, its log, its services and its end.

mod activation;
mod around;
mod check;
mod common;
mod config;
mod connect;
mod control;
mod ctl;
mod delay;
mod ending;
mod exec;
mod half_close;
mod hangup;
mod inherited;
mod launchers;
mod limits;
mod logging;
mod notify;
mod orphans;
mod privileges;
mod proxied;
mod proxy;
mod ready;
mod rules;
mod serving;
mod session;
mod signals;
mod sources;
mod streams;
#[path = "../support/mod.rs"]
mod support;
mod tcpserver;
mod timeouts;
mod tls;
mod unix;
mod usage;
