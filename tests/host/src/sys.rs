// SPDX-License-Identifier: GPL-2.0-only

//! What the pure files need of `src/sys/`, which is not pure.

pub(crate) mod block {
    /// The name of a block device or of a kind of holder.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) struct Name(&'static str);

    impl Name {
        pub(crate) const fn new(name: &'static str) -> Self {
            Self(name)
        }

        pub(crate) fn as_str(&self) -> &str {
            self.0
        }
    }
}
