/* SPDX-License-Identifier: BSD-2-Clause */
/* The ring of an instance's messages: what it keeps, what it hides, what it makes of bad files and full disks. */
#include "base/cleanup.h"
#include "base/file.h"
#include "runtime/logs.h"
#include "runtime/trace.h"

#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static struct {
	char path[32];
	int dir;
	struct trace *trace;
	struct json_object *list;
} w;

static void setup(void)
{
	memset(&w, 0, sizeof(w));
	strcpy(w.path, "/tmp/trace.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(w.path));
	w.dir = open(w.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	w.trace = trace_new(w.dir, "web");
}

static void teardown(void)
{
	trace_free(w.trace);
	json_object_put(w.list);
	ck_assert(file_remove_tree(AT_FDCWD, w.path, NULL));
	close(w.dir);
}

static struct json_object *parse(const char *text)
{
	struct json_object *o = NULL;

	ck_assert_msg(json_parse(text, strlen(text), &json_limits_qemu, &o, NULL), "%s", text);
	return o;
}

static void put(bool sent, int64_t id, const char *name, const char *text)
{
	_cleanup_json_ struct json_object *o = parse(text);
	struct qmp_message m = { .sent = sent, .value = o, .name = name, .id = id, .latency = sent ? -1 : 0.25 };

	trace_put(w.trace, 1, &m);
}

/* Another life of droverd. */
static void reopen(void)
{
	w.trace = trace_free(w.trace);
	w.trace = trace_new(w.dir, "web");
}

static size_t read_since(double since, const char *operation)
{
	json_object_put(w.list);
	w.list = NULL;
	ck_assert(trace_read(w.dir, "web", since, operation, &w.list, NULL));
	return json_object_array_length(w.list);
}

static struct json_object *entry(size_t i)
{
	return json_object_array_get_idx(w.list, i);
}

static int64_t id_of(size_t i)
{
	return json_get_int(entry(i), "id", -1);
}

static off_t size_of(const char *name)
{
	struct stat st;

	return fstatat(w.dir, name, &st, 0) == 0 ? st.st_size : 0;
}

static void append(const char *name, const char *text, size_t len)
{
	_cleanup_close_ int fd = openat(w.dir, name, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);

	ck_assert_int_eq(write(fd, text, len), (ssize_t)len);
}

/* Both files, one behind the other. */
static char *both(void)
{
	_cleanup_free_ char *a = NULL, *b = NULL;
	size_t len;

	if (!file_read(w.dir, "web.trace", FILE_MAX, &a, &len, NULL))
		a = xstrdup("");
	if (!file_read(w.dir, "web.trace.1", FILE_MAX, &b, &len, NULL))
		b = xstrdup("");
	return xasprintf("%s%s", b, a);
}

/* ---- what is kept ---- */

START_TEST(members)
{
	_cleanup_json_ struct json_object *o = parse("{\"execute\":\"add-fd\",\"id\":7}"),
					  *e = parse("{\"event\":\"STOP\"}");
	struct qmp_message out = { true, o, "add-fd", 7, -1, "#3", true },
			   event = { .value = e, .name = "STOP", .latency = -1 };
	_cleanup_free_ char *text = NULL;
	double before = time_now();

	ck_assert_uint_eq(read_since(0, NULL), 0);
	trace_put(w.trace, 1, &out);
	trace_put(w.trace, 2, &event);
	ck_assert_uint_eq(read_since(0, NULL), 2);
	ck_assert(json_get_double(entry(0), "time", 0) >= before - 1e-3);
	json_object_object_del(entry(0), "time");
	json_object_object_del(entry(1), "time");
	text = json_print(w.list);
	ck_assert_str_eq(text,
			 "[{\"direction\":\"out\",\"monitor\":1,\"id\":7,\"name\":\"add-fd\",\"operation\":\"#3\","
			 "\"descriptor\":true,\"message\":{\"execute\":\"add-fd\",\"id\":7}},"
			 "{\"direction\":\"in\",\"monitor\":2,\"name\":\"STOP\",\"message\":{\"event\":\"STOP\"}}]");
}
END_TEST

START_TEST(wrap_around)
{
	enum { N = 4000 };
	char text[900];
	int64_t last;
	size_t n;

	memset(text, 'x', sizeof(text));
	text[0] = text[sizeof(text) - 2] = '"';
	text[sizeof(text) - 1] = '\0';
	for (int i = 1; i <= N; i++) {
		put(true, i, "A", text);
		if (i % 700 == 0)
			reopen();
		ck_assert_int_le(size_of("web.trace"), TRACE_FILE_MAX);
		ck_assert_int_le(size_of("web.trace.1"), TRACE_FILE_MAX);
	}
	n = read_since(0, NULL);
	ck_assert_uint_ge(n * (sizeof(text) + 50), TRACE_FILE_MAX);
	last = id_of(n - 1);
	ck_assert_int_eq(last, N);
	for (size_t i = 0; i < n; i++)
		ck_assert_int_eq(id_of(i), N - (int64_t)n + 1 + (int64_t)i);
}
END_TEST

START_TEST(since_and_operation)
{
	_cleanup_json_ struct json_object *o = parse("{}");
	struct qmp_message m = { true, o, "A", 1, -1, "#3", false };
	double time;

	put(true, 1, "A", "{}");
	trace_put(w.trace, 1, &m);
	m.operation = "#33";
	m.id = 3;
	usleep(2000);
	trace_put(w.trace, 1, &m);
	ck_assert_uint_eq(read_since(0, "#3"), 1);
	ck_assert_uint_eq(read_since(0, "#33"), 1);
	ck_assert_uint_eq(read_since(0, "#"), 0);
	ck_assert_uint_eq(read_since(0, NULL), 3);
	time = json_get_double(entry(1), "time", 0);
	ck_assert_uint_eq(read_since(time, NULL), 1);
	ck_assert_int_eq(id_of(0), 3);
	ck_assert_uint_eq(read_since(json_get_double(entry(0), "time", 0), NULL), 0);
}
END_TEST

/* More than is kept of one; deeper than a reader of ours takes; large when it is read. */
START_TEST(long_and_deep)
{
	_cleanup_free_ char *text = xcalloc(20001, 1), *deep = xcalloc(400, 1), *many = xcalloc(3100, 1);
	const char *kept;

	memset(text, 'x', 20000);
	memcpy(text, "{\"return\":\"\xc3\xbc\"}", 15);
	text[13] = 'x';
	text[14] = 'x';
	text[19998] = '"';
	text[19999] = '}';
	put(false, 1, "A", text);
	for (int i = 0; i < 120; i++) {
		deep[i] = '[';
		deep[120 + i] = ']';
	}
	put(false, 2, "A", deep);
	for (size_t i = 0; i < 1000; i++)
		memcpy(many + 3 * i, i ? ",{}" : "[{}", 3);
	many[3000] = ']';
	put(false, 3, "A", many);
	ck_assert_uint_eq(read_since(0, NULL), 3);
	kept = json_get_str(entry(0), "message");
	ck_assert_uint_eq(strlen(kept), TRACE_MESSAGE_MAX);
	ck_assert_int_eq(strncmp(kept, text, TRACE_MESSAGE_MAX), 0);
	ck_assert(json_get_bool(entry(0), "cut", false));
	ck_assert_str_eq(json_get_str(entry(1), "message"), deep);
	ck_assert(!json_get_bool(entry(1), "cut", false));
	ck_assert_str_eq(json_get_str(entry(2), "message"), many);
}
END_TEST

/* ---- bad files ---- */

START_TEST(half_a_line)
{
	static const char half[] = "{\"time\":1.5,\"direction\":\"in\",\"monitor\":1,\"message\":{\"ret";

	put(true, 1, "A", "{}");
	append("web.trace", half, sizeof(half) - 1);
	ck_assert_uint_eq(read_since(0, NULL), 1);
	reopen();
	put(true, 2, "A", "{}");
	put(true, 3, "A", "{}");
	ck_assert_uint_eq(read_since(0, NULL), 3);
	ck_assert_int_eq(id_of(2), 3);
}
END_TEST

static const struct {
	const char *line;
	const char *entry; /* NULL: it is none */
} lines[] = {
	{ "{\"time\":1.5,\"direction\":\"in\",\"monitor\":2,\"message\":null}",
	  "{\"time\":1.5,\"direction\":\"in\",\"monitor\":2,\"message\":null}" },
	/* of a later version */
	{ "{\"v\":2,\"time\":1.5,\"direction\":\"in\",\"monitor\":2,\"name\":\"A\",\"message\":[1]}",
	  "{\"v\":2,\"time\":1.5,\"direction\":\"in\",\"monitor\":2,\"name\":\"A\",\"message\":[1]}" },
	{ "{\"time\":1.5,\"direction\":\"in\",\"monitor\":2,\"id\":\"x\",\"message\":[1]}", NULL },
	{ "{\"when\":1.5,\"direction\":\"in\",\"monitor\":2,\"message\":1}", NULL },
	{ "{\"time\":\"1.5\",\"direction\":\"in\",\"monitor\":2,\"message\":1}", NULL },
	{ "{\"time\":1.5,\"monitor\":2,\"message\":1}", NULL },
	{ "{\"time\":1.5,\"direction\":\"in\",\"monitor\":2}", NULL },
	{ "[1.5,\"in\",2,{}]", NULL },
	{ "1.5", NULL },
	{ "\xff\xfe\x01garbage", NULL },
	{ "{\"time\":1.5,\"direction\":\"in\",\"monitor\":2,\"message\":\"\xff\"}", NULL },
	{ "{\"time\":1.5,\"direction\":\"in\",\"monitor\":2,\"message\":1}}", NULL },
};

START_TEST(strange_lines)
{
	_cleanup_free_ char *text = NULL;

	append("web.trace", lines[_i].line, strlen(lines[_i].line));
	append("web.trace", "\n\0\n\n", 4);
	put(true, 9, "A", "{}");
	ck_assert_uint_eq(read_since(0, NULL), lines[_i].entry ? 2 : 1);
	ck_assert_int_eq(id_of(lines[_i].entry ? 1 : 0), 9);
	if (lines[_i].entry) {
		text = json_print(entry(0));
		ck_assert_str_eq(text, lines[_i].entry);
	}
}
END_TEST

/* One that is longer than any of ours is read in part, and soon its turn is over. */
START_TEST(foreign_file)
{
	_cleanup_free_ char *zeros = xcalloc(3, TRACE_FILE_MAX);

	append("web.trace", zeros, (size_t)3 * TRACE_FILE_MAX);
	ck_assert_uint_eq(read_since(0, NULL), 0);
	put(true, 1, "A", "{}");
	ck_assert_int_le(size_of("web.trace"), TRACE_FILE_MAX);
	ck_assert_uint_eq(read_since(0, NULL), 1);
}
END_TEST

/* Neither waited for nor followed. */
START_TEST(no_file)
{
	_cleanup_err_ struct err *e = NULL;

	if (_i == 0)
		ck_assert_int_eq(mkfifoat(w.dir, "web.trace", 0600), 0);
	else if (_i == 1)
		ck_assert_int_eq(symlinkat("other", w.dir, "web.trace"), 0);
	else
		ck_assert_int_eq(mkdirat(w.dir, "web.trace", 0700), 0);
	put(true, 1, "A", "{}");
	put(true, 2, "A", "{}");
	ck_assert(!trace_read(w.dir, "web", 0, NULL, &w.list, &e));
	ck_assert_ptr_nonnull(strstr(e->desc, "web.trace"));
	ck_assert_int_lt(faccessat(w.dir, "other", F_OK, 0), 0);
}
END_TEST

static unsigned count(const char *text, const char *word)
{
	unsigned n = 0;

	for (const char *p = text; (p = strstr(p, word)); p++)
		n++;
	return n;
}

/* What is written to stderr from here on; a pipe, which no limit of a file's size holds for. */
static int catch_log(void)
{
	int fds[2];

	ck_assert_int_eq(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
	ck_assert_int_ge(dup2(fds[1], STDERR_FILENO), 0);
	close(fds[1]);
	return fds[0];
}

/* It is told of once, and goes on when there is room. */
START_TEST(full_disk)
{
	_cleanup_close_ int log = catch_log();
	struct rlimit was, limit;
	char said[4096] = "";

	signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &was), 0);
	put(true, 1, "A", "{}");
	limit = (struct rlimit){ (rlim_t)size_of("web.trace") + 30, was.rlim_max };
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	put(true, 2, "A", "{}");
	ck_assert_int_eq(size_of("web.trace"), (off_t)limit.rlim_cur); /* a part of it */
	put(true, 3, "A", "{}");
	ck_assert_uint_eq(read_since(0, NULL), 1);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &was), 0);
	put(true, 4, "A", "{}");
	put(true, 5, "A", "{}");
	ck_assert_uint_eq(read_since(0, NULL), 3);
	ck_assert_int_eq(id_of(1), 4);
	ck_assert_int_gt(read(log, said, sizeof(said) - 1), 0);
	ck_assert_msg(count(said, "web.trace") == 1, "%s", said);
}
END_TEST

/* ---- secrets ---- */

#define SECRET "hunter2"

static const struct {
	bool sent;
	const char *name, *message, *kept;
} secrets[] = {
	{ true, "set_password", "{'arguments':{'protocol':'vnc','password':'" SECRET "'}}",
	  "{'arguments':{'protocol':'vnc','password':'***'}}" },
	{ true, "expire_password", "{'arguments':{'protocol':'vnc','time':'+30'}}",
	  "{'arguments':{'protocol':'vnc','time':'+30'}}" },
	{ true, "change-vnc-password", "{'execute':'change-vnc-password','arguments':{'password':'" SECRET "'},'id':4}",
	  "{'execute':'change-vnc-password','arguments':{'password':'***'},'id':4}" },
	{ true, "change", "{'arguments':{'device':'vnc','target':'password','arg':'" SECRET "'}}",
	  "{'arguments':{'device':'vnc','target':'password','arg':'***'}}" },
	{ true, "block_passwd", "{'arguments':{'password':{'x':'" SECRET "'}}}", "{'arguments':{'password':'***'}}" },
	{ true, "object-add", "{'arguments':{'qom-type':'secret','id':'s','data':'" SECRET "'}}",
	  "{'arguments':{'qom-type':'secret','id':'s','data':'***'}}" },
	{ true, "object-add",
	  "{'arguments':{'qom-type':'secret','id':'s','props':{'data':'" SECRET "','format':'raw'}}}",
	  "{'arguments':{'qom-type':'secret','id':'s','props':{'data':'***','format':'raw'}}}" },
	{ true, "qom-set", "{'arguments':{'path':'/objects/s','property':'data','value':'" SECRET "'}}",
	  "{'arguments':{'path':'/objects/s','property':'data','value':'***'}}" },
	{ true, "qom-set", "{'arguments':{'value':4096}}", "{'arguments':{'value':4096}}" },
	{ false, "qom-get", "{'return':'" SECRET "','id':3}", "{'return':'***','id':3}" },
	{ false, "qom-get", "{'return':17}", "{'return':17}" },
	{ true, "human-monitor-command", "{'arguments':{'command-line':'set_password vnc " SECRET "'}}",
	  "{'arguments':{'command-line':'***'}}" },
	{ true, "human-monitor-command", "{'arguments':{'command-line':'info block'}}",
	  "{'arguments':{'command-line':'info block'}}" },
	{ true, "send-key", "{'arguments':{'keys':[{'type':'qcode','data':'" SECRET "'}]}}",
	  "{'arguments':{'keys':'***'}}" },
	{ true, "blockdev-add", "{'arguments':{'file':[{'driver':'https','cookie':'" SECRET "'}]}}",
	  "{'arguments':{'file':[{'driver':'https','cookie':'***'}]}}" },
	{ true, "transaction", "{'arguments':{'actions':[{'type':'abort','data':{'x':1}}]}}",
	  "{'arguments':{'actions':[{'type':'abort','data':{'x':1}}]}}" },
};

static char *quoted(const char *text)
{
	char *copy = xstrdup(text);

	for (char *p = copy; *p; p++)
		if (*p == '\'')
			*p = '"';
	return copy;
}

START_TEST(secrets_are_blanked)
{
	_cleanup_free_ char *message = quoted(secrets[_i].message), *kept = quoted(secrets[_i].kept), *text = NULL,
			    *file = NULL;
	_cleanup_json_ struct json_object *o = parse(message);
	_cleanup_free_ char *before = json_print(o), *after = NULL;
	struct qmp_message m = { secrets[_i].sent, o, secrets[_i].name, 1, secrets[_i].sent ? -1 : 0, NULL, false };
	struct json_object *value = NULL;

	trace_put(w.trace, 1, &m);
	after = json_print(o);
	ck_assert_str_eq(before, after); /* that one still goes to QEMU */
	ck_assert_uint_eq(read_since(0, NULL), 1);
	ck_assert(json_object_object_get_ex(entry(0), "message", &value));
	text = json_print(value);
	ck_assert_str_eq(text, kept);
	file = both();
	ck_assert_ptr_null(strstr(file, SECRET));
}
END_TEST

/* ---- names ---- */

static char *found;

static void note(const char *name, void *data)
{
	char *longer = xasprintf("%s %s", found, name);

	free(found);
	found = longer;
}

START_TEST(follows_its_instance)
{
	put(true, 1, "A", "{}");
	append("web.trace.1", "", 0);
	append("web.log", "", 0);
	append("webb.trace", "", 0);
	logs_rename(w.dir, "web", "new");
	found = xstrdup("");
	ck_assert(file_list(w.dir, note, NULL, NULL));
	ck_assert_str_eq(found, " new.log new.trace new.trace.1 webb.trace");
	ck_assert(trace_read(w.dir, "new", 0, NULL, &w.list, NULL));
	ck_assert_uint_eq(json_object_array_length(w.list), 1);
	logs_remove(w.dir, "new");
	strcpy(found, "");
	ck_assert(file_list(w.dir, note, NULL, NULL));
	ck_assert_str_eq(found, " webb.trace");
	free(found);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("trace");
	TCase *tc = tcase_create("trace");
	SRunner *runner;
	int failed;

	suite_add_tcase(suite, tc);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, members);
	tcase_add_test(tc, wrap_around);
	tcase_add_test(tc, since_and_operation);
	tcase_add_test(tc, long_and_deep);
	tcase_add_test(tc, half_a_line);
	tcase_add_loop_test(tc, strange_lines, 0, ARRAY_SIZE(lines));
	tcase_add_test(tc, foreign_file);
	tcase_add_loop_test(tc, no_file, 0, 3);
	tcase_add_test(tc, full_disk);
	tcase_add_loop_test(tc, secrets_are_blanked, 0, ARRAY_SIZE(secrets));
	tcase_add_test(tc, follows_its_instance);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
