// SPDX-License-Identifier: GPL-2.0-only
/*
 * What only the kernel can time, for scripts/bench-guest.
 *
 * Files in /sys/kernel/debug/holder_bench, a line of words each:
 *
 *   poison	write "PFN COUNT STRIDE": memory_failure(PFN + i * STRIDE, MF_SW_SIMULATED) for COUNT
 *		frames; read "calls ns handled ignored failed"
 *   told	as poison, but only what memory_failure() calls in the driver: pmem_pagemap_memory_failure(),
 *		which tells the holder of the DAX device
 *   notify	write a block device: tells the holder of its DAX device of the removal, as
 *		kill_dax() does; read "answer ns"
 *   frame	write a block device; read the first page frame number of its DAX device
 *   hold	write a block device: claims the holder slot of its DAX device and does nothing when it is
 *		told of a failure but say that all is well; nothing: gives it back
 *   watch	write names of functions: from now on their calls are timed; nothing: no more.
 *		Read "name calls ns longest_ns" for each
 *   latency	write 1: a thread of the highest real-time priority on each CPU wakes up every
 *		millisecond; 0: no more. Read "cpu wakes longest_ns": how late it came at most. That
 *		is no less than the longest time for which interrupts or preemption were off, and with
 *		the latter every spinlock was held that was held longer.
 */
#include <linux/blkdev.h>
#include <linux/dax.h>
#include <linux/debugfs.h>
#include <linux/hrtimer.h>
#include <linux/kprobes.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/memremap.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pfn.h>
#include <linux/sched.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/string.h>

static DEFINE_MUTEX(one);	/* one command at a time */

/* ------------------------------------------------------------------------ memory_failure() */

static struct {
	unsigned long calls, handled, ignored, failed;
	u64 ns;
} poisoned;

static int poison_each(char *text, int (*fail)(unsigned long pfn))
{
	unsigned long pfn, count, stride;
	u64 begin;

	if (sscanf(text, "%lu %lu %lu", &pfn, &count, &stride) != 3)
		return -EINVAL;
	memset(&poisoned, 0, sizeof(poisoned));
	poisoned.calls = count;
	begin = ktime_get_ns();
	for (unsigned long i = 0; i < count; i++) {
		int ret = fail(pfn + i * stride);

		if (!ret)
			poisoned.handled++;
		else if (ret == -EOPNOTSUPP || ret == -EBUSY)
			poisoned.ignored++;
		else
			poisoned.failed++;
		cond_resched();
	}
	poisoned.ns = ktime_get_ns() - begin;
	return 0;
}

static int fail_frame(unsigned long pfn)
{
	return memory_failure(pfn, MF_SW_SIMULATED);
}

static int poison(char *text)
{
	return poison_each(text, fail_frame);
}

static int tell_of_frame(unsigned long pfn)
{
	struct dev_pagemap *pgmap = page_pgmap(pfn_to_page(pfn));

	return pgmap->ops->memory_failure(pgmap, pfn, 1, MF_SW_SIMULATED);
}

/* The caller sees to it that the frames are those of a disk that stays. */
static int told(char *text)
{
	return poison_each(text, tell_of_frame);
}

static int poison_show(struct seq_file *m)
{
	seq_printf(m, "%lu %llu %lu %lu %lu\n", poisoned.calls, poisoned.ns, poisoned.handled,
		   poisoned.ignored, poisoned.failed);
	return 0;
}

/* ----------------------------------------------------------------------------- DAX devices */

static struct {
	int answer;
	u64 ns;
} notified;

static unsigned long first_frame;

/* Calls @what with the DAX device of the block device @path. */
static int with_dax(char *path, int (*what)(struct dax_device *dax_dev))
{
	struct file *file = bdev_file_open_by_path(strim(path), BLK_OPEN_READ, NULL, NULL);
	struct dax_device *dax_dev;
	int ret = -EOPNOTSUPP;
	u64 start;

	if (IS_ERR(file))
		return PTR_ERR(file);
	dax_dev = fs_dax_get_by_bdev(file_bdev(file), &start, NULL, NULL);
	if (dax_dev) {
		ret = what(dax_dev);
		fs_put_dax(dax_dev, NULL);
	}
	fput(file);
	return ret;
}

static int do_notify(struct dax_device *dax_dev)
{
	u64 begin = ktime_get_ns();

	notified.answer = dax_holder_notify_failure(dax_dev, 0, U64_MAX, MF_MEM_PRE_REMOVE);
	notified.ns = ktime_get_ns() - begin;
	return 0;
}

static int notify(char *text)
{
	return with_dax(text, do_notify);
}

static int notify_show(struct seq_file *m)
{
	seq_printf(m, "%d %llu\n", notified.answer, notified.ns);
	return 0;
}

static int do_frame(struct dax_device *dax_dev)
{
	int id = dax_read_lock();
	long pages = dax_direct_access(dax_dev, 0, 1, DAX_RECOVERY_WRITE, NULL, &first_frame);

	dax_read_unlock(id);
	return pages < 0 ? pages : 0;
}

static int frame(char *text)
{
	return with_dax(text, do_frame);
}

static int frame_show(struct seq_file *m)
{
	seq_printf(m, "%lu\n", first_frame);
	return 0;
}

static int all_is_well(struct dax_device *dax_dev, u64 offset, u64 len, int flags)
{
	return 0;
}

static const struct dax_holder_operations idle_holder = { .notify_failure = all_is_well };
static struct dax_device *held;

static void hold_nothing(void)
{
	if (held)
		fs_put_dax(held, &held);
	held = NULL;
}

static int hold(char *text)
{
	struct file *file;
	u64 start;

	hold_nothing();
	text = strim(text);
	if (!*text)
		return 0;
	file = bdev_file_open_by_path(text, BLK_OPEN_READ, NULL, NULL);
	if (IS_ERR(file))
		return PTR_ERR(file);
	held = fs_dax_get_by_bdev(file_bdev(file), &start, &held, &idle_holder);
	fput(file);
	return held ? 0 : -EBUSY;
}

static int hold_show(struct seq_file *m)
{
	seq_printf(m, "%d\n", !!held);
	return 0;
}

/* ------------------------------------------------------------------------------- functions */

#define WATCHED 8

struct watched {
	struct kretprobe probe;
	char name[64];
	atomic64_t calls, ns, longest;
};

static struct watched watched[WATCHED];

static int on_entry(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	*(u64 *)instance->data = ktime_get_ns();
	return 0;
}
NOKPROBE_SYMBOL(on_entry);

static int on_return(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	struct watched *w = container_of(get_kretprobe(instance), struct watched, probe);
	s64 ns = ktime_get_ns() - *(u64 *)instance->data, longest = atomic64_read(&w->longest);

	atomic64_inc(&w->calls);
	atomic64_add(ns, &w->ns);
	while (ns > longest && !atomic64_try_cmpxchg(&w->longest, &longest, ns))
		;
	return 0;
}
NOKPROBE_SYMBOL(on_return);

static void watch_nothing(void)
{
	for (size_t i = 0; i < WATCHED; i++) {
		if (watched[i].name[0])
			unregister_kretprobe(&watched[i].probe);
		memset(&watched[i], 0, sizeof(watched[i]));
	}
}

static int watch(char *text)
{
	char *name;
	size_t n = 0;
	int ret;

	watch_nothing();
	while ((name = strsep(&text, " \n"))) {
		struct watched *w = &watched[n];

		if (!*name)
			continue;
		if (n == WATCHED)
			return -E2BIG;
		w->probe = (struct kretprobe){
			.kp.symbol_name = w->name,
			.handler = on_return,
			.entry_handler = on_entry,
			.data_size = sizeof(u64),
			.maxactive = 64,
		};
		strscpy(w->name, name);
		ret = register_kretprobe(&w->probe);
		if (ret) {
			w->name[0] = 0;
			return ret;
		}
		n++;
	}
	return 0;
}

static int watch_show(struct seq_file *m)
{
	for (size_t i = 0; i < WATCHED && watched[i].name[0]; i++)
		seq_printf(m, "%s %lld %lld %lld\n", watched[i].name,
			   atomic64_read(&watched[i].calls), atomic64_read(&watched[i].ns),
			   atomic64_read(&watched[i].longest));
	return 0;
}

/* --------------------------------------------------------------------------------- latency */

struct waker {
	struct task_struct *task;
	u64 wakes;
	s64 longest;
};

static struct waker wakers[NR_CPUS];

static int wake_up_often(void *data)
{
	struct waker *w = data;
	ktime_t due = ktime_get();

	while (!kthread_should_stop()) {
		s64 late;

		due = ktime_add_ns(due, NSEC_PER_MSEC);
		set_current_state(TASK_INTERRUPTIBLE);
		if (!kthread_should_stop())
			schedule_hrtimeout_range(&due, 0, HRTIMER_MODE_ABS);
		__set_current_state(TASK_RUNNING);
		late = ktime_to_ns(ktime_sub(ktime_get(), due));
		w->wakes++;
		w->longest = max(w->longest, late);
		/* Late is late once. */
		if (late > (s64)NSEC_PER_MSEC)
			due = ktime_get();
	}
	return 0;
}

static void latency_stop(void)
{
	unsigned int cpu;

	for_each_possible_cpu(cpu) {
		if (wakers[cpu].task)
			kthread_stop(wakers[cpu].task);
		wakers[cpu].task = NULL;
	}
}

static int latency(char *text)
{
	unsigned int cpu;

	latency_stop();
	if (text[0] == '0')
		return 0;
	for_each_online_cpu(cpu) {
		struct waker *w = &wakers[cpu];
		struct task_struct *task = kthread_create(wake_up_often, w, "holder_bench/%u", cpu);

		if (IS_ERR(task))
			return PTR_ERR(task);
		*w = (struct waker){ .task = task };
		kthread_bind(task, cpu);
		sched_set_fifo(task);
		wake_up_process(task);
	}
	return 0;
}

static int latency_show(struct seq_file *m)
{
	unsigned int cpu;

	for_each_online_cpu(cpu)
		seq_printf(m, "%u %llu %lld\n", cpu, wakers[cpu].wakes, wakers[cpu].longest);
	return 0;
}

/* ----------------------------------------------------------------------------------- files */

struct bench_file {
	const char *name;
	int (*command)(char *text);
	int (*show)(struct seq_file *m);
};

static const struct bench_file files[] = {
	{ "poison", poison, poison_show },
	{ "told", told, poison_show },
	{ "notify", notify, notify_show },
	{ "frame", frame, frame_show },
	{ "hold", hold, hold_show },
	{ "watch", watch, watch_show },
	{ "latency", latency, latency_show },
};

static int file_show(struct seq_file *m, void *unused)
{
	const struct bench_file *file = m->private;

	guard(mutex)(&one);
	return file->show(m);
}

static int file_open(struct inode *inode, struct file *file)
{
	return single_open(file, file_show, inode->i_private);
}

static ssize_t file_write(struct file *file, const char __user *from, size_t size, loff_t *pos)
{
	const struct bench_file *what = file_inode(file)->i_private;
	char *text = memdup_user_nul(from, size);
	int ret;

	if (IS_ERR(text))
		return PTR_ERR(text);
	scoped_guard(mutex, &one)
		ret = what->command(text);
	kfree(text);
	return ret ?: size;
}

static const struct file_operations file_fops = {
	.owner = THIS_MODULE,
	.open = file_open,
	.read = seq_read,
	.llseek = seq_lseek,
	.release = single_release,
	.write = file_write,
};

static struct dentry *folder;

static int __init holder_bench_init(void)
{
	folder = debugfs_create_dir("holder_bench", NULL);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		debugfs_create_file(files[i].name, 0600, folder, (void *)&files[i], &file_fops);
	return 0;
}

static void __exit holder_bench_exit(void)
{
	debugfs_remove(folder);
	latency_stop();
	watch_nothing();
	hold_nothing();
}

module_init(holder_bench_init);
module_exit(holder_bench_exit);

MODULE_DESCRIPTION("What only the kernel can time, for the bench of dax_holder");
MODULE_LICENSE("GPL");
