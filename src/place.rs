// SPDX-License-Identifier: GPL-2.0-only

//! Where a holder is: on which block device, and what of the disk is under it.

use crate::{
    event::Event,
    gate::Gate,
    range::{
        Range,
        RangeSet, //
    },
    stack::Layer,
    sys::block::{
        BlockDevice,
        Disk, //
    }, //
};
use kernel::prelude::*;

/// A block device that somebody may hold: of the disk itself, or of a layer that is stacked on it.
pub(crate) struct Place<'a> {
    pub(crate) device: BlockDevice,
    /// The bytes of the disk under it; of a layer, the smallest range that covers them.
    pub(crate) window: Range,
    pub(crate) layer: Option<&'a Layer>,
    /// On a layer that there was no memory to look at: what is under it may be all of the disk.
    pub(crate) unknown: bool,
}

impl<'a> Place<'a> {
    /// The disk or a partition of it.
    pub(crate) fn of(device: BlockDevice) -> Option<Self> {
        let window = device.window()?;
        Some(Self {
            device,
            window,
            layer: None,
            unknown: false,
        })
    }

    /// A block device of a disk that is stacked on `disk`, nobody knows where.
    pub(crate) fn somewhere_on(device: BlockDevice, disk: &Disk) -> Self {
        Self {
            device,
            window: Range::whole(disk.bytes()),
            layer: None,
            unknown: true,
        }
    }

    /// A block device of `layer`.
    pub(crate) fn on(device: BlockDevice, layer: &'a Layer) -> Option<Self> {
        let window = layer.footprint().hull()?;
        Some(Self {
            device,
            window,
            layer: Some(layer),
            unknown: false,
        })
    }

    /// Returns the part of the event that concerns it, in its own bytes. `ENOMEM`.
    pub(crate) fn touched(&self, event: &Event) -> Result<RangeSet> {
        match self.layer {
            None => event.ranges.translate(self.window),
            Some(layer) => match self.device.window() {
                Some(part) => layer.touched().translate(part),
                None => Ok(RangeSet::new()),
            },
        }
    }

    /// Returns whether the event concerns it.
    pub(crate) fn is_touched(&self, event: &Event) -> bool {
        match self.layer {
            None => event.ranges.overlaps(self.window),
            Some(layer) => {
                let part = self.device.window();
                // Without a size: its I/O was stopped, because the event touches it.
                part.is_none_or(|part| layer.touched().overlaps(part))
            }
        }
    }

    /// Returns whether nothing but DAX accesses reach the disk through it, and what it has of the disk
    /// is known.
    pub(crate) fn is_dax(&self) -> bool {
        !self.unknown && self.layer.is_none_or(|layer| layer.dax)
    }

    /// Returns whether it is a block device of the disk itself.
    pub(crate) fn is_direct(&self) -> bool {
        !self.unknown && self.layer.is_none()
    }

    /// Returns whether a part of it is on another disk.
    pub(crate) fn is_elsewhere(&self) -> bool {
        self.layer
            .is_some_and(|layer| layer.elsewhere().next().is_some())
    }

    /// Calls `f` with everything under it: the gate of the disk is `own`.
    fn each(&self, own: &Gate, mut f: impl FnMut(&Gate, Range)) {
        let Some(layer) = self.layer else {
            return f(own, self.window);
        };
        for range in layer.footprint().iter() {
            f(own, range);
        }
        for (gate, range) in layer.elsewhere() {
            f(gate, range);
        }
    }

    /// Refuses everything under it, on other disks too.
    ///
    /// On ENOMEM a whole gate closes, which is no worse for this holder.
    pub(crate) fn refuse(&self, own: &Gate) {
        self.each(own, |gate, range| {
            let _ = gate.take_down(range);
        });
    }

    /// Remembers that nobody maps anything under it.
    ///
    /// Without memory the next failure is told again.
    pub(crate) fn hush(&self, own: &Gate) {
        self.each(own, |gate, range| {
            let _ = gate.mark_quiet(range);
        });
    }

    /// Returns whether nobody maps anything under it, see [`Place::hush`].
    pub(crate) fn is_quiet(&self, own: &Gate) -> bool {
        let mut quiet = true;
        self.each(own, |gate, range| quiet &= gate.is_quiet(range));
        quiet
    }
}
