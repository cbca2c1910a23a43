/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What Rust cannot say itself: static inlines, structures whose layout moves, loops
 * over C lists. Read by bindgen; used by src/sys/ only.
 */
#ifndef DAX_HOLDER_HELPERS_H
#define DAX_HOLDER_HELPERS_H

#include <linux/types.h>

struct block_device;
struct bus_type;
struct dax_device;
struct dax_holder_operations;
struct dev_pagemap;
struct device;
struct gendisk;
struct inode;
struct kernfs_node;
struct notifier_block;
struct pid;
struct super_block;

/* drivers/dax/dax-private.h declares it, for drivers/dax only. */
struct inode *dax_inode(struct dax_device *dax_dev);

/* The nd bus. */
const struct bus_type *dh_nd_bus(void);
struct gendisk *dh_pmem_disk(struct device *dev);
bool dh_bdev_on_pmem(struct block_device *bdev);
struct device *dh_next_bound(const struct bus_type *bus, struct device *prev);
void dh_device_lock(struct device *dev);
bool dh_device_trylock(struct device *dev);
void dh_device_unlock(struct device *dev);
void dh_device_assert_locked(struct device *dev);

/* One disk and its block devices. */
struct device *dh_disk_device(struct gendisk *disk);
bool dh_disk_has_dax(struct gendisk *disk);
const int *dh_disk_bad_count(struct gendisk *disk);
u64 dh_bdev_start(struct block_device *bdev);
u64 dh_bdev_bytes(struct block_device *bdev);
dev_t dh_bdev_number(struct block_device *bdev);
struct block_device *dh_disk_part0(struct gendisk *disk);
struct block_device *dh_next_bdev(struct gendisk *disk, unsigned long *index);
void dh_bdev_get(struct block_device *bdev);
void dh_bdev_put(struct block_device *bdev);
bool dh_bdev_claimed(struct block_device *bdev);
bool dh_disk_claimed(struct gendisk *disk);
u64 dh_bdev_xfs_group_bytes(struct block_device *bdev);
bool dh_bdev_kind(struct block_device *bdev, char *buf, size_t size);
void dh_bdev_name(struct block_device *bdev, char *buf, size_t size);

/* What is stacked on a block device. */
void dh_disk_get(struct gendisk *disk);
struct gendisk *dh_next_disk(struct gendisk *any, struct gendisk *prev);
struct kernfs_node *dh_stacking(struct gendisk *upper, struct block_device *bdev);
void dh_stacking_get(struct kernfs_node *link);
void dh_stacking_put(struct kernfs_node *link);
bool dh_stacking_holds(struct kernfs_node *link);
bool dh_disk_is_dm(struct gendisk *disk);

/* The agent, in src/agent.c. */
#define DH_AGENT_PATH 128
#define DH_AGENT_NUMBERS 8
void dh_agent_path(char *path);
unsigned int dh_agent_timeout(void);
int dh_agent_run(const char *path, const char *verb, const dev_t *numbers, unsigned int count,
		 struct pid **process);
void dh_process_kill(struct pid *process);
void dh_process_put(struct pid *process);

/* Standing before fs_dax_get_by_bdev(), in src/lookup.c; what is called instead, in src/lookup.rs. */
int dh_lookup_hook(void);
void dh_lookup_unhook(void);
struct dax_device *dax_holder_lookup(struct block_device *bdev, u64 *start, void *holder,
				     const struct dax_holder_operations *ops);

/* From a block device to the super block that holds it. */
struct super_block *dh_bdev_super(struct block_device *bdev);
void dh_super_get(struct super_block *sb);
void dh_super_name(struct super_block *sb, char *buf, size_t size);
bool dh_super_has_fs_info(struct super_block *sb, const void *fs_info);
int dh_super_shutdown(struct super_block *sb);
struct inode *dh_next_dax_inode(struct super_block *sb, struct inode *prev);

/* One DAX inode. */
unsigned long dh_inode_unmap(struct inode *inode, bool *pinned);
unsigned long dh_inode_drop(struct inode *inode, bool *pinned);
unsigned long dh_inode_number(struct inode *inode);

/* The page map. */
void dh_pagemap_get(struct dev_pagemap *pgmap);
void dh_pagemap_put(struct dev_pagemap *pgmap);
struct dh_usage {
	unsigned long pages;	/* in use in any way */
	unsigned long mapped;	/* of these, still in a file's DAX tree */
	unsigned long pinned;	/* of these, with references beyond mappings */
};
void dh_pagemap_usage(unsigned long pfn, unsigned long nr, struct dh_usage *usage);

unsigned int dh_dax_references(struct dax_device *dax_dev);
int dh_uevent(struct device *dev, const char *const *env);
int dh_attributes_add(struct device *dev);
void dh_attributes_remove(struct device *dev);
bool dh_may_administrate(void);
int dh_restart_syscall(void);
bool dh_module_get(void);
void dh_module_put(void);
unsigned int dh_noio_save(void);
void dh_noio_restore(unsigned int flags);
void dh_cond_resched(void);
void dh_msleep(unsigned int ms);

/* What the attributes call; in src/observe/attributes.rs. */
enum dh_attribute {
	DH_ATTACHED,
	DH_STATE,
	DH_REASON,
	DH_POLICY,
	DH_LAST_EVENT,
	DH_CLEAR,
};
ssize_t dax_holder_attribute_show(struct device *dev, enum dh_attribute which, char *buf);
ssize_t dax_holder_attribute_store(struct device *dev, enum dh_attribute which,
				   const char *buf, size_t count);

/* Trace events; see src/trace.h for the fields. */
void dh_trace_event_accepted(const char *disk, u64 seq, unsigned int kind,
			     unsigned int source, u64 first, u64 bytes, unsigned long ranges);
void dh_trace_gate_closed(const char *disk, u64 seq, u64 bytes);
void dh_trace_holder_begin(const char *disk, u64 seq, const char *holder);
void dh_trace_holder_end(const char *disk, u64 seq, const char *holder, int result, u64 ns);
void dh_trace_barrier_taken(const char *disk);
void dh_trace_barrier_released(const char *disk, u64 ns, bool forced);

#endif
