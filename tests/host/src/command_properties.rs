// SPDX-License-Identifier: GPL-2.0-only

//! Properties of the inject command.

use crate::{
    command_reference::{
        reference,
        PAGE,
        TOP, //
    },
    config,
    model::members,
    observe::command::{
        parse,
        MAX_TEXT, //
    },
    range::{
        Range,
        RangeSet, //
    },
};
use kernel::{
    error::{
        code::*,
        Error, //
    },
    failure, //
};
use proptest::prelude::*;

/// The set of some ranges.
fn set_of(ranges: &[Range]) -> RangeSet {
    let mut set = RangeSet::new();
    for range in ranges {
        set.insert(*range).unwrap();
    }
    set
}

/// Checks one text against the reference.
fn check(text: &[u8], size: u64) -> Result<(), TestCaseError> {
    match (parse(text, size), reference(text, size)) {
        (Ok(set), Ok(ranges)) => {
            prop_assert_eq!(members(&set), members(&set_of(&ranges)));
            prop_assert!(!set.is_empty());
            prop_assert!(set.iter().all(|range| Range::whole(size).contains(range)));
        }
        (Err(why), Err((errno, at))) => {
            prop_assert_eq!((why.errno, why.at), (errno, at), "{}", why);
            prop_assert_eq!(Error::from(why), errno);
            let line = why.to_string();
            let suffix = format!("at byte {at} of the text");
            prop_assert!(line.ends_with(&suffix) && !line.contains('\n'), "{}", line);
        }
        (result, expected) => prop_assert!(false, "{:?}, expected {:?}", result, expected),
    }
    Ok(())
}

/// Disks of whole pages, from one page to almost the whole 64-bit space.
fn disk() -> impl Strategy<Value = u64> {
    prop_oneof![1u64..100, 1u64..1 << 30, Just((1 << 52) - 1),].prop_map(|pages| pages * 4096)
}

/// Texts of numbers: right, wrong, at every limit.
fn number() -> impl Strategy<Value = String> {
    let value = prop_oneof![
        4 => (0u128..100).prop_map(|pages| pages * PAGE),
        1 => 0u128..10000,
        1 => (0u128..64).prop_map(|bit| 1 << bit),
        1 => (TOP - 3)..(TOP + 3),
        1 => ((TOP / PAGE - 3)..(TOP / PAGE + 2)).prop_map(|pages| pages * PAGE),
        1 => any::<u128>(),
    ];
    let good = (value, 0usize..6, 0usize..4).prop_map(|(value, form, zeros)| {
        let zeros = &"000"[..zeros];
        match form {
            0 => format!("0x{zeros}{value:x}"),
            1 => format!("0X{zeros}{value:X}"),
            _ => format!("{zeros}{value}"),
        }
    });
    prop_oneof![20 => good, 1 => "[0-9a-fx+-]{0,6}"]
}

/// Texts of items, most of them of the right form.
fn item() -> impl Strategy<Value = String> {
    prop_oneof![
        20 => (number(), number()).prop_map(|(offset, len)| format!("{offset}+{len}")),
        1 => Just("all".to_string()),
        1 => Just("0+0xffffffffffffffff".to_string()),
        1 => "[al0-9x+]{1,5}",
    ]
}

/// What may stand between two items.
fn separator() -> impl Strategy<Value = String> {
    "[ ,\n\t\r]{1,3}"
}

/// A range of a disk of `size` bytes, from two random numbers.
fn some_range(size: u64, a: u64, b: u64) -> Range {
    let pages = size / 4096;
    let first = a % pages;
    Range::new(first * 4096, (1 + b % (pages - first)) * 4096).unwrap()
}

proptest! {
    #![proptest_config(config())]

    /// Any bytes at all: no panic, and the same answer as the reference.
    #[test]
    fn any_bytes(text in prop::collection::vec(any::<u8>(), 0..200), size in disk()) {
        check(&text, size)?;
    }

    /// Texts out of the characters that mean something.
    #[test]
    fn any_words(text in "([0-9x+, \n]|all|0x[0-9a-f]{1,17}|000\\+){0,40}", size in disk()) {
        check(text.as_bytes(), size)?;
    }

    /// Lists of items that are almost or quite right.
    #[test]
    fn any_items(
        items in prop::collection::vec((item(), separator()), 0..6),
        head in "[ ,\n\t\r]{0,2}",
        size in disk(),
    ) {
        let mut text = head;
        for (item, separator) in items {
            text += &item;
            text += &separator;
        }
        check(text.as_bytes(), size)?;
        check(text.trim_end().as_bytes(), size)?;
    }

    /// Every good list is accepted, in whatever form it is written, and means what was meant.
    #[test]
    fn round_trip(
        size in disk(),
        items in prop::collection::vec((any::<u64>(), any::<u64>(), 0usize..4, separator()), 1..50),
    ) {
        let (mut text, mut ranges) = (String::new(), Vec::new());
        for (a, b, form, separator) in items {
            let range = some_range(size, a, b);
            text += &match form {
                0 => format!("{}+{}", range.start(), range.len()),
                1 => format!("{:#x}+{}", range.start(), range.len()),
                2 => format!("{}+0X{:X}", range.start(), range.len()),
                _ => range.to_string(),
            };
            text += &separator;
            ranges.push(range);
        }
        let set = parse(text.as_bytes(), size).unwrap();
        prop_assert_eq!(members(&set), members(&set_of(&ranges)));
        // And a set that is printed is read as itself.
        let printed: Vec<_> = set.iter().map(|range| range.to_string()).collect();
        let again = parse(printed.join(",").as_bytes(), size).unwrap();
        prop_assert_eq!(members(&again), members(&set));
        // Whoever also says `all` gets it all.
        let all = parse(format!("{text}all").as_bytes(), size).unwrap();
        prop_assert_eq!(members(&all), vec![Range::whole(size)]);
    }

    /// Without memory a list is refused, at the item that needed it.
    #[test]
    fn out_of_memory(count in 1u64..40, allowed in 0usize..8) {
        let size = 1 << 30;
        let text: Vec<_> = (0..count).map(|i| format!("{}+4096", 8192 * i)).collect();
        let text = text.join(" ");
        match failure::after(allowed, || parse(text.as_bytes(), size)) {
            Ok(set) => prop_assert_eq!(set.len() as u64, count),
            Err(why) => {
                prop_assert_eq!(why.errno, ENOMEM);
                prop_assert!(why.at == 0 || text.as_bytes()[why.at - 1] == b' ');
                // One, two, four, ...: it took more than was allowed.
                prop_assert!(count > 1 << allowed >> 1);
            }
        }
    }
}

/// The limits are exact.
#[test]
fn limits() {
    let size = 1 << 30;
    let list =
        |count: usize| -> String { (0..count).map(|i| format!("{}+4096\n", i * 8192)).collect() };
    assert_eq!(parse(list(4096).as_bytes(), size).unwrap().len(), 4096);
    let text = list(4097);
    let why = parse(text.as_bytes(), size).unwrap_err();
    assert_eq!(why.errno, E2BIG);
    assert_eq!(&text[why.at..], format!("{}+4096\n", 4096 * 8192));
    // It is the items that count, not what they merge to, nor who else is wrong later.
    let why = parse("0+4096 ".repeat(4097).as_bytes(), size).unwrap_err();
    assert_eq!((why.errno, why.at), (E2BIG, 4096 * 7));
    let why = parse(("0+4096 ".repeat(4095) + "x").as_bytes(), size).unwrap_err();
    assert_eq!((why.errno, why.at), (EINVAL, 4095 * 7));

    let mut text = vec![b' '; 128 * 1024];
    text[..6].copy_from_slice(b"0+4096");
    assert_eq!(text.len(), MAX_TEXT);
    assert!(parse(&text, size).is_ok());
    text.push(b' ');
    let why = parse(&text, size).unwrap_err();
    assert_eq!((why.errno, why.at), (E2BIG, MAX_TEXT));
}

/// One number may be as long as the text.
#[test]
fn a_long_number() {
    let zeros = "0".repeat(60_000);
    let set = parse(format!("{zeros}+0x{zeros}1000").as_bytes(), 8192).unwrap();
    assert_eq!(members(&set), [Range::new(0, 4096).unwrap()]);
    let nines = "9".repeat(60_000);
    let why = parse(format!("0+{nines}").as_bytes(), 8192).unwrap_err();
    assert_eq!((why.errno, why.at), (EOVERFLOW, 0));
}

/// A disk need not end with a page; only `all` reaches the rest.
#[test]
fn odd_end() {
    let size = 3 * 4096 + 512;
    assert_eq!(parse(b"8192+4096", size).unwrap().bytes(), 4096);
    assert_eq!(parse(b"8192+8192", size).unwrap_err().errno, ERANGE);
    assert_eq!(parse(b"all", size).unwrap().bytes(), size);
}
