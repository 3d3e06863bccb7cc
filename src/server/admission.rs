//! Admission: the rules and the limits per source, by which the source of each connection is checked.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use crate::connection::{Flag, Record};
use crate::limits::{Accounts, Rules, Sources};
use crate::reason::Reason;
use crate::time::Stamp;

/// The rules, and the accounts of the sources.
#[derive(Default)]
pub(super) struct Admission {
    rules: RwLock<Rules>,
    /// A record is counted here while it has [`Flag::SourceCounted`], which changes under this lock.
    accounts: Mutex<Accounts>,
}

impl Admission {
    pub(super) fn set_rules(&self, rules: Rules) {
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = rules;
    }

    /// Replaces the limits, and counts the connections again that `entered` returns. It is called
    /// under the lock, so no connection is counted or given back meanwhile.
    pub(super) fn set_sources(&self, sources: Sources, entered: impl FnOnce() -> Vec<Arc<Record>>) {
        // Dropped after the lock is released: the drop of a record may run any code.
        let records;
        let mut accounts = self.accounts();
        accounts.set_limits(sources);
        records = entered();
        for record in &records {
            let was_counted = record.flags.clear(Flag::SourceCounted);
            // One that has ended may have been given back already. The source of an anonymous one is
            // not known yet.
            let is_open = record.ending().is_none() && !record.flags.has(Flag::Anonymous);
            if (was_counted || is_open)
                && accounts.is_on()
                && let Some(source) = record.peer().socket_addr()
            {
                accounts.reopen(source);
                record.flags.set(Flag::SourceCounted);
            }
        }
    }

    /// Checks the source, and counts the connection for it. A peer without an IP address passes, and
    /// so does a connection that another process has admitted. Returns the lock of the accounts.
    pub(super) fn check(
        &self,
        record: &Record,
        now: Stamp,
    ) -> Result<MutexGuard<'_, Accounts>, Reason> {
        let source = record.peer().socket_addr();
        let is_admitted = record.carried().is_some();
        if let Some(source) = source
            && !is_admitted
        {
            let rules = self.rules.read().unwrap_or_else(PoisonError::into_inner);
            if !rules.admit(source.ip()) {
                return Err(Reason::Denied);
            }
        }
        let mut accounts = self.accounts();
        if let Some(source) = source
            && accounts.is_on()
        {
            if record.flags.clear(Flag::SourceCounted) {
                // New limits were set after the client was known, so it is counted already.
                accounts.close(source, now);
            }
            if is_admitted {
                accounts.reopen(source);
            } else {
                accounts.open(source, now)?;
            }
            record.flags.set(Flag::SourceCounted);
        }
        Ok(accounts)
    }

    /// Gives back the count of a connection that has ended.
    pub(super) fn leave(&self, record: &Record, now: Stamp) {
        // The flag is set and cleared under one lock: if a client is identified while its
        // connection ends, exactly one of the two sides gives the count back.
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
