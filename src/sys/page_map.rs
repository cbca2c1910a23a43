// SPDX-License-Identifier: GPL-2.0-only

//! The page map of a persistent memory device: what keeps its memory present.
//!
//! C header: [`include/linux/memremap.h`](srctree/include/linux/memremap.h).

use crate::{
    bindings,
    range::Range, //
};
use core::ptr::NonNull;
use kernel::{
    ffi::c_ulong,
    page::PAGE_SIZE, //
};

/// The pages of a disk.
///
/// # Invariants
///
/// While the disk's memory is there, each of the `count` pages from `first` on has a `struct page`,
/// and all belong to one page map.
#[derive(Clone, Copy)]
pub(crate) struct Pages {
    first: c_ulong,
    count: c_ulong,
}

impl Pages {
    /// `first` is the page frame number of a disk's first page, `count` the number of its pages.
    pub(crate) fn new(first: c_ulong, count: c_ulong) -> Self {
        // INVARIANT: What nd_pmem makes a disk of is one range of one page map.
        Self { first, count }
    }

    /// Returns the bytes of the disk that the `count` page frames from `first` on are, as far as
    /// they are of this disk.
    pub(crate) fn bytes(&self, first: c_ulong, count: u64) -> Option<Range> {
        const PAGE: u64 = PAGE_SIZE as u64;

        let index = (first as u64).checked_sub(self.first as u64)?;
        let rest = (self.count as u64).checked_sub(index)?;
        Range::new(index.checked_mul(PAGE)?, rest.min(count).checked_mul(PAGE)?).ok()
    }
}

/// A reference to a page map: `memunmap_pages()` waits for it, so the memory, its `struct page`s
/// and its kernel mapping stay. The removal barrier.
///
/// # Invariants
///
/// `map` is valid, is the page map of `pages`, and this owns a reference.
pub(crate) struct PageMap {
    map: NonNull<bindings::dev_pagemap>,
    pages: Pages,
}

// SAFETY: References to a page map may be dropped on any thread.
unsafe impl Send for PageMap {}

/// How many pages somebody uses.
#[derive(Clone, Copy, Default)]
pub(crate) struct Usage {
    /// Pages in use in any way.
    pub(crate) pages: u64,
    /// Of these, pages in a file's DAX tree.
    pub(crate) mapped: u64,
    /// Of these, pages with more references than processes' mappings: pinned, by DMA say.
    pub(crate) pinned: u64,
}

impl PageMap {
    /// Takes a reference. `None` if the memory is already going. Does not sleep.
    pub(crate) fn get(pages: Pages) -> Option<Self> {
        // SAFETY: Any page frame number may be asked for.
        let map = unsafe { bindings::get_dev_pagemap(pages.first) };
        // INVARIANT: A non-NULL result is the page map of the first page, so of all, and a
        // reference for us.
        NonNull::new(map).map(|map| Self { map, pages })
    }

    /// Counts the pages that are in use. Reads one `struct page` per page; sleeps now and then.
    pub(crate) fn usage(&self) -> Usage {
        let mut usage = bindings::dh_usage::default();
        // SAFETY: By the type invariant the reference keeps the `struct page`s of `pages`.
        unsafe { bindings::dh_pagemap_usage(self.pages.first, self.pages.count, &mut usage) };
        Usage {
            pages: usage.pages as u64,
            mapped: usage.mapped as u64,
            pinned: usage.pinned as u64,
        }
    }
}

impl Clone for PageMap {
    fn clone(&self) -> Self {
        // SAFETY: Valid by the type invariant, with at least our reference.
        unsafe { bindings::dh_pagemap_get(self.map.as_ptr()) };
        // INVARIANT: The reference was just taken.
        Self {
            map: self.map,
            pages: self.pages,
        }
    }
}

impl Drop for PageMap {
    fn drop(&mut self) {
        // SAFETY: By the type invariant we own the reference.
        unsafe { bindings::dh_pagemap_put(self.map.as_ptr()) };
    }
}
