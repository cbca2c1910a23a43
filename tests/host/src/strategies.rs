// SPDX-License-Identifier: GPL-2.0-only

//! Random universes and spans of the model.

use crate::model::{
    Span,
    Universe, //
};
use proptest::prelude::*;

/// Universes of at least one cell, half of them made of pages.
pub(crate) fn universe() -> impl Strategy<Value = Universe> {
    let pages = (0u64..1000, 2u64..48)
        .prop_map(|(first, count)| (first..first + count).map(|page| page * 4096).collect());
    let position = prop_oneof![
        0u64..8,
        (u64::MAX - 8)..=u64::MAX,
        any::<u64>(),
        (0u64..64).prop_map(|bit| 1 << bit),
    ];
    let anything = prop::collection::btree_set(position, 2..24)
        .prop_map(|positions| positions.into_iter().collect());
    prop_oneof![pages, anything].prop_map(Universe::new)
}

/// Spans, most of them short.
pub(crate) fn span() -> impl Strategy<Value = Span> {
    (
        0usize..1 << 16,
        prop_oneof![3 => 1usize..4, 1 => 1usize..48],
    )
}

/// Lists of spans.
pub(crate) fn spans(most: usize) -> impl Strategy<Value = Vec<Span>> {
    prop::collection::vec(span(), 0..=most)
}
