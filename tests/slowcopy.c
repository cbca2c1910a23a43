// SPDX-License-Identifier: GPL-2.0-only
/*
 * slowcopy FILE ELSEWHERE SEED: reads the first page of FILE, which has been made of SEED, and says READY
 * in the midst of the kernel's copying: the buffer is a page of ELSEWHERE, whose file system, another one,
 * is frozen, so that the kernel waits before it may write there. SIGUSR1: thaw, compare, say COPIED.
 */
#include "common.h"
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

static int from;
static char *buf;
static volatile pid_t reader;
static ssize_t got;

static void *copy(void *unused)
{
	reader = syscall(SYS_gettid);
	got = pread(from, buf, PAGE, 0);
	if (got < 0)
		got = -errno;
	return unused;
}

/* Whether the reader sleeps and cannot be interrupted. */
static bool waits(void)
{
	char path[64], stat[256];
	const char *state;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", reader);
	fd = open(path, O_RDONLY);
	n = read(fd, stat, sizeof(stat) - 1);
	close(fd);
	stat[n > 0 ? n : 0] = 0;
	state = strrchr(stat, ')');
	return state && state[1] && state[2] == 'D';
}

int main(int argc, char **argv)
{
	pthread_t thread;
	sigset_t set;
	int to, sig, seen = 0;

	if (argc != 4) {
		fprintf(stderr, "usage: slowcopy FILE ELSEWHERE SEED\n");
		return TROUBLE;
	}
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	from = open(argv[1], O_RDONLY);
	if (from < 0)
		die("%s", argv[1]);
	to = open(argv[2], O_RDWR | O_CREAT, 0600);
	if (to < 0 || ftruncate(to, PAGE) || fsync(to))
		die("%s", argv[2]);
	buf = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, to, 0);
	if (buf == MAP_FAILED)
		die("mmap");
	(void)*(volatile char *)buf;
	if (ioctl(to, FIFREEZE, 0))
		die("freezing");
	if (pthread_create(&thread, NULL, copy, NULL))
		die("pthread_create");
	/* More than once: it may also wait for something that passes. */
	while (seen < 10) {
		nap(20000);
		seen = reader && waits() ? seen + 1 : 0;
	}
	printf("READY\n");
	fflush(stdout);
	sigwait(&set, &sig);
	if (ioctl(to, FITHAW, 0))
		die("thawing");
	pthread_join(thread, NULL);
	errno = got < 0 ? -got : 0;
	if (got != (ssize_t)PAGE)
		die("reading");
	if (!page_matches((uint64_t *)buf, strtoull(argv[3], NULL, 0), 0)) {
		printf("BROKEN: what was read is not what was written\n");
		return BROKEN;
	}
	printf("COPIED\n");
	return 0;
}
