// SPDX-License-Identifier: GPL-2.0-only

//! File systems: shutdown, and the sweep of every mapping, per inode and not per page.

use super::{
    Holder,
    Left, //
};
use crate::{
    event::{
        Kind,
        Told, //
    },
    observe::announce::plural,
    range::Range,
    registry::Report,
    sys::{
        block::{
            BlockDevice,
            Name, //
        },
        super_block::{
            ActiveSuper,
            Inode,
            Swept, //
        }, //
    }, //
};
use kernel::{
    fmt,
    prelude::*,
    time::{
        Instant,
        Monotonic, //
    }, //
};

/// How a file system reaches its data.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// In place, as far as it is mounted with DAX.
    Direct,
    /// By I/O, for something between it and the disk does not pass DAX on.
    Cached,
    /// By I/O, and all of that fails already.
    CutOff,
}

/// A mounted file system.
pub(crate) struct Filesystem {
    device: BlockDevice,
    sb: ActiveSuper,
    access: Access,
}

/// Inodes with pinned pages, kept until the pins have gone.
///
/// Without our reference the last user's `close()` would start an eviction, which waits for the
/// pins without a word and cannot be interrupted (`dax_break_layout_final()`).
pub(crate) struct Stuck {
    // The order matters: the inodes go before their super block.
    inodes: KVec<Inode>,
    // Never read: it keeps the super block of the inodes.
    _sb: Option<ActiveSuper>,
    /// What the file system holds.
    pub(crate) name: Name,
    /// The bytes of the disk that nobody maps once the pins have gone, if that can be told.
    pub(crate) quiet: Option<Range>,
    /// There was no memory to keep one of the inodes.
    lost: bool,
    since: Instant<Monotonic>,
}

impl Stuck {
    /// Starts an empty list for a holder.
    fn new(name: Name) -> Self {
        Self {
            inodes: KVec::new(),
            _sb: None,
            name,
            quiet: None,
            lost: false,
            since: Instant::now(),
        }
    }

    /// Keeps `inode`, once. Without memory for it, says so: its eviction will wait for the pins.
    fn keep(&mut self, inode: &Inode) {
        if self.inodes.iter().any(|known| known.is(inode)) {
            return;
        }
        if self.inodes.push(inode.get(), GFP_KERNEL).is_err() {
            self.lost = true;
            pr_warn!(
                "{}: no memory to keep pinned inode {}\n",
                self.name.as_str(),
                inode.number()
            );
        }
    }

    /// Returns how many inodes are still pinned.
    pub(crate) fn len(&self) -> usize {
        self.inodes.len()
    }

    /// Tries again, and lets go of the inodes whose pins have gone.
    pub(crate) fn retry(&mut self) {
        self.inodes.retain(|inode| inode.sweep().pinned);
    }
}

/// Says who is waited for.
impl fmt::Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_fmt(fmt!(
            "{}: {} inode{} with pinned pages for {} ms, inode {} first",
            self.name.as_str(),
            self.inodes.len(),
            plural(self.inodes.len() as u64),
            self.since.elapsed().as_millis(),
            self.inodes.first().map_or(0, Inode::number)
        ))
    }
}

impl Filesystem {
    /// The file system `sb` on `device`.
    pub(crate) fn new(device: BlockDevice, sb: ActiveSuper, access: Access) -> Self {
        Self { device, sb, access }
    }

    /// Returns the super block.
    pub(crate) fn sb(&self) -> &ActiveSuper {
        &self.sb
    }

    /// Returns the block device.
    pub(crate) fn device(&self) -> &BlockDevice {
        &self.device
    }

    /// Walks the inodes with DAX mappings or entries, keeps the pinned ones, and counts.
    fn walk(&self, stuck: &mut Stuck, step: impl Fn(&Inode) -> Swept) -> Report {
        let mut report = Report::of(Ok(()));
        let mut inodes = self.sb.dax_inodes();
        while let Some(inode) = inodes.next() {
            let swept = step(inode);
            if swept.pages > 0 || swept.pinned {
                report.inodes += 1;
                report.pages += swept.pages;
            }
            if swept.pinned {
                report.pins += 1;
                stuck.keep(inode);
            }
        }
        report
    }

    /// The memory goes, but still works: save what can be saved. Or nothing can be written any more,
    /// so that what is tried to be saved is known to be lost.
    fn leave(&self, stuck: &mut Stuck) -> Report {
        // Unmapping first makes every process that writes stop; what it wrote stays tagged as
        // dirty. Pinned inodes are kept before the block layer evicts what nobody uses: that
        // eviction would wait for the pins.
        let unmapped = self.walk(stuck, Inode::unmap);
        // A shutdown in the middle of a write makes ext4 7.3 forget to convert unwritten extents,
        // while fsync() succeeds; so there must be none. But where pages of the disk can be pinned a freeze
        // would wait for a writer who waits for a pin; and what is written in place has no such extents.
        if self.access == Access::Cached {
            if let Some(_frozen) = self.device.freeze() {
                let _ = self.sb.shutdown();
            }
        }
        if stuck.lost {
            // An eviction would wait for pins here, and those behind us would not be told for as long.
            let _ = self.sb.shutdown();
        } else {
            // Write back and shut down, as del_gendisk() will once more, in vain.
            self.device.mark_dead();
        }
        // Most that are pinned are in the list already; but a page may be referenced for a moment, by
        // who looks whether it is still mapped, and then be seen by this one only.
        let swept = self.walk(stuck, Inode::sweep);
        Report {
            inodes: unmapped.inodes.max(swept.inodes),
            pages: unmapped.pages.max(swept.pages),
            pins: unmapped.pins.max(swept.pins),
            result: Ok(()),
        }
    }

    /// The memory is bad: write nothing back, it could be read for that.
    fn fall(&self, stuck: &mut Stuck, kind: Kind) -> Report {
        let down = self.sb.shutdown();
        let mut report = self.walk(stuck, Inode::unmap);
        // After a failure the entries of its files stay until it is unmounted, or until the disk goes:
        // the memory is there, and nobody reaches it. To take them out would take as long again.
        if kind != Kind::Failure {
            report.pins = report.pins.max(self.walk(stuck, Inode::sweep).pins);
        }
        report.result = down;
        report
    }
}

impl Holder for Filesystem {
    fn name(&self) -> Name {
        self.device.name()
    }

    fn kind(&self) -> Name {
        self.sb.kind()
    }

    fn notify_failure(self, told: &Told) -> (Report, Option<Left>) {
        let mut stuck = Stuck::new(self.name());
        let report = match told.kind {
            Kind::Removal => self.leave(&mut stuck),
            _ if self.access == Access::CutOff => self.leave(&mut stuck),
            Kind::Failure | Kind::Surprise => self.fall(&mut stuck, told.kind),
        };
        if stuck.inodes.is_empty() {
            return (report, None);
        }
        // For as long as inodes of it are stuck.
        stuck._sb = Some(self.sb);
        (report, Some(Left::Pins(stuck)))
    }
}
