// SPDX-License-Identifier: GPL-2.0-only

//! One input of the fuzzer: bytes that are read as a choice of what to test and how.
//!
//! Whatever the bytes are, the core must give the answers of a model that is too simple to be wrong;
//! else this panics. Run by `make fuzz`, which looks for inputs, and by [`corpus`](crate::corpus),
//! which knows some.

use crate::{
    command_reference::reference,
    event::{
        Added,
        Coalescer,
        Kind,
        Told, //
    },
    model::{
        members,
        pages,
        Span,
        Universe, //
    },
    observe::command::parse,
    range::{
        insert_within,
        Range,
        RangeSet, //
    },
    translation::Translation,
};
use kernel::{
    alloc::KVec,
    error::code::*,
    failure,
    prelude::GFP_KERNEL, //
};
use std::collections::BTreeSet;

/// Bytes to decide by. Behind the last one come zeros.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    fn word(&mut self) -> u64 {
        (0..8).fold(0, |word, _| word << 8 | u64::from(self.byte()))
    }

    /// A number at the border of something: near zero, near a power of two, or any.
    fn number(&mut self) -> u64 {
        let near = self.byte();
        let far = match near >> 6 {
            0 => 0,
            1 => 1 << (near & 63),
            2 => (u64::from(self.byte()) << 8 | u64::from(self.byte())) * PAGE,
            _ => self.word(),
        };
        far.wrapping_add(u64::from(self.byte())).wrapping_sub(4)
    }

    fn span(&mut self) -> Span {
        (self.byte().into(), (self.byte() & 31).into())
    }
}

const PAGE: u64 = 4096;

/// Tests the core with one input.
pub(crate) fn one(input: &[u8]) {
    let mut bytes = Bytes(input);
    match bytes.byte() % 6 {
        0 => command(bytes),
        1 => set(bytes),
        2 => coalescer(bytes),
        3 => translation(bytes),
        4 => ranges(bytes),
        _ => slots(bytes),
    }
}

/// A text for the inject file of a disk.
fn command(mut bytes: Bytes<'_>) {
    const SIZES: [u64; 8] = [
        1,
        PAGE,
        3 * PAGE + 512,
        1 << 20,
        1 << 30,
        (1 << 52) * (PAGE - 1),
        u64::MAX - PAGE + 1,
        u64::MAX,
    ];

    let choice = bytes.byte();
    let size = SIZES[usize::from(choice % 8)];
    let text = bytes.0;
    let result = parse(text, size);
    match (&result, reference(text, size)) {
        (Ok(set), Ok(ranges)) => {
            let mut expected = RangeSet::new();
            for range in ranges {
                expected.insert(range).unwrap();
            }
            assert_eq!(members(set), members(&expected));
            // What is printed is read as itself, but for a disk that does not end with a page.
            if size % PAGE == 0 {
                let text: Vec<_> = set.iter().map(|range| range.to_string()).collect();
                let again = parse(text.join(" ").as_bytes(), size).unwrap();
                assert_eq!(members(&again), members(set));
            }
        }
        (Err(why), Err((errno, at))) => assert_eq!((why.errno, why.at), (errno, at)),
        (result, expected) => panic!("{result:?}, expected {expected:?}"),
    }
    // With less memory: the same, or nothing.
    match (
        failure::after((choice >> 3).into(), || parse(text, size)),
        result,
    ) {
        (Ok(set), Ok(expected)) => assert_eq!(members(&set), members(&expected)),
        (Err(why), Ok(_)) => assert_eq!(why.errno, ENOMEM),
        (Err(why), Err(expected)) => assert!(why == expected || why.errno == ENOMEM),
        (Ok(set), Err(why)) => panic!("{set:?}, expected {why:?}"),
    }
}

/// Some positions: pages, or any numbers.
fn universe(bytes: &mut Bytes<'_>) -> Universe {
    let kind = bytes.byte();
    if kind % 2 == 0 {
        let first = u64::from(bytes.byte());
        let count = 2 + u64::from(kind / 2) % 48;
        return Universe::new((first..first + count).map(|page| page * PAGE).collect());
    }
    let mut positions: BTreeSet<u64> = [0, 1].into();
    for _ in 0..kind / 2 % 16 {
        positions.insert(bytes.number());
    }
    Universe::new(positions.into_iter().collect())
}

/// What may be done to a set of ranges.
fn set(mut bytes: Bytes<'_>) {
    let universe = universe(&mut bytes);
    let (mut set, mut model) = (RangeSet::new(), universe.nothing());
    while !bytes.is_empty() {
        let choice = bytes.byte();
        let span = bytes.span();
        let range = universe.range(span);
        let mut after = model.clone();
        let mut other = RangeSet::new();
        match choice % 4 {
            0 | 1 => after.put(&universe, span, true),
            2 => after.put(&universe, span, false),
            _ => {
                let more = [span, bytes.span(), bytes.span(), bytes.span()];
                let built = universe.build(&more[..usize::from(choice >> 2 & 3) + 1]);
                after.put_all(&built.1);
                other = built.0;
            }
        }
        let step = |set: &mut RangeSet| match choice % 4 {
            0 | 1 => set.insert(range),
            2 => set.remove(range),
            _ => set.insert_all(&other),
        };
        // Without memory nothing happens, with memory it does.
        if choice & 0x80 != 0 {
            if let Err(error) = failure::after(0, || step(&mut set)) {
                assert_eq!((error, members(&set)), (ENOMEM, universe.runs(&model)));
                step(&mut set).unwrap();
            }
        } else {
            step(&mut set).unwrap();
        }
        model = after;
        let runs = universe.runs(&model);
        assert_eq!(members(&set), runs);
        assert_eq!((set.len(), set.is_empty()), (runs.len(), runs.is_empty()));
        assert_eq!(set.bytes(), runs.iter().map(|run| run.len()).sum::<u64>());
        // And what may be asked of it.
        assert_eq!(set.overlaps(range), model.any(&universe, span));
        assert_eq!(set.contains(range), model.all(&universe, span));
        let mut inside = model.clone();
        inside.keep(&universe, span);
        let inside = universe.runs(&inside);
        let own: Vec<_> = inside
            .iter()
            .map(|run| Range::new(run.start() - range.start(), run.len()).unwrap())
            .collect();
        assert_eq!(set.within(range).collect::<Vec<_>>(), inside);
        assert_eq!(members(&set.clip(range).unwrap()), inside);
        assert_eq!(members(&set.translate(range).unwrap()), own);
        let hull = own.iter().copied().reduce(Range::hull);
        assert_eq!(set.hull_within(range), hull);
        assert_eq!(set.hull(), runs.iter().copied().reduce(Range::hull));
        assert_eq!(set.first_overlap(range).is_some(), !inside.is_empty());
    }
    assert_eq!(members(&set.try_clone().unwrap()), members(&set));
}

/// A storm of failures, and now and then its handler.
fn coalescer(mut bytes: Bytes<'_>) {
    let disk = pages(400);
    let (mut pending, mut model) = (Coalescer::new(), disk.nothing());
    let (mut empty, mut overflowed) = (true, false);
    while !bytes.is_empty() {
        let choice = bytes.byte();
        if choice == 0xff {
            let taken = pending.take();
            assert_eq!((taken.is_empty(), taken.overflowed()), (empty, overflowed));
            assert_eq!(members(&taken.to_set().unwrap()), disk.runs(&model));
            assert!(pending.is_empty() && !pending.overflowed());
            (model, empty, overflowed) = (disk.nothing(), true, false);
            continue;
        }
        let place = usize::from(choice & 1) << 8 | usize::from(bytes.byte());
        let span = (place, usize::from(choice >> 4));
        let mut next = model.clone();
        next.put(&disk, span, true);
        overflowed |= disk.runs(&next).len() > Coalescer::SLOTS;
        let expected = match (overflowed, empty) {
            (true, _) => Added::Overflow,
            (false, true) => Added::First,
            (false, false) => Added::Merged,
        };
        let (allocations, added) = failure::count(|| pending.add(disk.range(span)));
        assert_eq!((allocations, added), (0, expected));
        if !overflowed {
            (model, empty) = (next, false);
        }
        assert_eq!(
            (pending.is_empty(), pending.overflowed()),
            (empty, overflowed)
        );
    }
    assert_eq!(members(&pending.to_set().unwrap()), disk.runs(&model));
}

/// A stacked device, piece by piece, and an event below it.
fn translation(mut bytes: Bytes<'_>) {
    const DISK: u64 = 256;
    const OWN: u64 = 4096;

    let disk = pages(DISK);
    let mut spans = Vec::new();
    for _ in 0..bytes.byte() % 8 {
        spans.push(bytes.span());
    }
    let (event, bad) = disk.build(&spans);
    // At the start of the 64-bit space, or so near to its end that it does not fit.
    let base = match bytes.byte() {
        0xff => u64::MAX - 64 * PAGE + 1,
        _ => 0,
    };
    // Longer than the device is, by its last piece.
    let device = pages(OWN + 256 * 20);
    let (mut footprint, mut touched) = (disk.nothing(), device.nothing());
    let mut translation = Translation::new();
    let mut own = 0;
    while !bytes.is_empty() && own < OWN {
        let choice = bytes.byte();
        let (start, len) = (u64::from(bytes.byte()), 1 + u64::from(choice & 15));
        // Stripes: many pieces from few bytes.
        for row in 0..1 + 64 * u64::from(choice >> 6) {
            let start = (start + row) % (DISK - 16);
            let place = Range::new(start * PAGE, len * PAGE).unwrap();
            let from = base.checked_add(own * PAGE);
            let fits = from.is_some_and(|from| from.checked_add(place.len()).is_some());
            let added = translation.add(from.unwrap_or(u64::MAX), place, &event);
            assert_eq!(added, if fits { Ok(()) } else { Err(EOVERFLOW) });
            if !fits {
                continue;
            }
            footprint.put(&disk, (start as usize, len as usize), true);
            for page in 0..len {
                if bad.any(&disk, ((start + page) as usize, 1)) {
                    touched.put(&device, ((own + page) as usize, 1), true);
                }
            }
            own += len + u64::from(choice >> 4 & 3);
        }
    }
    assert_eq!(members(&translation.footprint), disk.runs(&footprint));
    let expected: Vec<_> = device.runs(&touched);
    let told: Vec<_> = translation
        .touched
        .iter()
        .map(|range| range.shift_down(base).unwrap())
        .collect();
    if expected.len() < Translation::MOST {
        assert_eq!(told, expected);
        return;
    }
    // Too many to tell apart: more than has failed, but never beyond the first and the last.
    assert!(told.len() <= Translation::MOST);
    assert_eq!(
        told.first().map(|r| r.start()),
        expected.first().map(|r| r.start())
    );
    assert_eq!(
        told.last().map(|r| r.end()),
        expected.last().map(|r| r.end())
    );
    let all = |range: &Range| {
        translation
            .touched
            .contains(range.shift_up(base, 1).unwrap())
    };
    assert!(expected.iter().all(all));
}

/// Two ranges anywhere, against 128 bits.
fn ranges(mut bytes: Bytes<'_>) {
    let mut range = || {
        let (start, len) = (bytes.number(), bytes.number());
        let end = u128::from(start) + u128::from(len);
        let range = Range::new(start, len);
        match (len, end > u128::from(u64::MAX)) {
            (0, _) => assert_eq!(range, Err(EINVAL)),
            (_, true) => assert_eq!(range, Err(EOVERFLOW)),
            _ => assert_eq!(
                range.map(|r| (r.start(), u128::from(r.end()), r.len())),
                Ok((start, end, len))
            ),
        }
        range.ok()
    };
    let (Some(a), Some(b)) = (range(), range()) else {
        return;
    };
    let (base, unit) = (bytes.number(), 1 << (bytes.byte() & 63));
    let (start, end) = (a.start().max(b.start()), a.end().min(b.end()));
    let both = (start < end).then_some((start, end));
    assert_eq!(a.intersect(b).map(|r| (r.start(), r.end())), both);
    assert_eq!(a.contains(b), both == Some((b.start(), b.end())));
    let hull = a.hull(b);
    assert_eq!(
        (hull.start(), hull.end()),
        (a.start().min(b.start()), a.end().max(b.end()))
    );
    let down = (a.start() >= base).then(|| (a.start() - base, a.end() - base));
    assert_eq!(a.shift_down(base).map(|r| (r.start(), r.end())), down);
    let wide = |n: u64| u128::from(n) + u128::from(base);
    let up = (
        wide(a.start()) / u128::from(unit) * u128::from(unit),
        wide(a.end()).next_multiple_of(unit.into()),
    );
    let up = (up.1 <= u128::from(u64::MAX)).then_some(up);
    let moved = a.shift_up(base, unit);
    assert_eq!(moved.map(|r| (r.start().into(), r.end().into())).ok(), up);
    assert!(moved.is_ok() || moved == Err(EOVERFLOW));
    // Events that are told together.
    let told = |seq, kind, hull| Told {
        first: seq,
        last: seq,
        kind,
        hull,
    };
    let kinds = [Kind::Failure, Kind::Removal, Kind::Surprise];
    let (one, two) = (
        kinds[usize::from(bytes.byte() % 3)],
        kinds[usize::from(bytes.byte() % 3)],
    );
    let both = told(1, one, a).and(told(2, two, b));
    assert_eq!(
        both,
        Told {
            first: 1,
            last: 2,
            kind: one.max(two),
            hull
        }
    );
}

/// Ranges in slots that do not grow, and sets that are made of lists.
fn slots(mut bytes: Bytes<'_>) {
    let universe = universe(&mut bytes);
    let room = 1 + usize::from(bytes.byte() % 12);
    let mut slots = vec![universe.everything(); room];
    let (mut len, mut model, mut all) = (0, universe.nothing(), universe.nothing());
    let mut list = KVec::new();
    while !bytes.is_empty() {
        let span = bytes.span();
        list.push(universe.range(span), GFP_KERNEL).unwrap();
        all.put(&universe, span, true);
        let mut next = model.clone();
        next.put(&universe, span, true);
        match insert_within(&mut slots, len, universe.range(span)) {
            Some(now) => {
                (len, model) = (now, next);
                assert_eq!(slots[..len], universe.runs(&model));
            }
            // There is no room for one more, and that is what it would have been.
            None => assert!(len == room && universe.runs(&next).len() > room),
        }
    }
    let set = failure::after(0, || RangeSet::from_unsorted(list));
    assert_eq!(members(&set), universe.runs(&all));
    assert_eq!(
        members(&RangeSet::from_sorted(&slots[..len]).unwrap()),
        universe.runs(&model)
    );
}
