// SPDX-License-Identifier: GPL-2.0-only
/*
 * mountrace [-n ROUNDS] [-c CLEAR_FILE] [-b BIND_FILE] -e EVENT_FILE -t EVENT_TEXT FSTYPE DEV DIR
 *
 * In each round one thread mounts (dax=always), maps DIR/probe, touches it and unmounts, over and
 * over, while the other writes EVENT_TEXT to EVENT_FILE: in every second round at a random moment,
 * in the others at a random moment of a mount(2). When that write has returned:
 *   - a touch of the probe that begins after it must not succeed, mounted or not mounted again
 *   - the file system can be unmounted
 *   - after the reset (`1` to CLEAR_FILE, or EVENT_TEXT to BIND_FILE and a wait for DEV) it mounts
 *     with DAX and the probe reads
 * Over all rounds at least one event must have begun while a mount(2) was under way.
 */
#include "common.h"
#include <sys/mount.h>

static const char *fstype, *dev, *dir;
static char probe[512];
static volatile int stop, over;
static volatile bool mounting;		/* the thread is within mount(2) */
static volatile uint64_t took;		/* how long the last one took that succeeded, in us */
static unsigned long mounts, refused, touched, late, bad_umount;

/* 1 the memory answered, 0 it did not, -1 no such file or no mapping */
static int try_probe(void)
{
	int fd = open(probe, O_RDWR), rc = 0;
	char *p;

	if (fd < 0)
		return -1;
	p = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED) {
		close(fd);
		return -1;
	}
	for (int i = 0; i < 4; i++)
		rc |= can_read(p + i * PAGE);
	munmap(p, 4 * PAGE);
	close(fd);
	return rc;
}

static void unmount(void)
{
	/* Nobody else uses the mount point: EBUSY can only be a leak. */
	for (int i = 0; umount2(dir, 0); i++) {
		if (errno == EINVAL)
			return;
		if (errno != EBUSY || i == 100) {
			printf("umount: %s\n", strerrorname_np(errno));
			bad_umount++;
			umount2(dir, MNT_DETACH);
			return;
		}
		nap(10000);
	}
}

static bool mounted(void)
{
	return !mount(dev, dir, fstype, 0, "dax=always");
}

static void *mounter(void *arg)
{
	(void)arg;
	while (!stop) {
		uint64_t since = usec_now();
		bool after, good;

		mounting = true;
		good = mounted();
		mounting = false;
		if (!good) {
			refused++;
			nap(2000);
			continue;
		}
		took = usec_now() - since;
		mounts++;
		after = over;
		if (try_probe() == 1) {
			touched++;
			late += after;
		}
		unmount();
	}
	return NULL;
}

/* Returns at a random moment of a mount(2). */
static void aim(uint64_t x)
{
	do {
		while (mounting)
			nap(20);
		while (!mounting)
			nap(20);
		x = mix(x);
		nap(x % (took + 1));
	} while (!mounting);
}

int main(int argc, char **argv)
{
	const char *event = NULL, *text = NULL, *clear = NULL, *bind = NULL;
	unsigned long rounds = 200, broken = 0, in_mount = 0, completed = 0;
	uint64_t cycle, x = mix(usec_now());
	int o;

	while ((o = getopt(argc, argv, "n:c:b:e:t:")) != -1) {
		switch (o) {
		case 'n': rounds = strtoul(optarg, NULL, 0); break;
		case 'c': clear = optarg; break;
		case 'b': bind = optarg; break;
		case 'e': event = optarg; break;
		case 't': text = optarg; break;
		default: return TROUBLE;
		}
	}
	if (argc - optind != 3 || !event || !text || !clear == !bind) {
		fprintf(stderr, "usage: mountrace [-n ROUNDS] -c FILE|-b FILE -e FILE -t TEXT FSTYPE DEV DIR\n");
		return TROUBLE;
	}
	fstype = argv[optind];
	dev = argv[optind + 1];
	dir = argv[optind + 2];
	snprintf(probe, sizeof(probe), "%s/probe", dir);
	setvbuf(stdout, NULL, _IOLBF, 0);
	catch_sigbus();

	/* Once in peace: to see that it works, and how long it takes. */
	cycle = usec_now();
	if (!mounted())
		die("mount %s", dev);
	took = usec_now() - cycle;
	if (try_probe() != 1)
		errno = 0, die("%s cannot be touched", probe);
	unmount();
	cycle = usec_now() - cycle;

	for (unsigned long n = 1; n <= rounds; n++) {
		unsigned long before = mounts;
		pthread_t thread;
		int fd = open(event, O_WRONLY | O_CLOEXEC);
		ssize_t rc;

		if (fd < 0)
			die("%s", event);
		stop = over = 0;
		if (pthread_create(&thread, NULL, mounter, NULL))
			die("pthread_create");
		x = mix(x);
		nap(x % (2 * cycle));
		if (n % 2)
			aim(x);
		before = mounts;
		in_mount += mounting;
		rc = write(fd, text, strlen(text));
		over = 1;
		if (rc < 0)
			rc = -errno;
		close(fd);
		completed += mounts != before;
		if (rc < 0) {
			printf("round %lu: event: %s\n", n, strerrorname_np(-rc));
			broken++;
		}
		nap(x / 7 % cycle);
		stop = 1;
		pthread_join(thread, NULL);
		/* Mounting a failed partition may work, its log is read through the block layer. */
		if (mounted()) {
			if (try_probe() == 1) {
				printf("round %lu: the memory answers after the event\n", n);
				broken++;
			}
			unmount();
		}
		rc = clear ? write_once(clear, "1", 1) : write_once(bind, text, strlen(text));
		if (rc < 0) {
			printf("round %lu: reset: %s\n", n, strerrorname_np(-rc));
			broken++;
			break;
		}
		for (int i = 0; access(dev, F_OK) && i < 500; i++)
			nap(10000);
		for (int i = 0; !mounted(); i++) {
			if (i == 50) {
				printf("round %lu: no mount after the reset: %s\n", n,
				       strerrorname_np(errno));
				return BROKEN;
			}
			nap(20000);
		}
		if (try_probe() != 1) {
			printf("round %lu: the memory does not answer after the reset\n", n);
			broken++;
		}
		unmount();
		if (broken > 5)
			break;
	}
	printf("%lu rounds, %lu mounts, %lu refused, %lu events that began in a mount, %lu in which one succeeded, %lu probes answered, %lu too late, %lu bad umounts\n",
	       rounds, mounts, refused, in_mount, completed, touched, late, bad_umount);
	if (!mounts || !touched || !in_mount)
		return TROUBLE;
	return broken || late || bad_umount ? BROKEN : 0;
}
