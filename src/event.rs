// SPDX-License-Identifier: GPL-2.0-only

//! What an event is, and how failures that come faster than they are handled become one.

use crate::range::{
    insert_within,
    Range,
    RangeSet, //
};
use kernel::{
    fmt,
    prelude::*,
    sync::Arc, //
};

/// What happens to the memory.
///
/// In the order of gravity, and of `enum dax_holder_kind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Ranges of the disk lost their content; the disk stays.
    Failure,
    /// The whole disk is about to go, everything on it still works.
    Removal,
    /// The whole disk goes without having been announced.
    Surprise,
}

impl Kind {
    /// Returns the word that user space sees.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Failure => "failure",
            Self::Removal => "removal",
            Self::Surprise => "surprise",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Who reported the event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The kernel's memory failure handling, page by page.
    MemoryFailure,
    /// The announcement that the disk's driver is being unbound.
    Unbind,
    /// The callback from within the removal itself.
    Confirmation,
    /// A write to the inject file.
    Injected,
    /// A driver, by `dax_holder_report()`.
    Reported,
}

impl Source {
    /// Returns the word that user space sees.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::MemoryFailure => "memory_failure",
            Self::Unbind => "unbind",
            Self::Confirmation => "confirmation",
            Self::Injected => "injected",
            Self::Reported => "reported",
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One accepted event of a disk.
#[derive(Debug)]
pub(crate) struct Event {
    /// The number of the event, counted per disk from 1.
    pub(crate) seq: u64,
    /// What happens to the memory.
    pub(crate) kind: Kind,
    /// Who reported it.
    pub(crate) source: Source,
    /// The bytes of the disk that are concerned; the whole disk unless `kind` is a failure.
    ///
    /// Shared with holders that are told later than the rest.
    pub(crate) ranges: Arc<RangeSet>,
}

/// What one call tells a holder: an event, or several that came while it was busy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    /// The number of the first event.
    pub(crate) first: u64,
    /// The number of the last one.
    pub(crate) last: u64,
    /// What happens to the memory; of several events, the gravest.
    pub(crate) kind: Kind,
    /// The smallest range that covers all that concerns the holder, in bytes of his own coordinates.
    pub(crate) hull: Range,
}

impl Told {
    /// Tells `event`, of which `hull` concerns the holder.
    pub(crate) fn new(event: &Event, hull: Range) -> Self {
        Self {
            first: event.seq,
            last: event.seq,
            kind: event.kind,
            hull,
        }
    }

    /// Tells what `later` tells too.
    pub(crate) fn and(self, later: Self) -> Self {
        Self {
            first: self.first,
            last: later.last,
            kind: self.kind.max(later.kind),
            hull: self.hull.hull(later.hull),
        }
    }
}

/// The answer of [`Coalescer::add`]: what the caller has to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Added {
    /// Nothing was pending: have the pending ranges handled.
    First,
    /// Whoever handles the ranges that are pending already will find this one too.
    Merged,
    /// The range is **not** recorded, for want of room: treat the whole disk as failed.
    Overflow,
}

/// The failed ranges of a disk that wait to be handled together.
///
/// A storm of failures, one call per page, thus becomes one event. All memory is inline, for
/// [`Coalescer::add`] runs under a spinlock, where a failed allocation would lose a failure.
///
/// Ranges merge only where they overlap or adjoin, never across bytes that nobody reported: those
/// may belong to a neighbour's partition. Storms that are scattered over more than
/// [`Coalescer::SLOTS`] places overflow instead.
///
/// # Invariants
///
/// The first `len` of `ranges` are sorted, and between two of them lies at least one other byte.
#[derive(Debug)]
pub(crate) struct Coalescer {
    ranges: [Range; Self::SLOTS],
    len: usize,
    overflowed: bool,
}

impl Coalescer {
    /// How many separate ranges may be pending.
    pub(crate) const SLOTS: usize = 64;

    /// Creates an empty one.
    pub(crate) const fn new() -> Self {
        // INVARIANT: Of no ranges.
        Self {
            ranges: [Range::whole(1); Self::SLOTS],
            len: 0,
            overflowed: false,
        }
    }

    /// Adds a failed range.
    ///
    /// After the first [`Added::Overflow`] every answer is that, until [`Coalescer::take`]. Does not
    /// allocate, does not sleep.
    pub(crate) fn add(&mut self, range: Range) -> Added {
        if self.overflowed {
            return Added::Overflow;
        }
        let first = self.len == 0;
        // INVARIANT: `insert_within` keeps the order and the gaps.
        match insert_within(&mut self.ranges, self.len, range) {
            Some(len) => {
                self.len = len;
                if first {
                    Added::First
                } else {
                    Added::Merged
                }
            }
            None => {
                self.overflowed = true;
                Added::Overflow
            }
        }
    }

    /// Returns what is pending, and leaves nothing.
    pub(crate) fn take(&mut self) -> Self {
        core::mem::replace(self, Self::new())
    }

    /// Returns whether nothing is pending.
    pub(crate) const fn is_empty(&self) -> bool {
        self.len == 0 && !self.overflowed
    }

    /// Returns whether a range was turned away, so that [`Coalescer::to_set`] tells only a part.
    pub(crate) const fn overflowed(&self) -> bool {
        self.overflowed
    }

    /// Returns the recorded ranges as a set, which takes an allocation.
    pub(crate) fn to_set(&self) -> Result<RangeSet> {
        RangeSet::from_sorted(&self.ranges[..self.len])
    }
}

#[cfg_attr(not(test), kunit_tests(dax_holder_event))]
mod tests {
    use super::*;

    const PAGE: u64 = 4096;

    #[test]
    fn a_storm_of_pages_is_one_range() -> Result {
        let mut pending = Coalescer::new();
        assert!(pending.is_empty());
        assert_eq!(pending.add(Range::new(0, PAGE)?), Added::First);
        for page in 1..1000 {
            assert_eq!(pending.add(Range::new(page * PAGE, PAGE)?), Added::Merged);
        }
        let taken = pending.take();
        assert!(pending.is_empty());
        let set = taken.to_set()?;
        assert_eq!(set.len(), 1);
        assert_eq!(set.bytes(), 1000 * PAGE);
        Ok(())
    }

    #[test]
    fn scattered_failures_overflow_and_say_so() -> Result {
        let mut pending = Coalescer::new();
        for slot in 0..64 {
            let added = pending.add(Range::new(2 * slot * PAGE, PAGE)?);
            assert!(added != Added::Overflow);
        }
        // There is room for what touches a range that is pending, and for nothing else.
        assert_eq!(pending.add(Range::new(PAGE, PAGE)?), Added::Merged);
        assert_eq!(pending.add(Range::new(1000 * PAGE, PAGE)?), Added::Merged);
        assert_eq!(pending.add(Range::new(2000 * PAGE, PAGE)?), Added::Overflow);
        assert!(pending.overflowed());
        assert!(pending.take().overflowed());
        assert!(!pending.overflowed());
        assert_eq!(pending.add(Range::new(2000 * PAGE, PAGE)?), Added::First);
        Ok(())
    }

    #[test]
    fn what_comes_while_a_holder_is_busy_is_told_at_once() -> Result {
        let told = |seq, kind, start| -> Result<Told> {
            Ok(Told {
                first: seq,
                last: seq,
                kind,
                hull: Range::new(start, PAGE)?,
            })
        };
        let both = told(3, Kind::Removal, 8 * PAGE)?.and(told(7, Kind::Failure, 2 * PAGE)?);
        assert_eq!((both.first, both.last), (3, 7));
        // The gravest, whichever came first.
        assert_eq!(both.kind, Kind::Removal);
        assert_eq!(both.hull, Range::new(2 * PAGE, 7 * PAGE)?);
        Ok(())
    }

    #[test]
    fn words_for_user_space() {
        assert_eq!(Kind::Surprise.name(), "surprise");
        assert_eq!(Source::MemoryFailure.name(), "memory_failure");
    }
}
