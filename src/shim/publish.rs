// SPDX-License-Identifier: GPL-2.0-only

//! Publishing the front in place of the lower device, and back.
//!
//! The swap is not atomic: `dax_hosts` has no exchange. A mount in between, a few milliseconds,
//! sees a disk without DAX; attach before anybody mounts. So whoever is going to be refused is
//! refused before anything is withdrawn.

use super::{
    Life,
    Shim,
    State, //
};
use crate::sys::dax;
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

    fn lower_shared(&self, idle: u32) -> bool {
        self.gate.lower_references() > idle && self.disk.claimed()
    }

    /// Returns whether the front has users. Those with the slot, XFS, give the front back after the
    /// block device that they have claimed (`xfs_mount_free()`).
    fn front_in_use(&self) -> bool {
        !self.front.holder().is_null() || (self.front.in_use() && self.disk.claimed())
    }

    /// Publishes the front. The holder slot of the lower device must be ours.
    ///
    /// `EBUSY`: the lower device has users. After any error no device is published: release the
    /// slot, then [`Shim::restore_lower`]. The parent's device lock must be held. Sleeps.
    pub(crate) fn publish(&self) -> Result {
        let _handling = self.handling.lock();
        dax::withdraw(&self.disk);
        // Whoever looked the device up before has its reference now.
        self.grace.wait();
        // With the slot's reference.
        if self.lower_shared(LOWER_IDLE + 1) {
            return Err(EBUSY);
        }
        self.front.publish(&self.disk)?;
        self.enter(Life::Attached);
        Ok(())
    }

    /// Withdraws and kills the front. Afterwards no device is published: release the slot, then
    /// [`Shim::restore_lower`].
    ///
    /// `EBUSY`: somebody uses the front or has registered, or pins are waited for; the front stays
    /// published. The
    /// parent's device lock must be held. Sleeps.
    pub(crate) fn unpublish(&self) -> Result {
        let _handling = self.handling.lock();
        if !matches!(self.state(), State::Active | State::Failed)
            || self.waits()
            || self.front_in_use()
        {
            return Err(EBUSY);
        }
        self.clients.close()?;
        dax::withdraw(&self.disk);
        self.grace.wait();
        if self.front_in_use() || !self.front.kill(false) {
            if let Err(e) = self.front.publish(&self.disk) {
                self.lost(e);
            }
            self.clients.open();
            return Err(EBUSY);
        }
        self.enter(Life::Detached);
        Ok(())
    }

    /// Publishes the lower device, exactly as before we came.
    pub(crate) fn restore_lower(&self) {
        if let Err(e) = dax::restore(&self.disk, self.gate.lower_device()) {
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
