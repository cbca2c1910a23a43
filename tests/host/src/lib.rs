// SPDX-License-Identifier: GPL-2.0-only

//! The module's pure files, unmodified, and the property tests around them.
//!
//! Every property runs with [`CASES`] random inputs, or as many as the environment variable
//! `PROPTEST_CASES` says. A failure prints the smallest input that still fails.

#![cfg(test)]
// What only the rest of the module uses is not dead.
#![allow(dead_code)]

#[path = "../../../src/event.rs"]
mod event;
#[path = "../../../src/range.rs"]
mod range;
#[path = "../../../src/registry.rs"]
mod registry;
#[path = "../../../src/translation.rs"]
mod translation;

#[path = "../../../src/observe"]
mod observe {
    pub(crate) mod command;
}

mod coalescer_properties;
mod command_properties;
mod command_reference;
mod corpus;
mod fuzz;
mod model;
mod range_properties;
mod registry_properties;
mod strategies;
mod sys;
mod translation_properties;

/// How many random inputs each property sees.
const CASES: u32 = 4000;

/// Returns how the properties run: nothing is written to the source tree.
fn config() -> proptest::test_runner::Config {
    let mut config = proptest::test_runner::Config::default();
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = CASES;
    }
    config.failure_persistence = None;
    config
}
