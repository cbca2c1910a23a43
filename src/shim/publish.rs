// SPDX-License-Identifier: GPL-2.0-only

//! Publishing the front in place of the lower device, and back.
//!
//! The swap is not atomic: `dax_hosts` has no exchange. A mount in between, a few milliseconds,
//! sees a disk without DAX; attach before anybody mounts.

use super::{
    Shim,
    State, //
};
use crate::sys::dax;
use kernel::prelude::*;

/// References to the lower device when nobody uses it: nd_pmem's, the gate's, the slot's.
const LOWER_IDLE: u32 = 3;

impl Shim {
    /// Publishes the front. The holder slot of the lower device must be ours.
    ///
    /// `EBUSY`: the lower device has users, who would go past the gate. The parent's device lock
    /// must be held. Sleeps.
    pub(crate) fn publish(&self) -> Result {
        let _handling = self.handling.lock();
        dax::withdraw(&self.disk);
        // Whoever looked the device up before has its reference now.
        self.grace.wait();
        // A refused claim of the slot leaks a reference (fs_dax_get_by_bdev()), so the count alone
        // does not mean a user; but every user has claimed a block device of the disk.
        let busy = self.gate.lower_references() > LOWER_IDLE && self.disk.claimed();
        let published = if busy {
            Err(EBUSY)
        } else {
            self.front.publish(&self.disk)
        };
        match published {
            Ok(()) => self.set_state(State::Active),
            Err(_) => self.restore_lower(),
        }
        published
    }

    /// Publishes the lower device again, exactly as before we came.
    ///
    /// `EBUSY`: somebody uses the front, or pins are waited for. The parent's device lock must be
    /// held. Sleeps.
    pub(crate) fn unpublish(&self) -> Result {
        let _handling = self.handling.lock();
        if !matches!(self.state(), State::Active | State::Failed) {
            return Err(EBUSY);
        }
        if !self.stuck.lock().is_empty() {
            return Err(EBUSY);
        }
        dax::withdraw(&self.disk);
        self.grace.wait();
        if self.front.in_use() && self.disk.claimed() {
            if let Err(e) = self.front.publish(&self.disk) {
                pr_err!(
                    "{}: lost its DAX device ({}): rebind the driver\n",
                    self.disk.name().as_str(),
                    e.to_errno()
                );
            }
            return Err(EBUSY);
        }
        self.set_state(State::Detached);
        self.front.kill();
        self.restore_lower();
        Ok(())
    }

    fn restore_lower(&self) {
        if let Err(e) = dax::restore(&self.disk, self.gate.lower_device()) {
            pr_err!(
                "{}: lost its DAX device ({}): rebind the driver\n",
                self.disk.name().as_str(),
                e.to_errno()
            );
        }
    }
}
