// SPDX-License-Identifier: GPL-2.0-only
/* Which program the agent is, and running it; when and what for is src/holders/agent.rs. */
#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/sched/signal.h>
#include <linux/umh.h>

#include "helpers.h"

static char agent[DH_AGENT_PATH] = "/usr/lib/dax_holder/agent";

/*
 * The parameters say what the kernel runs as root: the mode 0600 is not enough, for a root
 * without capabilities owns the files too. Loading the module takes CAP_SYS_MODULE, and who
 * has that needs no agent to do as he likes.
 */
static bool may_set(void) { return dh_may_administrate() || data_race(capable(CAP_SYS_MODULE)); }

/* An absolute path, or nothing at all; what `echo` adds at the end is taken off. */
static int agent_set(const char *value, const struct kernel_param *param)
{
	size_t length = strcspn(value, "\n");

	if (!may_set())
		return -EPERM;
	if (length && value[0] != '/')
		return -EINVAL;
	if (length >= sizeof(agent))
		return -ENAMETOOLONG;
	memcpy(agent, value, length);
	agent[length] = '\0';
	return 0;
}

static int agent_get(char *buf, const struct kernel_param *param)
{
	return sysfs_emit(buf, "%s\n", agent);
}

static const struct kernel_param_ops agent_ops = { .set = agent_set, .get = agent_get };
module_param_cb(agent, &agent_ops, NULL, 0600);
MODULE_PARM_DESC(agent, "program that makes device-mapper let go of memory, an absolute path (/usr/lib/dax_holder/agent); empty: none");

static unsigned int agent_timeout = 60;

static int agent_timeout_set(const char *value, const struct kernel_param *param)
{
	if (!may_set())
		return -EPERM;
	return param_set_uint_minmax(value, param, 1, 3600);
}

static const struct kernel_param_ops agent_timeout_ops = {
	.set = agent_timeout_set, .get = param_get_uint,
};
module_param_cb(agent_timeout, &agent_timeout_ops, &agent_timeout, 0600);
MODULE_PARM_DESC(agent_timeout, "seconds that one run of the agent may take, 1 to 3600 (60)");

/* Copies the path, of at most DH_AGENT_PATH bytes with its NUL. */
void dh_agent_path(char *path)
{
	kernel_param_lock(THIS_MODULE);
	memcpy(path, agent, sizeof(agent));
	kernel_param_unlock(THIS_MODULE);
}

unsigned int dh_agent_timeout(void) { return READ_ONCE(agent_timeout); }

/* In the new process, before it becomes the program. */
static int remember(struct subprocess_info *info, struct cred *new)
{
	struct pid **process = info->data;

	smp_store_release(process, get_task_pid(current, PIDTYPE_PID));
	return 0;
}

/*
 * Runs "PATH VERB NUMBER...", the @count (at most DH_AGENT_NUMBERS) devices of @numbers as
 * MAJOR:MINOR, and waits for its end, which nothing but dh_process_kill() brings forward.
 * *@process, NULL before, becomes the process, with a reference for the caller. Returns the
 * wait status, or a negative errno if it was not run.
 */
int dh_agent_run(const char *path, const char *verb, const dev_t *numbers, unsigned int count,
		 struct pid **process)
{
	char words[DH_AGENT_NUMBERS][24];
	char *argv[DH_AGENT_NUMBERS + 3] = { (char *)path, (char *)verb };
	char *envp[] = { "HOME=/", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", NULL };
	struct subprocess_info *info;
	unsigned int i;

	for (i = 0; i < min(count, DH_AGENT_NUMBERS); i++) {
		snprintf(words[i], sizeof(words[i]), "%u:%u", MAJOR(numbers[i]), MINOR(numbers[i]));
		argv[2 + i] = words[i];
	}
	info = call_usermodehelper_setup(path, argv, envp, GFP_KERNEL, remember, NULL, process);
	return info ? call_usermodehelper_exec(info, UMH_WAIT_PROC) : -ENOMEM;
}

void dh_process_kill(struct pid *process) { kill_pid(process, SIGKILL, 1); }
void dh_process_put(struct pid *process) { put_pid(process); }
