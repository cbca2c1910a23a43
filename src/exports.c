// SPDX-License-Identifier: GPL-2.0-only
/* Exports the functions of include/linux/dax_holder.h; their code is src/api.rs. */
#include <linux/dax_holder.h>
#include <linux/export.h>

EXPORT_SYMBOL_GPL(dax_holder_register);
EXPORT_SYMBOL_GPL(dax_holder_register_dax);
EXPORT_SYMBOL_GPL(dax_holder_unregister);
EXPORT_SYMBOL_GPL(dax_holder_private);
EXPORT_SYMBOL_GPL(dax_holder_event);
EXPORT_SYMBOL_GPL(dax_holder_next_range);
EXPORT_SYMBOL_GPL(dax_holder_report);
