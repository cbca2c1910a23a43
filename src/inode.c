// SPDX-License-Identifier: GPL-2.0-only
/*
 * The memory of one DAX inode: unmapped, by several CPUs if there is much of it, or taken out of
 * the file. The rules are written at the safe wrappers in src/sys/super_block.rs.
 */
#include <linux/cpumask.h>
#include <linux/dax.h>
#include <linux/fs.h>
#include <linux/ktime.h>
#include <linux/math64.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sizes.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

#include "helpers.h"

unsigned long dh_inode_number(struct inode *inode) { return inode->i_ino; }

/* A file that is unmapped by several CPUs, part by part. */
struct unmapping {
	struct address_space *mapping;
	loff_t part;		/* bytes of a part */
	int parts;
	atomic_t next;		/* the first part that nobody has taken */
	bool pinned;
};

struct unmapping_help {
	struct work_struct work;
	struct unmapping *with;
};

/*
 * Unmaps [start, end]. The same call looks for references, to every page once: what it costs more
 * than unmapping alone is one look at each entry of the DAX tree.
 */
static void unmap_part(struct unmapping *u, loff_t start, loff_t end)
{
	if (dax_layout_busy_page_range(u->mapping, start, end))
		WRITE_ONCE(u->pinned, true);
	cond_resched();
}

/* Unmaps parts until none is left; the last one goes on behind the end of the file. */
static void unmap_parts(struct work_struct *work)
{
	struct unmapping *u = container_of(work, struct unmapping_help, work)->with;
	int i;

	while ((i = atomic_fetch_inc(&u->next)) < u->parts)
		unmap_part(u, i * u->part, i + 1 < u->parts ? (i + 1) * u->part - 1 : LLONG_MAX);
}

#define UNMAP_PART SZ_64M
/* Looking for references is a fifth of it, one CPU at a time and with interrupts off: more would queue. */
#define UNMAP_HELPERS 3
/* What a second CPU must save to be worth the call. */
#define UNMAP_WORTH (2 * NSEC_PER_MSEC)

/* Under the invalidate lock, on behalf of everybody who helps. Returns whether a page is pinned. */
static bool unmap_all(struct address_space *mapping)
{
	struct unmapping_help helps[UNMAP_HELPERS + 1];	/* the last one is us */
	int helpers = min_t(int, num_online_cpus() - 1, UNMAP_HELPERS), i;
	loff_t size = max(i_size_read(mapping->host), 1);
	struct unmapping u = { .mapping = mapping, .next = ATOMIC_INIT(1) };
	u64 begin = ktime_get_ns();

	/* Many more parts than CPUs: the file may be sparse, or mapped in one place only. */
	u.part = max_t(loff_t, UNMAP_PART, round_up(div_u64(size, 64 * (helpers + 1)), SZ_2M));
	u.parts = div64_u64(size - 1, u.part) + 1;
	/* The first part tells: 2 MiB mappings are gone before help would have come. */
	unmap_part(&u, 0, u.parts > 1 ? u.part - 1 : LLONG_MAX);
	if (u.parts == 1)
		return u.pinned;
	helpers = min(helpers, u.parts - 2);
	if (helpers <= 0 || (ktime_get_ns() - begin) * (u.parts - 1) < 2 * UNMAP_WORTH) {
		unmap_part(&u, u.part, LLONG_MAX);
		return u.pinned;
	}
	for (i = 0; i <= helpers; i++) {
		helps[i].with = &u;
		INIT_WORK_ONSTACK(&helps[i].work, unmap_parts);
		if (i < helpers)
			queue_work(system_dfl_wq, &helps[i].work);
	}
	unmap_parts(&helps[helpers].work);
	/* Who has not come by now is not waited for. */
	for (i = 0; i <= helpers; i++) {
		cancel_work_sync(&helps[i].work);
		destroy_work_on_stack(&helps[i].work);
	}
	return u.pinned;
}

/*
 * Removes every translation to the file's memory, and sets @pinned if a page is referenced, for
 * DMA say; returns its pages in the DAX tree, which all stay there. The invalidate lock waits out
 * faults that had their translation before the gate was closed. Private copies are DRAM and stay.
 */
unsigned long dh_inode_unmap(struct inode *inode, bool *pinned)
{
	struct address_space *mapping = inode->i_mapping;
	unsigned long pages;

	*pinned = false;
	if (!dax_mapping(mapping))
		return 0;
	filemap_invalidate_lock(mapping);
	*pinned = unmap_all(mapping);
	/*
	 * A file system without ->shutdown (erofs) faults without the invalidate lock: its locked
	 * entries have been waited for, now take away what those faults have mapped. Behind a pinned
	 * page they were not: whoever retries the inode does it again.
	 */
	if (!inode->i_sb->s_op->shutdown)
		*pinned = unmap_all(mapping);
	pages = mapping->nrpages;
	filemap_invalidate_unlock(mapping);
	return pages;
}

/* 4 MiB: the entries of one step are deleted with interrupts off (fs/dax.c), 450 instructions each. */
#define DROP_STEP_PAGES (SZ_4M >> PAGE_SHIFT)

/*
 * After dh_inode_unmap(), takes the file's memory out of the DAX tree, in steps; the parts with
 * pinned pages stay there and set @pinned. Returns the pages that were in it.
 */
unsigned long dh_inode_drop(struct inode *inode, bool *pinned)
{
	struct address_space *mapping = inode->i_mapping;
	unsigned long pages, index = 0;

	*pinned = false;
	if (!dax_mapping(mapping))
		return 0;
	filemap_invalidate_lock(mapping);
	pages = mapping->nrpages;
	while (xa_find(&mapping->i_pages, &index, ULONG_MAX, XA_PRESENT)) {
		unsigned long start = round_down(index, DROP_STEP_PAGES);
		unsigned long next = start + DROP_STEP_PAGES;

		if (dax_break_layout(inode, (loff_t)start << PAGE_SHIFT,
				     ((loff_t)next << PAGE_SHIFT) - 1, NULL))
			*pinned = true;
		if (!next)
			break;
		index = next;
		cond_resched();
	}
	filemap_invalidate_unlock(mapping);
	return pages;
}
