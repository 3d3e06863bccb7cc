//! Records of connections.

mod text;
