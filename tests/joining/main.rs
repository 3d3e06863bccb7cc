//! Halves that are joined, and streams that are split: a reader of one transport with a writer of
//! another, and one stream that is both.

#[path = "../conformance/mod.rs"]
mod conformance;
mod layered;
mod mixed;
#[path = "../place/mod.rs"]
mod place;
mod receipts;
mod split;
