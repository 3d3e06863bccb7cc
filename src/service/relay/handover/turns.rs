//! The relays that can move, and the turn in which one of them does.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io;
use std::mem;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use atomic_waker::AtomicWaker;

use super::channel::Sender;
use crate::connection::Record;

/// The running relays of a [`Handover`](super::Handover). One at a time has its turn to move.
#[derive(Default)]
pub(super) struct Turns {
    /// The number of the relay that has its turn, or 0.
    asked: AtomicU64,
    state: Mutex<State>,
    /// Waits for the answer.
    answered: AtomicWaker,
}

#[derive(Default)]
struct State {
    /// The number of relays so far.
    last: u64,
    running: BTreeMap<u64, Running>,
    turn: Turn,
    /// The channel of the relays that begin after all others had their turn.
    late: Option<Arc<Sender>>,
}

struct Running {
    near: Arc<Record>,
    is_connected: bool,
}

#[derive(Default)]
enum Turn {
    #[default]
    None,
    Asked(Arc<Sender>),
    /// The relay with this number finds its answer.
    Taken(u64),
    Answered(Answer),
}

/// The result of a turn.
#[derive(Debug)]
pub(super) enum Answer {
    /// The other process has the relay.
    Moved,
    /// The relay cannot move.
    Stays,
    /// The relay has ended.
    Ended,
    /// The channel has no room.
    Full,
    /// No relay can move any more.
    Broken(io::Error),
}

/// The place of one relay among those that can move.
pub(in super::super) struct Mover {
    turns: Arc<Turns>,
    number: u64,
    /// The relay moves without a turn as soon as it is connected.
    is_late: AtomicBool,
}

impl Turns {
    /// Returns the numbers of the relays after `last`. Those that still connect are at the end, as
    /// they answer when they are connected. If there is none, later relays move without a turn.
    pub(super) fn after(&self, last: u64, sender: &Arc<Sender>) -> Vec<u64> {
        let mut state = self.state();
        let running = state.running.range(last + 1..);
        let (mut first, connecting): (Vec<_>, Vec<_>) =
            running.partition(|(_, running)| running.is_connected);
        first.extend(connecting);
        let numbers: Vec<_> = first.into_iter().map(|(&number, _)| number).collect();
        if numbers.is_empty() {
            state.late = Some(sender.clone());
        }
        numbers
    }

    /// Makes relays wait for a turn again.
    pub(super) fn begin(&self) {
        let late = self.state().late.take();
        // Its drop may close the channel.
        drop(late);
    }

    /// Gives a relay its turn, and waits for its answer. If the future is dropped, the turn is over.
    pub(super) async fn ask(&self, number: u64, sender: &Arc<Sender>) -> Answer {
        let near = {
            let mut state = self.state();
            let Some(running) = state.running.get(&number) else {
                return Answer::Ended;
            };
            let near = running.near.clone();
            state.turn = Turn::Asked(sender.clone());
            self.asked.store(number, Ordering::Release);
            near
        };
        let _over = EndOnDrop(self);
        near.wake();
        drop(near);
        poll_fn(|cx| {
            self.answered.register(cx.waker());
            let mut state = self.state();
            match mem::take(&mut state.turn) {
                Turn::Answered(answer) => Poll::Ready(answer),
                turn => {
                    state.turn = turn;
                    Poll::Pending
                }
            }
        })
        .await
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends the turn.
struct EndOnDrop<'a>(&'a Turns);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.asked.store(0, Ordering::Relaxed);
        let turn = mem::take(&mut self.0.state().turn);
        // Its drop may close the channel.
        drop(turn);
    }
}

impl Mover {
    /// Takes the place of a relay that still connects.
    pub(super) fn take(turns: &Arc<Turns>, near: &Arc<Record>) -> Self {
        let mut state = turns.state();
        state.last += 1;
        let (number, near) = (state.last, near.clone());
        let is_connected = false;
        let running = Running { near, is_connected };
        state.running.insert(number, running);
        let is_late = state.late.is_some().into();
        drop(state);
        Self {
            turns: turns.clone(),
            number,
            is_late,
        }
    }

    pub(in super::super) fn connected(&self) {
        if let Some(running) = self.turns.state().running.get_mut(&self.number) {
            running.is_connected = true;
        }
    }

    /// Returns true if the relay has its turn.
    #[inline(always)]
    fn is_asked(&self) -> bool {
        self.turns.asked.load(Ordering::Acquire) == self.number
    }

    /// Calls `act` if it is time for the relay to move. Returns true if the relay has moved.
    pub(super) fn try_move(&self, act: impl FnOnce(&Sender) -> Answer) -> bool {
        if self.is_asked() {
            return self.answer(act);
        }
        self.is_late.load(Ordering::Relaxed) && self.move_late(act)
    }

    fn move_late(&self, act: impl FnOnce(&Sender) -> Answer) -> bool {
        let sender = self.turns.state().late.clone();
        let answer = sender.map_or(Answer::Stays, |sender| act(&sender));
        // A full channel is tried again after the next transfer.
        let is_late = matches!(answer, Answer::Full);
        self.is_late.store(is_late, Ordering::Relaxed);
        matches!(answer, Answer::Moved)
    }

    fn answer(&self, act: impl FnOnce(&Sender) -> Answer) -> bool {
        let Some(sender) = self.take_turn() else {
            return false;
        };
        let answer = act(&sender);
        let has_moved = matches!(answer, Answer::Moved);
        self.finish_turn(answer);
        has_moved
    }

    fn take_turn(&self) -> Option<Arc<Sender>> {
        let mut state = self.turns.state();
        if !self.is_asked() {
            return None;
        }
        match mem::replace(&mut state.turn, Turn::Taken(self.number)) {
            Turn::Asked(sender) => Some(sender),
            turn => {
                state.turn = turn;
                None
            }
        }
    }

    fn finish_turn(&self, answer: Answer) {
        let mut state = self.turns.state();
        // Otherwise the turn was ended meanwhile, and there may be another one.
        if !matches!(state.turn, Turn::Taken(number) if number == self.number) {
            return;
        }
        self.turns.asked.store(0, Ordering::Relaxed);
        state.turn = Turn::Answered(answer);
        drop(state);
        self.turns.answered.wake();
    }
}

impl Drop for Mover {
    fn drop(&mut self) {
        let gone = self.turns.state().running.remove(&self.number);
        drop(gone);
        self.answer(|_| Answer::Ended);
    }
}
