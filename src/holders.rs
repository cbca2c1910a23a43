// SPDX-License-Identifier: GPL-2.0-only

//! Who uses a part of a disk, and how each kind is made to let go.
//!
//! File systems need no registration: they are found on the disk when the event comes.

pub(crate) mod filesystem;
pub(crate) mod native;
pub(crate) mod stranger;

use self::{
    filesystem::Filesystem,
    stranger::Stranger, //
};
use crate::{
    event::Event,
    range::Range,
    registry::Report,
    sys::block::{
        BlockDevice,
        Name, //
    }, //
};
use kernel::prelude::*;

/// Whoever uses a part of the disk.
pub(crate) trait Holder {
    /// Returns the name of what it holds, `pmem0p1` say.
    fn name(&self) -> Name;

    /// Returns what it is, `ext4` say.
    fn kind(&self) -> Name;

    /// Makes the holder let go of the whole of its window.
    ///
    /// The gate refuses the window and a grace period has passed: no access begins or goes on.
    /// Sleeps; called without locks of the DAX core.
    fn let_go(&self, event: &Event, stuck: &mut Stuck) -> Report;
}

/// Somebody found on a block device.
pub(crate) enum Found {
    /// A mounted file system.
    Filesystem(Filesystem),
    /// Somebody else: device-mapper, an exclusive opener.
    Stranger(Stranger),
}

impl Found {
    /// Looks who holds `device`, whose bytes of the disk are `window`.
    ///
    /// `Ok(None)`: nobody. `EAGAIN`: a file system that is being mounted or unmounted.
    pub(crate) fn on(device: BlockDevice, window: Range) -> Result<Option<Self>> {
        if let Some(sb) = device.super_block()? {
            return Ok(Some(Self::Filesystem(Filesystem::new(device, sb, window))));
        }
        Ok(device
            .claimed()
            .then(|| Self::Stranger(Stranger::new(device))))
    }

    /// Returns it as a holder.
    pub(crate) fn holder(&self) -> &dyn Holder {
        match self {
            Self::Filesystem(filesystem) => filesystem,
            Self::Stranger(stranger) => stranger,
        }
    }
}

pub(crate) use self::filesystem::Stuck;
