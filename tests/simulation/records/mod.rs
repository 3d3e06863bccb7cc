//! Records of connections.

mod halves;
mod limit;
mod served;
mod text;
