/* SPDX-License-Identifier: BSD-2-Clause */
/* `drover stats --prometheus`: the text, to the letter and by Prometheus' rules, and what else names the metrics. */
#include "cli/metrics.h"
#include "cli/verbs.h"

#include "base/file.h"

#include <check.h>
#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static struct json_object *parse(const char *text)
{
	struct json_object *o = NULL;

	ck_assert_msg(json_parse(text, strlen(text), &json_limits_qemu, &o, NULL), "%s", text);
	return o;
}

/* The caller's. */
static char *print(const char *version, const char *instances, const char *stats)
{
	_cleanup_json_ struct json_object *v = version ? parse(version) : NULL, *i = parse(instances),
					  *s = parse(stats);
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	metrics_print(f, v, i, s);
	fclose(f);
	return text;
}

static char *read_source(const char *name)
{
	char *text = NULL;
	_cleanup_err_ struct err *e = NULL;
	_cleanup_free_ char *path = xasprintf("%s/%s", SOURCE, name);

	ck_assert_msg(file_read(AT_FDCWD, path, FILE_MAX, &text, NULL, &e), "%s", e ? e->desc : "");
	return text;
}

#define GOLDEN "tests/unit/golden/metrics.prom"

/* The text is long: the first line that differs is told. */
static void check_golden(const char *text)
{
	_cleanup_free_ char *golden = read_source(GOLDEN);
	const char *expected = golden;

	while (*text || *expected) {
		size_t n = strcspn(text, "\n"), m = strcspn(expected, "\n");

		ck_assert_msg(n == m && strncmp(text, expected, n) == 0, "'%.*s' instead of '%.*s'", (int)n, text,
			      (int)m, expected);
		text += n + (text[n] == '\n');
		expected += m + (expected[m] == '\n');
	}
}

/* ---- Prometheus' rules ---- */

static size_t name_length(const char *text)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_:0123456789";

	return isdigit((unsigned char)*text) ? 0 : strspn(text, letters);
}

/* Behind the labels at P, which may be none; NULL if they are not well-formed. */
static const char *skip_labels(const char *p)
{
	if (*p != '{')
		return p;
	do {
		size_t n = name_length(++p);

		if (!n || strncmp(p + n, "=\"", 2) != 0)
			return NULL;
		for (p += n + 2; *p != '"'; p++) {
			if (*p == '\n' || !*p)
				return NULL;
			if (*p == '\\' && !strchr("\\\"n", *++p))
				return NULL;
		}
		p++;
	} while (*p == ',');
	return *p == '}' ? p + 1 : NULL;
}

static bool ends_with(const char *text, size_t len, const char *end)
{
	return len >= strlen(end) && strncmp(text + len - strlen(end), end, strlen(end)) == 0;
}

/* Each family once, with a HELP and a TYPE before its samples, which are all of it; no series twice; names that say what
 * a counter is. */
static void check_rules(const char *text)
{
	_cleanup_free_ char *copy = xstrdup(text), *seen = xstrdup("\n"), *family = xstrdup("");
	bool counter = false;

	ck_assert(!*text || text[strlen(text) - 1] == '\n');
	for (char *rest = copy, *line; (line = strsep(&rest, "\n")) && *line;) {
		_cleanup_free_ char *series = NULL, *before = seen;
		const char *p = line;
		char *end = NULL;
		size_t n;

		if (str_starts(line, "# HELP ") || str_starts(line, "# TYPE ")) {
			bool help = str_starts(line, "# HELP ");

			p = line + strlen("# HELP ");
			n = name_length(p);
			ck_assert_msg(p[n] == ' ' && p[n + 1], "%s", line);
			if (!help) {
				counter = str_eq(p + n + 1, "counter");
				ck_assert_msg(strncmp(family, p, n) == 0 && !family[n], "TYPE without HELP: %s", line);
				ck_assert_msg(counter == ends_with(p, n, "_total"), "%s", line);
			}
			free(family);
			family = xstrndup(p, n);
			series = xstrndup(line, strlen("# HELP ") + n);
		} else {
			n = name_length(p);
			ck_assert_msg(strncmp(family, p, n) == 0 && !family[n], "no HELP before: %s", line);
			p = skip_labels(p + n);
			ck_assert_msg(p && *p == ' ', "%s", line);
			strtod(p + 1, &end);
			ck_assert_msg(end && end != p + 1 && !*end, "%s", line);
			series = xstrndup(line, (size_t)(p - line));
		}
		_cleanup_free_ char *within = xasprintf("\n%s\n", series);

		ck_assert_msg(!strstr(seen, within), "twice: %s", line);
		seen = xasprintf("%s%s\n", before, series);
	}
}

/* The judge itself, where the host has it. */
static void ask_promtool(const char *text)
{
	FILE *f;

	if (system("command -v promtool > /dev/null 2>&1") != 0)
		return;
	f = popen("promtool check metrics", "w");
	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	ck_assert_int_eq(pclose(f), 0);
}

/* ---- the text ---- */

#define VERSION "{\"qemu\":{\"major\":0,\"minor\":1,\"micro\":0},\"package\":\"drover-0.1.0\"}"
#define WEB "\"name\":\"web1\",\"uuid\":\"5f1c2f0e-8a55-4a6e-9f53-0c2b6a1d9e10\""

static const char instances[] =
	"[{\"name\":\"db\",\"uuid\":\"0c2b6a1d-8a55-4a6e-9f53-5f1c2f0e9e10\",\"state\":\"shutoff\",\"reason\":"
	"\"never\","
	"\"since\":1790000000,\"vcpus\":1,\"memory\":134217728,\"pending\":false},"
	"{" WEB ",\"state\":\"running\",\"since\":1790000000.25,\"monitor\":\"ok\",\"pid\":4711,\"vcpus\":2,"
	"\"memory\":536870912,\"pending\":true}]";

static const char stats[] =
	"[{" WEB ",\"stale\":false,\"as-of\":1790000400.125,\"cpu\":{\"time\":12.34,\"vcpus\":[{\"id\":0,\"time\":5.5},"
	"{\"id\":1,\"time\":6}]},\"memory\":{\"resident\":98304000,\"wanted\":536870912,\"actual\":536870912},"
	"\"disks\":[{\"uuid\":\"u0\",\"name\":\"disk0\",\"read-bytes\":4096,\"read-ops\":1,\"write-bytes\":8192,"
	"\"write-ops\":2,\"flush-ops\":0}],\"nics\":[{\"uuid\":\"n0\",\"name\":\"nic0\",\"rx-bytes\":9007199254740993,"
	"\"rx-packets\":10,\"tx-bytes\":700,\"tx-packets\":7},{\"uuid\":\"n1\",\"name\":\"nic1\"}]}]";

START_TEST(golden)
{
	_cleanup_free_ char *text = print(VERSION, instances, stats);
	FILE *f;

	if (getenv("DROVER_GOLDEN")) {
		f = fopen(SOURCE "/" GOLDEN, "we");
		ck_assert_ptr_nonnull(f);
		fputs(text, f);
		fclose(f);
	}
	check_golden(text);
	check_rules(text);
	ask_promtool(text);
}
END_TEST

START_TEST(no_daemon)
{
	_cleanup_free_ char *text = print(NULL, "[]", "[]");

	ck_assert_str_eq(text, "# HELP drover_up Whether droverd answered.\n# TYPE drover_up gauge\ndrover_up 0\n");
}
END_TEST

/* One that does not answer, and one that never has. */
START_TEST(stale)
{
	_cleanup_free_ char *text = print(VERSION, "[]",
					  "[{" WEB ",\"stale\":true,\"as-of\":5.5,\"cpu\":{\"time\":1}},"
					  "{\"name\":\"new\",\"uuid\":\"u\",\"stale\":true}]");

	check_rules(text);
	ck_assert_ptr_nonnull(strstr(text, "drover_instance_stats_stale{name=\"new\",uuid=\"u\"} 1\n"));
	ck_assert_ptr_nonnull(strstr(text, "e10\"} 5.5\n"));
	ck_assert_ptr_null(strstr(text, "drover_instance_cpu_seconds_total{name=\"new\""));
}
END_TEST

/* Names that others chose, names that are taken twice, states of a later daemon, records nobody can read. */
START_TEST(strange)
{
	_cleanup_free_ char *text = print(
		VERSION,
		"[{\"name\":\"bad\",\"state\":\"nostate\",\"error\":{\"class\":\"GenericError\"}},"
		"{\"name\":\"a\\\"b\\\\c\\nd\",\"state\":\"hovering\",\"since\":\"now\",\"vcpus\":null,\"memory\":[1]}"
		"]",
		"[{\"name\":\"w\",\"uuid\":\"u\",\"disks\":[{\"uuid\":\"one\",\"name\":\"d\\\"\",\"read-bytes\":1},"
		"{\"uuid\":\"two\",\"name\":\"d\\\"\",\"read-bytes\":2},{\"read-bytes\":3},7],"
		"\"cpu\":{\"time\":\"much\",\"vcpus\":{\"id\":1}}}]");

	check_rules(text);
	ask_promtool(text);
	ck_assert_ptr_nonnull(strstr(text, "drover_instance_unreadable{name=\"bad\"} 1\n"));
	ck_assert_ptr_nonnull(strstr(text, "drover_instance_state{name=\"a\\\"b\\\\c\\nd\",state=\"hovering\"} 1\n"));
	ck_assert_ptr_nonnull(strstr(text, "_read_bytes_total{name=\"w\",uuid=\"u\",device=\"d\\\"\"} 1\n"));
	ck_assert_ptr_nonnull(strstr(text, "_read_bytes_total{name=\"w\",uuid=\"u\",device=\"two\"} 2\n"));
	ck_assert_ptr_null(strstr(text, "} 3\n"));
	ck_assert_ptr_null(strstr(text, "cpu_seconds"));
	ck_assert_ptr_null(strstr(text, "_vcpus"));
}
END_TEST

START_TEST(not_the_shapes)
{
	static const char *const odd[] = { "7", "null", "{}", "[7,null,[],\"x\"]", "[{}]", "[{\"name\":7}]" };

	for (size_t i = 0; i < ARRAY_SIZE(odd); i++) {
		_cleanup_free_ char *text = print("7", odd[i], odd[i]);

		ck_assert_msg(strstr(text, "drover_up 1\n") && !strchr(text, '{'), "%s", text);
	}
}
END_TEST

/* ---- the verb ---- */

#define GREETING "{\"QMP\":{\"version\":{},\"capabilities\":[]}}\r\n{\"return\":{},\"id\":1}\r\n"

/* Runs `drover stats --prometheus ARGS` beside a daemon that says REPLIES; its exit status. What went to stdout is
 * *OUT, the caller's; what was asked, ASKED. */
static int run(const char *replies, const char *const *more, char **out, char asked[static 1024])
{
	const char *argv[8] = { "drover", "stats", "--prometheus" };
	_cleanup_close_ int file = memfd_create("out", MFD_CLOEXEC), was = dup(STDOUT_FILENO),
			    quiet = dup(STDERR_FILENO);
	_cleanup_close_ int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	struct cli cli = { 0 };
	int argc = 3, fds[2], status;
	off_t len;

	for (; *more; more++)
		argv[argc++] = *more;
	ck_assert(args_parse(cli_verbs, argc, (char **)(uintptr_t)argv, &cli.args, NULL));
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	ck_assert_int_eq(write(fds[1], replies, strlen(replies)), (ssize_t)strlen(replies));
	ck_assert_int_eq(shutdown(fds[1], SHUT_WR), 0);
	cli.client = client_new(fds[0], "/socket", NULL);
	ck_assert_ptr_nonnull(cli.client);
	fflush(stdout);
	ck_assert(dup2(file, STDOUT_FILENO) >= 0 && dup2(null, STDERR_FILENO) >= 0);
	status = cli.args.verb->run(&cli);
	fflush(stdout);
	dup2(was, STDOUT_FILENO);
	dup2(quiet, STDERR_FILENO);
	memset(asked, 0, 1024);
	ck_assert_int_gt(read(fds[1], asked, 1023), 0);
	close(fds[1]);
	cli_clear(&cli);
	len = lseek(file, 0, SEEK_END);
	*out = xcalloc((size_t)len + 1, 1);
	ck_assert_int_eq(pread(file, *out, (size_t)len, 0), len);
	return status;
}

START_TEST(verb)
{
	_cleanup_free_ char *replies = xasprintf(GREETING "{\"return\":%s,\"id\":2}\r\n{\"return\":%s,\"id\":3}\r\n"
							  "{\"return\":%s,\"id\":4}\r\n",
						 VERSION, instances, stats);
	_cleanup_free_ char *out = NULL, *named = NULL;
	char asked[1024];

	ck_assert_int_eq(run(replies, (const char *const[]){ NULL }, &out, asked), 0);
	check_golden(out);
	ck_assert_int_eq(run(replies, (const char *const[]){ "web1", NULL }, &named, asked), 0);
	ck_assert_msg(strstr(asked, "\"query-instances\",\"arguments\":{\"instances\":[\"web1\"]}"), "%s", asked);
	ck_assert_msg(strstr(asked, "\"query-stats\",\"arguments\":{\"instances\":[\"web1\"]}"), "%s", asked);
}
END_TEST

/* Half-way, the daemon dies: nothing of the first half is told. A name that is wrong says nothing of the daemon. */
START_TEST(verb_fails)
{
	_cleanup_free_ char *half = xasprintf(GREETING "{\"return\":%s,\"id\":2}\r\n{\"return\":%s,\"id\":3}\r\n",
					      VERSION, instances);
	_cleanup_free_ char *wrong = xasprintf(GREETING
					       "{\"return\":%s,\"id\":2}\r\n{\"error\":{\"class\":\"NotFound\","
					       "\"desc\":\"no\"},\"id\":3}\r\n",
					       VERSION);
	_cleanup_free_ char *out = NULL, *none = NULL;
	char asked[1024];

	ck_assert_int_eq(run(half, (const char *const[]){ NULL }, &out, asked), 19);
	ck_assert_msg(strstr(out, "\ndrover_up 0\n") && !strstr(out, "web1"), "%s", out);
	ck_assert_int_eq(run(wrong, (const char *const[]){ "nope", NULL }, &none, asked), 3);
	ck_assert_str_eq(none, "");
}
END_TEST

static unsigned entries;

static void count_entry(const char *name, void *data)
{
	entries++;
}

/* Readable by everybody, whole, and alone; also in place of a link, which is not followed. */
START_TEST(verb_writes)
{
	_cleanup_free_ char *replies = xasprintf(GREETING "{\"return\":%s,\"id\":2}\r\n{\"return\":%s,\"id\":3}\r\n"
							  "{\"return\":%s,\"id\":4}\r\n",
						 VERSION, instances, stats);
	_cleanup_free_ char *out = NULL, *text = NULL;
	_cleanup_free_ char *refused = NULL, *path = NULL;
	char dir[] = "/tmp/metrics-XXXXXX", asked[1024];
	_cleanup_close_ int fd = -1;
	struct stat st;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	path = xasprintf("%s/drover.prom", dir);
	ck_assert_int_eq(symlink("/dev/full", path), 0);
	umask(022);
	ck_assert_int_eq(run(replies, (const char *const[]){ "--output", path, NULL }, &out, asked), 0);
	ck_assert_str_eq(out, "");
	ck_assert_int_eq(lstat(path, &st), 0);
	ck_assert_int_eq(st.st_mode, S_IFREG | 0644);
	fd = file_open_dir(AT_FDCWD, dir, NULL);
	ck_assert(file_read(fd, "drover.prom", FILE_MAX, &text, NULL, NULL));
	check_golden(text);
	ck_assert(file_list(fd, count_entry, NULL, NULL));
	ck_assert_uint_eq(entries, 1);
	ck_assert(file_remove_tree(AT_FDCWD, dir, NULL));
	ck_assert_int_eq(run(replies, (const char *const[]){ "--output", path, NULL }, &refused, asked), 3);
}
END_TEST

/* ---- who else names them ---- */

START_TEST(documented)
{
	_cleanup_free_ char *doc = read_source("docs/METRICS.md"), *table = NULL;
	size_t len;
	FILE *f = open_memstream(&table, &len);

	fputs("| metric | type | labels | meaning |\n| --- | --- | --- | --- |\n", f);
	for (const struct metric *m = metrics; m->name; m++)
		fprintf(f, "| `%s` | %s | %s | %s |\n", m->name, m->counter ? "counter" : "gauge", metric_labels(m),
			m->help);
	fputs("\n", f);
	fclose(f);
	ck_assert_msg(strstr(doc, table) != NULL, "docs/METRICS.md has another table than:\n%s", table);
}
END_TEST

static bool is_metric(const char *name, size_t n)
{
	for (const struct metric *m = metrics; m->name; m++)
		if (strlen(m->name) == n && strncmp(m->name, name, n) == 0)
			return true;
	return false;
}

/* The texts of a dashboard that Prometheus is to read name nothing that is not there; and all are shown somewhere. */
START_TEST(dashboard)
{
	_cleanup_free_ char *text = read_source("docs/grafana/drover.json");
	_cleanup_json_ struct json_object *o = parse(text);
	unsigned named = 0;

	ck_assert_ptr_nonnull(json_get_typed(o, "panels", json_type_array));
	for (const char *p = text; (p = strstr(p, "drover_"));) {
		size_t n = name_length(p);

		ck_assert_msg(is_metric(p, n), "no metric %.*s", (int)n, p);
		named++;
		p += n;
	}
	ck_assert_uint_gt(named, 0);
	for (const struct metric *m = metrics; m->name; m++)
		ck_assert_msg(strstr(text, m->name) != NULL, "%s is not shown", m->name);
	/* two hosts may have guests of one name */
	ck_assert_ptr_null(strstr(text, "by (name"));
}
END_TEST

int main(void)
{
	const TTest *const tests[] = { golden, no_daemon,  stale,       strange,    not_the_shapes,
				       verb,   verb_fails, verb_writes, documented, dashboard };
	Suite *suite = suite_create("drover stats --prometheus");
	TCase *tc = tcase_create("metrics");
	SRunner *runner;
	int failed;

	suite_add_tcase(suite, tc);
	for (size_t i = 0; i < ARRAY_SIZE(tests); i++)
		tcase_add_test(tc, tests[i]);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
