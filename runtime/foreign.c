/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/foreign.h"

#include "base/file.h"
#include "runtime/argv.h"
#include "runtime/ganeti.h"
#include "runtime/record.h"
#include "storage/remote_fs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CMDLINE_MAX = 1 << 20, PIDFILE_MAX = 64 };

/* ---- finding it ---- */

static pid_t read_pid(const char *path, struct err **e)
{
	_cleanup_free_ char *text = NULL;
	_cleanup_err_ struct err *failure = NULL;
	size_t len;
	long pid;

	if (!file_read(AT_FDCWD, path, PIDFILE_MAX, &text, &len, &failure)) {
		if (failure->class != ERR_NOT_FOUND)
			err_keep_first(e, TAKE_PTR(failure));
		return 0;
	}
	pid = strtol(text, NULL, 10);
	return pid > 0 && pid <= INT_MAX ? (pid_t)pid : 0;
}

/* NULL: there is none, or it is no text. */
static struct json_object *read_command(pid_t pid)
{
	_cleanup_free_ char *path = xasprintf("/proc/%d/cmdline", pid), *text = xcalloc(CMDLINE_MAX + 1, 1);
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct json_object *list;
	size_t len = 0;
	ssize_t n;

	while (fd >= 0 && len < CMDLINE_MAX && (n = read(fd, text + len, CMDLINE_MAX - len)) > 0)
		len += (size_t)n;
	if (len == 0)
		return NULL;
	list = json_object_new_array();
	for (const char *p = text; p < text + len; p += strlen(p) + 1)
		json_object_array_add(list, json_object_new_string(p));
	return list;
}

static bool is_it(struct json_object *cmd, pid_t pid, const struct foreign_wanted *wanted, struct err **e)
{
	size_t at_name = ganeti_find(cmd, "-name", false), at_uuid = ganeti_find(cmd, "-uuid", false);
	_cleanup_free_ char *name = at_name ? ganeti_member(ganeti_word(cmd, at_name), NULL) : NULL;

	if (!str_eq(name, wanted->name))
		return false;
	if (wanted->uuid && at_uuid && strcasecmp(ganeti_word(cmd, at_uuid), wanted->uuid) != 0)
		return err_set(e, ERR_WRONG_STATE, "process %d is called '%s' and is another machine, of uuid %s", pid,
			       name, ganeti_word(cmd, at_uuid));
	return true;
}

/* A program that was replaced meanwhile is found again where it was started from. */
static char *binary_of(pid_t pid, struct json_object *cmd)
{
	_cleanup_free_ char *exe = xasprintf("/proc/%d/exe", pid);
	char target[PATH_MAX];
	ssize_t n = readlink(exe, target, sizeof(target) - 1);

	target[n > 0 ? n : 0] = '\0';
	return xstrdup(n > 0 && access(target, X_OK) == 0 ? target : ganeti_word(cmd, 0));
}

static bool take(struct foreign *f, pid_t pid, const struct foreign_wanted *wanted, struct err **e)
{
	_cleanup_json_ struct json_object *cmd = NULL;
	uint64_t start = pid ? process_start_time(pid) : 0;

	cmd = start ? read_command(pid) : NULL;
	if (!cmd || !is_it(cmd, pid, wanted, e) || process_start_time(pid) != start)
		return false;
	f->pid = pid;
	f->start_time = start;
	f->binary = binary_of(pid, cmd);
	f->cmd = TAKE_PTR(cmd);
	return true;
}

/* ---- its monitors ---- */

static const struct {
	const char *ours, *theirs;
} sockets[] = { { "qmp.sock", "qmp" }, { "qmp2.sock", "kvmd" }, { "serial.sock", "serial" } };

static char *socket_file(const char *name, unsigned which)
{
	return xasprintf("%s.%s", name, sockets[which].theirs);
}

bool foreign_refuse_busy(const struct foreign *f, const char *name, unsigned which, struct err **e)
{
	return err_set(
		e, ERR_BUSY,
		"process %d runs, and '%s/%s.%s' does not answer: a monitor has one client at a time; end Ganeti's "
		"daemons on this host (ganeti-noded, ganeti-kvmd) and its watcher, and whoever else is connected, and "
		"import again",
		f->pid, f->control, name, sockets[which].theirs);
}

/* Who listens there is who was found. */
static int connect_to(const struct foreign *f, int dir, const char *name, unsigned which, struct err **e)
{
	_cleanup_free_ char *file = socket_file(name, which);
	_cleanup_err_ struct err *why = NULL;
	_cleanup_close_ int fd = dirs_connect(dir, file, &why);
	struct ucred peer = { 0 };
	socklen_t size = sizeof(peer);

	if (fd < 0 && why->class == ERR_NOT_FOUND)
		err_set(e, ERR_UNSUPPORTED,
			"process %d runs and has no monitor '%s/%s', which drover needs; shut its guest down and "
			"import then",
			f->pid, f->control, file);
	else if (fd < 0)
		foreign_refuse_busy(f, name, which, e);
	else if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.pid && peer.pid != f->pid)
		err_set(e, ERR_WRONG_STATE, "'%s/%s' is the monitor of process %d, not of %d", f->control, file,
			peer.pid, f->pid);
	else
		return TAKE_FD(fd);
	return -1;
}

/* droverd connects them again whenever a connection is lost, and does not wait for whom a link leads to. */
static bool check_local(const struct foreign *f, int dir, const char *name, struct err **e)
{
	struct statfs fs;

	if (fstatfs(dir, &fs) < 0)
		return err_set_errno(e, ERR_GENERIC, errno, "cannot tell the file system of '%s'", f->control);
	if (fs_is_remote(&fs))
		return err_set(e, ERR_UNSUPPORTED,
			       "process %d runs, and its monitors in '%s' are on a file system that a server or a "
			       "program answers for; shut its guest down and import then",
			       f->pid, f->control);
	for (unsigned i = 0; i < ARRAY_SIZE(sockets); i++) {
		_cleanup_free_ char *file = socket_file(name, i);
		struct stat st;

		if (fstatat(dir, file, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISSOCK(st.st_mode))
			return err_set(e, ERR_UNSUPPORTED,
				       "process %d runs, and '%s/%s' is no socket; shut its guest down and import then",
				       f->pid, f->control, file);
	}
	return true;
}

static bool connect_all(struct foreign *f, int dir, const char *name, struct err **e)
{
	if (dir < 0)
		return err_set(e, ERR_UNSUPPORTED,
			       "process %d runs, and 'document[0]' does not tell where its monitors are; shut its "
			       "guest down and import then",
			       f->pid);
	if (!check_local(f, dir, name, e))
		return false;
	for (unsigned i = 0; i < ARRAY_SIZE(f->monitors); i++) {
		f->monitors[i] = connect_to(f, dir, name, i, e);
		if (f->monitors[i] < 0)
			return false;
	}
	return true;
}

/* Who listens on its monitor, whatever the file says; 0: nobody. -1: somebody does who cannot be reached. */
static pid_t listener(int control, const char *name, struct err **e)
{
	_cleanup_free_ char *file = xasprintf("%s.qmp", name);
	_cleanup_err_ struct err *why = NULL;
	_cleanup_close_ int fd = control >= 0 ? dirs_connect(control, file, &why) : -1;
	struct ucred peer = { 0 };
	socklen_t size = sizeof(peer);

	if (why && why->class != ERR_NOT_FOUND && why->class != ERR_GUEST_GONE) {
		err_set(e, ERR_BUSY,
			"it cannot be told whether a process runs: %s; end Ganeti's daemons on this host and its "
			"watcher, and whoever else is connected, and import again",
			why->desc);
		return -1;
	}
	return fd >= 0 && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 ? peer.pid : 0;
}

static bool take_listener(struct foreign *f, int control, const struct foreign_wanted *wanted, struct err **e)
{
	pid_t pid = listener(control, wanted->name, e);

	return pid > 0 && take(f, pid, wanted, e);
}

static char *path_of(int dir)
{
	_cleanup_free_ char *name = xasprintf("/proc/self/fd/%d", dir);
	char target[PATH_MAX];
	ssize_t n = readlink(name, target, sizeof(target) - 1);

	target[n > 0 ? n : 0] = '\0';
	return xstrdup(target);
}

bool foreign_find(const struct foreign_wanted *wanted, struct foreign *f, struct err **e)
{
	_cleanup_err_ struct err *failure = NULL;
	pid_t pid = wanted->pidfile ? read_pid(wanted->pidfile, &failure) : 0;
	_cleanup_close_ int dir = -1;

	if (failure) {
		err_keep_first(e, TAKE_PTR(failure));
		return false;
	}
	dir = wanted->control ? open(wanted->control, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	f->control = dir < 0 ? NULL : path_of(dir);
	if (take(f, pid, wanted, &failure) || (!failure && take_listener(f, dir, wanted, &failure)))
		return connect_all(f, dir, wanted->name, e);
	if (failure)
		err_keep_first(e, TAKE_PTR(failure));
	return !*e;
}

void foreign_clear(struct foreign *f)
{
	free(f->binary);
	json_object_put(f->cmd);
	free(f->control);
	for (size_t i = 0; i < ARRAY_SIZE(f->monitors); i++)
		closep(&f->monitors[i]);
	*f = (struct foreign)FOREIGN_NONE;
}

/* ---- what it runs ---- */

static bool has_node(struct json_object *nodes, const char *name)
{
	for (size_t i = 0; i < json_length(nodes); i++)
		if (str_eq(json_get_str(json_object_array_get_idx(nodes, i), "node-name"), name))
			return true;
	return false;
}

static struct json_object *disk_of(const struct definition *def, size_t i, struct json_object *stored,
				   const struct argv_files *files, struct json_object *nodes)
{
	static const struct argv_env any = { .binary = "" };
	struct json_object *o = record_disk(def, i, stored, &any, files), *list = json_object_new_array();
	const struct hvinfo *info = &definition_disk(def, i)->hvinfo;
	int64_t size = record_size_of(nodes, info->id);

	if (has_node(nodes, info->id))
		json_object_array_add(list, json_object_new_string(info->id));
	json_add(o, "nodes", list);
	if (size >= 0)
		json_add_int(o, "size", size);
	/* What Ganeti never unplugs has no id. */
	if (definition_disk(def, i)->media != MEDIA_DISK || str_starts(info->driver, "ide-"))
		json_add_bool(o, "anonymous", true);
	return o;
}

static struct json_object *disks_of(const struct definition *def, struct json_object *stored, struct json_object *nodes)
{
	struct json_object *list = json_object_new_array();
	struct argv_files files = { 0 };

	argv_files_list(def, &files);
	for (size_t i = 0; i < def->disks.n; i++)
		json_object_array_add(list, disk_of(def, i, stored, &files, nodes));
	argv_files_clear(&files);
	return list;
}

static struct json_object *nics_of(const struct definition *def, struct json_object *stored)
{
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; i < def->nics.n; i++) {
		struct json_object *o = record_nic(def, i, stored);

		json_object_object_del(o, "tap"); /* it has another name */
		json_object_array_add(list, o);
	}
	return list;
}

/* The caller's. */
static char *version_of(struct json_object *version)
{
	struct json_object *v = json_get_typed(version, "qemu", json_type_object);

	return xasprintf("%" PRId64 ".%" PRId64 ".%" PRId64, json_get_int(v, "major", 0), json_get_int(v, "minor", 0),
			 json_get_int(v, "micro", 0));
}

static struct json_object *display_new(const char *kind, const char *address, const char *port_name, int64_t port)
{
	struct json_object *o = json_object_new_object();

	json_add_str(o, "kind", kind);
	json_add_str(o, "address", address);
	if (address)
		json_add_int(o, port_name, port);
	return o;
}

/* Its words for what it asks of clients are such as "none", "vnc", "vencrypt+x509+vnc". */
static void add_vnc(struct json_object *list, struct json_object *vnc)
{
	const char *auth = json_get_str(vnc, "auth"), *service = json_get_str(vnc, "service");
	bool is_path = str_eq(json_get_str(vnc, "family"), "unix");
	struct json_object *o = display_new("vnc", is_path ? NULL : json_get_str(vnc, "host"), "port",
					    service ? strtol(service, NULL, 10) : 0);

	if (is_path)
		json_add_str(o, "path", service);
	json_add_bool(o, "password", auth && strstr(auth, "vnc"));
	if (auth && str_starts(auth, "vencrypt"))
		json_add_bool(o, "tls", true);
	json_object_array_add(list, o);
}

static void add_spice(struct json_object *list, struct json_object *spice)
{
	int64_t port = json_get_int(spice, "port", 0), tls = json_get_int(spice, "tls-port", 0);
	struct json_object *o = display_new("spice", json_get_str(spice, "host"), port ? "port" : "tls-port",
					    port ? port : tls);

	json_add_bool(o, "password", !str_eq(json_get_str(spice, "auth"), "none"));
	json_object_array_add(list, o);
}

static struct json_object *displays_of(const struct foreign_answers *a)
{
	struct json_object *list = json_object_new_array();

	if (json_get_bool(a->vnc, "enabled", false))
		add_vnc(list, a->vnc);
	if (json_get_bool(a->spice, "enabled", false))
		add_spice(list, a->spice);
	return list;
}

struct json_object *foreign_record(struct json_object *stored, const struct foreign *f, const struct foreign_answers *a,
				   struct err **e)
{
	_cleanup_json_ struct json_object *copy = NULL;
	_cleanup_free_ char *version = version_of(a->version);
	struct json_object *o;
	struct definition def;

	if (!definition_decode(stored, &def, e))
		return NULL;
	json_object_deep_copy(stored, &copy, NULL);
	o = record_of(&(struct record_run){
		.def = &def,
		.definition = copy,
		.taken = { .cmd = json_object_get(f->cmd),
			   .disks = disks_of(&def, copy, a->nodes),
			   .nics = nics_of(&def, copy),
			   .process = process_describe(f->pid, f->start_time),
			   .displays = displays_of(a) },
		.binary = f->binary,
		.version = version,
		.kvm = json_get_bool(a->kvm, "enabled", false),
		.starts = 1,
	});
	definition_clear(&def);
	return o;
}

/* ---- the run directory ---- */

static bool link_sockets(int dir, const char *name, const char *control, struct err **e)
{
	for (unsigned i = 0; i < ARRAY_SIZE(sockets); i++) {
		_cleanup_free_ char *path = xasprintf("%s/%s.%s", control, name, sockets[i].theirs);

		if (symlinkat(path, dir, sockets[i].ours) < 0)
			return err_set_errno(e, ERR_GENERIC, errno, "cannot make '%s'", sockets[i].ours);
	}
	return true;
}

static bool fill(int dir, const char *name, struct json_object *record, const struct foreign *f, struct err **e)
{
	if (!link_sockets(dir, name, f->control, e) || !file_write_json(dir, "runtime.json", record, 0600, e) ||
	    !process_adopt(dir, f->pid, e))
		return false;
	return process_start_time(f->pid) == f->start_time ||
	       err_set(e, ERR_GUEST_GONE, "process %d has ended meanwhile", f->pid);
}

bool foreign_put(struct runtime *rt, const char *name, struct json_object *record, const struct foreign *f,
		 struct err **e)
{
	_cleanup_free_ char *tmp = xasprintf(RECORD_NEW "%s", name);
	_cleanup_close_ int dir = -1;
	int parent = rt->dirs.run_instances;

	if (!file_remove_tree(parent, tmp, e))
		return false;
	if (mkdirat(parent, tmp, 0711) < 0)
		return err_set_errno(e, ERR_GENERIC, errno, "cannot make its run directory");
	dir = file_open_dir(parent, tmp, e);
	if (dir < 0 || !fill(dir, name, record, f, e))
		return false;
	if (renameat(parent, tmp, parent, name) == 0)
		return true;
	if (errno == EEXIST || errno == ENOTEMPTY || errno == ENOTDIR)
		return err_set(e, ERR_WRONG_STATE, "'%s/instances/%s' is there already, and is no instance's",
			       rt->dirs.run, name);
	return err_set_errno(e, ERR_GENERIC, errno, "cannot make its run directory");
}

bool foreign_is_put(const struct runtime *rt, const char *name, pid_t pid, uint64_t start_time)
{
	_cleanup_free_ char *file = xasprintf("%s/adopted.json", name);
	_cleanup_json_ struct json_object *o = NULL;

	return pid && file_read_json(rt->dirs.run_instances, file, &o, NULL) && json_get_int(o, "pid", 0) == pid &&
	       json_get_int(o, "start-time", 0) == (int64_t)start_time;
}

void foreign_put_undo(struct runtime *rt, const char *name, pid_t pid, uint64_t start_time)
{
	_cleanup_free_ char *tmp = xasprintf(RECORD_NEW "%s", name);

	file_remove_tree(rt->dirs.run_instances, tmp, NULL);
	if (foreign_is_put(rt, name, pid, start_time))
		file_remove_tree(rt->dirs.run_instances, name, NULL);
}
