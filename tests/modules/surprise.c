// SPDX-License-Identifier: GPL-2.0-only
/*
 * The removal that nobody announces: what kill_dax() tells the holder of nd_pmem's device, without the
 * unbind that a stock kernel always announces first. For tests/test_surprise.sh.
 *
 * Loaded while the disk is not attached, so that what is looked up is nd_pmem's own device. Parameters:
 *   disk	path of the disk
 *   fire	write anything: it happens. Read: what was answered
 */
#include <linux/blkdev.h>
#include <linux/dax.h>
#include <linux/mm.h>
#include <linux/module.h>

static char *disk;
module_param(disk, charp, 0400);
MODULE_PARM_DESC(disk, "path of the disk");

static struct dax_device *lower;
static int answer = 1;

static int fire(const char *value, const struct kernel_param *param)
{
	answer = dax_holder_notify_failure(lower, 0, U64_MAX, MF_MEM_PRE_REMOVE);
	return 0;
}

static const struct kernel_param_ops fire_ops = { .set = fire, .get = param_get_int };
module_param_cb(fire, &fire_ops, &answer, 0600);
MODULE_PARM_DESC(fire, "write anything: the disk goes without a word");

static int __init surprise_init(void)
{
	struct file *file = bdev_file_open_by_path(disk, BLK_OPEN_READ, NULL, NULL);
	u64 start;

	if (IS_ERR(file))
		return PTR_ERR(file);
	lower = fs_dax_get_by_bdev(file_bdev(file), &start, NULL, NULL);
	fput(file);
	return lower ? 0 : -EOPNOTSUPP;
}

static void __exit surprise_exit(void)
{
	put_dax(lower);
}

module_init(surprise_init);
module_exit(surprise_exit);
MODULE_DESCRIPTION("dax_holder test: a removal that nobody announces");
MODULE_LICENSE("GPL");
