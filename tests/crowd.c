// SPDX-License-Identifier: GPL-2.0-only
/*
 * crowd N
 *
 * N processes that map a file, or a device, and do nothing with it: for scripts/bench-guest. They
 * stay when the memory goes, and map it again when it is back. One order per line of standard
 * input, one answer per order:
 *
 *   map FILE BYTES small|huge [write]	each maps the first BYTES of FILE and touches every page.
 *		small: 4 KiB mappings, huge: 2 MiB mappings; anything else is an error.
 *		Answers "mapped MICROSECONDS"
 *   present	answers "present PAGES": how many pages all of them have in their page tables
 *   faults FILE BYTES small|huge	the first alone: maps, touches every page by itself, unmaps.
 *		Answers "faults NANOSECONDS", the median
 *   files DIR N	makes N files in DIR, looks at each, deletes each. Answers "files CREATE STAT
 *		DELETE", medians in nanoseconds
 *   unmap	answers "unmapped MICROSECONDS"
 *
 * A notice of a memory failure (SIGBUS) is ignored.
 */
#include "common.h"
#include <linux/fs.h>
#include <linux/futex.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define MOST	2000

struct board {			/* shared between the parent and its children */
	uint32_t order;		/* a futex: the number of the order */
	uint32_t done;		/* a futex: how many have carried it out */
	uint32_t failed;
	char what;
	bool huge, write;
	size_t len;
	char file[256];
	uint64_t present;
	uint64_t nsec;
};

static struct board *board;

static void futex(uint32_t *word, int op, uint32_t value)
{
	syscall(SYS_futex, word, op, value, NULL, NULL, 0);
}

/* How many pages of [addr, addr + len) have all of the categories of @mask. */
static size_t scan(char *addr, size_t len, uint64_t mask)
{
	struct page_region r[64];
	struct pm_scan_arg a = {
		.size = sizeof(a), .start = (uintptr_t)addr, .end = (uintptr_t)addr + len,
		.vec = (uintptr_t)r, .vec_len = 64, .category_mask = mask, .return_mask = mask,
	};
	int fd = open("/proc/self/pagemap", O_RDONLY), n;
	size_t sum = 0;

	while (a.start < a.end) {
		n = ioctl(fd, PAGEMAP_SCAN, &a);
		if (n < 0)
			die("PAGEMAP_SCAN");
		for (int i = 0; i < n; i++)
			sum += (r[i].end - r[i].start) / PAGE;
		if (a.walk_end <= a.start)
			break;
		a.start = a.walk_end;
	}
	close(fd);
	return sum;
}

static char *map(void)
{
	int fd = open(board->file, board->write ? O_RDWR : O_RDONLY);
	char *addr;

	if (fd < 0)
		die("%s", board->file);
	addr = mmap(place(board->len, board->huge), board->len,
		    PROT_READ | (board->write ? PROT_WRITE : 0), MAP_FIXED | MAP_SHARED, fd, 0);
	if (addr == MAP_FAILED)
		die("mmap %s", board->file);
	close(fd);
	return addr;
}

static void check_size(char *addr)
{
	size_t pages = board->len / PAGE, huge = scan(addr, board->len, PAGE_IS_HUGE);

	if (huge != (board->huge ? pages : 0))
		errno = 0, die("%s: %zu of %zu pages are in 2 MiB mappings", board->file, huge, pages);
	if (scan(addr, board->len, PAGE_IS_PRESENT) != pages)
		errno = 0, die("%s: not all pages are mapped", board->file);
}

static uint64_t nsec_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static uint64_t median(uint64_t *values, size_t count)
{
	qsort(values, count, sizeof(*values), compare);
	return values[count / 2];
}

static uint64_t *numbers(size_t count)
{
	uint64_t *values = calloc(count, sizeof(*values));

	if (!values)
		die("memory");
	return values;
}

static void fault(void)
{
	size_t step = board->huge ? HUGE_PAGE : PAGE, count = board->len / step;
	uint64_t *took = numbers(count);
	char *addr = map();

	for (size_t i = 0; i < count; i++) {
		uint64_t before = nsec_now();

		(void)*(volatile char *)(addr + i * step);
		took[i] = nsec_now() - before;
	}
	check_size(addr);
	munmap(addr, board->len);
	board->nsec = median(took, count);
	free(took);
}

/* What is done to each of @count files of @dir; the median of the time it takes. */
static uint64_t files(const char *dir, size_t count, char what)
{
	uint64_t *took = numbers(count), result;
	struct stat st;
	char path[320];

	for (size_t i = 0; i < count; i++) {
		uint64_t begin;
		int ret;

		snprintf(path, sizeof(path), "%s/%zu", dir, i);
		begin = nsec_now();
		switch (what) {
		case 'c':
			ret = close(open(path, O_CREAT | O_EXCL | O_WRONLY, 0600));
			break;
		case 's':
			ret = stat(path, &st);
			break;
		default:
			ret = unlink(path);
		}
		took[i] = nsec_now() - begin;
		if (ret)
			die("%s", path);
	}
	result = median(took, count);
	free(took);
	return result;
}

static void __attribute__((noreturn)) child(bool first)
{
	uint32_t seen = 0;
	char *addr = NULL;
	size_t len = 0;

	for (;; __atomic_add_fetch(&board->done, 1, __ATOMIC_SEQ_CST), futex(&board->done, FUTEX_WAKE, 1)) {
		while (__atomic_load_n(&board->order, __ATOMIC_SEQ_CST) == seen)
			futex(&board->order, FUTEX_WAIT, seen);
		seen++;
		switch (board->what) {
		case 'm':
			addr = map();
			len = board->len;
			if (madvise(addr, len, board->write ? MADV_POPULATE_WRITE : MADV_POPULATE_READ))
				die("touching %s", board->file);
			check_size(addr);
			break;
		case 'p':
			if (addr)
				__atomic_add_fetch(&board->present, scan(addr, len, PAGE_IS_PRESENT),
						   __ATOMIC_SEQ_CST);
			break;
		case 'f':
			if (first)
				fault();
			break;
		case 'u':
			if (addr)
				munmap(addr, len);
			addr = NULL;
			break;
		}
	}
}

static void all(char what, unsigned int count)
{
	board->what = what;
	board->done = 0;
	__atomic_add_fetch(&board->order, 1, __ATOMIC_SEQ_CST);
	futex(&board->order, FUTEX_WAKE, count);
	for (;;) {
		uint32_t done = __atomic_load_n(&board->done, __ATOMIC_SEQ_CST);

		if (done == count)
			return;
		futex(&board->done, FUTEX_WAIT, done);
	}
}

static void on_child(int sig)
{
	(void)sig;
	_exit(TROUBLE);		/* a child never ends by itself */
}

int main(int argc, char **argv)
{
	unsigned int count = argc == 2 ? atoi(argv[1]) : 0;
	char line[512], size[16], access[16];
	uint64_t begin;

	if (!count || count > MOST) {
		fprintf(stderr, "usage: crowd N\n");
		return TROUBLE;
	}
	board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (board == MAP_FAILED)
		die("mmap");
	signal(SIGBUS, SIG_IGN);
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (unsigned int i = 0; i < count; i++) {
		pid_t pid = fork();

		if (pid < 0)
			die("fork");
		if (!pid) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			child(!i);
		}
	}
	signal(SIGCHLD, on_child);
	printf("READY %u\n", count);
	while (fgets(line, sizeof(line), stdin)) {
		bool one = !strncmp(line, "faults ", 7);

		access[0] = 0;
		if (one || !strncmp(line, "map ", 4)) {
			if (sscanf(strchr(line, ' '), "%255s %zu %15s %15s", board->file, &board->len, size,
				   access) < 3)
				die("what is %s", line);
			board->huge = !strcmp(size, "huge");
			board->write = !strcmp(access, "write");
			begin = usec_now();
			all(one ? 'f' : 'm', count);
			if (one)
				printf("faults %llu\n", (unsigned long long)board->nsec);
			else
				printf("mapped %llu\n", (unsigned long long)(usec_now() - begin));
		} else if (!strncmp(line, "present", 7)) {
			board->present = 0;
			all('p', count);
			printf("present %llu\n", (unsigned long long)board->present);
		} else if (sscanf(line, "files %255s %zu", board->file, &board->len) == 2) {
			printf("files");
			for (const char *what = "csd"; *what; what++)
				printf(" %llu", (unsigned long long)files(board->file, board->len, *what));
			printf("\n");
		} else if (!strncmp(line, "unmap", 5)) {
			begin = usec_now();
			all('u', count);
			printf("unmapped %llu\n", (unsigned long long)(usec_now() - begin));
		} else {
			errno = EINVAL, die("what is %s", line);
		}
	}
	return 0;
}
