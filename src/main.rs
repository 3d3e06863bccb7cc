//! The `halves` command.

fn main() {}
