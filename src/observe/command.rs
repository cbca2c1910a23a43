// SPDX-License-Identifier: GPL-2.0-only

//! The text that is written to the inject file: a list of byte ranges of a disk.
//!
//! ```text
//! list = [separator] item { separator item } [separator]
//! item = "all" | number "+" number         offset and length in bytes
//! number = decimal | "0x" hexadecimal
//! separator = one or more of: space, tab, carriage return, newline, comma
//! ```
//!
//! `0+0xffffffffffffffff` means the whole disk, as does `all`; so does a list that contains either,
//! provided that the rest of it is right too. A leading zero does not make a number octal.

use crate::range::{
    Range,
    RangeSet, //
};
use kernel::{
    fmt,
    prelude::*, //
};

/// How many items a list may have.
pub(crate) const MAX_RANGES: usize = 4096;

/// How many bytes a list may have.
pub(crate) const MAX_TEXT: usize = 128 * 1024;

/// Offsets and lengths are multiples of this many bytes, the smallest unit that can be unmapped.
pub(crate) const ALIGNMENT: u64 = 4096;

/// Why a list was refused. Prints as one phrase for the kernel log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The answer to the writer.
    pub(crate) errno: Error,
    /// What was wrong.
    pub(crate) reason: &'static str,
    /// Where the offending item begins, in bytes from the start of the text.
    pub(crate) at: usize,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {} of the text", self.reason, self.at)
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        refusal.errno
    }
}

/// Reads a list of ranges of a disk of `size` bytes.
///
/// The first offending item decides how a list is refused, except that a text of more than
/// [`MAX_TEXT`] bytes is not looked at. `ENOMEM`: there was no memory for a list in which nothing is wrong.
pub(crate) fn parse(text: &[u8], size: u64) -> Result<RangeSet, Refusal> {
    let refuse = |at, (errno, reason)| Refusal { errno, reason, at };
    if text.len() > MAX_TEXT {
        return Err(refuse(MAX_TEXT, (E2BIG, "more than 131072 bytes of text")));
    }
    let mut set = RangeSet::new();
    let mut no_memory = None;
    for (count, (at, item)) in items(text).enumerate() {
        if count == MAX_RANGES {
            return Err(refuse(at, (E2BIG, "more than 4096 ranges")));
        }
        let range = item_range(item, size).map_err(|why| refuse(at, why))?;
        // What is behind it may still be wrong.
        if let Err(errno) = set.insert(range) {
            no_memory = no_memory.or(Some(refuse(at, (errno, "out of memory"))));
        }
    }
    if let Some(refusal) = no_memory {
        return Err(refusal);
    }
    if set.is_empty() {
        return Err(refuse(0, (EINVAL, "no range")));
    }
    Ok(set)
}

/// Iterates over the items of a list, each with its position in bytes.
fn items(text: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut position = 0;
    text.split(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b','))
        .map(move |item| {
            let at = position;
            position += item.len() + 1;
            (at, item)
        })
        .filter(|(_, item)| !item.is_empty())
}

/// Reads one item of a list of ranges of a disk of `size` bytes.
fn item_range(item: &[u8], size: u64) -> Result<Range, (Error, &'static str)> {
    if item == b"all" {
        return Ok(Range::whole(size));
    }
    let plus = item.iter().position(|byte| *byte == b'+');
    let (offset, len) = plus
        .and_then(|plus| Some((number(&item[..plus])?, number(item.get(plus + 1..)?)?)))
        .ok_or((EINVAL, "neither OFFSET+LENGTH nor all"))?;
    let (Number::Value(offset), Number::Value(len)) = (offset, len) else {
        return Err((EOVERFLOW, "number of more than 64 bits"));
    };
    if (offset, len) == (0, u64::MAX) {
        return Ok(Range::whole(size));
    }
    if len == 0 {
        return Err((EINVAL, "range of no length"));
    }
    let range = Range::new(offset, len).map_err(|errno| (errno, "range beyond 64 bits"))?;
    if offset % ALIGNMENT != 0 || len % ALIGNMENT != 0 {
        return Err((EINVAL, "range not aligned to 4096 bytes"));
    }
    if !Range::whole(size).contains(range) {
        return Err((ERANGE, "range beyond the end of the disk"));
    }
    Ok(range)
}

/// A number that is written correctly.
enum Number {
    Value(u64),
    TooBig,
}

/// Reads a number; [`None`] if it is none.
fn number(text: &[u8]) -> Option<Number> {
    let (digits, radix) = match text {
        [b'0', b'x' | b'X', digits @ ..] => (digits, 16),
        digits => (digits, 10),
    };
    if digits.is_empty() {
        return None;
    }
    let mut value = Some(0u64);
    for digit in digits {
        let digit = char::from(*digit).to_digit(radix)?;
        // Reads on after an overflow: what is no number at all is to be called that.
        value = value
            .and_then(|value| value.checked_mul(u64::from(radix)))
            .and_then(|value| value.checked_add(u64::from(digit)));
    }
    Some(value.map_or(Number::TooBig, Number::Value))
}

#[cfg_attr(not(test), kunit_tests(dax_holder_command))]
mod tests {
    use super::*;

    const SIZE: u64 = 1 << 30;

    fn refused(text: &[u8]) -> Option<(Error, usize)> {
        parse(text, SIZE).err().map(|why| (why.errno, why.at))
    }

    #[test]
    fn forms_of_one_range() -> Result {
        for text in [
            &b"4096+8192"[..],
            b"0x1000+0x2000\n",
            b" \t4096+0X2000,\r\n",
            b"0x1000+4096, 8192+4096",
            b"0008192+4096\n04096+4096",
        ] {
            let set = parse(text, SIZE)?;
            assert_eq!(set.len(), 1);
            assert_eq!(set.first(), Some(Range::new(4096, 8192)?));
        }
        Ok(())
    }

    #[test]
    fn the_whole_disk() -> Result {
        for text in [
            &b"all"[..],
            b"0+0xffffffffffffffff\n",
            b"0x0+18446744073709551615",
            b"4096+4096,all",
        ] {
            let set = parse(text, SIZE)?;
            assert_eq!(set.len(), 1);
            assert_eq!(set.first(), Some(Range::whole(SIZE)));
        }
        Ok(())
    }

    #[test]
    fn garbage() {
        assert_eq!(refused(b""), Some((EINVAL, 0)));
        assert_eq!(refused(b" ,\n"), Some((EINVAL, 0)));
        assert_eq!(refused(b"0+4096 4096"), Some((EINVAL, 7)));
        assert_eq!(refused(b"0+4096\0"), Some((EINVAL, 0)));
        assert_eq!(refused(b"0+4096+4096"), Some((EINVAL, 0)));
        assert_eq!(refused(b"0x+4096"), Some((EINVAL, 0)));
        assert_eq!(refused(b"+4096"), Some((EINVAL, 0)));
        assert_eq!(refused(b"4096+"), Some((EINVAL, 0)));
        assert_eq!(refused(b"-4096+4096"), Some((EINVAL, 0)));
        assert_eq!(refused(b"1000+4096"), Some((EINVAL, 0)));
        assert_eq!(refused(b"4096+4095"), Some((EINVAL, 0)));
        assert_eq!(refused(b"4096+0"), Some((EINVAL, 0)));
        assert_eq!(refused(b"all 0+4096 everything"), Some((EINVAL, 11)));
        assert_eq!(refused(b"99999999999999999999z+4096"), Some((EINVAL, 0)));
    }

    #[test]
    fn too_big_or_too_far() {
        assert_eq!(refused(b"0+0x10000000000000000"), Some((EOVERFLOW, 0)));
        assert_eq!(refused(b"18446744073709551616+4096"), Some((EOVERFLOW, 0)));
        assert_eq!(refused(b"0xfffffffffffff000+8192"), Some((EOVERFLOW, 0)));
        assert_eq!(refused(b"0xfffffffffffff000+4096"), Some((EOVERFLOW, 0)));
        assert_eq!(refused(b"0+0xfffffffffffff000"), Some((ERANGE, 0)));
        assert_eq!(refused(b"0x40000000+4096"), Some((ERANGE, 0)));
        assert_eq!(refused(b"0+4096 0x3ffff000+8192"), Some((ERANGE, 7)));
        assert_eq!(refused(b"0x3ffff000+4096"), None);
    }
}
