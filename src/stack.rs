// SPDX-License-Identifier: GPL-2.0-only

//! What is stacked on a disk: device-mapper devices on any number of levels, found when an event
//! comes, without registration, and what of the disk is under each.
//!
//! There is no way to ask device-mapper for a table from inside the kernel. But a device that
//! passes DAX on, as linear and striped ones do, tells for each of its pages which frame it is, one
//! piece at a time; so whatever was stacked how often, its translation is exact. A device that does
//! not (dm-writecache, dm-crypt, a linear one that lies on an ordinary disk too) is taken to
//! consist of all that is under it.

use crate::{
    gate::Gate,
    gates,
    range::{
        Range,
        RangeSet, //
    },
    sys::{
        block::{
            BlockDevice,
            Disk,
            Name, //
        },
        dax::DaxDevice,
        module::cond_resched,
        page_map::Pages,
        stacking::{
            self,
            Stacking, //
        }, //
    },
    translation::Translation, //
};
use kernel::{
    page::PAGE_SIZE,
    prelude::*,
    sync::Arc, //
};

const PAGE: u64 = PAGE_SIZE as u64;

/// The disks that are stacked on a disk, as they were when they were looked for.
pub(crate) struct Stack {
    layers: KVec<Layer>,
    highest: usize,
}

/// A disk that is stacked on the disk, perhaps by way of others.
pub(crate) struct Layer {
    pub(crate) disk: Disk,
    lowers: KVec<Lower>,
    /// The longest way down to the disk.
    level: usize,
    /// It passes DAX accesses on, and keeps no memory of its own accord.
    pub(crate) dax: bool,
    /// It lies directly on persistent memory and does not pass DAX on: it may have mapped it.
    pub(crate) maps: bool,
    translation: Translation,
    /// What it has of other disks, by their gates.
    elsewhere: KVec<(Arc<Gate>, RangeSet)>,
}

/// What a layer lies on.
struct Lower {
    stacking: Stacking,
    name: Name,
    number: u32,
    on: On,
}

#[derive(Clone, Copy)]
enum On {
    /// A block device of the disk: these of its bytes.
    Disk(Range),
    /// A layer, by its index.
    Layer(usize),
}

impl Stack {
    /// Looks what is stacked on `disk`, whose frames are `pages`, and what `ranges` of it are to
    /// each. Sleeps. `ENOMEM`.
    pub(crate) fn above(disk: &Disk, pages: Pages, ranges: &RangeSet) -> Result<Self> {
        let mut this = Self {
            layers: KVec::new(),
            highest: 0,
        };
        for device in disk.block_devices().filter(BlockDevice::claimed) {
            if let Some(window) = device.window() {
                this.look_above(disk, &device, On::Disk(window))?;
            }
        }
        let mut at = 0;
        while let Some(layer) = this.layers.get(at) {
            for device in layer.disk.get().block_devices() {
                let lower_disk = this.layers[at].disk.get();
                this.look_above(&lower_disk, &device, On::Layer(at))?;
            }
            at += 1;
        }
        this.find_levels();
        for level in 0..=this.highest {
            for at in 0..this.layers.len() {
                if this.layers[at].level == level {
                    this.translate(at, pages, ranges)?;
                }
            }
        }
        Ok(this)
    }

    /// Notes the disks that are stacked on `device`, a part of `disk`.
    fn look_above(&mut self, disk: &Disk, device: &BlockDevice, on: On) -> Result {
        for (upper, stacking) in stacking::above(disk, device) {
            let known = self.layers.iter().position(|layer| layer.disk.is(&upper));
            let at = match known {
                Some(at) => at,
                None => {
                    self.layers.push(Layer::new(upper), GFP_KERNEL)?;
                    self.layers.len() - 1
                }
            };
            self.layers[at].lowers.push(
                Lower {
                    stacking,
                    name: device.name(),
                    number: device.number(),
                    on,
                },
                GFP_KERNEL,
            )?;
        }
        Ok(())
    }

    fn find_levels(&mut self) {
        // As many rounds as there are levels. There is no way round in a stack that is in use; but a table that
        // is loaded and waits may lie on its own device, by way of another.
        for _ in 0..self.layers.len() {
            let mut found = true;
            for at in 0..self.layers.len() {
                let below = self.layers[at].lowers.iter().map(|lower| match lower.on {
                    On::Disk(_) => 0,
                    On::Layer(lower) => self.layers[lower].level + 1,
                });
                let level = below.max().unwrap_or(0);
                found &= self.layers[at].level == level;
                self.layers[at].level = level;
            }
            if found {
                break;
            }
        }
        self.highest = self.layers.iter().map(|l| l.level).max().unwrap_or(0);
    }

    /// Finds out what the disk is to a layer, when those below it are known.
    fn translate(&mut self, at: usize, pages: Pages, ranges: &RangeSet) -> Result {
        let device = DaxDevice::of_disk(&self.layers[at].disk);
        let maps = device.is_none()
            && self.layers[at].lowers.iter().any(|lower| match lower.on {
                On::Disk(_) => true,
                On::Layer(lower) => self.layers[lower].dax,
            });
        self.layers[at].dax = device.is_some();
        self.layers[at].maps = maps;
        if let Some(device) = device {
            match self.layers[at].probe(&device, pages, ranges) {
                Ok(()) => return Ok(()),
                Err(e) if e == ENOMEM => return Err(e),
                // It has no live table, or a piece of it cannot be reached.
                Err(_) => {}
            }
        }
        // All that is under it.
        let mut all = Translation::new();
        let mut touched = false;
        for lower in &self.layers[at].lowers {
            match lower.on {
                On::Disk(window) => {
                    touched |= ranges.overlaps(window);
                    all.footprint.insert(window)?;
                }
                On::Layer(lower) => {
                    let lower = &self.layers[lower].translation;
                    touched |= !lower.touched.is_empty();
                    all.footprint.insert_all(&lower.footprint)?;
                }
            }
        }
        if touched {
            all.touched
                .insert(Range::whole(self.layers[at].disk.bytes()))?;
        }
        self.layers[at].translation = all;
        Ok(())
    }

    fn at_level(&self, level: usize) -> impl Iterator<Item = &Layer> {
        self.layers.iter().filter(move |layer| layer.level == level)
    }

    /// Iterates over the layers, whoever lies on another before it.
    pub(crate) fn top_down(&self) -> impl Iterator<Item = &Layer> {
        let levels = (0..=self.highest).rev();
        levels.flat_map(|level| self.at_level(level))
    }

    /// Iterates over the layers, whoever lies on another after it.
    pub(crate) fn bottom_up(&self) -> impl Iterator<Item = &Layer> {
        (0..=self.highest).flat_map(|level| self.at_level(level))
    }

    /// Returns the layer that lies directly on the block device `name`, one of them if there are
    /// more.
    pub(crate) fn on(&self, name: &Name) -> Option<&Layer> {
        let is_on = |layer: &&Layer| layer.lowers.iter().any(|lower| lower.name == *name);
        self.layers.iter().find(is_on)
    }
}

/// How many levels are looked through without memory.
const MOST_LEVELS: usize = 8;

/// Returns on which level above `disk` the disk `upper` is, by the longest way; 0: it is not.
fn level(disk: &Disk, upper: &Disk, most: usize) -> usize {
    let mut level = 0;
    if most == 0 {
        return level;
    }
    for device in disk.block_devices().filter(BlockDevice::claimed) {
        for (next, _) in stacking::above(disk, &device) {
            let found = if next.is(upper) {
                1
            } else {
                match self::level(&next, upper, most - 1) {
                    0 => 0,
                    more => more + 1,
                }
            };
            level = level.max(found);
        }
    }
    level
}

/// Calls `f` with every disk that is stacked on `disk`, the lowest first or the highest, without memory:
/// when there is none for a [`Stack`]. Looks at every disk of the machine, often. Sleeps.
pub(crate) fn each_above(disk: &Disk, top_down: bool, mut f: impl FnMut(&Disk)) {
    for turn in 1..=MOST_LEVELS {
        let now = if top_down {
            MOST_LEVELS + 1 - turn
        } else {
            turn
        };
        let is_now = |upper: &Disk| level(disk, upper, MOST_LEVELS) == now;
        for upper in stacking::every(disk).filter(is_now) {
            f(&upper);
        }
    }
}

/// Returns whether a disk is stacked on `device`, a part of `disk`. Takes no memory. Sleeps.
pub(crate) fn is_below(disk: &Disk, device: &BlockDevice) -> bool {
    stacking::above(disk, device).next().is_some()
}

impl Layer {
    /// A device in more pieces than this is taken to consist of all that is under it: looking at each
    /// would take longer than the sweep of its file system. Striped in chunks of 64 KiB it has 64 GiB.
    const MOST_PIECES: u32 = 1 << 20;

    fn new(disk: Disk) -> Self {
        Self {
            disk,
            lowers: KVec::new(),
            level: 0,
            dax: false,
            maps: false,
            translation: Translation::new(),
            elsewhere: KVec::new(),
        }
    }

    /// Asks `device`, the layer's own, piece by piece, where its pages are.
    fn probe(&mut self, device: &DaxDevice, pages: Pages, ranges: &RangeSet) -> Result {
        let all = self.disk.bytes() / PAGE;
        let (mut page, mut pieces) = (0, 0);
        while page < all {
            let (frame, count) = device.frames(page, all - page)?;
            if let Some(place) = pages.bytes(frame, count) {
                self.translation.add(page * PAGE, place, ranges)?;
            } else if let Some((gate, other)) = gates::of_frame(frame) {
                if let Some(place) = other.bytes(frame, count) {
                    self.note_elsewhere(gate, place)?;
                }
            }
            page += count;
            pieces += 1;
            if pieces > Self::MOST_PIECES {
                return Err(E2BIG);
            }
            cond_resched();
        }
        Ok(())
    }

    fn note_elsewhere(&mut self, gate: Arc<Gate>, place: Range) -> Result {
        for (known, places) in &mut self.elsewhere {
            if Arc::ptr_eq(known, &gate) {
                return places.insert(place);
            }
        }
        let mut places = RangeSet::new();
        places.insert(place)?;
        Ok(self.elsewhere.push((gate, places), GFP_KERNEL)?)
    }

    /// Returns the bytes of the disk that the layer consists of.
    pub(crate) fn footprint(&self) -> &RangeSet {
        &self.translation.footprint
    }

    /// Returns the part of the event that concerns the layer, in its own bytes.
    pub(crate) fn touched(&self) -> &RangeSet {
        &self.translation.touched
    }

    /// Returns what the layer has of other disks, by their gates.
    pub(crate) fn elsewhere(&self) -> impl Iterator<Item = (&Gate, Range)> {
        self.elsewhere
            .iter()
            .flat_map(|(gate, places)| places.iter().map(move |place| (&**gate, place)))
    }

    /// Returns the name of the block device that the layer lies on, the first if there are more.
    pub(crate) fn lower_name(&self) -> Name {
        self.lowers
            .first()
            .map_or(Name::new("?"), |lower| lower.name)
    }

    /// Returns the device numbers of the layer itself and of what it lies on.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = u32> + '_ {
        let own = self.disk.block_devices().next().map(|own| own.number());
        let lowers = self.lowers.iter().map(|lower| lower.number);
        Iterator::chain(own.into_iter(), lowers)
    }

    /// Returns whether the layer still lies on anything that it lay on. A snapshot.
    pub(crate) fn is_stacked(&self) -> bool {
        self.lowers.iter().any(|lower| lower.stacking.holds())
    }

    /// Returns that the layer lies on what it lies on, to see when it does not any more.
    pub(crate) fn stackings(&self) -> impl Iterator<Item = Stacking> + '_ {
        self.lowers.iter().map(|lower| lower.stacking.get())
    }
}
