// SPDX-License-Identifier: GPL-2.0-only
/*
 * Makes the kernel fail dax_holder: the nth allocation that is made for it, in whichever task, or the
 * nth call that it makes of one function. For tests/test_faults.sh.
 *
 * The kernel's own fail-nth belongs to a task, but what dax_holder does it does in workers too; and
 * fail_function knows only the functions that allow it. This counts by who has called: a call is
 * dax_holder's if it returns to its text, an allocation is if its text is anywhere in the stack.
 * (should_failslab() and should_fail_alloc_page() are where the kernel's own injection is.)
 *
 * To be loaded before dax_holder, so as to learn where its text is. Files in /sys/kernel/debug/fail_call:
 *   arm	write "alloc NTH TIMES", or "FUNCTION[+OFFSET] RETURNS NTH TIMES", numbers all of them: from
 *		the NTH on so many calls fail, -1: all; "off" ends it. When read: "hits=N injected=N
 *		where=WHO<CALLER", the first that failed
 *   claim	write "DISK N", a path and 1 or 2: claims the holder slots of so many DAX devices of the
 *		disk one after the other, as file systems would, and gives them back; ENODEV if it is
 *		not so many
 */
#include <linux/blkdev.h>
#include <linux/dax.h>
#include <linux/debugfs.h>
#include <linux/kprobes.h>
#include <linux/linkage.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/notifier.h>
#include <linux/objtool.h>
#include <linux/stacktrace.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#define DEPTH 64

/* The text of dax_holder, while it is loaded. */
static struct {
	unsigned long start, end;
} text[2];

/* What is counted. */
static enum { NOTHING, ALLOCATIONS, CALLS } counted;
static unsigned int nth;
static int times;
static atomic_t hits, injected;
static char where[2 * KSYM_SYMBOL_LEN];

struct probe {
	struct kprobe kp;
	char name[KSYM_NAME_LEN];
	long returns;
	bool registered;
};

static struct probe slab = { .name = "should_failslab", .returns = -ENOMEM };
static struct probe page = { .name = "should_fail_alloc_page", .returns = true };
static struct probe call;

static DEFINE_MUTEX(lock);

/* What a function that fails is left by. */
asmlinkage void fail_call_return(void);
asm(".text\n"
    ".type fail_call_return, @function\n"
    ".globl fail_call_return\n"
    ASM_FUNC_ALIGN
    "fail_call_return:\n"
    ANNOTATE_NOENDBR "\n"
    ASM_RET
    ".size fail_call_return, .-fail_call_return\n");

/* Does a call that returns to @addr come from dax_holder? */
static bool is_ours(unsigned long addr)
{
	for (size_t i = 0; i < ARRAY_SIZE(text); i++)
		if (READ_ONCE(text[i].start) < addr && addr <= READ_ONCE(text[i].end))
			return true;
	return false;
}

/*
 * What nobody waits for: kmemleak, KASAN and debugobjects allocate for themselves, and without memory
 * they would give up watching. They leave the reserves alone.
 */
static bool is_overhead(gfp_t gfp)
{
	return gfp & __GFP_NOMEMALLOC ||
	       (gfp & ~__GFP_KSWAPD_RECLAIM) == (__GFP_HIGH | __GFP_NOWARN);
}

/* Fails this call if it is its turn. */
static int count(struct probe *p, struct pt_regs *regs, unsigned long who, unsigned long caller)
{
	unsigned int n = atomic_inc_return(&hits);

	if (n < nth || (times >= 0 && n >= nth + times))
		return 0;
	if (atomic_inc_return(&injected) == 1)
		snprintf(where, sizeof(where), "%ps<%ps", (void *)who, (void *)caller);
	regs->ax = p->returns;
	regs->ip = (unsigned long)fail_call_return;
	return 1;
}
NOKPROBE_SYMBOL(count);

static int allocates(struct probe *p, struct pt_regs *regs, gfp_t gfp)
{
	unsigned long stack[DEPTH];
	unsigned int n;

	if (READ_ONCE(counted) != ALLOCATIONS || !in_task() || gfp & __GFP_NOFAIL || is_overhead(gfp))
		return 0;
	n = stack_trace_save(stack, ARRAY_SIZE(stack), 0);
	for (unsigned int i = 1; i < n; i++)
		if (is_ours(stack[i]))
			return count(p, regs, stack[i - 1], stack[i]);
	return 0;
}
NOKPROBE_SYMBOL(allocates);

static int slab_handler(struct kprobe *kp, struct pt_regs *regs)
{
	return allocates(&slab, regs, regs->si);
}
NOKPROBE_SYMBOL(slab_handler);

static int page_handler(struct kprobe *kp, struct pt_regs *regs)
{
	return allocates(&page, regs, regs->di);
}
NOKPROBE_SYMBOL(page_handler);

static int call_handler(struct kprobe *kp, struct pt_regs *regs)
{
	/* Nothing was pushed yet. */
	unsigned long caller = *(unsigned long *)regs->sp;

	if (READ_ONCE(counted) != CALLS || !is_ours(caller))
		return 0;
	/* Of size 0 it frees, and that cannot fail. */
	if (strstr(call.name, "realloc") && !regs->si)
		return 0;
	return count(&call, regs, (unsigned long)kp->addr, caller);
}
NOKPROBE_SYMBOL(call_handler);

/* That there is one says that the path of execution may be changed. */
static void post_handler(struct kprobe *kp, struct pt_regs *regs, unsigned long flags)
{
}

static int watch(struct probe *p, kprobe_pre_handler_t handler)
{
	unsigned int offset = 0;
	char *plus;
	int ret;

	if (p->registered)
		return 0;
	p->kp = (struct kprobe){
		.symbol_name = p->name, .pre_handler = handler, .post_handler = post_handler,
	};
	/* Behind ftrace's call: for a function that somebody else stands before. */
	plus = strchr(p->name, '+');
	if (plus) {
		*plus = '\0';
		ret = kstrtouint(plus + 1, 0, &offset);
		if (ret)
			return ret;
	}
	p->kp.offset = offset;
	ret = register_kprobe(&p->kp);
	p->registered = !ret;
	return ret;
}

static void unwatch(struct probe *p)
{
	if (p->registered)
		unregister_kprobe(&p->kp);
	p->registered = false;
}

static int start(char *words)
{
	static char last[KSYM_NAME_LEN];
	char name[KSYM_NAME_LEN];
	bool allocations;
	unsigned int from;
	long returns = 0;
	int most, ret;

	allocations = sscanf(words, "alloc %u %d", &from, &most) == 2;
	if (allocations) {
		ret = watch(&slab, slab_handler) ?: watch(&page, page_handler);
	} else {
		if (sscanf(words, "%127s %ld %u %d", name, &returns, &from, &most) != 4)
			return -EINVAL;
		if (strcmp(name, last))
			unwatch(&call);
		strscpy(last, name);
		if (!call.registered)
			strscpy(call.name, name);
		call.returns = returns;
		ret = watch(&call, call_handler);
	}
	if (ret)
		return ret;
	nth = from;
	times = most;
	where[0] = '\0';
	atomic_set(&hits, 0);
	atomic_set(&injected, 0);
	smp_store_release(&counted, allocations ? ALLOCATIONS : CALLS);
	return 0;
}

static ssize_t arm_write(struct file *file, const char __user *from, size_t size, loff_t *pos)
{
	char words[256] = {};
	int ret = 0;

	if (size >= sizeof(words))
		return -EINVAL;
	if (copy_from_user(words, from, size))
		return -EFAULT;
	guard(mutex)(&lock);
	WRITE_ONCE(counted, NOTHING);
	if (strcmp(strim(words), "off"))
		ret = start(strim(words));
	return ret ?: size;
}

static ssize_t arm_read(struct file *file, char __user *to, size_t size, loff_t *pos)
{
	char line[64 + sizeof(where)];
	int n;

	guard(mutex)(&lock);
	n = scnprintf(line, sizeof(line), "hits=%d injected=%d where=%s\n", atomic_read(&hits),
		      atomic_read(&injected), where);
	return simple_read_from_buffer(to, size, pos, line, n);
}

static const struct file_operations arm_fops = {
	.owner = THIS_MODULE, .read = arm_read, .write = arm_write,
};

static int nothing(struct dax_device *dax_dev, u64 offset, u64 len, int flags)
{
	return 0;
}

static const struct dax_holder_operations claim_ops = { .notify_failure = nothing };

static ssize_t claim_write(struct file *file, const char __user *from, size_t size, loff_t *pos)
{
	static int who[2];
	struct dax_device *dax_dev[2];
	struct file *bdev;
	char words[64] = {}, path[48];
	unsigned int n, done = 0;
	u64 start;

	if (size >= sizeof(words))
		return -EINVAL;
	if (copy_from_user(words, from, size))
		return -EFAULT;
	if (sscanf(words, "%47s %u", path, &n) != 2 || n > ARRAY_SIZE(dax_dev))
		return -EINVAL;
	bdev = bdev_file_open_by_path(path, BLK_OPEN_READ, NULL, NULL);
	if (IS_ERR(bdev))
		return PTR_ERR(bdev);
	while (done < n) {
		dax_dev[done] = fs_dax_get_by_bdev(file_bdev(bdev), &start, &who[done], &claim_ops);
		if (!dax_dev[done])
			break;
		done++;
	}
	for (unsigned int i = 0; i < done; i++)
		fs_put_dax(dax_dev[i], &who[i]);
	fput(bdev);
	return done == n ? size : -ENODEV;
}

static const struct file_operations claim_fops = { .owner = THIS_MODULE, .write = claim_write };

static int comes_or_goes(struct notifier_block *block, unsigned long state, void *data)
{
	const enum mod_mem_type types[] = { MOD_TEXT, MOD_INIT_TEXT };
	struct module *mod = data;

	if (strcmp(mod->name, "dax_holder"))
		return NOTIFY_DONE;
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		const struct module_memory *mem = &mod->mem[types[i]];
		/* The memory of init is given back once it has run. */
		bool there = state == MODULE_STATE_COMING || (state == MODULE_STATE_LIVE && !i);

		WRITE_ONCE(text[i].start, there ? (unsigned long)mem->base : 0);
		WRITE_ONCE(text[i].end, there ? (unsigned long)mem->base + mem->size : 0);
	}
	return NOTIFY_DONE;
}

static struct notifier_block listener = { .notifier_call = comes_or_goes };

static struct dentry *folder;

static int __init fail_call_init(void)
{
	int ret = register_module_notifier(&listener);

	if (ret)
		return ret;
	folder = debugfs_create_dir("fail_call", NULL);
	debugfs_create_file("arm", 0600, folder, NULL, &arm_fops);
	debugfs_create_file("claim", 0200, folder, NULL, &claim_fops);
	return 0;
}

static void __exit fail_call_exit(void)
{
	debugfs_remove(folder);
	WRITE_ONCE(counted, NOTHING);
	unwatch(&slab);
	unwatch(&page);
	unwatch(&call);
	unregister_module_notifier(&listener);
}

module_init(fail_call_init);
module_exit(fail_call_exit);
MODULE_DESCRIPTION("dax_holder test: makes allocations and calls of dax_holder fail");
MODULE_LICENSE("GPL");
