// SPDX-License-Identifier: GPL-2.0-only

//! One registered holder, and calling him.

use super::Clients;
use crate::{
    event::{
        Event,
        Kind,
        Told, //
    },
    holders::{
        Holder,
        Left, //
    },
    range::{
        Range,
        RangeSet, //
    },
    registry::{
        HolderState,
        Listed,
        Report,
        Row, //
    },
    sys::{
        block::Name,
        callback::Callback,
        interval::Key,
        module::{
            NoIo,
            Owner, //
        },
        trace,
        work, //
    }, //
};
use core::ptr;
use kernel::{
    bindings::task_struct,
    impl_has_work,
    new_condvar,
    new_mutex,
    new_work,
    prelude::*,
    sync::{
        atomic::ordering,
        Arc,
        CondVar,
        Mutex, //
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

/// How a holder registers.
pub(crate) struct Registration {
    /// What he is called, in the place of a kind.
    pub(crate) kind: Name,
    /// The block device that he holds a part of.
    pub(crate) device: Name,
    /// The disk of it.
    pub(crate) disk: Name,
    /// The bytes of the disk that he holds.
    pub(crate) window: Range,
    /// The higher, the earlier he is told; before the generic treatment if above 0.
    pub(crate) priority: i32,
    /// How long the others wait for him, in milliseconds.
    pub(crate) deadline_ms: u32,
    /// What he does.
    pub(crate) callback: Callback,
}

/// A registered holder.
#[pin_data]
pub(crate) struct Client {
    registration: Registration,
    clients: Arc<Clients>,
    #[pin]
    state: Mutex<State>,
    #[pin]
    ended: CondVar,
    #[pin]
    work: Work<Client>,
}

impl_has_work! {
    impl HasWork<Self> for Client { self.work }
}

/// What a holder is to be told, or is being told.
struct Due {
    told: Told,
    /// The ranges, in bytes of the disk; `None` if there was no memory to put two events together.
    ranges: Option<Arc<RangeSet>>,
    /// It is his turn.
    started: bool,
}

struct State {
    key: Option<Key<Client>>,
    /// The module that he is from, if it is to be kept until he is unregistered.
    owner: Option<Owner>,
    /// He is leaving, and is told nothing any more.
    leaving: bool,
    due: Option<Due>,
    running: Option<Due>,
    /// The task that calls him, only to be compared.
    caller: *const task_struct,
    /// His work item is queued or runs.
    queued: bool,
    /// The fan-out of the event of this number waits for him until then.
    awaited: Option<(u64, Instant<Monotonic>)>,
    /// The disk goes and he has not let go of it.
    holds: bool,
    row: Row,
}

// SAFETY: The only thing in it that is not `Send` is a pointer that nobody follows.
unsafe impl Send for State {}

impl Due {
    /// Adds what `later` tells. The whole waits for its turn again.
    fn and(self, later: Self, window: Range) -> Self {
        let both = |a: &RangeSet, b: &RangeSet| -> Result<Arc<RangeSet>> {
            // Only what concerns the holder.
            let mut all = a.clip(window)?;
            all.insert_all(&b.clip(window)?)?;
            Ok(Arc::new(all, GFP_KERNEL)?)
        };
        let ranges = match (&self.ranges, &later.ranges) {
            (Some(a), Some(b)) => both(a, b).ok(),
            _ => None,
        };
        Self {
            told: self.told.and(later.told),
            ranges,
            started: false,
        }
    }
}

impl Client {
    /// Registers a holder with `clients`; keeps the module `owner`, if there is one, until he is
    /// unregistered. Errors as [`Clients::add`].
    ///
    /// He must be unregistered.
    pub(crate) fn register(
        clients: Arc<Clients>,
        registration: Registration,
        owner: Option<Owner>,
    ) -> Result<Arc<Self>> {
        let row = Row::fresh(registration.device, registration.kind, registration.window);
        let this = Arc::pin_init(
            pin_init!(Self {
                registration,
                clients,
                state <- new_mutex!(
                    State {
                        key: None,
                        owner,
                        leaving: false,
                        due: None,
                        running: None,
                        caller: ptr::null(),
                        queued: false,
                        awaited: None,
                        holds: false,
                        row,
                    },
                    "dax_holder::Client::state"
                ),
                ended <- new_condvar!("dax_holder::Client::ended"),
                work <- new_work!("dax_holder::Client::work"),
            }),
            GFP_KERNEL,
        )?;
        this.clients.add(&this)?;
        Ok(this)
    }

    /// Notes that he is in the list of holders, by `key`. Under its lock.
    pub(super) fn listed(&self, key: Key<Client>) {
        let mut state = self.state.lock();
        state.key = Some(key);
        #[cfg(CONFIG_PROVE_LOCKING)]
        self.clients.tally.teach_lock_order(|| {});
    }

    /// Unregisters: when it returns, he is not called and will not be. Waits for his call.
    ///
    /// `EDEADLK` within his own call, and then nothing has changed.
    pub(crate) fn unregister(&self) -> Result {
        let mut state = self.state.lock();
        if state.is_caller() {
            return Err(EDEADLK);
        }
        state.leaving = true;
        state.due = None;
        // Nobody is to wait for what he will not be told.
        let telling = state.running.as_ref().map(|running| running.told.last);
        if let Some((seq, _)) = state.awaited {
            if telling.is_none_or(|last| last < seq) {
                state.awaited = None;
                self.clients.tally.excuse();
            }
        }
        while state.running.is_some() {
            self.ended.wait(&mut state);
        }
        let (key, owner) = (state.key.take(), state.owner.take());
        drop(state);
        // Only now: whoever looks whether all is settled must find him for as long as he is called.
        if let Some(key) = key {
            // SAFETY: `listed()` got it from this list, and it is used once.
            drop(unsafe { self.clients.take(key) });
        }
        drop(owner);
        Ok(())
    }

    /// Returns the bytes of the disk that he holds.
    pub(super) fn window(&self) -> Range {
        self.registration.window
    }

    /// Returns his priority.
    pub(super) fn priority(&self) -> i32 {
        self.registration.priority
    }

    /// Returns his row of the holders file.
    pub(super) fn row(&self) -> Row {
        self.state.lock().row
    }

    /// Returns whether he is not called, nor is to be, and has let go if the disk goes.
    pub(super) fn is_settled(&self) -> bool {
        let state = self.state.lock();
        state.running.is_none() && state.due.is_none() && !state.holds
    }

    /// Returns whether the running task calls him.
    pub(super) fn is_calling(&self) -> bool {
        self.state.lock().is_caller()
    }

    /// Notes what `event` is to him. Once is enough.
    pub(super) fn mark(&self, event: &Event) {
        let mut state = self.state.lock();
        let marked = |due: &Due| due.told.last == event.seq;
        if state.leaving || state.due.as_ref().is_some_and(marked) {
            return;
        }
        let Some(hull) = event.ranges.hull_within(self.window()) else {
            return;
        };
        let due = Due {
            told: Told::new(event, hull),
            ranges: Some(event.ranges.clone()),
            started: false,
        };
        state.due = Some(match state.due.take() {
            Some(earlier) => earlier.and(due, self.window()),
            None => due,
        });
        state.holds |= event.kind != Kind::Failure;
    }

    /// Has him called with the event of number `seq`, if he was marked with it.
    pub(super) fn start(self: &Arc<Self>, seq: u64) {
        let mut state = self.state.lock();
        match &mut state.due {
            Some(due) if due.told.last == seq && !due.started => due.started = true,
            _ => return,
        }
        state.awaited = Some((seq, Instant::now()));
        self.clients.tally.expect();
        if !state.queued {
            // There is a queue: this is the code of a module that is up.
            if let Some(calls) = work::calls() {
                state.queued = true;
                let _ = calls.enqueue(self.clone());
            }
        }
    }

    /// Returns how many milliseconds the event of number `seq` will still wait for him; `None`: it
    /// does not, or not any more.
    pub(super) fn check_deadline(&self, seq: u64) -> Option<u32> {
        let mut state = self.state.lock();
        let (awaited, since) = state.awaited?;
        if awaited != seq {
            return None;
        }
        let deadline = self.registration.deadline_ms;
        let left = i64::from(deadline) - since.elapsed().as_millis();
        if left > 0 {
            return Some(left as u32);
        }
        state.awaited = None;
        state.row.state = HolderState::Stuck;
        state.row.result = ETIMEDOUT.to_errno();
        drop(state);
        let Registration {
            kind, device, disk, ..
        } = &self.registration;
        pr_warn!(
            "{}: {} on {} has not answered event {seq} within {deadline} ms: stuck\n",
            disk.as_str(),
            kind.as_str(),
            device.as_str()
        );
        self.clients.tally.answered(Err(ETIMEDOUT), None);
        None
    }

    /// Returns what he does.
    pub(crate) fn callback(&self) -> &Callback {
        &self.registration.callback
    }

    /// Returns what he is being told, if he is being called.
    pub(crate) fn told(&self) -> Option<Told> {
        let state = self.state.lock();
        state.running.as_ref().map(|running| running.told)
    }

    /// Returns the first part of what he is being told at or behind byte `from`, in bytes of his own
    /// range; `None` if there is none, or he is not being called.
    pub(crate) fn next_range(&self, from: u64) -> Option<Range> {
        let window = self.window();
        let state = self.state.lock();
        let running = state.running.as_ref()?;
        let behind = Range::new(from, window.len().checked_sub(from)?).ok()?;
        match &running.ranges {
            Some(ranges) => {
                let behind = behind.shift_up(window.start(), 1).ok()?;
                let part = ranges.within(behind).next()?;
                part.shift_down(window.start())
            }
            None => running.told.hull.intersect(behind),
        }
    }

    /// Takes what he is to be told now.
    fn take(&self) -> Option<Told> {
        let mut state = self.state.lock();
        let turn = state.due.as_ref().is_some_and(|due| due.started);
        state.running = if turn { state.due.take() } else { None };
        state.queued = state.running.is_some();
        let running = state.running.as_ref()?;
        let told = running.told;
        let window = self.window();
        state.row.ranges = running
            .ranges
            .as_ref()
            .map_or(Listed::default(), |ranges| Listed::within(ranges, window));
        state.caller = kernel::current!().as_ptr();
        self.clients.running.fetch_add(1, ordering::Relaxed);
        Some(told)
    }

    /// Notes what he has answered after `ns` nanoseconds.
    fn answered(&self, told: Told, result: Result, ns: u64) {
        let mut state = self.state.lock();
        let holds_nothing = result == Err(EOPNOTSUPP);
        state.running = None;
        state.caller = ptr::null();
        self.clients.running.fetch_sub(1, ordering::Relaxed);
        state.row.events += 1;
        state.row.result = result.map_or_else(Error::to_errno, |()| 0);
        state.row.usec = ns / 1000;
        state.row.state = match result {
            Err(_) if !holds_nothing => HolderState::Stuck,
            _ if told.kind == Kind::Failure => HolderState::Active,
            _ => HolderState::Down,
        };
        if told.kind != Kind::Failure && (result.is_ok() || holds_nothing) {
            state.holds = false;
        }
        if state.awaited.is_some_and(|(seq, _)| seq <= told.last) {
            state.awaited = None;
            let before = self.priority() > 0;
            self.clients
                .tally
                .answered(result, before.then_some(self.window()));
        }
        self.ended.notify_all();
    }
}

impl State {
    fn is_caller(&self) -> bool {
        ptr::eq(self.caller, kernel::current!().as_ptr())
    }
}

impl Holder for &Client {
    fn name(&self) -> Name {
        self.registration.device
    }

    fn kind(&self) -> Name {
        self.registration.kind
    }

    fn notify_failure(self, told: &Told) -> (Report, Option<Left>) {
        // SAFETY: Only called by the work item, one call at a time, when it has taken what is due,
        // which is nothing once he is leaving; and whoever unregisters him waits for that call. C has
        // this very pointer, see `api::register()`.
        let result = unsafe { self.callback().call(ptr::from_ref(self), told) };
        (Report::of(result), None)
    }
}

impl WorkItem for Client {
    type Pointer = Arc<Client>;

    fn run(this: Arc<Client>) {
        let _noio = NoIo::new();
        let disk = this.registration.disk;
        while let Some(told) = this.take() {
            let name = Holder::name(&&*this);
            trace::holder_begin(disk.as_c_str(), told.last, name.as_c_str());
            let begun = Instant::<Monotonic>::now();
            let (report, _) = Holder::notify_failure(&*this, &told);
            let ns = begun.elapsed().as_nanos() as u64;
            let result = report.result.map_or_else(Error::to_errno, |()| 0);
            trace::holder_end(disk.as_c_str(), told.last, name.as_c_str(), result, ns);
            this.answered(told, report.result, ns);
        }
    }
}
