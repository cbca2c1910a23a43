// SPDX-License-Identifier: GPL-2.0-only

//! The sysfs attributes of a disk, in `/sys/block/DISK/dax_holder/`.
//!
//! An unbind holds the parent's device lock while it waits for those inside these files: so none
//! of them waits for that lock.

use crate::{
    bindings,
    disks::{
        self,
        Known, //
    },
    fanout::Policy,
    shim::State,
    sys::module::may_administrate, //
};
use kernel::{
    error::from_result,
    ffi::c_char,
    fmt,
    page::PAGE_SIZE,
    prelude::*,
    str::Formatter, //
};

/// Prints the attribute `which` of `disk`.
fn show(disk: &Known, which: bindings::dh_attribute, f: &mut Formatter<'_>) -> Result {
    use kernel::fmt::Write as _;

    let shim = disk.shim();
    let written = match which {
        bindings::dh_attribute_DH_ATTACHED => f.write_fmt(fmt!("{}\n", u8::from(shim.is_some()))),
        bindings::dh_attribute_DH_STATE => {
            let state = shim.map_or(State::Detached, |shim| shim.state());
            f.write_fmt(fmt!("{}\n", state.name()))
        }
        bindings::dh_attribute_DH_REASON => f.write_fmt(fmt!("{}\n", disk.reason())),
        bindings::dh_attribute_DH_POLICY => match disk.policy() {
            Policy::Shutdown => f.write_fmt(fmt!("[shutdown] native\n")),
            Policy::Native => f.write_fmt(fmt!("shutdown [native]\n")),
        },
        bindings::dh_attribute_DH_LAST_EVENT => {
            let last = shim.and_then(|shim| shim.registry().lock().events().last().copied());
            match last {
                Some(done) => f.write_fmt(fmt!("{done}\n")),
                None => f.write_fmt(fmt!("none\n")),
            }
        }
        _ => return Err(EIO),
    };
    written.map_err(|fmt::Error| EIO)
}

/// Obeys what was written to the attribute `which` of `disk`.
///
/// The mode of the file decides who may open it; an open file can be handed on, and a root without
/// capabilities owns it too. So who writes is asked as well.
fn store(disk: &Known, which: bindings::dh_attribute, text: &[u8]) -> Result {
    may_administrate()?;
    match (which, text.trim_ascii()) {
        (bindings::dh_attribute_DH_ATTACHED, b"0") => disk.detach(),
        (bindings::dh_attribute_DH_ATTACHED, b"1") => disk.attach_again(),
        (bindings::dh_attribute_DH_POLICY, b"shutdown") => {
            disk.set_policy(Policy::Shutdown);
            Ok(())
        }
        (bindings::dh_attribute_DH_POLICY, b"native") => {
            disk.set_policy(Policy::Native);
            Ok(())
        }
        (bindings::dh_attribute_DH_CLEAR, b"1") => disk.shim().ok_or(EINVAL)?.clear(),
        _ => Err(EINVAL),
    }
}

// The prototypes in helpers.h are what C calls: a difference is an error here.
const _: () = {
    if true {
        bindings::dax_holder_attribute_show
    } else {
        dax_holder_attribute_show
    };
    if true {
        bindings::dax_holder_attribute_store
    } else {
        dax_holder_attribute_store
    };
};

/// Shows an attribute; called by `src/attributes.c`.
///
/// # Safety
///
/// `device` is the device of a disk with our attributes; `buf` has room for a page.
#[no_mangle]
unsafe extern "C" fn dax_holder_attribute_show(
    device: *mut bindings::device,
    which: bindings::dh_attribute,
    buf: *mut c_char,
) -> isize {
    from_result(|| {
        let disk = disks::find(device).ok_or(ENODEV)?;
        // SAFETY: `buf` has room for a page by this function's contract; sysfs hands it zeroed.
        let buf = unsafe { core::slice::from_raw_parts_mut(buf.cast::<u8>(), PAGE_SIZE) };
        let mut f = Formatter::new(buf);
        show(&disk, which, &mut f)?;
        Ok(f.bytes_written() as isize)
    })
}

/// Stores an attribute; called by `src/attributes.c`.
///
/// # Safety
///
/// `device` is the device of a disk with our attributes; `buf` has `count` bytes.
#[no_mangle]
unsafe extern "C" fn dax_holder_attribute_store(
    device: *mut bindings::device,
    which: bindings::dh_attribute,
    buf: *const c_char,
    count: usize,
) -> isize {
    from_result(|| {
        let disk = disks::find(device).ok_or(ENODEV)?;
        // SAFETY: By this function's contract.
        let text = unsafe { core::slice::from_raw_parts(buf.cast::<u8>(), count) };
        store(&disk, which, text)?;
        Ok(count as isize)
    })
}
