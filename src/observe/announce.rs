// SPDX-License-Identifier: GPL-2.0-only

//! The words for an event: one kernel log line, one uevent, the last_event attribute.

use crate::{
    event::Kind,
    registry::Done,
    sys::block::Disk, //
};
use kernel::{
    fmt,
    prelude::*,
    str::CString, //
};

/// As in the `last_event` attribute.
impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_fmt(fmt!(
            "seq={} kind={} source={} ranges={} bytes={}",
            self.seq,
            self.kind,
            self.source,
            self.ranges.count,
            self.bytes
        ))?;
        if let Some(first) = self.ranges.first() {
            f.write_fmt(fmt!(" first={first}"))?;
        }
        f.write_fmt(fmt!(
            " holders={} result={} usec={}",
            self.holders,
            self.result,
            self.usec
        ))
    }
}

/// Returns the ending of the name of `n` things.
pub(crate) fn plural(n: u64) -> &'static str {
    if n == 1 {
        ""
    } else {
        "s"
    }
}

/// Says in the kernel log and by a uevent what became of an event. Sleeps.
pub(crate) fn event(disk: &Disk, done: &Done) {
    let start = done.ranges.first().map_or(0, |range| range.start());
    pr_info!(
        "{}: event {}: {}, {} range{}, {} bytes at {:#x} ({}): {} holder{}, result {}, {} us\n",
        disk.name().as_str(),
        done.seq,
        done.kind,
        done.ranges.count,
        plural(done.ranges.count as u64),
        done.bytes,
        start,
        done.source,
        done.holders,
        plural(done.holders.into()),
        done.result,
        done.usec
    );
    // A uevent that cannot be sent is not worth more than the log line above.
    let _ = uevent(disk, done);
}

fn uevent(disk: &Disk, done: &Done) -> Result {
    let kind: Kind = done.kind;
    disk.change_uevent(&[
        CString::try_from_fmt(fmt!("DAX_HOLDER_EVENT={kind}"))?,
        CString::try_from_fmt(fmt!("DAX_HOLDER_SEQ={}", done.seq))?,
        CString::try_from_fmt(fmt!("DAX_HOLDER_RANGES={}", done.ranges.count))?,
        CString::try_from_fmt(fmt!("DAX_HOLDER_HOLDERS={}", done.holders))?,
        CString::try_from_fmt(fmt!("DAX_HOLDER_RESULT={}", done.result))?,
    ])
}
