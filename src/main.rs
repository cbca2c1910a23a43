// SPDX-License-Identifier: GPL-2.0-only

//! The DAX holder notification layer.
//!
//! One failing or departing persistent memory device gives one ranged event; every holder above it
//! hears it once, stops new mappings, tears down all mappings in one sweep and shuts down. See
//! `Documentation/design.rst`.

mod api;
mod bindings;
mod clients;
mod disks;
mod event;
mod fanout;
mod fronts;
mod gate;
mod gates;
mod holders;
mod lookup;
mod observe;
mod place;
mod range;
mod registry;
mod shim;
mod stack;
mod sys;
mod translation;

use kernel::prelude::*;

module! {
    type: DaxHolder,
    name: "dax_holder",
    authors: ["The dax_holder developers"],
    description: "DAX holder notification layer",
    license: "GPL v2",
}

/// The module. Dropped in this order: no more disks, no more calls that look for one, then no more
/// workers.
struct DaxHolder {
    _disks: disks::Registration,
    _hook: sys::publishing::Hook,
    _queues: sys::work::Queues,
}

impl kernel::Module for DaxHolder {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let queues = sys::work::Queues::new()?;
        // SAFETY: The module's init runs once, and nothing of the disks has run before.
        unsafe { disks::init() };
        // SAFETY: As above.
        let hook = unsafe { sys::publishing::Hook::new() };
        Ok(Self {
            _disks: disks::Registration::new()?,
            _hook: hook,
            _queues: queues,
        })
    }
}
