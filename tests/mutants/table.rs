//! The mutants: plausible defects of the server.

/// A defect, as a change of one file.
pub(crate) struct Mutant {
    /// A description.
    pub(crate) defect: &'static str,
    pub(crate) file: &'static str,
    /// The text that is replaced. It occurs once in the file.
    pub(crate) old: &'static str,
    pub(crate) new: &'static str,
}

const fn mutant(
    defect: &'static str,
    file: &'static str,
    old: &'static str,
    new: &'static str,
) -> Mutant {
    Mutant {
        defect,
        file,
        old,
        new,
    }
}

pub(crate) const MUTANTS: &[Mutant] = &[
    mutant(
        "the limit of connections is one too high",
        "src/server/registry.rs",
        "self.is_below(self.settings.max_connections())",
        "self.is_below(self.settings.max_connections() + 1)",
    ),
    mutant(
        "a connection that ends does not wake the accept loop",
        "src/server/registry.rs",
        "self.entered.fetch_sub(1, Ordering::AcqRel);\n        self.left.wake();",
        "self.entered.fetch_sub(1, Ordering::AcqRel);",
    ),
    mutant(
        "a limit that is raised does not wake the accept loop",
        "src/server/registry.rs",
        "self.settings.set_max_connections(max);\n        self.left.wake();",
        "self.settings.set_max_connections(max);",
    ),
    mutant(
        "a later reason overwrites the first",
        "src/connection/state/end.rs",
        ".compare_exchange(0, code, Ordering::AcqRel, Ordering::Acquire)\n            .is_ok()",
        ".swap(code, Ordering::AcqRel) == 0",
    ),
    mutant(
        "the end of the drain forgets connections in a handshake",
        "src/server/registry.rs",
        "records.iter().filter(|record| record.cut()).count()",
        "let shakes = |record: &Record| record.phase() == crate::connection::Phase::Handshake;\n        \
         records.iter().filter(|record| !shakes(record) && record.cut()).count()",
    ),
    mutant(
        "a write does not renew the idle deadline",
        "src/connection/state/traffic.rs",
        "if self.touch(n) {\n            self.end_message();",
        "if n > 0 {\n            self.end_message();",
    ),
    mutant(
        "a refused connection is not counted as ended",
        "src/server/registry.rs",
        "self.counters.end(reason);\n        live.totals.of(record).end(0, 0);",
        "let _ = reason;\n        live.totals.of(record).end(0, 0);",
    ),
    mutant(
        "a buffered writer loses the rest after a short write",
        "src/connection/halves/write_queue.rs",
        "sent => drop(self.bytes.drain(..sent)),",
        "_ => self.bytes.clear(),",
    ),
    mutant(
        "an answer that lost its buffered part ends in order",
        "src/server/serving.rs",
        "ending.is_some() && record.is_writing() || record.bytes_dropped() > 0;",
        "ending.is_some() && record.is_writing();",
    ),
    mutant(
        "an answer that is cut in a write ends in order",
        "src/server/serving.rs",
        "ending.is_some() && record.is_writing() || record.bytes_dropped() > 0;",
        "record.bytes_dropped() > 0;",
    ),
    mutant(
        "a write that yields is not in the middle of an answer",
        "src/connection/halves/writer.rs",
        "self.record.block_write();\n        }\n        turn.map(Ok)",
        "}\n        turn.map(Ok)",
    ),
    mutant(
        "a connection that is refused for its source counts for it",
        "src/limits/sources.rs",
        "            return Err(Reason::PerSource);",
        "            usage.open += 1;\n            return Err(Reason::PerSource);",
    ),
    mutant(
        "the source of a connection that ends is not given back",
        "src/server/state.rs",
        "self.registry.admission.leave(record, now);\n        let age",
        "let age",
    ),
    mutant(
        "new limits per source forget the open connections",
        "src/server/admission.rs",
        "if (was_counted || is_open)",
        "if (was_counted && is_open)",
    ),
    mutant(
        "the pause after EMFILE does not end",
        "src/server/accept_error.rs",
        "self.state.clock.sleep(pause)",
        "self.state.clock.sleep(pause * 1_000_000)",
    ),
    mutant(
        "the deadline of the drain begins again at each report of progress",
        "src/server/drain.rs",
        "past_deadline.as_mut().await;",
        "clock.sleep(deadline).await;",
    ),
    mutant(
        "the drain does not wake handlers that wait",
        "src/server/drain.rs",
        "    registry.wake_all();\n",
        "",
    ),
    mutant(
        "a byte renews the lifetime",
        "src/server/deadlines.rs",
        "record.opened() + time)",
        "record.active() + time)",
    ),
    mutant(
        "a byte renews the deadline of a handshake",
        "src/server/deadlines.rs",
        "record.handshake_began() + time)",
        "record.active() + time)",
    ),
    mutant(
        "the minimum rate is that of a whole window",
        "src/server/deadlines.rs",
        "bytes < self.rate.saturating_mul(RATE_WINDOW.as_secs())",
        "bytes < self.rate",
    ),
    mutant(
        "a silent peer is under the minimum rate",
        "src/server/deadlines.rs",
        "bytes > 0 && bytes <",
        "bytes <",
    ),
    mutant(
        "new timeouts do not reach open connections",
        "src/server/handle.rs",
        "            record.recheck_deadlines();\n",
        "            let _ = record;\n",
    ),
    mutant(
        "an order to close does not wake the task",
        "src/connection/state/end.rs",
        "        if first {\n            self.wake();\n        }\n        first\n",
        "        first\n",
    ),
    mutant(
        "the handler is dropped after its connection is closed",
        "src/server/serving.rs",
        "    catch_panic(|| stage.set(Stage::Done))?;\n    Ok(Poll::Ready(closing",
        "    Ok(Poll::Ready(closing",
    ),
    mutant(
        "a layer is not flushed at the end",
        "src/connection/stream/layer.rs",
        "match ready!(shared.poll_close(cx)) {",
        "match std::io::Result::<()>::Ok(()) {",
    ),
    mutant(
        "the bytes of a connection that is reset are not counted",
        "src/server/registry.rs",
        "live.totals.of(record).end(own_in, own_out);",
        "let kept = u64::from(!record.flags.has(Flag::Reset));\n        \
         live.totals.of(record).end(kept * own_in, kept * own_out);",
    ),
    mutant(
        "a half that has used up its budget is not woken",
        "src/connection/state/traffic.rs",
        "        cx.waker().wake_by_ref();\n        Poll::Pending",
        "        let _ = cx;\n        Poll::Pending",
    ),
    mutant(
        "the budget has no end",
        "src/connection/state/traffic.rs",
        "self.0.load(Ordering::Relaxed) < BUDGET_BYTES {",
        "self.0.load(Ordering::Relaxed) < u32::MAX {",
    ),
    mutant(
        "connections of a second listener count for the first",
        "src/listener/merge.rs",
        "let index = self.second_offset + connection.peer.listener();",
        "let index = connection.peer.listener();",
    ),
    mutant(
        "a connection that lingers waits for ever",
        "src/server/serving.rs",
        "        if flushed {\n            return Poll::Ready(Ok(()));\n        }\n        // Flushing",
        "        if flushed {\n            return Poll::Pending;\n        }\n        // Flushing",
    ),
];
