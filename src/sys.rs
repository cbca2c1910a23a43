// SPDX-License-Identifier: GPL-2.0-only

//! Safe abstractions over the kernel, and the only place with `unsafe` in volume.

pub(crate) mod block;
pub(crate) mod bus;
pub(crate) mod callback;
pub(crate) mod dax;
pub(crate) mod interval;
pub(crate) mod module;
pub(crate) mod page_map;
pub(crate) mod process;
pub(crate) mod publishing;
pub(crate) mod stacking;
pub(crate) mod super_block;
pub(crate) mod trace;
pub(crate) mod work;
