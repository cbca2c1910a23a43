// SPDX-License-Identifier: GPL-2.0-only

//! Who uses a part of a disk, and how each kind is made to let go.
//!
//! These need not be registered: they are found when the event comes. Those that are registered
//! (`clients`) keep the same contract.

mod agent;
pub(crate) mod device_mapper;
pub(crate) mod filesystem;
pub(crate) mod native;
pub(crate) mod stranger;

use crate::{
    event::Told,
    registry::Report,
    sys::block::{
        BlockDevice,
        Name, //
    }, //
};

pub(crate) use self::{
    device_mapper::Unreleased,
    filesystem::Stuck, //
};

/// Whoever uses a part of the disk.
pub(crate) trait Holder {
    /// Returns the name of what it holds, `pmem0p1` say.
    fn name(&self) -> Name;

    /// Returns what it is: `ext4`, or the name of the disk that is stacked there.
    fn kind(&self) -> Name;

    /// Makes the holder let go of what `told` covers, or of more. What is left is to be waited for.
    ///
    /// The gate refuses it and a grace period has passed: no DAX access begins or goes on. Sleeps;
    /// called without locks of the DAX core.
    fn notify_failure(self, told: &Told) -> (Report, Option<Left>);
}

/// Why a holder has not let go.
pub(crate) enum Left {
    /// A file system's pages are pinned.
    Pins(Stuck),
    /// A stacked device may still have the memory mapped.
    Mapping(Unreleased),
    /// Somebody unknown has claimed the device.
    Claim(BlockDevice),
    /// There was no memory to note who: wait for all.
    Unlisted,
}
