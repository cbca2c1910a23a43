// SPDX-License-Identifier: GPL-2.0-only

//! File systems with a handler of their own: those that claimed the holder slot of the DAX device
//! they use, as XFS does.

use super::{
    filesystem::Filesystem,
    Holder, //
};
use crate::{
    range::{
        Range,
        RangeSet, //
    },
    sys::dax::DaxDevice, //
};
use kernel::prelude::*;

/// Tells `filesystem` of `touched`, failed ranges in its own bytes, through its own handler.
///
/// `device` is the DAX device it uses, on which it begins at byte `base`. `None`: it has no
/// handler. `EOPNOTSUPP`: it cannot (XFS without rmapbt). The first other error ends it. Sleeps, for
/// as long as the handler takes.
///
/// Offsets are those of the DAX device: a handler knows where its partition begins. But XFS 7.3
/// mistranslates what overlaps the borders of its partition (`xfs_dax_translate_range()`), and never
/// comes back from a range that spans allocation groups, for 32 bits overflow in
/// `xfs_dax_notify_dev_failure()` (`ri_high.rm_startblock + 1`). So it gets what lies in its
/// partition, one group at a time.
pub(crate) fn notify(
    device: &DaxDevice,
    base: u64,
    filesystem: &Filesystem,
    touched: &RangeSet,
) -> Option<Result> {
    // `filesystem` pins the super block, so the handler's object stays during the call.
    if !filesystem.sb().has_private(device.holder()) {
        return None;
    }
    Some(each_piece(filesystem, touched, |piece| {
        let start = base.checked_add(piece.start()).ok_or(EOVERFLOW)?;
        device.notify(start, piece.len(), 0)
    }))
}

/// Calls `tell` for each piece of `touched` that `filesystem` can be told of.
fn each_piece(
    filesystem: &Filesystem,
    touched: &RangeSet,
    mut tell: impl FnMut(Range) -> Result,
) -> Result {
    let group = if filesystem.kind().as_str() == "xfs" {
        filesystem.device().xfs_group_bytes().ok_or(EOPNOTSUPP)?
    } else {
        u64::MAX
    };
    for range in touched.iter() {
        let mut start = range.start();
        while start < range.end() {
            // NO-OVERFLOW: The end of its group, if beyond the range, is cut off.
            let piece = (group - start % group).min(range.end() - start);
            tell(Range::new(start, piece)?)?;
            start += piece;
        }
    }
    Ok(())
}
