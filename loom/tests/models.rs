//! Explores the models, each by itself.

use halves_loom::{graveyard, inbox, late, record, words};

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
fn what_is_closed_elsewhere_is_freed_after_its_events() {
    graveyard::what_is_closed_elsewhere_is_freed_after_its_events();
}

#[test]
fn what_is_closed_at_home_is_freed_after_its_events() {
    graveyard::what_is_closed_at_home_is_freed_after_its_events();
}

#[test]
fn nothing_stays_buried() {
    graveyard::nothing_stays_buried();
}
