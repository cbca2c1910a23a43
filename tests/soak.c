// SPDX-License-Identifier: GPL-2.0-only
/*
 * The I/O of tests/soak.sh, and the book of what was acknowledged.
 *
 * soak new BOOK PLACE			nothing is promised of this place any more
 * soak work BOOK PLACE DIR SEED [dax]	use DIR until it is taken away, or until SIGTERM
 * soak verify BOOK PLACE DIR SEED [dax] everything that was promised must be there
 * soak find BOOK PLACE			a byte that was promised: file, page, offset in that page
 * soak flip DEVICE OFFSET		change that byte
 * soak counts BOOK			what was done so far, as NAME=NUMBER
 *
 * A place is a file system with FILES files. A file consists of cells of 512 bytes; what is in a cell
 * follows from its place, file and number and from the stamp it was written with, which is used only
 * once. BOOK must lie on another disk. For each cell it has the stamp that is promised to be there, 0
 * if there is none. Whoever is about to change a cell takes the promise back first; he promises the
 * new stamp when he has been told that it is durable. So whenever a writer dies, the book never
 * promises too much; and a reader who finds the same stamp before and after knows that nobody has changed
 * the cell meanwhile. The size of a file is promised in the same way, and a file with a size must exist.
 */
#include "common.h"
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/statfs.h>
#include <sys/uio.h>
#include <sys/wait.h>

#define PLACES	4
#define FILES	8
#define CELL	512UL
#define CELLS	8192UL			/* in a file: 4 MiB */
#define WHOLE	(CELLS * CELL)
#define RUN	64UL			/* most cells that are written or read at once */
#define WRITERS	2
#define UNKNOWN	UINT64_MAX
#define ZEROS	(1ULL << 63)		/* in the stamp of a cell that was cut or punched */

#define COUNTS(count) \
	count(acknowledged_bytes) count(fsyncs) count(msyncs) count(sync_stores) count(truncates) \
	count(punches) count(unlinks) count(forks) count(pins) count(sigbus) count(errors) \
	count(read_bytes) count(verified_bytes) count(lost_bytes)

struct ledger {
	_Atomic uint64_t size[FILES], stamp[FILES][CELLS];
};

struct book {
	_Atomic uint64_t stamps;
#define COUNT(name) _Atomic uint64_t name;
	COUNTS(COUNT)
#undef COUNT
	struct ledger place[PLACES];
};

static struct book *book;
static struct ledger *ledger;
static unsigned int place_number;
static const char *dir;
static bool dax;
static uint64_t state, buffer[RUN * CELL / 8] __attribute__((aligned(PAGE)));

static uint64_t rnd(uint64_t below)
{
	state = mix(state);
	return state % below;
}

static void open_book(const char *path, const char *place)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0 || ftruncate(fd, sizeof(*book)))
		die("%s", path);
	book = mmap(NULL, sizeof(*book), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (book == MAP_FAILED)
		die("%s", path);
	close(fd);
	/* Not even another book has had the same ones. */
	if (!book->stamps)
		book->stamps = usec_now() << 12;
	place_number = place ? atoi(place) : 0;
	if (place_number >= PLACES)
		errno = EINVAL, die("place %s", place);
	ledger = &book->place[place_number];
}

/* ---- cells ---------------------------------------------------------------------------- */

static uint64_t name_of(int file, size_t cell)
{
	return (uint64_t)place_number << 56 | (uint64_t)file << 48 | cell;
}

static void fill_cell(uint64_t *p, int file, size_t cell, uint64_t stamp)
{
	uint64_t x = mix(stamp ^ mix(name_of(file, cell)));

	p[0] = stamp;
	p[1] = name_of(file, cell);
	for (size_t i = 2; i < CELL / 8; i++)
		p[i] = x += 0x9e3779b97f4a7c15ull;
}

static bool has_content(uint64_t stamp) { return stamp && !(stamp & ZEROS); }

static bool cell_matches(const uint64_t *p, int file, size_t cell, uint64_t stamp)
{
	uint64_t want[CELL / 8] = {};

	if (has_content(stamp))
		fill_cell(want, file, cell, stamp);
	return !memcmp(p, want, CELL);
}

static void lost(const uint64_t *p, int file, size_t cell, uint64_t stamp)
{
	static int told;

	book->lost_bytes += CELL;
	if (told++ >= 16)
		return;
	printf("LOST %s/f%d cell %zu: promised ", dir, file, cell);
	printf(!has_content(stamp) ? "zeros" : "stamp %llu", (unsigned long long)stamp);
	if (p && cell_matches(p, file, cell, ZEROS))
		printf(", found zeros\n");
	else if (p && cell_matches(p, file, cell, p[0]))
		printf(", found stamp %llu\n", (unsigned long long)p[0]);
	else if (p)
		printf(", found 0x%016llx 0x%016llx ...\n", (unsigned long long)p[0],
		       (unsigned long long)p[1]);
	else
		printf(", cannot be read: %s\n", strerrorname_np(errno));
}

static void promise(int file, size_t cell, size_t n, uint64_t stamp)
{
	for (; n--; cell++)
		ledger->stamp[file][cell] = stamp;
}

static void snapshot(uint64_t *stamps, int file, size_t cell, size_t n)
{
	for (size_t i = 0; i < n; i++)
		stamps[i] = ledger->stamp[file][cell + i];
}

/* Bytes to or from a file that may vanish, which is @from or @to; within one page. */
static bool can_move(void *to, const void *from, size_t len, const void *pmem)
{
	if (sigsetjmp(touch_env, 0)) {
		touch_page = 0;
		return false;
	}
	touch_page = (uintptr_t)pmem & ~(PAGE - 1);
	memcpy(to, from, len);
	touch_page = 0;
	return true;
}

/* ---- workers -------------------------------------------------------------------------- */

enum how { RUNNING, TOLD, TAKEN, WRONG };
static const char *const hows[] = { "killed", "told", "taken", "wrong" };

struct worker {			/* shared between the parent and its children */
	_Atomic int how, ready;
	char what[24], error[24];
	uint64_t rounds;
};

static struct board {
	_Atomic int told;
	struct worker worker[8];
} *board;
static struct worker *me;
static bool ext4;

static void __attribute__((noreturn)) end(enum how how, const char *what, const char *error)
{
	if (!me)
		die("%s", what);
	snprintf(me->what, sizeof(me->what), "%s", what);
	snprintf(me->error, sizeof(me->error), "%s", error);
	me->how = how;
	fflush(stdout);
	_exit(0);
}

/* The disk is going, or is gone: $DISK_STATE is the file with its state. */
static bool disk_goes(void)
{
	const char *path = getenv("DISK_STATE");
	char word[16];

	return path && (read_once(path, word, sizeof(word)) <= 0 || !strcmp(word, "removing\n"));
}

/*
 * How a file system may be lost: by EIO; ext4 also calls itself read-only; and who was past the checks of his
 * file system may meet a dead DAX device if the disk goes, which is ENXIO (dax_direct_access()). Nothing else.
 */
static void __attribute__((noreturn)) failed(const char *what)
{
	int why = errno;
	bool fine = why == EIO || (ext4 && why == EROFS) || (dax && why == ENXIO && disk_goes());

	book->errors++;
	end(fine ? TAKEN : WRONG, what, strerrorname_np(why) ?: "nothing");
}

static void __attribute__((noreturn)) taken_by_bus(const char *what)
{
	book->sigbus++;
	end(TAKEN, what, bus_name(bus_code));
}

static char *path_of(int file)
{
	static char path[512];

	snprintf(path, sizeof(path), "%s/f%d", dir, file);
	return path;
}

/*
 * Half of the files are written once, from the beginning to the end, and never cut: who maps or pins
 * them waits for nobody. Of the others half are mapped by readers, and have new blocks by faults only:
 * Linux 7.3 warns in dax_folio_put() when somebody faults in the very page that a write() has just
 * allocated, with this module or without.
 */
static bool steady(int file)
{
	return file / WRITERS % 2 == 0;
}

static bool mapped_by_others(int file)
{
	return file / WRITERS != 1;
}

/* In mappings of 2 MiB or of 4 KiB: by the address. Nothing of what was reserved for that is left. */
static char *map_file(int fd, int prot, int flags)
{
	size_t room = WHOLE + 2 * HUGE_PAGE;
	char *p = mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0), *at;

	if (p == MAP_FAILED)
		die("reserving addresses");
	at = (char *)(((uintptr_t)p + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1)) + rnd(2) * PAGE;
	if (at > p)
		munmap(p, at - p);
	munmap(at + WHOLE, p + room - at - WHOLE);
	p = mmap(at, WHOLE, prot, flags | MAP_FIXED, fd, 0);
	if (p == MAP_FAILED)
		failed("mmap");
	return p;
}

static uint64_t size_of(int fd)
{
	struct stat st;

	if (fstat(fd, &st))
		failed("stat");
	return st.st_size;
}

/* ---- writers: each has files of its own ----------------------------------------------- */

struct file {
	int number, fd;
	char *map;
	bool synced;		/* the map is MAP_SYNC */
};

static struct file mine[FILES];

static void set_size(struct file *f, uint64_t size)
{
	ledger->size[f->number] = size;
}

/* The directory entry too. */
static void make_durable(struct file *f)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY);

	if (fd < 0 || fsync(f->fd) || fsync(fd))
		failed("fsync");
	close(fd);
	set_size(f, size_of(f->fd));
}

static void write_all(int fd, const char *from, size_t len, off_t at, int flags)
{
	while (len) {
		struct iovec v = { (char *)from, len };
		ssize_t n = pwritev2(fd, &v, 1, at, flags);

		if (n < 0)
			failed("write");
		from += n;
		at += n;
		len -= n;
	}
}

static void fill(struct file *f, uint64_t stamp)
{
	struct fsxattr fx;

	/* XFS aligns extents to 2 MiB by this hint; ext4 says no and needs none. */
	if (!ioctl(f->fd, FS_IOC_FSGETXATTR, &fx)) {
		fx.fsx_xflags |= FS_XFLAG_EXTSIZE;
		fx.fsx_extsize = HUGE_PAGE;
		ioctl(f->fd, FS_IOC_FSSETXATTR, &fx);
	}
	if (fallocate(f->fd, FALLOC_FL_KEEP_SIZE, 0, WHOLE))
		failed("fallocate");
	for (size_t cell = 0; cell < CELLS; cell++) {
		fill_cell(buffer + cell % RUN * CELL / 8, f->number, cell, stamp);
		if (cell % RUN == RUN - 1)
			write_all(f->fd, (char *)buffer, sizeof(buffer), (cell + 1) * CELL - sizeof(buffer), 0);
	}
}

static void open_mine(struct file *f)
{
	uint64_t stamp = 0;

	f->fd = open(path_of(f->number), O_RDWR | O_CREAT, 0600);
	if (f->fd < 0)
		failed("open");
	if (steady(f->number) && size_of(f->fd) < WHOLE)
		fill(f, stamp = ++book->stamps);
	make_durable(f);
	if (stamp) {
		promise(f->number, 0, CELLS, stamp);
		book->acknowledged_bytes += WHOLE;
	}
	f->synced = dax && rnd(2);
	f->map = map_file(f->fd, PROT_READ | PROT_WRITE,
			  f->synced ? MAP_SHARED_VALIDATE | MAP_SYNC : MAP_SHARED);
}

static void close_mine(struct file *f)
{
	munmap(f->map, WHOLE);
	close(f->fd);
}

static bool store_cells(struct file *f, size_t cell, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char *to = f->map + (cell + i) * CELL;

		if (!can_move(to, (char *)buffer + i * CELL, CELL, to))
			return false;
	}
	return true;
}

/* The stores are a child's, now and then. */
static void store(struct file *f, size_t cell, size_t n)
{
	int status;
	pid_t pid;

	if (rnd(32)) {
		if (!store_cells(f, cell, n))
			taken_by_bus("store");
		return;
	}
	book->forks++;
	pid = fork();
	if (pid < 0)
		die("fork");
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(!store_cells(f, cell, n));
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			die("waitpid");
	if (status) {
		bus_code = BUS_ADRERR;
		taken_by_bus("child's store");
	}
}

/* Has each page of the run been written? If so it has a block. */
static bool written(int file, size_t cell, size_t n)
{
	const size_t in_page = PAGE / CELL;
	size_t page, i;

	for (page = cell / in_page; page <= (cell + n - 1) / in_page; page++) {
		for (i = 0; i < in_page && !has_content(ledger->stamp[file][page * in_page + i]); i++)
			;
		if (i == in_page)
			return false;
	}
	return true;
}

/* One run of cells; returns whether it is durable already. */
static bool write_run(struct file *f, size_t cell, size_t n, uint64_t stamp)
{
	bool by_fault = dax && mapped_by_others(f->number) && !written(f->number, cell, n), grown = false;
	size_t first = cell * CELL & ~(PAGE - 1), behind = (cell + n) * CELL;
	uint64_t size = size_of(f->fd);

	for (size_t i = 0; i < n; i++)
		fill_cell(buffer + i * CELL / 8, f->number, cell + i, stamp);
	promise(f->number, cell, n, 0);
	if (behind > size)
		set_size(f, UNKNOWN);
	if (behind > size && by_fault) {
		if (ftruncate(f->fd, behind))
			failed("truncate");
		grown = true;
	}
	if (by_fault || (behind <= size && rnd(2))) {
		store(f, cell, n);
		if (f->synced && rnd(2)) {
			book->sync_stores++;
			return !grown;
		}
		if (msync(f->map + first, behind - first, MS_SYNC))
			failed("msync");
		book->msyncs++;
		return true;
	}
	if (rnd(4)) {
		write_all(f->fd, (char *)buffer, n * CELL, cell * CELL, 0);
		return false;
	}
	write_all(f->fd, (char *)buffer, n * CELL, cell * CELL, RWF_DSYNC);
	book->fsyncs++;
	return true;
}

/* A few runs, then one fsync for those that need it. A later run may cover an earlier one. */
static void write_some(struct file *f)
{
	size_t cell[4], n[4], runs = 1 + rnd(4), i, waiting = 0;
	uint64_t stamp[4];

	for (i = 0; i < runs; i++) {
		n[i] = 1 + rnd(rnd(4) ? 8 : RUN);
		cell[i] = rnd(CELLS - n[i]);
		stamp[i] = ++book->stamps;
		waiting += !write_run(f, cell[i], n[i], stamp[i]);
	}
	if (waiting) {
		if (rnd(2) ? fsync(f->fd) : fdatasync(f->fd))
			failed("fsync");
		book->fsyncs++;
	}
	/* The last first: what it covers was never promised to a reader. */
	for (i = runs; i--;) {
		for (size_t c = cell[i]; c < cell[i] + n[i]; c++)
			if (!ledger->stamp[f->number][c])
				promise(f->number, c, 1, stamp[i]);
		book->acknowledged_bytes += n[i] * CELL;
	}
	set_size(f, size_of(f->fd));
}

/* To any byte, and perhaps up again: what is between must be zeros. */
static void cut(struct file *f)
{
	uint64_t size = size_of(f->fd), down = rnd(size + 1), up = down;

	if (rnd(2))
		up += rnd(WHOLE - down + 1);
	set_size(f, UNKNOWN);
	promise(f->number, down / CELL, CELLS - down / CELL, 0);
	if (ftruncate(f->fd, down) || (up != down && ftruncate(f->fd, up)))
		failed("truncate");
	if (fsync(f->fd))
		failed("fsync");
	down = (down + CELL - 1) / CELL;
	if (up / CELL > down)
		promise(f->number, down, up / CELL - down, ZEROS | ++book->stamps);
	set_size(f, up);
	book->truncates++;
}

static void punch(struct file *f)
{
	size_t cells = ledger->size[f->number] / CELL, n = 1 + rnd(RUN), cell;

	if (cells <= n)
		return;
	cell = rnd(cells - n);
	promise(f->number, cell, n, 0);
	if (fallocate(f->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, cell * CELL, n * CELL))
		failed("punch");
	if (fsync(f->fd))
		failed("fsync");
	promise(f->number, cell, n, ZEROS | ++book->stamps);
	book->punches++;
}

static void start_anew(struct file *f)
{
	set_size(f, UNKNOWN);
	promise(f->number, 0, CELLS, 0);
	close_mine(f);
	if (unlink(path_of(f->number)))
		failed("unlink");
	open_mine(f);
	book->unlinks++;
}

static void writer_round(void)
{
	struct file *f = &mine[rnd(FILES / WRITERS)];

	if (steady(f->number) || rnd(4)) {
		write_some(f);
		return;
	}
	switch (rnd(8)) {
	case 0:
		start_anew(f);
		return;
	case 1 ... 3:
		punch(f);
		return;
	default:
		cut(f);
	}
}

/* ---- readers: what is promised before and after the look must have been seen ---------- */

/* Up to the end of the file. */
static ssize_t read_all(int fd, char *to, size_t len, off_t at)
{
	size_t got = 0;
	ssize_t n;

	do {
		n = pread(fd, to + got, len - got, at + got);
		if (n < 0)
			return n;
		got += n;
	} while (got < len && n);
	return got;
}

/* Only what is promised: the rest may be behind the end of the file. */
static bool read_by_map(int fd, char *map, size_t cell, size_t n, const uint64_t *promised)
{
	char *own = map ?: map_file(fd, PROT_READ, MAP_SHARED);
	bool good = true;

	for (size_t i = 0; good && i < n; i++) {
		char *from = own + (cell + i) * CELL;

		good = !promised[i] || can_move((char *)buffer + i * CELL, from, CELL, from);
	}
	if (!map)
		munmap(own, WHOLE);
	return good;
}

/*
 * A file may be cut or replaced meanwhile, but then the promise has been taken back. Without DAX nobody
 * maps, since the page cache outlives the disk; and it is emptied now and then. (By O_DIRECT, a read of
 * what somebody is just about to write is EIO.)
 */
static void look(int file, char *map)
{
	size_t pages = 1 + rnd(RUN * CELL / PAGE), n = pages * (PAGE / CELL);
	size_t cell = rnd(WHOLE / PAGE - pages) * (PAGE / CELL);
	bool mapped = map || (dax && mapped_by_others(file) && rnd(2)), promised = false, good;
	uint64_t before[RUN], after[RUN];
	int fd = -1;

	snapshot(before, file, cell, n);
	for (size_t i = 0; i < n; i++)
		promised |= !!before[i];
	if (!promised)
		return;
	if (!map)
		fd = open(path_of(file), O_RDONLY);
	if (!map && fd < 0 && errno != ENOENT)
		failed("open");
	if (!dax && fd >= 0 && rnd(2))
		posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	/* What is not there must not look right because of the round before. */
	memset(buffer, 0xff, n * CELL);
	if (!map && fd < 0)
		good = false;
	else if (mapped)
		good = read_by_map(fd, map, cell, n, before);
	else if (read_all(fd, (char *)buffer, n * CELL, cell * CELL) < 0)
		failed("read");
	else
		good = true;
	if (fd >= 0)
		close(fd);
	snapshot(after, file, cell, n);
	if (!good && memcmp(before, after, n * sizeof(*before)))
		return;
	if (!good && mapped && (map || fd >= 0))
		taken_by_bus("touch");
	if (!good)
		errno = ENOENT, failed("open");
	for (size_t i = 0; i < n; i++) {
		const uint64_t *p = buffer + i * CELL / 8;

		if (!before[i] || before[i] != after[i])
			continue;
		book->read_bytes += CELL;
		if (!cell_matches(p, file, cell + i, before[i])) {
			lost(p, file, cell + i, before[i]);
			end(WRONG, "look", "lost bytes");
		}
	}
}

/* One mapping lives as long as the reader. */
static char *long_map(int prot, int flags)
{
	int fd = open(path_of(0), O_RDWR);
	char *p;

	if (fd < 0)
		failed("open");
	p = map_file(fd, prot, flags);
	close(fd);
	return p;
}

static void reader_round(char *map)
{
	if (dax && rnd(2))
		look(0, map);
	else
		look(rnd(FILES), NULL);
}

/* ---- those who fork: what is mapped is inherited, copied, touched and thrown away ------ */

static int child_of_forker(char *shared, char *private)
{
	char *copy = private + rnd(WHOLE / PAGE) * PAGE;
	uint64_t word = rnd(UINT64_MAX), again = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	state = mix(state ^ me->rounds);
	for (int i = 0; i < 8; i++)
		look(0, shared);
	if (!can_move(copy, &word, sizeof(word), copy))
		taken_by_bus("copy");
	/* From here on it is ordinary memory. */
	if (!can_move(&again, copy, sizeof(word), copy) || again != word)
		end(WRONG, "copy", "other content");
	return 0;
}

static void forker_round(char *shared, char *private)
{
	int status;
	pid_t pid;

	book->forks++;
	pid = fork();
	if (pid < 0)
		die("fork");
	if (!pid)
		_exit(child_of_forker(shared, private));
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			die("waitpid");
	if (me->how)		/* the child's end is ours */
		_exit(0);
	if (status)
		end(WRONG, "child", "killed");
}

/* ---- pins: pages in a pipe, for a while ----------------------------------------------- */

static void pin_round(char *map)
{
	struct iovec v = { map + rnd(WHOLE / PAGE - 8) * PAGE, (1 + rnd(8)) * PAGE };
	int p[2];

	if (pipe(p))
		die("pipe");
	if (!can_read(v.iov_base))
		taken_by_bus("touch");
	if (vmsplice(p[1], &v, 1, 0) < 0) {
		if (errno == EFAULT)
			taken_by_bus("vmsplice");
		if (errno != EINTR)
			failed("vmsplice");
	}
	nap(rnd(300000));
	/* Who reads them needs the memory; who closes the pipe does not. */
	if (rnd(2) && read(p[0], buffer, PAGE) < 0 && errno != EINTR)
		failed("read of a pipe");
	book->pins++;
	close(p[0]);
	close(p[1]);
}

/* ---- all of them ---------------------------------------------------------------------- */

static const struct {
	const char *name;
	bool dax;		/* makes no sense without */
	unsigned int nap;	/* usec, at most, between two rounds */
} roles[] = {
	{ "writer0", false, 4000 }, { "writer1", false, 4000 }, { "reader", false, 4000 },
	{ "forker", true, 60000 }, { "pinner", true, 400000 },
};
#define ROLES	(sizeof(roles) / sizeof(*roles))

static void __attribute__((noreturn)) play(size_t role)
{
	char *map = NULL, *private = NULL;

	if (role < WRITERS) {
		for (size_t i = 0; i < FILES / WRITERS; i++) {
			mine[i].number = i * WRITERS + role;
			open_mine(&mine[i]);
		}
	} else if (dax) {
		map = long_map(PROT_READ | PROT_WRITE, MAP_SHARED);
	}
	if (role == 3)
		private = long_map(PROT_READ | PROT_WRITE, MAP_PRIVATE);
	while (!board->told) {
		switch (role) {
		case 0 ... WRITERS - 1:
			writer_round();
			break;
		case 2:
			reader_round(map);
			break;
		case 3:
			forker_round(map, private);
			break;
		default:
			pin_round(map);
		}
		me->rounds++;
		me->ready = 1;
		nap(rnd(roles[role].nap));
	}
	end(TOLD, "", "");
}

static void on_term(int sig)
{
	(void)sig;
	board->told = 1;
}

static void begin(size_t role, uint64_t seed)
{
	pid_t pid;

	me = &board->worker[role];
	pid = fork();
	if (pid < 0)
		die("fork");
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		state = mix(seed ^ mix(role));
		play(role);
	}
}

/* The first four are there before those who need their files begin. */
static void until_ready(size_t from, size_t to)
{
	for (size_t i = from; i < to; i++)
		while ((dax || !roles[i].dax) && !board->worker[i].ready && !board->worker[i].how)
			nap(2000);
}

static int do_work(uint64_t seed)
{
	struct sigaction term = { .sa_handler = on_term };
	int seen[WRONG + 1] = {}, rc = 0, status;
	struct statfs sf;
	pid_t pid;

	board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (board == MAP_FAILED || statfs(dir, &sf))
		die("%s", dir);
	ext4 = sf.f_type == EXT4_SUPER_MAGIC;
	/* Whoever drives the soak has few processors, too. */
	if (nice(10) < 0)
		die("nice");
	catch_sigbus();
	sigaction(SIGTERM, &term, NULL);
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (size_t i = 0; i < ROLES; i++) {
		if (i == WRITERS)
			until_ready(0, i);
		if (dax || !roles[i].dax)
			begin(i, seed);
	}
	until_ready(WRITERS, ROLES);
	printf("READY\n");
	while ((pid = waitpid(-1, &status, 0)) > 0 || errno == EINTR)
		if (pid > 0 && status)
			rc = BROKEN;
	for (size_t i = 0; i < ROLES; i++) {
		struct worker *w = &board->worker[i];

		if (!dax && roles[i].dax)
			continue;
		seen[w->how]++;
		printf("%s: %llu rounds, %s %s %s\n", roles[i].name, (unsigned long long)w->rounds,
		       hows[w->how], w->what, w->error);
	}
	if (seen[RUNNING] || seen[WRONG])
		rc = BROKEN;
	printf("ENDED %s\n", rc ? "wrong" : !seen[TOLD] ? "taken" : !seen[TAKEN] ? "told" : "taken in part");
	return rc;
}

/* ---- afterwards ----------------------------------------------------------------------- */

static bool read_page(int fd, const char *map, uint64_t *page, size_t number)
{
	/* What is not there is not zeros either. */
	memset(page, 0xff, PAGE);
	errno = ENOENT;
	if (map)
		return can_move(page, map + number * PAGE, PAGE, map + number * PAGE);
	return fd >= 0 && read_all(fd, (char *)page, PAGE, number * PAGE) >= 0;
}

/* Returns how many cells are promised, and counts those that are not there. */
static size_t verify_file(int file, size_t *bad)
{
	uint64_t size = ledger->size[file], page[PAGE / 8], stamp;
	size_t seen = 0, last = CELLS;
	int fd = open(path_of(file), O_RDONLY);
	bool there = false;
	struct stat st;
	char *map = NULL;

	if (size != UNKNOWN && (fd < 0 || fstat(fd, &st) || (uint64_t)st.st_size != size)) {
		printf("LOST %s/f%d: promised a size of %llu, %s\n", dir, file, (unsigned long long)size,
		       fd < 0 ? strerrorname_np(errno) : "not found");
		book->lost_bytes += CELL;
		++*bad;
	}
	if (fd >= 0 && dax && !rnd(4))
		map = map_file(fd, PROT_READ, MAP_SHARED);
	for (size_t cell = 0; cell < CELLS; cell++) {
		const uint64_t *p = page + cell * CELL % PAGE / 8;

		stamp = ledger->stamp[file][cell];
		if (!stamp)
			continue;
		if (last != cell * CELL / PAGE) {
			last = cell * CELL / PAGE;
			there = read_page(fd, map, page, last);
		}
		seen++;
		if (!there || !cell_matches(p, file, cell, stamp)) {
			lost(there ? p : NULL, file, cell, stamp);
			++*bad;
		}
	}
	if (map)
		munmap(map, WHOLE);
	if (fd >= 0)
		close(fd);
	return seen;
}

static int do_verify(uint64_t seed)
{
	size_t seen = 0, bad = 0;

	state = mix(seed);
	catch_sigbus();
	for (int file = 0; file < FILES; file++)
		seen += verify_file(file, &bad);
	book->verified_bytes += seen * CELL;
	printf("%zu cells promised, %zu lost\n", seen, bad);
	return bad ? BROKEN : 0;
}

static int do_new(void)
{
	for (int file = 0; file < FILES; file++) {
		ledger->size[file] = UNKNOWN;
		promise(file, 0, CELLS, 0);
	}
	return 0;
}

static int do_find(void)
{
	for (size_t cell = 0; cell < CELLS; cell++)
		if (has_content(ledger->stamp[0][cell])) {
			printf("f0 %zu %zu\n", cell * CELL / PAGE, cell * CELL % PAGE + CELL / 2);
			return 0;
		}
	return BROKEN;
}

static int do_flip(const char *device, off_t at)
{
	int fd = open(device, O_RDWR);
	char byte;

	if (fd < 0 || pread(fd, &byte, 1, at) != 1)
		die("%s", device);
	byte ^= 0x10;
	if (pwrite(fd, &byte, 1, at) != 1 || fsync(fd))
		die("%s", device);
	return 0;
}

static int do_counts(void)
{
#define COUNT(name) printf(#name "=%llu ", (unsigned long long)book->name);
	COUNTS(COUNT)
#undef COUNT
	printf("\n");
	return 0;
}

int main(int argc, char **argv)
{
	const char *verb = argc > 2 ? argv[1] : "";

	if (!strcmp(verb, "flip") && argc == 4)
		return do_flip(argv[2], strtoull(argv[3], NULL, 0));
	if (argc > 2)
		open_book(argv[2], argc > 3 ? argv[3] : NULL);
	dir = argc > 4 ? argv[4] : "";
	dax = argc == 7 && !strcmp(argv[6], "dax");
	if (!strcmp(verb, "counts") && argc == 3)
		return do_counts();
	if (!strcmp(verb, "new") && argc == 4)
		return do_new();
	if (!strcmp(verb, "find") && argc == 4)
		return do_find();
	if (!strcmp(verb, "work") && (argc == 6 || dax))
		return do_work(strtoull(argv[5], NULL, 0));
	if (!strcmp(verb, "verify") && (argc == 6 || dax))
		return do_verify(strtoull(argv[5], NULL, 0));
	fprintf(stderr, "usage: soak new|work|verify|find BOOK PLACE ... | flip DEVICE OFFSET | counts BOOK\n");
	return TROUBLE;
}
