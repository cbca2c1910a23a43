// SPDX-License-Identifier: GPL-2.0-only

//! Reference counts of this module and of others, and small things about the running task.

use crate::bindings;
use kernel::{
    prelude::*,
    task::might_sleep,
    types::NotThreadSafe, //
};

/// A reference to this module: it cannot be unloaded.
pub(crate) struct Pin(());

impl Pin {
    /// Takes a reference. `ENODEV` if the module is being unloaded.
    pub(crate) fn new() -> Result<Self> {
        // SAFETY: No requirements.
        if unsafe { bindings::dh_module_get() } {
            Ok(Self(()))
        } else {
            Err(ENODEV)
        }
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        // SAFETY: `new()` took the reference. The caller's code is kept by what called it: the
        // notifier chain's lock, or an open sysfs file.
        unsafe { bindings::dh_module_put() };
    }
}

/// A reference to another module: it cannot be unloaded.
///
/// # Invariants
///
/// Owns a reference to the module, NULL for the kernel itself.
pub(crate) struct Owner(*mut bindings::module);

// SAFETY: A reference to a module may be dropped on any thread.
unsafe impl Send for Owner {}

impl Owner {
    /// Takes a reference to `module`; NULL is the kernel itself. `ENODEV` if it is being unloaded.
    ///
    /// # Safety
    ///
    /// `module` must be NULL or a module whose code is running just now.
    pub(crate) unsafe fn get(module: *mut bindings::module) -> Result<Self> {
        // SAFETY: By this function's contract.
        if unsafe { bindings::try_module_get(module) } {
            // INVARIANT: The reference was just taken.
            Ok(Self(module))
        } else {
            Err(ENODEV)
        }
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the reference is ours.
        unsafe { bindings::module_put(self.0) };
    }
}

/// Within its life, this task's allocations start no I/O: the memory that fails may be the one
/// that I/O would go to.
pub(crate) struct NoIo(u32, NotThreadSafe);

impl NoIo {
    /// Enters the scope.
    pub(crate) fn new() -> Self {
        // SAFETY: Changes flags of the current task only.
        Self(unsafe { bindings::dh_noio_save() }, NotThreadSafe)
    }
}

impl Drop for NoIo {
    fn drop(&mut self) {
        // SAFETY: The flags are those that `new()` saved, for the same task: a value cannot be sent
        // to another.
        unsafe { bindings::dh_noio_restore(self.0) };
    }
}

/// Sleeps for about `ms` milliseconds.
pub(crate) fn sleep_ms(ms: u32) {
    might_sleep();
    // SAFETY: Callers may sleep.
    unsafe { bindings::dh_msleep(ms) };
}

/// Lets others run, if somebody waits. Callers may sleep.
pub(crate) fn cond_resched() {
    // SAFETY: Callers may sleep.
    unsafe { bindings::dh_cond_resched() };
}

/// `EPERM` unless the running task may administrate the system (`CAP_SYS_ADMIN`). Sets the audit's
/// mark that it was asked for.
pub(crate) fn may_administrate() -> Result {
    // SAFETY: Looks at the current task only.
    if unsafe { bindings::dh_may_administrate() } {
        Ok(())
    } else {
        Err(EPERM)
    }
}

/// Returns the error that makes the system call start again, from the entry.
pub(crate) fn restart_syscall() -> Error {
    // SAFETY: Sets a flag of the current task, which is in a system call.
    Error::from_errno(unsafe { bindings::dh_restart_syscall() })
}
