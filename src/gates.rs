// SPDX-License-Identifier: GPL-2.0-only

//! All gates, by the pages they guard: a device-mapper device may lie on several disks.

use crate::{
    gate::Gate,
    sys::page_map::Pages, //
};
use kernel::{
    ffi::c_ulong,
    prelude::*,
    sync::Arc, //
};

struct Entry {
    pages: Pages,
    gate: Arc<Gate>,
}

kernel::sync::global_lock! {
    // SAFETY: Initialised by `init()` before anything else uses it.
    unsafe(uninit) static GATES: Mutex<KVec<Entry>> = KVec::new();
}

/// Makes the list ready.
///
/// # Safety
///
/// To be called once, before anything else of this file.
pub(crate) unsafe fn init() {
    // SAFETY: Called exactly once, by this function's contract.
    unsafe { GATES.init() };
}

/// Shows lockdep that the list comes before the locks of a gate.
#[cfg(CONFIG_PROVE_LOCKING)]
pub(crate) fn teach_lock_order(gate: &Gate) {
    let _gates = GATES.lock();
    gate.teach_lock_order();
}

/// Returns the gate that guards the page frame `pfn`, and its pages. Takes a mutex.
pub(crate) fn of_frame(pfn: c_ulong) -> Option<(Arc<Gate>, Pages)> {
    let gates = GATES.lock();
    let entry = gates
        .iter()
        .find(|entry| entry.pages.bytes(pfn, 1).is_some())?;
    Some((entry.gate.clone(), entry.pages))
}

/// That a gate is listed; dropping it takes the gate from the list.
pub(crate) struct Listed(Arc<Gate>);

impl Listed {
    /// Lists `gate`, which guards `pages`. `ENOMEM`.
    pub(crate) fn new(gate: Arc<Gate>, pages: Pages) -> Result<Self> {
        let entry = Entry {
            pages,
            gate: gate.clone(),
        };
        GATES.lock().push(entry, GFP_KERNEL)?;
        Ok(Self(gate))
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        let is_other = |entry: &mut Entry| !Arc::ptr_eq(&entry.gate, &self.0);
        let mut gates = GATES.lock();
        gates.retain(is_other);
        // Nobody drops a static when the module goes.
        if gates.is_empty() {
            *gates = KVec::new();
        }
    }
}
