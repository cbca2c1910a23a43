// SPDX-License-Identifier: GPL-2.0-only
/*
 * Standing before fs_dax_get_by_bdev(), as a live patch would; what for is src/lookup.rs.
 *
 * The replacement sleeps, so it does not run inside ftrace's callback: that only changes where the
 * called function begins.
 */
#include <linux/blkdev.h>
#include <linux/completion.h>
#include <linux/dax.h>
#include <linux/delay.h>
#include <linux/ftrace.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/refcount.h>

#include "helpers.h"

#ifdef CONFIG_DYNAMIC_FTRACE_WITH_ARGS

static bool hook_lookups = true;
module_param(hook_lookups, bool, 0400);
MODULE_PARM_DESC(hook_lookups, "let every file system on a disk claim a DAX device of its own (Y)");

/* Tasks within the replacement, and one for as long as it stands. */
static refcount_t inside;
static DECLARE_COMPLETION(empty);

static void leave(void)
{
	if (refcount_dec_and_test(&inside))
		complete(&empty);
}

static struct dax_device *replacement(struct block_device *bdev, u64 *start, void *holder,
				      const struct dax_holder_operations *ops)
{
	struct dax_device *dax_dev = dax_holder_lookup(bdev, start, holder, ops);

	leave();
	return dax_dev;
}

static void notrace redirect(unsigned long ip, unsigned long parent_ip, struct ftrace_ops *ops,
			     struct ftrace_regs *fregs)
{
	const struct block_device *bdev = (void *)ftrace_regs_get_argument(fregs, 0);

	/* It asks this first itself: nothing that we could provide concerns the others. */
	if (!blk_queue_dax(bdev->bd_disk->queue))
		return;
	/* Our own calls, the one in the replacement among them, are to reach the function. */
	if (!within_module(parent_ip, THIS_MODULE) && refcount_inc_not_zero(&inside))
		ftrace_regs_set_instruction_pointer(fregs, (unsigned long)replacement);
}

static struct ftrace_ops hook = {
	.func = redirect,
	.flags = FTRACE_OPS_FL_DYNAMIC | FTRACE_OPS_FL_IPMODIFY | FTRACE_OPS_FL_PERMANENT,
};

/* Begins to call dax_holder_lookup() instead of fs_dax_get_by_bdev(), for everybody else. */
int dh_lookup_hook(void)
{
	int err;

	if (!hook_lookups)
		return -EOPNOTSUPP;
	err = ftrace_set_filter_ip(&hook, (unsigned long)fs_dax_get_by_bdev, 0, 0);
	if (err)
		return err;
	refcount_set(&inside, 1);
	err = register_ftrace_function(&hook);
	/* ftrace can break in the middle, and then leaves the call to us where it is. */
	if (hook.flags & FTRACE_OPS_FL_ENABLED && err)
		__module_get(THIS_MODULE);
	else if (err)
		ftrace_free_filter(&hook);
	return err;
}

/*
 * Ends that. Afterwards nobody is in the replacement: those who were counted have left; and for
 * those who have just done so, and have its last instructions before them, ftrace waits until every
 * task has slept or left the kernel (synchronize_rcu_tasks() in ftrace_shutdown()).
 */
void dh_lookup_unhook(void)
{
	leave();
	wait_for_completion(&empty);
	/* If ftrace is broken the call to us stays in the kernel's text, and so must we. */
	while (WARN_ON_ONCE(unregister_ftrace_function(&hook)))
		ssleep(60);
	ftrace_free_filter(&hook);
}

#else

int dh_lookup_hook(void) { return -EOPNOTSUPP; }
void dh_lookup_unhook(void) { }

#endif
