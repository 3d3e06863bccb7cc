//! Halves that are joined, and streams that are split: a reader of one transport with a writer of
//! another, and one stream that is both.

mod layered;
mod mixed;
mod split;
