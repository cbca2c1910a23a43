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

/*
 * A registered holder: made by dax_holder_register() or dax_holder_register_dax(), gone after
 * dax_holder_unregister().
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

/**
 * dax_holder_register() - register a holder of a part of a block device
 * @bdev: a disk with persistent memory, or a partition of one
 * @offset: the first byte of @bdev that is held
 * @len: how many; U64_MAX with an @offset of 0 means all of it
 * @info: who registers
 *
 * From its return on, the holder is told of every event that touches its range, once, until it is
 * unregistered or the disk is gone. While an event is under way it is told either all of it or
 * nothing. What failed before is not told again: it is refused to everybody already.
 *
 * A registration ends with the disk: after a removal the holder must still be unregistered, and
 * registers anew when the disk is back.
 *
 * Context: process context; may sleep. May be called from the callback of a holder.
 *
 * Return: the holder, or an ERR_PTR: -EINVAL (no range, no name or more than one word, no
 * notify_failure), -ERANGE (beyond the end of @bdev), -ENODEV (not a disk that dax_holder is attached
 * to, or the owner is being unloaded), -ESHUTDOWN (the disk is being removed or detached), -ENOMEM.
 */
struct dax_holder_client *dax_holder_register(struct block_device *bdev, u64 offset, u64 len,
					      const struct dax_holder_info *info);

/**
 * dax_holder_register_dax() - register a holder of a part of a DAX device
 * @dax_dev: the DAX device of a disk, as fs_dax_get_by_bdev() returns it
 * @offset: the first byte of @dax_dev that is held; that of the disk, not of a partition
 * @len: how many; U64_MAX with an @offset of 0 means all of it
 * @info: who registers
 *
 * As dax_holder_register().
 *
 * Return: as dax_holder_register().
 */
struct dax_holder_client *dax_holder_register_dax(struct dax_device *dax_dev, u64 offset, u64 len,
						  const struct dax_holder_info *info);

/**
 * dax_holder_unregister() - unregister a holder
 * @client: what dax_holder_register() returned
 *
 * When it returns 0, no callback of the holder runs, none will, and @client is gone.
 *
 * Context: process context; waits for the holder's callback if it runs, so nothing may be held that
 * the callback needs. May be called from the callback of another holder, and at any time of a
 * removal of the disk or after it. Two callbacks that unregister each other's holders wait for ever.
 *
 * Return: 0, or -EDEADLK from the holder's own callback, and then nothing has changed.
 */
int dax_holder_unregister(struct dax_holder_client *client);

/**
 * dax_holder_private() - return the pointer that a holder registered with
 * @client: the holder
 *
 * Context: any.
 *
 * Return: the private pointer of struct dax_holder_info.
 */
void *dax_holder_private(const struct dax_holder_client *client);

/**
 * dax_holder_event() - tell the event that a holder is being told of
 * @client: the holder whose callback calls
 * @event: is filled
 *
 * Context: the callback of @client; may sleep.
 *
 * Return: 0, or -EINVAL if no callback of @client runs.
 */
int dax_holder_event(struct dax_holder_client *client, struct dax_holder_event *event);

/**
 * dax_holder_next_range() - tell the parts that an event touches, one after the other
 * @client: the holder whose callback calls
 * @range: offset: where to look from; is set to the first part at or behind it. Both in bytes of the
 *	holder's own range
 *
 * To walk through all of them, begin with an offset of 0, and add the length to the offset each
 * time. Parts are in ascending order and do not touch. The time is logarithmic in their number.
 *
 * Context: the callback of @client; may sleep.
 *
 * Return: whether there was another part. False also if no callback of @client runs.
 */
bool dax_holder_next_range(struct dax_holder_client *client, struct dax_holder_range *range);

/**
 * dax_holder_report() - report ranges that have failed, and have all holders told
 * @bdev: the disk or partition
 * @ranges: the failed ranges in bytes of @bdev, in any order; each is rounded out to whole pages
 * @nr: how many, 1 to 1048576
 * @handled: is filled if not NULL
 *
 * One event for all of them. When it returns, every holder has answered or was given up on, and no
 * process can reach the ranges; but with the policy "native" a process that has mapped a file of XFS
 * keeps its mapping unless it wants to be killed early (PR_MCE_KILL, vm.memory_failure_early_kill),
 * which is what XFS's own handler does. Without memory to list them, it is the failure of the whole disk.
 *
 * Context: process context; sleeps for as long as the holders take.
 *
 * Return: 0 once the event was handled, whatever the holders have answered; -EINVAL (no range, or
 * one of no length), -ERANGE (beyond the end of @bdev), -E2BIG, -ENODEV (not a disk that dax_holder is
 * attached to), -ESHUTDOWN (it is being removed or detached), -EDEADLK (from the callback of a holder
 * of the same disk). On error nothing has happened.
 */
int dax_holder_report(struct block_device *bdev, const struct dax_holder_range *ranges, size_t nr,
		      struct dax_holder_handled *handled);

#endif
