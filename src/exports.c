// SPDX-License-Identifier: GPL-2.0-only
/* The functions of include/linux/dax_holder.h; their code is src/api.rs. */
#include <linux/dax_holder.h>
#include <linux/export.h>

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
EXPORT_SYMBOL_GPL(dax_holder_register);

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
EXPORT_SYMBOL_GPL(dax_holder_register_dax);

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
EXPORT_SYMBOL_GPL(dax_holder_unregister);

/**
 * dax_holder_private() - return the pointer that a holder registered with
 * @client: the holder
 *
 * Context: any.
 *
 * Return: the private pointer of struct dax_holder_info.
 */
EXPORT_SYMBOL_GPL(dax_holder_private);

/**
 * dax_holder_event() - tell the event that a holder is being told of
 * @client: the holder whose callback calls
 * @event: is filled
 *
 * Context: the callback of @client; may sleep.
 *
 * Return: 0, or -EINVAL if no callback of @client runs.
 */
EXPORT_SYMBOL_GPL(dax_holder_event);

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
EXPORT_SYMBOL_GPL(dax_holder_next_range);

/**
 * dax_holder_report() - report ranges that have failed, and have all holders told
 * @bdev: the disk or partition
 * @ranges: the failed ranges in bytes of @bdev, in any order; each is rounded out to whole pages
 * @nr: how many, 1 to 1048576
 * @handled: is filled if not NULL
 *
 * One event for all of them. When it returns, every holder has answered or was given up on, and no
 * process can reach the ranges.
 *
 * Context: process context; sleeps for as long as the holders take.
 *
 * Return: 0 once the event was handled, whatever the holders have answered; -EINVAL (no range, or
 * one of no length), -ERANGE (beyond the end of @bdev), -E2BIG, -ENODEV (not a disk that dax_holder is
 * attached to), -ESHUTDOWN (it is being removed), -EDEADLK (from the callback of a holder of the
 * same disk), -ENOMEM. On error nothing has happened.
 */
EXPORT_SYMBOL_GPL(dax_holder_report);
