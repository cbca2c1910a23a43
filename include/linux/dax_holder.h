/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The DAX holder notification layer: register as a holder of a range of persistent memory, be told
 * once per event, and report failures.
 *
 * Documentation/holders.rst shows how to use it, from C and from Rust.
 */
#ifndef _LINUX_DAX_HOLDER_H
#define _LINUX_DAX_HOLDER_H

#include <linux/types.h>

struct block_device;
struct dax_device;
struct module;

/**
 * struct dax_holder_client - a registered holder
 *
 * Made by dax_holder_register() or dax_holder_register_dax(), gone after dax_holder_unregister().
 */
struct dax_holder_client;

/**
 * enum dax_holder_kind - what happens to the memory
 * @DAX_HOLDER_FAILURE: ranges have lost their content; the disk stays
 * @DAX_HOLDER_REMOVAL: the whole disk is about to go; it still works, write back what is dirty
 * @DAX_HOLDER_SURPRISE: the whole disk goes without having been announced; it may fail already, but
 *	its addresses can be reached until all holders have let go
 */
enum dax_holder_kind {
	DAX_HOLDER_FAILURE,
	DAX_HOLDER_REMOVAL,
	DAX_HOLDER_SURPRISE,
};

/**
 * struct dax_holder_event - the event that a holder is being told of
 * @first: the number of the first event that this call tells, see @last
 * @last: the number of the last one. Events are counted from 1, per disk, each time it is attached.
 *	Those that came while the holder was still busy with an earlier one are told in one call, and
 *	then @first < @last
 * @kind: what happens to the memory; of several events, the gravest
 */
struct dax_holder_event {
	u64 first;
	u64 last;
	enum dax_holder_kind kind;
};

/**
 * struct dax_holder_client_ops - what a holder does
 */
struct dax_holder_client_ops {
	/**
	 * @notify_failure: let go of a range of the memory
	 *
	 * @offset and @len are bytes from the beginning of the holder's own range. They cover all
	 * that the event touches, clipped to that range; when the event is sparse,
	 * dax_holder_next_range() tells the parts. @flags is MF_MEM_PRE_REMOVE for a removal,
	 * announced or not, and 0 for a failure; see linux/mm.h.
	 *
	 * New DAX accesses to the range are refused already, for everybody; ones that were under
	 * way have ended. When the call returns, nothing of the holder may use the range: no
	 * mapping, no pointer, no I/O.
	 *
	 * Context: process context, a worker thread; may sleep, may take any lock that is not held
	 * while waiting for this holder (dax_holder_unregister(), dax_holder_report()). Allocations
	 * do no I/O (memalloc_noio). Never called twice at the same time for one holder, but at the
	 * same time as for other holders of the same priority.
	 *
	 * Return: 0 if it is done. From a holder whose priority is above 0 that also means that
	 * nothing is left to be done by others: file systems that lie in the ranges of such holders
	 * with all that the event touches are not shut down. -EOPNOTSUPP if the holder holds
	 * nothing there. Any other negative errno if it could not let go; it is recorded, and at a
	 * removal the memory stays until the holder is unregistered.
	 */
	int (*notify_failure)(struct dax_holder_client *client, u64 offset, u64 len, int flags);
};

/**
 * struct dax_holder_info - who registers
 * @name: how the holder is called in the holders file and in the log; one word of at most 31 bytes,
 *	copied
 * @ops: what it does; must stay valid until the holder is unregistered
 * @private: for the holder's own use, see dax_holder_private()
 * @owner: THIS_MODULE: the module cannot be unloaded until the holder is unregistered. NULL for a
 *	module that surely unregisters before its exit function returns
 * @priority: holders of a higher priority are told first, and have answered before the next. File
 *	systems and device-mapper devices that the layer takes down by itself come at 0, before
 *	registered holders of 0. Those of one priority are told in parallel
 * @deadline_ms: how long the others wait for an answer, in milliseconds; 0 means 10000. A holder that
 *	takes longer is called stuck and the event goes on without it, except that at a removal the
 *	memory stays until it has answered
 */
struct dax_holder_info {
	const char *name;
	const struct dax_holder_client_ops *ops;
	void *private;
	struct module *owner;
	int priority;
	unsigned int deadline_ms;
};

/**
 * struct dax_holder_range - bytes of a block device
 * @offset: the first byte
 * @len: how many
 */
struct dax_holder_range {
	u64 offset;
	u64 len;
};

/**
 * struct dax_holder_handled - what became of a reported failure
 * @event: its number on the disk
 * @bytes: how many bytes it concerned, after rounding out to pages
 * @holders: how many holders were told
 * @result: 0, or the first negative errno that a holder has answered
 */
struct dax_holder_handled {
	u64 event;
	u64 bytes;
	u32 holders;
	int result;
};

struct dax_holder_client *dax_holder_register(struct block_device *bdev, u64 offset, u64 len,
					      const struct dax_holder_info *info);
struct dax_holder_client *dax_holder_register_dax(struct dax_device *dax_dev, u64 offset, u64 len,
						  const struct dax_holder_info *info);
int dax_holder_unregister(struct dax_holder_client *client);
void *dax_holder_private(const struct dax_holder_client *client);
int dax_holder_event(struct dax_holder_client *client, struct dax_holder_event *event);
bool dax_holder_next_range(struct dax_holder_client *client, struct dax_holder_range *range);
int dax_holder_report(struct block_device *bdev, const struct dax_holder_range *ranges, size_t nr,
		      struct dax_holder_handled *handled);

#endif
