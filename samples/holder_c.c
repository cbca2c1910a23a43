// SPDX-License-Identifier: GPL-2.0-only
/*
 * A holder that merely wants to know, in C:
 *
 *	insmod holder_c.ko device=/dev/pmem0p1
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/blkdev.h>
#include <linux/dax_holder.h>
#include <linux/mm.h>
#include <linux/module.h>

static char *device;
module_param(device, charp, 0444);
MODULE_PARM_DESC(device, "block device to hold all of");

static struct dax_holder_client *client;

static int notify_failure(struct dax_holder_client *client, u64 offset, u64 len, int flags)
{
	struct dax_holder_range range = { };
	struct dax_holder_event event;

	dax_holder_event(client, &event);
	pr_info("events %llu to %llu, %s: %llu bytes at %llu\n", event.first, event.last,
		flags & MF_MEM_PRE_REMOVE ? "removal" : "failure", len, offset);
	for (; dax_holder_next_range(client, &range); range.offset += range.len)
		pr_info("- %llu bytes at %llu\n", range.len, range.offset);

	/* Nothing is held here, so there is nothing to let go of. */
	return -EOPNOTSUPP;
}

static const struct dax_holder_client_ops ops = {
	.notify_failure = notify_failure,
};

static int __init holder_init(void)
{
	/* No owner: this module unregisters before it goes. */
	const struct dax_holder_info info = {
		.name = "holder_c",
		.ops = &ops,
	};
	struct file *file;

	if (!device)
		return -EINVAL;
	file = bdev_file_open_by_path(device, BLK_OPEN_READ, NULL, NULL);
	if (IS_ERR(file))
		return PTR_ERR(file);
	client = dax_holder_register(file_bdev(file), 0, U64_MAX, &info);
	/* The registration does not need the device to be open. */
	bdev_fput(file);
	return PTR_ERR_OR_ZERO(client);
}

static void __exit holder_exit(void)
{
	/* Waits for the callback. */
	dax_holder_unregister(client);
}

module_init(holder_init);
module_exit(holder_exit);
MODULE_DESCRIPTION("A DAX holder in C");
MODULE_LICENSE("GPL");
