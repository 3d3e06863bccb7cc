//! The server: its life from accept to shutdown, its limits, its deadlines and its reports.

mod aborting;
mod addresses;
mod backlog;
mod connecting;
mod copying;
mod deadlines;
mod embedding;
mod events;
mod footprint;
mod handle;
mod handle_counts;
mod handle_limits;
mod handle_timeouts;
mod handle_waits;
mod handlers;
mod in_time;
mod layers;
mod lent_socket;
mod limit_episodes;
mod merging;
mod min_rate;
mod other_tasks;
mod proxy_protocol;
mod quiet;
mod readiness;
mod refused;
mod scope;
mod services;
mod serving;
mod shared_listener;
mod sharing;
mod shutdown;
mod sources;
#[path = "../support/mod.rs"]
mod support;
mod timeouts;
#[cfg(feature = "tls")]
mod tls_server;
#[cfg(feature = "tls")]
mod tls_settings;
mod unsent;
mod upgrading;
