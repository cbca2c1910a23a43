// SPDX-License-Identifier: GPL-2.0-only

//! Holders that are not file systems: device-mapper tables, exclusive openers.
//!
//! Not supported yet: making them let go. They are never reported as handled, and a removal waits
//! until they have closed the device.

use super::{
    Holder,
    Stuck, //
};
use crate::{
    event::Event,
    registry::Report,
    sys::block::{
        BlockDevice,
        Name, //
    }, //
};
use kernel::prelude::*;

/// Somebody who has claimed a block device of the disk.
pub(crate) struct Stranger {
    device: BlockDevice,
}

impl Stranger {
    /// The unknown holder of `device`.
    pub(crate) fn new(device: BlockDevice) -> Self {
        Self { device }
    }

    /// Returns the block device, to see when it is let go of.
    pub(crate) fn into_device(self) -> BlockDevice {
        self.device
    }
}

impl Holder for Stranger {
    fn name(&self) -> Name {
        self.device.name()
    }

    fn kind(&self) -> Name {
        Name::new("claimed")
    }

    fn let_go(&self, _event: &Event, _stuck: &mut Stuck) -> Report {
        Report::of(Err(EOPNOTSUPP))
    }
}
