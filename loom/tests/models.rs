//! Explores the models, each by itself.

use halves_loom::group::Task::{Holds, Short, Writes};
use halves_loom::watch::Freed;
use halves_loom::{closing, graveyard, group, inbox, late, record, rehoming, watch, words};

#[test]
fn what_is_told_is_read() {
    words::what_is_told_is_read();
}

#[test]
fn the_first_wait_to_write_ends() {
    late::the_first_wait_to_write_ends(true);
}

#[test]
#[should_panic(expected = "nobody wakes who writes")]
fn without_fences_the_first_wait_to_write_may_not_end() {
    late::the_first_wait_to_write_ends(false);
}

#[test]
fn a_task_that_does_not_read_hears_of_the_end() {
    record::a_task_that_does_not_read_hears_of_the_end(true);
}

#[test]
#[should_panic(expected = "nobody wakes the task")]
fn without_fences_a_task_that_does_not_read_may_not_hear_of_the_end() {
    record::a_task_that_does_not_read_hears_of_the_end(false);
}

#[test]
fn a_task_that_reads_hears_of_the_end() {
    record::a_task_that_reads_hears_of_the_end();
}

#[test]
fn a_task_whose_place_is_taken_hears_of_the_end() {
    record::a_task_whose_place_is_taken_hears_of_the_end();
}

#[test]
fn a_ring_is_heard() {
    inbox::a_ring_is_heard();
}

#[test]
fn what_is_closed_is_freed_after_its_events() {
    graveyard::what_is_closed_is_freed_after_its_events(true);
}

#[test]
#[should_panic(expected = "Concurrent read and write")]
fn without_a_look_for_the_driver_what_is_closed_may_be_used_after_it_is_freed() {
    graveyard::what_is_closed_is_freed_after_its_events(false);
}

#[test]
fn what_a_worker_closes_is_freed_after_its_events() {
    graveyard::what_a_worker_closes_is_freed_after_its_events(true);
}

#[test]
fn no_task_is_left_while_all_sleep() {
    group::no_task_is_left_while_all_sleep(&[Short, Short], 2, group::Without::Nothing);
}

#[test]
fn no_task_is_left_while_another_holds_its_thread() {
    group::no_task_is_left_while_all_sleep(&[Holds, Short], 2, group::Without::Nothing);
}

#[test]
fn no_task_is_left_that_the_end_of_a_turn_wakes() {
    group::no_task_is_left_while_all_sleep(&[Writes], 2, group::Without::Nothing);
}

#[test]
#[should_panic(expected = "deadlock")]
fn without_a_searcher_a_task_may_be_left_while_another_holds_its_thread() {
    group::no_task_is_left_while_all_sleep(&[Holds, Short], 2, group::Without::Searcher);
}

#[test]
#[should_panic(expected = "deadlock")]
fn without_a_look_before_the_wait_an_injected_task_may_be_left() {
    group::no_task_is_left_while_all_sleep(&[Short, Short], 3, group::Without::LookForInjected);
}

#[test]
#[should_panic(expected = "deadlock")]
fn without_a_look_before_the_wait_a_task_of_the_own_queue_may_be_left() {
    group::no_task_is_left_while_all_sleep(&[Writes], 2, group::Without::LookAtQueueBeforeWait);
}

#[test]
#[should_panic(expected = "deadlock")]
fn without_a_look_before_a_worker_parks_a_task_of_its_queue_may_be_left() {
    group::no_task_is_left_while_all_sleep(&[Writes], 2, group::Without::LookAtQueueBeforePark);
}

#[test]
#[should_panic(expected = "deadlock")]
fn without_a_look_for_a_notification_a_task_may_be_left() {
    group::no_task_is_left_while_all_sleep(&[Short, Short], 3, group::Without::LookForNotification);
}

#[test]
fn the_tasks_of_a_worker_that_is_held_are_taken() {
    watch::a_worker_that_is_held_is_found(Freed::ByTask, watch::Without::Nothing);
}

#[test]
fn a_listener_that_is_held_is_replaced() {
    watch::a_worker_that_is_held_is_found(Freed::BySocket, watch::Without::Nothing);
}

#[test]
#[should_panic(expected = "deadlock")]
fn a_worker_that_is_not_watched_may_stay_held() {
    watch::a_worker_that_is_held_is_found(Freed::ByTask, watch::Without::Watch);
}

#[test]
#[should_panic(expected = "the worker stays held")]
fn a_worker_stays_held_if_its_tasks_are_not_taken() {
    watch::a_worker_that_is_held_is_found(Freed::ByTask, watch::Without::Steal);
}

#[test]
#[should_panic(expected = "the worker stays held")]
fn a_listener_stays_held_if_it_is_not_replaced() {
    watch::a_worker_that_is_held_is_found(Freed::BySocket, watch::Without::Listen);
}

#[test]
fn no_task_outlives_its_group() {
    closing::no_task_outlives_its_group(closing::Without::Nothing);
}

#[test]
#[should_panic(expected = "a task is left")]
fn without_a_look_at_the_end_a_task_that_is_woken_late_may_be_left() {
    closing::no_task_outlives_its_group(closing::Without::LookAtClosed);
}

#[test]
#[should_panic(expected = "a task is left")]
fn without_a_drop_after_the_end_a_task_that_is_woken_late_may_be_left() {
    closing::no_task_outlives_its_group(closing::Without::LastDrop);
}

#[test]
fn a_task_reads_though_the_first_reactor_is_held() {
    rehoming::a_task_reads_though_the_first_reactor_is_held(rehoming::Without::Nothing);
}

#[test]
#[should_panic(expected = "deadlock")]
fn a_task_whose_socket_does_not_move_may_never_read() {
    rehoming::a_task_reads_though_the_first_reactor_is_held(rehoming::Without::Move);
}

#[test]
fn a_task_outside_goes_on_when_the_reactor_is_left() {
    rehoming::a_task_outside_goes_on_when_the_reactor_is_left(rehoming::Without::Nothing);
}

#[test]
#[should_panic(expected = "the task is never woken")]
fn without_a_look_for_the_driver_a_task_outside_may_never_be_woken() {
    rehoming::a_task_outside_goes_on_when_the_reactor_is_left(rehoming::Without::LookAtDriven);
}

#[test]
#[should_panic(expected = "the task is never woken")]
fn a_task_outside_is_never_woken_if_the_thread_that_leaves_does_not() {
    rehoming::a_task_outside_goes_on_when_the_reactor_is_left(rehoming::Without::Orphan);
}

#[test]
fn nothing_stays_buried() {
    graveyard::nothing_stays_buried();
}
