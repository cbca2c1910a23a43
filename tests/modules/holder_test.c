// SPDX-License-Identifier: GPL-2.0-only
#include <linux/dax_holder.h>
#include <linux/module.h>
MODULE_DESCRIPTION("test");
MODULE_LICENSE("GPL");
static int __init test_init(void) { return dax_holder_report(NULL, NULL, 0, NULL) == -EINVAL ? 0 : -EIO; }
static void __exit test_exit(void) {}
module_init(test_init);
module_exit(test_exit);
