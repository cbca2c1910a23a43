// SPDX-License-Identifier: GPL-2.0-only

//! Byte ranges of a disk, and sets of them.
//!
//! All positions and lengths are bytes. A position is relative to the start of the disk, unless a
//! method says that it speaks of a holder's own coordinates, which begin with the holder's window.
//!
//! Nothing here sleeps except where memory is allocated, which the methods that return a
//! [`Result`] do. They allocate with [`GFP_KERNEL`]: a caller that must not start I/O enters a
//! `memalloc_noio` scope, a caller that must not sleep uses [`insert_within`].

use kernel::{
    fmt,
    prelude::*, //
};

/// A non-empty range of bytes.
///
/// # Invariants
///
/// `start < end`: both the first byte and the byte behind the last one are representable. The very
/// last byte of the 64-bit space, [`u64::MAX`], is therefore never part of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    start: u64,
    end: u64,
}

impl Range {
    /// Creates the range of `len` bytes that begins at byte `start`.
    ///
    /// Fails with [`EINVAL`] if `len` is zero, and with [`EOVERFLOW`] if the end of the range is
    /// not representable.
    pub(crate) fn new(start: u64, len: u64) -> Result<Self> {
        if len == 0 {
            return Err(EINVAL);
        }
        let end = start.checked_add(len).ok_or(EOVERFLOW)?;
        // INVARIANT: `len` is not zero and the addition did not wrap.
        Ok(Self { start, end })
    }

    /// Returns the range of a whole disk of `size` bytes.
    ///
    /// There is no disk of zero bytes; should a caller claim one, the range covers one byte.
    pub(crate) const fn whole(size: u64) -> Self {
        // INVARIANT: `end` is at least 1.
        Self {
            start: 0,
            end: if size == 0 { 1 } else { size },
        }
    }

    /// Creates a range from its borders in bytes, if there is a byte between them.
    const fn between(start: u64, end: u64) -> Option<Self> {
        if start < end {
            // INVARIANT: Just checked.
            Some(Self { start, end })
        } else {
            None
        }
    }

    /// Returns the position of the first byte.
    pub(crate) const fn start(self) -> u64 {
        self.start
    }

    /// Returns the position behind the last byte.
    pub(crate) const fn end(self) -> u64 {
        self.end
    }

    /// Returns the number of bytes, never zero.
    pub(crate) const fn len(self) -> u64 {
        // NO-OVERFLOW: By the type invariant.
        self.end - self.start
    }

    /// Returns the bytes that lie in both ranges.
    pub(crate) fn intersect(self, other: Self) -> Option<Self> {
        Self::between(self.start.max(other.start), self.end.min(other.end))
    }

    /// Returns whether every byte of `other` lies in this range.
    pub(crate) const fn contains(self, other: Self) -> bool {
        self.start <= other.start && other.end <= self.end
    }

    /// Translates a range of a holder that begins at byte `base` into the coordinates of the disk, and
    /// adds what is missing of the first and the last of its units of `unit` bytes, a power of two.
    ///
    /// Fails with [`EOVERFLOW`] if the end is not representable.
    pub(crate) fn shift_up(self, base: u64, unit: u64) -> Result<Self> {
        let start = self.start.checked_add(base).ok_or(EOVERFLOW)?;
        let end = self.end.checked_add(base).ok_or(EOVERFLOW)?;
        // INVARIANT: The borders only move apart.
        Ok(Self {
            start: start & !(unit - 1),
            end: end.checked_next_multiple_of(unit).ok_or(EOVERFLOW)?,
        })
    }

    /// Translates a range of the disk into the coordinates of a holder that begins at byte `base`.
    ///
    /// Returns [`None`] if the range begins before `base`.
    pub(crate) fn shift_down(self, base: u64) -> Option<Self> {
        Self::between(self.start.checked_sub(base)?, self.end.checked_sub(base)?)
    }

    /// Returns the smallest range that covers both ranges and whatever lies between them.
    pub(crate) fn hull(self, other: Self) -> Self {
        // INVARIANT: The new borders lie no closer than those of `self`.
        Self {
            start: self.start.min(other.start),
            end: self.end.max(other.end),
        }
    }
}

/// Prints as `0xOFFSET+0xLENGTH`, the form in which ranges are injected and reported.
impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}+{:#x}", self.start, self.len())
    }
}

/// Sorts by where they begin: a heap sort, so in place and in bounded time, whatever comes.
///
/// Not `slice::sort_unstable()`: in that the kernel's objtool finds code without an end, because it does
/// not know its panics.
fn sort(members: &mut [Range]) {
    // The first half of a heap of `len` have children; `sift` lets one of them down to its place.
    let sift = |members: &mut [Range], mut at: usize| loop {
        // NO-OVERFLOW: A slice of ranges has less than half as many members as there are addresses.
        let mut child = 2 * at + 1;
        if child >= members.len() {
            return;
        }
        if child + 1 < members.len() && members[child].start < members[child + 1].start {
            child += 1;
        }
        if members[at].start >= members[child].start {
            return;
        }
        members.swap(at, child);
        at = child;
    };
    for at in (0..members.len() / 2).rev() {
        sift(members, at);
    }
    for len in (1..members.len()).rev() {
        members.swap(0, len);
        sift(&mut members[..len], 0);
    }
}

/// Returns the places `lo..hi` of the members of a sorted list that overlap `range`.
///
/// With no such member, `lo == hi` is where one would have to be put.
fn overlapping(members: &[Range], range: Range) -> (usize, usize) {
    let lo = members.partition_point(|m| m.end <= range.start);
    let hi = members.partition_point(|m| m.start < range.end);
    (lo, hi)
}

/// As [`overlapping`], but counts the members that only adjoin `range` too, and returns the one
/// range that they and `range` make together.
fn touching(members: &[Range], range: Range) -> (usize, usize, Range) {
    let lo = members.partition_point(|m| m.end < range.start);
    let hi = members.partition_point(|m| m.start <= range.end);
    let merged = members[lo..hi]
        .iter()
        .fold(range, |all, member| all.hull(*member));
    (lo, hi, merged)
}

/// Replaces the members `lo..hi` of the first `len` in `slots` by `new`, and returns how many there
/// are then. The caller has made room for them.
fn replace(slots: &mut [Range], len: usize, lo: usize, hi: usize, new: &[Range]) -> usize {
    let tail = lo + new.len();
    slots.copy_within(hi..len, tail);
    slots[lo..tail].copy_from_slice(new);
    tail + (len - hi)
}

/// Adds the bytes of `range` to the sorted, disjoint and coalesced list that the first `len` of
/// `slots` are, and returns the new length of the list, or [`None`] if there is no room for it.
///
/// For whoever cannot allocate, and so cannot use a [`RangeSet`].
pub(crate) fn insert_within(slots: &mut [Range], len: usize, range: Range) -> Option<usize> {
    let (lo, hi, merged) = touching(&slots[..len], range);
    if lo == hi && len == slots.len() {
        return None;
    }
    Some(replace(slots, len, lo, hi, &[merged]))
}

/// A set of bytes of a disk, kept as ranges.
///
/// # Invariants
///
/// `members` is sorted, and between two members lies at least one byte that is not in the set. So
/// every set of bytes has exactly one representation.
#[derive(Debug)]
pub(crate) struct RangeSet {
    // Of a report these are more than the page allocator has in one piece.
    members: KVVec<Range>,
}

impl RangeSet {
    /// Creates an empty set. Does not allocate.
    pub(crate) const fn new() -> Self {
        Self {
            members: KVVec::new(),
        }
    }

    /// Adds the bytes of `range`, merging it with the members it overlaps or adjoins.
    ///
    /// Fails with [`ENOMEM`] only if the set has to grow beyond its capacity, and is unchanged then.
    pub(crate) fn insert(&mut self, range: Range) -> Result {
        let (lo, hi, merged) = touching(&self.members, range);
        self.splice(lo, hi, &[merged])
    }

    /// Takes the bytes of `range` out of the set, which may split a member in two.
    ///
    /// Fails with [`ENOMEM`] only if a member has to be split beyond the capacity of the set, and
    /// the set is unchanged then.
    pub(crate) fn remove(&mut self, range: Range) -> Result {
        let (lo, hi) = overlapping(&self.members, range);
        let (Some(first), Some(last)) = (
            self.members[lo..hi].first().copied(),
            self.members[lo..hi].last().copied(),
        ) else {
            return Ok(());
        };
        match (
            Range::between(first.start, range.start),
            Range::between(range.end, last.end),
        ) {
            (None, None) => self.splice(lo, hi, &[]),
            (Some(rest), None) | (None, Some(rest)) => self.splice(lo, hi, &[rest]),
            (Some(left), Some(right)) => self.splice(lo, hi, &[left, right]),
        }
    }

    /// Replaces the members `lo..hi` by `new`; the caller answers for the type invariant.
    ///
    /// Fails with [`ENOMEM`] only if the set has to grow beyond its capacity, and is unchanged then.
    fn splice(&mut self, lo: usize, hi: usize, new: &[Range]) -> Result {
        let len = self.members.len();
        if let (Some(filler), Some(growth)) = (new.first(), new.len().checked_sub(hi - lo)) {
            self.members.extend_with(growth, *filler, GFP_KERNEL)?;
        }
        let len = replace(&mut self.members, len, lo, hi, new);
        self.members.truncate(len);
        Ok(())
    }

    /// Adds every byte of `other`, or on [`ENOMEM`] none.
    ///
    /// The time is linear in the number of ranges of both sets.
    pub(crate) fn insert_all(&mut self, other: &Self) -> Result {
        let Some(filler) = other.first() else {
            return Ok(());
        };
        let (own, more) = (self.members.len(), other.members.len());
        self.members.extend_with(more, filler, GFP_KERNEL)?;
        // Merge in place from the front. The own members wait at the end of the vector: the
        // position written to overtakes the one read from only by as many as came out of `other`,
        // and for those there is a gap of `more`.
        self.members.copy_within(..own, more);
        let (mut read, mut taken, mut written) = (more, 0, 0);
        loop {
            let next = match (self.members.get(read), other.members.get(taken)) {
                (Some(a), Some(b)) if a.start <= b.start => {
                    read += 1;
                    *a
                }
                (Some(a), None) => {
                    read += 1;
                    *a
                }
                (_, Some(b)) => {
                    taken += 1;
                    *b
                }
                (None, None) => break,
            };
            match self.members[..written].last_mut() {
                Some(last) if next.start <= last.end => *last = last.hull(next),
                _ => {
                    self.members[written] = next;
                    written += 1;
                }
            }
        }
        self.members.truncate(written);
        Ok(())
    }

    /// Returns the part of the set that lies in `window`, in the window's own coordinates.
    pub(crate) fn translate(&self, window: Range) -> Result<Self> {
        let (lo, hi) = overlapping(&self.members, window);
        let mut members = KVVec::with_capacity(hi - lo, GFP_KERNEL)?;
        for part in self.within(window) {
            // INVARIANT: Cutting members and moving them all alike keeps order and gaps.
            members.extend_from_slice(part.shift_down(window.start).as_slice(), GFP_KERNEL)?;
        }
        Ok(Self { members })
    }

    /// Returns the part of the set that lies in `window`, in the coordinates of the disk.
    pub(crate) fn clip(&self, window: Range) -> Result<Self> {
        let (lo, hi) = overlapping(&self.members, window);
        let mut members = KVVec::with_capacity(hi - lo, GFP_KERNEL)?;
        for part in self.within(window) {
            // INVARIANT: Cutting members keeps order and gaps.
            members.push(part, GFP_KERNEL)?;
        }
        Ok(Self { members })
    }

    /// Creates a set from a sorted, disjoint and coalesced list, as [`insert_within`] makes it.
    pub(crate) fn from_sorted(members: &[Range]) -> Result<Self> {
        let mut copy = KVVec::new();
        copy.extend_from_slice(members, GFP_KERNEL)?;
        // INVARIANT: The caller's list is what the type asks for.
        Ok(Self { members: copy })
    }

    /// Creates a set from ranges in any order. Does not allocate.
    pub(crate) fn from_unsorted(mut members: KVVec<Range>) -> Self {
        sort(&mut members);
        let mut written = 0;
        for read in 0..members.len() {
            let next = members[read];
            match members[..written].last_mut() {
                Some(last) if next.start <= last.end => *last = last.hull(next),
                _ => {
                    members[written] = next;
                    written += 1;
                }
            }
        }
        members.truncate(written);
        // INVARIANT: Sorted, and what overlaps or adjoins is one.
        Self { members }
    }

    /// Returns the smallest range that covers the part of the set that lies in `window`, in the
    /// window's own coordinates.
    pub(crate) fn hull_within(&self, window: Range) -> Option<Range> {
        let (lo, hi) = overlapping(&self.members, window);
        let members = &self.members[lo..hi];
        let hull = members.first()?.hull(*members.last()?);
        hull.intersect(window)?.shift_down(window.start)
    }

    /// Iterates over the parts of the members that lie in `window`, in the coordinates of the disk.
    pub(crate) fn within(&self, window: Range) -> impl Iterator<Item = Range> + '_ {
        let (lo, hi) = overlapping(&self.members, window);
        let part = move |member: &Range| member.intersect(window);
        self.members[lo..hi].iter().filter_map(part)
    }

    /// Returns the smallest range that covers the whole set.
    pub(crate) fn hull(&self) -> Option<Range> {
        let (first, last) = (self.members.first()?, self.members.last()?);
        Some(first.hull(*last))
    }

    /// Returns whether a byte of `range` is in the set.
    pub(crate) fn overlaps(&self, range: Range) -> bool {
        self.first_overlap(range).is_some()
    }

    /// Returns the first member that has a byte in common with `range`, uncut.
    pub(crate) fn first_overlap(&self, range: Range) -> Option<Range> {
        let (lo, hi) = overlapping(&self.members, range);
        self.members[lo..hi].first().copied()
    }

    /// Returns whether every byte of `range` is in the set.
    pub(crate) fn contains(&self, range: Range) -> bool {
        self.first_overlap(range)
            .is_some_and(|member| member.contains(range))
    }

    /// Iterates over the members in ascending order.
    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = Range> + '_ {
        self.members.iter().copied()
    }

    /// Returns the number of ranges.
    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    /// Returns whether there is no byte in the set.
    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Returns the number of bytes in the set.
    pub(crate) fn bytes(&self) -> u64 {
        // NO-OVERFLOW: The members are disjoint parts of a 64-bit space.
        self.iter().map(Range::len).sum()
    }

    /// Returns the first member.
    pub(crate) fn first(&self) -> Option<Range> {
        self.members.first().copied()
    }

    /// Copies the set.
    pub(crate) fn try_clone(&self) -> Result<Self> {
        Self::from_sorted(&self.members)
    }
}

#[cfg_attr(not(test), kunit_tests(dax_holder_range))]
mod tests {
    use super::*;

    const PAGE: u64 = 4096;

    fn pages(first: u64, count: u64) -> Result<Range> {
        Range::new(first * PAGE, count * PAGE)
    }

    #[test]
    fn range_refuses_nothing_and_too_much() -> Result {
        assert_eq!(Range::new(PAGE, 0), Err(EINVAL));
        assert_eq!(Range::new(u64::MAX, 1), Err(EOVERFLOW));
        assert_eq!(Range::new(1, u64::MAX), Err(EOVERFLOW));
        assert_eq!(Range::new(0, u64::MAX)?.len(), u64::MAX);
        Ok(())
    }

    #[test]
    fn neighbours_merge_and_strangers_do_not() -> Result {
        let mut set = RangeSet::new();
        set.insert(pages(0, 1)?)?;
        set.insert(pages(2, 1)?)?;
        assert_eq!(set.len(), 2);
        set.insert(pages(1, 1)?)?;
        assert_eq!(set.len(), 1);
        assert_eq!(set.first(), Some(pages(0, 3)?));
        assert_eq!(set.bytes(), 3 * PAGE);
        Ok(())
    }

    #[test]
    fn removing_the_middle_splits() -> Result {
        let mut set = RangeSet::new();
        set.insert(pages(0, 10)?)?;
        set.remove(pages(4, 2)?)?;
        assert_eq!(set.len(), 2);
        assert_eq!(set.first(), Some(pages(0, 4)?));
        assert_eq!(set.iter().last(), Some(pages(6, 4)?));
        assert!(!set.overlaps(pages(4, 2)?));
        assert!(set.contains(pages(6, 4)?));
        Ok(())
    }

    #[test]
    fn a_holder_sees_its_own_part_only() -> Result {
        let mut set = RangeSet::new();
        set.insert(pages(0, 10)?)?;
        set.insert(pages(20, 10)?)?;
        let own = set.translate(pages(8, 14)?)?;
        assert_eq!(own.len(), 2);
        assert_eq!(own.first(), Some(pages(0, 2)?));
        assert_eq!(own.iter().last(), Some(pages(12, 2)?));
        assert!(set.translate(pages(10, 10)?)?.is_empty());
        Ok(())
    }

    #[test]
    fn insert_all_merges() -> Result {
        let (mut a, mut b) = (RangeSet::new(), RangeSet::new());
        a.insert(pages(0, 1)?)?;
        a.insert(pages(4, 1)?)?;
        b.insert(pages(1, 3)?)?;
        b.insert(pages(9, 1)?)?;
        a.insert_all(&b)?;
        assert_eq!(a.len(), 2);
        assert_eq!(a.first(), Some(pages(0, 5)?));
        assert_eq!(a.iter().last(), Some(pages(9, 1)?));
        Ok(())
    }
}
