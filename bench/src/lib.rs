//! Compares the Halves server with its peers on one machine. All serve the same uppercase echo.
//!
//! * `options` parses the command line, `rows` lists the loads, `servers` describes the servers,
//!   `prepare` builds the peers.
//! * `relays` has the servers that relay or start a child, `origin` the server behind a relay.
//! * `running` starts and ends a server, `place` connects to it, `cores` pins it, `usage` reads its
//!   CPU time and memory.
//! * `load` is the client: `ping`, `bulk`, `close`, `handshake`, `broadcast`, `blocked`, and the
//!   quiet connections of `idle`.
//! * `tls` makes the certificate of the servers, and is the client of the rows with TLS.
//! * `measure` takes one figure, `compare` all of them in turns, `report` prints the tables;
//!   `histogram` and `stats` compute the figures.
//! * `ladder` measures the steps of examples/ladder and draws the result.
//! * `instructions` counts instructions instead of time.
//! * `peer` has the options of the peers in `src/bin` and the work of their handlers; `runtime`
//!   names their runtimes.

pub mod compare;
pub mod cores;
pub mod histogram;
pub mod instructions;
pub mod ladder;
pub mod load;
pub mod measure;
pub mod options;
pub mod origin;
pub mod peer;
pub mod place;
pub mod prepare;
pub mod relays;
pub mod report;
pub mod rows;
pub mod running;
pub mod runtime;
pub mod servers;
pub mod stats;
pub mod tls;
pub mod usage;
