// SPDX-License-Identifier: GPL-2.0-only

//! Holders that are neither file systems nor stacked disks, and use the front.
//!
//! Nothing makes them let go. They are never reported as handled, and a removal waits until they
//! have closed the device.

use super::{
    Holder,
    Left, //
};
use crate::{
    event::Told,
    registry::Report,
    sys::block::{
        BlockDevice,
        Name, //
    }, //
};
use kernel::prelude::*;

/// Somebody who has claimed a block device of the disk.
pub(crate) struct Stranger(pub(crate) BlockDevice);

impl Holder for Stranger {
    fn name(&self) -> Name {
        self.0.name()
    }

    fn kind(&self) -> Name {
        Name::new("claimed")
    }

    fn notify_failure(self, _told: &Told) -> (Report, Option<Left>) {
        (Report::of(Err(EOPNOTSUPP)), Some(Left::Claim(self.0)))
    }
}
