/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/argv.h"

#include "runtime/device.h"
#include "runtime/memory.h"
#include "runtime/processor.h"
#include "runtime/sound.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#define QEMU_BINARY "qemu-system-x86_64"

struct argv {
	char **items;
	size_t n;
};

static void put(struct argv *a, char *item)
{
	a->items = xrealloc(a->items, a->n + 2, sizeof(char *));
	a->items[a->n++] = item;
	a->items[a->n] = NULL;
}

static void opt(struct argv *a, const char *name, const char *fmt, ...) _printf_(3, 4);
static void opt(struct argv *a, const char *name, const char *fmt, ...)
{
	va_list ap;

	put(a, xstrdup(name));
	if (!fmt)
		return;
	va_start(ap, fmt);
	put(a, xvasprintf(fmt, ap));
	va_end(ap);
}

char *argv_escape(const char *value)
{
	char *out = xcalloc(strlen(value) * 2 + 1, 1), *p = out;

	for (; *value; value++) {
		if (*value == ',')
			*p++ = ',';
		*p++ = *value;
	}
	return out;
}

/* ---- what has no JSON ---- */

static void put_process(struct argv *a, const struct definition *def, const struct argv_env *env)
{
	const struct hvparams *hv = &def->hvparams;
	_cleanup_free_ char *name = argv_escape(def->name);

	opt(a, "-name", "%s,debug-threads=on", name);
	opt(a, "-uuid", "%s", def->uuid);
	opt(a, "-nodefaults", NULL);
	opt(a, "-no-user-config", NULL);
	opt(a, "-S", NULL);
	opt(a, "-action", "shutdown=pause,panic=pause,reboot=%s%s%s",
	    hv->on_reboot == ON_REBOOT_RESET ? "reset" : "shutdown",
	    str_empty(hv->watchdog) ? "" : ",watchdog=", str_empty(hv->watchdog) ? "" : hv->watchdog);
	if (env->sandbox)
		opt(a, "-sandbox", ARGV_SANDBOX);
	opt(a, "-display", "none");
}

static void put_topology(struct argv *a, const struct definition *def)
{
	const struct hvparams *hv = &def->hvparams;
	bool given = hv->cpu_sockets || hv->cpu_cores || hv->cpu_threads;
	int64_t sockets = given ? hv->cpu_sockets : memory_sockets(def);
	const struct {
		const char *name;
		int64_t n;
	} levels[] = { { "sockets", sockets }, { "cores", hv->cpu_cores }, { "threads", hv->cpu_threads } };
	_cleanup_free_ char *text = xasprintf("%" PRId64, def->vcpus);

	for (size_t i = 0; i < ARRAY_SIZE(levels); i++) {
		_cleanup_free_ char *old = NULL;

		if (!levels[i].n)
			continue;
		old = text;
		text = xasprintf("%s,%s=%" PRId64, old, levels[i].name, levels[i].n);
	}
	opt(a, "-smp", "%s", text);
}

static void put_machine(struct argv *a, const struct definition *def, const struct argv_env *env)
{
	const struct hvparams *hv = &def->hvparams;
	_cleanup_free_ char *machine = argv_escape(env->machine ? env->machine : hv->machine_version);
	_cleanup_free_ char *cpu = processor_text(hv, env->kvm);

	opt(a, "-machine", "%s,accel=%s%s%s%s", machine, env->kvm ? "kvm" : "tcg", hv->acpi ? "" : ",acpi=off",
	    sound_machine(hv), memory_machine(def));
	/* Its commas are what they are in QEMU's own -cpu: features. */
	if (cpu)
		opt(a, "-cpu", "%s", cpu);
	put_topology(a, def);
	opt(a, "-m", "size=%" PRIu64 "B", def->memory);
	for (int64_t node = 0; node < hv->numa_nodes; node++) {
		_cleanup_free_ char *numa = memory_node(def, node);

		opt(a, "-numa", "%s", numa);
	}
	if (hv->mem_lock)
		opt(a, "-overcommit", "mem-lock=on");
	if (hv->use_localtime)
		opt(a, "-rtc", "base=localtime");
}

static void put_audiodev(struct argv *a, const struct hvparams *hv)
{
	_cleanup_json_ struct json_object *audiodev = sound_audiodev(hv);

	if (!audiodev)
		return;
	put(a, xstrdup("-audiodev"));
	put(a, json_print(audiodev));
}

static void put_log(struct argv *a, int fd, int set, const char *opaque)
{
	opt(a, "-add-fd", "fd=%d,set=%d,opaque=%s", fd, set, opaque);
}

static void put_chardevs(struct argv *a, const struct hvparams *hv)
{
	static const char listener[] = "socket,id=%s,fd=%d,server=on,wait=off";
	static const char logged[] = "socket,id=%s,fd=%d,server=on,wait=off,logfile=/dev/fdset/%d,logappend=on";

	opt(a, "-chardev", listener, "qmp", FD_QMP);
	opt(a, "-mon", "chardev=qmp,mode=control");
	put_log(a, FD_EVENTS_LOG, SET_EVENTS_LOG, "events");
	opt(a, "-chardev", logged, "qmp2", FD_QMP2, SET_EVENTS_LOG);
	opt(a, "-mon", "chardev=qmp2,mode=control");
	if (hv->serial_console) {
		put_log(a, FD_CONSOLE_LOG, SET_CONSOLE_LOG, "console");
		opt(a, "-chardev", logged, "serial0", FD_SERIAL, SET_CONSOLE_LOG);
		opt(a, "-serial", "chardev:serial0");
	}
	if (hv->use_guest_agent)
		opt(a, "-chardev", listener, "agent", FD_AGENT);
}

/* A floppy has no bootindex; its controller has one for each drive. */
static void put_floppy_boot(struct argv *a, const struct definition *def)
{
	for (size_t i = 0; i < def->disks.n; i++) {
		const struct disk *d = definition_disk(def, i);

		if (d->media == MEDIA_FLOPPY && disk_bootindex(def, i) != PARAM_INT_NONE)
			opt(a, "-global", "isa-fdc.bootindex%c=%" PRId64, d->hvinfo.unit ? 'B' : 'A',
			    disk_bootindex(def, i));
	}
}

static void put_kernel(struct argv *a, const struct hvparams *hv, const struct argv_env *env)
{
	_cleanup_free_ char *root = NULL, *console = NULL;

	if (str_empty(hv->kernel_path))
		return;
	opt(a, "-kernel", "%s", env->kernel ? env->kernel : hv->kernel_path);
	if (!str_empty(hv->initrd_path))
		opt(a, "-initrd", "%s", env->initrd ? env->initrd : hv->initrd_path);
	/* Words in order: root, what the definition says, the console; those that are empty leave no space. */
	root = str_empty(hv->root_path) ? xstrdup("") : xasprintf("root=%s ", hv->root_path);
	console = hv->serial_console ? xasprintf("console=ttyS0,%" PRId64 " ", hv->serial_speed) : xstrdup("");
	opt(a, "-append", "%s%s%s", root, console, hv->kernel_args);
}

static void put_extra(struct argv *a, const struct hvparams *hv)
{
	char **words = shell_split(hv->kvm_extra);

	for (char **p = words; p && *p; p++)
		put(a, *p);
	free(words);
}

/* ---- what has ---- */

static void put_files(struct argv *a, const struct argv_files *files)
{
	for (size_t i = 0; i < files->n; i++)
		opt(a, "-add-fd", "fd=%zu,set=%u,opaque=%s", FD_COUNT + i, files->items[i].set, files->items[i].node);
}

/* "23:24": the next of FD, one for each queue; NULL for none. */
static char *tap_fds(const struct nic *n, size_t *fd)
{
	char *text = NULL;

	for (unsigned i = 0; i < nic_taps(n); i++) {
		char *longer = xasprintf("%s%s%zu", text ? text : "", text ? ":" : "", (*fd)++);

		free(text);
		text = longer;
	}
	return text;
}

static void put_parts(struct argv *a, const struct definition *def, const struct argv_env *env,
		      const struct argv_files *files)
{
	struct parts parts = { 0 };
	size_t fd = FD_COUNT + files->n;

	fixed_parts(def, env, &parts);
	for (size_t i = 0; i < def->disks.n; i++)
		disk_parts(def, i, env, files, &parts);
	for (size_t i = 0; i < def->nics.n; i++) {
		_cleanup_free_ char *fds = tap_fds(definition_nic(def, i), &fd);

		nic_parts(def, i, env, fds, &parts);
	}
	memory_parts(def, fd, &parts);
	for (size_t i = 0; i < parts.n; i++) {
		put(a, xstrdup(outlet_option(parts.items[i].outlet)));
		put(a, json_print(parts.items[i].o));
	}
	parts_clear(&parts);
}

char **argv_build(const struct definition *def, const struct argv_env *env, const struct argv_files *files)
{
	struct argv a = { 0 };

	put(&a, xstrdup(env->binary));
	put_process(&a, def, env);
	put_machine(&a, def, env);
	put_audiodev(&a, &def->hvparams);
	put_chardevs(&a, &def->hvparams);
	put_files(&a, files);
	put_floppy_boot(&a, def);
	put_parts(&a, def, env, files);
	put_kernel(&a, &def->hvparams, env);
	put_extra(&a, &def->hvparams);
	return a.items;
}

static const char *leader_of(const char *option, bool *is_json)
{
	*is_json = true;
	for (enum outlet i = 0; i < OUTLET_COUNT; i++)
		if (str_eq(outlet_option(i), option))
			return outlet_leader(i);
	*is_json = false;
	return NULL;
}

char **argv_text(char **argv)
{
	size_t n = 0;
	char **copy;

	while (argv[n])
		n++;
	copy = xcalloc(n + 1, sizeof(char *));
	for (size_t i = 0; i < n; i++) {
		_cleanup_json_ struct json_object *o = NULL;
		bool is_json = false;
		const char *leader = i > 0 ? leader_of(argv[i - 1], &is_json) : NULL;

		if (is_json && argv[i][0] == '{' && json_parse(argv[i], strlen(argv[i]), &json_limits_qemu, &o, NULL))
			copy[i] = notation(o, leader);
		else
			copy[i] = xstrdup(argv[i]);
	}
	return copy;
}

char **argv_free(char **argv)
{
	if (argv)
		for (char **p = argv; *p; p++)
			free(*p);
	free(argv);
	return NULL;
}

struct json_object *argv_to_json(char **argv)
{
	struct json_object *list = json_object_new_array();

	for (; *argv; argv++)
		json_object_array_add(list, json_object_new_string(*argv));
	return list;
}

char *argv_binary(const struct definition *def, struct err **e)
{
	const char *path = getenv("PATH");
	_cleanup_free_ char *copy = xstrdup(path ? path : "/usr/local/bin:/usr/bin:/bin");

	if (!str_empty(def->hvparams.kvm_path))
		return xstrdup(def->hvparams.kvm_path);
	for (char *save = NULL, *dir = strtok_r(copy, ":", &save); dir; dir = strtok_r(NULL, ":", &save)) {
		_cleanup_free_ char *full = xasprintf("%s/" QEMU_BINARY, dir);

		if (dir[0] == '/' && access(full, X_OK) == 0)
			return TAKE_PTR(full);
	}
	err_set(e, ERR_NOT_FOUND, "'" QEMU_BINARY "' is not in PATH; install QEMU or set 'kvm_path'");
	return NULL;
}
