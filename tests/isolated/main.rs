//! Tests that need a process each: they count what the process has, or change its limits, its
//! environment, its umask or its standard streams, or fork.
//!
//! The program is its own harness. It runs itself once for each test, with the name of the test in
//! an environment variable. `cargo test --test isolated leaks` runs the tests with `leaks` in their
//! names. Of the usual options it has `--exact`, `--list` and `--nocapture`, and ignores others.

#[cfg(all(target_os = "linux", not(halves_portable)))]
mod allocations;
mod child_processes;
#[cfg(all(target_os = "linux", not(halves_portable)))]
mod forked;
#[cfg(all(target_os = "linux", not(halves_portable)))]
mod forked_threads;
#[cfg(all(target_os = "linux", not(halves_portable)))]
mod forking;
mod handed_over;
mod inherited;
mod leaks;
mod leaks_of_streams;
mod orphans;
mod runner;
mod stdio;
#[path = "../support/mod.rs"]
mod support;
mod umask;

use std::process::ExitCode;

use runner::{Test, tests};

const TESTS: &[Test] = tests! {
    #[cfg(all(target_os = "linux", not(halves_portable)))]
    allocations::a_quiet_connection_is_two_pieces_and_its_entries,
    child_processes::a_child_has_no_descriptor_but_its_standard_streams,
    child_processes::a_child_has_the_limit_of_open_files_that_it_is_given,
    child_processes::a_child_leads_a_group_and_has_its_signals_as_every_program,
    child_processes::a_child_may_have_files_of_its_own,
    #[cfg(all(target_os = "linux", not(halves_portable)))]
    forked::a_child_panics_in_its_parents_executor_and_runs_its_own,
    #[cfg(all(target_os = "linux", not(halves_portable)))]
    forked_threads::a_child_of_a_task_leaves_the_tasks_and_the_clock_of_its_parent_alone,
    handed_over::variables_of_the_service_manager_are_not_inherited,
    inherited::a_client_that_is_gone_already_is_a_connection_with_nobody,
    inherited::a_close_is_told_also_when_the_connection_is_dropped_at_once,
    inherited::a_connection_blocks_those_who_share_it_as_before,
    inherited::a_connection_can_be_connected_to_and_a_listener_cannot,
    inherited::a_listener_and_a_connection_are_told_apart,
    inherited::a_listener_is_not_shut_down_and_its_file_not_removed,
    inherited::of_a_standard_descriptor_there_is_a_duplicate,
    inherited::the_end_is_told_also_by_a_handler_that_does_not_close,
    inherited::the_end_is_told_also_when_others_have_the_connection_open,
    inherited::the_options_of_a_listener_stay_as_they_are,
    inherited::what_is_no_stream_socket_is_refused,
    inherited::what_neither_listens_nor_is_connected_is_refused,
    inherited::what_this_process_has_opened_is_not_taken,
    inherited::what_was_handed_down_is_taken_once,
    inherited::who_is_refused_is_told_also_when_others_have_the_connection_open,
    inherited::without_a_service_manager_there_is_nothing_to_listen_at,
    leaks::of_3000_connections_and_their_executors_nothing_is_left,
    leaks_of_streams::of_3000_connections_of_each_kind_nothing_is_left,
    orphans::orphans_are_reaped_and_nobodys_child_is,
    stdio::standard_streams_conform_and_leave_nothing,
    umask::nobody_else_connects_before_the_mode_is_set,
    umask::without_a_mode_the_umask_decides,
};

fn main() -> ExitCode {
    runner::main(TESTS)
}
