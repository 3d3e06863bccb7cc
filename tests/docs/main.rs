//! The documents and examples: they run, and state the truth.

mod broadcast;
mod chat;
mod diagnostics;
mod examples;
mod ladder;
mod pages;
#[path = "../support/mod.rs"]
mod support;
