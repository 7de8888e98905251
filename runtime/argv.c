/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/argv.h"

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

static void put_kernel(struct argv *a, const struct hvparams *hv)
{
	_cleanup_free_ char *root = NULL, *console = NULL;

	if (str_empty(hv->kernel_path))
		return;
	opt(a, "-kernel", "%s", hv->kernel_path);
	if (!str_empty(hv->initrd_path))
		opt(a, "-initrd", "%s", hv->initrd_path);
	/* Words in order: root, what the definition says, the console; those that are empty leave no space. */
	root = str_empty(hv->root_path) ? xstrdup("") : xasprintf("root=%s ", hv->root_path);
	console = hv->serial_console ? xasprintf("console=ttyS0,%" PRId64 " ", hv->serial_speed) : xstrdup("");
	opt(a, "-append", "%s%s%s", root, console, hv->kernel_args);
}

static void put_monitors(struct argv *a)
{
	opt(a, "-chardev", "socket,id=qmp,fd=%d,server=on,wait=off", FD_QMP);
	opt(a, "-mon", "chardev=qmp,mode=control");
	opt(a, "-add-fd", "fd=%d,set=2,opaque=events", FD_EVENTS_LOG);
	opt(a, "-chardev", "socket,id=qmp2,fd=%d,server=on,wait=off,logfile=/dev/fdset/2,logappend=on", FD_QMP2);
	opt(a, "-mon", "chardev=qmp2,mode=control");
}

static void put_serial(struct argv *a)
{
	opt(a, "-add-fd", "fd=%d,set=1,opaque=console", FD_CONSOLE_LOG);
	opt(a, "-chardev", "socket,id=serial0,fd=%d,server=on,wait=off,logfile=/dev/fdset/1,logappend=on", FD_SERIAL);
	opt(a, "-serial", "chardev:serial0");
}

static void put_agent(struct argv *a, bool q35)
{
	opt(a, "-chardev", "socket,id=agent,fd=%d,server=on,wait=off", FD_AGENT);
	opt(a, "-device", "{\"driver\":\"virtio-serial-pci\",\"id\":\"virtio-serial\",\"bus\":\"%s\",\"addr\":\"0x5\"}",
	    q35 ? "pcie.0" : "pci.0");
	opt(a, "-device",
	    "{\"driver\":\"virtserialport\",\"id\":\"agent\",\"chardev\":\"agent\",\"bus\":\"virtio-serial.0\","
	    "\"nr\":1,\"name\":\"org.qemu.guest_agent.0\"}");
}

void argv_files_list(const struct definition *def, struct argv_files *files)
{
	*files = (struct argv_files){ 0 };
}

void argv_files_clear(struct argv_files *files)
{
}

char **argv_text(char **argv)
{
	size_t n = 0;
	char **copy;

	while (argv[n])
		n++;
	copy = xcalloc(n + 1, sizeof(char *));
	for (size_t i = 0; i < n; i++)
		copy[i] = xstrdup(argv[i]);
	return copy;
}

char **argv_build(const struct definition *def, const struct argv_env *env, const struct argv_files *files)
{
	_cleanup_free_ char *name = argv_escape(def->name), *machine = argv_escape(def->hvparams.machine_version);
	struct argv a = { 0 };

	put(&a, xstrdup(env->binary));
	opt(&a, "-name", "%s,debug-threads=on", name);
	opt(&a, "-uuid", "%s", def->uuid);
	opt(&a, "-nodefaults", NULL);
	opt(&a, "-no-user-config", NULL);
	opt(&a, "-S", NULL);
	opt(&a, "-action", "shutdown=pause,panic=pause,reboot=reset");
	opt(&a, "-display", "none");
	opt(&a, "-machine", "%s,accel=%s", machine, env->kvm ? "kvm" : "tcg");
	opt(&a, "-smp", "%" PRId64, def->vcpus);
	opt(&a, "-m", "size=%" PRIu64 "B", def->memory);
	put_monitors(&a);
	if (def->hvparams.serial_console)
		put_serial(&a);
	if (def->hvparams.use_guest_agent)
		put_agent(&a, strstr(def->hvparams.machine_version, "q35"));
	put_kernel(&a, &def->hvparams);
	return a.items;
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
