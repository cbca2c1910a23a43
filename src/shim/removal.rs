// SPDX-License-Identifier: GPL-2.0-only

//! The removal of a disk: the soft phase, the barrier, and who it waits for.

use super::{
    Shim,
    State, //
};
use crate::{
    event::{
        Kind,
        Source, //
    },
    range::RangeSet,
    sys::{
        block::BlockDevice,
        dax,
        page_map::{
            PageMap,
            Usage, //
        },
        trace, //
    }, //
};
use kernel::{
    fmt,
    prelude::*,
    sync::ArcBorrow,
    time::{
        Instant,
        Monotonic, //
    }, //
};

/// How often a removal that waits says so.
const REPORT_MS: i64 = 10_000;

/// A removal that goes on.
pub(crate) struct Removal {
    /// The removal barrier: what keeps the memory present.
    barrier: PageMap,
    since: Instant<Monotonic>,
    reported_ms: i64,
    usage: Usage,
    strangers: KVec<BlockDevice>,
    /// There are strangers that are not in the list: wait for whoever has claimed the disk.
    unlisted: bool,
    /// The sweep has been done: now the pages can be counted.
    swept: bool,
    /// The administrator gave up waiting.
    given_up: bool,
}

impl Removal {
    fn new(barrier: PageMap) -> Self {
        Self {
            barrier,
            since: Instant::now(),
            reported_ms: 0,
            usage: Usage::default(),
            strangers: KVec::new(),
            unlisted: false,
            swept: false,
            given_up: false,
        }
    }

    /// Also waits until `strangers` have closed their devices.
    pub(super) fn wait_for(&mut self, strangers: KVec<BlockDevice>, unlisted: bool) {
        self.strangers = strangers;
        self.unlisted = unlisted;
    }

    fn ms(&self) -> i64 {
        self.since.elapsed().as_millis()
    }
}

/// Says what is waited for.
impl fmt::Display for Removal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Usage {
            pages,
            mapped,
            pinned,
        } = self.usage;
        f.write_fmt(fmt!(
            "{pages} pages in use (mapped {mapped}, pinned {pinned}), {} claimed devices",
            self.strangers.len()
        ))?;
        for device in &self.strangers {
            f.write_fmt(fmt!(" {}", device.name().as_str()))?;
        }
        Ok(())
    }
}

impl Shim {
    /// The soft phase: the driver is about to be unbound, everything still works.
    ///
    /// When it returns, no process maps the memory, the file systems are down in good order, and
    /// the front is dead. The memory itself stays until the barrier is released. The parent's
    /// device lock is held. Sleeps.
    pub(crate) fn remove(this: ArcBorrow<'_, Self>) {
        let mut spare = this.handling.lock();
        this.set_state(State::Removing);
        dax::withdraw(&this.disk);
        this.take_barrier();
        this.finish_sweep(&mut spare, Kind::Removal, Source::Unbind);
        drop(spare);
        Self::kick(this);
    }

    /// The confirmation: the driver kills its DAX device. In a callback of the DAX core.
    pub(super) fn confirm(this: ArcBorrow<'_, Self>) -> Result {
        if this.state() != State::Removing {
            // No soft phase announced it. Nothing may be waited for here; the worker does.
            this.set_state(State::Removing);
            this.gate.close();
            this.take_barrier();
            Self::kick(this);
        }
        Ok(())
    }

    fn take_barrier(&self) {
        match PageMap::get(self.pages) {
            Some(barrier) => {
                trace::barrier_taken(self.disk.name().as_c_str());
                *self.removal.lock() = Some(Removal::new(barrier));
            }
            None => pr_err!(
                "{}: the memory goes at once: no barrier\n",
                self.disk.name().as_str()
            ),
        }
    }

    /// Releases the barrier if nobody uses the memory any more; `free`: nothing is stuck.
    ///
    /// Returns whether there is nothing left to wait for. In the worker.
    pub(super) fn settle_removal(this: ArcBorrow<'_, Self>, free: bool) -> bool {
        this.sweep_unannounced();
        let disk = this.disk.name();
        let mut guard = this.removal.lock();
        let Some(removal) = (*guard).as_mut() else {
            return true;
        };
        removal.strangers.retain(|device| device.claimed());
        removal.unlisted &= this.disk.claimed();
        removal.usage = removal.barrier.usage();
        let ms = removal.ms();
        let forced =
            removal.usage.pages > 0 || !removal.strangers.is_empty() || removal.unlisted || !free;
        if forced && !removal.given_up {
            if ms - removal.reported_ms >= REPORT_MS {
                removal.reported_ms = ms;
                pr_info!(
                    "{}: removal waits: {}, {} s so far\n",
                    disk.as_str(),
                    &*removal,
                    ms / 1000
                );
                for stuck in this.stuck.lock().iter() {
                    pr_info!("{}: {stuck}\n", disk.as_str());
                }
            }
            return false;
        }
        trace::barrier_released(
            disk.as_c_str(),
            removal.since.elapsed().as_nanos() as u64,
            forced,
        );
        if forced {
            pr_warn!(
                "{}: barrier released by force: {}\n",
                disk.as_str(),
                &*removal
            );
        }
        // From here on the memory may be gone.
        *guard = None;
        true
    }

    /// Sweeps for a removal that came without a soft phase; otherwise waits for the soft phase.
    fn sweep_unannounced(self: ArcBorrow<'_, Self>) {
        let swept = |shim: &Self| shim.removal.lock().as_ref().is_none_or(|r| r.swept);

        if swept(&self) {
            return;
        }
        let mut spare = self.handling.lock();
        if !swept(&self) {
            self.finish_sweep(&mut spare, Kind::Surprise, Source::Confirmation);
        }
    }

    /// Tells everybody that the whole disk goes, and kills the front. Under `handling`.
    fn finish_sweep(
        self: ArcBorrow<'_, Self>,
        spare: &mut Option<RangeSet>,
        kind: Kind,
        source: Source,
    ) {
        let (_, front_holder) = self.run(spare, kind, source, None);
        self.front.kill();
        // Held until here, for the kill calls the holder's handler.
        drop(front_holder);
        if let Some(removal) = (*self.removal.lock()).as_mut() {
            removal.swept = true;
        }
    }

    /// Gives up waiting: the barrier is released though the memory is in use.
    ///
    /// `EINVAL`: no barrier is held.
    pub(crate) fn give_up(&self) -> Result {
        let mut guard = self.removal.lock();
        let removal = (*guard).as_mut().ok_or(EINVAL)?;
        removal.given_up = true;
        pr_warn!(
            "{}: the administrator releases the barrier: {}; its users may now crash the kernel or write to memory that is no longer theirs\n",
            self.disk.name().as_str(),
            &*removal
        );
        Ok(())
    }

    /// Prints the state of the barrier, and whose pins are waited for.
    pub(crate) fn show_barrier(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.removal.lock().as_ref() {
            None => f.write_str("none\n")?,
            Some(removal) => {
                f.write_fmt(fmt!("held since {} ms: {removal}\n", removal.ms()))?;
            }
        }
        for stuck in self.stuck.lock().iter() {
            f.write_fmt(fmt!("{stuck}\n"))?;
        }
        Ok(())
    }
}
