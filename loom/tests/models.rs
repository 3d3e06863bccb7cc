//! Explores the models, each by itself.

use halves_loom::group::Without;
use halves_loom::{graveyard, group, inbox, late, record, rehoming, words};

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
    group::no_task_is_left_while_all_sleep(2, 2, Without::Nothing);
}

#[test]
#[should_panic(expected = "deadlock")]
fn without_a_searcher_and_a_look_before_the_wait_a_task_may_be_left() {
    group::no_task_is_left_while_all_sleep(1, 2, Without::SearcherAndLook);
}

#[test]
#[should_panic(expected = "deadlock")]
fn without_a_look_for_a_notification_a_task_may_be_left() {
    group::no_task_is_left_while_all_sleep(3, 3, Without::LookForNotification);
}

#[test]
fn a_task_reads_though_the_first_reactor_is_held() {
    rehoming::a_task_reads_though_the_first_reactor_is_held(true);
}

#[test]
#[should_panic(expected = "deadlock")]
fn a_task_whose_socket_does_not_move_may_never_read() {
    rehoming::a_task_reads_though_the_first_reactor_is_held(false);
}

#[test]
fn nothing_stays_buried() {
    graveyard::nothing_stays_buried();
}
