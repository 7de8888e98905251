/* SPDX-License-Identifier: BSD-2-Clause */
#include "bare.h"

#include "guest.h"
#include "netdev/tap.h"
#include "netns.h"
#include "runtime/memory.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static const int sockets[] = { FD_QMP, FD_QMP2, FD_SERIAL, FD_AGENT };
static const int logs[] = { FD_CONSOLE_LOG, FD_EVENTS_LOG };

static void address_of(struct bare *b, int number, struct sockaddr_un *ret)
{
	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	ck_assert_int_lt(snprintf(ret->sun_path, sizeof(ret->sun_path), "%s/%d.sock", b->dir, number),
			 sizeof(ret->sun_path));
}

static int listener(struct bare *b, int number)
{
	struct sockaddr_un sa;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	address_of(b, number, &sa);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	ck_assert_int_eq(listen(fd, 4), 0);
	return fd;
}

int bare_connect(struct bare *b, int fd_number)
{
	struct sockaddr_un sa;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	address_of(b, fd_number, &sa);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	return fd;
}

/* ---- images ---- */

static void run(const char *const *argv)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		_cleanup_close_ int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

		dup2(null, 1);
		execvp(argv[0], (char *const *)argv);
		_exit(127);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}

/* ---- firmware and TPM ---- */

static int firmware_open(struct bare *b, const struct argv_file *f)
{
	bool secure = b->def.hvparams.firmware == FIRMWARE_UEFI_SECURE;
	_cleanup_free_ char *nvram = xasprintf("%s/nvram", b->dir);
	const char *const convert[] = {
		"qemu-img", "convert", "-O", "qcow2", secure ? BARE_OVMF "VARS_4M.ms.fd" : BARE_OVMF "VARS_4M.fd",
		nvram,      NULL
	};
	int fd;

	if (f->write)
		run(convert);
	fd = f->write ? open(nvram, O_RDWR | O_CLOEXEC) :
			open(secure ? BARE_OVMF "CODE_4M.secboot.fd" : BARE_OVMF "CODE_4M.fd", O_RDONLY | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	return fd;
}

static void tpm_start(struct bare *b)
{
	int pair[2];

	if (!b->def.hvparams.tpm)
		return;
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	b->tpm_pid = fork();
	if (b->tpm_pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (chdir(b->dir) == 0 && dup2(pair[1], 0) == 0)
			execlp("swtpm", "swtpm", "socket", "--tpm2", "--tpmstate", "dir=.", "--ctrl",
			       "type=unixio,clientfd=0", NULL);
		_exit(127);
	}
	close(pair[1]);
	b->tpm = pair[0];
}

/* The layer that a file is of. */
static int format_of(const struct definition *def, const struct argv_file *f)
{
	size_t disk = 0, layer = 0;
	int n = sscanf(f->what, "disks[%zu].backing[%zu]", &disk, &layer);
	const struct disk *d;

	if (str_starts(f->what, "hvparams."))
		return FORMAT_RAW;
	ck_assert_int_ge(n, 1);
	d = definition_disk(def, disk);
	return n == 1 ? d->format : ((const struct backing *)d->backing.items)[layer].format;
}

static int image_open(struct bare *b, const struct argv_file *f)
{
	/* What a floppy drive takes, and large enough for all others. */
	enum { SIZE = 1440 * 1024 };
	_cleanup_free_ char *path = xasprintf("%s/%u.img", b->dir, f->set);
	int fd;

	if (str_eq(f->what, ARGV_FIRMWARE))
		return firmware_open(b, f);
	if (format_of(&b->def, f) == FORMAT_QCOW2) {
		const char *const argv[] = { "qemu-img", "create", "-q", "-f", "qcow2", path, "1440k", NULL };

		run(argv);
	}
	fd = open(path, O_CREAT | O_CLOEXEC | (f->write ? O_RDWR : O_RDONLY) | (f->direct ? O_DIRECT : 0), 0600);
	ck_assert_int_ge(fd, 0);
	if (format_of(&b->def, f) == FORMAT_RAW)
		ck_assert_int_eq(truncate(path, SIZE), 0);
	return fd;
}

static void images_open(struct bare *b, unsigned first_set)
{
	b->images = xrealloc(b->images, b->files.n + 1, sizeof(int));
	for (size_t i = 0; i < b->files.n; i++) {
		b->files.items[i].set = first_set + (unsigned)i;
		/* Regular files stand for devices. */
		b->files.items[i].block = false;
		b->images[i] = image_open(b, &b->files.items[i]);
	}
}

static void images_close(struct bare *b)
{
	for (size_t i = 0; i < b->files.n; i++)
		fd_close(b->images[i]);
	argv_files_clear(&b->files);
}

static void define(struct bare *b, const char *json)
{
	_cleanup_json_ struct json_object *given = NULL, *stored = NULL;
	struct err *e = NULL;

	ck_assert(json_parse(json, strlen(json), &json_limits_request, &given, &e));
	stored = definition_store(given, &(struct definition_context){ 0 }, &e);
	ck_assert_msg(stored, "%s: %s", json, e ? e->desc : "");
	ck_assert(definition_decode(stored, &b->def, &e));
	argv_files_list(&b->def, &b->files);
}

void bare_redefine(struct bare *b, const char *json)
{
	images_close(b);
	definition_clear(&b->def);
	define(b, json);
	images_open(b, 100);
}

/* ---- taps ---- */

static void taps_open(struct bare *b)
{
	for (size_t i = 0; i < b->def.nics.n; i++) {
		const struct nic *n = definition_nic(&b->def, i);
		unsigned queues = nic_taps(n, &b->def.hvparams);
		struct err *e = NULL;
		char name[IFNAMSIZ];

		if (!queues)
			continue;
		if (!tap_exists(n->link))
			netns_bridge(n->link);
		tap_name(n->uuid, name);
		b->taps = xrealloc(b->taps, b->n_taps + queues, sizeof(int));
		ck_assert_msg(tap_open(name, queues, nic_vnet_hdr(n, &b->def.hvparams), n->link, n->mtu,
				       b->taps + b->n_taps, &e),
			      "%s", e ? e->desc : "");
		b->n_taps += queues;
	}
}

/* ---- memory ---- */

/* As drover-open makes them. */
static void memory_open(struct bare *b)
{
	b->n_memory = memory_files(&b->def);
	b->memory = xcalloc(b->n_memory + 1, sizeof(int));
	for (size_t i = 0; i < b->n_memory; i++) {
		b->memory[i] = open(b->dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
		ck_assert_int_ge(b->memory[i], 0);
	}
}

/* ---- the process ---- */

/* What QEMU is to have under the number I. */
static int given(const struct bare *b, size_t i)
{
	if (i < FD_COUNT)
		return b->listeners[i];
	i -= FD_COUNT;
	if (i < b->files.n)
		return b->images[i];
	i -= b->files.n;
	if (i < b->n_taps)
		return b->taps[i];
	i -= b->n_taps;
	return i < b->n_memory ? b->memory[i] : b->tpm;
}

static void become(struct bare *b)
{
	int max = FD_COUNT + (int)(b->files.n + b->n_taps + b->n_memory) + (b->tpm >= 0), high[FD_COUNT + 256];
	_cleanup_free_ char *log = xasprintf("%s/stderr", b->dir);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* First out of the way of the numbers that they get. */
	for (int i = 0; i < max; i++) {
		int fd = given(b, (size_t)i);

		high[i] = fd < 0 ? -1 : fcntl(fd, F_DUPFD, 1000);
	}
	for (int i = 0; i < max; i++)
		if (high[i] >= 0) {
			dup2(high[i], i);
			close(high[i]);
		}
	dup2(open("/dev/null", O_RDONLY | O_CLOEXEC), 0);
	dup2(open(log, O_WRONLY | O_CREAT | O_CLOEXEC, 0600), 2);
	dup2(2, 1);
	execv(b->argv[0], b->argv);
	_exit(127);
}

static void complain(struct bare *b, const char *what)
{
	_cleanup_free_ char *path = xasprintf("%s/stderr", b->dir), *text = xcalloc(1, 4096);
	FILE *f = fopen(path, "re");

	if (f) {
		text[fread(text, 1, 4095, f)] = '\0';
		fclose(f);
	}
	ck_abort_msg("%s: %s", what, text);
}

static struct json_object *read_value(struct bare *b)
{
	struct json_object *o = NULL;
	struct err *e = NULL;
	char data[65536];

	for (;;) {
		struct pollfd pfd = { b->qmp, POLLIN, 0 };
		const char *p = data;
		ssize_t n;
		size_t len;

		if (poll(&pfd, 1, RIG_DEADLINE_MS) != 1)
			complain(b, "QEMU does not answer");
		/* Not more than one line, for a value ends with it. */
		n = recv(b->qmp, data, sizeof(data), MSG_PEEK);
		if (n <= 0)
			complain(b, "QEMU has gone");
		for (len = 0; len < (size_t)n; len++)
			if (data[len] == '\n') {
				len++;
				break;
			}
		ck_assert_int_eq(recv(b->qmp, data, len, 0), (ssize_t)len);
		if (json_reader_next(b->reader, &p, &len, &o, &e) == JSON_VALUE)
			return o;
		ck_assert_ptr_null(e);
	}
}

static void send_line(struct bare *b, const char *line, int fd)
{
	union {
		char data[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec iov = { (void *)line, strlen(line) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (fd >= 0) {
		struct cmsghdr *c;

		msg.msg_control = control.data;
		msg.msg_controllen = sizeof(control.data);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(int));
	}
	ck_assert_int_eq(sendmsg(b->qmp, &msg, 0), (ssize_t)strlen(line));
}

struct json_object *bare_ask(struct bare *b, const char *command, struct json_object *args, int fd)
{
	_cleanup_json_ struct json_object *o = json_object_new_object();
	_cleanup_free_ char *line = NULL;

	json_add_str(o, "execute", command);
	if (args)
		json_add(o, "arguments", args);
	line = json_print(o);
	send_line(b, line, fd);
	for (;;) {
		_cleanup_json_ struct json_object *reply = read_value(b);
		struct json_object *value;

		if (json_object_object_get_ex(reply, "return", &value))
			return json_object_get(value);
		if (json_object_object_get_ex(reply, "error", &value)) {
			_cleanup_free_ char *text = json_print(value);

			ck_abort_msg("%s: %s", line, text);
		}
	}
}

struct json_object *bare_askf(struct bare *b, const char *command, const char *args, ...)
{
	_cleanup_free_ char *text = NULL;
	struct json_object *o = NULL;
	va_list ap;

	va_start(ap, args);
	text = xvasprintf(args, ap);
	va_end(ap);
	for (char *p = text; *p; p++)
		if (*p == '\'')
			*p = '"';
	ck_assert(json_parse(text, strlen(text), &json_limits_request, &o, NULL));
	return bare_ask(b, command, o, -1);
}

/* ---- what the binary has ---- */

static bool has_property(const char *type, const char *property, void *data)
{
	struct bare *b = data;
	struct json_object *list;

	if (!json_object_object_get_ex(b->types, type, &list)) {
		list = bare_askf(b, "device-list-properties", "{'typename': '%s'}", type);
		json_add(b->types, type, list);
	}
	for (size_t i = 0; property && i < json_object_array_length(list); i++)
		if (str_eq(json_get_str(json_object_array_get_idx(list, i), "name"), property))
			return true;
	return !property;
}

struct argv_env bare_env(struct bare *b, bool asked)
{
	static char kernel[4096], initrd[4096];

	snprintf(kernel, sizeof(kernel), "%s/vmlinuz", rig_guest());
	snprintf(initrd, sizeof(initrd), "%s/initrd.gz", rig_guest());
	return (struct argv_env){ .binary = b->binary,
				  .sandbox = true,
				  .kernel = kernel,
				  .initrd = initrd,
				  .has = asked ? has_property : NULL,
				  .data = b };
}

bool bare_has(const char *driver)
{
	_cleanup_free_ char *binary = rig_qemu();
	_cleanup_free_ char *line = xasprintf("%s -device help 2> /dev/null | grep -q '\"%s\"'", binary, driver);

	return system(line) == 0; /* NOLINT(cert-env33-c): a binary and a driver of the test's own */
}

/* ---- images that servers have ---- */

/* The option of a block node with this member, or NULL. */
static struct json_object *find_node(char **argv, const char *key, const char *value)
{
	for (char **p = argv; *p && p[1]; p++) {
		struct json_object *o = NULL;

		if (!str_eq(p[0], "-blockdev") || !json_parse(p[1], strlen(p[1]), &json_limits_qemu, &o, NULL))
			continue;
		if (str_eq(json_get_str(o, key), value))
			return o;
		json_object_put(o);
	}
	return NULL;
}

/* A file of the format that is expected of it; the node is the same but for its driver. */
static char *stand_in(struct bare *b, char **argv, struct json_object *node)
{
	static const char *const same[] = { "node-name", "discard", "cache", "read-only", "auto-read-only" };
	const char *name = json_get_str(node, "node-name");
	_cleanup_json_ struct json_object *above = find_node(argv, "file", name), *o = json_object_new_object();
	_cleanup_free_ char *path = xasprintf("%s/%s.img", b->dir, name);
	const char *const create[] = { "qemu-img", "create", "-q", "-f", json_get_str(above, "driver"),
				       path,       "1440k",  NULL };

	if (access(path, F_OK) != 0)
		run(create);
	json_add_str(o, "driver", "file");
	json_add_str(o, "filename", path);
	for (size_t i = 0; i < ARRAY_SIZE(same); i++)
		json_add(o, same[i], json_object_get(json_object_object_get(node, same[i])));
	return json_print(o);
}

char **bare_argv(struct bare *b, bool asked)
{
	static const char *const drivers[] = { "nbd", "rbd", "iscsi", "gluster", "http", "https" };
	struct argv_env env = bare_env(b, asked);
	char **argv = argv_build(&b->def, &env, &b->files);

	for (char **p = argv; *p && p[1]; p++) {
		_cleanup_json_ struct json_object *o = NULL;

		if (!str_eq(p[0], "-blockdev"))
			continue;
		ck_assert(json_parse(p[1], strlen(p[1]), &json_limits_qemu, &o, NULL));
		for (size_t i = 0; i < ARRAY_SIZE(drivers); i++)
			if (str_eq(json_get_str(o, "driver"), drivers[i])) {
				_cleanup_free_ char *old = p[1];

				p[1] = stand_in(b, argv, o);
			}
	}
	return argv;
}

/* ---- from start to end ---- */

struct bare *bare_start(const char *json)
{
	static struct json_object *types;
	const char *tmp = getenv("TMPDIR");
	struct bare *b = xcalloc(1, sizeof(*b));

	b->dir = xasprintf("%s/drover-bare-XXXXXX", tmp ? tmp : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(b->dir));
	define(b, json);
	b->binary = rig_qemu();
	ck_assert_ptr_nonnull(b->binary);
	for (int i = 0; i < FD_COUNT; i++)
		b->listeners[i] = -1;
	for (size_t i = 0; i < ARRAY_SIZE(sockets); i++)
		b->listeners[sockets[i]] = listener(b, sockets[i]);
	for (size_t i = 0; i < ARRAY_SIZE(logs); i++) {
		_cleanup_free_ char *path = xasprintf("%s/%d.log", b->dir, logs[i]);

		b->listeners[logs[i]] = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	}
	images_open(b, SET_COUNT);
	taps_open(b);
	memory_open(b);
	b->tpm = -1;
	tpm_start(b);
	b->argv = bare_argv(b, false);
	b->reader = json_reader_new(&json_limits_qemu);
	/* A property of the binary, of which there is one in a run. */
	if (!types)
		types = json_object_new_object();
	b->types = json_object_get(types);
	b->pid = fork();
	if (b->pid == 0)
		become(b);
	tap_close(b->taps, (unsigned)b->n_taps);
	closep(&b->tpm);
	for (size_t i = 0; i < b->n_memory; i++)
		fd_close(b->memory[i]);
	/* So that a QEMU that ends takes its sockets along. */
	for (int i = 0; i < FD_COUNT; i++)
		b->listeners[i] = fd_close(b->listeners[i]);
	b->qmp = bare_connect(b, FD_QMP);
	json_object_put(read_value(b));
	json_object_put(bare_ask(b, "qmp_capabilities", NULL, -1));
	return b;
}

void bare_free(struct bare *b)
{
	const char *const argv[] = { "rm", "-r", b->dir, NULL };

	kill(b->pid, SIGKILL);
	waitpid(b->pid, NULL, 0);
	if (b->tpm_pid) {
		kill(b->tpm_pid, SIGKILL);
		waitpid(b->tpm_pid, NULL, 0);
	}
	run(argv);
	images_close(b);
	fd_close(b->qmp);
	json_reader_free(b->reader);
	json_object_put(b->types);
	argv_free(b->argv);
	definition_clear(&b->def);
	free(b->images);
	free(b->taps);
	free(b->memory);
	free(b->binary);
	free(b->dir);
	free(b);
}
