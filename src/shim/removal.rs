// SPDX-License-Identifier: GPL-2.0-only

//! The removal of a disk: the soft phase, the barrier, and who it waits for.

use super::{
    Life,
    Shim,
    State, //
};
use crate::{
    event::{
        Kind,
        Source, //
    },
    observe::announce::plural,
    registry::Row,
    sys::{
        block::BlockDevice,
        module,
        page_map::{
            PageMap,
            Usage, //
        },
        publishing::Publishing,
        super_block::ActiveSuper,
        trace, //
    }, //
};
use kernel::{
    ffi::c_void,
    fmt,
    prelude::*,
    sync::{
        atomic::ordering,
        ArcBorrow,
        MutexGuard, //
    },
    time::{
        Instant,
        Monotonic, //
    }, //
};

/// How often a removal that waits says so.
const REPORT_MS: i64 = 10_000;

/// What came of going on with a removal.
pub(super) enum Settled {
    /// There is no removal.
    Idle,
    /// There is still somebody to wait for. Looking took `cost_ms` milliseconds.
    Waiting { cost_ms: u32 },
    /// The barrier was released just now.
    Released,
}

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
    /// Mounts and unmounts that had not ended at the sweep.
    late: KVec<BlockDevice>,
    /// The sweep is done: it is known who is to be waited for, and the pages can be counted.
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
            late: KVec::new(),
            swept: false,
            given_up: false,
        }
    }

    /// Also waits until `strangers` have closed their devices.
    pub(super) fn wait_for(
        &mut self,
        strangers: KVec<BlockDevice>,
        unlisted: bool,
        late: KVec<BlockDevice>,
    ) {
        self.strangers = strangers;
        self.unlisted = unlisted;
        self.late = late;
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
            "{}{pages} page{} in use (mapped {mapped}, pinned {pinned}), {} claimed device{}",
            if self.swept {
                ""
            } else {
                "sweep not finished, "
            },
            plural(pages),
            self.strangers.len(),
            plural(self.strangers.len() as u64)
        ))?;
        for device in &self.strangers {
            f.write_fmt(fmt!(" {}", device.name().as_str()))?;
        }
        Ok(())
    }
}

/// Says of the row of a registered holder that he is waited for.
struct Waiting<'a>(&'a Row);

impl fmt::Display for Waiting<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_fmt(fmt!(
            "{}: holder {} has not let go, last result {}",
            self.0.name.as_str(),
            self.0.kind.as_str(),
            self.0.result
        ))
    }
}

impl Shim {
    /// The soft phase: the driver is about to be unbound, everything still works.
    ///
    /// When it returns, no process maps the memory, the file systems are down in good order, and
    /// the fronts are dead. The memory itself stays until the barrier is released. The parent's
    /// device lock is held. Sleeps.
    pub(crate) fn remove(this: ArcBorrow<'_, Self>) {
        let handling = this.handling.lock();
        this.enter(Life::Removing);
        this.fronts.withdraw(&this.disk, &Publishing::begin());
        this.take_barrier();
        // The worker reports while this goes on, which may wait for pins as upstream does.
        Self::kick(this);
        this.sweep_all(&handling, Kind::Removal, Source::Unbind);
        drop(handling);
        Self::kick(this);
    }

    /// The confirmation: the driver kills its DAX device. In a callback of the DAX core.
    pub(super) fn confirm(this: ArcBorrow<'_, Self>) -> Result {
        if this.state() != State::Removing {
            // No soft phase announced it. Nothing may be waited for here; the worker does.
            this.enter(Life::Removing);
            this.gate.close();
            this.take_barrier();
            Self::kick(this);
        }
        Ok(())
    }

    fn take_barrier(&self) {
        if let Some(surprise) = (*self.removal.lock()).as_mut() {
            // It still waits, and goes on with that. The unbind sweeps once more.
            surprise.swept = false;
            return;
        }
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

    /// Returns whether the sweep is done, and it is known who is to be waited for.
    pub(super) fn is_swept(&self) -> bool {
        let removal = self.removal.lock();
        (*removal).as_ref().is_some_and(|removal| removal.swept)
    }

    /// Goes on with a removal as far as it can; `swept`: its sweep was done when it was last looked who is
    /// stuck, and `free`: nobody is. In the worker.
    ///
    /// The barrier is released when the sweep is done, the fronts are dead, and nobody uses the
    /// memory any more; or when the administrator has given up.
    pub(super) fn settle_removal(this: ArcBorrow<'_, Self>, swept: bool, free: bool) -> Settled {
        let found = (*this.removal.lock())
            .as_ref()
            .map(|removal| (removal.barrier.clone(), removal.given_up));
        let to_do = this.state() == State::Removing && !this.swept.load(ordering::Acquire);
        if to_do {
            this.sweep_unannounced();
        }
        let Some((barrier, given_up)) = found else {
            // Without a barrier nobody is waited for, but all are told: the memory goes when no page
            // is in use any more.
            return if to_do {
                Settled::Waiting { cost_ms: 0 }
            } else {
                Settled::Idle
            };
        };
        let dead = swept && this.kill_fronts();
        // Off the lock: this reads every struct page of the disk.
        let begun = Instant::<Monotonic>::now();
        let usage = if swept {
            barrier.usage()
        } else {
            Usage::default()
        };
        drop(barrier);
        let cost_ms = begun.elapsed().as_millis() as u32;

        let free = free && this.clients.settled();
        let disk = this.disk.name();
        let mut guard = this.removal.lock();
        let Some(removal) = (*guard).as_mut() else {
            return Settled::Idle;
        };
        // An unbind may have begun to sweep once more since the caller looked.
        let swept = swept && removal.swept;
        removal.strangers.retain(|device| device.claimed());
        // The partitions leave the disk before the memory does; who uses it has a front.
        removal.unlisted &= this.disk.claimed() || this.fronts.in_use();
        removal.usage = usage;
        let done = swept
            && dead
            && free
            && usage.pages == 0
            && removal.strangers.is_empty()
            && !removal.unlisted;
        // The sweep itself cannot be given up: what it works on would go under it.
        let abandoned = given_up && swept;
        if !done && !abandoned {
            let ms = removal.ms();
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
                for unreleased in this.unreleased.lock().iter() {
                    pr_info!("{}: {unreleased}\n", disk.as_str());
                }
                this.clients.each_unsettled(|row| {
                    pr_info!("{}: {}\n", disk.as_str(), Waiting(row));
                });
            }
            return Settled::Waiting { cost_ms };
        }
        trace::barrier_released(
            disk.as_c_str(),
            removal.since.elapsed().as_nanos() as u64,
            !done,
        );
        if !done {
            pr_warn!(
                "{}: barrier released by force: {}\n",
                disk.as_str(),
                &*removal
            );
            // Putting a pinned inode would evict it, which looks at pages that are about to go.
            // So its file system stays up for ever, which is part of what was warned of.
            core::mem::forget(core::mem::take(&mut *this.stuck.lock()));
            // To have a cache let go of it would write back what is not there any more.
            drop(core::mem::take(&mut *this.unreleased.lock()));
            if !dead {
                // Somebody may still call our operations, see `Front::drop()`.
                core::mem::forget(module::Pin::new());
            }
        }
        // From here on the memory may be gone.
        *guard = None;
        Settled::Released
    }

    /// Sweeps for a removal that came without a soft phase. If the soft phase runs, leaves it to it.
    fn sweep_unannounced(self: ArcBorrow<'_, Self>) {
        let Some(handling) = self.handling.try_lock() else {
            return;
        };
        if !self.swept.load(ordering::Acquire) {
            // Somebody's lookup may have published another front since the driver withdrew it.
            self.fronts.withdraw(&self.disk, &Publishing::begin());
            self.sweep_all(&handling, Kind::Surprise, Source::Confirmation);
        }
    }

    /// Tells everybody that the whole disk goes, and kills the fronts. Under `handling`.
    fn sweep_all(
        self: ArcBorrow<'_, Self>,
        handling: &MutexGuard<'_, ()>,
        kind: Kind,
        source: Source,
    ) {
        self.run(handling, kind, source, self.whole.clone());
        if !self.kill_fronts() {
            pr_info!(
                "{}: waits for a mount or an unmount of XFS to end\n",
                self.disk.name().as_str()
            );
        }
        if let Some(removal) = (*self.removal.lock()).as_mut() {
            removal.swept = true;
        }
        self.swept.store(true, ordering::Release);
    }

    /// Kills the fronts whose holders are gone or can be pinned. Returns whether all are dead.
    fn kill_fronts(&self) -> bool {
        self.fronts.kill(|front| {
            let pinned = self.pin(front.holder());
            if let Some(sb) = &pinned {
                // Mounted since the sweep, perhaps. Through the closed gate it has mapped nothing.
                let _ = sb.shutdown();
                // As XFS does when it is told of a removal: who waits to write would wait for ever.
                sb.thaw();
            }
            pinned
        })
    }

    /// Finds and pins the super block of the file system whose own object is `holder`.
    fn pin(&self, holder: *const c_void) -> Option<ActiveSuper> {
        let pin = |device: BlockDevice| {
            let sb = device.super_block().ok()??;
            sb.has_private(holder).then_some(sb)
        };
        // del_gendisk() takes the partitions from the disk; these were found before. Off the lock: the
        // last reference to a super block that is not the one unmounts it.
        let late = |at| {
            let removal = self.removal.lock();
            (*removal).as_ref()?.late.get(at).map(BlockDevice::get)
        };
        let found = self.disk.block_devices().find_map(pin);
        found.or_else(|| (0..).map_while(late).find_map(pin))
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
        for unreleased in self.unreleased.lock().iter() {
            f.write_fmt(fmt!("{unreleased}\n"))?;
        }
        let mut printed = Ok(());
        self.clients.each_unsettled(|row| {
            printed = printed.and_then(|()| f.write_fmt(fmt!("{}\n", Waiting(row))));
        });
        printed
    }
}
