//! Who may come in: the rules and the limits per source, and what is said of those who may not.

use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use crate::connection::{Flag, Record};
use crate::limit::{Accounts, Rules, Sources};
use crate::stats::Reason;
use crate::time::Stamp;

/// Refusals are told one by one up to this many in a second, then only counted.
const TOLD_PER_SECOND: u32 = 10;

/// The checks on where a connection comes from.
#[derive(Default)]
pub(super) struct Admission {
    rules: RwLock<Rules>,
    accounts: Mutex<Accounts>,
    told: Mutex<Told>,
}

#[derive(Default)]
struct Told {
    /// The second that is counted, by its beginning.
    second: Option<Stamp>,
    said: u32,
    unsaid: u64,
}

impl Admission {
    pub(super) fn limit(&self, sources: Sources) {
        *self.accounts() = Accounts::new(sources);
    }

    pub(super) fn set_rules(&self, rules: Rules) {
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = rules;
    }

    /// Checks the source, and counts the connection for it. What is no internet address has no
    /// source, and passes.
    pub(super) fn check(&self, record: &Record, now: Stamp) -> Result<(), Reason> {
        let Some(source) = record.peer().socket_addr() else {
            return Ok(());
        };
        let rules = self.rules.read().unwrap_or_else(PoisonError::into_inner);
        if !rules.admit(source.ip()) {
            return Err(Reason::Denied);
        }
        drop(rules);
        let mut accounts = self.accounts();
        if accounts.is_on() {
            accounts.open(source, now)?;
            record.flags.set(Flag::Counted);
        }
        Ok(())
    }

    pub(super) fn leave(&self, record: &Record, now: Stamp) {
        // The mark is looked at under the lock under which it is made: a client that is named just
        // as its connection ends leaves here, or where it was named.
        let mut accounts = self.accounts();
        if record.flags.clear(Flag::Counted)
            && let Some(source) = record.peer().socket_addr()
        {
            accounts.close(source, now);
        }
    }

    /// How many refusals went unsaid since the last one that was told, if this one is to be told.
    pub(super) fn tell(&self, now: Stamp) -> Option<u64> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let this = told
            .second
            .filter(|&second| now.since(second) < Duration::from_secs(1));
        if this.is_none() {
            (told.second, told.said) = (Some(now), 0);
        }
        if told.said == TOLD_PER_SECOND {
            told.unsaid += 1;
            return None;
        }
        told.said += 1;
        Some(std::mem::take(&mut told.unsaid))
    }

    fn accounts(&self) -> MutexGuard<'_, Accounts> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
