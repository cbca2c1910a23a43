// SPDX-License-Identifier: GPL-2.0-only

//! From the bytes of a disk to those of a device that is stacked on it, and back.
//!
//! A stacked device consists of pieces: some of its bytes are some bytes of the disk, in the same
//! order. Nothing is known of how it came to be so; linear, striped and nested ones look alike.

use crate::range::{
    Range,
    RangeSet, //
};
use kernel::prelude::*;

/// What a disk and an event on it are to a stacked device.
#[derive(Debug)]
pub(crate) struct Translation {
    /// The bytes of the disk that the device consists of.
    pub(crate) footprint: RangeSet,
    /// The part of the event that it is concerned by, in bytes of the device itself.
    pub(crate) touched: RangeSet,
}

impl Translation {
    /// How many separate ranges `touched` may have. Beyond it what lies between them counts as
    /// touched too: a failure of one leg of a long, finely striped device touches every second
    /// chunk of it, and nobody wants to be told of each.
    pub(crate) const MOST: usize = 1024;

    /// Starts with a device that has nothing of the disk.
    pub(crate) const fn new() -> Self {
        Self {
            footprint: RangeSet::new(),
            touched: RangeSet::new(),
        }
    }

    /// Adds a piece: the bytes of the device from byte `own` on are the bytes `place` of the disk,
    /// where the event is in `ranges`.
    ///
    /// The pieces come in the order of `own`. `EOVERFLOW`: the device would have more than 64 bits
    /// of bytes. `ENOMEM`: the translation misses the piece or a part of it.
    pub(crate) fn add(&mut self, own: u64, place: Range, ranges: &RangeSet) -> Result {
        own.checked_add(place.len()).ok_or(EOVERFLOW)?;
        self.footprint.insert(place)?;
        for hit in ranges.within(place) {
            // NO-OVERFLOW: `hit` lies in `place`, whose end was checked above.
            let mut hit = Range::new(own + (hit.start() - place.start()), hit.len())?;
            if self.touched.len() >= Self::MOST {
                if let Some(first) = self.touched.first() {
                    // NO-OVERFLOW: The pieces come in order.
                    hit = Range::new(first.start(), hit.end() - first.start())?;
                }
            }
            self.touched.insert(hit)?;
        }
        Ok(())
    }
}

#[cfg_attr(not(test), kunit_tests(dax_holder_translation))]
mod tests {
    use super::*;

    const CHUNK: u64 = 65536;

    #[test]
    fn segments_in_reverse_order() -> Result {
        let mut event = RangeSet::new();
        event.insert(Range::new(CHUNK, 4096)?)?;
        let mut t = Translation::new();
        t.add(0, Range::new(2 * CHUNK, CHUNK)?, &event)?;
        t.add(CHUNK, Range::new(CHUNK, CHUNK)?, &event)?;
        assert_eq!(t.footprint.first(), Some(Range::new(CHUNK, 2 * CHUNK)?));
        assert_eq!(t.touched.first(), Some(Range::new(CHUNK, 4096)?));
        assert_eq!(t.touched.len(), 1);
        Ok(())
    }

    #[test]
    fn one_leg_of_two() -> Result {
        let mut event = RangeSet::new();
        event.insert(Range::new(0, 4 * CHUNK)?)?;
        let mut t = Translation::new();
        for row in 0..4 {
            t.add(2 * row * CHUNK, Range::new(row * CHUNK, CHUNK)?, &event)?;
            let other = Range::new((100 + row) * CHUNK, CHUNK)?;
            t.add((2 * row + 1) * CHUNK, other, &event)?;
        }
        assert_eq!(t.footprint.len(), 2);
        assert_eq!(t.touched.len(), 4);
        assert_eq!(t.touched.bytes(), 4 * CHUNK);
        Ok(())
    }

    #[test]
    fn too_many_to_tell_apart() -> Result {
        let mut event = RangeSet::new();
        event.insert(Range::new(0, 3000 * CHUNK)?)?;
        let mut t = Translation::new();
        for row in 0..3000 {
            t.add(2 * row * CHUNK, Range::new(row * CHUNK, CHUNK)?, &event)?;
        }
        assert!(t.touched.len() <= Translation::MOST);
        assert_eq!(t.touched.first().map(Range::start), Some(0));
        assert!(t.touched.overlaps(Range::new(2 * 2999 * CHUNK, CHUNK)?));
        assert!(!t
            .touched
            .overlaps(Range::new((2 * 2999 + 1) * CHUNK, CHUNK)?));
        Ok(())
    }
}
