// SPDX-License-Identifier: GPL-2.0-only

//! A registered holder's function, in C.
//!
//! C header: `include/linux/dax_holder.h`.

use crate::{
    bindings,
    event::{
        Kind,
        Told, //
    }, //
};
use core::ptr::NonNull;
use kernel::{
    ffi::{
        c_int,
        c_void, //
    },
    prelude::*, //
};

/// What a holder does, and its own pointer.
///
/// # Invariants
///
/// `ops` is valid and has a `notify_failure` for as long as the holder is registered.
pub(crate) struct Callback {
    ops: NonNull<bindings::dax_holder_client_ops>,
    private: *mut c_void,
}

// SAFETY: The function may be called on any thread; the pointer is only handed back.
unsafe impl Send for Callback {}
// SAFETY: As above.
unsafe impl Sync for Callback {}

impl Callback {
    /// Takes what a holder registers with. `EINVAL` if there is no function.
    ///
    /// # Safety
    ///
    /// `info.ops` must be NULL, or valid and unchanged for as long as the result is called.
    pub(crate) unsafe fn new(info: &bindings::dax_holder_info) -> Result<Self> {
        let ops = NonNull::new(info.ops.cast_mut()).ok_or(EINVAL)?;
        // SAFETY: By this function's contract.
        if unsafe { ops.as_ref() }.notify_failure.is_none() {
            return Err(EINVAL);
        }
        // INVARIANT: Just looked, and by this function's contract.
        Ok(Self {
            ops,
            private: info.private,
        })
    }

    /// Returns the holder's own pointer.
    pub(crate) fn private(&self) -> *mut c_void {
        self.private
    }

    /// Calls the holder `client` with `told`. Sleeps for as long as he takes.
    ///
    /// # Safety
    ///
    /// The holder must be registered, `client` the pointer that he has got for it, and no other call
    /// of his under way.
    pub(crate) unsafe fn call<T>(&self, client: *const T, told: &Told) -> Result {
        let flags = match told.kind {
            Kind::Failure => 0,
            Kind::Removal | Kind::Surprise => bindings::mf_flags_MF_MEM_PRE_REMOVE as c_int,
        };
        // SAFETY: By the type invariant, for the holder is registered.
        let function = unsafe { self.ops.as_ref() }.notify_failure.ok_or(EINVAL)?;
        let client = client.cast_mut().cast();
        // SAFETY: By this function's contract this is the call that the holder has registered for.
        match unsafe { function(client, told.hull.start(), told.hull.len(), flags) } {
            0 => Ok(()),
            errno if errno < 0 => Err(Error::from_errno(errno)),
            // Not an answer.
            _ => Err(EINVAL),
        }
    }
}
