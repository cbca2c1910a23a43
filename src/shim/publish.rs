// SPDX-License-Identifier: GPL-2.0-only

//! Publishing a front in place of the lower device, one front in place of another, and back.
//!
//! Whoever has the right to publish keeps lookups out meanwhile, but only where there is the hook
//! (`sys::publishing`). Without it a mount in between, a few milliseconds, sees a disk without DAX. So
//! whoever is going to be refused is refused before anything is withdrawn.

use super::{
    Life,
    Shim,
    State, //
};
use crate::{
    bindings::dax_device,
    sys::publishing::Publishing, //
};
use kernel::prelude::*;

/// References to the lower device when nobody uses it: nd_pmem's and the gate's.
const LOWER_IDLE: u32 = 2;

impl Shim {
    /// Returns whether the lower device has users, who would go past the gate. To be asked before
    /// the slot is claimed, which takes a reference too.
    ///
    /// A refused claim of the slot leaks a reference (`fs_dax_get_by_bdev()`), so the count alone
    /// does not mean a user; but users without the slot give the device back before the block
    /// device that they have claimed, and the slot is ours.
    pub(crate) fn lower_in_use(&self) -> bool {
        self.lower_shared(LOWER_IDLE)
    }

    /// Returns whether somebody has claimed the slot of the lower device.
    pub(crate) fn lower_is_claimed(&self) -> bool {
        !self.gate.lower_device().holder().is_null()
    }

    fn lower_shared(&self, idle: u32) -> bool {
        self.gate.lower_references() > idle && self.disk.claimed()
    }

    /// Returns whether a front has users. Those with a slot, XFS, give the front back after the
    /// block device that they have claimed (`xfs_mount_free()`).
    fn fronts_in_use(&self) -> bool {
        self.fronts.are_claimed() || (self.fronts.in_use() && self.disk.claimed())
    }

    /// Publishes a front. The holder slot of the lower device must be ours.
    ///
    /// `EBUSY`: the lower device has users. After any error no device is published: release the
    /// slot, then [`Shim::restore_lower`]. The parent's device lock must be held. Sleeps.
    pub(crate) fn publish(&self, publishing: &Publishing) -> Result {
        publishing.withdraw(&self.disk);
        // Whoever looked the device up before has its reference now.
        self.grace.wait();
        // With the slot's reference.
        if self.lower_shared(LOWER_IDLE + 1) {
            return Err(EBUSY);
        }
        // Failures are handled from here on: before anybody can use the front.
        self.enter(Life::Attached);
        let published = self.fronts.publish(&self.disk, publishing);
        published.inspect_err(|_| self.enter(Life::Detached))
    }

    /// Lets the next one who looks find a front, with a free slot if he wants to `claim` one.
    ///
    /// `ENOMEM`; `ESHUTDOWN`: the disk is going.
    pub(crate) fn make_room(&self, claim: bool, publishing: &Publishing) -> Result {
        match self.state() {
            State::Active | State::Failed => self.fronts.make_room(&self.disk, claim, publishing),
            State::Removing => {
                self.fronts.withdraw(&self.disk, publishing);
                Err(ESHUTDOWN)
            }
            State::Detached => Ok(()),
        }
    }

    /// Notes that the slot of the front `device` was claimed for a block device that begins at byte
    /// `base`.
    pub(crate) fn claimed(&self, device: *const dax_device, base: u64) {
        self.fronts.claimed(device, base);
    }

    /// Withdraws and kills the fronts. Afterwards no device is published: release the slot, then
    /// [`Shim::restore_lower`] with the right that this returns.
    ///
    /// `EBUSY`: somebody uses a front or has registered, or pins are waited for; the front stays
    /// published. The parent's device lock must be held. Sleeps.
    pub(crate) fn unpublish(&self) -> Result<Publishing> {
        let _handling = self.handling.lock();
        if !matches!(self.state(), State::Active | State::Failed)
            || self.waits()
            || self.fronts_in_use()
        {
            return Err(EBUSY);
        }
        self.clients.close()?;
        let publishing = Publishing::begin();
        self.fronts.withdraw(&self.disk, &publishing);
        self.grace.wait();
        if self.fronts_in_use() || !self.fronts.kill(|_| None) {
            if let Err(e) = self.fronts.publish(&self.disk, &publishing) {
                self.lost(e);
            }
            self.clients.open();
            return Err(EBUSY);
        }
        self.enter(Life::Detached);
        Ok(publishing)
    }

    /// Publishes the lower device, exactly as before we came.
    pub(crate) fn restore_lower(&self, publishing: &Publishing) {
        if let Err(e) = publishing.publish(&self.disk, self.gate.lower_device()) {
            self.lost(e);
        }
    }

    fn lost(&self, e: Error) {
        pr_err!(
            "{}: lost its DAX device ({}): rebind the driver\n",
            self.disk.name().as_str(),
            e.to_errno()
        );
    }
}
