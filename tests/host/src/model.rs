// SPDX-License-Identifier: GPL-2.0-only

//! A model of sets of bytes that is too simple to be wrong: one flag per cell.
//!
//! A universe is an ascending list of positions; a cell lies between two of them. All borders in
//! a test are positions of its universe, so a cell is in a set as a whole or not at all. Universes
//! are small, so that ranges meet often, and lie anywhere in the 64-bit space, its borders included.

use crate::range::{
    Range,
    RangeSet, //
};

/// Ascending positions.
#[derive(Clone, Debug)]
pub(crate) struct Universe(Vec<u64>);

/// One flag per cell of a universe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cells(Vec<bool>);

/// A range of cells, yet to be fitted into a universe: where it begins, and how many.
pub(crate) type Span = (usize, usize);

impl Universe {
    /// Creates one of ascending positions, at least two.
    pub(crate) fn new(positions: Vec<u64>) -> Self {
        assert!(positions.len() > 1 && positions.is_sorted_by(|a, b| a < b));
        Self(positions)
    }

    fn cells(&self) -> usize {
        self.0.len() - 1
    }

    /// Fits a span in; the result is never empty.
    pub(crate) fn fit(&self, (first, count): Span) -> core::ops::Range<usize> {
        let first = first % self.cells();
        first..first.saturating_add(count).min(self.cells()).max(first + 1)
    }

    /// Returns the bytes of a span.
    pub(crate) fn range(&self, span: Span) -> Range {
        let cells = self.fit(span);
        self.between(cells.start, cells.end)
    }

    /// Returns the range of all cells.
    pub(crate) fn everything(&self) -> Range {
        self.between(0, self.cells())
    }

    fn between(&self, first: usize, behind: usize) -> Range {
        let (start, end) = (self.0[first], self.0[behind]);
        Range::new(start, end - start).unwrap()
    }

    /// Returns the ranges that a set of exactly these bytes must consist of.
    pub(crate) fn runs(&self, cells: &Cells) -> Vec<Range> {
        let mut runs = Vec::new();
        let mut begin = None;
        for cell in 0..=self.cells() {
            let here = cell < self.cells() && cells.0[cell];
            match (begin, here) {
                (None, true) => begin = Some(cell),
                (Some(first), false) => {
                    runs.push(self.between(first, cell));
                    begin = None;
                }
                _ => (),
            }
        }
        runs
    }

    /// Builds a set and its model by inserting spans one by one.
    pub(crate) fn build(&self, spans: &[Span]) -> (RangeSet, Cells) {
        let (mut set, mut cells) = (RangeSet::new(), self.nothing());
        for span in spans {
            set.insert(self.range(*span)).unwrap();
            cells.put(self, *span, true);
        }
        (set, cells)
    }

    pub(crate) fn nothing(&self) -> Cells {
        Cells(vec![false; self.cells()])
    }
}

impl Cells {
    /// Puts the cells of a span in or takes them out.
    pub(crate) fn put(&mut self, universe: &Universe, span: Span, to: bool) {
        self.0[universe.fit(span)].fill(to);
    }

    pub(crate) fn put_all(&mut self, other: &Self) {
        for (own, other) in self.0.iter_mut().zip(&other.0) {
            *own |= other;
        }
    }

    /// Keeps only the cells of a span.
    pub(crate) fn keep(&mut self, universe: &Universe, span: Span) {
        let kept = universe.fit(span);
        for (cell, flag) in self.0.iter_mut().enumerate() {
            *flag &= kept.contains(&cell);
        }
    }

    pub(crate) fn any(&self, universe: &Universe, span: Span) -> bool {
        self.0[universe.fit(span)].contains(&true)
    }

    pub(crate) fn all(&self, universe: &Universe, span: Span) -> bool {
        !self.0[universe.fit(span)].contains(&false)
    }
}

/// Returns the members of a set.
pub(crate) fn members(set: &RangeSet) -> Vec<Range> {
    set.iter().collect()
}

/// Returns whether two ranges have a byte in common.
pub(crate) fn overlap(a: Range, b: Range) -> bool {
    a.start() < b.end() && b.start() < a.end()
}

/// Returns the range that lies `base` bytes further up, if there is one.
pub(crate) fn moved_up(range: Range, base: u64) -> Option<Range> {
    Range::new(range.start().checked_add(base)?, range.len()).ok()
}

/// A universe of `cells` pages.
pub(crate) fn pages(cells: u64) -> Universe {
    Universe((0..=cells).map(|page| page * 4096).collect())
}
