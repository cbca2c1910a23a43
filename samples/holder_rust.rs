// SPDX-License-Identifier: GPL-2.0-only

//! A holder that merely wants to know, in Rust:
//!
//! ```text
//! insmod holder_rust.ko major=259 minor=1
//! ```

#[path = "../rust/dax_holder.rs"]
mod dax_holder;

use dax_holder::{
    BlockDevice,
    Holder,
    Kind,
    Options,
    Range,
    Registration,
    Told, //
};
use kernel::{
    bindings,
    error::from_err_ptr,
    prelude::*,
    sync::Arc, //
};

module! {
    type: Module,
    name: "holder_rust",
    authors: ["The dax_holder developers"],
    description: "A DAX holder in Rust",
    license: "GPL v2",
    params: {
        major: u32 {
            default: 0,
            description: "of the block device to hold all of",
        },
        minor: u32 {
            default: 0,
            description: "of it, too",
        },
    },
}

/// The holder.
struct Listener;

impl Holder for Listener {
    fn notify_failure(&self, told: &Told<'_>) -> Result {
        let hull = told.hull();
        let what = match told.kind() {
            Kind::Failure => "failure",
            Kind::Removal | Kind::Surprise => "removal",
        };
        pr_info!(
            "events {} to {}, {what}: {} bytes at {}\n",
            told.first(),
            told.last(),
            hull.len,
            hull.offset
        );
        for range in told.ranges() {
            pr_info!("- {} bytes at {}\n", range.len, range.offset);
        }
        // Nothing is held here, so there is nothing to let go of.
        Err(EOPNOTSUPP)
    }
}

struct Module {
    // Dropping it waits for the callback.
    _registration: Registration<Listener>,
}

impl kernel::Module for Module {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        const MINOR_BITS: u32 = 20;
        /// `BLK_OPEN_READ`, which is a macro.
        const READ: bindings::blk_mode_t = 1;

        let major = module_parameters::major.value();
        let number = major << MINOR_BITS | module_parameters::minor.value();
        // SAFETY: Opens a block device for reading, for nobody in particular.
        let file = from_err_ptr(unsafe {
            bindings::bdev_file_open_by_dev(number, READ, core::ptr::null_mut(), core::ptr::null())
        })?;
        // SAFETY: The file was just opened. The block device stays until it is closed below.
        let device = unsafe { BlockDevice::from_raw(bindings::file_bdev(file)) };
        let registration = device.and_then(|device| {
            let options = Options {
                name: c"holder_rust",
                priority: 0,
                deadline_ms: 0,
            };
            let holder = Arc::new(Listener, GFP_KERNEL)?;
            // SAFETY: Dropped when the module is, see `Module`; never by the listener.
            unsafe { Registration::without_owner(device, Range::ALL, options, holder) }
        });
        // The registration does not need the device to be open.
        // SAFETY: It was opened above.
        unsafe { bindings::bdev_fput(file) };
        Ok(Self {
            _registration: registration?,
        })
    }
}
