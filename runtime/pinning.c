/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/pinning.h"

#include "qmp/wait.h"
#include "runtime/instance.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MASK "hvparams.cpu_mask"
#define ONLINE "/sys/devices/system/cpu/online"

enum { CALL_MS = 30000, CPUS_MAX = 8192 };

/* The element at *P, which then is behind it; the caller's. NULL: that was the last. */
static char *next_element(const char **p)
{
	size_t n;
	char *element;

	if (!*p)
		return NULL;
	n = strcspn(*p, ":");
	element = xcalloc(n + 1, 1);
	memcpy(element, *p, n);
	*p = (*p)[n] ? *p + n + 1 : NULL;
	return element;
}

static int64_t count_elements(const char *mask)
{
	int64_t n = 1;

	for (; *mask; mask++)
		n += *mask == ':';
	return n;
}

bool pinning_check(const struct hvparams *hv, int64_t vcpus, struct err **e)
{
	int64_t n = count_elements(hv->cpu_mask);
	const char *p = hv->cpu_mask;

	while (p) {
		_cleanup_free_ char *element = next_element(&p);

		if (!str_eq(element, "all") && !cpu_list_parse(element, NULL, NULL))
			return err_set_param(e, MASK,
					     "'%s' is neither 'all' nor processors such as 0-3,8; elements are parted "
					     "by colons",
					     element);
	}
	if (n != 1 && n != vcpus)
		return err_set_param(e, MASK,
				     "has %" PRId64 " elements for %" PRId64
				     " vcpus: give one for all of them, or one for each",
				     n, vcpus);
	return true;
}

/* ---- what the host has ---- */

static void add_cpu(unsigned cpu, void *data)
{
	((bool *)data)[cpu] = true;
}

struct lacking {
	bool online[CPUS_MAX], found;
	unsigned cpu;
};

static void look_for_cpu(unsigned cpu, void *data)
{
	struct lacking *l = data;

	if (l->online[cpu] || l->found)
		return;
	l->found = true;
	l->cpu = cpu;
}

bool pinning_fits(const struct hvparams *hv, struct err **e)
{
	_cleanup_free_ struct lacking *l = xcalloc(1, sizeof(*l));
	_cleanup_close_ int fd = open(ONLINE, O_RDONLY | O_CLOEXEC);
	char text[4096];
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	const char *p = hv->cpu_mask;

	text[n > 0 ? n : 0] = '\0';
	text[strcspn(text, "\n")] = '\0';
	if (!cpu_list_parse(text, add_cpu, l->online)) /* then it is the launcher that finds out */
		return true;
	while (p) {
		_cleanup_free_ char *element = next_element(&p);

		cpu_list_parse(element, look_for_cpu, l);
		if (l->found)
			return err_set_param(e, MASK, "processor %u is not there; this host has %s", l->cpu, text);
	}
	return true;
}

char *pinning_cpus(const struct hvparams *hv)
{
	char *list = NULL;
	const char *p = hv->cpu_mask;

	while (p) {
		_cleanup_free_ char *element = next_element(&p), *before = list;

		if (str_eq(element, "all"))
			return NULL;
		list = xasprintf("%s%s%s", before ? before : "", before ? "," : "", element);
	}
	return list;
}

/* ---- the vcpus ---- */

/* QEMU may say what it likes: only its own threads are touched. Whose it is, too. */
static bool is_thread_of(pid_t pid, int64_t tid, uid_t *uid)
{
	_cleanup_free_ char *path = xasprintf("/proc/%d/task/%" PRId64, pid, tid);
	struct stat st;

	if (pid <= 0 || tid <= 0 || tid > INT32_MAX || stat(path, &st) < 0)
		return false;
	*uid = st.st_uid;
	return true;
}

/* A thread of another user takes CAP_SYS_NICE, which would give droverd priorities as well and which a service need not
 * have; or being that user. That is this thread alone for the moment of one call, by the system call itself, and who has
 * it as an effective id only can be neither traced nor sent signals by that user. */
static bool set_affinity(pid_t tid, uid_t uid, const cpu_set_t *set)
{
	int r = sched_setaffinity(tid, CPU_ALLOC_SIZE(CPUS_MAX), set), errnum = errno;
	uid_t own = geteuid();

	if (r == 0 || errnum != EPERM || own != 0 || uid == 0)
		return r == 0;
	if (syscall(SYS_setresuid, -1, uid, -1) < 0)
		return false;
	r = sched_setaffinity(tid, CPU_ALLOC_SIZE(CPUS_MAX), set);
	errnum = errno;
	if (syscall(SYS_setresuid, -1, own, -1) < 0)
		abort();
	prctl(PR_SET_DUMPABLE, 1); /* which a change of ids takes away */
	errno = errnum;
	return r == 0;
}

static void set_cpu(unsigned cpu, void *data)
{
	CPU_SET_S(cpu, CPU_ALLOC_SIZE(CPUS_MAX), (cpu_set_t *)data);
}

static bool pin(pid_t pid, int64_t vcpu, int64_t tid, const char *cpus, struct err **e)
{
	cpu_set_t *set;
	uid_t uid;
	int errnum;
	bool ok;

	if (!is_thread_of(pid, tid, &uid))
		return err_set(e, ERR_QEMU, "QEMU names %" PRId64 " as the thread of vcpu %" PRId64 ", which it is not",
			       tid, vcpu);
	set = CPU_ALLOC(CPUS_MAX);
	if (!set)
		abort();
	CPU_ZERO_S(CPU_ALLOC_SIZE(CPUS_MAX), set);
	cpu_list_parse(cpus, set_cpu, set);
	ok = set_affinity((pid_t)tid, uid, set);
	errnum = errno;
	CPU_FREE(set);
	if (ok)
		return true;
	return err_set_param(e, MASK, "vcpu %" PRId64 " cannot run on '%s': %s", vcpu, cpus, strerror(errnum));
}

/* The thread of VCPU in the answer; 0: it is not in it. */
static int64_t thread_of(struct json_object *cpus, int64_t vcpu)
{
	for (size_t i = 0; i < json_object_array_length(cpus); i++) {
		struct json_object *o = json_object_array_get_idx(cpus, i);

		if (json_get_int(o, "cpu-index", -1) == vcpu)
			return json_get_int(o, "thread-id", 0);
	}
	return 0;
}

static enum verdict on_cpus(struct op *op, struct json_object *ret, void *arg)
{
	const struct instance *inst = arg;
	const char *p = inst->def.hvparams.cpu_mask;
	struct err *e = NULL;

	if (!json_object_is_type(ret, json_type_array))
		return op_fail(op, ERR_QEMU, "QEMU's answer to query-cpus-fast is no list");
	for (int64_t vcpu = 0; p; vcpu++) {
		_cleanup_free_ char *element = next_element(&p);

		/* The whole process has all of them then. */
		if (str_eq(element, "all"))
			continue;
		if (!pin(inst->pid, vcpu, thread_of(ret, vcpu), element, &e))
			return op_fail_err(op, e);
	}
	return OP_DONE;
}

static enum verdict pin_vcpus(struct op *op, void *arg)
{
	struct instance *inst = arg;

	if (count_elements(inst->def.hvparams.cpu_mask) == 1)
		return OP_DONE;
	return qmp_call(op, inst->qmp, "query-cpus-fast", NULL, on_cpus, inst);
}

const struct step pinning_pin = { "pin the processors", pin_vcpus, .timeout_ms = CALL_MS };
