// SPDX-License-Identifier: GPL-2.0-only

//! The disks we know: every disk of nd_pmem, attached or with the reason why not.
//!
//! Attaching and detaching happen under the device lock of the disk's parent, under which the
//! driver is bound and unbound too.

use crate::{
    bindings::dax_device,
    fanout::{
        Policy,
        PolicyCell, //
    },
    gates,
    observe::files::{
        self,
        Files, //
    },
    shim::Shim,
    sys::{
        block::Disk,
        bus::{
            Listener,
            Listening,
            Locked,
            NdBus,
            NdDevice, //
        },
        dax::{
            DaxDevice,
            Slot, //
        },
        module::{
            self,
            restart_syscall,
            NoIo, //
        },
        publishing::Publishing, //
    }, //
};
use kernel::{
    bindings,
    debugfs::Dir,
    new_mutex,
    prelude::*,
    sync::{
        Arc,
        Mutex, //
    }, //
};

/// Why a disk is not attached.
type Reason = &'static str;

const NO_DAX: Reason = "no DAX: the namespace is in raw or sector mode; make it fsdax";
const SLOT_TAKEN: Reason =
    "the DAX device is held by somebody else, XFS mounted before perhaps: unmount it, or load dax_holder first";
const UNALIGNED: Reason = "the disk's size is not a whole number of pages";
const IN_USE: Reason = "mounted or stacked on before: unmount it, or load dax_holder first";
const NO_MEMORY: Reason = "no memory";
const BY_HAND: Reason = "detached by hand";
const LEAVING: Reason = "the module is being unloaded";

/// What exists while a disk is attached. When the disk has gone it is dropped in this order: no more
/// commands, no more callbacks, and only then the shim and the module.
struct Attachment {
    files: Pin<KBox<Files>>,
    slot: Slot<Shim>,
    shim: Arc<Shim>,
    _module: module::Pin,
}

/// A disk of nd_pmem.
#[pin_data]
pub(crate) struct Known {
    parent: NdDevice,
    disk: Arc<Disk>,
    policy: Arc<PolicyCell>,
    #[pin]
    inner: Mutex<Inner>,
}

struct Inner {
    attachment: Option<Attachment>,
    reason: Reason,
}

impl Known {
    fn new(parent: NdDevice, disk: Disk) -> Result<Arc<Self>> {
        let disk = Arc::new(disk, GFP_KERNEL)?;
        let policy = Arc::new(PolicyCell::new(Policy::Shutdown), GFP_KERNEL)?;
        Arc::pin_init(
            pin_init!(Self {
                parent,
                disk,
                policy,
                inner <- new_mutex!(
                    Inner { attachment: None, reason: "" },
                    "dax_holder::Known::inner"
                ),
            }),
            GFP_KERNEL,
        )
    }

    /// Returns the shim, if the disk is attached.
    pub(crate) fn shim(&self) -> Option<Arc<Shim>> {
        self.inner
            .lock()
            .attachment
            .as_ref()
            .map(|attachment| attachment.shim.clone())
    }

    /// Returns whether `device` is one of the disk's DAX devices. Only compares.
    fn has_dax_device(&self, device: *const dax_device) -> bool {
        let inner = self.inner.lock();
        let attachment = inner.attachment.as_ref();
        attachment.is_some_and(|attachment| attachment.shim.has_dax_device(device))
    }

    /// Returns why the disk is not attached; empty if it is.
    pub(crate) fn reason(&self) -> Reason {
        self.inner.lock().reason
    }

    /// Returns whether it has just come, and neither is attached nor is known why not.
    fn is_undecided(&self) -> bool {
        let inner = self.inner.lock();
        inner.attachment.is_none() && inner.reason.is_empty()
    }

    /// Returns what a failure does.
    pub(crate) fn policy(&self) -> Policy {
        self.policy.get()
    }

    /// Sets what later failures do, across detaching and attaching.
    pub(crate) fn set_policy(&self, policy: Policy) {
        self.policy.set(policy);
    }

    /// Attaches, or says why not in the kernel log and in `reason`.
    fn attach(&self, _bound: &Locked<'_>) -> Result {
        let attached = self.try_attach();
        let mut inner = self.inner.lock();
        match attached {
            Ok((attachment, _publishing)) => {
                // Before anybody can look the front up: he asks the shim.
                inner.attachment = Some(attachment);
                inner.reason = "";
                drop(inner);
                // As whoever looks a front up. Shows lockdep the order of the locks from the first disk on.
                #[cfg(CONFIG_PROVE_LOCKING)]
                let _ = find_dax(core::ptr::null());
                pr_info!("{}: attached\n", self.disk.name().as_str());
                Ok(())
            }
            Err((e, reason)) => {
                inner.reason = reason;
                drop(inner);
                pr_info!("{}: not attached: {reason}\n", self.disk.name().as_str());
                Err(e)
            }
        }
    }

    /// Also returns the right to publish: nobody has seen the front yet.
    fn try_attach(&self) -> Result<(Attachment, Publishing), (Error, Reason)> {
        let no_memory = |e| (e, NO_MEMORY);

        if !self.disk.has_dax() {
            return Err((EOPNOTSUPP, NO_DAX));
        }
        let module = module::Pin::new().map_err(|e| (e, LEAVING))?;
        let lower = DaxDevice::of_disk(&self.disk).ok_or((EOPNOTSUPP, UNALIGNED))?;
        // All that may fail for want of memory comes first: what is published can be found.
        let shim = Shim::new(self.disk.clone(), lower, self.policy.clone()).map_err(no_memory)?;
        let root = DISKS.lock().files.clone();
        let files = root
            .ok_or(ENODEV)
            .and_then(|root| files::create(&root, shim.clone()))
            .map_err(no_memory)?;
        // From here on nobody gets lower, so a mount either is before us or gets the front.
        let publishing = Publishing::begin();
        // Look first: a claim that is refused leaks a reference (fs_dax_get_by_bdev()).
        if shim.lower_is_claimed() {
            return Err((EBUSY, SLOT_TAKEN));
        }
        if shim.lower_in_use() {
            return Err((EBUSY, IN_USE));
        }
        let slot = Slot::claim(&self.disk, shim.clone())
            .map_err(|e| (e, if e == EBUSY { SLOT_TAKEN } else { NO_MEMORY }))?;
        if let Err(e) = shim.publish(&publishing) {
            drop(slot);
            shim.restore_lower(&publishing);
            drop(publishing);
            return Err((e, if e == EBUSY { IN_USE } else { NO_MEMORY }));
        }
        let attachment = Attachment {
            files,
            slot,
            shim,
            _module: module,
        };
        Ok((attachment, publishing))
    }

    /// Attaches by hand. Errors as [`Known::attach`]; `EBUSY` also if it is attached.
    pub(crate) fn attach_again(&self) -> Result {
        // Events wait for the list of gates: its memory must not come from evicting pinned inodes.
        let _noio = NoIo::new();
        let locked = self.parent.try_lock().ok_or_else(restart_syscall)?;
        // The driver may have been unbound before we had the lock.
        locked.pmem_disk().ok_or(ENODEV)?;
        if self.shim().is_some() {
            return Err(EBUSY);
        }
        self.attach(&locked)
    }

    /// Detaches by hand: the disk is exactly as before.
    ///
    /// `EBUSY`: somebody uses the front. `EINVAL`: not attached.
    pub(crate) fn detach(&self) -> Result {
        let _locked = self.parent.try_lock().ok_or_else(restart_syscall)?;
        let shim = self.shim().ok_or(EINVAL)?;
        let publishing = shim.unpublish().inspect_err(|_| {
            pr_info!(
                "{}: not detached: mounted, stacked on, or a holder is registered\n",
                self.disk.name().as_str()
            );
        })?;
        let attachment = {
            let mut inner = self.inner.lock();
            inner.reason = BY_HAND;
            inner.attachment.take()
        };
        if let Some(Attachment {
            files,
            slot,
            _module,
            ..
        }) = attachment
        {
            // Before lower is published again: see `Slot`.
            drop(slot);
            shim.restore_lower(&publishing);
            drop(publishing);
            // Off the locks: this waits for those inside the debugfs files.
            drop(files);
        }
        pr_info!("{}: detached\n", self.disk.name().as_str());
        Ok(())
    }
}

/// The table.
pub(crate) struct Disks {
    known: KVec<Arc<Known>>,
    files: Option<Dir>,
    /// Whoever comes is taken up.
    listens: bool,
}

kernel::sync::global_lock! {
    // SAFETY: Initialised in `Registration::new()` before anything else uses it.
    unsafe(uninit) static DISKS: Mutex<Disks> = Disks {
        known: KVec::new(),
        files: None,
        listens: false,
    };
}

/// Finds the disk whose own device is `device`. Only compares the pointer.
pub(crate) fn find(device: *const bindings::device) -> Option<Arc<Known>> {
    let disks = DISKS.lock();
    let known = disks
        .known
        .iter()
        .find(|known| known.disk.is_device(device));
    known.cloned()
}

/// Returns whether the disk of nd_pmem whose own device is `device` will be taken up soon: it can be
/// found by others already, but the driver core has not told us of it, or we are about to attach.
pub(crate) fn arrives(device: *const bindings::device) -> bool {
    match find(device) {
        Some(known) => known.is_undecided(),
        None => DISKS.lock().listens,
    }
}

/// Finds the attached disk one of whose DAX devices, a front or the one below, is `device`. Only compares
/// the pointer.
pub(crate) fn find_dax(device: *const dax_device) -> Option<Arc<Shim>> {
    let disks = DISKS.lock();
    let known = disks
        .known
        .iter()
        .find(|known| known.has_dax_device(device));
    let known = known.cloned();
    drop(disks);
    known?.shim()
}

fn find_parent(parent: &NdDevice) -> Option<Arc<Known>> {
    let disks = DISKS.lock();
    let known = disks.known.iter().find(|known| known.parent.is(parent));
    known.cloned()
}

/// Takes up the disk of `device`, if it has one that is new.
fn consider(device: &NdDevice, bound: &Locked<'_>) {
    let Some(disk) = bound.pmem_disk() else {
        return;
    };
    if find_parent(device).is_some() {
        return;
    }
    let name = *disk.name();
    // Mounts wait for the table: its memory must not come from evicting a file system's inodes.
    let _noio = NoIo::new();
    let known = Known::new(device.get(), disk).and_then(|known| {
        DISKS.lock().known.push(known.clone(), GFP_KERNEL)?;
        Ok(known)
    });
    let Ok(known) = known else {
        pr_warn!("{}: not attached: no memory\n", name.as_str());
        return;
    };
    if let Err(e) = known.disk.add_attributes() {
        pr_warn!("{}: no attributes: error {}\n", name.as_str(), e.to_errno());
    }
    // The reason is in the log and in the attribute.
    let _ = known.attach(bound);
}

/// The listener on the nd bus.
struct Watch;

impl Listener for Watch {
    fn bound(device: &NdDevice, locked: &Locked<'_>) {
        consider(device, locked);
    }

    fn unbinding(device: &NdDevice) {
        let Some(known) = find_parent(device) else {
            return;
        };
        known.disk.remove_attributes();
        if let Some(shim) = known.shim() {
            Shim::remove(shim.as_arc_borrow());
        }
    }

    fn unbound(device: &NdDevice) {
        let Some(known) = find_parent(device) else {
            return;
        };
        let is_other = |other: &mut Arc<Known>| !Arc::ptr_eq(other, &known);
        DISKS.lock().known.retain(is_other);
        // Off the lock: waits for those inside the debugfs files and for callbacks.
        let attachment = known.inner.lock().attachment.take();
        // Nobody announced a surprise: a lookup may have published another front meanwhile.
        Publishing::begin().withdraw(&known.disk);
        if attachment.is_some() {
            pr_info!("{}: gone\n", known.disk.name().as_str());
        }
        drop(attachment);
    }
}

/// Makes the table, empty.
///
/// # Safety
///
/// To be called once, by the module's init, before anything else of this file.
pub(crate) unsafe fn init() {
    // SAFETY: Called exactly once, by this function's contract.
    unsafe { DISKS.init() };
    // SAFETY: As above.
    unsafe { gates::init() };
}

/// The table's life: that of the module.
pub(crate) struct Registration {
    // Before the files: no more disks.
    listening: Option<Listening<Watch>>,
}

impl Registration {
    /// Takes up all disks of nd_pmem, those that exist and those that come.
    pub(crate) fn new() -> Result<Self> {
        // From here on an error is cleaned up by dropping this.
        let mut this = Self { listening: None };
        DISKS.lock().files = Some(Dir::new(c"dax_holder"));
        let bus = NdBus::find()?;
        DISKS.lock().listens = true;
        this.listening = Some(Listening::new(bus)?);
        bus.for_each_pmem(|device| consider(device, &device.lock()));
        Ok(this)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // No disk comes or goes under our eyes any more.
        DISKS.lock().listens = false;
        self.listening = None;
        // Attached disks pin the module: these are not.
        let (known, files) = {
            let mut disks = DISKS.lock();
            (core::mem::take(&mut disks.known), disks.files.take())
        };
        for known in known {
            let locked = known.parent.lock();
            // The driver may have been unbound, and bound again, since nobody listens.
            if locked.pmem_disk().is_some_and(|disk| disk.is(&known.disk)) {
                known.disk.remove_attributes();
            }
        }
        drop(files);
    }
}
