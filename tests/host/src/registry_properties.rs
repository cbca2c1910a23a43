// SPDX-License-Identifier: GPL-2.0-only

//! The books of a disk.

use crate::{
    config,
    event::{
        Event,
        Kind,
        Source,
        Told, //
    },
    model::members,
    range::{
        Range,
        RangeSet, //
    },
    registry::{
        Done,
        HolderState,
        Listed,
        Registry,
        Report,
        Row, //
    },
    strategies::{
        span,
        spans,
        universe, //
    },
    sys::block::Name,
};
use kernel::{
    error::code::*,
    failure,
    sync::Arc, //
};
use proptest::prelude::*;

const NAMES: [&str; 12] = [
    "pmem0", "pmem0p1", "pmem0p2", "pmem0p3", "pmem0p4", "dm-0", "dm-1", "dm-2", "dm-3", "dm-4",
    "dm-5", "dm-6",
];

fn row(name: usize, events: u64) -> Row {
    let window = Range::whole(4096);
    let mut row = Row::fresh(Name::new(NAMES[name]), Name::new("ext4"), window);
    assert_eq!(
        (row.state.name(), row.events, row.ranges.count),
        ("active", 0, 0)
    );
    row.state = HolderState::Stuck;
    row.usec = events;
    row
}

/// The words for ranges, from their definition in Documentation/ABI.
fn words(ranges: &[Range]) -> String {
    let first: Vec<_> = ranges
        .iter()
        .take(8)
        .map(|range| range.to_string())
        .collect();
    match ranges.len() {
        0 => "-".into(),
        9.. => first.join(",") + ",...",
        _ => first.join(","),
    }
}

proptest! {
    #![proptest_config(config())]

    /// The first eight ranges are listed, all are counted; within a window in its coordinates.
    #[test]
    fn lists(universe in universe(), content in spans(24), window in span()) {
        let (set, _) = universe.build(&content);
        let listed = Listed::new(&set);
        prop_assert_eq!((listed.count, listed.first()), (set.len(), set.first()));
        prop_assert_eq!(listed.to_string(), words(&members(&set)));
        let window = universe.range(window);
        let own = set.translate(window).unwrap();
        let listed = Listed::within(&set, window);
        prop_assert_eq!((listed.count, listed.first()), (own.len(), own.first()));
        prop_assert_eq!(listed.to_string(), words(&members(&own)));
    }

    /// One row for each holder, with its last answer and the number of its calls; without memory for
    /// a row there is none, and the others stay.
    #[test]
    fn rows(calls in prop::collection::vec((0usize..12, any::<bool>()), 0..60), memory in 0usize..3) {
        let mut books = Registry::new().unwrap();
        let mut known: Vec<(usize, u64, u64)> = Vec::new();
        for (call, (name, lets_go)) in calls.into_iter().enumerate() {
            if lets_go {
                let found = known.iter().any(|(other, ..)| *other == name);
                let row = books.let_go(&Name::new(NAMES[name]));
                prop_assert_eq!(row.is_some(), found);
                prop_assert!(row.is_none_or(|row| row.state == HolderState::Down));
                continue;
            }
            // The first eight need none.
            failure::after(memory, || books.told(row(name, call as u64)));
            let (rows, listed) = (books.rows().len(), known.len());
            match known.iter_mut().find(|(other, ..)| *other == name) {
                Some((_, events, usec)) => (*events, *usec) = (*events + 1, call as u64),
                None if rows > listed => known.push((name, 1, call as u64)),
                None => prop_assert!(memory == 0 && listed >= 8),
            }
        }
        let rows: Vec<_> = books.rows().iter().map(|row| (row.name, row.events, row.usec)).collect();
        let known: Vec<_> = known.into_iter().map(|(name, events, usec)| (Name::new(NAMES[name]), events, usec)).collect();
        prop_assert_eq!(rows, known);
        books.forget_holders();
        prop_assert!(books.rows().is_empty());
    }

    /// The last 64 events are remembered, without memory.
    #[test]
    fn events(count in 0u64..200, universe in universe(), content in spans(12)) {
        let mut books = Registry::new().unwrap();
        let ranges = Arc::new(universe.build(&content).0);
        for seq in 1..=count {
            let event = Event { seq, kind: Kind::Failure, source: Source::Reported, ranges: ranges.clone() };
            let done = Done::new(&event, 3, EIO.to_errno(), 5);
            prop_assert_eq!((done.bytes, done.ranges.count), (ranges.bytes(), ranges.len()));
            prop_assert_eq!((done.holders, done.result, done.usec), (3, -5, 5));
            failure::after(0, || books.push(done));
            let hull = universe.everything();
            prop_assert_eq!(Told::new(&event, hull), Told { first: seq, last: seq, kind: Kind::Failure, hull });
        }
        let seqs: Vec<_> = books.events().iter().map(|done| done.seq).collect();
        prop_assert_eq!(seqs, (count.saturating_sub(64) + 1..=count).collect::<Vec<_>>());
    }
}

/// Eight are listed whole, of nine the first eight.
#[test]
fn eight_and_nine() {
    let page = |n: u64| Range::new(n * 8192, 4096).unwrap();
    let mut set = RangeSet::new();
    (0..8).for_each(|n| set.insert(page(n)).unwrap());
    assert_eq!(Listed::new(&set).to_string(), words(&members(&set)));
    set.insert(page(8)).unwrap();
    let line = Listed::new(&set).to_string();
    assert_eq!(line, words(&members(&set)));
    assert!(line.ends_with("+0x1000,...") && line.matches('+').count() == 8);
}

/// Without memory there are no books.
#[test]
fn no_books() {
    for allowed in 0..2 {
        assert_eq!(failure::after(allowed, Registry::new).err(), Some(ENOMEM));
    }
    assert!(failure::after(2, Registry::new).is_ok());
}

/// The words of the interface, and an answer without counts.
#[test]
fn states() {
    let states = [HolderState::Active, HolderState::Down, HolderState::Stuck];
    assert_eq!(states.map(HolderState::name), ["active", "down", "stuck"]);
    let report = Report::of(Err(EIO));
    assert_eq!(
        (report.result, report.inodes, report.pages, report.pins),
        (Err(EIO), 0, 0, 0)
    );
}
