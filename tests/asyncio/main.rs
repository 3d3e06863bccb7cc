//! The behaviours that Python's own tests assert of asyncio's streams, each a test of ours.
//!
//! These are the tests of Python's `test_asyncio/test_streams.py`, of 3.11 to 3.13 (where each begins with
//! `test_`), with ours. Where Halves differs on purpose, the module of our test states it.
//!
//! | theirs | ours |
//! |---|---|
//! | `feed_empty_data` | `reading::a_stream_that_is_fed_nothing_yields_nothing_and_has_not_ended` |
//! | `feed_nonempty_data` | `reading::input_can_be_seen_without_taking_it` |
//! | `read_zero` | `reading::a_read_of_no_bytes_takes_none` |
//! | `read` | `reading::a_read_waits_and_returns_less_than_it_asked_for` |
//! | `read_line_breaks` | `reading::a_read_takes_no_more_than_it_asked_for` |
//! | `read_eof` | `reading::a_read_at_the_end_of_input_is_empty` |
//! | `read_until_eof` | `reading::everything_up_to_the_end_of_input_can_be_read_at_once` |
//! | `read_limit` | `reading::the_limit_is_on_frames_and_not_on_reads` |
//! | `invalid_limit` | `reading::a_limit_of_nothing_lets_an_empty_line_through` |
//! | `at_eof` | `reading::the_end_is_known_when_it_was_read_and_nothing_is_left` |
//! | `readline` | `lines::a_line_waits_for_its_end_and_leaves_what_is_after_it` |
//! | `readline_nolimit_nowait` | `lines::a_line_that_is_there_needs_no_wait` |
//! | `readline_limit_with_existing_data` | `lines::a_whole_line_that_is_too_long_is_left_and_can_be_passed_over` |
//! | `readline_limit_with_existing_data` | `lines::a_line_is_too_long_before_its_end_has_arrived` |
//! | `readline_limit` | `lines::a_line_that_becomes_too_long_while_it_is_waited_for_is_left` |
//! | `readline_limit` | `lines::a_line_may_have_as_many_bytes_as_the_limit_without_its_end` |
//! | `readline_eof` | `lines::a_last_line_without_its_end_is_incomplete_and_in_the_error` |
//! | `readline_empty_eof` | `lines::there_is_no_line_at_the_end_of_input` |
//! | `readline_read_byte_count` | `lines::reads_and_lines_take_turns_at_the_same_bytes` |
//! | `readuntil_separator` | `until::an_empty_separator_is_refused` |
//! | `readuntil_multi_chunks` | `until::a_separator_of_several_bytes_ends_a_frame_and_belongs_to_it` |
//! | `readuntil_multi_chunks_1` | `until::a_separator_may_come_in_pieces_and_its_beginning_may_be_none` |
//! | `readuntil_eof` | `until::the_end_of_input_before_a_separator_is_an_error_with_the_bytes` |
//! | `readuntil_limit_found_sep` | `until::a_frame_that_is_too_long_is_left_with_or_without_its_separator` |
//! | `readuntil_multi_separator` | `until::of_several_separators_the_one_counts_that_ends_first` |
//! | `readuntil_multi_separator_limit` | `until::of_several_separators_the_limit_is_before_the_one_that_counts` |
//! | `readuntil_multi_separator_negative_offset` | `until::a_short_separator_is_found_before_there_is_room_for_a_long_one` |
//! | `readexactly_zero_or_less` | `exactly::exactly_of_zero_bytes_returns_at_once` |
//! | `readexactly` | `exactly::exactly_so_many_bytes_are_waited_for_and_the_rest_is_left` |
//! | `readexactly_limit` | `exactly::more_than_the_limit_is_refused_and_nothing_is_read` |
//! | `readexactly_eof` | `exactly::the_end_of_input_before_enough_is_an_error_with_the_bytes` |
//! | `read_exception` | `failing::a_read_fails_with_the_error_of_the_stream_after_the_bytes_before_it` |
//! | `readline_exception` | `failing::a_line_fails_with_the_error_of_the_stream` |
//! | `readexactly_exception` | `failing::exactly_fails_with_the_error_of_the_stream` |
//! | `exception_waiter` | `failing::an_error_wakes_the_call_that_waits` |
//! | `exception_cancel` | `failing::an_error_after_a_cancelled_call_is_returned_by_the_next` |
//! | `open_connection` | `clients::a_client_reads_a_line_and_then_all_that_is_left` |
//! | `open_unix_connection` | `clients::a_client_of_a_unix_socket_is_no_different` |
//! | `open_connection_error` | `clients::a_connection_that_is_lost_is_an_error_of_the_read` |
//! | `open_unix_connection_error` | `clients::a_unix_connection_that_is_lost_is_an_error_of_the_read` |
//! | `read_all_from_pipe_reader` | `clients::all_of_a_pipe_can_be_read_though_it_is_more_than_the_limit` |
//! | `start_server` | `served::a_handler_answers_over_tcp_and_its_server_ends` |
//! | `start_unix_server` | `served::a_handler_answers_over_a_unix_socket_and_its_server_ends` |
//! | `unhandled_exceptions` | `served::an_error_or_a_panic_of_a_handler_is_reported_with_its_text_and_the_server_goes_on` |
//! | `unhandled_exception` | `served::an_error_or_a_panic_of_a_handler_is_reported_with_its_text_and_the_server_goes_on` |
//! | `unhandled_cancel` | `served::a_handler_that_is_cancelled_resets_its_connection_and_has_no_error` |
//! | `unclosed_server_resource_warnings` | `served::a_server_that_is_dropped_listens_no_more_and_resets_its_clients` |
//! | `drain_raises` | `writing::a_drain_fails_once_the_peer_is_gone` |
//! | `wait_closed_on_close` | `writing::a_close_returns_and_ends_the_connection_when_everything_was_read` |
//! | `wait_closed_on_close_with_unread_data` | `writing::a_close_does_not_wait_for_unread_bytes` |
//! | `async_writer_api` | `clients::a_client_reads_a_line_and_then_all_that_is_left` |
//! | `async_writer_api_exception_after_close` | `writing::a_write_after_the_close_is_an_error_at_once` |
//! | `eof_feed_when_closing_writer` | `writing::the_reader_of_a_closed_writer_reads_what_the_peer_still_sends` |
//! | `unclosed_resource_warnings` | `writing::a_writer_dropped_with_unsent_bytes_is_reported_once` |
//! | `unclosed_resource_warnings` | `writing::a_writer_dropped_unclosed_after_all_was_sent_is_not_reported` |
//! | `loop_is_closed_resource_warnings` | `writing::unsent_bytes_dropped_with_an_executor_are_counted_too` |
//!
//! These have no counterpart here, because:
//!
//! | theirs | why |
//! |---|---|
//! | `start_tls` | is in tests/streams/buffered/upgrade.rs, with a toy cipher in the place of TLS |
//! | `open_connection_no_loop_ssl` | there is no TLS yet |
//! | `open_unix_connection_no_loop_ssl` | the same |
//! | `multiple_drain` | `drain` borrows the writer exclusively: two at once do not compile |
//! | `exception` | an error is returned by the call, and not kept |
//! | `readuntil_bytearray` | a separator is `&[u8]` |
//! | `IncompleteReadError_pickleable` | errors are not sent to other processes |
//! | `LimitOverrunError_pickleable` | the same |
//! | `streamreader_constructor_without_loop` | a reader belongs to no loop |
//! | `streamreader_constructor_use_running_loop` | the same |
//! | `streamreader_constructor_use_global_loop` | the same |
//! | `streamreaderprotocol_constructor_without_loop` | there are no protocols |
//! | `streamreaderprotocol_constructor_use_running_loop` | the same |
//! | `streamreaderprotocol_constructor_use_global_loop` | the same |
//! | `__repr__` | the text of `Debug` is not part of the API |
//! | `__repr__nondefault_limit` | the same |
//! | `__repr__eof` | the same |
//! | `__repr__data` | the same |
//! | `__repr__exception` | the same |
//! | `__repr__waiter` | the same |
//! | `__repr__transport` | the same |

mod clients;
mod differential;
mod exactly;
mod failing;
mod fed;
mod lines;
mod page;
mod reading;
mod served;
#[path = "../support/mod.rs"]
mod support;
mod table;
mod time;
mod until;
mod writing;
