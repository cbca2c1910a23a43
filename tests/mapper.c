// SPDX-License-Identifier: GPL-2.0-only
/*
 * mapper [-a|-k] FILE SEED SPEC...
 *
 * One process per SPEC maps FILE, touches every page, and goes on touching. SPEC is a list of
 * words joined by commas: shared|private, read|write, huge|small, sync.
 *
 *   huge	2 MiB mappings, checked with PAGEMAP_SCAN; the file must allow them
 *   small	4 KiB mappings, forced by a misaligned address
 *   sync	MAP_SYNC
 *
 * READY on standard output means: every process has touched every page. SIGUSR1 says that the
 * event is over: each process now tries every page of the memory, prints a line, unmaps and
 * leaves. Without -a no page may be readable or writable any more; with -a (a neighbour of the
 * event) every page must be, with the right content, and no SIGBUS may ever have come.
 * Pages that a private mapping has copied are DRAM and do not count. With -k nobody unmaps and
 * leaves: without the module that is where the kernel may fall over.
 */
#include "common.h"
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>

struct spec {
	const char *name;
	bool shared, write, huge, sync;
};

struct board {			/* shared between the parent and its children */
	volatile int check;
	volatile int ready[32];
};

static struct board *board;
static bool alive, keep;

static void on_usr1(int sig)
{
	(void)sig;
	board->check = 1;
}

static void parse(struct spec *s, const char *text)
{
	char *copy = strdup(text), *save = NULL;

	*s = (struct spec){ .name = text, .shared = true };
	for (char *w = strtok_r(copy, ",", &save); w; w = strtok_r(NULL, ",", &save)) {
		if (!strcmp(w, "private"))
			s->shared = false;
		else if (!strcmp(w, "write"))
			s->write = true;
		else if (!strcmp(w, "huge"))
			s->huge = true;
		else if (!strcmp(w, "sync"))
			s->sync = true;
		else if (strcmp(w, "shared") && strcmp(w, "read") && strcmp(w, "small"))
			errno = EINVAL, die("unknown word %s", w);
	}
	free(copy);
}

static size_t huge_pages(char *addr, size_t len)
{
	struct page_region r[64];
	struct pm_scan_arg a = {
		.size = sizeof(a), .start = (uintptr_t)addr, .end = (uintptr_t)addr + len,
		.vec = (uintptr_t)r, .vec_len = 64,
		.category_mask = PAGE_IS_HUGE, .return_mask = PAGE_IS_HUGE,
	};
	int fd = open("/proc/self/pagemap", O_RDONLY), n;
	size_t sum = 0;

	n = ioctl(fd, PAGEMAP_SCAN, &a);
	if (n < 0)
		die("PAGEMAP_SCAN");
	for (int i = 0; i < n; i++)
		sum += (r[i].end - r[i].start) / PAGE;
	close(fd);
	return sum;
}

/* A private writer copies the odd pages, so that the even ones stay the device's. */
static bool copied(const struct spec *s, size_t page)
{
	return !s->shared && s->write && page % 2;
}

static bool touch(const struct spec *s, char *addr, size_t page)
{
	char *p = addr + page * PAGE;

	return s->write && (s->shared || copied(s, page)) ? can_write(p) : can_read(p);
}

static int work(const struct spec *s, const char *file, uint64_t seed, volatile int *ready)
{
	int fd = open(file, s->write || s->sync ? O_RDWR : O_RDONLY), code = 0, rc = 0;
	size_t len, pages, readable = 0, writable = 0, wrong = 0, count = 0, passes = 0;
	unsigned long first = 0;
	char *addr;

	if (fd < 0)
		die("%s", file);
	len = file_size(fd);
	pages = len / PAGE;
	addr = mmap(place(len, s->huge), len, PROT_READ | (s->write ? PROT_WRITE : 0),
		    MAP_FIXED | (!s->shared ? MAP_PRIVATE : s->sync ? MAP_SHARED_VALIDATE | MAP_SYNC
				 : MAP_SHARED), fd, 0);
	if (addr == MAP_FAILED)
		die("mmap %s %s", file, s->name);
	for (size_t i = 0; i < pages; i++)
		if (!touch(s, addr, i))
			errno = 0, die("%s %s: page %zu cannot be touched", file, s->name, i);
	if (huge_pages(addr, len) != (s->huge ? pages : 0)) {
		printf("%s %s: %zu of %zu pages are in 2 MiB mappings\n", file, s->name,
		       huge_pages(addr, len), pages);
		return TROUBLE;
	}
	*ready = 1;

	while (!board->check) {
		for (size_t i = 0; i < pages && !code && !board->check; i++)
			if (!touch(s, addr, i)) {
				code = bus_code;
				first = i;
			}
		passes++;
		nap(5000);
	}
	/* A notice may have come for a page that was not being touched. */
	if (!code)
		code = bus_code;

	for (size_t i = 0; i < pages; i++) {
		char *p = addr + i * PAGE;

		if (copied(s, i))
			continue;
		count++;
		if (can_read(p)) {
			readable++;
			if (alive && !page_matches((uint64_t *)p, seed, i))
				wrong++;
		} else if (!code) {
			code = bus_code;
			first = i;
		}
		/* A refused touch costs 100 us in an emulated guest: not every page twice. */
		if (s->shared && s->write && i % 16 == 0 && can_write(p))
			writable++;
	}
	if (alive)
		rc = code || readable != count || wrong ? BROKEN : 0;
	else
		rc = !code || readable || writable ? BROKEN : 0;
	printf("%s %s %s: SIGBUS code=%s page=%lu, then readable=%zu writable=%zu of %zu%s, %zu passes\n",
	       rc ? "BROKEN" : "fine", file, s->name, bus_name(code), first, readable, writable,
	       count, wrong ? " WRONG CONTENT" : "", passes);
	fflush(stdout);
	while (keep)
		pause();
	/* The end of a mapping is where upstream falls over stale entries: do it in the open. */
	munmap(addr, len);
	close(fd);
	return rc;
}

int main(int argc, char **argv)
{
	struct spec spec[32];
	pid_t pid[32];
	int n = 0, worst = 0, status, i;
	const char *file;
	uint64_t seed;

	if (argc > 1 && (!strcmp(argv[1], "-a") || !strcmp(argv[1], "-k"))) {
		alive = argv[1][1] == 'a';
		keep = !alive;
		argv++;
		argc--;
	}
	if (argc < 4 || argc - 3 > 32) {
		fprintf(stderr, "usage: mapper [-a|-k] FILE SEED SPEC...\n");
		return TROUBLE;
	}
	file = argv[1];
	seed = strtoull(argv[2], NULL, 0);
	board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (board == MAP_FAILED)
		die("mmap");
	for (i = 3; i < argc; i++)
		parse(&spec[n++], argv[i]);
	setvbuf(stdout, NULL, _IOLBF, 0);
	catch_sigbus();
	signal(SIGUSR1, on_usr1);
	for (i = 0; i < n; i++) {
		pid[i] = fork();
		if (pid[i] < 0)
			die("fork");
		if (!pid[i]) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			exit(work(&spec[i], file, seed, &board->ready[i]));
		}
		/* One after the other: the first mapping decides the size of the DAX entries. */
		while (!board->ready[i]) {
			if (waitpid(pid[i], &status, WNOHANG) == pid[i]) {
				printf("FAILED: %s never got ready\n", spec[i].name);
				return TROUBLE;
			}
			nap(2000);
		}
	}
	printf("READY %d\n", n);
	for (i = 0; i < n; i++) {
		while (waitpid(pid[i], &status, 0) < 0 && errno == EINTR)
			;
		if (!WIFEXITED(status)) {
			printf("BROKEN %s: killed by signal %d\n", spec[i].name, WTERMSIG(status));
			worst = BROKEN;
		} else if (WEXITSTATUS(status) && !worst) {
			worst = WEXITSTATUS(status);
		}
	}
	return worst;
}
