/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/argv.h"

#include "base/child.h"
#include "runtime/boot.h"
#include "runtime/device.h"
#include "runtime/display.h"
#include "runtime/memory.h"
#include "runtime/microvm.h"
#include "runtime/processor.h"
#include "runtime/sound.h"
#include "runtime/vhost.h"

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
	    on_reboot_of(hv) == ON_REBOOT_RESET ? "reset" : "shutdown", hv->watchdog ? ",watchdog=" : "",
	    watchdogs[hv->watchdog]);
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

static bool needs_smm(const struct hvparams *hv, const struct argv_env *env)
{
	if (hv->firmware == FIRMWARE_BIOS)
		return false;
	return env->firmware ? env->firmware->smm : hv->firmware == FIRMWARE_UEFI_SECURE;
}

static void put_machine(struct argv *a, const struct definition *def, const struct argv_env *env)
{
	const struct hvparams *hv = &def->hvparams;
	_cleanup_free_ char *machine = argv_escape(env->machine ? env->machine : hv->machine_version);
	_cleanup_free_ char *cpu = processor_text(hv, env->kvm);
	/* The image, read-only, and the variables. */
	const char *flash = hv->firmware == FIRMWARE_BIOS ? "" : ",pflash0=" NODE_FIRMWARE ",pflash1=" NODE_NVRAM;
	bool smm = needs_smm(hv, env);

	opt(a, "-machine", "%s,accel=%s%s%s%s%s%s%s", machine, env->kvm ? "kvm" : "tcg", hv->acpi ? "" : ",acpi=off",
	    microvm_machine(hv), smm ? ",smm=on" : "", flash, sound_machine(hv), memory_machine(def));
	/* Then they are the firmware's alone. */
	if (smm)
		opt(a, "-global", "driver=cfi.pflash01,property=secure,value=on");
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
	if (display_has_vdagent(hv))
		opt(a, "-chardev", "spicevmc,id=vdagent,name=vdagent");
}

static void put_displays(struct argv *a, const struct hvparams *hv, const struct argv_env *env)
{
	_cleanup_free_ char *vnc = display_vnc_option(hv), *spice = display_spice_option(hv, env->spice);

	if (vnc)
		opt(a, "-vnc", "%s", vnc);
	if (spice)
		opt(a, "-spice", "%s", spice);
	if ((vnc || spice) && !str_empty(hv->keymap))
		opt(a, "-k", "%s", hv->keymap);
}

/* A floppy has no bootindex; its controller has one for each drive. */
static void put_floppy_boot(struct argv *a, const struct definition *def, int once)
{
	for (size_t i = 0; i < def->disks.n; i++) {
		const struct disk *d = definition_disk(def, i);
		int64_t index = boot_disk_index(def, once, i);

		if (d->media == MEDIA_FLOPPY && index != PARAM_INT_NONE)
			opt(a, "-global", "isa-fdc.bootindex%c=%" PRId64, d->hvinfo.unit ? 'B' : 'A', index);
	}
}

#define SPACE " \t\n"

/* How much of ARGS is the kernel's: what comes before a word "--". */
static size_t own_words(const char *args)
{
	const char *p = args, *end = args;

	while (*(p += strspn(p, SPACE))) {
		const char *word = p;

		for (bool quoted = false; *p && (quoted || !strchr(SPACE, *p)); p++)
			quoted ^= *p == '"';
		if (p - word == 2 && strncmp(word, "--", 2) == 0)
			return (size_t)(end - args);
		end = p;
	}
	return strlen(args);
}

/* Words in order: root, what the definition says, the console, for of several the last one is the guest's, and what is not
 * the kernel's; those that are empty leave no space. */
static char *kernel_line(const struct hvparams *hv)
{
	_cleanup_free_ char *root = str_empty(hv->root_path) ? NULL : xasprintf("root=%s", hv->root_path);
	_cleanup_free_ char *console = hv->serial_console ? xasprintf("console=ttyS0,%" PRId64, hv->serial_speed) :
							    NULL;
	size_t own = own_words(hv->kernel_args);
	_cleanup_free_ char *args = xasprintf("%.*s", (int)own, hv->kernel_args);
	const char *rest = hv->kernel_args + own + strspn(hv->kernel_args + own, SPACE);
	const char *const words[] = { root, args, console, rest };
	char *line = xstrdup("");

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		_cleanup_free_ char *before = NULL;

		if (str_empty(words[i]))
			continue;
		before = line;
		line = xasprintf("%s%s%s", before, *before ? " " : "", words[i]);
	}
	return line;
}

/* How many descriptors its cards have, of one of the two kinds. */
static size_t count_fds(const struct definition *def, unsigned (*of)(const struct nic *n, const struct hvparams *hv))
{
	size_t n = 0;

	for (size_t i = 0; i < def->nics.n; i++)
		n += of(definition_nic(def, i), &def->hvparams);
	return n;
}

int argv_tpm_fd(const struct definition *def, const struct argv_files *files, bool vhost)
{
	size_t fd = FD_COUNT + files->n + count_fds(def, nic_taps);

	return (int)(fd + (vhost ? count_fds(def, vhost_queues) : 0) + memory_files(def));
}

static void put_tpm(struct argv *a, const struct definition *def, const struct argv_files *files, bool vhost)
{
	if (!def->hvparams.tpm)
		return;
	opt(a, "-chardev", "socket,id=tpm,fd=%d", argv_tpm_fd(def, files, vhost));
	opt(a, "-tpmdev", "emulator,id=tpm0,chardev=tpm");
}

static void put_kernel(struct argv *a, const struct hvparams *hv, const struct argv_env *env)
{
	_cleanup_free_ char *line = NULL;

	if (str_empty(hv->kernel_path))
		return;
	opt(a, "-kernel", "%s", env->kernel ? env->kernel : hv->kernel_path);
	if (!str_empty(hv->initrd_path))
		opt(a, "-initrd", "%s", env->initrd ? env->initrd : hv->initrd_path);
	line = kernel_line(hv);
	opt(a, "-append", "%s", line);
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
static char *next_fds(unsigned queues, size_t *fd)
{
	char *text = NULL;

	for (unsigned i = 0; i < queues; i++) {
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
	const struct hvparams *hv = &def->hvparams;
	size_t fd = FD_COUNT + files->n, vhost_fd = fd + count_fds(def, nic_taps);

	firmware_parts(def, env, files, &parts);
	fixed_parts(def, env, &parts);
	for (size_t i = 0; i < def->disks.n; i++)
		disk_parts(def, i, env, files, &parts);
	for (size_t i = 0; i < def->nics.n; i++) {
		const struct nic *n = definition_nic(def, i);
		_cleanup_free_ char *fds = next_fds(nic_taps(n, hv), &fd);
		_cleanup_free_ char *vhost = next_fds(env->vhost ? vhost_queues(n, hv) : 0, &vhost_fd);

		nic_parts(def, i, env, fds, vhost, &parts);
	}
	memory_parts(def, vhost_fd, &parts);
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
	put_tpm(&a, def, files, env->vhost);
	put_displays(&a, &def->hvparams, env);
	put_files(&a, files);
	put_floppy_boot(&a, def, env->boot);
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

struct json_object *argv_to_json(char **argv)
{
	struct json_object *list = json_object_new_array();

	for (; *argv; argv++)
		json_object_array_add(list, json_object_new_string(*argv));
	return list;
}

char *argv_binary(const struct definition *def, struct err **e)
{
	char *found;

	if (!str_empty(def->hvparams.kvm_path))
		return xstrdup(def->hvparams.kvm_path);
	found = program_find(QEMU_BINARY);
	if (!found)
		err_set(e, ERR_NOT_FOUND, "'" QEMU_BINARY "' is not in PATH; install QEMU or set 'kvm_path'");
	return found;
}
