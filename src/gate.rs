// SPDX-License-Identifier: GPL-2.0-only

//! The gate: what a front's operations may still reach.
//!
//! Open, the usual state, costs one load. With failed ranges, an access looks them up in an
//! immutable snapshot. Closed, everything is refused; it takes no memory to get there, so that is
//! what happens when a change cannot be recorded.
//!
//! Closing only keeps accesses from beginning. Who needs to know that those that had begun are
//! over waits for a [`GracePeriod`](crate::sys::dax::GracePeriod) next, and then for the
//! translations they made under each mapping's invalidate lock.

use crate::{
    range::{
        Range,
        RangeSet, //
    },
    sys::{
        dax::{
            DaxDevice,
            FrontOperations,
            Memory, //
        },
        module::NoIo, //
    }, //
};
use kernel::{
    new_mutex,
    new_spinlock,
    page::PAGE_SIZE,
    prelude::*,
    sync::{
        atomic::{
            ordering,
            Atomic, //
        },
        Arc,
        Mutex,
        SpinLock, //
    }, //
};

const OPEN: u32 = 0;
const RANGES: u32 = 1;
const CLOSED: u32 = 2;

/// The ranges of the disk that are refused, and how. They may overlap; `down` goes first.
struct Refused {
    /// Failed: `EHWPOISON`, but for an access that may repair them.
    failed: RangeSet,
    /// Of a holder that is down or going down: `EIO`.
    down: RangeSet,
    /// The part of `down` that nobody maps any more: more failures there are no news.
    quiet: RangeSet,
}

/// The gate of one disk.
#[pin_data]
pub(crate) struct Gate {
    lower: DaxDevice,
    memory: Memory,
    state: Atomic<u32>,
    /// What accesses see. The lock is only held to copy or to swap the pointer.
    #[pin]
    seen: SpinLock<Option<Arc<Refused>>>,
    /// Serialises changes. Taken in callbacks: nobody waits for a grace period under it.
    #[pin]
    change: Mutex<()>,
}

impl Gate {
    /// Creates an open gate before `lower`, whose memory is `memory`.
    pub(crate) fn new(lower: DaxDevice, memory: Memory) -> impl PinInit<Self> {
        pin_init!(Self {
            lower,
            memory,
            state: Atomic::new(OPEN),
            seen <- new_spinlock!(None, "dax_holder::Gate::seen"),
            change <- new_mutex!((), "dax_holder::Gate::change"),
        })
    }

    /// Shows lockdep the order of the locks.
    #[cfg(CONFIG_PROVE_LOCKING)]
    pub(crate) fn teach_lock_order(&self) {
        let _changing = self.change.lock();
        let _seen = self.seen.lock();
    }

    /// Returns the device below.
    pub(crate) fn lower_device(&self) -> &DaxDevice {
        &self.lower
    }

    /// Returns the number of references to the device below. A snapshot.
    pub(crate) fn lower_references(&self) -> u32 {
        self.lower.references()
    }

    fn snapshot(&self) -> Option<Arc<Refused>> {
        self.seen.lock().clone()
    }

    /// Changes what is refused. `ENOMEM`: nothing was changed.
    fn change(&self, f: impl FnOnce(&mut Refused) -> Result) -> Result {
        // Called under `mf_mutex` and inside `dax_srcu`: reclaim must not evict a DAX inode here,
        // which would wait for its pins (`dax_break_layout_final()`).
        let _noio = NoIo::new();
        let _changing = self.change.lock();
        let mut next = match self.snapshot() {
            Some(now) => Refused {
                failed: now.failed.try_clone()?,
                down: now.down.try_clone()?,
                quiet: now.quiet.try_clone()?,
            },
            None => Refused {
                failed: RangeSet::new(),
                down: RangeSet::new(),
                quiet: RangeSet::new(),
            },
        };
        f(&mut next)?;
        let next = Arc::new(next, GFP_KERNEL)?;
        let before = self.seen.lock().replace(next);
        // Freed here, outside the spinlock.
        drop(before);
        // A closed gate stays closed.
        let _ = self.state.cmpxchg(OPEN, RANGES, ordering::Full);
        Ok(())
    }

    /// As [`Gate::change`], for changes that must not be lost: without memory, closes the whole
    /// gate instead, which refuses more than it should, never less.
    fn refuse(&self, f: impl FnOnce(&mut Refused) -> Result) -> Result {
        self.change(f).inspect_err(|_| self.close())
    }

    /// Refuses everything from now on. Needs no memory, does not sleep.
    pub(crate) fn close(&self) {
        self.state.store(CLOSED, ordering::Release);
    }

    /// Returns whether nothing was refused since it was made or opened.
    pub(crate) fn is_open(&self) -> bool {
        self.state.load(ordering::Acquire) == OPEN
    }

    /// Returns whether everything is refused.
    pub(crate) fn is_closed(&self) -> bool {
        self.state.load(ordering::Acquire) == CLOSED
    }

    /// Refuses failed ranges. `ENOMEM`: the whole gate was closed instead.
    pub(crate) fn fail(&self, ranges: &RangeSet) -> Result {
        self.refuse(|refused| refused.failed.insert_all(ranges))
    }

    /// As [`Gate::fail`], for one range.
    pub(crate) fn fail_range(&self, range: Range) -> Result {
        self.refuse(|refused| refused.failed.insert(range))
    }

    /// Refuses the window of a holder that goes down. `ENOMEM`: the whole gate was closed instead.
    pub(crate) fn take_down(&self, window: Range) -> Result {
        self.refuse(|refused| refused.down.insert(window))
    }

    /// Remembers that nobody maps anything of the window of a holder that is down.
    ///
    /// `ENOMEM`: not remembered, so later failures will be news.
    pub(crate) fn mark_quiet(&self, window: Range) -> Result {
        self.change(|refused| refused.quiet.insert(window))
    }

    /// Returns whether a failure of `range` is no news: its holder is down and swept.
    pub(crate) fn is_quiet(&self, range: Range) -> bool {
        // A storm asks this for each page, so without a snapshot: that would be two atomics more.
        !self.is_open()
            && (*self.seen.lock())
                .as_ref()
                .is_some_and(|refused| refused.quiet.contains(range))
    }

    /// Returns the failed ranges that may be news: whose holders are not down and swept, or to whom
    /// `also` applies.
    pub(crate) fn unquiet(&self, also: impl Fn(Range) -> bool) -> Result<RangeSet> {
        let Some(refused) = self.snapshot() else {
            return Ok(RangeSet::new());
        };
        let mut failed = refused.failed.try_clone()?;
        for range in refused.quiet.iter().filter(|range| !also(*range)) {
            failed.remove(range)?;
        }
        Ok(failed)
    }

    /// Returns whether a part of `window` is refused.
    pub(crate) fn refuses(&self, window: Range) -> bool {
        self.is_closed()
            || self.snapshot().is_some_and(|refused| {
                refused.failed.overlaps(window) || refused.down.overlaps(window)
            })
    }

    /// Opens the gate: nothing is refused any more.
    pub(crate) fn open(&self) {
        let _changing = self.change.lock();
        let before = self.seen.lock().take();
        drop(before);
        self.state.store(OPEN, ordering::Release);
    }
}

/// Returns the bytes of `pages` pages from page `first` on.
fn bytes(first: u64, pages: u64) -> Result<Range> {
    const PAGE: u64 = PAGE_SIZE as u64;

    Range::new(
        first.checked_mul(PAGE).ok_or(ERANGE)?,
        pages.checked_mul(PAGE).ok_or(ERANGE)?,
    )
}

impl FrontOperations for Gate {
    fn lower(&self) -> &DaxDevice {
        &self.lower
    }

    fn open_memory(&self) -> Option<&Memory> {
        // Closed before the device below is killed, and not opened again when that has begun; the
        // grace period of that kill comes before anything is freed.
        self.is_open().then_some(&self.memory)
    }

    fn admit(&self, first: u64, pages: u64, recovery: bool) -> Result<u64> {
        match self.state.load(ordering::Acquire) {
            OPEN => return Ok(pages),
            CLOSED => return Err(EIO),
            _ => {}
        }
        let Some(refused) = self.snapshot() else {
            return Ok(pages);
        };
        let wanted = bytes(first, pages)?;
        // Up to the first refused byte: the neighbour of a failed page goes on.
        let mut end = wanted.end();
        if let Some(down) = refused.down.first_overlap(wanted) {
            if down.start() <= wanted.start() {
                return Err(EIO);
            }
            end = end.min(down.start());
        }
        if !recovery {
            if let Some(failed) = refused.failed.first_overlap(wanted) {
                if failed.start() <= wanted.start() {
                    return Err(EHWPOISON);
                }
                end = end.min(failed.start());
            }
        }
        // NO-OVERFLOW: `end` is behind the start of `wanted`.
        match (end - wanted.start()) / PAGE_SIZE as u64 {
            // A refused range that begins within the first page.
            0 => Err(EIO),
            n => Ok(n),
        }
    }

    fn recovered(&self, first: u64, pages: u64) {
        if self.state.load(ordering::Acquire) == OPEN {
            return;
        }
        if let Ok(range) = bytes(first, pages) {
            // Without memory the range stays refused.
            let _ = self.change(|refused| refused.failed.remove(range));
        }
    }
}
