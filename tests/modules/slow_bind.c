// SPDX-License-Identifier: GPL-2.0-only
/*
 * A driver core that is slow to tell of a disk that was bound: whoever else listens hears of it half a
 * second later. For tests/test_claims.sh.
 *
 * Parameter disk: path of a disk, to find its bus by.
 */
#include <linux/blkdev.h>
#include <linux/delay.h>
#include <linux/device/bus.h>
#include <linux/module.h>
#include <linux/notifier.h>

static char *disk;
module_param(disk, charp, 0400);
MODULE_PARM_DESC(disk, "path of a disk");

static const struct bus_type *bus;

static int delay(struct notifier_block *block, unsigned long action, void *device)
{
	if (action == BUS_NOTIFY_BOUND_DRIVER)
		msleep(500);
	return NOTIFY_DONE;
}

static struct notifier_block first = { .notifier_call = delay, .priority = INT_MAX };

static int __init slow_bind_init(void)
{
	struct file *file = bdev_file_open_by_path(disk, BLK_OPEN_READ, NULL, NULL);

	if (IS_ERR(file))
		return PTR_ERR(file);
	bus = disk_to_dev(file_bdev(file)->bd_disk)->parent->bus;
	fput(file);
	return bus_register_notifier(bus, &first);
}

static void __exit slow_bind_exit(void)
{
	bus_unregister_notifier(bus, &first);
}

module_init(slow_bind_init);
module_exit(slow_bind_exit);
MODULE_DESCRIPTION("dax_holder test: a disk of which others hear late");
MODULE_LICENSE("GPL");
