/* SPDX-License-Identifier: BSD-2-Clause */
/* VNC and SPICE as those see them who connect (viewer.py), and pictures, keys and passwords of a guest. */
#include "guest.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#ifndef VIEWER
#error "VIEWER is the path of viewer.py"
#endif

static struct rig *rig;
static struct client *client;

static void set_up(void)
{
	rig = rig_new("droverd");
	rig_start(rig);
	client = client_new(rig);
}

static void tear_down(void)
{
	if (client)
		client_free(TAKE_PTR(client));
	rig_free(rig);
}

/* A file below the root. Its path; the caller's. */
static char *put(const char *name, const char *text)
{
	char *path = xasprintf("%s/%s", rig->root, name);
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	return path;
}

/* HV: further hvparams, in JSON with ', behind a comma. */
static void define(const char *name, const char *hv)
{
	client_define(client, name, "'memory': '16M', 'hvparams': {'accel': 'tcg'%s}", hv);
}

/* The first of its displays; the caller's. */
static struct json_object *start(const char *name)
{
	_cleanup_json_ struct json_object *o = NULL;

	json_object_put(client_ok(client, "instance-start", "{'instance': '%s', 'paused': true}", name));
	o = guest_query(client, name);
	ck_assert_uint_eq(json_object_array_length(at(o, "displays")), 1);
	return json_object_get(at(o, "displays.0"));
}

static struct json_object *start_refused(const char *name, const char *class, const char *parameter)
{
	struct json_object *e = client_error(client, class, "instance-start", "{'instance': '%s'}", name);

	ck_assert_str_eq(str_at(e, "parameter"), parameter);
	return e;
}

static struct json_object *ask(const char *name, const char *command)
{
	return client_ok(client, "instance-qmp", "{'instance': '%s', 'execute': '%s'}", name, command);
}

/* What the viewer prints. */
static char *view(const char *fmt, ...) _printf_(1, 2);
static char *view(const char *fmt, ...)
{
	_cleanup_free_ char *words = NULL;
	va_list ap;

	va_start(ap, fmt);
	words = xvasprintf(fmt, ap);
	va_end(ap);
	host_run("/usr/bin/python3 %s %s > %s/viewed 2>&1", VIEWER, words, rig->root);
	return rig_file(rig, "viewed");
}

#define views(expected, ...)                                                                 \
	do {                                                                                 \
		_cleanup_free_ char *text_ = view(__VA_ARGS__);                              \
		ck_assert_msg(strncmp(text_, expected, strlen(expected)) == 0, "%s", text_); \
	} while (0)
#define SCREEN "640 480 QEMU" /* of a guest that has not begun */
#define SCREEN_OF_TEXT "720 400 QEMU"
#define WRONG "refused: Authentication failed"

/* A CA, and certificates of the host's and of two clients', below root/NAME. */
static char *make_certificates(const char *name)
{
	char *dir = xasprintf("%s/%s", rig->root, name);

	host_run("mkdir -p %s && cd %s && exec > log 2>&1 &&"
		 "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout ca-key.pem -out "
		 "ca-cert.pem -subj /CN=ca -days 2 &&"
		 "for w in server client dismissed; do openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 "
		 "-nodes "
		 "-keyout $w-key.pem -out $w.csr "
		 "-subj /CN=$w && openssl x509 -req -in $w.csr -CA ca-cert.pem -CAkey ca-key.pem -CAcreateserial "
		 "-out $w-cert.pem -days 2 || exit; done; chmod 600 *.pem",
		 dir, dir);
	return dir;
}

/* A list of what the CA of DIR has revoked: the second client's. */
static void dismiss(const char *dir)
{
	host_run("cd %s && exec >> log 2>&1 && touch index && echo 01 > number &&"
		 "printf '[ca]\ndefault_ca=c\n[c]\ndatabase=index\ncrlnumber=number\ndefault_md=sha256\n"
		 "default_crl_days=2\n' > ca.cnf && for what in '-revoke dismissed-cert.pem' '-gencrl -out "
		 "ca-crl.pem'; do "
		 "openssl ca -config ca.cnf -cert ca-cert.pem -keyfile ca-key.pem $what || exit; done; chmod 600 *.pem",
		 dir);
}

/* ---- VNC ---- */

static void set_password(const char *name, const char *kind, const char *password, const char *more)
{
	json_object_put(client_ok(client, "display-password", "{'instance': '%s', 'display': '%s', 'password': '%s'%s}",
				  name, kind, password, more));
}

/* No secret is left anywhere below the root, but where the test has put it. */
static void check_secret(const char *secret)
{
	host_run("! grep -r --exclude=secret -e '%s' %s", secret, rig->root);
	host_run("! cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -e '[%c]%s'", secret[0], secret + 1);
}

START_TEST(test_vnc_password)
{
	_cleanup_free_ char *file = put("secret", "sesame12\r\nmore\n");
	_cleanup_free_ char *hv = xasprintf(", 'vnc_bind_address': '127.0.0.1', 'vnc_password_file': '%s'", file);
	_cleanup_json_ struct json_object *d = NULL, *vnc = NULL, *again = NULL;
	int port;

	define("a", hv);
	d = start("a");
	port = (int)int_at(d, "port");
	ck_assert_int_eq(port, 5900);
	ck_assert_str_eq(str_at(d, "kind"), "vnc");
	ck_assert_str_eq(str_at(d, "address"), "127.0.0.1");
	ck_assert(json_get_bool(d, "password", false));
	ck_assert(!has(d, "tls"));
	vnc = ask("a", "query-vnc");
	ck_assert_str_eq(str_at(vnc, "host"), "127.0.0.1");
	ck_assert_str_eq(str_at(vnc, "service"), "5900");
	ck_assert_str_eq(str_at(vnc, "auth"), "vnc");
	views(SCREEN, "vnc %d sesame12", port);
	views(WRONG, "vnc %d sesame13", port);

	set_password("a", "vnc", "xyzzy", "");
	views(WRONG, "vnc %d sesame12", port);
	views(SCREEN, "vnc %d xyzzy", port);
	set_password("a", "vnc", "plugh", ", 'expire': 0");
	views(WRONG, "vnc %d plugh", port);
	set_password("a", "vnc", "plugh", ", 'expire': 1000.5");
	views(SCREEN, "vnc %d plugh", port);

	rig_restart(rig, &client);
	again = guest_query(client, "a");
	ck_assert(json_object_equal(at(again, "displays.0"), d));
	views(SCREEN, "vnc %d plugh", port);
	set_password("a", "vnc", "frobozz", "");
	views(SCREEN, "vnc %d frobozz", port);
	check_secret("sesame12");
	check_secret("xyzzy");
	check_secret("frobozz");
}
END_TEST

START_TEST(test_vnc_password_refused)
{
	_cleanup_free_ char *file = put("secret", "sesame123\n"), *hv = NULL, *fifo = xasprintf("%s/fifo", rig->root);

	hv = xasprintf(", 'vnc_bind_address': '0.0.0.0', 'vnc_password_file': '%s'", file);
	define("a", hv);
	json_object_put(start_refused("a", "InvalidParameter", "hvparams.vnc_password_file"));
	free(put("secret", "\nsesame\n"));
	json_object_put(start_refused("a", "StorageError", "hvparams.vnc_password_file"));
	free(put("secret", "a\tb"));
	json_object_put(start_refused("a", "StorageError", "hvparams.vnc_password_file"));
	free(put("secret", "a\xff"));
	json_object_put(start_refused("a", "InvalidParameter", "hvparams.vnc_password_file"));
	ck_assert_int_eq(unlink(file), 0);
	json_object_put(start_refused("a", "NotFound", "hvparams.vnc_password_file"));
	ck_assert_int_eq(mkfifo(file, 0600), 0);
	json_object_put(start_refused("a", "StorageError", "hvparams.vnc_password_file"));
	ck_assert_int_eq(unlink(file), 0);
	free(put("secret", "abc"));
	json_object_put(start("a"));
	json_object_put(client_error(client, "InvalidParameter", "display-password",
				     "{'instance': 'a', 'display': 'vnc', 'password': '123456789'}"));
	json_object_put(client_error(client, "NotFound", "display-password",
				     "{'instance': 'a', 'display': 'spice', 'password': '12345678'}"));
	views(SCREEN, "vnc 5900 abc");
}
END_TEST

/* One that stalls leaves a marker. The next droverd does not know the password, and says what it knows. */
START_TEST(test_stalled)
{
	_cleanup_free_ char *file = put("secret", "sesame12"), *hv = NULL, *marker = NULL;
	_cleanup_json_ struct json_object *d = NULL, *e = NULL;
	pid_t pid;

	hv = xasprintf(", 'vnc_bind_address': '127.0.0.1', 'vnc_password_file': '%s'", file);
	rig_stop(rig);
	client_free(TAKE_PTR(client));
	free(rig->program);
	rig->program = rig_program("droverd-faulty");
	rig->fault = xstrdup("display-password/set the password/before/expire");
	rig_start(rig);
	client = client_new(rig);
	define("a", hv);
	d = start("a");
	pid = guest_pid(client, "a");
	ck_assert_int_eq(kill(pid, SIGSTOP), 0);
	/* One of its threads may have answered still. */
	host_run("while cat /proc/%d/task/*/status | grep '^State:' | grep -qv 'T (stopped)'; do sleep 0.01; done",
		 pid);
	e = client_error(client, "Timeout", "display-password",
			 "{'instance': 'a', 'display': 'vnc', 'password': 'openses'}");
	ck_assert(json_get_bool(e, "stalled", false));
	marker = rig_file(rig, "run/operations/instance-a~beside-%s.json", str_at(e, "job-id"));
	ck_assert_ptr_nonnull(marker);
	check_secret("openses");
	rig_restart(rig, &client);
	ck_assert_int_eq(kill(pid, SIGCONT), 0);
	json_object_put(guest_settle(client, "a"));
	set_password("a", "vnc", "other", "");
	views(SCREEN, "vnc %d other", (int)int_at(d, "port"));
	host_run("! ls %s/run/operations | grep .", rig->root);
}
END_TEST

/* Each has its own port, which is free again when its process is gone, however it went. */
START_TEST(test_ports)
{
	_cleanup_json_ struct json_object *a = NULL, *b = NULL, *c = NULL, *e = NULL, *o = NULL;
	pid_t pid;

	host_run("mkdir -p %s/etc", rig->root);
	free(put("etc/droverd.json", "{\"vnc_ports\": \"5901-5902\"}"));
	rig_stop(rig);
	client_free(TAKE_PTR(client));
	rig_start(rig);
	client = client_new(rig);
	define("a", ", 'vnc_bind_address': 'lo'");
	define("b", ", 'vnc_bind_address': '0.0.0.0', 'display_without_password': true");
	define("c", ", 'vnc_bind_address': '127.0.0.1'");
	a = start("a");
	b = start("b");
	ck_assert_int_eq(int_at(a, "port"), 5901);
	ck_assert_str_eq(str_at(a, "address"), "127.0.0.1");
	ck_assert_int_eq(int_at(b, "port"), 5902);
	ck_assert_str_eq(str_at(b, "address"), "0.0.0.0");
	json_object_put(client_error(client, "WrongState", "display-password",
				     "{'instance': 'a', 'display': 'vnc', 'password': 'abc'}"));
	views(SCREEN, "vnc 5901");
	views(SCREEN, "vnc 5902");
	json_object_put(start_refused("c", "NoSpace", "hvparams.vnc_bind_address"));
	pid = guest_pid(client, "b");
	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	client_await_state(client, "b", "crashed", NULL);
	o = guest_settle(client, "b");
	ck_assert_uint_eq(json_object_array_length(at(o, "displays")), 0);
	c = start("c");
	ck_assert_int_eq(int_at(c, "port"), 5902);
	define("d", ", 'vnc_bind_address': 'nothing0'");
	e = start_refused("d", "NotFound", "hvparams.vnc_bind_address");
	define("e", ", 'vnc_bind_address': '192.0.2.1'");
	json_object_put(start_refused("e", "NetworkError", "hvparams.vnc_bind_address"));
}
END_TEST

START_TEST(test_socket)
{
	_cleanup_free_ char *hv = xasprintf(", 'vnc_bind_address': '%s/d'", rig->root);
	_cleanup_free_ char *without = xasprintf("%s, 'vnc_password_file': '/nowhere'", hv);
	_cleanup_free_ char *path = xasprintf("%s/d/a.vnc", rig->root);
	_cleanup_json_ struct json_object *d = NULL, *again = NULL;
	struct stat st;
	pid_t pid;

	define("a", hv);
	json_object_put(start_refused("a", "NotFound", "hvparams.vnc_bind_address"));
	host_run("mkdir %s/d && echo mine > %s", rig->root, path);
	json_object_put(start_refused("a", "StorageError", "hvparams.vnc_bind_address"));
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert(S_ISREG(st.st_mode));
	ck_assert_int_eq(unlink(path), 0);
	d = start("a");
	ck_assert_str_eq(str_at(d, "path"), path);
	ck_assert(!has(d, "port"));
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq(st.st_mode, S_IFSOCK | 0660);
	views(SCREEN, "vnc %s", path);
	/* Also of who died when nobody looked. */
	rig_kill(rig);
	pid = rig_lock_holder(rig, "a", "qemu.lock");
	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	process_await_end(pid);
	client_free(TAKE_PTR(client));
	rig_start(rig);
	client = client_new(rig);
	client_await_state(client, "a", "crashed", NULL);
	json_object_put(guest_settle(client, "a"));
	ck_assert_int_lt(stat(path, &st), 0);
	/* A socket that nobody listens on is no hindrance; a start that fails before it comes to the directory, where it
	 * might have to wait for ever, leaves it alone. */
	host_run("/usr/bin/python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"%s\")'", path);
	define("a", without);
	json_object_put(start_refused("a", "NotFound", "hvparams.vnc_password_file"));
	ck_assert_int_eq(stat(path, &st), 0);
	define("a", hv);
	again = start("a");
	views(SCREEN, "vnc %s", path);
	json_object_put(client_ok(client, "instance-stop", "{'instance': 'a'}"));
	ck_assert_int_lt(stat(path, &st), 0);
}
END_TEST

START_TEST(test_vnc_tls)
{
	_cleanup_free_ char *dir = make_certificates("x509"), *other = make_certificates("other");
	_cleanup_free_ char *file = put("secret", "sesame"), *x509 = NULL, *verify = NULL, *anon = NULL, *left = NULL;
	_cleanup_json_ struct json_object *a = NULL, *b = NULL, *c = NULL, *vnc = NULL;
	int pa, pb, pc;

	x509 = xasprintf(", 'vnc_bind_address': '127.0.0.1', 'vnc_tls': true, 'vnc_x509_path': '%s', "
			 "'vnc_password_file': '%s'",
			 dir, file);
	verify = xasprintf(", 'vnc_bind_address': '127.0.0.1', 'vnc_tls': true, 'vnc_x509_path': '%s', "
			   "'vnc_x509_verify': true",
			   dir);
	anon = xasprintf(", 'vnc_bind_address': '127.0.0.1', 'vnc_tls': true, 'use_chroot': %s",
			 geteuid() == 0 ? "true" : "false");
	define("a", x509);
	define("b", verify);
	define("c", anon);
	a = start("a");
	b = start("b");
	c = start("c");
	pa = (int)int_at(a, "port");
	pb = (int)int_at(b, "port");
	pc = (int)int_at(c, "port");
	ck_assert(json_get_bool(a, "tls", false));
	vnc = ask("a", "query-vnc");
	ck_assert_str_eq(str_at(vnc, "auth"), "vencrypt+x509+vnc");
	views(SCREEN, "vnctls %d %s/ca-cert.pem sesame", pa, dir);
	views(WRONG, "vnctls %d %s/ca-cert.pem nonsense", pa, dir);
	views("closed: SSLCertVerificationError", "vnctls %d %s/ca-cert.pem sesame", pa, other);
	/* A client without a certificate is told in the first thing that it reads. */
	views("closed", "vnctls %d %s/ca-cert.pem", pb, dir);
	views(SCREEN, "vnctls %d %s/ca-cert.pem '' %s/client", pb, dir, dir);
	views("closed", "vnctls %d %s/ca-cert.pem '' %s/client", pb, dir, other);
	views(SCREEN, "vnctls %d %s/ca-cert.pem '' %s/dismissed", pb, dir, dir);
	views(SCREEN, "vncanon %d", pc);
	left = view("vncanon %d", pc);
	host_run("! find %s/run -name '*.pem' | grep .", rig->root);
	host_run("rm %s/server-key.pem", dir);
	json_object_put(client_ok(client, "instance-stop", "{'instance': 'a'}"));
	json_object_put(start_refused("a", "NotFound", "hvparams.vnc_x509_path"));
}
END_TEST

/* A client whose certificate is on the CA's list is none, the others are. */
START_TEST(test_vnc_revoked)
{
	_cleanup_free_ char *dir = make_certificates("x509"), *x509 = NULL;
	_cleanup_json_ struct json_object *a = NULL;
	int port;

	x509 = xasprintf(", 'vnc_bind_address': '127.0.0.1', 'vnc_tls': true, 'vnc_x509_path': '%s', "
			 "'vnc_x509_verify': true",
			 dir);
	dismiss(dir);
	define("a", x509);
	a = start("a");
	port = (int)int_at(a, "port");
	views(SCREEN, "vnctls %d %s/ca-cert.pem '' %s/client", port, dir, dir);
	views("closed", "vnctls %d %s/ca-cert.pem '' %s/dismissed", port, dir, dir);
	host_run("! find %s/run -name '*.pem' | grep .", rig->root);
	/* A list that cannot be read is not the same as none. */
	host_run("rm %s/ca-crl.pem && mkdir %s/ca-crl.pem", dir, dir);
	json_object_put(client_ok(client, "instance-stop", "{'instance': 'a'}"));
	json_object_put(start_refused("a", "StorageError", "hvparams.vnc_x509_path"));
	host_run("rmdir %s/ca-crl.pem && echo junk > %s/ca-crl.pem", dir, dir);
	json_object_put(start_refused("a", "QemuError", "hvparams.vnc_x509_path"));
	host_run("cd %s && rm ca-crl.pem && openssl x509 -req -in server.csr -CA ca-cert.pem -CAkey ca-key.pem "
		 "-CAcreateserial -out server-cert.pem -days -1 >> log 2>&1",
		 dir);
	json_object_put(start_refused("a", "QemuError", "hvparams.vnc_x509_path"));
}
END_TEST

/* ---- SPICE ---- */

/* False: this QEMU has no SPICE, which it is said. */
static bool has_spice(void)
{
	_cleanup_json_ struct json_object *reply = NULL;
	int id;

	define("probe", ", 'spice_bind': '127.0.0.1'");
	id = client_send(client, "instance-start", "{'instance': 'probe', 'paused': true}");
	reply = client_reply(client, id);
	if (!has(reply, "error")) {
		json_object_put(client_ok(client, "instance-stop", "{'instance': 'probe'}"));
		return true;
	}
	ck_assert_str_eq(str_at(reply, "error.class"), "Unsupported");
	ck_assert_str_eq(str_at(reply, "error.parameter"), "hvparams.spice_bind");
	printf("no SPICE here: %s\n", str_at(reply, "error.desc"));
	return false;
}

START_TEST(test_spice)
{
	_cleanup_free_ char *file = put("secret", "open sesame\n"), *hv = NULL, *ports = NULL;
	_cleanup_json_ struct json_object *a = NULL, *b = NULL, *c = NULL, *spice = NULL, *open = NULL, *six = NULL,
					  *ring = NULL;

	if (!has_spice())
		return;
	hv = xasprintf(", 'spice_bind': 'lo', 'spice_ip_version': 4, 'spice_password_file': '%s', 'keymap': 'de', "
		       "'spice_image_compression': 'auto_glz', 'spice_jpeg_wan_compression': 'auto', "
		       "'spice_zlib_glz_wan_compression': 'always', 'spice_streaming_video': 'filter', "
		       "'spice_playback_compression': false",
		       file);
	define("a", hv);
	define("b", ", 'spice_bind': '127.0.0.1', 'spice_use_vdagent': false");
	define("c", ", 'spice_bind': 'lo', 'spice_ip_version': 6");
	a = start("a");
	b = start("b");
	c = start("c");
	ck_assert_str_eq(str_at(c, "address"), "::1");
	six = ask("c", "query-spice");
	ck_assert_str_eq(str_at(six, "host"), "::1");
	ck_assert_str_eq(str_at(a, "kind"), "spice");
	ck_assert_str_eq(str_at(a, "address"), "127.0.0.1");
	ck_assert_int_eq(int_at(a, "port"), 5900);
	ck_assert(json_get_bool(a, "password", false));
	ck_assert_int_eq(int_at(b, "port"), 5901);
	spice = ask("a", "query-spice");
	ck_assert(json_get_bool(spice, "enabled", false));
	ck_assert_str_eq(str_at(spice, "auth"), "spice");
	ck_assert_int_eq(int_at(spice, "port"), 5900);
	ck_assert_str_eq(str_at(spice, "host"), "127.0.0.1");
	open = ask("b", "query-spice");
	ck_assert_str_eq(str_at(open, "auth"), "none");
	views("2.", "spice 5900");
	views("2.", "spice 5901");
	set_password("a", "spice", "a longer one", ", 'expire': 5");
	json_object_put(client_error(client, "WrongState", "display-password",
				     "{'instance': 'b', 'display': 'spice', 'password': 'abc'}"));
	ring = client_ok(client, "instance-qmp",
			 "{'instance': 'a', 'execute': 'qom-get', 'arguments': {'path': '/machine/peripheral/vdagent', "
			 "'property': 'chardev'}}");
	ck_assert_str_eq(json_object_get_string(ring), "vdagent");
	json_object_put(client_error(client, "QemuError", "instance-qmp",
				     "{'instance': 'b', 'execute': 'qom-get', 'arguments': {'path': "
				     "'/machine/peripheral/vdagent', 'property': 'chardev'}}"));
	check_secret("open sesame");
	check_secret("a longer one");
}
END_TEST

START_TEST(test_spice_tls)
{
	_cleanup_free_ char *dir = NULL;
	_cleanup_json_ struct json_object *a = NULL, *spice = NULL;

	if (!has_spice())
		return;
	define("a", ", 'spice_bind': '127.0.0.1', 'spice_use_tls': true");
	json_object_put(start_refused("a", "NotFound", "hvparams.spice_use_tls"));
	dir = make_certificates("etc/tls");
	a = start("a");
	ck_assert(!has(a, "port"));
	ck_assert_int_eq(int_at(a, "tls-port"), 5900);
	spice = ask("a", "query-spice");
	ck_assert_int_eq(int_at(spice, "tls-port"), 5900);
	views("2.", "spice 5900 %s/ca-cert.pem", dir);
	views("closed", "spice 5900");
	host_run("! find %s/run -name '*.pem' | grep .", rig->root);
	define("b", ", 'spice_bind': '127.0.0.1', 'spice_use_tls': true, 'spice_tls_ciphers': 'NONSENSE'");
	json_object_put(start_refused("b", "QemuError", "hvparams.spice_tls_ciphers"));
	host_run("echo junk > %s/server-cert.pem", dir);
	json_object_put(start_refused("b", "QemuError", "hvparams.spice_use_tls"));
}
END_TEST

/* ---- what is seen and typed ---- */

/* Writes what is typed to screen and serial port, and "B" first. */
static const unsigned char typewriter[] = {
	0xb0, 'B',        /* mov $'B', %al */
	0xba, 0xf8, 0x03, /* mov $0x3f8, %dx */
	0xee,             /* out %al, %dx */
	0xb4, 0x00,       /* next: mov $0, %ah */
	0xcd, 0x16,       /* int $0x16: the next key */
	0xb4, 0x0e,       /* mov $0xe, %ah */
	0xbb, 0x07, 0x00, /* mov $7, %bx */
	0xcd, 0x10,       /* int $0x10: to the screen */
	0xba, 0xf8, 0x03, /* mov $0x3f8, %dx */
	0xee,             /* out %al, %dx */
	0xeb, 0xef,       /* jmp next */
};

static char *write_typewriter(void)
{
	char *path = guest_image(rig, "typewriter", "", 1 << 20);
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);

	ck_assert_int_eq(pwrite(fd, typewriter, sizeof(typewriter), 0), (ssize_t)sizeof(typewriter));
	ck_assert_int_eq(pwrite(fd, "\x55\xaa", 2, 510), 2);
	return path;
}

/* The text of a PNG in base64: signature, and the size of a screen of text. */
static char *screenshot(const char *name)
{
	_cleanup_json_ struct json_object *o = client_ok(client, "instance-screenshot", "{'instance': '%s'}", name);
	char *text = xstrdup(str_at(o, "data"));

	ck_assert_str_eq(str_at(o, "format"), "png");
	/* 89 50 4e 47 0d 0a 1a 0a, IHDR, 720, 400 */
	ck_assert_msg(str_starts(text, "iVBORw0KGgoAAAANSUhEUgAAAtAAAAGQ"), "%.64s", text);
	host_run("! find %s/run -name 'screenshot*' | grep .", rig->root);
	return text;
}

static void press(const char *keys)
{
	json_object_put(client_ok(client, "instance-send-key", "{'instance': 'a', 'keys': [%s]}", keys));
}

START_TEST(test_screen_and_keys)
{
	_cleanup_free_ char *disk = write_typewriter(), *before = NULL, *after = NULL;
	_cleanup_json_ struct json_object *unknown = NULL, *e = NULL;

	client_define(client, "a",
		      "'memory': '16M', 'hvparams': {'accel': 'tcg', 'vga': 'std'}, 'disks': [{'path': '%s'}]", disk);
	client_define(client, "blind", "'memory': '16M', 'hvparams': {'accel': 'tcg'}");
	json_object_put(client_error(client, "WrongState", "instance-screenshot", "{'instance': 'a'}"));
	json_object_put(client_ok(client, "instance-start", "{'instance': 'a'}"));
	client_await_console(client, "a", "B");
	before = screenshot("a");
	press("'d'");
	press("'shift', 'v'");
	client_await_console(client, "a", "BdV");
	after = screenshot("a");
	ck_assert_str_ne(before, after);
	unknown = client_error(client, "InvalidParameter", "instance-send-key",
			       "{'instance': 'a', 'keys': ['ctrl', 'nonsense']}");
	ck_assert_str_eq(str_at(unknown, "parameter"), "keys[1]");
	json_object_put(client_error(client, "InvalidParameter", "instance-send-key", "{'instance': 'a', 'keys': []}"));
	json_object_put(
		client_error(client, "InvalidParameter", "instance-send-key", "{'instance': 'a', 'keys': ['Ctrl']}"));
	json_object_put(
		client_error(client, "QemuError", "instance-screenshot", "{'instance': 'a', 'display': 'balloon'}"));
	e = client_error(client, "NotFound", "instance-screenshot", "{'instance': 'a', 'display': 'none'}");
	ck_assert_str_eq(str_at(e, "parameter"), "display");
	json_object_put(client_ok(client, "instance-pause", "{'instance': 'a'}"));
	json_object_put(client_error(client, "WrongState", "instance-send-key", "{'instance': 'a', 'keys': ['d']}"));
	free(screenshot("a"));
	json_object_put(client_ok(client, "instance-start", "{'instance': 'blind', 'paused': true}"));
	json_object_put(client_error(client, "Unsupported", "instance-screenshot", "{'instance': 'blind'}"));
}
END_TEST

/* ---- the command line ---- */

static char *drover(const char *fmt, ...) _printf_(1, 2);
static char *drover(const char *fmt, ...)
{
	_cleanup_free_ char *words = NULL, *program = rig_program("drover");
	va_list ap;

	va_start(ap, fmt);
	words = xvasprintf(fmt, ap);
	va_end(ap);
	host_run("cd %s && export DROVER_SOCKET=run/drover.sock && d=%s && { %s; echo \"status $?\"; } > said 2>&1",
		 rig->root, program, words);
	return rig_file(rig, "said");
}

#define says(expected, ...)                                                  \
	do {                                                                 \
		_cleanup_free_ char *said_ = drover(__VA_ARGS__);            \
		ck_assert_msg(strstr(said_, expected) != NULL, "%s", said_); \
	} while (0)

START_TEST(test_command_line)
{
	_cleanup_free_ char *file = put("secret", "sesame12"), *hv = NULL, *typist = write_typewriter();

	hv = xasprintf(
		"'memory': '16M', 'hvparams': {'accel': 'tcg', 'vnc_bind_address': '127.0.0.1', 'vnc_password_file': "
		"'%s'}, 'disks': [{'path': '%s'}]",
		file, typist);
	client_define(client, "a", "%s", hv);
	json_object_put(client_ok(client, "instance-start", "{'instance': 'a'}"));
	client_await_console(client, "a", "B");
	says("address 127.0.0.1", "$d show a");
	says("port 5900", "$d show a");
	says("a: changed\nstatus 0", "echo xyzzy | $d display-password a");
	views(SCREEN_OF_TEXT, "vnc 5900 xyzzy");
	says("a: changed\nstatus 0", "echo plugh | $d display-password a vnc --expire 0");
	views(WRONG, "vnc 5900 plugh");
	says("status 2", "$d display-password a < /dev/null");
	says("no display 'spice'", "echo xyzzy | $d display-password a spice");
	says("a: pressed\nstatus 0", "$d send-key a shift-x");
	client_await_console(client, "a", "BX");
	says("keys[1]", "$d send-key a shift nonsense");
	says("status 0", "$d screenshot a picture.png");
	says("PNG", "head -c 4 picture.png");
	says("PNG", "$d screenshot a - | head -c 4");
	says("status 3", "$d screenshot a no/picture.png");
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("displays");
	TCase *t = tcase_create("displays");

	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_set_timeout(t, 300);
	tcase_add_test(t, test_vnc_password);
	tcase_add_test(t, test_vnc_password_refused);
	tcase_add_test(t, test_stalled);
	tcase_add_test(t, test_ports);
	tcase_add_test(t, test_socket);
	tcase_add_test(t, test_vnc_tls);
	tcase_add_test(t, test_vnc_revoked);
	tcase_add_test(t, test_spice);
	tcase_add_test(t, test_spice_tls);
	tcase_add_test(t, test_screen_and_keys);
	tcase_add_test(t, test_command_line);
	suite_add_tcase(s, t);
	return s;
}

RIG_MAIN(suite)
