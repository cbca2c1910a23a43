// SPDX-License-Identifier: GPL-2.0-only

//! File systems with a handler of their own: those that claimed the front's holder slot, as XFS
//! does.

use super::filesystem::Filesystem;
use crate::{
    gate::Gate,
    range::RangeSet,
    sys::dax::Front, //
};
use kernel::prelude::*;

/// Tells `filesystem` of the failed `ranges` of the disk through its own handler.
///
/// `None`: it has none, or not for this front. `EOPNOTSUPP`: it cannot (XFS without rmapbt). The
/// first other error ends it. Sleeps, for as long as the handler takes.
///
/// Offsets stay those of the disk: a handler knows where its partition begins, but XFS 7.3 clips
/// wrongly what overlaps its borders (`xfs_dax_translate_range()`), so the ranges are clipped here.
pub(crate) fn notify(
    front: &Front<Gate>,
    filesystem: &Filesystem,
    ranges: &RangeSet,
) -> Option<Result> {
    // `filesystem` pins the super block, so the handler's object stays during the call.
    if !filesystem.sb().has_private(front.holder()) {
        return None;
    }
    let clipped = match ranges.clip(filesystem.window()) {
        Ok(clipped) => clipped,
        Err(e) => return Some(Err(e)),
    };
    for range in clipped.iter() {
        if let Err(e) = front.notify(range.start(), range.len(), 0) {
            return Some(Err(e));
        }
    }
    Some(Ok(()))
}
