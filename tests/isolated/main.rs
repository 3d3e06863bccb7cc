//! Tests that need a process each: they count what the process has, or change its limits, its
//! environment, its umask or its standard streams, or fork.
//!
//! The program is its own harness. It runs itself once for each test, with the name of the test in
//! an environment variable. `cargo test --test isolated leaks` runs the tests with `leaks` in their
//! names. Of the usual options it has `--exact`, `--list` and `--nocapture`, and ignores others.

#[cfg(all(target_os = "linux", not(halves_portable)))]
mod allocations;
mod child_processes;
#[cfg(target_os = "linux")]
mod exec;
#[cfg(all(target_os = "linux", not(halves_portable)))]
mod forked;
#[cfg(all(target_os = "linux", not(halves_portable)))]
mod forked_threads;
#[cfg(all(target_os = "linux", not(halves_portable)))]
mod forking;
mod handed_over;
mod inherited;
mod leaks;
mod leaks_of_relays;
mod leaks_of_streams;
mod orphans;
#[cfg(all(target_os = "linux", not(halves_portable)))]
mod relay_memory;
#[cfg(target_os = "linux")]
mod relay_targets;
#[cfg(target_os = "linux")]
mod relays_handed_over;
mod runner;
#[cfg(target_os = "linux")]
mod spliced;
mod stdio;
#[path = "../support/mod.rs"]
mod support;
#[cfg(feature = "tls")]
mod system_cas;
#[cfg(all(target_os = "linux", not(halves_portable), feature = "tls"))]
mod tls_memory;
mod umask;

use std::process::ExitCode;

use runner::{Test, tests};

const TESTS: &[Test] = tests! {
    #[cfg(all(target_os = "linux", not(halves_portable)))]
    allocations::an_idle_connection_is_two_allocations_and_its_entries,
    #[cfg(all(target_os = "linux", not(halves_portable)))]
    allocations::an_idle_connection_that_expects_no_header_has_no_other_allocation,
    child_processes::a_child_has_no_descriptor_but_its_standard_streams,
    child_processes::a_child_has_the_limit_of_open_files_that_it_is_given,
    child_processes::a_child_leads_a_group_and_has_default_signals,
    child_processes::a_child_may_have_files_of_its_own,
    #[cfg(target_os = "linux")]
    exec::a_child_of_a_connection_has_no_other_descriptor,
    #[cfg(target_os = "linux")]
    exec::the_descriptors_of_a_child_block,
    #[cfg(target_os = "linux")]
    exec::a_child_of_a_connection_has_default_signals,
    #[cfg(target_os = "linux")]
    exec::a_child_of_a_connection_has_the_given_limit_of_open_files,
    #[cfg(target_os = "linux")]
    exec::variables_of_another_connection_are_not_inherited,
    #[cfg(target_os = "linux")]
    exec::a_lack_of_descriptors_ends_one_connection_and_leaks_nothing,
    #[cfg(target_os = "linux")]
    exec::children_of_connections_are_not_orphans,
    #[cfg(target_os = "linux")]
    exec::exit_statuses_are_kept_where_sigchld_was_ignored,
    #[cfg(all(target_os = "linux", not(halves_portable)))]
    forked::a_child_panics_in_its_parents_executor_and_runs_its_own,
    #[cfg(all(target_os = "linux", not(halves_portable)))]
    forked::a_child_of_a_task_runs_no_other_task_of_its_parent,
    #[cfg(all(target_os = "linux", not(halves_portable)))]
    forked::a_child_of_a_blocked_on_future_runs_no_task_of_its_parent,
    #[cfg(all(target_os = "linux", not(halves_portable)))]
    forked_threads::a_child_of_a_task_leaves_the_tasks_and_the_clock_of_its_parent_alone,
    handed_over::variables_of_the_service_manager_are_not_inherited,
    inherited::a_client_that_is_gone_is_an_unknown_endpoint,
    inherited::a_close_reaches_the_peer_of_a_shared_connection_dropped_at_once,
    inherited::a_shared_connection_blocks_its_other_owners_as_before,
    inherited::a_connection_can_be_connected_to_and_a_listener_cannot,
    inherited::a_listener_and_a_connection_are_distinguished,
    inherited::a_listener_is_not_shut_down_and_its_file_not_removed,
    inherited::a_standard_descriptor_is_duplicated,
    inherited::a_handler_that_does_not_close_ends_a_shared_connection,
    inherited::the_end_reaches_the_peer_of_a_shared_connection,
    inherited::the_options_of_a_listener_stay_as_they_are,
    inherited::other_descriptors_than_stream_sockets_are_refused,
    inherited::a_socket_that_neither_listens_nor_is_connected_is_refused,
    inherited::descriptors_that_this_process_opened_are_not_taken,
    inherited::an_inherited_descriptor_is_taken_once,
    inherited::a_refusal_ends_a_shared_connection,
    inherited::without_a_service_manager_there_are_no_sockets_to_listen_on,
    leaks::nothing_is_left_of_cancelled_connects,
    leaks::nothing_is_left_of_3000_connections_and_their_executors,
    leaks_of_relays::nothing_is_left_of_3000_relays,
    leaks_of_streams::nothing_is_left_of_3000_connections_of_each_kind,
    orphans::orphans_are_reaped_and_other_children_are_not,
    #[cfg(all(target_os = "linux", not(halves_portable)))]
    relay_memory::an_idle_relay_has_no_buffer,
    #[cfg(target_os = "linux")]
    relays_handed_over::a_relay_waits_until_the_receiver_has_descriptors,
    #[cfg(target_os = "linux")]
    relays_handed_over::a_relay_stays_if_the_sender_has_no_descriptor_for_its_bytes,
    #[cfg(target_os = "linux")]
    relay_targets::a_connect_without_a_descriptor_is_refused_and_the_next_one_works,
    #[cfg(target_os = "linux")]
    spliced::a_program_that_does_not_ignore_sigpipe_has_no_pipes,
    #[cfg(target_os = "linux")]
    spliced::bytes_are_copied_if_no_pipe_can_be_had,
    #[cfg(target_os = "linux")]
    spliced::stalled_relays_share_a_bounded_number_of_pipes,
    stdio::standard_streams_conform_and_leave_nothing,
    #[cfg(feature = "tls")]
    system_cas::the_cas_of_the_system_are_read_once_and_only_if_there_are_any,
    #[cfg(all(target_os = "linux", not(halves_portable), feature = "tls"))]
    tls_memory::an_idle_tls_connection_costs_little_more_than_its_session,
    umask::other_users_cannot_connect_before_the_mode_is_set,
    umask::without_a_mode_the_umask_applies,
};

fn main() -> ExitCode {
    runner::main(TESTS)
}
