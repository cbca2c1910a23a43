// SPDX-License-Identifier: GPL-2.0-only

//! The debugfs files of one attached disk: holders, events, barrier; inject, override.

use super::command;
use crate::{
    event::Source,
    range::{
        Range,
        RangeSet, //
    },
    registry::Row,
    shim::{
        Shim,
        State, //
    },
    sys::{
        block::BlockDevice,
        module::{
            may_administrate,
            NoIo, //
        }, //
    }, //
};
use kernel::{
    debugfs::{
        Dir,
        Scope, //
    },
    fmt,
    prelude::*,
    sync::Arc,
    uaccess::UserSliceReader, //
};

/// The files of a disk. Dropping them waits for those who are inside.
pub(crate) type Files = Scope<Arc<Shim>>;

/// Creates the files of `shim` in a directory of the disk's name below `root`.
pub(crate) fn create(root: &Dir, shim: Arc<Shim>) -> Result<Pin<KBox<Files>>> {
    let name = *shim.disk().name();
    let files = root.scope(shim, name.as_c_str(), |shim, dir| {
        dir.read_callback_file(c"holders", shim, &holders);
        dir.read_callback_file(c"events", shim, &events);
        dir.read_callback_file(c"barrier", shim, &barrier);
        dir.write_only_callback_file(c"inject", shim, &inject);
        dir.write_only_callback_file(c"override", shim, &give_up);
    });
    KBox::pin_init(files, GFP_KERNEL)
}

fn row(f: &mut fmt::Formatter<'_>, row: &Row) -> fmt::Result {
    f.write_fmt(fmt!(
        "{} {} {:#x} {:#x} {} {} {} {} {} {} {} {}\n",
        row.name.as_str(),
        row.kind.as_str(),
        row.window.start(),
        row.window.len(),
        row.state.name(),
        row.result,
        row.usec,
        row.inodes,
        row.pages,
        row.pins,
        row.events,
        row.ranges
    ))
}

fn holders(shim: &Arc<Shim>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_fmt(fmt!(
        "# name kind start length state result usec inodes pages pins events ranges\n"
    ))?;
    for called in shim.registry().lock().rows() {
        row(f, called)?;
    }
    let mut printed = Ok(());
    shim.clients().each_row(|client| {
        if printed.is_ok() {
            printed = row(f, client);
        }
    });
    printed?;
    // Once the disk goes, what is still found on it means nothing.
    if shim.state() == State::Removing {
        return Ok(());
    }
    let stack = shim.stack(&RangeSet::new());
    let mut listed = |device: &BlockDevice, window: Range| -> fmt::Result {
        let name = device.name();
        if shim
            .registry()
            .lock()
            .rows()
            .iter()
            .any(|row| row.is(&name))
        {
            return Ok(());
        }
        let upper = stack.as_ref().and_then(|stack| stack.on(&name));
        // Without a reference: the last one would unmount, in here.
        match upper
            .map(|layer| *layer.disk.name())
            .or_else(|| device.kind())
        {
            Some(kind) => row(f, &Row::fresh(name, kind, window)),
            None => Ok(()),
        }
    };
    for device in shim.disk().block_devices() {
        if let Some(window) = device.window() {
            listed(&device, window)?;
        }
    }
    for layer in stack.iter().flat_map(|stack| stack.top_down()) {
        if let Some(window) = layer.footprint().hull() {
            for device in layer.disk.block_devices() {
                listed(&device, window)?;
            }
        }
    }
    Ok(())
}

fn events(shim: &Arc<Shim>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for done in shim.registry().lock().events() {
        f.write_fmt(fmt!("{done} list={}\n", done.ranges))?;
    }
    Ok(())
}

fn barrier(shim: &Arc<Shim>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    shim.show_barrier(f)
}

/// Reads all that was written, if it is not longer than `limit` bytes.
fn text(reader: &mut UserSliceReader, limit: usize) -> Result<KVVec<u8>> {
    if reader.len() > limit {
        return Err(E2BIG);
    }
    let mut text = KVVec::zeroed(reader.len(), GFP_KERNEL)?;
    reader.read_slice(&mut text)?;
    Ok(text)
}

/// Reads the list that was written to inject. `None`: there is no memory for it.
fn list(shim: &Arc<Shim>, reader: &mut UserSliceReader) -> Result<Option<RangeSet>> {
    /// Texts of so many bytes need no memory: what fails for want of it fails with a word, too.
    const SHORT: usize = 128;

    let disk = shim.disk();
    let mut short = [0; SHORT];
    let long;
    let read = match short.get_mut(..reader.len()) {
        Some(text) => reader.read_slice(text).map(|()| &*text),
        None => match text(reader, command::MAX_TEXT) {
            Ok(text) => {
                long = text;
                Ok(&*long)
            }
            Err(e) => Err(e),
        },
    };
    let text = read.inspect_err(|e| {
        let why = if *e == E2BIG {
            "too much text"
        } else {
            "text that cannot be read"
        };
        pr_info!("{}: injection refused: {why}\n", disk.name().as_str());
    })?;
    match command::parse(text, disk.bytes()) {
        Ok(ranges) => Ok(Some(ranges)),
        Err(refusal) if refusal.errno == ENOMEM => Ok(None),
        Err(refusal) => {
            pr_info!("{}: injection refused: {refusal}\n", disk.name().as_str());
            Err(refusal.errno)
        }
    }
}

fn inject(shim: &Arc<Shim>, reader: &mut UserSliceReader) -> Result {
    // As for the attributes. Before the text is copied, and without a line in the log.
    may_administrate()?;
    // As in the event itself: reclaim must not wait for the pins of an inode.
    let _noio = NoIo::new();
    let ranges = list(shim, reader)?;
    // What the holders answered is in the holders file; the write itself was handled.
    Shim::fail(shim.as_arc_borrow(), Source::Injected, ranges).map(|_| ())
}

fn give_up(shim: &Arc<Shim>, reader: &mut UserSliceReader) -> Result {
    may_administrate()?;
    let text = text(reader, 16).map_err(|e| if e == E2BIG { EINVAL } else { e })?;
    if text.trim_ascii() != b"release" {
        return Err(EINVAL);
    }
    shim.give_up()
}
