// SPDX-License-Identifier: GPL-2.0-only

//! The shim: our object for one attached disk, and the life of events on it.
//!
//! Locks, outer to inner: the parent's device lock - `handling` - the right to publish - the table of
//! disks and a disk's own, both held for a moment - `removal` - `unreleased` - `stuck` - the list of
//! fronts - `registry` - those of the registered holders (see `clients`) - the list of gates - a
//! gate's. A callback of the DAX core takes none but `pending` (a spinlock), the lock of the list of
//! registered holders, the gate's, and `removal` if nobody announced the removal: whoever holds
//! `handling` waits for grace periods that such a callback would hold up.

mod publish;
mod removal;

use self::removal::{
    Removal,
    Settled, //
};
use crate::{
    bindings,
    clients::Clients,
    event::{
        Added,
        Coalescer,
        Event,
        Kind,
        Source, //
    },
    fanout::{
        self,
        Outcome,
        PolicyCell,
        Site,
        Unsettled, //
    },
    fronts::Fronts,
    gate::Gate,
    gates,
    holders::{
        Stuck,
        Unreleased, //
    },
    observe::announce,
    range::{
        Range,
        RangeSet, //
    },
    registry::{
        Done,
        Registry, //
    },
    stack::Stack,
    sys::{
        block::Disk,
        dax::{
            DaxDevice,
            GracePeriod,
            Memory,
            SlotHolder, //
        },
        module::{
            sleep_ms,
            NoIo, //
        },
        page_map::Pages,
        publishing::Room,
        trace,
        work, //
    }, //
};
use kernel::{
    ffi::c_int,
    impl_has_work,
    new_mutex,
    new_spinlock,
    new_work,
    page::PAGE_SIZE,
    prelude::*,
    sync::{
        atomic::{
            ordering,
            Atomic, //
        },
        Arc,
        ArcBorrow,
        Mutex,
        MutexGuard,
        SpinLock, //
    },
    time::{
        Instant,
        Monotonic, //
    },
    workqueue::{
        Work,
        WorkItem, //
    }, //
};

/// How a disk is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Not attached: no front is published.
    Detached,
    /// Attached, nothing has failed.
    Active,
    /// An event was accepted, here or on another disk under the same holder; ranges are refused.
    Failed,
    /// The disk is going.
    Removing,
}

impl State {
    /// Returns the word that user space sees.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Detached => "detached",
            Self::Active => "active",
            Self::Failed => "failed",
            Self::Removing => "removing",
        }
    }
}

/// How far the shim is in its life.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
enum Life {
    Detached,
    Attached,
    Removing,
}

/// An attached disk.
#[pin_data]
pub(crate) struct Shim {
    // Before the gate that their operations ask.
    #[pin]
    fronts: Fronts,
    // Before the device below, which it names.
    _room: Room,
    gate: Arc<Gate>,
    _listed: gates::Listed,
    grace: GracePeriod,
    disk: Arc<Disk>,
    pages: Pages,
    policy: Arc<PolicyCell>,
    life: Atomic<u32>,
    sequence: Atomic<u64>,
    /// The whole disk was swept for its removal.
    swept: Atomic<bool>,
    /// How often in a row an event was put off.
    put_offs: Atomic<u32>,
    /// Failures that came from the DAX core and wait for the worker.
    #[pin]
    pending: SpinLock<Coalescer>,
    /// All of the disk, as the ranges of an event.
    whole: Arc<RangeSet>,
    clients: Arc<Clients>,
    /// Serialises events.
    #[pin]
    handling: Mutex<()>,
    #[pin]
    registry: Mutex<Registry>,
    /// File systems with pinned pages; the worker tries them again.
    #[pin]
    stuck: Mutex<KVec<Stuck>>,
    /// Stacked disks that have not let go of the memory; the worker has the agent try again.
    #[pin]
    unreleased: Mutex<KVec<Unreleased>>,
    /// The removal that goes on, and its barrier.
    #[pin]
    removal: Mutex<Option<Removal>>,
    #[pin]
    work: Work<Shim>,
}

impl_has_work! {
    impl HasWork<Self> for Shim { self.work }
}

#[cfg(CONFIG_PROVE_LOCKING)]
use crate::sys::{
    dax::ReadLock,
    publishing::Publishing, //
};

impl Shim {
    /// Makes the shim for `disk`, whose DAX device is `lower`. Nothing is published yet.
    pub(crate) fn new(
        disk: Arc<Disk>,
        lower: DaxDevice,
        policy: Arc<PolicyCell>,
    ) -> Result<Arc<Self>> {
        let memory = Memory::of(&lower, &disk)?;
        let pages = Pages::new(memory.frame(), (disk.bytes() / PAGE_SIZE as u64) as usize);
        let gate = Arc::pin_init(Gate::new(lower, memory), GFP_KERNEL)?;
        let room = Room::new(&disk, gate.lower_device())?;
        let fronts = Fronts::new(gate.clone())?;
        let listed = gates::Listed::new(gate.clone(), pages)?;
        let grace = GracePeriod::new()?;
        let registry = Registry::new()?;
        let mut whole = RangeSet::new();
        whole.insert(Range::whole(disk.bytes()))?;
        let whole = Arc::new(whole, GFP_KERNEL)?;
        let clients = Clients::new()?;
        let shim = Arc::pin_init(
            pin_init!(Self {
                fronts <- fronts,
                _room: room,
                gate,
                _listed: listed,
                grace,
                disk,
                pages,
                policy,
                life: Atomic::new(Life::Detached as u32),
                sequence: Atomic::new(0),
                swept: Atomic::new(false),
                put_offs: Atomic::new(0),
                pending <- new_spinlock!(Coalescer::new(), "dax_holder::Shim::pending"),
                whole,
                clients,
                handling <- new_mutex!((), "dax_holder::Shim::handling"),
                registry <- new_mutex!(registry, "dax_holder::Shim::registry"),
                stuck <- new_mutex!(KVec::new(), "dax_holder::Shim::stuck"),
                unreleased <- new_mutex!(KVec::new(), "dax_holder::Shim::unreleased"),
                removal <- new_mutex!(None, "dax_holder::Shim::removal"),
                work <- new_work!("dax_holder::Shim::work"),
            }),
            GFP_KERNEL,
        )?;
        #[cfg(CONFIG_PROVE_LOCKING)]
        shim.teach_lock_order();
        Ok(shim)
    }

    /// Takes every lock once in the documented order, so that lockdep reports whoever takes two of
    /// them in another order, or waits for a grace period with one that a callback takes, the first
    /// time that happens, whether or not the right order has been seen on its own by then.
    #[cfg(CONFIG_PROVE_LOCKING)]
    fn teach_lock_order(&self) {
        let gates = || gates::teach_lock_order(&self.gate);
        {
            let _handling = self.handling.lock();
            let publishing = Publishing::begin();
            self.grace.wait();
            self.fronts.teach_lock_order(|| {});
            drop(publishing);
            let _removal = self.removal.lock();
            let _unreleased = self.unreleased.lock();
            let _stuck = self.stuck.lock();
            self.fronts.teach_lock_order(|| {
                let _registry = self.registry.lock();
                self.clients.teach_lock_order(gates);
            });
        }
        // A callback of the DAX core.
        let _callback = ReadLock::new();
        let _removal = self.removal.lock();
        self.clients.teach_lock_order(gates);
        let _pending = self.pending.lock();
    }

    /// Returns the disk.
    pub(crate) fn disk(&self) -> &Disk {
        &self.disk
    }

    /// Returns the books of the disk.
    pub(crate) fn registry(&self) -> &Mutex<Registry> {
        &self.registry
    }

    /// Returns the registered holders.
    pub(crate) fn clients(&self) -> &Arc<Clients> {
        &self.clients
    }

    /// Returns whether `device` is a front or the device below. Only compares.
    pub(crate) fn has_dax_device(&self, device: *const bindings::dax_device) -> bool {
        self.fronts.has(device) || self.gate.lower_device().is(device)
    }

    /// Returns the state. A snapshot.
    pub(crate) fn state(&self) -> State {
        let life = self.life.load(ordering::Acquire);
        if life == Life::Removing as u32 {
            State::Removing
        } else if life == Life::Detached as u32 {
            State::Detached
        } else if self.gate.is_open() {
            State::Active
        } else {
            State::Failed
        }
    }

    /// Goes on in life; what is being removed stays so, whoever comes late.
    fn enter(&self, life: Life) {
        let mut now = self.life.load(ordering::Relaxed);
        while now != Life::Removing as u32 {
            match self.life.cmpxchg(now, life as u32, ordering::Full) {
                Ok(_) => return,
                Err(changed) => now = changed,
            }
        }
    }

    /// Looks what is stacked on the disk, and what `ranges` are to it.
    pub(crate) fn stack(&self, ranges: &RangeSet) -> Option<Stack> {
        let stack = Stack::above(&self.disk, self.pages, ranges);
        stack
            .inspect_err(|e| {
                let disk = self.disk.name().as_str();
                pr_warn!(
                    "{disk}: what is stacked on it is not known: error {}\n",
                    e.to_errno()
                );
            })
            .ok()
    }

    /// As [`Shim::stack`], more patient: an event that has to do without takes more down than has failed.
    fn stack_for_event(&self, ranges: &RangeSet) -> Option<Stack> {
        const TRIES: u32 = 5;
        const STEP_MS: u32 = 10;

        (0..TRIES).find_map(|tried| {
            if tried > 0 {
                sleep_ms(STEP_MS);
            }
            self.stack(ranges)
        })
    }

    /// Has the worker look.
    fn kick(this: ArcBorrow<'_, Self>) {
        if let Some(queue) = work::events() {
            // Queued already is as good.
            let _ = queue.enqueue(Arc::from(this));
        }
    }

    /// Runs the failure of `ranges`, whichever way it was reported, to its end. `None`: there was no
    /// memory to list them; then, as without memory in here, it is the failure of the whole disk.
    ///
    /// `ESHUTDOWN`: the disk is going.
    pub(crate) fn fail(
        this: ArcBorrow<'_, Self>,
        source: Source,
        ranges: Option<RangeSet>,
    ) -> Result<Done> {
        let ranges = ranges.and_then(|ranges| Arc::new(ranges, GFP_KERNEL).ok());
        let handling = this.handling.lock();
        if this.state() == State::Removing || this.state() == State::Detached {
            return Err(ESHUTDOWN);
        }
        let ranges = ranges.unwrap_or_else(|| {
            pr_warn!(
                "{}: no memory: the whole disk is closed\n",
                this.disk.name().as_str()
            );
            this.all_of_it()
        });
        Ok(this.run(&handling, Kind::Failure, source, ranges))
    }

    /// Closes the gate, since it cannot be said for what. Returns the ranges of the event that comes of it.
    fn all_of_it(&self) -> Arc<RangeSet> {
        self.gate.close();
        self.whole.clone()
    }

    /// Runs an event: closes the gate, tells the holders, keeps the books. Under `handling`.
    fn run(
        self: ArcBorrow<'_, Self>,
        _handling: &MutexGuard<'_, ()>,
        kind: Kind,
        source: Source,
        ranges: Arc<RangeSet>,
    ) -> Done {
        let begun = Instant::<Monotonic>::now();
        let _noio = NoIo::new();
        let mut event = Event {
            seq: self.sequence.fetch_add(1, ordering::Relaxed) + 1,
            kind,
            source,
            ranges,
        };
        let disk = self.disk.name().as_c_str();
        trace::event_accepted(disk, &event);
        if kind != Kind::Failure {
            self.gate.close();
        } else {
            // On ENOMEM the whole gate is closed: more is refused than has failed, never less.
            if self.gate.fail(&event.ranges).is_err() {
                pr_warn!(
                    "{}: no memory: the whole disk is closed\n",
                    self.disk.name().as_str()
                );
            }
        }
        trace::gate_closed(disk, event.seq, event.ranges.bytes());
        self.grace.wait();
        let stack = self.stack_for_event(&event.ranges);
        if stack.is_none() && kind == Kind::Failure {
            // Whose bytes these are is not known.
            event.ranges = self.all_of_it();
            self.grace.wait();
        }
        let outcome = fanout::run(
            &Site {
                disk: &self.disk,
                gate: &self.gate,
                fronts: &self.fronts,
                grace: &self.grace,
                policy: self.policy.get(),
                registry: &self.registry,
                clients: &self.clients,
                stack: stack.as_ref(),
                unreleased: &self.unreleased,
            },
            &event,
        );
        drop(stack);
        let Outcome {
            holders,
            result,
            stuck,
            unkept,
            unreleased,
            strangers,
            unlisted,
            unsettled,
            late,
        } = outcome;
        let lost = self.keep_stuck(stuck);
        let unlisted = self.keep_unreleased(unreleased) | unlisted;
        if kind == Kind::Failure {
            self.put_off(&event, &unsettled);
        }
        if let Some(removal) = (*self.removal.lock()).as_mut() {
            removal.wait_for(strangers, unlisted, late);
        }
        let done = Done::new(
            &event,
            holders,
            result,
            begun.elapsed().as_micros_ceil() as u64,
        );
        self.registry.lock().push(done);
        announce::event(&self.disk, &done);
        // Only now, since an eviction waits for pins.
        drop((unkept, lost));
        done
    }

    /// Has the worker tell those later who could not be told, of what they were to be told.
    fn put_off(self: ArcBorrow<'_, Self>, event: &Event, unsettled: &Unsettled) {
        /// A minute: each try waits for five seconds itself (see `fanout`).
        const MOST: u32 = 12;

        if unsettled[0].is_none() {
            self.put_offs.store(0, ordering::Relaxed);
            return;
        }
        if self.put_offs.fetch_add(1, ordering::Relaxed) >= MOST {
            pr_warn!(
                "{}: a mount or unmount does not end: not told of event {}\n",
                self.disk.name().as_str(),
                event.seq
            );
            self.put_offs.store(0, ordering::Relaxed);
            return;
        }
        let mut again = false;
        for window in unsettled.iter().flatten() {
            for range in event.ranges.iter().filter_map(|r| r.intersect(*window)) {
                // What does not fit makes the worker look at all that has failed.
                self.pending.lock().add(range);
                again = true;
            }
        }
        if again {
            Self::kick(self);
        }
    }

    /// Has the worker wait for pinned inodes. Without memory gives them back: to drop them is to wait here.
    fn keep_stuck(self: ArcBorrow<'_, Self>, found: KVec<Stuck>) -> Option<KVec<Stuck>> {
        if found.is_empty() {
            return None;
        }
        for stuck in &found {
            pr_info!("{}: {stuck}\n", self.disk.name().as_str());
        }
        let lost = append(&mut self.stuck.lock(), found).err();
        Self::kick(self);
        lost
    }

    /// Has the worker see to stacked disks that have not let go. Returns whether there was no memory
    /// to note one.
    fn keep_unreleased(self: ArcBorrow<'_, Self>, found: KVec<Unreleased>) -> bool {
        if found.is_empty() {
            return false;
        }
        let lost = append(&mut self.unreleased.lock(), found).err();
        Self::kick(self);
        lost.is_some()
    }

    /// Has the agent try again where it is time. Returns whether no stacked disk is left.
    fn retry_unreleased(&self) -> bool {
        let mut list = self.unreleased.lock();
        list.retain(|unreleased| {
            let released = unreleased.retry();
            if released {
                pr_info!(
                    "{}: {} on {} has let go\n",
                    self.disk.name().as_str(),
                    unreleased.upper.name().as_str(),
                    unreleased.name.as_str()
                );
                if let Some(row) = self.registry.lock().let_go(&unreleased.name) {
                    row.result = 0;
                }
            }
            !released
        });
        list.is_empty()
    }

    /// Tries the stuck file systems again. Returns whether none is left.
    fn retry_stuck(&self) -> bool {
        // Off the lock: the last reference to a super block unmounts it.
        let mut list = core::mem::take(&mut *self.stuck.lock());
        for stuck in list.iter_mut() {
            stuck.retry();
            if stuck.len() == 0 {
                if let Some(window) = stuck.quiet {
                    let _ = self.gate.mark_quiet(window);
                }
                self.registry.lock().let_go(&stuck.name);
            }
        }
        list.retain(|stuck| stuck.len() > 0);
        let mut now = self.stuck.lock();
        let came = core::mem::replace(&mut *now, list);
        let lost = append(&mut now, came).err();
        let free = now.is_empty();
        drop(now);
        // Without memory the pins are waited for here, by the eviction; at least off the lock.
        drop(lost);
        free
    }

    /// Handles what the DAX core has reported.
    fn handle_pending(this: ArcBorrow<'_, Self>) -> Pending {
        if this.pending.lock().is_empty() {
            return Pending::None;
        }
        // Not to be waited for: a removal that sweeps is to be reported on meanwhile.
        let Some(handling) = this.handling.try_lock() else {
            return Pending::Later;
        };
        let pending = this.pending.lock().take();
        if matches!(this.state(), State::Removing | State::Detached) {
            return Pending::None;
        }
        let ranges = if this.gate.is_closed() {
            // There was no memory to note a failure.
            None
        } else if pending.overflowed() {
            // Too scattered to be listed; the gate has them all, and perhaps some that were told.
            this.gate.unquiet(|range| this.clients.hold(range)).ok()
        } else {
            pending.to_set().ok()
        };
        if ranges.as_ref().is_some_and(RangeSet::is_empty) {
            return Pending::Handled;
        }
        let ranges = ranges.and_then(|ranges| Arc::new(ranges, GFP_KERNEL).ok());
        let ranges = ranges.unwrap_or_else(|| this.all_of_it());
        this.run(&handling, Kind::Failure, Source::MemoryFailure, ranges);
        Pending::Handled
    }

    /// Opens the gate again after a failure whose holders are gone.
    ///
    /// `EBUSY`: somebody is still on a part that is refused, or is still to be told. `EINVAL`: nothing
    /// has failed.
    pub(crate) fn clear(&self) -> Result {
        let _handling = self.handling.lock();
        if self.state() != State::Failed {
            return Err(EINVAL);
        }
        let busy = self.disk.block_devices().any(|device| {
            device.claimed()
                && device
                    .window()
                    .is_none_or(|window| self.gate.refuses(window))
        });
        if busy || self.waits() {
            return Err(EBUSY);
        }
        self.gate.open();
        let scattered = self.pending.lock().overflowed();
        if scattered || self.state() == State::Removing {
            // In between came a removal that was not announced, or failures that only the gate could list.
            self.gate.close();
            return Err(EBUSY);
        }
        self.registry.lock().forget_holders();
        Ok(())
    }

    /// Returns whether the worker has something to tell, or waits for somebody to let go.
    fn waits(&self) -> bool {
        // One after the other: a guard within `||` would live as long as the whole expression.
        let pending = !self.pending.lock().is_empty();
        let stuck = !self.stuck.lock().is_empty();
        let unreleased = !self.unreleased.lock().is_empty();
        pending || stuck || unreleased || !self.clients.settled()
    }
}

impl SlotHolder for Shim {
    fn notify_failure(this: ArcBorrow<'_, Self>, offset: u64, len: u64, flags: c_int) -> Result {
        const PRE_REMOVE: c_int = kernel::bindings::mf_flags_MF_MEM_PRE_REMOVE as c_int;

        if flags & PRE_REMOVE != 0 {
            return Self::confirm(this);
        }
        // A page of the pfn info block has an offset below zero, which comes as a huge one.
        // EOPNOTSUPP: the kernel treats the page in its own way.
        let range = Range::new(offset, len).map_err(|_| EOPNOTSUPP)?;
        if !Range::whole(this.disk.bytes()).contains(range) {
            return Err(EOPNOTSUPP);
        }
        if this.swept.load(ordering::Acquire)
            || (this.gate.is_quiet(range) && !this.clients.hold(range))
        {
            // Nobody maps it and nobody can, nor wants to know.
            return Ok(());
        }
        if this.state() == State::Removing {
            // The sweep comes; until then have the kernel signal and unmap this very page.
            return Err(EOPNOTSUPP);
        }
        if this.gate.fail_range(range).is_err() {
            pr_warn!(
                "{}: no memory: the whole disk is closed\n",
                this.disk.name().as_str()
            );
        }
        let added = this.pending.lock().add(range);
        if added != Added::Merged {
            Self::kick(this);
        }
        // The worker will sweep; until then have the kernel signal and unmap this very page.
        Err(EOPNOTSUPP)
    }
}

/// Puts `more` behind what is in `list`. Without memory for it gives it back.
fn append<T>(list: &mut KVec<T>, mut more: KVec<T>) -> Result<(), KVec<T>> {
    if list.is_empty() {
        core::mem::swap(list, &mut more);
    }
    if list.reserve(more.len(), GFP_KERNEL).is_err() {
        return Err(more);
    }
    for item in more {
        // There is room now.
        let _ = list.push_within_capacity(item);
    }
    Ok(())
}

/// What came of looking for failures to handle.
enum Pending {
    /// There are none.
    None,
    /// Some were handled.
    Handled,
    /// There are some, but another event is being handled.
    Later,
}

impl WorkItem for Shim {
    type Pointer = Arc<Shim>;

    fn run(this: Arc<Shim>) {
        const FIRST_MS: u32 = 10;
        const LONGEST_MS: u32 = 250;

        let _noio = NoIo::new();
        let mut pause = FIRST_MS;
        loop {
            let pending = Shim::handle_pending(this.as_arc_borrow());
            if matches!(pending, Pending::Handled) {
                pause = FIRST_MS;
                continue;
            }
            // First: whom a sweep finds stuck that ends meanwhile, the next look knows.
            let swept = this.is_swept();
            // Both, always: a removal's barrier opens only when nothing is stuck either.
            let free = this.retry_stuck() & this.retry_unreleased();
            match Shim::settle_removal(this.as_arc_borrow(), swept, free) {
                // Once the barrier is released, what is still stuck must not be looked at.
                Settled::Released => return,
                Settled::Idle if free && matches!(pending, Pending::None) => return,
                Settled::Idle => {}
                // Looking reads every struct page: no more than a tenth of the time.
                Settled::Waiting { cost_ms } => pause = pause.max(cost_ms.saturating_mul(10)),
            }
            sleep_ms(pause);
            pause = (pause * 2).min(LONGEST_MS);
        }
    }
}
