// SPDX-License-Identifier: GPL-2.0-only
/*
 * What Rust cannot say itself; no policy. The rules each of these needs are written at
 * its safe wrapper in src/sys/.
 */
#include <linux/backing-dev.h>
#include <linux/badblocks.h>
#include <linux/blkdev.h>
#include <linux/capability.h>
#include <linux/dax.h>
#include <linux/delay.h>
#include <linux/device/bus.h>
#include <linux/fs.h>
#include <linux/kallsyms.h>
#include <linux/kernfs.h>
#include <linux/kobject.h>
#include <linux/memremap.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/nd.h>
#include <linux/pagemap.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "helpers.h"

/* ---- the nd bus -------------------------------------------------------- */

static int never_probe(struct device *dev)
{
	return -ENODEV;
}

/*
 * nvdimm_bus_type is static. Registering a driver is the one exported call that shows
 * it; the type bit matches no device (those are 0 to 7, drivers/nvdimm/bus.c:
 * to_nd_device_type()), so nothing is ever probed. The bus lives as long as libnvdimm,
 * which this module's symbols pin.
 */
const struct bus_type *dh_nd_bus(void)
{
	struct nd_device_driver probe = {
		.type = BIT(BITS_PER_LONG - 1),
		.probe = never_probe,
		.drv.name = "dax_holder",
	};
	const struct bus_type *bus;
	int err = nd_driver_register(&probe);

	if (err)
		return ERR_PTR(err);
	bus = probe.drv.bus;
	nd_driver_unregister(&probe);
	return bus;
}

static int is_disk(struct device *dev, const void *unused)
{
	return dev->type && dev->type->name && !strcmp(dev->type->name, "disk") &&
	       dev->class && !strcmp(dev->class->name, "block");
}

/* The disk that nd_pmem made for @dev, with a reference to its device; NULL if none. */
struct gendisk *dh_pmem_disk(struct device *dev)
{
	struct device *disk;

	if (!dev->driver || strcmp(dev->driver->name, "nd_pmem"))
		return NULL;
	disk = device_find_child(dev, NULL, is_disk);
	return disk ? dev_to_disk(disk) : NULL;
}

static int any_bound(struct device *dev, const void *unused)
{
	/* Without the device lock: who takes it looks again. */
	const struct device_driver *driver = READ_ONCE(dev->driver);

	return driver && !strcmp(driver->name, "nd_pmem");
}

/*
 * Is the disk of @bdev there, and nd_pmem's? Only to be asked for an open block device: that keeps
 * nd_pmem.ko, and so the driver that its parent names.
 */
bool dh_bdev_on_pmem(struct block_device *bdev)
{
	struct device *parent = disk_to_dev(bdev->bd_disk)->parent;

	return disk_live(bdev->bd_disk) && parent && any_bound(parent, NULL);
}

/* The next device that nd_pmem drives, with a reference; puts @prev. */
struct device *dh_next_bound(const struct bus_type *bus, struct device *prev)
{
	struct device *next = bus_find_device(bus, prev, NULL, any_bound);

	put_device(prev);
	return next;
}

void dh_device_lock(struct device *dev) { device_lock(dev); }
bool dh_device_trylock(struct device *dev) { return device_trylock(dev); }
void dh_device_unlock(struct device *dev) { device_unlock(dev); }
void dh_device_assert_locked(struct device *dev) { device_lock_assert(dev); }

/* ---- one disk and its block devices ------------------------------------- */

struct device *dh_disk_device(struct gendisk *disk) { return disk_to_dev(disk); }
bool dh_disk_has_dax(struct gendisk *disk) { return blk_queue_dax(disk->queue); }
const int *dh_disk_bad_count(struct gendisk *disk) { return disk->bb ? &disk->bb->count : NULL; }
u64 dh_bdev_start(struct block_device *bdev) { return get_start_sect(bdev) << SECTOR_SHIFT; }
u64 dh_bdev_bytes(struct block_device *bdev) { return bdev_nr_bytes(bdev); }
dev_t dh_bdev_number(struct block_device *bdev) { return bdev->bd_dev; }
struct block_device *dh_disk_part0(struct gendisk *disk) { return disk->part0; }
void dh_bdev_get(struct block_device *bdev) { get_device(&bdev->bd_device); }
void dh_bdev_put(struct block_device *bdev) { put_device(&bdev->bd_device); }
bool dh_disk_claimed(struct gendisk *disk) { return READ_ONCE(disk->part0->bd_holder); }

/* Is @symbol the kernel's @name? For symbols that are not exported (KALLSYMS_ALL). */
static bool is_symbol(const void *symbol, const char *name, const void **known)
{
	char found[KSYM_SYMBOL_LEN];

	if (READ_ONCE(*known))
		return symbol == *known;
	/* A module's own symbol of that name carries "[module]" and is another one. */
	sprint_symbol_no_offset(found, (unsigned long)symbol);
	if (strcmp(found, name))
		return false;
	WRITE_ONCE(*known, symbol);
	return true;
}

/*
 * Has somebody claimed @bdev for himself? A claimed partition makes the block layer claim
 * the whole disk too, with bd_may_claim() as the holder (bd_finish_claiming()).
 */
bool dh_bdev_claimed(struct block_device *bdev)
{
	static const void *may_claim;
	const void *holder = READ_ONCE(bdev->bd_holder);

	return holder && (bdev_is_partition(bdev) ||
			  !is_symbol(holder, "bd_may_claim", &may_claim));
}

void dh_bdev_name(struct block_device *bdev, char *buf, size_t size)
{
	snprintf(buf, size, "%pg", bdev);
}

/*
 * The next block device of @disk at or after *@index (0 is the whole disk), with a
 * reference; *@index is moved behind it. As blk_report_disk_dead() walks them.
 */
struct block_device *dh_next_bdev(struct gendisk *disk, unsigned long *index)
{
	struct block_device *bdev;

	rcu_read_lock();
	bdev = xa_find(&disk->part_tbl, index, ULONG_MAX, XA_PRESENT);
	while (bdev && !kobject_get_unless_zero(&bdev->bd_device.kobj))
		bdev = xa_find_after(&disk->part_tbl, index, ULONG_MAX, XA_PRESENT);
	rcu_read_unlock();
	(*index)++;
	return bdev;
}

/* The on-disk beginning of an XFS super block; fs/xfs/libxfs/xfs_format.h: struct xfs_dsb. */
struct xfs_beginning {
	__be32 magic;
	__be32 block_size;
	u8 unused[76];
	__be32 group_blocks;
};
static_assert(offsetof(struct xfs_beginning, group_blocks) == 84);

/* The size of an allocation group of the XFS on @bdev, in bytes; 0 if it cannot be read. */
u64 dh_bdev_xfs_group_bytes(struct block_device *bdev)
{
	struct folio *folio = read_mapping_folio(bdev->bd_mapping, 0, NULL);
	const struct xfs_beginning *xfs;
	u64 bytes = 0;

	if (IS_ERR(folio))
		return 0;
	xfs = kmap_local_folio(folio, 0);
	if (be32_to_cpu(xfs->magic) == 0x58465342 /* XFSB */)
		bytes = (u64)be32_to_cpu(xfs->block_size) * be32_to_cpu(xfs->group_blocks);
	kunmap_local(xfs);
	folio_put(folio);
	return bytes;
}

/* ---- what is stacked on a block device ----------------------------------- */

void dh_disk_get(struct gendisk *disk) { get_device(disk_to_dev(disk)); }

/* The next block device that is a whole disk, of any driver, with a reference; puts @prev. */
struct gendisk *dh_next_disk(struct gendisk *any, struct gendisk *prev)
{
	struct class_dev_iter iter;
	struct device *next;

	class_dev_iter_init(&iter, disk_to_dev(any)->class, prev ? disk_to_dev(prev) : NULL,
			    disk_to_dev(any)->type);
	next = class_dev_iter_next(&iter);
	if (next)
		get_device(next);
	class_dev_iter_exit(&iter);
	if (prev)
		put_device(disk_to_dev(prev));
	return next ? dev_to_disk(next) : NULL;
}

/*
 * The link from @upper's slaves directory to @bdev, with a reference; NULL if @upper is not
 * stacked on it. A driver that stacks makes it when it claims @bdev and removes it before it
 * gives @bdev back (block/holder.c), whether or not the table that needs it is live.
 */
struct kernfs_node *dh_stacking(struct gendisk *upper, struct block_device *bdev)
{
	struct kernfs_node *link = NULL;

	/* del_gendisk() gives the directory up once the disk is not live any more. */
	mutex_lock(&upper->open_mutex);
	if (disk_live(upper) && upper->slave_dir)
		link = kernfs_find_and_get(upper->slave_dir->sd, kobject_name(bdev_kobj(bdev)));
	mutex_unlock(&upper->open_mutex);
	/* One of that name that went, still held? */
	if (link && link->symlink.target_kn != bdev_kobj(bdev)->sd) {
		kernfs_put(link);
		link = NULL;
	}
	return link;
}

void dh_stacking_get(struct kernfs_node *link) { kernfs_get(link); }
void dh_stacking_put(struct kernfs_node *link) { kernfs_put(link); }

/*
 * Is the link still in its directory? It is never put back once removed, and until then its place in
 * the tree may change under our eyes, but not to that of one that is removed.
 */
bool dh_stacking_holds(struct kernfs_node *link) { return data_race(!RB_EMPTY_NODE(&link->rb)); }

bool dh_disk_is_dm(struct gendisk *disk) { return !strncmp(disk->disk_name, "dm-", 3); }

/* ---- super blocks --------------------------------------------------------- */

/*
 * The super block that has claimed @bdev; NULL if somebody else or nobody has. Under
 * bd_holder_lock, which keeps its memory: bd_holder is cleared under it when the file
 * system releases the device (block/bdev.c: bd_end_claim()), before the last put_super().
 *
 * The VFS's fs_holder_ops, static since 7.3, mean a file system. Its holder may still be a
 * file_system_type (erofs' extra devices): that is static data, a super block is a slab
 * object.
 */
static struct super_block *super_of(struct block_device *bdev)
{
	static const void *fs_holder_ops;
	void *holder = bdev->bd_holder;

	lockdep_assert_held(&bdev->bd_holder_lock);
	if (!holder || !bdev->bd_holder_ops ||
	    !is_symbol(bdev->bd_holder_ops, "fs_holder_ops", &fs_holder_ops) ||
	    !virt_addr_valid(holder) || !PageSlab(virt_to_head_page(holder)))
		return NULL;
	return holder;
}

/* Copies what holds @bdev: the type of the file system, or "claimed". False: nobody does. */
bool dh_bdev_kind(struct block_device *bdev, char *buf, size_t size)
{
	struct super_block *sb;
	bool claimed;

	mutex_lock(&bdev->bd_holder_lock);
	sb = super_of(bdev);
	claimed = dh_bdev_claimed(bdev);
	snprintf(buf, size, "%s", sb ? sb->s_type->name : "claimed");
	mutex_unlock(&bdev->bd_holder_lock);
	return claimed;
}

/*
 * The mounted super block that holds @bdev, with an active reference; NULL if none does;
 * ERR_PTR(-EAGAIN) if it is being mounted or unmounted just now.
 */
struct super_block *dh_bdev_super(struct block_device *bdev)
{
	struct super_block *sb;

	mutex_lock(&bdev->bd_holder_lock);
	sb = super_of(bdev);
	if (sb) {
		/* Pairs with super_wake(): SB_BORN makes the super block's fields visible. */
		unsigned int flags = smp_load_acquire(&sb->s_flags);

		if (!(flags & SB_BORN) || (flags & SB_DYING) ||
		    !atomic_inc_not_zero(&sb->s_active))
			sb = ERR_PTR(-EAGAIN);
	}
	mutex_unlock(&bdev->bd_holder_lock);
	return sb;
}

void dh_super_get(struct super_block *sb) { atomic_inc(&sb->s_active); }

void dh_super_name(struct super_block *sb, char *buf, size_t size)
{
	snprintf(buf, size, "%s", sb->s_type->name);
}

bool dh_super_has_fs_info(struct super_block *sb, const void *fs_info)
{
	return fs_info && sb->s_fs_info == fs_info;
}

int dh_super_shutdown(struct super_block *sb)
{
	if (!sb->s_op->shutdown)
		return -EOPNOTSUPP;
	sb->s_op->shutdown(sb);
	return 0;
}

/*
 * The next inode of @sb behind @prev (from the start if NULL) that has DAX entries or
 * may have DAX mappings, with a reference. @prev keeps its reference and with it its
 * place in the list. As fs/drop_caches.c: drop_pagecache_sb().
 */
struct inode *dh_next_dax_inode(struct super_block *sb, struct inode *prev)
{
	struct inode *inode = NULL, *found = NULL;

	spin_lock(&sb->s_inode_list_lock);
	inode = prev ? prev : list_entry(&sb->s_inodes, struct inode, i_sb_list);
	list_for_each_entry_continue(inode, &sb->s_inodes, i_sb_list) {
		spin_lock(&inode->i_lock);
		if (!(inode_state_read(inode) & (I_FREEING | I_WILL_FREE | I_NEW)) &&
		    /* Any inode is a resting point when somebody wants the CPU. */
		    (need_resched() ||
		     (IS_DAX(inode) && (mapping_mapped(inode->i_mapping) ||
					!data_race(mapping_empty(inode->i_mapping)))))) {
			__iget(inode);
			found = inode;
		}
		spin_unlock(&inode->i_lock);
		if (found)
			break;
	}
	spin_unlock(&sb->s_inode_list_lock);
	cond_resched();
	return found;
}

/* ---- the page map ----------------------------------------------------------- */

void dh_pagemap_get(struct dev_pagemap *pgmap) { percpu_ref_get(&pgmap->ref); }
void dh_pagemap_put(struct dev_pagemap *pgmap) { put_dev_pagemap(pgmap); }

/* Counts the FS-DAX pages of [pfn, pfn + nr) that somebody still uses; idle is 0 refs. */
void dh_pagemap_usage(unsigned long pfn, unsigned long nr, struct dh_usage *usage)
{
	unsigned long i;

	memset(usage, 0, sizeof(*usage));
	for (i = 0; i < nr; i++) {
		struct page *page = pfn_to_page(pfn + i);
		struct folio *folio = page_folio(page);
		bool refs = folio_ref_count(folio) > folio_mapcount(folio);
		/* Reflinked: ->share counts the files, ->mapping is NULL (fs/dax.c). */
		bool mapped = READ_ONCE(folio->mapping) || READ_ONCE(folio->share);

		usage->pages += mapped || folio_ref_count(folio);
		usage->mapped += mapped;
		usage->pinned += refs;
		if (!(i % 4096))
			cond_resched();
	}
}

/* ---- odds and ends ------------------------------------------------------------ */

unsigned int dh_dax_references(struct dax_device *dax_dev)
{
	return icount_read_once(dax_inode(dax_dev));
}

int dh_uevent(struct device *dev, const char *const *env)
{
	return kobject_uevent_env(&dev->kobj, KOBJ_CHANGE, (char **)env);
}

int dh_restart_syscall(void) { return restart_syscall(); }
bool dh_module_get(void) { return try_module_get(THIS_MODULE); }
void dh_module_put(void) { module_put(THIS_MODULE); }
/* Only a task writes its own flags, and each of these does; the scheduler looks at other bits of them at any time. */
bool dh_may_administrate(void) { return data_race(capable(CAP_SYS_ADMIN)); }
unsigned int dh_noio_save(void) { return data_race(memalloc_noio_save()); }
void dh_noio_restore(unsigned int flags) { data_race(({ memalloc_noio_restore(flags); 0; })); }
void dh_cond_resched(void) { cond_resched(); }
void dh_msleep(unsigned int ms) { msleep(ms); }
