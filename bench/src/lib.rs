//! Compares the Halves server with its peers on one machine, all serving the same uppercase echo.
//!
//! * `options` is the command line, `rows` what is measured, `servers` who takes part, `prepare` builds the peers.
//! * `running` starts and ends a server, `cores` pins it, `usage` reads what it cost.
//! * `load` is the client: `ping`, `bulk`, `close`, `broadcast`, `blocked`, and the quiet connections of `idle`.
//! * `measure` takes one figure, `compare` all of them in turns, `report` prints the tables.
//! * `ladder` measures the steps of examples/ladder and draws the result.
//! * `instructions` counts instructions in place of time.
//! * `peer` is what the peers in `src/bin` share: their options, and the work of their handlers; `runtime` names what
//!   some of them run on.

pub mod compare;
pub mod cores;
pub mod histogram;
pub mod instructions;
pub mod ladder;
pub mod load;
pub mod measure;
pub mod options;
pub mod peer;
pub mod place;
pub mod prepare;
pub mod report;
pub mod rows;
pub mod running;
pub mod runtime;
pub mod servers;
pub mod stats;
pub mod usage;
