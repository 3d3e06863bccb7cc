//! Joined halves, of two transports, and split streams, of one.

mod joined;
mod layered;
mod mixed;
mod split;
