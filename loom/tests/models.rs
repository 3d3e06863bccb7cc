//! Runs each model.

use halves_loom::group::Task::{Blocks, Short, Writes};
use halves_loom::watch::Unblocked;
use halves_loom::{closing, end, first_write, group, inbox, moving, readiness, retired, watch};

#[test]
fn every_reported_byte_is_read() {
    readiness::every_reported_byte_is_read();
}

#[test]
fn the_first_wait_to_write_ends() {
    first_write::the_first_wait_to_write_ends(true);
}

#[test]
#[should_panic(expected = "the writing task is not woken")]
fn without_fences_the_first_wait_to_write_may_not_end() {
    first_write::the_first_wait_to_write_ends(false);
}

#[test]
fn the_end_wakes_a_task_that_does_not_read() {
    end::the_end_wakes_a_task_that_does_not_read(true);
}

#[test]
#[should_panic(expected = "the task is not woken")]
fn without_fences_the_end_may_not_wake_a_task_that_does_not_read() {
    end::the_end_wakes_a_task_that_does_not_read(false);
}

#[test]
fn the_end_wakes_a_task_that_reads() {
    end::the_end_wakes_a_task_that_reads();
}

#[test]
fn the_end_wakes_a_task_with_a_replaced_waker() {
    end::the_end_wakes_a_task_with_a_replaced_waker();
}

#[test]
fn every_post_is_taken() {
    inbox::every_post_is_taken();
}

#[test]
fn a_closed_source_is_freed_after_its_events() {
    retired::a_closed_source_is_freed_after_its_events(true);
}

#[test]
#[should_panic(expected = "Concurrent read and write")]
fn without_a_check_for_the_driver_a_closed_source_may_be_used_after_its_end() {
    retired::a_closed_source_is_freed_after_its_events(false);
}

#[test]
fn a_source_closed_by_a_worker_is_freed_after_its_events() {
    retired::a_source_closed_by_a_worker_is_freed_after_its_events(true);
}

#[test]
fn no_task_is_left_while_all_workers_sleep() {
    group::no_task_is_left_while_all_workers_sleep(&[Short, Short], 2, group::Without::Nothing);
}

#[test]
fn no_task_is_left_while_another_blocks_its_thread() {
    group::no_task_is_left_while_all_workers_sleep(&[Blocks, Short], 2, group::Without::Nothing);
}

#[test]
fn a_task_woken_at_the_end_of_a_turn_is_not_left() {
    group::no_task_is_left_while_all_workers_sleep(&[Writes], 2, group::Without::Nothing);
}

#[test]
#[should_panic(expected = "deadlock")]
fn without_a_searcher_a_task_may_be_left_while_another_blocks_its_thread() {
    group::no_task_is_left_while_all_workers_sleep(
        &[Blocks, Short],
        2,
        group::Without::WakeSearcher,
    );
}

#[test]
#[should_panic(expected = "deadlock")]
fn without_a_check_before_the_wait_an_injected_task_may_be_left() {
    group::no_task_is_left_while_all_workers_sleep(
        &[Short, Short],
        3,
        group::Without::CheckInjector,
    );
}

#[test]
#[should_panic(expected = "deadlock")]
fn without_a_check_before_the_wait_a_task_of_the_own_queue_may_be_left() {
    group::no_task_is_left_while_all_workers_sleep(
        &[Writes],
        2,
        group::Without::CheckQueueBeforeWait,
    );
}

#[test]
#[should_panic(expected = "deadlock")]
fn without_a_check_before_a_worker_parks_a_task_of_its_queue_may_be_left() {
    group::no_task_is_left_while_all_workers_sleep(
        &[Writes],
        2,
        group::Without::CheckQueueBeforePark,
    );
}

#[test]
#[should_panic(expected = "deadlock")]
fn without_a_check_for_a_notification_a_task_may_be_left() {
    group::no_task_is_left_while_all_workers_sleep(
        &[Short, Short],
        3,
        group::Without::CheckNotified,
    );
}

#[test]
fn the_tasks_of_a_blocked_worker_are_taken() {
    watch::a_blocked_worker_is_found(Unblocked::ByTask, watch::Without::Nothing);
}

#[test]
fn a_blocked_listener_is_replaced() {
    watch::a_blocked_worker_is_found(Unblocked::BySocket, watch::Without::Nothing);
}

#[test]
#[should_panic(expected = "deadlock")]
fn without_a_watch_a_worker_may_stay_blocked() {
    watch::a_blocked_worker_is_found(Unblocked::ByTask, watch::Without::Watch);
}

#[test]
#[should_panic(expected = "the worker stays blocked")]
fn a_worker_stays_blocked_if_its_tasks_are_not_taken() {
    watch::a_blocked_worker_is_found(Unblocked::ByTask, watch::Without::Steal);
}

#[test]
#[should_panic(expected = "the worker stays blocked")]
fn a_listener_stays_blocked_if_it_is_not_replaced() {
    watch::a_blocked_worker_is_found(Unblocked::BySocket, watch::Without::Listen);
}

#[test]
fn no_task_outlives_its_group() {
    closing::no_task_outlives_its_group(closing::Without::Nothing);
}

#[test]
#[should_panic(expected = "a task is not dropped")]
fn without_a_second_check_a_task_woken_late_may_not_be_dropped() {
    closing::no_task_outlives_its_group(closing::Without::CheckClosed);
}

#[test]
#[should_panic(expected = "a task is not dropped")]
fn without_a_last_drop_a_task_woken_late_may_not_be_dropped() {
    closing::no_task_outlives_its_group(closing::Without::LastDrop);
}

#[test]
fn a_task_reads_although_the_first_reactor_is_blocked() {
    moving::a_task_reads_although_the_first_reactor_is_blocked(moving::Without::Nothing);
}

#[test]
#[should_panic(expected = "deadlock")]
fn a_task_may_never_read_if_its_socket_does_not_move() {
    moving::a_task_reads_although_the_first_reactor_is_blocked(moving::Without::Move);
}

#[test]
fn a_task_without_a_reactor_continues_when_the_driver_leaves() {
    moving::a_task_without_a_reactor_continues_when_the_driver_leaves(moving::Without::Nothing);
}

#[test]
#[should_panic(expected = "the task is not woken")]
fn without_a_check_for_the_driver_a_task_without_a_reactor_may_not_be_woken() {
    moving::a_task_without_a_reactor_continues_when_the_driver_leaves(moving::Without::CheckDriven);
}

#[test]
#[should_panic(expected = "the task is not woken")]
fn a_task_without_a_reactor_is_not_woken_if_the_leaving_driver_does_not_wake_it() {
    moving::a_task_without_a_reactor_continues_when_the_driver_leaves(
        moving::Without::WakeOutsiders,
    );
}

#[test]
fn every_retired_source_is_freed() {
    retired::every_retired_source_is_freed();
}
