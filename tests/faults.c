// SPDX-License-Identifier: GPL-2.0-only
/*
 * faults [OPTION]... -m DEVICE:TYPE:DIRECTORY[:cached]... PATH WHAT [RETURNS]
 *
 * Does the same again and again, and the nth time the nth allocation or call fails, until so many are
 * not made any more (tests/modules/fail_call.c). PATH is what is done:
 *
 *   load, attach, detach, bind		of the module, of the disk
 *   inject, report			one event
 *   poison				memory_failure() of a page of the last file system
 *   unbind, surprise			the disk goes
 *   register, unregister, clear, claim	a registered holder; after a failure; two slots
 *
 * WHAT is "alloc", or a function, which then RETURNS this number instead of doing its work. -m are file
 * systems, each with a file f: they are mounted, and f is mapped, whenever an event comes; the first one is
 * on the disk itself. Options:
 *
 *   -t TIMES	so many in a row fail, -1: all from then on
 *   -f		only the first of the walk: with -t -1 no memory at all
 *   -e ERRORS	that may come besides ENOMEM, with commas
 *   -r RANGES	what fails, as for inject
 *   -b COMMAND	before the file systems are mounted
 *   -a COMMAND	when they are unmounted
 *   -w		the removal waits until then, -W: it may
 *   -p PRIORITY	of the registered holder (-1: told after the rest)
 *
 * After each: either an error that may be, and all is as before, or it was done; and then a whole event
 * works. An event is never refused. Prints the places in the code, how many were made to fail, and how
 * many of these were refused.
 */
#include "common.h"
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define ARM "/sys/kernel/debug/fail_call/arm"
#define CLAIM "/sys/kernel/debug/fail_call/claim"
#define H "/sys/kernel/debug/holder_test/"
#define CORRUPT "/sys/kernel/debug/hwpoison/corrupt-pfn"
#define ND "/sys/bus/nd/drivers/nd_pmem/"
#define SURPRISE "/sys/module/surprise/parameters/fire"
#define MOST 600

static const char *disk = "pmem0", *nd, *ranges = "all", *what, *ko;
static long returns;
static int times = 1;
static bool first_only;
static int priority = -1;
static enum { NEVER, MAY, MUST } waits;
static const char *before_all, *after_all;
static int may[16], nmay;
static char last_text[4096];

struct place {
	const char *dev, *type, *dir;
	bool cached;
	int fd;
	char *map;
	size_t pages;
};

static struct place places[4];
static int nplaces;

static unsigned int n, injected;
static char where[1024];

/* ------------------------------------------------------------------------------- small things */

static const char *name_of(int rc) { return rc < 0 ? strerrorname_np(-rc) : "0"; }

static bool bad(const char *fmt, ...)
{
	va_list ap;

	printf("with number %u (%s): ", n, injected ? where : "none");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	return false;
}

static int wr(const char *path, const char *text)
{
	ssize_t rc = write_once(path, text, strlen(text));

	return rc < 0 ? rc : 0;
}

/* The first line of a file; empty if there is none. */
static const char *rd(const char *path)
{
	read_once(path, last_text, sizeof(last_text));
	last_text[strcspn(last_text, "\n")] = '\0';
	return last_text;
}

/* /sys/block/DISK/dax_holder/FILE, or below debugfs. */
static const char *in(const char *folder, const char *file)
{
	static char path[2][256];
	static int turn;

	turn = !turn;
	snprintf(path[turn], sizeof(path[0]), "%s/%s/%s", folder, disk, file);
	return path[turn];
}

static const char *sysfs(const char *file)
{
	static char path[2][256];
	static int turn;

	turn = !turn;
	snprintf(path[turn], sizeof(path[0]), "/sys/block/%s/dax_holder/%s", disk, file);
	return path[turn];
}

static const char *debugfs(const char *file) { return in("/sys/kernel/debug/dax_holder", file); }
static bool is(const char *path, const char *text) { return !strcmp(rd(path), text); }
static bool there(const char *path) { return !access(path, F_OK); }
static bool attached(void) { return is(sysfs("attached"), "1"); }
static bool loaded(void) { return there("/sys/module/dax_holder"); }
static bool with_client(void) { return there(H "add"); }

static const char *device(void)
{
	static char path[64];

	snprintf(path, sizeof(path), "/dev/%s", disk);
	return path;
}

/* WORD= of a line of words, as a number. */
static long number(const char *line, const char *word)
{
	const char *at = strstr(line, word);

	return at ? strtol(at + strlen(word), NULL, 0) : 0;
}

static long seq(void) { return number(rd(sysfs("last_event")), "seq="); }

static bool until(bool (*so)(void), unsigned int seconds)
{
	uint64_t end = usec_now() + seconds * 1000000ull;

	while (!so()) {
		if (usec_now() > end)
			return false;
		nap(10000);
	}
	return true;
}

static bool error_may_be(int rc)
{
	if (rc == -ENOMEM || (returns < 0 && rc == returns))
		return true;
	for (int i = 0; i < nmay; i++)
		if (rc == -may[i])
			return true;
	return false;
}

/* ----------------------------------------------------------------------------- file systems */

static bool mount_one(struct place *p)
{
	struct statx sx;
	char file[256];

	/* A mount a moment after the disk has come. */
	for (int i = 0; mount(p->dev, p->dir, p->type, 0, p->cached ? "" : "dax=always"); i++) {
		if (i == 100 || (errno != ENOENT && errno != ENXIO && errno != EBUSY))
			return bad("mount %s: %s", p->dev, strerrorname_np(errno));
		nap(50000);
	}
	snprintf(file, sizeof(file), "%s/f", p->dir);
	p->fd = open(file, O_RDWR | O_CLOEXEC);
	if (p->fd < 0)
		return bad("%s: %s", file, strerrorname_np(errno));
	if (p->cached)
		return true;
	if (statx(AT_FDCWD, file, 0, STATX_BASIC_STATS, &sx) || !(sx.stx_attributes & STATX_ATTR_DAX))
		return bad("%s has no DAX", file);
	p->pages = file_size(p->fd) / PAGE;
	p->map = mmap(NULL, p->pages * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, p->fd, 0);
	if (p->map == MAP_FAILED)
		return bad("mmap %s: %s", file, strerrorname_np(errno));
	for (size_t i = 0; i < 32; i += 4)
		if (!can_read(p->map + i * PAGE) || !can_write(p->map + (i + 1) * PAGE))
			return bad("%s cannot be touched", file);
	return true;
}

static bool unmount_one(struct place *p)
{
	if (p->map && p->map != MAP_FAILED)
		munmap(p->map, p->pages * PAGE);
	if (p->fd > 0)
		close(p->fd);
	p->map = NULL;
	p->fd = -1;
	for (int i = 0; umount(p->dir); i++) {
		if (errno == EINVAL)
			return true;
		if (i == 100)
			return bad("umount %s: %s", p->dir, strerrorname_np(errno));
		nap(20000);
	}
	return true;
}

static bool run(const char *command)
{
	int rc = command ? system(command) : 0;

	return !rc || bad("%s: %d", command, rc);
}

static bool mount_all(void)
{
	if (!run(before_all))
		return false;
	for (int i = 0; i < nplaces; i++)
		if (!mount_one(&places[i]))
			return false;
	return true;
}

static bool unmount_all(void)
{
	bool ok = true;

	for (int i = 0; i < nplaces; i++)
		ok &= unmount_one(&places[i]);
	return ok && run(after_all);
}

static bool alive(struct place *p)
{
	for (size_t i = 0; !p->cached && i < 32; i++)
		if (!can_read(p->map + i * PAGE))
			return false;
	return true;
}

/* No page can be touched, and nothing can be written by name. */
static bool dead(struct place *p)
{
	char file[256];
	int fd;

	for (size_t i = 0; !p->cached && i < 32; i++)
		if (can_read(p->map + i * PAGE) || can_write(p->map + i * PAGE))
			return bad("page %zu of %s/f can be touched", i, p->dir);
	snprintf(file, sizeof(file), "%s/new", p->dir);
	fd = open(file, O_WRONLY | O_CREAT | O_EXCL, 0600);
	if (fd >= 0) {
		close(fd);
		return bad("%s can be made", file);
	}
	return true;
}

static bool all_dead(void)
{
	for (int i = 0; i < nplaces; i++)
		if (!dead(&places[i]))
			return false;
	return true;
}

/* ----------------------------------------------------------------------- a registered holder */

/* How often the holder was called; -1: it is not there. */
static long calls(void)
{
	static char text[1 << 16];
	char *row, name[64];
	long count = -1;
	int registered;

	if (read_once(H "state", text, sizeof(text)) < 0)
		return -1;
	for (row = strtok(text, "\n"); row; row = strtok(NULL, "\n"))
		if (sscanf(row, "%63s %d %ld", name, &registered, &count) == 3 && !strcmp(name, "x"))
			return count;
	return -1;
}

static bool client_comes(const char *more)
{
	char text[128];
	int rc;

	if (!with_client())
		return true;
	/* Of the whole disk, told first or last. First, it must not see to what is for the others. */
	snprintf(text, sizeof(text), "name=x disk=%s priority=%d deadline=600000%s%s", device(), priority,
		 priority > 0 ? " answer=-95" : "", more);
	rc = wr(H "add", text);
	return !rc || bad("no holder: %s", name_of(rc));
}

static bool client_goes(void)
{
	int rc = with_client() ? wr(H "remove", "name=x") : 0;

	return !rc || bad("the holder cannot go: %s", name_of(rc));
}

/* ------------------------------------------------------------------------------ the whole disk */

static bool disk_there(void) { return there(device()) && (!nplaces || there(places[0].dev)); }
static bool disk_up(void) { return disk_there() && is(sysfs("state"), "active"); }

static int bind_to(const char *verb)
{
	char path[64];

	snprintf(path, sizeof(path), ND "%s", verb);
	return wr(path, nd);
}

static bool rebind(void)
{
	int rc = there(device()) ? bind_to("unbind") : 0;

	if (!rc)
		rc = bind_to("bind");
	if (rc)
		return bad("unbind and bind: %s", name_of(rc));
	return until(disk_up, 60) || bad("after a rebind: %s", rd(sysfs("reason")));
}

static int load(void)
{
	int fd = open(ko, O_RDONLY | O_CLOEXEC), rc;

	if (fd < 0)
		die("%s", ko);
	rc = syscall(SYS_finit_module, fd, "", 0) ? -errno : 0;
	close(fd);
	return rc;
}

static bool unload(void)
{
	if (!attached() || wr(sysfs("attached"), "0"))
		return bad("cannot be detached");
	for (int i = 0; syscall(SYS_delete_module, "dax_holder", O_NONBLOCK); i++) {
		if (i == 50)
			return bad("cannot be unloaded: %s", strerrorname_np(errno));
		nap(20000);
	}
	return true;
}

/* Attached, with all files; by hand, if that is not so. */
static bool whole(void)
{
	if (!there(device()) || !there(sysfs("attached")) || is(sysfs("state"), "removing"))
		return rebind();
	if (attached() && !there(debugfs("inject")) && wr(sysfs("attached"), "0"))
		return bad("cannot be detached");
	if (!attached()) {
		int rc = wr(sysfs("attached"), "1");

		if (rc)
			return bad("cannot be attached: %s, %s", name_of(rc), rd(sysfs("reason")));
	}
	/* Without the folder of the module only another load helps. */
	if (!there("/sys/kernel/debug/dax_holder") && !(unload() && !load() && until(disk_up, 10)))
		return bad("no files, and cannot be loaded again");
	if (!is(sysfs("state"), "active") || !there(debugfs("inject")))
		return bad("state %s, inject is %sthere", rd(sysfs("state")), there(debugfs("inject")) ? "" : "not ");
	return true;
}

static bool cleared(void)
{
	/* The worker may still be looking. */
	for (int i = 0; i < 600; i++) {
		int rc = is(sysfs("state"), "active") ? 0 : wr(sysfs("clear"), "1");

		if (!rc)
			return true;
		if (rc != -EBUSY)
			return bad("clear: %s", name_of(rc));
		nap(50000);
	}
	return bad("clear: EBUSY for ever");
}

/* A whole event, with the first file system and the registered holder. */
static bool cycle(void)
{
	long before, told;
	int rc;

	if (!mount_one(&places[0]) || !client_comes(""))
		return false;
	before = seq();
	rc = wr(debugfs("inject"), "all");
	told = with_client() ? calls() : 1;
	if (rc || seq() != before + 1 || told != 1)
		return bad("afterwards: inject %s, event %ld after %ld, holder told %ld times", name_of(rc),
			   seq(), before, told);
	if (number(rd(sysfs("last_event")), "result=") || !is(sysfs("state"), "failed"))
		return bad("afterwards: %s: %s", rd(sysfs("state")), rd(sysfs("last_event")));
	return dead(&places[0]) && client_goes() && unmount_one(&places[0]) && cleared();
}

/* ------------------------------------------------------------------------------- the kernel log */

static int kmsg = -1;

static void log_from_here(void)
{
	if (kmsg < 0)
		kmsg = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	lseek(kmsg, 0, SEEK_END);
}

static bool log_says(const char *a, const char *b)
{
	char line[2048];
	ssize_t len;

	while ((len = read(kmsg, line, sizeof(line) - 1)) > 0 || (len < 0 && errno == EPIPE)) {
		if (len < 0)
			continue;
		line[len] = '\0';
		if (strstr(line, a) && strstr(line, b))
			return true;
	}
	return false;
}

/* -------------------------------------------------------------------------------------- paths */

static long seq_before;
static size_t poisoned = 63;

static bool to_attach(void)
{
	int rc;

	if (!whole())
		return false;
	rc = wr(sysfs("attached"), "0");
	return !rc || bad("cannot be detached: %s", name_of(rc));
}

/* Detached: the disk has its own DAX device, whose slot is free. */
static bool bare(void)
{
	char text[80];
	int rc;

	snprintf(text, sizeof(text), "%s 1", device());
	rc = wr(CLAIM, text);
	return !rc || bad("the disk has no DAX device: %s", name_of(rc));
}

static int attach(void) { return wr(sysfs("attached"), "1"); }

static bool attached_or_not(int rc)
{
	if (rc && (attached() || !is(sysfs("state"), "detached") || !*rd(sysfs("reason")) ||
		   there(debugfs("inject"))))
		return bad("refused (%s), but state %s, %s", name_of(rc), rd(sysfs("state")), rd(sysfs("reason")));
	if (!rc && (!attached() || !is(sysfs("state"), "active")))
		return bad("attached, but state %s", rd(sysfs("state")));
	return (!rc || bare()) && whole() && cycle();
}

static int detach(void) { return wr(sysfs("attached"), "0"); }

static bool detached_or_not(int rc)
{
	if (rc ? !attached() : attached() || !is(sysfs("state"), "detached"))
		return bad("%s, and then state %s", name_of(rc), rd(sysfs("state")));
	return (rc || bare()) && whole() && cycle();
}

static bool to_load(void) { return whole() && unload(); }

static bool loaded_or_not(int rc)
{
	if (rc && (loaded() || there(sysfs("attached")) || there("/sys/kernel/debug/dax_holder")))
		return bad("not loaded (%s), but something of it is there", name_of(rc));
	if (rc && (rc = load()))
		return bad("cannot be loaded: %s", name_of(rc));
	return whole() && cycle();
}

static bool to_bind(void)
{
	int rc;

	if (!whole())
		return false;
	rc = bind_to("unbind");
	return !rc || bad("unbind: %s", name_of(rc));
}

static int bind_disk(void) { return bind_to("bind"); }

static bool bound(int rc)
{
	if (rc || !until(disk_there, 60))
		return bad("bind: %s", name_of(rc));
	return whole() && cycle();
}

static bool to_event(void)
{
	if (!whole() || !mount_all() || !client_comes(""))
		return false;
	seq_before = seq();
	return true;
}

static int inject(void) { return wr(debugfs("inject"), ranges); }

static int report(void)
{
	char text[1024];

	snprintf(text, sizeof(text), "disk=%s list=%s", device(), ranges);
	return wr(H "report", text);
}

/* Of an event: all are dead, or, where one page failed, the last one at least. */
static bool came_out(int rc, bool all)
{
	if (rc)
		return bad("the event was refused: %s", name_of(rc));
	if (!is(sysfs("state"), "failed"))
		return bad("state %s", rd(sysfs("state")));
	if (all ? !all_dead() : !dead(&places[nplaces - 1]))
		return false;
	if (seq() <= seq_before || number(rd(sysfs("last_event")), "holders=") < 1)
		return bad("the last event: %s", rd(sysfs("last_event")));
	if (with_client() && calls() < 1)
		return bad("the registered holder was told nothing");
	return client_goes() && unmount_all() && cleared() && cycle();
}

/*
 * The worker goes on when the word of an event is out: its uevent takes memory. Nobody says when it has done
 * all; so until it has asked for nothing for a while. (Who calls the agent again and again does not become quiet.)
 */
static int until_handled(bool (*is_out)(void))
{
	uint64_t begun, last;
	long hits = -1, now;

	if (!until(is_out, 120))
		return -ETIME;
	begun = last = usec_now();
	while (usec_now() < last + 300000 && usec_now() < begun + 3000000) {
		now = number(rd(ARM), "hits=");
		if (now != hits)
			last = usec_now();
		hits = now;
		nap(10000);
	}
	return 0;
}

static bool was_told(int rc) { return came_out(rc, true); }
static bool event_came(void) { return seq() > seq_before; }

static int poison(void)
{
	struct place *p = &places[nplaces - 1];
	int pm = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC), rc;
	char *page, text[32];
	uint64_t e;

	/* A new page each time: the kernel poisons none twice. */
	poisoned = poisoned + 1 < p->pages ? poisoned + 1 : 64;
	page = p->map + poisoned * PAGE;
	if (!can_read(page) || pread(pm, &e, 8, (uintptr_t)page / PAGE * 8) != 8 || !(e >> 63))
		errno = 0, die("no frame of page %zu", poisoned);
	close(pm);
	snprintf(text, sizeof(text), "%llu", (unsigned long long)(e & ((1ull << 55) - 1)));
	rc = wr(CORRUPT, text);
	if (rc == -EPERM || rc == -EINVAL || rc == -ENXIO)
		die("corrupt-pfn");
	/* Whatever the kernel has made of the page: the event must come, and be handled. */
	return until_handled(event_came);
}

static bool poison_told(int rc)
{
	uint64_t end = usec_now() + 60 * 1000000ull;

	if (rc)
		return bad("no event came");
	/* It is in last_event when it is over, but if it was put off another one comes. */
	while ((alive(&places[nplaces - 1]) || (times < 0 && alive(&places[0]))) && usec_now() < end)
		nap(20000);
	return came_out(0, times < 0);
}

static pthread_t worker;
static volatile bool worker_done;
static int worker_rc;

static void *work(void *unused)
{
	(void)unused;
	worker_rc = bind_to("unbind");
	worker_done = true;
	return NULL;
}

static bool unbound(void) { return worker_done; }
static bool removal_told(void) { return log_says("event", ": removal,"); }

static bool to_go(void)
{
	log_from_here();
	return to_event();
}

static int go(void)
{
	worker_done = false;
	if (pthread_create(&worker, NULL, work, NULL))
		die("pthread_create");
	if (!until(removal_told, 120))
		return -ENOMSG;
	return waits || until(unbound, 120) ? 0 : -ETIME;
}

static bool gone(int rc)
{
	if (rc == -ENOMSG)
		return bad("no word of the event in the log");
	if (rc)
		return bad("the unbind does not end: %s", rd(debugfs("barrier")));
	if (with_client() && calls() != 1)
		return bad("the registered holder was told %ld times", calls());
	if (waits == MUST && worker_done)
		return bad("the unbind did not wait");
	if (!all_dead() || !client_goes() || !unmount_all())
		return false;
	if (!until(unbound, 120))
		return bad("the unbind does not end even now: %s", rd(debugfs("barrier")));
	pthread_join(worker, NULL);
	if (worker_rc)
		return bad("unbind: %s", name_of(worker_rc));
	if (there(device()) || there(debugfs("inject")))
		return bad("something of the disk is still there");
	return bind_to("bind") == 0 && (until(disk_there, 60) || bad("the disk is not there")) && whole() && cycle();
}

static bool holds_nothing(void) { return is(debugfs("barrier"), "none"); }
static bool surprise_told(void) { return log_says("event", ": surprise,"); }

/* The worker sweeps. To read what the barrier waits for would take memory of the walk's. */
static int surprise(void)
{
	int rc = wr(SURPRISE, "1");

	return rc ?: until_handled(surprise_told);
}

/* The module that surprises has looked nd_pmem's device up: it must go before that, and come again. */
static bool surprised(int rc)
{
	if (rc || !is(sysfs("state"), "removing"))
		return bad("%s, state %s", name_of(rc), rd(sysfs("state")));
	if (!waits && !until(holds_nothing, 120))
		return bad("barrier: %s", rd(debugfs("barrier")));
	if (with_client() && calls() != 1)
		return bad("the registered holder was told %ld times", calls());
	if (!all_dead() || !client_goes() || !unmount_all())
		return false;
	if (!until(holds_nothing, 120))
		return bad("barrier even now: %s", rd(debugfs("barrier")));
	return rebind() && cycle();
}

static bool to_surprise(void)
{
	char text[128];
	int fd, rc;

	if (!whole() || wr(sysfs("attached"), "0"))
		return bad("cannot be detached");
	syscall(SYS_delete_module, "surprise", O_NONBLOCK);
	fd = open(getenv("SURPRISE_KO") ?: "", O_RDONLY | O_CLOEXEC);
	snprintf(text, sizeof(text), "disk=%s", device());
	rc = syscall(SYS_finit_module, fd, text, 0) ? -errno : 0;
	close(fd);
	if (rc)
		return bad("surprise.ko: %s", name_of(rc));
	return to_go();
}

static bool to_register(void) { return whole() && client_comes(" idle=1 owner=1"); }
static int register_it(void) { return wr(H "register", "name=x"); }

static bool listed(void)
{
	static char text[1 << 14];

	read_once(debugfs("holders"), text, sizeof(text));
	return strstr(text, " x ");
}

static bool registered_or_not(int rc)
{
	if (listed() != !rc)
		return bad("%s, but in the holders file it is %slisted", name_of(rc), listed() ? "" : "not ");
	if (rc && (rc = register_it()))
		return bad("cannot be registered: %s", name_of(rc));
	return (listed() || bad("not listed")) && client_goes() && cycle();
}

static bool to_unregister(void) { return whole() && client_comes(""); }
static int unregister_it(void) { return wr(H "unregister", "name=x"); }

static bool unregistered(int rc)
{
	if (rc || listed())
		return bad("%s, %slisted", name_of(rc), listed() ? "" : "not ");
	return client_goes() && cycle();
}

static bool to_clear(void)
{
	int rc = whole() ? wr(debugfs("inject"), "all") : -EIO;

	return !rc || bad("inject: %s", name_of(rc));
}

static int clear_it(void) { return wr(sysfs("clear"), "1"); }
static bool cleared_it(int rc) { return (!rc || bad("clear: %s", name_of(rc))) && cycle(); }

/* Fronts are made once and kept: a new disk has one. */
static bool to_claim(void) { return to_attach() && whole(); }
static int claim(void)
{
	char text[80];

	snprintf(text, sizeof(text), "%s 2", device());
	return wr(CLAIM, text);
}

static bool claimed(int rc)
{
	if (rc && rc != -ENODEV)
		return bad("claim: %s", name_of(rc));
	if ((rc = claim()))
		return bad("cannot be claimed afterwards: %s", name_of(rc));
	return cycle();
}

static const struct path {
	const char *name;
	bool (*before)(void);
	int (*operate)(void);
	bool (*after)(int rc);
} paths[] = {
	{ "load", to_load, load, loaded_or_not },
	{ "attach", to_attach, attach, attached_or_not },
	{ "detach", whole, detach, detached_or_not },
	{ "bind", to_bind, bind_disk, bound },
	{ "inject", to_event, inject, was_told },
	{ "report", to_event, report, was_told },
	{ "poison", to_event, poison, poison_told },
	{ "unbind", to_go, go, gone },
	{ "surprise", to_surprise, surprise, surprised },
	{ "register", to_register, register_it, registered_or_not },
	{ "unregister", to_unregister, unregister_it, unregistered },
	{ "clear", to_clear, clear_it, cleared_it },
	{ "claim", to_claim, claim, claimed },
};

/* ---------------------------------------------------------------------------------- the walk */

static char sites[MOST][256];
static unsigned int nsites;

static void note_site(void)
{
	for (unsigned int i = 0; i < nsites; i++)
		if (!strncmp(sites[i], where, sizeof(sites[0]) - 1))
			return;
	if (nsites < MOST)
		snprintf(sites[nsites++], sizeof(sites[0]), "%.*s", (int)sizeof(sites[0]) - 1, where);
}

static int walk(const struct path *path)
{
	unsigned int failed = 0, refused = 0, hits;
	char text[256];
	int rc;

	for (n = 1; n <= MOST; n++) {
		injected = 0;
		if (!path->before())
			return BROKEN;
		if (!strcmp(what, "alloc"))
			snprintf(text, sizeof(text), "alloc %u %d", n, times);
		else
			snprintf(text, sizeof(text), "%s %ld %u %d", what, returns, n, times);
		rc = wr(ARM, text);
		if (rc) {
			printf("%s: %s\n", text, name_of(rc));
			return TROUBLE;
		}
		rc = path->operate();
		wr(ARM, "off");
		rd(ARM);
		hits = number(last_text, "hits=");
		injected = number(last_text, "injected=");
		snprintf(where, sizeof(where), "%s", strstr(last_text, "where=") ?: "");
		if (rc && (!injected || !error_may_be(rc))) {
			bad("%s: %s", path->name, name_of(rc));
			return BROKEN;
		}
		if (getenv("VERBOSE"))
			printf("%s %s %u: %s, %s\n", path->name, what, n, name_of(rc), last_text), fflush(stdout);
		if (!path->after(rc))
			return BROKEN;
		if (injected) {
			note_site();
			failed += injected;
			refused += !!rc;
		}
		if (hits < n || first_only)
			break;
	}
	for (unsigned int i = 0; i < nsites; i++)
		printf("%s\n", sites[i]);
	printf("%s %s: injected=%u refused=%u sites=%u%s\n", path->name, what, failed, refused, nsites,
	       n > MOST ? " and no end" : "");
	return n > MOST ? BROKEN : 0;
}

static void errors(char *list)
{
	for (char *w = strtok(list, ","); w; w = strtok(NULL, ",")) {
		int e = 1;

		while (e < 600 && (!strerrorname_np(e) || strcmp(strerrorname_np(e), w)))
			e++;
		may[nmay++ % 16] = e;
	}
}

int main(int argc, char **argv)
{
	int opt;

	setvbuf(stdout, NULL, _IOLBF, 0);
	disk = getenv("DAX_DISK") ?: disk;
	nd = getenv("ND_NAME") ?: "pfn0.0";
	ko = getenv("DAX_HOLDER_KO") ?: "";
	while ((opt = getopt(argc, argv, "+t:e:m:r:b:a:p:fwW")) > 0) {
		struct place *p = &places[nplaces];

		switch (opt) {
		case 't':
			times = atoi(optarg);
			break;
		case 'e':
			errors(optarg);
			break;
		case 'r':
			ranges = optarg;
			break;
		case 'b':
			before_all = optarg;
			break;
		case 'a':
			after_all = optarg;
			break;
		case 'p':
			priority = atoi(optarg);
			break;
		case 'f':
			first_only = true;
			break;
		case 'w':
			waits = MUST;
			break;
		case 'W':
			waits = MAY;
			break;
		case 'm':
			if (nplaces < 4 && (p->dev = strtok(optarg, ":")) && (p->type = strtok(NULL, ":")) &&
			    (p->dir = strtok(NULL, ":"))) {
				p->cached = strtok(NULL, ":");
				p->fd = -1;
				nplaces++;
				break;
			}
			/* fallthrough */
		default:
			goto usage;
		}
	}
	if (argc - optind < 2 || argc - optind > 3 || !nplaces)
		goto usage;
	what = argv[optind + 1];
	if (argc - optind == 3)
		returns = strtol(argv[optind + 2], NULL, 0);
	catch_sigbus();
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		if (!strcmp(argv[optind], paths[i].name))
			return walk(&paths[i]);
usage:
	fprintf(stderr, "usage: faults [-t TIMES] [-f] [-e ERRORS] [-r RANGES] [-b COMMAND] [-a COMMAND] [-w|-W] [-p PRIORITY] -m DEVICE:TYPE:DIRECTORY[:cached]... PATH alloc|FUNCTION [RETURNS]\n");
	return TROUBLE;
}
