// SPDX-License-Identifier: GPL-2.0-only

//! The translation of a stacked device against a table of where each of its pages is.

use crate::{
    range::{
        Range,
        RangeSet, //
    },
    translation::Translation, //
};
use proptest::prelude::*;
use std::collections::BTreeSet;

const PAGE: u64 = 4096;

/// Pages of the disk that are in a set.
fn pages(set: &RangeSet) -> BTreeSet<u64> {
    let of = |range: Range| range.start() / PAGE..range.end() / PAGE;
    set.iter().flat_map(of).collect()
}

fn set_of(spans: &[(u64, u64)]) -> RangeSet {
    let mut set = RangeSet::new();
    for (start, len) in spans {
        set.insert(Range::new(start * PAGE, len * PAGE).unwrap())
            .unwrap();
    }
    set
}

proptest! {
    #![proptest_config(crate::config())]

    /// Pieces anywhere, in any order, with gaps between them in the device, overlapping on the disk.
    #[test]
    fn pieces(
        pieces in prop::collection::vec((0u64..5, 0u64..200, 1u64..20), 0..20),
        event in prop::collection::vec((0u64..220, 1u64..30), 0..8),
    ) {
        let event = set_of(&event);
        let (mut translation, mut own) = (Translation::new(), 0);
        let (mut footprint, mut touched) = (BTreeSet::new(), BTreeSet::new());
        for (gap, start, len) in pieces {
            own += gap;
            let place = Range::new(start * PAGE, len * PAGE).unwrap();
            translation.add(own * PAGE, place, &event).unwrap();
            for page in 0..len {
                footprint.insert(start + page);
                if pages(&event).contains(&(start + page)) {
                    touched.insert(own + page);
                }
            }
            own += len;
        }
        prop_assert_eq!(pages(&translation.footprint), footprint);
        prop_assert_eq!(pages(&translation.touched), touched);
    }

    /// Too many to list: never less than has failed, never before the first or behind the last.
    #[test]
    fn coarse(rows in 1000u64..1500, legs in 2u64..4, leg in 0u64..4) {
        let leg = leg % legs;
        let event = set_of(&[(leg * 10_000, rows)]);
        let mut translation = Translation::new();
        for chunk in 0..rows * legs {
            let place = (chunk % legs) * 10_000 + chunk / legs;
            let place = Range::new(place * PAGE, PAGE).unwrap();
            translation.add(chunk * PAGE, place, &event).unwrap();
        }
        let touched = pages(&translation.touched);
        prop_assert!((0..rows).all(|row| touched.contains(&(row * legs + leg))));
        prop_assert_eq!(touched.first(), Some(&leg));
        let last = (rows - 1) * legs + leg;
        prop_assert_eq!(touched.last(), Some(&last));
        prop_assert!(translation.touched.len() <= Translation::MOST);
        if rows <= Translation::MOST as u64 {
            prop_assert_eq!(touched.len() as u64, rows);
        }
    }

    /// A device that would end beyond 64 bits is refused, and nothing is added.
    #[test]
    fn beyond_64_bits(len in 1u64..100) {
        let mut translation = Translation::new();
        let place = Range::new(0, len * PAGE).unwrap();
        let event = RangeSet::new();
        prop_assert!(translation.add(u64::MAX - PAGE * len + 1, place, &event).is_err());
        prop_assert!(translation.footprint.is_empty());
    }
}
