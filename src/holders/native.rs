// SPDX-License-Identifier: GPL-2.0-only

//! File systems with a handler of their own: those that claimed the front's holder slot, as XFS
//! does.

use super::{
    filesystem::Filesystem,
    Holder, //
};
use crate::{
    gate::Gate,
    range::{
        Range,
        RangeSet, //
    },
    sys::dax::Front, //
};
use kernel::prelude::*;

/// Tells `filesystem` of the failed `ranges` of the disk through its own handler.
///
/// `None`: it has none, or not for this front. `EOPNOTSUPP`: it cannot (XFS without rmapbt). The
/// first other error ends it. Sleeps, for as long as the handler takes.
///
/// Offsets stay those of the disk: a handler knows where its partition begins. But XFS 7.3
/// mistranslates what overlaps the borders of its partition (`xfs_dax_translate_range()`), and never
/// comes back from a range that spans allocation groups, for 32 bits overflow in
/// `xfs_dax_notify_dev_failure()` (`ri_high.rm_startblock + 1`). So it gets what lies in its
/// partition, one group at a time.
pub(crate) fn notify(
    front: &Front<Gate>,
    filesystem: &Filesystem,
    ranges: &RangeSet,
) -> Option<Result> {
    // `filesystem` pins the super block, so the handler's object stays during the call.
    if !filesystem.sb().has_private(front.holder()) {
        return None;
    }
    Some(each_piece(filesystem, ranges, |piece| {
        front.notify(piece.start(), piece.len(), 0)
    }))
}

/// Calls `tell` for each piece of `ranges`, in bytes of the disk, that `filesystem` can be told of.
fn each_piece(
    filesystem: &Filesystem,
    ranges: &RangeSet,
    mut tell: impl FnMut(Range) -> Result,
) -> Result {
    let window = filesystem.window();
    let group = if filesystem.kind().as_str() == "xfs" {
        filesystem.device().xfs_group_bytes().ok_or(EOPNOTSUPP)?
    } else {
        window.len()
    };
    for range in ranges.clip(window)?.iter() {
        let mut start = range.start();
        while start < range.end() {
            // NO-OVERFLOW: `start` lies in the window, and the end of its group, if beyond the
            // window, is cut off.
            let in_group = (start - window.start()) % group;
            let piece = (group - in_group).min(range.end() - start);
            tell(Range::new(start, piece)?)?;
            start += piece;
        }
    }
    Ok(())
}
