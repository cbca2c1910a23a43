// SPDX-License-Identifier: GPL-2.0-only

//! An interval tree: shared values with a range each, found by a range in O(log n + k).
//!
//! C header: [`include/linux/interval_tree.h`](srctree/include/linux/interval_tree.h).

use crate::{
    bindings,
    range::Range, //
};
use core::{
    marker::PhantomData,
    ptr::{
        self,
        NonNull, //
    }, //
};
use kernel::{
    prelude::*,
    sync::Arc,
    types::Opaque, //
};

/// A value in the tree.
#[repr(C)]
struct Member<T> {
    // First: a pointer to it is one to the whole.
    node: Opaque<bindings::interval_tree_node>,
    value: Arc<T>,
}

/// What takes a value out of the tree again.
pub(crate) struct Key<T>(NonNull<Member<T>>);

// SAFETY: A key is only a name; what it names is reached through the tree alone.
unsafe impl<T: Send + Sync> Send for Key<T> {}

/// The tree.
///
/// # Invariants
///
/// `root` is a valid tree whose nodes are those of `Member<T>`s, each leaked from a [`KBox`] that
/// belongs to the tree.
pub(crate) struct IntervalTree<T> {
    root: bindings::rb_root_cached,
    count: usize,
    _members: PhantomData<KBox<Member<T>>>,
}

// SAFETY: The tree owns its members, and shares their values as an `Arc` does.
unsafe impl<T: Send + Sync> Send for IntervalTree<T> {}

impl<T> IntervalTree<T> {
    /// Creates an empty tree.
    pub(crate) const fn new() -> Self {
        // INVARIANT: A tree of no nodes.
        Self {
            root: bindings::rb_root_cached {
                rb_root: bindings::rb_root {
                    rb_node: ptr::null_mut(),
                },
                rb_leftmost: ptr::null_mut(),
            },
            count: 0,
            _members: PhantomData,
        }
    }

    /// Returns the number of values.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// Adds `value`, to be found by `range`. `ENOMEM`.
    ///
    /// The value stays in the tree for as long as the key is not handed to [`IntervalTree::remove`].
    pub(crate) fn insert(&mut self, range: Range, value: Arc<T>) -> Result<Key<T>> {
        let member = KBox::new(
            Member {
                node: Opaque::new(bindings::interval_tree_node {
                    start: range.start() as usize,
                    last: (range.end() - 1) as usize,
                    ..Default::default()
                }),
                value,
            },
            GFP_KERNEL,
        )?;
        let member = NonNull::from(KBox::leak(member));
        // SAFETY: The node is a member's that is in no tree yet, with `start <= last` by the
        // invariant of `Range`; the caller has the tree for itself.
        // INVARIANT: The box belongs to the tree from now on.
        unsafe { bindings::interval_tree_insert(Self::node(member), &mut self.root) };
        self.count += 1;
        Ok(Key(member))
    }

    /// Takes the value of `key` out.
    ///
    /// # Safety
    ///
    /// `key` must be of this tree. (That nobody has used it before is in its type.)
    pub(crate) unsafe fn remove(&mut self, key: Key<T>) -> Arc<T> {
        // SAFETY: By this function's contract the member is in this tree.
        unsafe { bindings::interval_tree_remove(Self::node(key.0), &mut self.root) };
        self.count -= 1;
        // SAFETY: By the type invariant it was leaked from a box, which nobody else has now.
        let member = unsafe { KBox::from_raw(key.0.as_ptr()) };
        member.value.clone()
    }

    fn node(member: NonNull<Member<T>>) -> *mut bindings::interval_tree_node {
        // The first field of a `repr(C)` struct, and `Opaque` is transparent.
        member.as_ptr().cast()
    }

    /// Iterates over the values whose ranges overlap `range`.
    pub(crate) fn overlapping(&self, range: Range) -> Overlapping<'_, T> {
        let (start, last) = (range.start() as usize, (range.end() - 1) as usize);
        // SAFETY: The tree is valid, and is not changed while `self` is borrowed; the call only
        // reads it.
        let next = unsafe {
            bindings::interval_tree_iter_first(ptr::from_ref(&self.root).cast_mut(), start, last)
        };
        Overlapping {
            next,
            start,
            last,
            _tree: PhantomData,
        }
    }
}

impl<T> Drop for IntervalTree<T> {
    fn drop(&mut self) {
        // Whoever has put a value in takes it out: its key would outlive the tree.
        debug_assert!(self.count == 0);
    }
}

/// The values whose ranges overlap a range, in the order of where they begin.
pub(crate) struct Overlapping<'a, T> {
    next: *mut bindings::interval_tree_node,
    start: usize,
    last: usize,
    _tree: PhantomData<&'a IntervalTree<T>>,
}

impl<'a, T> Iterator for Overlapping<'a, T> {
    type Item = &'a Arc<T>;

    fn next(&mut self) -> Option<Self::Item> {
        let member = NonNull::new(self.next)?.cast::<Member<T>>();
        // SAFETY: By the tree's invariant nodes are members'; the tree, and so this one, stays as it
        // is for `'a`.
        let value = unsafe { &(*member.as_ptr()).value };
        // SAFETY: As above.
        self.next = unsafe { bindings::interval_tree_iter_next(self.next, self.start, self.last) };
        Some(value)
    }
}
