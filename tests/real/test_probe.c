/* SPDX-License-Identifier: BSD-2-Clause */
/* drover-probe and the trial of KVM with the QEMU in PATH, and with binaries that are none. */
#include "base/file.h"
#include "qmp/caps_cache.h"
#include "rig.h"
#include "runtime/accel.h"

#include "loop.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { SKIPPED = 77, SLOW_MS = 60000 };

static char dir[64];
static int dir_fd = -1;
static char *qemu, *prober;

static void setup(void)
{
	loop_open();
	snprintf(dir, sizeof(dir), "/tmp/drover-probe-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	ck_assert_int_eq(chmod(dir, 0755), 0);
	dir_fd = file_open_dir(AT_FDCWD, dir, NULL);
	prober = rig_program("drover-probe");
	qemu = rig_qemu();
	ck_assert_ptr_nonnull(qemu);
}

static void teardown(void)
{
	file_remove_tree(AT_FDCWD, dir, NULL);
	dir_fd = fd_close(dir_fd);
	free(prober);
	free(qemu);
	loop_end();
}

/* A shell script; its path is the caller's. */
static char *script(const char *name, const char *fmt, ...) _printf_(2, 3);
static char *script(const char *name, const char *fmt, ...)
{
	_cleanup_free_ char *body = NULL, *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	body = xvasprintf(fmt, ap);
	va_end(ap);
	text = xasprintf("#!/bin/sh\n%s\n", body);
	ck_assert(file_write(dir_fd, name, text, 0755, false, NULL));
	ck_assert_int_eq(fchmodat(dir_fd, name, 0755, 0), 0);
	return xasprintf("%s/%s", dir, name);
}

static unsigned lines(const char *name)
{
	_cleanup_free_ char *text = NULL;
	unsigned n = 0;

	if (!file_read(dir_fd, name, 1 << 20, &text, NULL, NULL))
		return 0;
	for (char *p = text; *p; p++)
		n += *p == '\n';
	return n;
}

/* What a program writes to its standard output; the caller's. */
static char *output_of(const char *fmt, ...) _printf_(1, 2);
static char *output_of(const char *fmt, ...)
{
	_cleanup_free_ char *command = NULL, *text = NULL;
	size_t n = 0, got;
	va_list ap;
	FILE *f;

	va_start(ap, fmt);
	command = xvasprintf(fmt, ap);
	va_end(ap);
	f = popen(command, "re"); /* NOLINT(cert-env33-c): the words are the test's */
	ck_assert_ptr_nonnull(f);
	do {
		text = xrealloc(text, n + 65537, 1);
		got = fread(text + n, 1, 65536, f);
		n += got;
	} while (got);
	text[n] = '\0';
	ck_assert_int_eq(pclose(f), 0);
	return TAKE_PTR(text);
}

/* ---- asking ---- */

struct answer {
	bool here;
	struct caps *caps;
	struct err *err;
};

static void on_caps(struct caps *c, const struct err *e, void *data)
{
	struct answer *a = data;

	a->here = true;
	a->caps = c ? caps_ref(c) : NULL;
	a->err = e ? err_copy(e) : NULL;
}

static struct answer probe(const char *path, const char *limit)
{
	const char *const argv[] = { prober, "--limit", limit, NULL };
	struct caps_cache *cache = caps_cache_new(&loop, argv, -1);
	struct answer a = { 0 };

	caps_ask(cache, path, on_caps, &a);
	LOOP_UNTIL(a.here);
	caps_cache_free(cache);
	return a;
}

static struct caps *caps_of(const char *path)
{
	struct answer a = probe(path, "100");

	ck_assert_msg(a.caps != NULL, "%s", a.err ? a.err->desc : "");
	return a.caps;
}

static void refused(const char *path, const char *limit, enum err_class class, const char *words)
{
	struct answer a = probe(path, limit);

	ck_assert_ptr_nonnull(a.err);
	ck_assert_msg(a.err->class == class && strstr(a.err->desc, words), "%s: %s", err_class_info(a.err->class)->name,
		      a.err->desc);
	err_free(a.err);
}

/* ---- what it says is so: the help for people is another way to the same tables ---- */

START_TEST(test_machines)
{
	_cleanup_caps_ struct caps *c = caps_of(qemu);
	_cleanup_free_ char *help = output_of("%s -machine help", qemu);
	unsigned n = 0, aliases = 0;
	char *save = NULL;

	strtok_r(help, "\n", &save); /* the title */
	for (char *line = strtok_r(NULL, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		_cleanup_free_ char *name = xstrndup(line, strcspn(line, " "));
		char *alias = strstr(line, "(alias of ");

		if (alias) {
			alias += strlen("(alias of ");
			alias[strcspn(alias, ")")] = '\0';
			aliases++;
		}
		ck_assert_msg(str_eq(caps_machine(c, name), alias ? alias : name), "%s", line);
		ck_assert_int_eq(caps_machine_is_deprecated(c, name), strstr(line, "(deprecated)") != NULL);
		n++;
	}
	ck_assert_uint_gt(n, 10);
	ck_assert_uint_ge(aliases, 2);
	ck_assert_str_ne(caps_machine(c, "pc"), caps_machine(c, "q35"));
	ck_assert_ptr_null(caps_machine(c, "pc-i440fx-99.9"));
	ck_assert(caps_has_machine_property(c, "pc", "acpi"));
	ck_assert(caps_has_machine_property(c, "q35", "hpet"));
	ck_assert(!caps_has_machine_property(c, "pc", "acpy"));
}
END_TEST

static const char *const asked[] = { "virtio-blk-pci", "virtio-net-pci", "scsi-hd",        "pcie-root-port", "VGA",
				     "pc-dimm",        "isa-serial",     "virtserialport", "floppy" };

START_TEST(test_properties)
{
	_cleanup_caps_ struct caps *c = caps_of(qemu);

	for (size_t i = 0; i < ARRAY_SIZE(asked); i++) {
		_cleanup_free_ char *help = output_of("%s -device %s,help", qemu, asked[i]);
		unsigned n = 0;
		char *save = NULL;

		ck_assert_msg(caps_has_type(c, asked[i]), "%s", asked[i]);
		for (char *line = strtok_r(help, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
			_cleanup_free_ char *name = NULL;

			if (!str_starts(line, "  "))
				continue;
			line += strspn(line, " ");
			name = xstrndup(line, strcspn(line, "="));
			ck_assert_msg(caps_has_property(c, asked[i], name), "%s of %s", name, asked[i]);
			n++;
		}
		ck_assert_uint_gt(n, 0);
		ck_assert(!caps_has_property(c, asked[i], "no-such-property"));
	}
	ck_assert(!caps_has_property(c, "virtio-blk-pci", "mac"));
}
END_TEST

static const char *const objects[] = { "iothread",   "throttle-group",       "secret",
				       "rng-random", "memory-backend-memfd", "tls-creds-x509",
				       "sev-guest",  "thread-context",       "s390-pv-guest" };

START_TEST(test_names)
{
	_cleanup_caps_ struct caps *c = caps_of(qemu);
	_cleanup_free_ char *help = output_of("%s -object help", qemu);

	for (size_t i = 0; i < ARRAY_SIZE(objects); i++) {
		_cleanup_free_ char *line = xasprintf("\n  %s\n", objects[i]);

		ck_assert_msg(caps_has(c, CAPS_OBJECT, objects[i]) == (strstr(help, line) != NULL), "%s", objects[i]);
	}
	ck_assert(caps_has(c, CAPS_OBJECT, "iothread"));
	ck_assert(caps_has_command(c, "device_add") && caps_has_command(c, "query-yank"));
	ck_assert(!caps_has_command(c, "device-add"));
	ck_assert(caps_has(c, CAPS_BLOCKDEV, "throttle") && caps_has(c, CAPS_BLOCKDEV, "host_device"));
	ck_assert(caps_has(c, CAPS_NETDEV, "tap") && caps_has(c, CAPS_NETDEV, "user"));
	ck_assert(caps_has(c, CAPS_MIGRATION, "multifd"));
	ck_assert(caps_has_cpu(c, "host") && caps_has_cpu(c, "qemu64"));
	ck_assert_int_eq(caps_machine_cpus(c, "pc"), 255);
	ck_assert_int_eq(caps_machine_cpus(c, "pc-q35-7.2"), 288);
	ck_assert(!caps_has_type(c, "pci-device")); /* abstract */
	ck_assert_uint_lt(caps_size(c), 100 << 10);
}
END_TEST

/* However many ask, one process of it. */
START_TEST(test_one_probe)
{
	_cleanup_free_ char *path = script("qemu", "echo x >>%s/count\nexec %s \"$@\"", dir, qemu);
	const char *const argv[] = { prober, NULL };
	struct caps_cache *cache = caps_cache_new(&loop, argv, -1);
	struct answer a = { 0 }, b = { 0 };

	caps_ask(cache, path, on_caps, &a);
	caps_ask(cache, path, on_caps, &b);
	LOOP_UNTIL(a.here && b.here);
	ck_assert_msg(a.caps != NULL, "%s", a.err ? a.err->desc : "");
	ck_assert_ptr_eq(a.caps, b.caps);
	ck_assert_uint_eq(lines("count"), 1);
	caps_unref(a.caps);
	caps_unref(b.caps);
	caps_cache_free(cache);
}
END_TEST

/* ---- what is no QEMU ---- */

START_TEST(test_refused)
{
	_cleanup_free_ char *plain = xasprintf("%s/plain", dir), *nothing = xasprintf("%s/nothing", dir);
	_cleanup_free_ char *words = script("words", "echo noise >&2\necho 'I am no QEMU' >&2\nexit 3");
	_cleanup_free_ char *silent = script("silent", "exit 3"), *killed = script("killed", "kill -TERM $$");
	_cleanup_free_ char *option = script("option", "exec %s \"$@\" -bogus", qemu);
	_cleanup_free_ char *interpreter = xasprintf("%s/interpreter", dir);
	static const char nowhere[] = "#!/no/such/shell\n";

	ck_assert(file_write(dir_fd, "plain", "#!/bin/sh\n", 0644, false, NULL));
	ck_assert(file_write(dir_fd, "interpreter", nowhere, 0755, false, NULL));
	refused(nothing, "100", ERR_NOT_FOUND, "No such file");
	refused(interpreter, "100", ERR_NOT_FOUND, "cannot be run: No such file");
	refused(plain, "100", ERR_PERMISSION_DENIED, "cannot be run: Permission denied");
	refused(dir, "100", ERR_PERMISSION_DENIED, "cannot be run: Permission denied");
	refused(words, "100", ERR_UNSUPPORTED, "is no QEMU that can be asked: I am no QEMU");
	refused(silent, "100", ERR_UNSUPPORTED, "it ended with status 3 and without a word");
	refused(killed, "100", ERR_UNSUPPORTED, "it was ended by signal 15");
	refused(option, "100", ERR_UNSUPPORTED, "-bogus: invalid option");
	refused("/dev/null", "100", ERR_PERMISSION_DENIED, "cannot be run");
}
END_TEST

/* The monitor's descriptor is in the arguments. */
#define MONITOR                                                      \
	"for a; do case $a in socket,*) m=${a##*fd=};; esac; done\n" \
	"say() { eval \"echo '$1' >&$m\"; }\n"                       \
	"hear() { eval \"read -r line <&$m\"; }\n"                   \
	"greet() { say '{\"QMP\": {\"version\": {}, \"capabilities\": []}}'; hear; }\n"

START_TEST(test_half_a_qemu)
{
	_cleanup_free_ char *stranger = script("stranger", MONITOR "say '{\"hello\": 1}'\nhear");
	_cleanup_free_ char *nonsense = script("nonsense", MONITOR "say 'SSH-2.0'\nhear");
	_cleanup_free_ char *leaves = script("leaves", MONITOR "greet\necho 'had enough' >&2");
	_cleanup_free_ char *refuses = script(
		"refuses", MONITOR "greet\nsay '{\"error\": {\"class\": \"x\", \"desc\": \"not today\"}}'\nhear");
	_cleanup_free_ char *other = script("other", MONITOR "greet\nsay '{\"return\": []}'\nhear");

	refused(stranger, "100", ERR_UNSUPPORTED, "greeted otherwise");
	refused(nonsense, "100", ERR_UNSUPPORTED, "does not speak QMP");
	refused(leaves, "100", ERR_QEMU, "ended while it was asked: had enough");
	refused(refuses, "100", ERR_QEMU, "refused 'qmp_capabilities': not today");
	refused(other, "100", ERR_QEMU, "answered 'qmp_capabilities' with another type");
}
END_TEST

static pid_t pid_in(const char *name)
{
	_cleanup_free_ char *text = NULL;

	if (lines(name) == 0)
		return 0;
	ck_assert(file_read(dir_fd, name, 64, &text, NULL, NULL));
	return (pid_t)strtol(text, NULL, 10);
}

/* Neither the script nor what it runs is left. */
START_TEST(test_hangs)
{
	_cleanup_free_ char *path = script("hangs", "sleep 1000 &\necho $! >%s/pid\nwait", dir);
	_cleanup_free_ char *greets = script("greets", MONITOR "greet\necho $$ >%s/pid2\nexec sleep 1000", dir);

	refused(path, "4", ERR_TIMEOUT, "did not answer within 4 s");
	ck_assert_int_gt(pid_in("pid"), 0);
	process_await_end(pid_in("pid"));
	refused(greets, "4", ERR_TIMEOUT, "did not answer within 4 s");
	process_await_end(pid_in("pid2"));
}
END_TEST

/* Whoever dies, QEMU dies with it. */
START_TEST(test_dies_with_us)
{
	_cleanup_free_ char *path = script("hangs", "echo $$ >%s/pid\nexec sleep 1000", dir);
	int status;

	for (int i = 0; i < 2; i++) {
		pid_t daemon = fork(), pid;

		if (daemon == 0) {
			pid = fork();
			if (pid == 0)
				execl(prober, prober, "--limit", "3600", path, NULL);
			_cleanup_free_ char *text = xasprintf("%d\n", (int)pid);

			file_write(dir_fd, "prober", text, 0644, false, NULL);
			pause();
		}
		while ((pid = pid_in("pid")) == 0 || pid_in("prober") == 0)
			usleep(1000);
		ck_assert_int_eq(kill(i == 0 ? daemon : pid_in("prober"), SIGKILL), 0);
		process_await_end(pid);
		kill(daemon, SIGKILL);
		ck_assert_int_eq(waitpid(daemon, &status, 0), daemon);
		unlinkat(dir_fd, "pid", 0);
		unlinkat(dir_fd, "prober", 0);
	}
}
END_TEST

/* ---- the accelerator ---- */

struct seen {
	bool here;
	struct accel_result result;
	struct err *err;
};

static void on_accel(const struct accel_result *r, const struct err *e, void *data)
{
	struct seen *s = data;

	s->here = true;
	if (r) {
		s->result = *r;
		s->result.reason = xstrdup(r->reason);
	}
	s->err = e ? err_copy(e) : NULL;
}

/* Zeroed: as droverd does it. */
static struct seen see(struct accel_options options, const char *const *prefix)
{
	struct accel_cache *cache = accel_cache_new(&loop, -1, &options);
	struct seen s = { 0 };

	accel_ask(cache, qemu, prefix, "test", on_accel, &s);
	LOOP_UNTIL(s.here);
	accel_cache_free(cache);
	return s;
}

/* The firmware runs to its end where the processor is sound. */
START_TEST(test_firmware)
{
	struct seen s = see((struct accel_options){ .accel = "tcg", .limit_ms = SLOW_MS }, NULL);

	ck_assert_msg(!s.err && s.result.works, "%s", s.err ? s.err->desc : s.result.reason);
	ck_assert(s.result.ms > 0);
	ck_assert(str_starts(s.result.reason, "works, "));
	accel_result_clear(&s.result);
}
END_TEST

START_TEST(test_firmware_limit)
{
	struct seen s = see((struct accel_options){ .accel = "tcg", .limit_ms = 1 }, NULL);

	ck_assert(!s.err && !s.result.works);
	ck_assert_ptr_nonnull(strstr(s.result.reason, "did not end within"));
	accel_result_clear(&s.result);
}
END_TEST

/* Whichever it is here, it is said with a reason that a person understands. */
START_TEST(test_kvm)
{
	struct seen s = see((struct accel_options){ 0 }, NULL);

	ck_assert_ptr_null(s.err);
	ck_assert_int_eq(s.result.works, str_starts(s.result.reason, "works, "));
	ck_assert(s.result.works || strstr(s.result.reason, "did not end within 0.3 s") ||
		  strstr(s.result.reason, "kvm"));
	accel_result_clear(&s.result);
}
END_TEST

START_TEST(test_no_kvm)
{
	static const char *const prefix[] = {
		"/usr/bin/unshare", "-m", "sh", "-c", "mount -t tmpfs none /dev && exec \"$@\"", "sh", NULL
	};
	struct seen s;

	if (geteuid() != 0)
		return;
	s = see((struct accel_options){ .limit_ms = SLOW_MS }, prefix);
	ck_assert_msg(!s.err, "%s", s.err ? s.err->desc : "");
	ck_assert(!s.result.works);
	ck_assert_str_eq(s.result.reason, "/dev/kvm: No such file or directory");
	accel_result_clear(&s.result);
}
END_TEST

/* For whom it is asked: a uid that may open nothing of ours runs the firmware, and KVM only if the device is open. */
START_TEST(test_uid)
{
	static const char *const prefix[] = { "/usr/bin/setpriv", "--reuid", "40000", "--regid", "40000",
					      "--clear-groups",   NULL };
	struct stat st;
	struct seen s;

	if (geteuid() != 0)
		return;
	s = see((struct accel_options){ .accel = "tcg", .limit_ms = SLOW_MS }, prefix);
	ck_assert_msg(!s.err && s.result.works, "%s", s.err ? s.err->desc : s.result.reason);
	accel_result_clear(&s.result);
	if (stat("/dev/kvm", &st) < 0 || (st.st_mode & 0006))
		return;
	s = see((struct accel_options){ .limit_ms = SLOW_MS }, prefix);
	ck_assert(!s.err && !s.result.works);
	ck_assert_str_eq(s.result.reason, "/dev/kvm: Permission denied");
	accel_result_clear(&s.result);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("probe");
	TCase *tc = tcase_create("probe");

	suite_add_tcase(s, tc);
	tcase_set_timeout(tc, LOOP_TEST_S);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_machines);
	tcase_add_test(tc, test_properties);
	tcase_add_test(tc, test_names);
	tcase_add_test(tc, test_one_probe);
	tcase_add_test(tc, test_refused);
	tcase_add_test(tc, test_half_a_qemu);
	tcase_add_test(tc, test_hangs);
	tcase_add_test(tc, test_dies_with_us);
	tcase_add_test(tc, test_firmware);
	tcase_add_test(tc, test_firmware_limit);
	tcase_add_test(tc, test_kvm);
	tcase_add_test(tc, test_no_kvm);
	tcase_add_test(tc, test_uid);
	return s;
}

int main(void)
{
	_cleanup_free_ char *binary = rig_qemu();

	if (!binary) {
		puts("SKIP: there is no QEMU in PATH");
		return SKIPPED;
	}
	return rig_main(suite);
}
