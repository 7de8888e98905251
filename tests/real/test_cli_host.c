/* SPDX-License-Identifier: BSD-2-Clause */
/* `drover --host` against a real sshd on loopback, with keys and known hosts of its own. */
#include "guest.h"
#include "person.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SSHD "/usr/sbin/sshd"

/* Three hosts in one: with a drover and its daemon, without a drover, without a daemon. */
enum { PORT = 2222, PORT_BARE, PORT_IDLE };

static struct rig *rig;
static pid_t sshd;

static void write_file(mode_t mode, const char *name, const char *fmt, ...) _printf_(3, 4);
static void write_file(mode_t mode, const char *name, const char *fmt, ...)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", rig->root, name);
	FILE *f = fopen(path, "w");
	va_list ap;

	ck_assert_ptr_nonnull(f);
	va_start(ap, fmt);
	vfprintf(f, fmt, ap);
	va_end(ap);
	ck_assert_int_eq(fclose(f), 0);
	ck_assert_int_eq(chmod(path, mode), 0);
}

static void become_sshd(pid_t parent)
{
	_cleanup_free_ char *config = xasprintf("%s/ssh/sshd_config", rig->root);
	_cleanup_free_ char *log = xasprintf("%s/ssh/sshd.log", rig->root);
	int fd = open(log, O_WRONLY | O_CREAT | O_TRUNC, 0600), null = open("/dev/null", O_RDWR);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	dup2(fd, STDERR_FILENO);
	execl(SSHD, SSHD, "-D", "-e", "-f", config, NULL);
	_exit(127);
}

static void await_port(int port)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };

	inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
	for (int tries = 0;; tries++) {
		_cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

		if (connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0)
			return;
		ck_assert_msg(tries < RIG_DEADLINE_MS / 5, "sshd does not listen: %s", rig_file(rig, "ssh/sshd.log"));
		usleep(5000);
	}
}

static void host_up(void)
{
	_cleanup_free_ char *dir = NULL, *drover = rig_program("drover"), *path = NULL, *key = NULL;
	pid_t self = getpid();

	rig = rig_new("droverd");
	rig_start(rig);
	dir = xasprintf("%s/ssh", rig->root);
	ck_assert_int_eq(mkdir(dir, 0700), 0);
	ck_assert(mkdir("/run/sshd", 0755) == 0 || errno == EEXIST);
	host_run("ssh-keygen -q -t ed25519 -N '' -f %s/host && ssh-keygen -q -t ed25519 -N '' -f %s/user", dir, dir);
	*strrchr(drover, '/') = '\0';
	write_file(0600, "ssh/sshd_config",
		   "ListenAddress 127.0.0.1\nPort %d\nPort %d\nPort %d\nHostKey %s/host\nPidFile none\nUsePAM no\n"
		   "StrictModes no\nPermitRootLogin yes\nPasswordAuthentication no\nAuthorizedKeysFile %s/user.pub\n"
		   "Match LocalPort %d\n  SetEnv DROVER_SOCKET=%s/run/drover.sock PATH=%s:/usr/bin:/bin\n"
		   "Match LocalPort %d\n  SetEnv PATH=/usr/bin:/bin\n"
		   "Match LocalPort %d\n  SetEnv DROVER_SOCKET=/nowhere PATH=%s:/usr/bin:/bin\n",
		   PORT, PORT_BARE, PORT_IDLE, dir, dir, PORT, rig->root, drover, PORT_BARE, PORT_IDLE, drover);
	key = rig_file(rig, "ssh/host.pub");
	write_file(0600, "ssh/known", "[127.0.0.1]:%d %s[127.0.0.1]:%d %s[127.0.0.1]:%d %s", PORT, key, PORT_BARE, key,
		   PORT_IDLE, key);
	write_file(0600, "ssh/config",
		   "UserKnownHostsFile %s/known\nGlobalKnownHostsFile /dev/null\nIdentityFile %s/user\n"
		   "IdentitiesOnly yes\nBatchMode yes\nStrictHostKeyChecking yes\n",
		   dir, dir);
	/* It is found in PATH, as a person's is; a person's configuration is not ours to read. */
	ck_assert_int_eq(mkdir((path = xasprintf("%s/bin", dir)), 0700), 0);
	write_file(0700, "ssh/bin/ssh", "#!/bin/sh\nexec /usr/bin/ssh -F %s/config \"$@\"\n", dir);
	key = (free(key), xasprintf("%s:%s", path, getenv("PATH")));
	setenv("PATH", key, 1);
	sshd = fork();
	ck_assert_int_ge(sshd, 0);
	if (sshd == 0)
		become_sshd(self);
	await_port(PORT_IDLE);
}

static void host_down(void)
{
	kill(sshd, SIGTERM);
	waitpid(sshd, NULL, 0);
	if (rig->pid)
		rig_stop(rig);
	rig_free(rig);
}

static char *uri_of(int port)
{
	return xasprintf("ssh://root@127.0.0.1:%d", port);
}

/* When only the sshd that listens is left: the others, also those of who looked for its port, end in their own time. */
static char *settled_world(void)
{
	static const char process[] = "\nprocess ";

	for (int tries = 0;; tries++) {
		char *world = rig_world(rig, false), *first = strstr(world, process);

		if (first && !strstr(first + 1, process) && strstr(first, "process sshd\n"))
			return world;
		ck_assert_msg(tries < RIG_DEADLINE_MS / 5, "%s", world);
		free(world);
		usleep(5000);
	}
}

START_TEST(test_ask)
{
	_cleanup_free_ char *uri = uri_of(PORT), *out = NULL, *err = NULL, *before = NULL, *after = NULL;
	struct client *c = client_new(rig);

	client_define(c, "web1", "'vcpus': 1");
	client_free(c);
	before = settled_world();
	ck_assert_int_eq(person_script(NULL, NULL, &out, &err, "drover", "--host", uri, "list", NULL), 0);
	ck_assert_str_eq(err, "");
	ck_assert_msg(strstr(out, "\nweb1  shutoff"), "%s", out);
	after = settled_world();
	ck_assert_str_eq(after, before);
}
END_TEST

START_TEST(test_environment)
{
	_cleanup_free_ char *uri = uri_of(PORT), *out = NULL, *err = NULL;

	setenv("DROVER_HOST", uri, 1);
	ck_assert_int_eq(person_script(NULL, NULL, &out, NULL, "drover", "version", NULL), 0);
	ck_assert_msg(strstr(out, " at ssh://root@127.0.0.1:2222\n"), "%s", out);
	/* both are named: neither is taken in silence */
	ck_assert_int_eq(person_script(rig, NULL, NULL, &err, "drover", "list", NULL), 2);
	ck_assert_msg(strstr(err, "DROVER_SOCKET and DROVER_HOST"), "%s", err);
	free(err);
	ck_assert_int_eq(person_script(NULL, NULL, NULL, &err, "drover", "--socket", "/x", "--host", uri, "list", NULL),
			 2);
	ck_assert_msg(strstr(err, "'--socket' and '--host' are two daemons"), "%s", err);
	/* an option outranks a variable */
	free(out);
	ck_assert_int_eq(person_script(rig, NULL, &out, NULL, "drover", "--host", uri, "version", NULL), 0);
	ck_assert_ptr_nonnull(strstr(out, " at ssh://"));
	unsetenv("DROVER_HOST");
}
END_TEST

/* More than all buffers between here and there hold, in both directions. */
START_TEST(test_much)
{
	_cleanup_free_ char *uri = uri_of(PORT), *input = xcalloc(1, 900001), *out = NULL, *err = NULL;
	const char *head = "{\"name\":\"big\",\"metadata\":{\"k\":\"v\"},\"description\":\"";
	size_t n = (size_t)sprintf(input, "%s", head);

	memset(input + n, ' ', 900000 - n); /* blanks behind the value count as well */
	memcpy(input + n, "d\"}", 3);
	ck_assert_int_eq(person_script(NULL, input, NULL, &err, "drover", "--host", uri, "define", "-", NULL), 0);
	for (int i = 0; i < 200; i++) {
		_cleanup_free_ char *name = xasprintf("many%d", i);
		struct client *c = client_new(rig);

		client_define(c, name, "'vcpus': 1");
		client_free(c);
	}
	ck_assert_int_eq(person_script(NULL, NULL, &out, NULL, "drover", "--host", uri, "call", "query-events", NULL),
			 0);
	ck_assert_ptr_nonnull(strstr(out, "many199"));
	ck_assert_uint_gt(strlen(out), 20000);
}
END_TEST

static const struct {
	int port;
	const char *host, *says, *hint;
} failures[] = {
	{ PORT_BARE, "127.0.0.1", "no program 'drover' there", "PATH" },
	{ PORT_IDLE, "127.0.0.1", "drover found no daemon there", "'/nowhere'" },
	{ PORT, "localhost", "ssh gave up", "Host key verification failed" }, /* no such known host */
	{ 1, "127.0.0.1", "ssh gave up", "Connection refused" },
};

START_TEST(test_failures)
{
	_cleanup_free_ char *uri = xasprintf("ssh://root@%s:%d", failures[_i].host, failures[_i].port), *err = NULL;

	ck_assert_int_eq(person_script(NULL, NULL, NULL, &err, "drover", "--host", uri, "list", NULL), 19);
	ck_assert_msg(strstr(err, failures[_i].says) && strstr(err, failures[_i].hint), "%s", err);
}
END_TEST

START_TEST(test_daemon_goes)
{
	_cleanup_free_ char *uri = uri_of(PORT);
	_cleanup_person_ struct person *p = person_come(NULL, "drover", "--host", uri, "events", NULL);
	struct client *c;

	/* an event that comes proves that it listens */
	c = client_new(rig);
	for (int i = 0; !strstr(person_saw(p), "INSTANCE_DEFINED"); i++) {
		_cleanup_free_ char *name = xasprintf("sign%d", i);

		client_define(c, name, "'vcpus': 1");
		usleep(20000);
		person_peek(p);
	}
	client_free(c);
	rig_kill(rig);
	ck_assert_int_eq(person_leave(p), 19);
	ck_assert_ptr_nonnull(strstr(person_saw(p), "closed the connection"));
	rig_start(rig);
}
END_TEST

START_TEST(test_console)
{
	_cleanup_free_ char *uri = uri_of(PORT);
	_cleanup_client_ struct client *c = client_new(rig);
	_cleanup_person_ struct person *p = NULL;

	guest_define(c, "shell", "t.shell=1", "");
	guest_start(c, "shell");
	guest_await(rig, "shell", "/ # ", 1);
	p = person_come(NULL, "drover", "--host", uri, "console", "shell", NULL);
	person_await(p, "^] leaves");
	person_type(p, "echo far-$((6 * 7))\n");
	person_await(p, "far-42");
	ck_assert(!person_terminal_is_sane(p)); /* raw */
	person_type(p, "\x1d");
	ck_assert_int_eq(person_leave(p), 0);
	ck_assert(person_terminal_is_sane(p));
	for (int tries = 0;; tries++) { /* and the other end is gone as well */
		_cleanup_json_ struct json_object *o = guest_query(c, "shell");

		if (int_at(o, "consoles.0.readers") == 0)
			break;
		ck_assert_int_lt(tries, RIG_DEADLINE_MS / 5);
		usleep(5000);
	}
	json_object_put(client_ok(c, "instance-stop", "{'instance': 'shell'}"));
}
END_TEST

/* ^C reaches all of the terminal's processes; the connection is needed to take back what runs. */
START_TEST(test_interrupt)
{
	_cleanup_free_ char *uri = uri_of(PORT);
	_cleanup_client_ struct client *c = client_new(rig);
	_cleanup_person_ struct person *p = NULL;

	guest_define_bare(c, "deaf");
	guest_start(c, "deaf");
	p = person_come(NULL, "drover", "--host", uri, "shutdown", "deaf", "--mode", "acpi", "--timeout", "600", NULL);
	person_await(p, "deaf: instance-shutdown: ");
	person_type(p, "\3");
	person_await(p, "asked to take it back");
	person_await(p, "(Cancelled)");
	ck_assert_int_eq(person_leave(p), 12);
	json_object_put(client_ok(c, "instance-stop", "{'instance': 'deaf'}"));
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("drover --host");
	TCase *tc = tcase_create("host");

	tcase_set_timeout(tc, 300);
	tcase_add_unchecked_fixture(tc, host_up, host_down);
	tcase_add_test(tc, test_ask);
	tcase_add_test(tc, test_environment);
	tcase_add_test(tc, test_much);
	tcase_add_loop_test(tc, test_failures, 0, ARRAY_SIZE(failures));
	tcase_add_test(tc, test_console);
	tcase_add_test(tc, test_interrupt);
	tcase_add_test(tc, test_daemon_goes);
	suite_add_tcase(s, tc);
	return s;
}

int main(void)
{
	if (access(SSHD, X_OK) < 0) {
		printf("SKIP: no sshd\n");
		return 77;
	}
	return guest_main(suite);
}
