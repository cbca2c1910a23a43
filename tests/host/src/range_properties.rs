// SPDX-License-Identifier: GPL-2.0-only

//! Properties of ranges and of sets of them.

use crate::{
    config,
    model::{
        members,
        moved_up,
        overlap,
        Span,
        Universe, //
    },
    range::{
        insert_within,
        Range,
        RangeSet, //
    },
    strategies::{
        span,
        spans,
        universe, //
    },
};
use kernel::{
    alloc::KVec,
    error::{
        code::*,
        Error, //
    },
    failure,
    prelude::GFP_KERNEL, //
};
use proptest::prelude::*;

/// What may happen to a set.
#[derive(Clone, Debug)]
enum Step {
    Insert(Span),
    Remove(Span),
    InsertAll(Vec<Span>),
    RemoveAll,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => span().prop_map(Step::Insert),
        6 => span().prop_map(Step::Remove),
        2 => spans(12).prop_map(Step::InsertAll),
        1 => Just(Step::RemoveAll),
    ]
}

/// Takes a step.
fn take(set: &mut RangeSet, universe: &Universe, step: &Step) -> Result<(), Error> {
    match step {
        Step::Insert(span) => set.insert(universe.range(*span)),
        Step::Remove(span) => set.remove(universe.range(*span)),
        Step::InsertAll(spans) => {
            // Only the step itself is to run out of memory.
            let (other, _) = failure::after(usize::MAX, || universe.build(spans));
            set.insert_all(&other)
        }
        Step::RemoveAll => set.remove(universe.everything()),
    }
}

proptest! {
    #![proptest_config(config())]

    /// Whatever happens, a set has the bytes of the model in the one permitted form, and says so.
    #[test]
    fn a_set_follows_the_model(
        universe in universe(),
        steps in prop::collection::vec(step(), 1..40),
    ) {
        let (mut set, mut model) = (RangeSet::new(), universe.nothing());
        for step in &steps {
            take(&mut set, &universe, step).unwrap();
            match step {
                Step::Insert(span) => model.put(&universe, *span, true),
                Step::Remove(span) => model.put(&universe, *span, false),
                Step::InsertAll(spans) => model.put_all(&universe.build(spans).1),
                Step::RemoveAll => model = universe.nothing(),
            }
            let runs = universe.runs(&model);
            prop_assert_eq!(members(&set), runs.clone());
            prop_assert_eq!(set.len(), runs.len());
            prop_assert_eq!(set.iter().len(), runs.len());
            prop_assert_eq!(set.is_empty(), runs.is_empty());
            prop_assert_eq!(set.first(), runs.first().copied());
            prop_assert_eq!(set.iter().last(), runs.last().copied());
            prop_assert_eq!(set.bytes(), runs.iter().map(|run| run.end() - run.start()).sum::<u64>());
            prop_assert_eq!(members(&set.try_clone().unwrap()), runs);
        }
    }

    /// Questions about a range are answered as the model does.
    #[test]
    fn questions(universe in universe(), content in spans(12), window in span()) {
        let (set, model) = universe.build(&content);
        let range = universe.range(window);
        prop_assert_eq!(set.overlaps(range), model.any(&universe, window));
        prop_assert_eq!(set.contains(range), model.all(&universe, window));
        let first = universe.runs(&model).into_iter().find(|run| overlap(*run, range));
        prop_assert_eq!(set.first_overlap(range), first);
    }

    /// A window shows the bytes that lie in it; a holder sees them from its own beginning.
    #[test]
    fn windows(universe in universe(), content in spans(12), window in span()) {
        let (set, mut model) = universe.build(&content);
        let before = members(&set);
        let range = universe.range(window);
        let (allocations, own) = failure::count(|| set.translate(range).unwrap());
        prop_assert!(allocations <= 1);
        let hull = members(&set).into_iter().reduce(|a, b| {
            Range::new(a.start(), b.end() - a.start()).unwrap()
        });
        prop_assert_eq!(set.hull(), hull);
        prop_assert_eq!(members(&set), before);
        model.keep(&universe, window);
        let runs = universe.runs(&model);
        prop_assert_eq!(set.within(range).collect::<Vec<_>>(), runs.clone());
        let moved: Vec<_> = runs
            .iter()
            .map(|run| Range::new(run.start() - range.start(), run.end() - run.start()).unwrap())
            .collect();
        prop_assert_eq!(members(&own), moved);
        let hull = set.hull_within(range);
        prop_assert_eq!(hull, own.hull());
    }

    /// A set can be made from ranges in any order, without memory.
    #[test]
    fn ranges_in_any_order(universe in universe(), content in spans(24)) {
        let (_, model) = universe.build(&content);
        let mut list = KVec::new();
        for span in &content {
            list.push(universe.range(*span), GFP_KERNEL).unwrap();
        }
        let set = failure::after(0, || RangeSet::from_unsorted(list));
        prop_assert_eq!(members(&set), universe.runs(&model));
    }

    /// A step that runs out of memory leaves the set as it was; any other is complete.
    #[test]
    fn out_of_memory_changes_nothing(
        universe in universe(),
        content in spans(12),
        steps in prop::collection::vec(step(), 1..20),
    ) {
        let mut set = universe.build(&content).0;
        for step in &steps {
            let before = members(&set);
            let mut expected = set.try_clone().unwrap();
            take(&mut expected, &universe, step).unwrap();
            match failure::after(0, || take(&mut set, &universe, step)) {
                Ok(()) => prop_assert_eq!(members(&set), members(&expected)),
                Err(error) => {
                    prop_assert_eq!(error, ENOMEM);
                    prop_assert_eq!(members(&set), before);
                    take(&mut set, &universe, step).unwrap();
                    prop_assert_eq!(members(&set), members(&expected));
                }
            }
        }
    }

    /// What makes a new set says that it could not, unless it needs no memory.
    #[test]
    fn out_of_memory_is_reported(universe in universe(), content in spans(12), window in span()) {
        let (set, _) = universe.build(&content);
        let range = universe.range(window);
        failure::after(0, || {
            let translated = set.translate(range);
            prop_assert_eq!(translated.err(), set.overlaps(range).then_some(ENOMEM));
            prop_assert_eq!(set.try_clone().err(), (!set.is_empty()).then_some(ENOMEM));
            Ok(())
        })?;
    }

    /// A set that has had `n` ranges does not allocate before it has more.
    #[test]
    fn room_is_used(
        universe in universe(),
        content in spans(16),
        steps in prop::collection::vec(prop_oneof![span().prop_map(Step::Insert), span().prop_map(Step::Remove)], 1..40),
    ) {
        // A copy has no more room than it needs.
        let mut set = universe.build(&content).0.try_clone().unwrap();
        let mut most = set.len();
        for step in &steps {
            let before = set.len();
            let (allocations, result) = failure::count(|| take(&mut set, &universe, step));
            prop_assert!(result.is_ok() && set.len() <= before + 1);
            prop_assert!(allocations == 0 || set.len() > most);
            most = most.max(set.len());
        }
    }

    /// A full set still takes what merges, and gives up what does not split.
    #[test]
    fn a_full_set_needs_no_room_to_merge(universe in universe(), content in spans(24), more in span()) {
        let set = universe.build(&content).0;
        // As above.
        let mut full = set.try_clone().unwrap();
        let range = universe.range(more);
        let merges = set.iter().any(|m| m.start() <= range.end() && range.start() <= m.end());
        let result = failure::after(0, || full.insert(range));
        prop_assert_eq!(result.is_ok(), merges);
        let splits = set.iter().any(|m| m.start() < range.start() && range.end() < m.end());
        let mut full = set.try_clone().unwrap();
        let result = failure::after(0, || full.remove(range));
        prop_assert_eq!(result.is_err(), splits && set.len() > 0);
    }

    /// A list of fixed room behaves as a set until it is full, and then changes nothing.
    #[test]
    fn a_list_of_fixed_room(universe in universe(), room in 1usize..8, content in spans(16)) {
        let filler = universe.range((0, 1));
        let mut slots = vec![filler; room];
        let (mut len, mut model) = (0, universe.nothing());
        for span in &content {
            let mut next = model.clone();
            next.put(&universe, *span, true);
            let touches = universe.runs(&model).iter().any(|run| {
                let range = universe.range(*span);
                run.start() <= range.end() && range.start() <= run.end()
            });
            match insert_within(&mut slots, len, universe.range(*span)) {
                Some(now) => (len, model) = (now, next),
                None => prop_assert!(len == room && !touches),
            }
            prop_assert_eq!(slots[..len].to_vec(), universe.runs(&model));
        }
        prop_assert_eq!(members(&RangeSet::from_sorted(&slots[..len]).unwrap()), universe.runs(&model));
    }

    /// Ranges are what their borders say, anywhere in the 64-bit space.
    #[test]
    fn ranges(start in any::<u64>(), len in any::<u64>(), small in any::<bool>()) {
        let len = if small { len % 8 } else { len };
        let expected = match (len, start.checked_add(len)) {
            (0, _) => Err(EINVAL),
            (_, None) => Err(EOVERFLOW),
            (_, Some(end)) => Ok((start, end, len)),
        };
        let range = Range::new(start, len);
        prop_assert_eq!(range.map(|r| (r.start(), r.end(), r.len())), expected);
        prop_assert_eq!(Range::whole(len.max(1)).len(), len.max(1));
        prop_assert_eq!(Range::whole(len).start(), 0);
        prop_assert!(Range::whole(len).end() > 0);
    }

    /// Pairs of ranges relate as their bytes do.
    #[test]
    fn pairs(universe in universe(), a in span(), b in span()) {
        let (x, y) = (universe.range(a), universe.range(b));
        let mut model = universe.nothing();
        model.put(&universe, a, true);
        prop_assert_eq!(x.intersect(y).is_some(), model.any(&universe, b));
        prop_assert_eq!(x.contains(y), model.all(&universe, b));
        model.keep(&universe, b);
        prop_assert_eq!(x.intersect(y), universe.runs(&model).first().copied());
    }

    /// Moving a range keeps its length and undoes a move up, or is refused.
    #[test]
    fn moves(universe in universe(), span in span(), base in any::<u64>(), near in any::<bool>()) {
        let range = universe.range(span);
        let base = if near { range.start().wrapping_add(base % 5).wrapping_sub(2) } else { base };
        match range.shift_down(base) {
            Some(own) => {
                prop_assert_eq!(own.len(), range.len());
                prop_assert_eq!(own.start(), range.start() - base);
            }
            None => prop_assert!(range.start() < base),
        }
        prop_assert_eq!(range.shift_up(base, 1).ok(), moved_up(range, base));
        if let Some(far) = moved_up(range, base) {
            prop_assert_eq!(far.shift_down(base), Some(range));
        }
    }

    /// What is rounded out to units begins and ends with one, and has no unit too many.
    #[test]
    fn whole_units(universe in universe(), span in span(), base in any::<u64>(), bit in 0u32..24) {
        let (range, unit) = (universe.range(span), 1u64 << bit);
        match range.shift_up(base, unit) {
            Ok(out) => {
                let far = moved_up(range, base).unwrap();
                prop_assert_eq!((out.start() % unit, out.end() % unit), (0, 0));
                prop_assert!(out.contains(far));
                prop_assert!(far.start() - out.start() < unit && out.end() - far.end() < unit);
            }
            Err(error) => {
                prop_assert_eq!(error, EOVERFLOW);
                let far = moved_up(range, base);
                prop_assert!(far.is_none_or(|far| far.end() > u64::MAX - unit + 1));
            }
        }
    }
}

/// The mock's vectors do what the kernel's do, as far as the properties above rely on it.
#[test]
fn vectors_fail_when_told() {
    let mut v = KVec::with_capacity(2, GFP_KERNEL).unwrap();
    failure::after(1, || {
        assert!(v.push(1, GFP_KERNEL).is_ok());
        assert!(v.push(2, GFP_KERNEL).is_ok());
        assert!(v.push(3, GFP_KERNEL).is_ok());
        assert_eq!(v.capacity(), 4);
        assert!(v.extend_from_slice(&[4, 5], GFP_KERNEL).is_err());
    });
    assert_eq!(*v, [1, 2, 3]);
}
