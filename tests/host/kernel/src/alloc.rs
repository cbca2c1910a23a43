// SPDX-License-Identifier: GPL-2.0-only

//! Follows `rust/kernel/alloc/kvec.rs`.

use crate::failure;
use core::ops::{
    Deref,
    DerefMut, //
};

/// Allocation flags. They have no effect here.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Flags(());

/// May sleep and start I/O.
pub const GFP_KERNEL: Flags = Flags(());
/// May sleep.
pub const GFP_NOIO: Flags = Flags(());

/// The allocation failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AllocError;

/// No room left; the element comes back.
#[derive(Debug)]
pub struct PushError<T>(pub T);

/// There is no such element.
#[derive(Debug)]
pub struct RemoveError;

/// The kernel's vector: never grows without saying with which flags, and says when it fails.
///
/// The capacity is counted here, because `std` may give more than it was asked for.
pub struct KVec<T> {
    elements: Vec<T>,
    capacity: usize,
}

/// The same, which the kernel may also take from the vmalloc area.
pub type KVVec<T> = KVec<T>;

#[allow(missing_docs)]
impl<T> KVec<T> {
    pub const fn new() -> Self {
        Self {
            elements: Vec::new(),
            capacity: 0,
        }
    }

    pub fn with_capacity(capacity: usize, flags: Flags) -> Result<Self, AllocError> {
        let mut v = Self::new();
        v.reserve(capacity, flags)?;
        Ok(v)
    }

    pub fn capacity(&self) -> usize {
        self.capacity
    }

    pub fn reserve(&mut self, additional: usize, _flags: Flags) -> Result<(), AllocError> {
        let len = self.elements.len();
        if self.capacity - len >= additional {
            return Ok(());
        }
        let wanted = len.checked_add(additional).ok_or(AllocError)?;
        if !failure::allocate() {
            return Err(AllocError);
        }
        self.capacity = wanted.max(self.capacity * 2);
        self.elements.reserve_exact(self.capacity - len);
        Ok(())
    }

    pub fn push(&mut self, v: T, flags: Flags) -> Result<(), AllocError> {
        self.reserve(1, flags)?;
        self.elements.push(v);
        Ok(())
    }

    pub fn push_within_capacity(&mut self, v: T) -> Result<(), PushError<T>> {
        if self.elements.len() == self.capacity {
            return Err(PushError(v));
        }
        self.elements.push(v);
        Ok(())
    }

    pub fn remove(&mut self, i: usize) -> Result<T, RemoveError> {
        if i >= self.elements.len() {
            return Err(RemoveError);
        }
        Ok(self.elements.remove(i))
    }

    pub fn clear(&mut self) {
        self.elements.clear();
    }

    pub fn pop(&mut self) -> Option<T> {
        self.elements.pop()
    }

    pub fn truncate(&mut self, len: usize) {
        self.elements.truncate(len);
    }
}

#[allow(missing_docs)]
impl<T: Clone> KVec<T> {
    pub fn extend_with(&mut self, n: usize, value: T, flags: Flags) -> Result<(), AllocError> {
        self.reserve(n, flags)?;
        self.elements.resize(self.elements.len() + n, value);
        Ok(())
    }

    pub fn extend_from_slice(&mut self, other: &[T], flags: Flags) -> Result<(), AllocError> {
        self.reserve(other.len(), flags)?;
        self.elements.extend_from_slice(other);
        Ok(())
    }
}

impl<T> Default for KVec<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Deref for KVec<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.elements
    }
}

impl<T> DerefMut for KVec<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.elements
    }
}

impl<T: core::fmt::Debug> core::fmt::Debug for KVec<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        core::fmt::Debug::fmt(&**self, f)
    }
}
