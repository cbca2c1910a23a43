// SPDX-License-Identifier: GPL-2.0-only

//! Mounted super blocks, their DAX inodes, and how to take memory away from them.
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h).

use super::block::Name;
use crate::bindings;
use core::ptr::{
    self,
    NonNull, //
};
use kernel::{
    error::to_result,
    ffi::c_void,
    prelude::*,
    task::might_sleep, //
};

/// A mounted super block with an active reference.
///
/// While it exists the file system cannot be torn down: `s_root`, `s_inodes` and `s_op` are
/// stable. An unmount detaches the mount and leaves the tearing down to whoever drops the last
/// reference - so drop it only where that may happen: in a worker, in a system call, in the soft
/// phase; never in a callback of the DAX core.
///
/// # Invariants
///
/// The super block is valid and was born; this owns one of its active references.
pub(crate) struct ActiveSuper(NonNull<bindings::super_block>);

// SAFETY: Active references may be dropped on any thread.
unsafe impl Send for ActiveSuper {}
// SAFETY: The shared methods only read fields that are stable under an active reference or
// synchronise in C.
unsafe impl Sync for ActiveSuper {}

impl ActiveSuper {
    /// Takes over an active reference.
    ///
    /// # Safety
    ///
    /// `sb` must be valid and born, and the caller must own an active reference.
    pub(super) unsafe fn from_raw(sb: NonNull<bindings::super_block>) -> Self {
        // INVARIANT: By this function's contract.
        Self(sb)
    }

    /// Takes another active reference.
    pub(crate) fn get(&self) -> Self {
        // SAFETY: Valid by the type invariant, with at least our active reference.
        unsafe { bindings::dh_super_get(self.0.as_ptr()) };
        // INVARIANT: The reference was just taken.
        Self(self.0)
    }

    /// Returns the address, only for comparing with super blocks that are held active too.
    pub(crate) fn identity(&self) -> usize {
        self.0.as_ptr() as usize
    }

    /// Returns the type of the file system, `ext4` say.
    pub(crate) fn kind(&self) -> Name {
        Name::filled(|buf, size| {
            // SAFETY: Valid by the type invariant; `buf` has `size` bytes.
            unsafe { bindings::dh_super_name(self.0.as_ptr(), buf.cast(), size) }
        })
    }

    /// Returns whether `private` is the file system's own object for this super block.
    pub(crate) fn has_private(&self, private: *const c_void) -> bool {
        // SAFETY: Valid by the type invariant; the pointer is only compared.
        unsafe { bindings::dh_super_has_fs_info(self.0.as_ptr(), private) }
    }

    /// Shuts the file system down at once, without writing back (`->shutdown`).
    ///
    /// `EOPNOTSUPP` if it cannot. Sleeps; needs no lock beyond the active reference.
    pub(crate) fn shutdown(&self) -> Result {
        // SAFETY: Valid by the type invariant.
        to_result(unsafe { bindings::dh_super_shutdown(self.0.as_ptr()) })
    }

    /// Ends a freeze that user space has begun, if there is one. Sleeps, takes `s_umount`.
    pub(crate) fn thaw(&self) {
        // SAFETY: Valid by the type invariant; the caller holds no lock of the super block.
        unsafe {
            bindings::thaw_super(
                self.0.as_ptr(),
                bindings::freeze_holder_FREEZE_HOLDER_USERSPACE,
                ptr::null(),
            )
        };
    }

    /// Starts a walk over the inodes that may have DAX mappings or entries.
    pub(crate) fn dax_inodes(&self) -> DaxInodes<'_> {
        DaxInodes {
            sb: self,
            current: None,
        }
    }
}

impl Drop for ActiveSuper {
    fn drop(&mut self) {
        // The last reference unmounts, any other only counts: say it each time.
        might_sleep();
        // SAFETY: By the type invariant we own the reference.
        unsafe { bindings::deactivate_super(self.0.as_ptr()) };
    }
}

/// A walk over inodes; not an [`Iterator`], because the place in the list is kept by the
/// reference to the inode that was returned last.
pub(crate) struct DaxInodes<'a> {
    sb: &'a ActiveSuper,
    current: Option<Inode>,
}

impl DaxInodes<'_> {
    /// Returns the next inode. Sleeps.
    pub(crate) fn next(&mut self) -> Option<&Inode> {
        let previous = self
            .current
            .as_ref()
            .map_or(ptr::null_mut(), |inode| inode.0.as_ptr());
        // SAFETY: The super block is valid by its invariant, and `previous` is NULL or an inode of
        // it with a reference, so it is still in the list.
        let next = unsafe { bindings::dh_next_dax_inode(self.sb.0.as_ptr(), previous) };
        // INVARIANT: The call returned a reference for us. The previous inode is dropped only now.
        self.current = NonNull::new(next).map(Inode);
        self.current.as_ref()
    }
}

/// A reference to an inode of a super block that somebody holds active.
///
/// # Invariants
///
/// The inode is valid and this owns a reference.
pub(crate) struct Inode(NonNull<bindings::inode>);

// SAFETY: References to inodes may be dropped on any thread.
unsafe impl Send for Inode {}

/// What a sweep of one inode did.
pub(crate) struct Swept {
    /// Pages that were in the file's DAX tree.
    pub(crate) pages: u64,
    /// Whether some are referenced, by DMA say, and therefore still there.
    pub(crate) pinned: bool,
}

impl Inode {
    /// Takes another reference.
    pub(crate) fn get(&self) -> Self {
        // SAFETY: Valid by the type invariant, with at least our reference.
        unsafe { bindings::ihold(self.0.as_ptr()) };
        // INVARIANT: The reference was just taken.
        Self(self.0)
    }

    /// Removes every translation to the file's memory, on several CPUs where that is worth it; keeps
    /// the DAX entries and with them what has to be written back. Takes the mapping's invalidate
    /// lock; sleeps.
    ///
    /// The gate must be closed before: then no translation comes back.
    pub(crate) fn unmap(&self) -> Swept {
        let mut pinned = false;
        // SAFETY: Valid by the type invariant.
        let pages = unsafe { bindings::dh_inode_unmap(self.0.as_ptr(), &mut pinned) };
        Swept {
            pages: pages as u64,
            pinned,
        }
    }

    /// Takes the memory out of the file, except for what is pinned. Takes the mapping's invalidate
    /// lock; sleeps.
    ///
    /// After [`Inode::unmap`], and with the gate still closed.
    pub(crate) fn sweep(&self) -> Swept {
        let mut pinned = false;
        // SAFETY: Valid by the type invariant.
        let pages = unsafe { bindings::dh_inode_drop(self.0.as_ptr(), &mut pinned) };
        Swept {
            pages: pages as u64,
            pinned,
        }
    }

    /// Returns whether `other` is the same inode.
    pub(crate) fn is(&self, other: &Inode) -> bool {
        self.0 == other.0
    }

    /// Returns the inode number.
    pub(crate) fn number(&self) -> u64 {
        // SAFETY: Valid by the type invariant.
        unsafe { bindings::dh_inode_number(self.0.as_ptr()) as u64 }
    }
}

impl Drop for Inode {
    fn drop(&mut self) {
        might_sleep();
        // SAFETY: By the type invariant we own the reference. The last one may evict, which waits
        // for pins; those who hold pinned inodes keep a reference elsewhere.
        unsafe { bindings::iput(self.0.as_ptr()) };
    }
}
