// SPDX-License-Identifier: GPL-2.0-only
/*
 * Threads that register and unregister holders as fast as they can while events go on, and the
 * books to say of every registration which events it must have been told, which it must not, and
 * that each came once. For tests/test_holders_races.sh.
 *
 * The first 128 MiB of the disk are slots of 1 MiB; a holder has one or more of them. Two holders
 * of the whole disk keep the books: one is told of each event before all others, the other after
 * them. Whoever had returned from registering when the last one was told of event n - 1 must be
 * told of event n; whoever was yet to begin when the first one was told of event n must not.
 * Likewise for unregistering.
 *
 * Files in /sys/kernel/debug/holder_storm:
 *   start	write the path of the disk
 *   stop	write anything; EIO if something was wrong
 *   result	what was seen, and the first few things that were wrong
 */
#include <linux/atomic.h>
#include <linux/bitmap.h>
#include <linux/blkdev.h>
#include <linux/dax.h>
#include <linux/dax_holder.h>
#include <linux/debugfs.h>
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/random.h>
#include <linux/seq_file.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/vmalloc.h>

#define SLOTS 128
#define SLOT_SIZE SZ_1M
#define PAGE_OF_SLOT 0x3000UL	/* the page of a slot that our reports name */
#define HOLDERS 128
#define THREADS 8
#define REPORTERS 2
#define EVENTS (1 << 18)		/* how many are remembered */
#define DEADLINE_MS 3600000	/* nobody is ever stuck here */
#define PART_MS 2
#define LISTED 8

/**
 * struct entry - what is known of one event
 * @number: of the event
 * @begun: order when the first holder was told
 * @ending: order when the last holder was told, 0 before
 * @calls: how many holders were called
 * @paged: all it touches is the one page of each of @slots
 * @slots: which it touches
 */
struct entry {
	u64 number, begun, ending;
	atomic_t calls;
	bool paged;
	DECLARE_BITMAP(slots, SLOTS);
};

/**
 * struct holder - a registration that comes and goes
 * @lock: held by whoever registers or unregisters it
 * @client: NULL if it is not registered
 * @slot: its first slot
 * @count: how many it has
 * @alive: it is about to be registered, or was and has not been unregistered
 * @running: calls under way
 * @registering: order before registering
 * @registered: order after it
 * @calls: how many there were
 * @first: the number of the first event
 * @last: that of the last one
 */
struct holder {
	struct mutex lock;
	struct dax_holder_client *client;
	u32 slot, count;
	bool alive;
	atomic_t running;
	u64 registering, registered;
	u64 calls, first, last;
};

static struct holder holders[HOLDERS];
static struct entry *entries;
static u64 newest;	/* the last event that the last holder was told */
static u64 started;	/* order when the storm began */
static struct file *disk;
static struct dax_holder_client *first_client, *last_client;
static struct task_struct *tasks[THREADS + REPORTERS];
static struct dax_holder_range room[REPORTERS][SLOTS];
static DEFINE_MUTEX(storm_lock);

static atomic64_t order = ATOMIC64_INIT(0);
static atomic64_t events, calls, registrations, refused, due, reports, inside, wrongs;

static char wrong_list[LISTED][160];

static u64 stamp(void)
{
	return atomic64_inc_return(&order);
}

__printf(1, 2) static void wrong(const char *format, ...)
{
	u64 at = atomic64_inc_return(&wrongs) - 1;
	va_list args;

	if (at >= LISTED)
		return;
	va_start(args, format);
	vsnprintf(wrong_list[at], sizeof(wrong_list[at]), format, args);
	va_end(args);
}

static struct entry *entry_of(u64 number)
{
	struct entry *entry = &entries[number % EVENTS];

	/* Pairs with first_told(). */
	return number && smp_load_acquire(&entry->number) == number ? entry : NULL;
}

/* How many slots of the holder the event touches. */
static u32 touched(const struct entry *entry, u32 slot, u32 count)
{
	u32 n = 0, bit = slot;

	for_each_set_bit_from(bit, entry->slots, slot + count)
		n++;
	return n;
}

/* ------------------------------------------------------------------------------------ the books */

static int first_told(struct dax_holder_client *client, u64 offset, u64 len, int flags)
{
	struct dax_holder_range part = { .offset = 0 };
	struct dax_holder_event event = {};
	struct entry *entry, *before;

	if (dax_holder_event(client, &event) || event.first != event.last) {
		wrong("the first holder: events %llu to %llu", event.first, event.last);
		return 0;
	}
	before = entry_of(event.first - 1);
	if (atomic64_inc_return(&events) > 1 && !before)
		wrong("event %llu does not follow another", event.first);
	entry = &entries[event.first % EVENTS];
	WRITE_ONCE(entry->number, 0);
	entry->paged = event.kind == DAX_HOLDER_FAILURE;
	entry->ending = 0;
	atomic_set(&entry->calls, 1);
	bitmap_zero(entry->slots, SLOTS);
	for (; dax_holder_next_range(client, &part); part.offset += part.len) {
		u64 slot = part.offset / SLOT_SIZE;
		u64 behind = DIV_ROUND_UP(part.offset + part.len, SLOT_SIZE);

		if (part.len != PAGE_SIZE || part.offset % SLOT_SIZE != PAGE_OF_SLOT)
			entry->paged = false;
		if (slot < SLOTS)
			bitmap_set(entry->slots, slot, min(behind, SLOTS) - slot);
	}
	entry->begun = stamp();
	/* Now the entry is complete: pairs with entry_of(). */
	smp_store_release(&entry->number, event.first);
	return 0;
}

static int last_told(struct dax_holder_client *client, u64 offset, u64 len, int flags)
{
	struct dax_holder_event event = {};
	struct entry *entry;

	if (dax_holder_event(client, &event) || event.first != event.last) {
		wrong("the last holder: events %llu to %llu", event.first, event.last);
		return 0;
	}
	entry = entry_of(event.first);
	if (!entry) {
		wrong("event %llu: the last holder was told, not the first", event.first);
		return 0;
	}
	atomic_inc(&entry->calls);
	WRITE_ONCE(entry->ending, stamp());
	/* All calls have ended: pairs with settle(). */
	smp_store_release(&newest, event.first);
	return 0;
}

static const struct dax_holder_client_ops first_ops = { .notify_failure = first_told };
static const struct dax_holder_client_ops last_ops = { .notify_failure = last_told };

/* A holder is being unregistered, since @leaving: was it told what it had to be? */
static void settle(struct holder *h, u64 leaving)
{
	u64 n, told = 0;
	struct entry *entry, *before;

	if (h->calls) {
		for (n = h->first; n <= h->last; n++) {
			entry = entry_of(n);
			if (entry)
				told += !!touched(entry, h->slot, h->count);
			else
				wrong("event %llu has been forgotten, or never was", n);
		}
		if (told != h->calls)
			wrong("events %llu to %llu touch a holder %llu times, of %llu calls",
			      h->first, h->last, told, h->calls);
		entry = entry_of(h->first);
		if (entry && entry->begun < h->registering)
			wrong("told of event %llu, which was before", h->first);
	}
	/* Pairs with last_told(). */
	for (n = smp_load_acquire(&newest); n; n--) {
		u64 ended, began;

		entry = entry_of(n);
		before = entry_of(n - 1);
		/* Its end is after the end of the one before, at the latest. */
		began = before ? READ_ONCE(before->ending) : started;
		if (!entry || began < h->registered)
			break;
		ended = READ_ONCE(entry->ending);
		if (!ended || ended > leaving || !touched(entry, h->slot, h->count))
			continue;
		atomic64_inc(&due);
		if (!h->calls || n < h->first || n > h->last)
			wrong("not told of event %llu, only %llu times from %llu to %llu",
			      n, h->calls, h->first, h->last);
	}
}

/* -------------------------------------------------------------------------------- registrations */

static int storm_told(struct dax_holder_client *client, u64 offset, u64 len, int flags);
static const struct dax_holder_client_ops storm_ops = { .notify_failure = storm_told };

/* Registers or unregisters @h, unless somebody else is just doing that. */
static void toggle(struct holder *h)
{
	struct block_device *bdev = file_bdev(disk);
	struct dax_holder_info info = {
		.name = "storm",
		.ops = &storm_ops,
		.private = h,
		.owner = get_random_u32_below(2) ? THIS_MODULE : NULL,
		.priority = (int)get_random_u32_below(5) - 2,
		.deadline_ms = DEADLINE_MS,
	};
	u64 leaving;
	int ret;

	if (!mutex_trylock(&h->lock))
		return;
	if (h->client) {
		leaving = stamp();
		ret = dax_holder_unregister(h->client);
		if (ret)
			wrong("unregistering: %d", ret);
		WRITE_ONCE(h->alive, false);
		if (atomic_read(&h->running))
			wrong("unregistered while it is being called");
		h->client = NULL;
		settle(h, leaving);
	} else {
		h->slot = get_random_u32_below(SLOTS);
		h->count = 1 + get_random_u32_below(min(SLOTS - h->slot, 8));
		h->calls = 0;
		h->first = 0;
		h->last = 0;
		WRITE_ONCE(h->alive, true);
		h->registering = stamp();
		if (get_random_u32_below(4)) {
			h->client = dax_holder_register(bdev, h->slot * SLOT_SIZE,
							h->count * SLOT_SIZE, &info);
		} else {
			u64 start;
			struct dax_device *dax_dev = fs_dax_get_by_bdev(bdev, &start, NULL, NULL);

			h->client = dax_holder_register_dax(dax_dev, h->slot * SLOT_SIZE,
							    h->count * SLOT_SIZE, &info);
			if (dax_dev)
				fs_put_dax(dax_dev, NULL);
		}
		h->registered = stamp();
		atomic64_inc(&registrations);
		ret = PTR_ERR_OR_ZERO(h->client);
		if (ret) {
			WRITE_ONCE(h->alive, false);
			h->client = NULL;
			atomic64_inc(&refused);
			if (ret != -ENODEV && ret != -ESHUTDOWN)
				wrong("registering: %d", ret);
		}
	}
	mutex_unlock(&h->lock);
}

static int storm_told(struct dax_holder_client *client, u64 offset, u64 len, int flags)
{
	static const int answers[] = { 0, 0, -EOPNOTSUPP, -EIO };
	struct holder *h = dax_holder_private(client);
	struct dax_holder_range part = { .offset = 0 };
	struct dax_holder_event event = {};
	struct entry *entry;
	u64 n = 0, bytes = 0;

	atomic64_inc(&calls);
	if (!READ_ONCE(h->alive))
		wrong("called when it is not registered");
	if (atomic_inc_return(&h->running) != 1)
		wrong("called twice at a time");
	if (dax_holder_event(client, &event) || event.first != event.last)
		wrong("events %llu to %llu", event.first, event.last);
	if (h->calls && event.first <= h->last)
		wrong("event %llu after event %llu", event.first, h->last);
	if (!h->calls)
		h->first = event.first;
	h->last = event.last;
	h->calls++;
	for (; dax_holder_next_range(client, &part); part.offset += part.len) {
		n++;
		bytes += part.len;
	}
	entry = entry_of(event.first);
	if (!entry) {
		wrong("told of event %llu before the first holder", event.first);
	} else {
		u32 want = touched(entry, h->slot, h->count);

		atomic_inc(&entry->calls);
		if (!want || (entry->paged && (n != want || bytes != want * PAGE_SIZE)))
			wrong("event %llu: %llu ranges of %llu bytes, not %u pages", event.first, n,
			      bytes, want);
		if (READ_ONCE(entry->ending))
			wrong("told of event %llu when it was over", event.first);
	}
	if (get_random_u32_below(2))
		usleep_range(10, PART_MS * 1000);
	/* Only those before it: two that wait for each other would wait for ever. */
	if (h > holders && !get_random_u32_below(8)) {
		toggle(&holders[get_random_u32_below(h - holders)]);
		atomic64_inc(&inside);
	}
	atomic_dec(&h->running);
	return answers[get_random_u32_below(ARRAY_SIZE(answers))];
}

static int storm_thread(void *unused)
{
	while (!kthread_should_stop()) {
		toggle(&holders[get_random_u32_below(HOLDERS)]);
		if (get_random_u32_below(2))
			usleep_range(10, PART_MS * 1000);
		cond_resched();
	}
	return 0;
}

/* Reports on one slot, on a few, on most, or on all. */
static int report_thread(void *room)
{
	static const u32 one_in[] = { SLOTS, 16, 2, 1 };
	struct dax_holder_range *ranges = room;
	struct dax_holder_handled handled;
	struct entry *entry;
	int ret;

	while (!kthread_should_stop()) {
		u32 how = one_in[get_random_u32_below(ARRAY_SIZE(one_in))], n = 0;

		for (u64 slot = 0; slot < SLOTS; slot++)
			if (!get_random_u32_below(how))
				ranges[n++] = (struct dax_holder_range){
					slot * SLOT_SIZE + PAGE_OF_SLOT, PAGE_SIZE
				};
		if (!n)
			continue;
		ret = dax_holder_report(file_bdev(disk), ranges, n, &handled);
		if (!ret) {
			atomic64_inc(&reports);
			entry = entry_of(handled.event);
			if (!entry || !entry->ending)
				wrong("event %llu was told to nobody", handled.event);
			else if (atomic_read(&entry->calls) != handled.holders)
				wrong("event %llu: %d calls, %u holders", handled.event,
				      atomic_read(&entry->calls), handled.holders);
			if (handled.bytes != n * PAGE_SIZE)
				wrong("%u pages are %llu bytes", n, handled.bytes);
		} else if (ret != -ENODEV && ret != -ESHUTDOWN) {
			wrong("reporting: %d", ret);
		}
		usleep_range(100, PART_MS * 1000);
	}
	return 0;
}

/* ----------------------------------------------------------------------------------- the storm */

static void end_tasks(void)
{
	/* Those who report first: nobody has to wait for who has gone. */
	for (int i = ARRAY_SIZE(tasks) - 1; i >= 0; i--) {
		if (tasks[i])
			kthread_stop(tasks[i]);
		tasks[i] = NULL;
	}
}

static void end_storm(void)
{
	end_tasks();
	for (size_t i = 0; i < ARRAY_SIZE(holders); i++)
		if (holders[i].client)
			toggle(&holders[i]);
	if (!IS_ERR_OR_NULL(first_client))
		dax_holder_unregister(first_client);
	if (!IS_ERR_OR_NULL(last_client))
		dax_holder_unregister(last_client);
	first_client = NULL;
	last_client = NULL;
	fput(disk);
	disk = NULL;
	vfree(entries);
	entries = NULL;
}

static int begin_storm(const char *path)
{
	struct dax_holder_info info = { .name = "books", .deadline_ms = DEADLINE_MS };
	int ret = -ENOMEM;

	disk = bdev_file_open_by_path(path, BLK_OPEN_READ, NULL, NULL);
	if (IS_ERR(disk)) {
		ret = PTR_ERR(disk);
		disk = NULL;
		return ret;
	}
	entries = vcalloc(EVENTS, sizeof(*entries));
	if (!entries)
		goto failed;
	newest = 0;
	atomic64_set(&events, 0);
	atomic64_set(&calls, 0);
	atomic64_set(&registrations, 0);
	atomic64_set(&refused, 0);
	atomic64_set(&due, 0);
	atomic64_set(&reports, 0);
	atomic64_set(&inside, 0);
	atomic64_set(&wrongs, 0);
	memset(wrong_list, 0, sizeof(wrong_list));
	/* In this order: what the first one is told, the last one must be told too. */
	info.ops = &last_ops;
	info.priority = INT_MIN;
	last_client = dax_holder_register(file_bdev(disk), 0, U64_MAX, &info);
	ret = PTR_ERR_OR_ZERO(last_client);
	if (ret)
		goto failed;
	info.ops = &first_ops;
	info.priority = INT_MAX;
	first_client = dax_holder_register(file_bdev(disk), 0, U64_MAX, &info);
	ret = PTR_ERR_OR_ZERO(first_client);
	if (ret)
		goto failed;
	started = stamp();
	for (size_t i = 0; i < ARRAY_SIZE(tasks); i++) {
		struct task_struct *task;

		if (i < THREADS)
			task = kthread_run(storm_thread, NULL, "holder_storm/%zu", i);
		else
			task = kthread_run(report_thread, room[i - THREADS], "holder_report");
		ret = PTR_ERR_OR_ZERO(task);
		if (ret)
			goto failed;
		tasks[i] = task;
	}
	return 0;
failed:
	end_storm();
	return ret;
}

static ssize_t start_write(struct file *file, const char __user *from, size_t size, loff_t *pos)
{
	char *path = memdup_user_nul(from, size);
	int ret;

	if (IS_ERR(path))
		return PTR_ERR(path);
	scoped_guard(mutex, &storm_lock)
		ret = disk ? -EBUSY : begin_storm(strim(path));
	kfree(path);
	return ret ?: size;
}

static ssize_t stop_write(struct file *file, const char __user *from, size_t size, loff_t *pos)
{
	guard(mutex)(&storm_lock);
	if (!disk)
		return -EINVAL;
	end_storm();
	return atomic64_read(&wrongs) ? -EIO : size;
}

static int result_show(struct seq_file *m, void *unused)
{
	seq_printf(m, "events=%lld calls=%lld registrations=%lld refused=%lld due=%lld reports=%lld inside=%lld wrong=%lld\n",
		   atomic64_read(&events), atomic64_read(&calls), atomic64_read(&registrations),
		   atomic64_read(&refused), atomic64_read(&due), atomic64_read(&reports),
		   atomic64_read(&inside), atomic64_read(&wrongs));
	for (s64 i = 0; i < min(atomic64_read(&wrongs), LISTED); i++)
		seq_printf(m, "%s\n", wrong_list[i]);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(result);

static const struct file_operations start_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.write = start_write,
};

static const struct file_operations stop_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.write = stop_write,
};

static struct dentry *folder;

static int __init holder_storm_init(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(holders); i++)
		mutex_init(&holders[i].lock);
	folder = debugfs_create_dir("holder_storm", NULL);
	debugfs_create_file("start", 0200, folder, NULL, &start_fops);
	debugfs_create_file("stop", 0200, folder, NULL, &stop_fops);
	debugfs_create_file("result", 0400, folder, NULL, &result_fops);
	return 0;
}

static void __exit holder_storm_exit(void)
{
	debugfs_remove(folder);
	if (disk)
		end_storm();
}

module_init(holder_storm_init);
module_exit(holder_storm_exit);

MODULE_DESCRIPTION("Holders that come and go while events go on, for the tests of dax_holder");
MODULE_LICENSE("GPL");
