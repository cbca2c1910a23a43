// SPDX-License-Identifier: GPL-2.0-only

//! A second reader of the inject command.

use crate::{
    observe::command::MAX_RANGES,
    range::Range, //
};
use kernel::error::{
    code::*,
    Error, //
};

/// What offsets and lengths are multiples of.
pub(crate) const PAGE: u128 = 4096;
/// The first number that does not fit in 64 bits.
pub(crate) const TOP: u128 = 1 << 64;

/// A second reader of lists, written from the documentation and in 128 bits: the ranges in the
/// order of the text, or the errno and the position of the first item that is wrong.
pub(crate) fn reference(text: &[u8], size: u64) -> Result<Vec<Range>, (Error, usize)> {
    fn number(text: &str) -> Option<u128> {
        let (digits, radix) = match text.strip_prefix("0x").or(text.strip_prefix("0X")) {
            Some(digits) => (digits, 16),
            None => (text, 10),
        };
        if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
            return None;
        }
        Some(u128::from_str_radix(digits, radix).unwrap_or(TOP))
    }
    let mut ranges = Vec::new();
    let mut at = 0;
    while at < text.len() {
        if b" \t\r\n,".contains(&text[at]) {
            at += 1;
            continue;
        }
        let len = text[at..]
            .iter()
            .take_while(|c| !b" \t\r\n,".contains(c))
            .count();
        let wrong = |errno| (errno, at);
        if ranges.len() == MAX_RANGES {
            return Err(wrong(E2BIG));
        }
        let item = std::str::from_utf8(&text[at..at + len]).map_err(|_| wrong(EINVAL))?;
        let (start, bytes) = if item == "all" {
            (0, TOP - 1)
        } else {
            let (start, bytes) = item.split_once('+').ok_or(wrong(EINVAL))?;
            let number = |text| number(text).ok_or(wrong(EINVAL));
            (number(start)?, number(bytes)?)
        };
        let end = start.saturating_add(bytes);
        let whole = (start, bytes) == (0, TOP - 1);
        let (start, bytes) = if start >= TOP || bytes >= TOP {
            return Err(wrong(EOVERFLOW));
        } else if whole {
            (0, u128::from(size))
        } else if bytes == 0 {
            return Err(wrong(EINVAL));
        } else if end >= TOP {
            return Err(wrong(EOVERFLOW));
        } else if start % PAGE != 0 || bytes % PAGE != 0 {
            return Err(wrong(EINVAL));
        } else if end > u128::from(size) {
            return Err(wrong(ERANGE));
        } else {
            (start, bytes)
        };
        ranges.push(Range::new(start.try_into().unwrap(), bytes.try_into().unwrap()).unwrap());
        at += len;
    }
    if ranges.is_empty() {
        return Err((EINVAL, 0));
    }
    Ok(ranges)
}
