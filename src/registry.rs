// SPDX-License-Identifier: GPL-2.0-only

//! The books of one disk: what its holders answered, and the last events.

use crate::{
    event::{
        Event,
        Kind,
        Source, //
    },
    range::{
        Range,
        RangeSet, //
    },
    sys::block::Name, //
};
use kernel::{
    fmt,
    prelude::*, //
};

/// What a holder has answered to an event.
pub(crate) struct Report {
    /// `Ok`: handled, the holder has let go of the memory.
    pub(crate) result: Result,
    /// Inodes that were swept.
    pub(crate) inodes: u64,
    /// Pages that were in their DAX trees.
    pub(crate) pages: u64,
    /// Inodes with pinned pages, which could not be let go of.
    pub(crate) pins: u64,
}

impl Report {
    /// A report without counts.
    pub(crate) fn of(result: Result) -> Self {
        Self {
            result,
            inodes: 0,
            pages: 0,
            pins: 0,
        }
    }
}

/// How a holder is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum HolderState {
    /// Uses the memory.
    Active,
    /// Shut down, its mappings swept.
    Down,
    /// Told, but not done: pinned pages, or no way to make it let go.
    Stuck,
}

impl HolderState {
    /// Returns the word that user space sees.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Down => "down",
            Self::Stuck => "stuck",
        }
    }
}

/// The first few ranges of a set, and how many there are.
#[derive(Clone, Copy, Default)]
pub(crate) struct Listed {
    ranges: [Option<Range>; Listed::ROOM],
    /// How many ranges the whole set has.
    pub(crate) count: usize,
}

impl Listed {
    const ROOM: usize = 8;

    /// Lists the beginning of `set`.
    pub(crate) fn new(set: &RangeSet) -> Self {
        let mut ranges = [None; Self::ROOM];
        for (slot, range) in ranges.iter_mut().zip(set.iter()) {
            *slot = Some(range);
        }
        Self {
            ranges,
            count: set.len(),
        }
    }

    /// Lists the beginning of the part of `set` that lies in `window`, in the window's own
    /// coordinates.
    pub(crate) fn within(set: &RangeSet, window: Range) -> Self {
        let mut this = Self::default();
        for part in set.within(window) {
            if let Some(slot) = this.ranges.get_mut(this.count) {
                *slot = part.shift_down(window.start());
            }
            this.count += 1;
        }
        this
    }

    /// Returns the first range.
    pub(crate) fn first(&self) -> Option<Range> {
        self.ranges[0]
    }
}

/// Prints `0xOFFSET+0xLENGTH,...`, with `...` at the end if there are more; `-` for none.
impl fmt::Display for Listed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.count == 0 {
            return f.write_str("-");
        }
        let mut separator = "";
        for range in self.ranges.iter().flatten() {
            f.write_fmt(fmt!("{separator}{range}"))?;
            separator = ",";
        }
        if self.count > Self::ROOM {
            f.write_str(",...")?;
        }
        Ok(())
    }
}

/// A row of the holders table.
#[derive(Clone, Copy)]
pub(crate) struct Row {
    pub(crate) name: Name,
    pub(crate) kind: Name,
    pub(crate) window: Range,
    pub(crate) state: HolderState,
    /// The last answer: 0 or a negative errno.
    pub(crate) result: i32,
    pub(crate) usec: u64,
    pub(crate) inodes: u64,
    pub(crate) pages: u64,
    pub(crate) pins: u64,
    /// Which super block was told last, only to be compared (`ActiveSuper::identity()`); 0 if none.
    pub(crate) super_block: usize,
    /// How often it was called since the disk was attached or cleared.
    pub(crate) events: u64,
    /// The first ranges of the last call, in bytes of the holder's own coordinates.
    pub(crate) ranges: Listed,
}

impl Row {
    /// Returns the row of a holder that was never called.
    pub(crate) fn fresh(name: Name, kind: Name, window: Range) -> Self {
        Self {
            name,
            kind,
            window,
            state: HolderState::Active,
            result: 0,
            usec: 0,
            inodes: 0,
            pages: 0,
            pins: 0,
            super_block: 0,
            events: 0,
            ranges: Listed::default(),
        }
    }

    /// Returns whether this is the row of whoever holds the block device of that name.
    pub(crate) fn is(&self, name: &Name) -> bool {
        self.name == *name
    }
}

/// A handled event.
#[derive(Clone, Copy)]
pub(crate) struct Done {
    pub(crate) seq: u64,
    pub(crate) kind: Kind,
    pub(crate) source: Source,
    pub(crate) bytes: u64,
    /// Its ranges, in bytes of the disk.
    pub(crate) ranges: Listed,
    /// How many holders were called.
    pub(crate) holders: u32,
    /// 0, or the first negative errno that a holder was left with.
    pub(crate) result: i32,
    pub(crate) usec: u64,
}

impl Done {
    /// Sums up `event`.
    pub(crate) fn new(event: &Event, holders: u32, result: i32, usec: u64) -> Self {
        Self {
            seq: event.seq,
            kind: event.kind,
            source: event.source,
            bytes: event.ranges.bytes(),
            ranges: Listed::new(&event.ranges),
            holders,
            result,
            usec,
        }
    }
}

/// The books of one disk.
pub(crate) struct Registry {
    rows: KVec<Row>,
    events: KVec<Done>,
}

impl Registry {
    /// How many handled events are remembered.
    const EVENTS: usize = 64;

    /// Opens the books, with the memory for the events.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            rows: KVec::with_capacity(8, GFP_KERNEL)?,
            events: KVec::with_capacity(Self::EVENTS, GFP_KERNEL)?,
        })
    }

    /// Returns the holders that were called.
    pub(crate) fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Writes down what a holder was told and has answered. Without memory for a row it is not
    /// listed; the event itself goes on.
    pub(crate) fn told(&mut self, mut row: Row) {
        row.events = 1;
        match self.rows.iter_mut().find(|known| known.is(&row.name)) {
            Some(known) => {
                row.events += known.events;
                *known = row;
            }
            None => {
                let _ = self.rows.push(row, GFP_KERNEL);
            }
        }
    }

    /// Says that the holder of the block device `name` has let go after all, and returns its row.
    pub(crate) fn let_go(&mut self, name: &Name) -> Option<&mut Row> {
        let row = self.rows.iter_mut().find(|row| row.is(name))?;
        row.state = HolderState::Down;
        Some(row)
    }

    /// Forgets the holders, not the events.
    pub(crate) fn forget_holders(&mut self) {
        self.rows.clear();
    }

    /// Remembers a handled event; forgets the oldest if there is no room.
    pub(crate) fn push(&mut self, done: Done) {
        if self.events.len() >= Self::EVENTS {
            let _ = self.events.remove(0);
        }
        // There is room: the capacity was taken in `new()`.
        let _ = self.events.push_within_capacity(done);
    }

    /// Returns the remembered events, the oldest first.
    pub(crate) fn events(&self) -> &[Done] {
        &self.events
    }
}

#[cfg_attr(not(test), kunit_tests(dax_holder_registry))]
mod tests {
    use super::*;

    fn event(seq: u64) -> Done {
        Done {
            seq,
            kind: Kind::Failure,
            source: Source::Injected,
            bytes: 0,
            ranges: Listed::default(),
            holders: 1,
            result: 0,
            usec: 7,
        }
    }

    #[test]
    fn the_oldest_event_goes_first() -> Result {
        let mut books = Registry::new()?;
        for seq in 1..=70 {
            books.push(event(seq));
        }
        assert_eq!(books.events().len(), 64);
        assert_eq!(books.events().first().map(|done| done.seq), Some(7));
        assert_eq!(books.events().last().map(|done| done.seq), Some(70));
        Ok(())
    }

    #[test]
    fn a_holder_has_one_row() -> Result {
        let mut books = Registry::new()?;
        let name = Name::new("pmem0p1");
        for _ in 0..3 {
            let row = Row::fresh(name, Name::new("ext4"), Range::new(0, 4096)?);
            books.told(row);
        }
        assert_eq!(books.rows().len(), 1);
        assert_eq!(books.rows()[0].events, 3);
        assert!(books.let_go(&Name::new("pmem0p2")).is_none());
        assert!(books.let_go(&name).is_some());
        assert!(books.rows()[0].state == HolderState::Down);
        books.forget_holders();
        assert!(books.rows().is_empty());
        Ok(())
    }

    #[test]
    fn a_long_list_says_that_it_is_longer() -> Result {
        let mut set = RangeSet::new();
        for n in 0..9 {
            set.insert(Range::new(3 * n * 4096, 4096)?)?;
        }
        let all = Listed::new(&set);
        assert_eq!(all.count, 9);
        assert_eq!(all.first(), Some(Range::new(0, 4096)?));
        let part = Listed::within(&set, Range::new(3 * 4096, 4 * 4096)?);
        assert_eq!(part.count, 2);
        assert_eq!(part.first(), Some(Range::new(0, 4096)?));
        Ok(())
    }
}
