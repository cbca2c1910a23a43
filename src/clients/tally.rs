// SPDX-License-Identifier: GPL-2.0-only

//! Counting answers, and waiting for them.

use crate::{
    range::{
        Range,
        RangeSet, //
    },
    sys::module::sleep_ms, //
};
use kernel::{
    new_condvar,
    new_mutex,
    prelude::*,
    sync::{
        CondVar,
        CondVarTimeoutResult,
        Mutex, //
    },
    time::msecs_to_jiffies, //
};

/// What came of telling registered holders.
pub(crate) struct Totals {
    /// How many were called.
    pub(crate) holders: u32,
    /// 0, or the first negative errno that one has answered.
    pub(crate) result: i32,
    /// What those have handled who come before the generic treatment, in bytes of the disk.
    pub(crate) absorbed: RangeSet,
}

/// Who is waited for.
#[pin_data]
pub(super) struct Tally {
    #[pin]
    sheet: Mutex<Sheet>,
    #[pin]
    complete: CondVar,
}

struct Sheet {
    missing: u32,
    totals: Totals,
}

impl Totals {
    const fn new() -> Self {
        Self {
            holders: 0,
            result: 0,
            absorbed: RangeSet::new(),
        }
    }
}

impl Tally {
    pub(super) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            sheet <- new_mutex!(
                Sheet { missing: 0, totals: Totals::new() },
                "dax_holder::Tally::sheet"
            ),
            complete <- new_condvar!("dax_holder::Tally::complete"),
        })
    }

    /// As [`Clients::teach_lock_order`](super::Clients::teach_lock_order).
    #[cfg(CONFIG_PROVE_LOCKING)]
    pub(super) fn teach_lock_order(&self, inner: impl FnOnce()) {
        let _sheet = self.sheet.lock();
        inner();
    }

    /// One more is to answer.
    pub(super) fn expect(&self) {
        let mut sheet = self.sheet.lock();
        sheet.missing += 1;
        sheet.totals.holders += 1;
    }

    /// One has answered, or is given up. `absorbs`: what need not be treated by others.
    pub(super) fn answered(&self, result: Result, absorbs: Option<Range>) {
        let mut sheet = self.sheet.lock();
        // NO-OVERFLOW: Follows `expect()`.
        sheet.missing -= 1;
        match result {
            Ok(()) => {
                if let Some(range) = absorbs {
                    // Without memory the others treat it too.
                    let _ = sheet.totals.absorbed.insert(range);
                }
            }
            // He holds nothing.
            Err(e) if e == EOPNOTSUPP => {}
            Err(e) if sheet.totals.result == 0 => sheet.totals.result = e.to_errno(),
            Err(_) => {}
        }
        if sheet.missing == 0 {
            self.complete.notify_all();
        }
    }

    /// One is not called after all.
    pub(super) fn excuse(&self) {
        // NO-OVERFLOW: Follows `expect()`.
        self.sheet.lock().totals.holders -= 1;
        self.answered(Ok(()), None);
    }

    /// Waits for `ms` milliseconds. Returns whether nobody is missing any more.
    pub(super) fn wait(&self, ms: u32) -> bool {
        let mut sheet = self.sheet.lock();
        let mut left = msecs_to_jiffies(ms.saturating_add(1));
        while sheet.missing > 0 {
            match self.complete.wait_interruptible_timeout(&mut sheet, left) {
                CondVarTimeoutResult::Woken { jiffies } => left = jiffies,
                CondVarTimeoutResult::Timeout => return sheet.missing == 0,
                // An event must not end because somebody is to die: from here on poll, for with a
                // signal pending there is no sleep.
                CondVarTimeoutResult::Signal { .. } => {
                    drop(sheet);
                    sleep_ms(1);
                    return self.sheet.lock().missing == 0;
                }
            }
        }
        true
    }

    /// Returns what has come together, and begins anew.
    pub(super) fn take(&self) -> Totals {
        core::mem::replace(&mut self.sheet.lock().totals, Totals::new())
    }
}
