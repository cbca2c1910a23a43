// SPDX-License-Identifier: GPL-2.0-only
/*
 * Holders to order: shows how include/linux/dax_holder.h is used, and is what tests/test_holders.sh
 * asks for holders that sleep, fail, or do what they must not.
 *
 * Files in /sys/kernel/debug/holder_test. One write is one command, a line of KEY=VALUE words; its
 * error is that of the function that is called.
 *
 *   add	registers a group of holders:
 *			name=		of the group; a holder of several is NAME.0, NAME.1 ...
 *			disk=		path of the block device
 *			via=		or the group that has it open
 *			dax=1		register with the DAX device instead
 *			offset= len=	the range; without len all of it
 *			count= stride=	how many, how far apart
 *			priority= deadline= owner=1
 *			idle=1		not yet: only makes them, see register
 *			bad=		what is wrong, see spoil()
 *		and what their callback does: the keys of set
 *   set	changes what the callback of the group name= does, now or from its next call on:
 *			answer=		what it returns, 0 or a negative errno
 *			delay=		sleeps so many milliseconds
 *			held=1		waits until held=0
 *			meet=N		waits until N calls of the group are under way
 *			unregister= register= report=	does that with this group
 *   register, unregister	the holders of the group name=
 *   probe	asks for the event of the group name=, outside its callback
 *   remove	unregisters and forgets the group name=, without a name all of them
 *   report	reports ranges of disk= or via=: list=OFFSET+LEN,... or offset= len= count= stride=;
 *		bad=null: a NULL list. When read: what the last one that was handled came to
 *   state	when read: a line for each holder, the first one names the columns
 */
#include <linux/blkdev.h>
#include <linux/dax.h>
#include <linux/dax_holder.h>
#include <linux/debugfs.h>
#include <linux/delay.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/refcount.h>
#include <linux/sched/mm.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/wait.h>

#define NAME_SIZE 32
#define MAX_LISTED 8
#define MEET_SECONDS 300

struct group;

/**
 * struct holder - one holder, and what it was told
 * @group: what it is one of
 * @client: NULL if it is not registered; taken by xchg() by whoever unregisters
 * @name: how it is called
 * @running: calls under way, which may not be more than one
 * @wrong: how often the contract was seen broken
 *
 * The rest is of the last call, except that @calls, @missed, @doubled and @merged count; only the
 * callback writes it.
 */
struct holder {
	struct group *group;
	struct dax_holder_client *client;
	char name[NAME_SIZE];
	atomic_t running;
	u32 wrong;
	u64 calls, missed, doubled, merged;
	struct dax_holder_event event;
	u64 offset, len;
	int flags;
	u64 ranges, bytes;
	struct dax_holder_range listed[MAX_LISTED];
	u64 begin, end;
	int did;
};

/**
 * struct group - holders that do the same
 * @node: in groups
 * @users: references
 * @name: how it is called
 * @file: the open block device
 * @dax: register with its DAX device
 * @info: how they register, but for name and private
 * @range: that of the first holder; of no length: everything
 * @stride: from one to the next
 * @bad: what to register wrongly
 * @answer: what the callback returns
 * @delay: how many milliseconds it sleeps
 * @meet: how many calls it waits for
 * @held: it waits for this to end
 * @unregister: the group it unregisters, or empty
 * @register_: the group it registers, or empty
 * @report: the group on whose device it reports, or empty
 * @wake: for those who wait for @held or @meet
 * @met: how many calls there were
 * @inside: how many are under way
 * @most: how many were at once
 * @count: how many holders
 * @holders: they
 */
struct group {
	struct list_head node;
	refcount_t users;
	char name[NAME_SIZE];
	struct file *file;
	bool dax;
	struct dax_holder_info info;
	struct dax_holder_range range;
	u64 stride;
	char bad[NAME_SIZE];
	int answer;
	u32 delay;
	u32 meet;
	bool held;
	char unregister[NAME_SIZE], register_[NAME_SIZE], report[NAME_SIZE];
	wait_queue_head_t wake;
	atomic_t met, inside, most;
	u32 count;
	struct holder holders[] __counted_by(count);
};

static LIST_HEAD(groups);
static DEFINE_MUTEX(groups_lock);	/* not held while a holder is waited for */

/* Every beginning and end of a call takes the next number. */
static atomic64_t order = ATOMIC64_INIT(0);

static struct dax_holder_handled handled;

static int group_register(struct group *group);
static int group_unregister(struct group *group);
static struct group *group_find(const char *name);
static void group_put(struct group *group);

/* ------------------------------------------------------------------------------ the callback */

/* Walks through the parts that the event touches. */
static void walk(struct holder *h, struct dax_holder_client *client)
{
	struct dax_holder_range part = { .offset = 0 };
	u64 first = U64_MAX, behind = 0;

	h->ranges = 0;
	h->bytes = 0;
	for (; dax_holder_next_range(client, &part); part.offset += part.len) {
		/* In order, apart from each other, not empty. */
		if (!part.len || (h->ranges && part.offset <= behind))
			h->wrong++;
		if (h->ranges < MAX_LISTED)
			h->listed[h->ranges] = part;
		first = min(first, part.offset);
		behind = part.offset + part.len;
		h->ranges++;
		h->bytes += part.len;
	}
	/* Together they are what the callback was told. */
	if (first != h->offset || behind != h->offset + h->len)
		h->wrong++;
}

/* Does what the group @name is for. Returns the first error. */
static int act(const char *name, int (*what)(struct group *group))
{
	struct group *group = group_find(name);
	int ret;

	if (!group)
		return -ENOENT;
	ret = what(group);
	group_put(group);
	return ret;
}

static int report_first_page(struct group *group)
{
	struct dax_holder_range page = { .len = PAGE_SIZE };

	return dax_holder_report(file_bdev(group->file), &page, 1, NULL);
}

static int notify_failure(struct dax_holder_client *client, u64 offset, u64 len, int flags)
{
	struct holder *h = dax_holder_private(client);
	struct group *group = h->group;
	int inside = atomic_inc_return(&group->inside), most = atomic_read(&group->most);
	u64 before = h->event.last;

	h->begin = atomic64_inc_return(&order);
	while (inside > most && !atomic_try_cmpxchg(&group->most, &most, inside))
		;
	atomic_inc(&group->met);
	if (atomic_inc_return(&h->running) != 1)
		h->wrong++;
	if (dax_holder_event(client, &h->event) || h->event.first > h->event.last)
		h->wrong++;
	if (flags != (h->event.kind == DAX_HOLDER_FAILURE ? 0 : MF_MEM_PRE_REMOVE))
		h->wrong++;
	if (!(current->flags & PF_MEMALLOC_NOIO))
		h->wrong++;
	if (h->calls) {
		if (h->event.first > before)
			h->missed += h->event.first - before - 1;
		else
			h->doubled++;
	}
	h->merged += h->event.last - h->event.first;
	h->offset = offset;
	h->len = len;
	h->flags = flags;
	walk(h, client);
	/* Last: who reads that it was called finds the rest. */
	smp_store_release(&h->calls, h->calls + 1);
	wake_up_all(&group->wake);

	if (group->delay)
		msleep(group->delay);
	wait_event(group->wake, !READ_ONCE(group->held));
	if (group->meet)
		wait_event_timeout(group->wake, atomic_read(&group->met) >= group->meet,
				   MEET_SECONDS * HZ);
	if (group->unregister[0])
		h->did = act(group->unregister, group_unregister);
	if (group->register_[0])
		h->did = act(group->register_, group_register);
	if (group->report[0])
		h->did = act(group->report, report_first_page);

	atomic_dec(&h->running);
	atomic_dec(&group->inside);
	WRITE_ONCE(h->end, atomic64_inc_return(&order));
	return group->answer;
}

static const struct dax_holder_client_ops ops = { .notify_failure = notify_failure };
static const struct dax_holder_client_ops no_ops;

/* ------------------------------------------------------------------------------------- groups */

/* Registers wrongly. */
static const struct dax_holder_info *spoil(struct dax_holder_info *info, const char *how)
{
	if (!strcmp(how, "info"))
		return NULL;
	if (!strcmp(how, "ops"))
		info->ops = NULL;
	else if (!strcmp(how, "function"))
		info->ops = &no_ops;
	else if (!strcmp(how, "noname"))
		info->name = NULL;
	else if (!strcmp(how, "empty"))
		info->name = "";
	else if (!strcmp(how, "words"))
		info->name = "two words";
	else if (!strcmp(how, "line"))
		info->name = "line\n";
	else if (!strcmp(how, "foreign"))
		info->name = "H\xc3\xa4lter";
	else if (!strcmp(how, "long"))
		info->name = "a-name-of-thirty-two-characters.";
	else if (!strcmp(how, "longest"))
		info->name = "a-name-of-thirty-one-characters";
	return info;
}

/* Registers one holder, which must be in no list and have no client. */
static int holder_register(struct holder *h, unsigned int number)
{
	struct group *group = h->group;
	struct dax_holder_info info = group->info;
	struct block_device *bdev = strcmp(group->bad, "device") ? file_bdev(group->file) : NULL;
	u64 offset = group->range.offset + number * group->stride;
	u64 len = group->range.len ?: U64_MAX;
	const struct dax_holder_info *how;
	struct dax_holder_client *client;

	info.name = h->name;
	info.private = h;
	how = spoil(&info, group->bad);
	if (!strcmp(group->bad, "length"))
		len = 0;
	if (group->dax) {
		struct dax_device *dax_dev = NULL;
		u64 start;

		if (bdev)
			dax_dev = fs_dax_get_by_bdev(bdev, &start, NULL, NULL);
		client = dax_holder_register_dax(dax_dev, offset, len, how);
		if (dax_dev)
			fs_put_dax(dax_dev, NULL);
	} else {
		client = dax_holder_register(bdev, offset, len, how);
	}
	if (IS_ERR(client))
		return PTR_ERR(client);
	/* The callback may have run already: it knows the holder by its private pointer. */
	WRITE_ONCE(h->client, client);
	return 0;
}

static int holder_unregister(struct holder *h)
{
	struct dax_holder_client *client = xchg(&h->client, NULL);
	int ret;

	if (!client)
		return 0;
	ret = dax_holder_unregister(client);
	if (ret)	/* from its own callback: still registered */
		WRITE_ONCE(h->client, client);
	return ret;
}

/* Registers those of a group that are not, until one fails. */
static int group_register(struct group *group)
{
	int ret;

	for (u32 i = 0; i < group->count; i++) {
		if (READ_ONCE(group->holders[i].client))
			continue;
		ret = holder_register(&group->holders[i], i);
		if (ret)
			return ret;
	}
	return 0;
}

static int group_unregister(struct group *group)
{
	int ret;

	for (u32 i = 0; i < group->count; i++) {
		ret = holder_unregister(&group->holders[i]);
		if (ret)
			return ret;
	}
	return 0;
}

static struct group *group_find(const char *name)
{
	struct group *group;

	guard(mutex)(&groups_lock);
	list_for_each_entry(group, &groups, node) {
		if (!strcmp(group->name, name)) {
			refcount_inc(&group->users);
			return group;
		}
	}
	return NULL;
}

static void group_put(struct group *group)
{
	if (!refcount_dec_and_test(&group->users))
		return;
	/* Somebody's callback may have registered it when it was being removed. */
	group_unregister(group);
	fput(group->file);
	kvfree(group);
}

/* ------------------------------------------------------------------------------------- orders */

/* What a command says; keys that it does not name are NULL or 0. */
struct words {
	char *name, *disk, *via, *bad, *list, *unregister, *register_, *report;
	u64 offset, len, stride, count, dax, owner, idle, delay, held, meet, deadline;
	s64 priority, answer;
};

#define TEXT(key, member) { key, offsetof(struct words, member), 't' }
#define NUMBER(member) { #member, offsetof(struct words, member), 'u' }
#define SIGNED(member) { #member, offsetof(struct words, member), 's' }

static const struct {
	const char *key;
	size_t at;
	char type;
} keys[] = {
	TEXT("name", name), TEXT("disk", disk), TEXT("via", via), TEXT("bad", bad),
	TEXT("list", list), TEXT("unregister", unregister), TEXT("register", register_),
	TEXT("report", report), NUMBER(offset), NUMBER(len), NUMBER(stride), NUMBER(count),
	NUMBER(dax), NUMBER(owner), NUMBER(idle), NUMBER(delay), NUMBER(held), NUMBER(meet),
	NUMBER(deadline), SIGNED(priority), SIGNED(answer),
};

static int word(struct words *w, const char *key, char *value)
{
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		void *at = (void *)w + keys[i].at;

		if (strcmp(keys[i].key, key))
			continue;
		if (!value)
			return -ENOMSG;
		switch (keys[i].type) {
		case 't':
			*(char **)at = value;
			return 0;
		case 'u':
			return kstrtou64(value, 0, at);
		default:
			return kstrtos64(value, 0, at);
		}
	}
	return -ENOMSG;
}

/* Returns the text, which @w points into. A word that is not known is -ENOMSG. */
static char *parse(struct words *w, const char __user *from, size_t size)
{
	char *text = memdup_user_nul(from, size), *rest, *key, *value;
	int ret;

	if (IS_ERR(text))
		return text;
	*w = (struct words){};
	for (rest = strim(text); *rest;) {
		rest = next_arg(rest, &key, &value);
		ret = word(w, key, value);
		if (ret) {
			kfree(text);
			return ERR_PTR(ret);
		}
	}
	return text;
}

/* Opens the block device without claiming it: a holder needs no more than to name it. */
static struct file *open_device(const struct words *w)
{
	struct group *other;
	struct file *file;

	if (!w->via)
		return bdev_file_open_by_path(w->disk ?: "", BLK_OPEN_READ, NULL, NULL);
	other = group_find(w->via);
	if (!other)
		return ERR_PTR(-ENOENT);
	file = get_file(other->file);
	group_put(other);
	return file;
}

static void behave(struct group *group, const struct words *w)
{
	group->answer = w->answer;
	group->delay = w->delay;
	group->meet = w->meet;
	strscpy(group->unregister, w->unregister ?: "");
	strscpy(group->register_, w->register_ ?: "");
	strscpy(group->report, w->report ?: "");
	atomic_set(&group->met, 0);
	WRITE_ONCE(group->held, w->held);
	wake_up_all(&group->wake);
}

static int do_add(const struct words *w)
{
	u32 count = w->count ?: 1;
	struct group *group;
	int ret;

	if (!w->name)
		return -ENOMSG;
	group = kvzalloc(struct_size(group, holders, count), GFP_KERNEL);
	if (!group)
		return -ENOMEM;
	group->count = count;
	refcount_set(&group->users, 1);
	init_waitqueue_head(&group->wake);
	strscpy(group->name, w->name);
	strscpy(group->bad, w->bad ?: "");
	group->dax = w->dax;
	group->info = (struct dax_holder_info){
		.ops = &ops,
		.owner = w->owner ? THIS_MODULE : NULL,
		.priority = w->priority,
		.deadline_ms = w->deadline,
	};
	group->range = (struct dax_holder_range){ w->offset, w->len };
	group->stride = w->stride;
	behave(group, w);
	for (u32 i = 0; i < count; i++) {
		struct holder *h = &group->holders[i];

		h->group = group;
		if (count == 1)
			strscpy(h->name, w->name);
		else
			snprintf(h->name, sizeof(h->name), "%s.%u", w->name, i);
	}
	group->file = open_device(w);
	if (IS_ERR(group->file)) {
		ret = PTR_ERR(group->file);
		kvfree(group);
		return ret;
	}
	ret = w->idle ? 0 : group_register(group);
	if (ret) {
		group_put(group);
		return ret;
	}
	guard(mutex)(&groups_lock);
	list_add_tail(&group->node, &groups);
	return 0;
}

static int do_set(const struct words *w)
{
	struct group *group = group_find(w->name ?: "");

	if (!group)
		return -ENOENT;
	behave(group, w);
	group_put(group);
	return 0;
}

static int do_register(const struct words *w)
{
	return act(w->name ?: "", group_register);
}

static int do_unregister(const struct words *w)
{
	return act(w->name ?: "", group_unregister);
}

static int probe(struct group *group)
{
	struct dax_holder_client *client = READ_ONCE(group->holders[0].client);
	struct dax_holder_range part = { .offset = 0 };
	struct dax_holder_event event;

	if (!client)
		return -ENOENT;
	return dax_holder_next_range(client, &part) ? -EEXIST : dax_holder_event(client, &event);
}

static int do_probe(const struct words *w)
{
	return act(w->name ?: "", probe);
}

static int do_remove(const struct words *w)
{
	struct group *group, *next;
	LIST_HEAD(gone);

	scoped_guard(mutex, &groups_lock) {
		list_for_each_entry_safe(group, next, &groups, node) {
			if (!w->name || !strcmp(w->name, group->name))
				list_move_tail(&group->node, &gone);
		}
	}
	if (w->name && list_empty(&gone))
		return -ENOENT;
	/* All may go on: one may wait for another. */
	list_for_each_entry(group, &gone, node) {
		WRITE_ONCE(group->held, false);
		wake_up_all(&group->wake);
	}
	list_for_each_entry_safe(group, next, &gone, node) {
		list_del(&group->node);
		group_unregister(group);
		group_put(group);
	}
	return 0;
}

/* Reads OFFSET+LEN,OFFSET+LEN... Returns how many. */
static ssize_t read_list(char *list, struct dax_holder_range *ranges, size_t most)
{
	size_t nr = 0;
	char *one;

	while (nr < most && (one = strsep(&list, ","))) {
		if (sscanf(one, "%lli+%lli", &ranges[nr].offset, &ranges[nr].len) != 2)
			return -ENOMSG;
		nr++;
	}
	return nr;
}

static int do_report(const struct words *w)
{
	size_t room = w->list ? 64 : max(w->count, 1);
	struct dax_holder_range *ranges;
	struct dax_holder_handled now;
	struct file *file;
	ssize_t nr = w->count;
	int ret;

	ranges = kvcalloc(room, sizeof(*ranges), GFP_KERNEL);
	if (!ranges)
		return -ENOMEM;
	file = open_device(w);
	if (IS_ERR(file)) {
		kvfree(ranges);
		return PTR_ERR(file);
	}
	if (w->list)
		nr = read_list(w->list, ranges, room);
	else
		for (size_t i = 0; i < w->count; i++)
			ranges[i] = (struct dax_holder_range){ w->offset + i * w->stride, w->len };
	ret = nr < 0 ? nr : dax_holder_report(file_bdev(file),
					      w->bad && !strcmp(w->bad, "null") ? NULL : ranges,
					      nr, &now);
	if (!ret) {
		guard(mutex)(&groups_lock);
		handled = now;
	}
	fput(file);
	kvfree(ranges);
	return ret;
}

/* -------------------------------------------------------------------------------------- files */

static ssize_t command(struct file *file, const char __user *from, size_t size, loff_t *pos)
{
	int (*what)(const struct words *w) = debugfs_get_aux(file);
	struct words words;
	char *text = parse(&words, from, size);
	int ret;

	if (IS_ERR(text))
		return PTR_ERR(text);
	ret = what(&words);
	kfree(text);
	return ret ?: size;
}

static int report_show(struct seq_file *m, void *unused)
{
	guard(mutex)(&groups_lock);
	seq_printf(m, "event=%llu bytes=%llu holders=%u result=%d\n", handled.event, handled.bytes,
		   handled.holders, handled.result);
	return 0;
}

static int report_open(struct inode *inode, struct file *file)
{
	return single_open(file, report_show, NULL);
}

static void show_holder(struct seq_file *m, const struct holder *h)
{
	static const char * const kinds[] = { "failure", "removal", "surprise" };
	u64 calls = smp_load_acquire(&h->calls);	/* pairs with notify_failure() */

	seq_printf(m, "%s %d %llu %llu %llu %llu %llu %llu 0x%llx 0x%llx %d %s %llu %llu %llu %llu %d %d %d %u ",
		   h->name, !!READ_ONCE(h->client), calls, h->event.first, h->event.last, h->missed,
		   h->doubled, h->merged, h->offset, h->len, h->flags,
		   calls ? kinds[h->event.kind] : "-", h->ranges, h->bytes, h->begin,
		   READ_ONCE(h->end), atomic_read(&h->running), atomic_read(&h->group->most),
		   h->did, h->wrong);
	if (!h->ranges)
		seq_putc(m, '-');
	for (u64 i = 0; i < min(h->ranges, MAX_LISTED); i++)
		seq_printf(m, "%s0x%llx+0x%llx", i ? "," : "", h->listed[i].offset,
			   h->listed[i].len);
	seq_puts(m, h->ranges > MAX_LISTED ? ",...\n" : "\n");
}

static int state_show(struct seq_file *m, void *unused)
{
	struct group *group;

	seq_puts(m, "# name registered calls first last missed doubled merged offset len flags kind ranges bytes begin end running most did wrong list\n");
	guard(mutex)(&groups_lock);
	list_for_each_entry(group, &groups, node)
		for (u32 i = 0; i < group->count; i++)
			show_holder(m, &group->holders[i]);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(state);

static const struct file_operations command_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.write = command,
};

static const struct file_operations report_fops = {
	.owner = THIS_MODULE,
	.open = report_open,
	.read = seq_read,
	.llseek = seq_lseek,
	.release = single_release,
	.write = command,
};

static struct dentry *folder;

static int __init holder_test_init(void)
{
	static const struct {
		const char *name;
		int (*what)(const struct words *w);
	} files[] = {
		{ "add", do_add }, { "set", do_set }, { "register", do_register },
		{ "unregister", do_unregister }, { "probe", do_probe }, { "remove", do_remove },
	};

	folder = debugfs_create_dir("holder_test", NULL);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		debugfs_create_file_aux(files[i].name, 0200, folder, NULL, files[i].what,
					&command_fops);
	debugfs_create_file_aux("report", 0600, folder, NULL, do_report, &report_fops);
	debugfs_create_file("state", 0400, folder, NULL, &state_fops);
	return 0;
}

static void __exit holder_test_exit(void)
{
	/* No more commands; then nobody is registered whom this module does not pin. */
	debugfs_remove(folder);
	do_remove(&(struct words){});
}

module_init(holder_test_init);
module_exit(holder_test_exit);

MODULE_DESCRIPTION("Holders to order, for the tests of dax_holder");
MODULE_LICENSE("GPL");
