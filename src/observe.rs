// SPDX-License-Identifier: GPL-2.0-only

//! What user space sees and may say.

pub(crate) mod announce;
pub(crate) mod attributes;
pub(crate) mod command;
pub(crate) mod files;
