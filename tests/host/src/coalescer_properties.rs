// SPDX-License-Identifier: GPL-2.0-only

//! Properties of the failures that wait to be handled.

use crate::{
    config,
    event::{
        Added,
        Coalescer,
        Kind,
        Source, //
    },
    model::{
        members,
        pages,
        Span, //
    },
};
use kernel::{
    error::code::*,
    failure, //
};
use proptest::prelude::*;

/// The pages of the disk. More than twice the slots, so that a storm can overflow them.
const PAGES: usize = 400;

/// A storm: scattered pages, runs of neighbours, and now and then the handler.
#[derive(Clone, Debug)]
enum Call {
    Add(Span),
    Take,
}

fn storm() -> impl Strategy<Value = Vec<Call>> {
    let call = prop_oneof![
        200 => (0..PAGES, prop_oneof![6 => Just(1usize), 1 => 1usize..20]).prop_map(Call::Add),
        1 => Just(Call::Take),
    ];
    prop::collection::vec(call, 1..300)
}

proptest! {
    #![proptest_config(config())]

    /// Nothing is lost, nothing is invented, nothing is allocated, and the answers are right.
    #[test]
    fn pending_failures_follow_the_model(storm in storm()) {
        let disk = pages(PAGES as u64);
        let (mut pending, mut model) = (Coalescer::new(), disk.nothing());
        let (mut empty, mut overflowed) = (true, false);
        for call in storm {
            match call {
                Call::Add(span) => {
                    let mut next = model.clone();
                    next.put(&disk, span, true);
                    // More ranges than slots would be needed: that is an overflow.
                    overflowed |= disk.runs(&next).len() > Coalescer::SLOTS;
                    let expected = match (overflowed, empty) {
                        (true, _) => Added::Overflow,
                        (false, true) => Added::First,
                        (false, false) => Added::Merged,
                    };
                    let range = disk.range(span);
                    let (allocations, added) = failure::count(|| pending.add(range));
                    prop_assert_eq!((allocations, added), (0, expected));
                    if !overflowed {
                        (model, empty) = (next, false);
                    }
                    prop_assert_eq!(pending.is_empty(), empty);
                }
                Call::Take => {
                    let (allocations, taken) = failure::count(|| pending.take());
                    prop_assert_eq!(allocations, 0);
                    prop_assert_eq!(taken.overflowed(), overflowed);
                    prop_assert_eq!(taken.is_empty(), empty);
                    prop_assert_eq!(members(&taken.to_set().unwrap()), disk.runs(&model));
                    prop_assert!(pending.is_empty());
                    (model, empty, overflowed) = (disk.nothing(), true, false);
                }
            }
            prop_assert_eq!(pending.overflowed(), overflowed);
            prop_assert_eq!(members(&pending.to_set().unwrap()), disk.runs(&model));
            let result = failure::after(0, || pending.to_set().err());
            prop_assert_eq!(result, (!empty).then_some(ENOMEM));
        }
    }
}

/// The words of the interface.
#[test]
fn words() {
    let kinds = [Kind::Failure, Kind::Removal, Kind::Surprise];
    assert_eq!(
        kinds.map(|kind| kind.to_string()),
        ["failure", "removal", "surprise"]
    );
    let sources = [
        Source::MemoryFailure,
        Source::Unbind,
        Source::Confirmation,
        Source::Injected,
        Source::Reported,
    ];
    assert_eq!(
        sources.map(|source| source.to_string()),
        [
            "memory_failure",
            "unbind",
            "confirmation",
            "injected",
            "reported"
        ]
    );
}
