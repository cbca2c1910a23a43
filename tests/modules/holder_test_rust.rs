// SPDX-License-Identifier: GPL-2.0-only

//! Holders in Rust, for `tests/test_holders_rust.sh`, through the safe wrapper.
//!
//! They register when the module is loaded, as its parameters say. In debugfs,
//! `holder_test_rust/holders/`:
//!
//! - `state`: a line for each holder: calls, first and last event, kind, hull, parts, bytes of them
//! - `calls`: a line for each holder: when its last call began and ended, 0 if not yet, and whether it
//!   is registered; every begin and end takes the next number. Then the most calls at one time
//! - `release`: what is written lets those go on that are held
//! - `drop`: what is written drops the registrations
//! - `report`: `OFFSET LENGTH ...` are reported as failed, in bytes of the block device

#[path = "../../rust/dax_holder.rs"]
mod dax_holder;

use dax_holder::{
    BlockDevice,
    Holder,
    Kind,
    Options,
    Range,
    Registration,
    Told, //
};
use kernel::{
    bindings,
    debugfs::{
        Dir,
        Scope, //
    },
    error::{
        from_err_ptr,
        to_result, //
    },
    fmt,
    new_condvar,
    new_mutex,
    prelude::*,
    sync::{
        Arc,
        CondVar,
        Mutex, //
    },
    time::{
        delay::fsleep,
        Delta, //
    },
    uaccess::UserSliceReader, //
};

module! {
    type: Module,
    name: "holder_test_rust",
    authors: ["The dax_holder developers"],
    description: "DAX holders in Rust, to be tested",
    license: "GPL v2",
    params: {
        major: u32 {
            default: 0,
            description: "of the block device",
        },
        minor: u32 {
            default: 0,
            description: "of it, too",
        },
        offset: u64 {
            default: 0,
            description: "first byte of the first holder",
        },
        len: u64 {
            default: u64::MAX,
            description: "how many bytes each has",
        },
        count: u64 {
            default: 1,
            description: "how many holders, one behind the other",
        },
        priority: i32 {
            default: 0,
            description: "of the first holder",
        },
        step: i32 {
            default: 0,
            description: "what the priority of the next one is more",
        },
        deadline_ms: u32 {
            default: 0,
            description: "how long the others wait for each",
        },
        answer: i32 {
            default: 0,
            description: "0 or a negative errno",
        },
        delay_ms: u32 {
            default: 0,
            description: "how long each takes, but for one that drops another",
        },
        held: u64 {
            default: 0,
            description: "so many, the first ones, wait to be released",
        },
        meet: u64 {
            default: 0,
            description: "each waits until so many calls have begun",
        },
        drops: u64 {
            default: 0,
            description: "not 0: the first drops the registration of this one when it is called",
        },
        owner: u32 {
            default: 0,
            description: "1: they keep the module",
        },
        suicide: u32 {
            default: 0,
            description: "1: each drops its registration when it is called",
        },
    },
}

/// What a holder has seen.
#[derive(Default)]
struct Seen {
    calls: u64,
    first: u64,
    last: u64,
    kind: Option<Kind>,
    hull: Range,
    parts: u64,
    bytes: u64,
    begin: u64,
    end: u64,
}

/// The calls of all holders.
#[derive(Default)]
struct Counts {
    /// The last number that a begin or an end has taken.
    order: u64,
    begun: u64,
    running: u64,
    most: u64,
    released: bool,
}

#[pin_data]
struct Calls {
    #[pin]
    counts: Mutex<Counts>,
    #[pin]
    changed: CondVar,
}

impl Calls {
    fn new() -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                counts <- new_mutex!(Counts::default()),
                changed <- new_condvar!(),
            }),
            GFP_KERNEL,
        )
    }

    fn begin(&self) -> u64 {
        let mut counts = self.counts.lock();
        counts.order += 1;
        counts.begun += 1;
        counts.running += 1;
        counts.most = counts.most.max(counts.running);
        self.changed.notify_all();
        counts.order
    }

    fn end(&self) -> u64 {
        let mut counts = self.counts.lock();
        counts.order += 1;
        counts.running -= 1;
        counts.order
    }

    fn release(&self) {
        self.counts.lock().released = true;
        self.changed.notify_all();
    }

    /// Waits until `enough`, or until all are released.
    fn wait(&self, enough: impl Fn(&Counts) -> bool) {
        let mut counts = self.counts.lock();
        while !counts.released && !enough(&counts) {
            self.changed.wait(&mut counts);
        }
    }
}

#[pin_data]
struct Tested {
    number: u64,
    calls: Arc<Calls>,
    #[pin]
    seen: Mutex<Seen>,
    #[pin]
    registration: Mutex<Option<Registration<Tested>>>,
    /// Whose registration it drops.
    #[pin]
    other: Mutex<Option<Arc<Tested>>>,
}

impl Tested {
    /// Drops the registration, and waits for its call.
    fn unregister(&self) {
        let registration = self.registration.lock().take();
        drop(registration);
    }

    /// Does in a call what the parameters say.
    fn act(&self) {
        let held = self.number < module_parameters::held.value();
        self.calls
            .wait(|counts| !held && counts.begun >= module_parameters::meet.value());
        let other = self.other.lock().take();
        match other {
            Some(other) => other.unregister(),
            None => fsleep(Delta::from_millis(
                module_parameters::delay_ms.value().into(),
            )),
        }
        if module_parameters::suicide.value() != 0 {
            self.unregister();
        }
    }
}

impl Holder for Tested {
    fn notify_failure(&self, told: &Told<'_>) -> Result {
        let begin = self.calls.begin();
        let mut seen = self.seen.lock();
        seen.begin = begin;
        seen.end = 0;
        if seen.calls == 0 {
            seen.first = told.first();
        }
        seen.calls += 1;
        seen.last = told.last();
        seen.kind = Some(told.kind());
        seen.hull = told.hull();
        for part in told.ranges() {
            seen.parts += 1;
            seen.bytes += part.len;
        }
        drop(seen);
        self.act();
        self.seen.lock().end = self.calls.end();
        to_result(module_parameters::answer.value())
    }
}

/// A block device, open.
struct Opened(*mut bindings::file);

impl Opened {
    fn new() -> Result<Self> {
        const MINOR_BITS: u32 = 20;
        /// `BLK_OPEN_READ`, which is a macro.
        const READ: bindings::blk_mode_t = 1;

        let number =
            module_parameters::major.value() << MINOR_BITS | module_parameters::minor.value();
        // SAFETY: Opens a block device for reading, for nobody in particular.
        let file = from_err_ptr(unsafe {
            bindings::bdev_file_open_by_dev(number, READ, core::ptr::null_mut(), core::ptr::null())
        })?;
        Ok(Self(file))
    }

    fn device(&self) -> Result<BlockDevice<'_>> {
        // SAFETY: The file is open for as long as `self` is borrowed, and keeps the block device.
        unsafe { BlockDevice::from_raw(bindings::file_bdev(self.0)) }
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        // SAFETY: It was opened by `new()`.
        unsafe { bindings::bdev_fput(self.0) };
    }
}

/// The holders. Each has its registration, which has the holder: somebody must part them.
struct Holders {
    holders: KVec<Arc<Tested>>,
    calls: Arc<Calls>,
}

impl Holders {
    fn register(module: &'static ThisModule) -> Result<Self> {
        let opened = Opened::new()?;
        let mut this = Self {
            holders: KVec::new(),
            calls: Calls::new()?,
        };
        let mut priority = module_parameters::priority.value();
        for i in 0..module_parameters::count.value() {
            let calls = this.calls.clone();
            let holder = Arc::pin_init(
                pin_init!(Tested {
                    number: i,
                    calls,
                    seen <- new_mutex!(Seen::default()),
                    registration <- new_mutex!(None),
                    other <- new_mutex!(None),
                }),
                GFP_KERNEL,
            )?;
            this.holders.push(holder.clone(), GFP_KERNEL)?;
            let len = module_parameters::len.value();
            let range = Range {
                offset: module_parameters::offset.value() + i * len,
                len,
            };
            let options = Options {
                name: c"holder_test_rust",
                priority,
                deadline_ms: module_parameters::deadline_ms.value(),
            };
            priority += module_parameters::step.value();
            let registration = if module_parameters::owner.value() != 0 {
                Registration::new(opened.device()?, range, options, module, holder.clone())?
            } else {
                // SAFETY: Dropped with `this`, in the module's exit at the latest; with `suicide`
                // there is an owner.
                unsafe {
                    Registration::without_owner(opened.device()?, range, options, holder.clone())?
                }
            };
            *holder.registration.lock() = Some(registration);
        }
        let drops = module_parameters::drops.value();
        if let (Some(first), true) = (this.holders.first(), drops > 0) {
            let other = this.holders.get(drops as usize).ok_or(EINVAL)?;
            *first.other.lock() = Some(other.clone());
        }
        Ok(this)
    }

    fn unregister(&self) {
        // It waits for their calls.
        self.calls.release();
        for holder in &self.holders {
            holder.unregister();
        }
    }
}

impl Drop for Holders {
    fn drop(&mut self) {
        self.unregister();
    }
}

fn state(holders: &Arc<Holders>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for holder in &holders.holders {
        let seen = holder.seen.lock();
        let Seen {
            calls, first, last, ..
        } = *seen;
        let kind = match seen.kind {
            None => "-",
            Some(Kind::Failure) => "failure",
            Some(Kind::Removal) => "removal",
            Some(Kind::Surprise) => "surprise",
        };
        f.write_fmt(fmt!(
            "{calls} {first} {last} {kind} {}+{} {} {}\n",
            seen.hull.offset,
            seen.hull.len,
            seen.parts,
            seen.bytes
        ))?;
    }
    Ok(())
}

fn calls(holders: &Arc<Holders>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for holder in &holders.holders {
        let registered = u32::from(holder.registration.lock().is_some());
        let seen = holder.seen.lock();
        f.write_fmt(fmt!("{} {} {registered}\n", seen.begin, seen.end))?;
    }
    f.write_fmt(fmt!("most {}\n", holders.calls.counts.lock().most))
}

fn release(holders: &Arc<Holders>, _: &mut UserSliceReader) -> Result {
    holders.calls.release();
    Ok(())
}

fn drop_all(holders: &Arc<Holders>, _: &mut UserSliceReader) -> Result {
    holders.unregister();
    Ok(())
}

fn report(_: &Arc<Holders>, reader: &mut UserSliceReader) -> Result {
    let mut text = KVec::from_elem(0, reader.len(), GFP_KERNEL)?;
    reader.read_slice(&mut text)?;
    let text = core::str::from_utf8(&text).map_err(|_| EINVAL)?;
    let mut numbers = text.split_ascii_whitespace();
    let mut ranges = KVec::new();
    while let Some(offset) = numbers.next() {
        let len = numbers.next().ok_or(EINVAL)?;
        let range = Range {
            offset: offset.parse().map_err(|_| EINVAL)?,
            len: len.parse().map_err(|_| EINVAL)?,
        };
        ranges.push(range, GFP_KERNEL)?;
    }
    let handled = dax_holder::report(Opened::new()?.device()?, &ranges)?;
    pr_info!(
        "report: event {}, {} bytes, {} holders, result {}\n",
        handled.event,
        handled.bytes,
        handled.holders,
        handled.result.map_or_else(Error::to_errno, |()| 0)
    );
    Ok(())
}

/// Dropped in this order: the files have the holders, too.
struct Module {
    _files: Pin<KBox<Scope<Arc<Holders>>>>,
    _dir: Dir,
}

impl kernel::Module for Module {
    fn init(module: &'static ThisModule) -> Result<Self> {
        if module_parameters::suicide.value() != 0 && module_parameters::owner.value() == 0 {
            return Err(EINVAL);
        }
        let holders = Arc::new(Holders::register(module)?, GFP_KERNEL)?;
        let root = Dir::new(c"holder_test_rust");
        let files = root.scope(holders, c"holders", |holders, dir| {
            dir.read_callback_file(c"state", holders, &state);
            dir.read_callback_file(c"calls", holders, &calls);
            dir.write_only_callback_file(c"release", holders, &release);
            dir.write_only_callback_file(c"drop", holders, &drop_all);
            dir.write_only_callback_file(c"report", holders, &report);
        });
        Ok(Self {
            _files: KBox::pin_init(files, GFP_KERNEL)?,
            _dir: root,
        })
    }
}
