// SPDX-License-Identifier: GPL-2.0-only
/*
 * writerace DIR THREADS EVENT_FILE EVENT_TEXT [DELAY_USEC]
 *
 * THREADS threads write(2) to a file in DIR each, as fast as they can. After DELAY_USEC the main thread
 * writes EVENT_TEXT to EVENT_FILE. A write may fail with EIO, with EROFS on ext4, and with nothing
 * else, whatever moment of the event it meets; once the event is over it must fail.
 */
#include "common.h"
#include <linux/magic.h>
#include <sys/statfs.h>

#define PAGES	64

static const char *dir;
static volatile int started, over;
static unsigned long errors[4096], late;

static void *run(void *arg)
{
	long number = (long)arg;
	static const char bytes[PAGE];
	uint64_t x = mix(number + usec_now());
	bool last = false;
	char path[512];
	int fd;

	snprintf(path, sizeof(path), "%s/w%ld", dir, number);
	fd = open(path, O_RDWR | O_CREAT, 0600);
	if (fd < 0)
		die("%s", path);
	for (int i = 0; i < PAGES; i++)
		if (pwrite(fd, bytes, PAGE, i * PAGE) != (ssize_t)PAGE)
			die("writing %s", path);
	__atomic_add_fetch(&started, 1, __ATOMIC_SEQ_CST);
	/* Whole pages and parts of them: both can be written in place of what has failed. */
	while (!last) {
		size_t len = x % 2 ? PAGE : 512;

		last = over;
		x = mix(x);
		if (pwrite(fd, bytes, len, (x >> 8) % PAGES * PAGE) < 0)
			__atomic_add_fetch(&errors[errno], 1, __ATOMIC_SEQ_CST);
		else if (last)
			__atomic_add_fetch(&late, 1, __ATOMIC_SEQ_CST);
	}
	close(fd);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t thread[64];
	struct statfs sf;
	bool broken;
	ssize_t rc;
	long n;

	if (argc < 5 || (n = atol(argv[2])) < 1 || n > 64) {
		fprintf(stderr, "usage: writerace DIR THREADS EVENT_FILE EVENT_TEXT [DELAY_USEC]\n");
		return TROUBLE;
	}
	dir = argv[1];
	if (statfs(dir, &sf))
		die("%s", dir);
	for (long i = 0; i < n; i++)
		if (pthread_create(&thread[i], NULL, run, (void *)i))
			die("pthread_create");
	while (started < n)
		nap(500);
	nap(argc > 5 ? atoi(argv[5]) : 20000);
	rc = write_once(argv[3], argv[4], strlen(argv[4]));
	over = 1;
	for (long i = 0; i < n; i++)
		pthread_join(thread[i], NULL);
	broken = late;
	printf("event %s; %lu writes too late;", rc < 0 ? strerrorname_np(-rc) : "ok", late);
	for (int e = 0; e < 4096; e++) {
		if (!errors[e])
			continue;
		printf(" %lu %s", errors[e], strerrorname_np(e));
		broken |= e != EIO && !(e == EROFS && sf.f_type == EXT4_SUPER_MAGIC);
	}
	printf("\n");
	return rc < 0 ? TROUBLE : broken ? BROKEN : 0;
}
