// SPDX-License-Identifier: GPL-2.0-only

//! Registered holders of one disk: who they are, and telling them, by priority.
//!
//! No memory is needed to tell them: an event marks those that it touches, all in one go, so that
//! whoever registers meanwhile is told all of it or nothing; then those of one priority after the
//! other are called, each by a work item of his own.

mod client;
mod tally;

use self::tally::Tally;
use crate::{
    event::{
        Event,
        Kind, //
    },
    range::{
        Range,
        RangeSet, //
    },
    registry::Row,
    sys::{
        interval::{
            IntervalTree,
            Key, //
        },
        module::NoIo, //
    }, //
};
use kernel::{
    new_mutex,
    prelude::*,
    sync::{
        atomic::{
            ordering,
            Atomic, //
        },
        Arc,
        Mutex, //
    }, //
};

pub(crate) use self::{
    client::{
        Client,
        Registration, //
    },
    tally::Totals, //
};

/// The registered holders of a disk, from attaching to detaching or removal.
///
/// Locks, outer to inner: `list` - a client's state - the tally's. None is held while a holder is
/// called or waited for.
#[pin_data]
pub(crate) struct Clients {
    #[pin]
    list: Mutex<List>,
    #[pin]
    tally: Tally,
    /// How many holders are being called.
    running: Atomic<u32>,
}

struct List {
    tree: IntervalTree<Client>,
    /// Nobody may come any more.
    closed: bool,
}

/// Which of the holders that an event touches.
#[derive(Clone, Copy)]
pub(crate) enum Band {
    /// Those who come before the generic treatment.
    Before,
    /// Those who come after it.
    After,
}

impl Band {
    fn has(self, priority: i32) -> bool {
        match self {
            Self::Before => priority > 0,
            Self::After => priority <= 0,
        }
    }
}

impl Clients {
    /// With more ranges than this it is cheaper to ask every holder than every range.
    const FEW_RANGES: usize = 64;

    /// Creates an empty list.
    pub(crate) fn new() -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                list <- new_mutex!(
                    List {
                        tree: IntervalTree::new(),
                        closed: false,
                    },
                    "dax_holder::Clients::list"
                ),
                tally <- Tally::new(),
                running: Atomic::new(0),
            }),
            GFP_KERNEL,
        )
    }

    /// Shows lockdep the order of the locks; `inner` takes those that come after these. The state of a
    /// holder lies between: the first one who is listed shows that.
    #[cfg(CONFIG_PROVE_LOCKING)]
    pub(crate) fn teach_lock_order(&self, inner: impl FnOnce()) {
        let _list = self.list.lock();
        self.tally.teach_lock_order(inner);
    }

    /// Adds `client`. `ESHUTDOWN`: the disk goes, or is being detached. `ENOMEM`.
    fn add(&self, client: &Arc<Client>) -> Result {
        // Events wait for the lock: reclaim under it must not wait for an inode's pins.
        let _noio = NoIo::new();
        let mut list = self.list.lock();
        if list.closed {
            return Err(ESHUTDOWN);
        }
        client.listed(list.tree.insert(client.window(), client.clone())?);
        Ok(())
    }

    /// Takes a holder from the list, whose key is `key`.
    ///
    /// # Safety
    ///
    /// `key` must come from [`Clients::add`] of this very list.
    unsafe fn take(&self, key: Key<Client>) -> Arc<Client> {
        // SAFETY: By this function's contract.
        unsafe { self.list.lock().tree.remove(key) }
    }

    /// Lets nobody in any more. `EBUSY`: there is somebody, and all stays as it is.
    pub(crate) fn close(&self) -> Result {
        let mut list = self.list.lock();
        if list.tree.len() > 0 {
            return Err(EBUSY);
        }
        list.closed = true;
        Ok(())
    }

    /// Takes [`Clients::close`] back.
    pub(crate) fn open(&self) {
        self.list.lock().closed = false;
    }

    /// Returns whether somebody holds a part of `range`.
    pub(crate) fn hold(&self, range: Range) -> bool {
        self.list.lock().tree.overlapping(range).next().is_some()
    }

    /// Calls `f` for each holder that `ranges` touch, at least once.
    fn each_touched(&self, ranges: &RangeSet, mut f: impl FnMut(&Arc<Client>)) {
        let list = self.list.lock();
        if ranges.len() <= Self::FEW_RANGES {
            for range in ranges.iter() {
                list.tree.overlapping(range).for_each(&mut f);
            }
        } else if let Some(hull) = ranges.hull() {
            let touched = |client: &&Arc<Client>| ranges.overlaps(client.window());
            list.tree.overlapping(hull).filter(touched).for_each(f);
        }
    }

    /// Notes what `event` is to each holder, before anybody is told. With an event that ends the
    /// disk nobody can register any more.
    ///
    /// The caller serialises events.
    pub(crate) fn mark(&self, event: &Event) {
        if event.kind != Kind::Failure {
            // Before those who are there are marked: each event either has a holder or refuses him.
            self.list.lock().closed = true;
        }
        self.each_touched(&event.ranges, |client| client.mark(event));
    }

    /// Tells the holders of `band` that [`Clients::mark`] has noted, those of one priority after the
    /// other, each at the same time as all of his priority. Sleeps until all have answered, or their
    /// deadlines have passed.
    pub(crate) fn tell(&self, event: &Event, band: Band) -> Totals {
        let mut now = None;
        loop {
            // One walk both starts those whose turn it is and finds whose turn is next.
            let mut next: Option<i32> = None;
            self.each_touched(&event.ranges, |client| {
                let priority = client.priority();
                if Some(priority) == now {
                    client.start(event.seq);
                } else if band.has(priority) && now.is_none_or(|now| priority < now) {
                    next = next.max(Some(priority));
                }
            });
            if now.is_some() {
                self.wait(event);
            }
            if next.is_none() {
                return self.tally.take();
            }
            now = next;
        }
    }

    /// Waits until those who were started have answered, or gives them up.
    fn wait(&self, event: &Event) {
        loop {
            let mut longest: Option<u32> = None;
            self.each_touched(&event.ranges, |client| {
                if let Some(ms) = client.check_deadline(event.seq) {
                    longest = Some(longest.map_or(ms, |so_far| so_far.min(ms)));
                }
            });
            let Some(ms) = longest else { return };
            if self.tally.wait(ms) {
                return;
            }
        }
    }

    /// Calls `f` for each holder.
    fn each(&self, mut f: impl FnMut(&Arc<Client>)) {
        let list = self.list.lock();
        let everywhere = Range::whole(u64::MAX);
        list.tree.overlapping(everywhere).for_each(&mut f);
    }

    /// Returns whether no holder is being called or is to be called, and none has refused to let go
    /// of a disk that goes.
    pub(crate) fn settled(&self) -> bool {
        let mut settled = true;
        self.each(|client| settled &= client.is_settled());
        settled
    }

    /// Returns whether the running task is calling one of the holders.
    pub(crate) fn is_calling(&self) -> bool {
        let mut calling = false;
        // Nearly always nobody is, and there may be many.
        if self.running.load(ordering::Relaxed) == 0 {
            return false;
        }
        self.each(|client| calling |= client.is_calling());
        calling
    }

    /// Calls `f` with the rows of the first few of those that [`Clients::settled`] waits for.
    pub(crate) fn each_unsettled(&self, mut f: impl FnMut(&Row)) {
        const FEW: usize = 8;

        let mut shown = 0;
        self.each(|client| {
            if shown < FEW && !client.is_settled() {
                shown += 1;
                f(&client.row());
            }
        });
    }

    /// Calls `f` with a row of the holders file for each holder, in the order of where they begin.
    ///
    /// `f` must not sleep for long.
    pub(crate) fn each_row(&self, mut f: impl FnMut(&Row)) {
        self.each(|client| f(&client.row()));
    }
}
