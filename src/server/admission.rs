//! Admission of connections: the rules and the limits per source.

use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use crate::connection::{Flag, Record};
use crate::limits::{Accounts, Rules, Sources};
use crate::reason::Reason;
use crate::time::Stamp;

/// The checks on where a connection comes from.
#[derive(Default)]
pub(super) struct Admission {
    rules: RwLock<Rules>,
    accounts: Mutex<Accounts>,
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
            record.flags.set(Flag::SourceCounted);
        }
        Ok(())
    }

    pub(super) fn leave(&self, record: &Record, now: Stamp) {
        // The mark is looked at under the lock under which it is made: a client that is named just
        // as its connection ends leaves here, or where it was named.
        let mut accounts = self.accounts();
        if record.flags.clear(Flag::SourceCounted)
            && let Some(source) = record.peer().socket_addr()
        {
            accounts.close(source, now);
        }
    }

    fn accounts(&self) -> MutexGuard<'_, Accounts> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
