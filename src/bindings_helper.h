/* SPDX-License-Identifier: GPL-2.0-only */
/* What bindgen reads beyond the kernel crate's own bindings; see Kbuild for the filter. */
#include <linux/dax.h>
#include <linux/dax_holder.h>
#include <linux/device/bus.h>
#include <linux/memremap.h>
#include <linux/notifier.h>
#include <linux/blkdev.h>
#include "helpers.h"
