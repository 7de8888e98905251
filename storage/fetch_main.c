/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * drover-fetch: speaks to servers of images for droverd, and ends.
 *
 *   drover-fetch --check URL [UID,GID[,GID]…]
 *   drover-fetch --reach nbd|any HOST:PORT|/SOCKET MILLISECONDS [UID,GID[,GID]…]
 *
 * prints one line of JSON, {"error": "…", "class": "NetworkError" or "StorageError"} or what follows, and ends with 0.
 *
 * The first says {"size": BYTES, "ranges": BOOL}. It asks as QEMU's own driver will (a HEAD, redirects followed, certificates
 * checked, the proxies of the environment), so that what it is told QEMU is told as well. It is given no credentials and looks
 * for none. The second says {"reached": true} when a connection has come about in time and, of nbd, the server has greeted.
 * Nothing is sent.
 *
 * Run by root it becomes UID, without any group but these, before it does anything else: it can be started from where
 * that user cannot look. It then limits itself: no new privileges, no files written, no core, little memory and time; http
 * and https only, wherever a server points to.
 */
#include "base/json.h"

#include <curl/curl.h>
#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum {
	EXIT_USAGE = 2,
	CONNECT_S = 10,
	TOTAL_S = 20,
	REDIRECTS_MAX = 5,
	CPU_S = 10,
	FILES_MAX = 64,
	URL_MAX = 8192,
	IDS_MAX = 18
};
enum { GREETING = 16 }; /* of NBD: a word that all have, and one of eight bytes that says which kind */
#define MEMORY_MAX ((rlim_t)512 << 20)

static void limit(int resource, rlim_t value)
{
	struct rlimit l = { value, value };

	if (setrlimit((__rlimit_resource_t)resource, &l) < 0) {
		perror("drover-fetch: cannot limit itself");
		exit(1);
	}
}

/* "UID,GID[,GID]…": how many numbers there are; 0: it is something else. */
static int read_ids(const char *text, gid_t *ids)
{
	int n = 0;

	for (char *end; n < IDS_MAX; text = end + 1) {
		ids[n++] = (gid_t)strtoul(text, &end, 10);
		if (end == text || (*end && *end != ','))
			return 0;
		if (!*end)
			return n < 2 ? 0 : n;
	}
	return 0;
}

/* With the uid go all capabilities. */
static void become(const char *user)
{
	gid_t ids[IDS_MAX], gid;
	int n = read_ids(user, ids);
	uid_t uid;

	if (n == 0) {
		fprintf(stderr, "drover-fetch: '%s' is no user\n", user);
		exit(EXIT_USAGE);
	}
	uid = ids[0];
	gid = ids[1];
	if (setgroups((size_t)n - 2, ids + 2) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0) {
		perror("drover-fetch: cannot become another user");
		exit(1);
	}
}

static void confine(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL); /* the kernel forgets it when ids change */
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	prctl(PR_SET_DUMPABLE, 0);
	limit(RLIMIT_CORE, 0);
	limit(RLIMIT_FSIZE, 0);
	limit(RLIMIT_CPU, CPU_S);
	limit(RLIMIT_NOFILE, FILES_MAX);
#ifndef __SANITIZE_ADDRESS__ /* its shadow is larger than any limit */
	limit(RLIMIT_AS, MEMORY_MAX);
#endif
}

/* Of each answer on the way; the last one's counts. */
static size_t on_header(char *line, size_t size, size_t n, void *data)
{
	static const char status[] = "HTTP/", name[] = "accept-ranges:";
	size_t length = size * n;
	bool *ranges = data;

	if (length >= strlen(status) && strncmp(line, status, strlen(status)) == 0)
		*ranges = false;
	if (length > strlen(name) && strncasecmp(line, name, strlen(name)) == 0) {
		const char *p = line + strlen(name), *end = line + length;

		while (p < end && (*p == ' ' || *p == '\t'))
			p++;
		*ranges = end - p >= 5 && strncasecmp(p, "bytes", 5) == 0;
	}
	return length;
}

static void fail(struct json_object *o, const char *class, const char *fmt, ...) _printf_(3, 4);
static void fail(struct json_object *o, const char *class, const char *fmt, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	for (char *c = text; *c; c++)
		if ((unsigned char)*c < ' ' || (unsigned char)*c >= 127)
			*c = '?';
	json_add_str(o, "error", text);
	json_add_str(o, "class", class);
}

/* What a redirect led to that is not spoken is the server's doing. */
static const char *class_of(CURLcode code)
{
	return code == CURLE_UNSUPPORTED_PROTOCOL || code == CURLE_TOO_MANY_REDIRECTS || code == CURLE_URL_MALFORMAT ?
		       "StorageError" :
		       "NetworkError";
}

static void prepare(CURL *curl, const char *url, char *words, bool *ranges)
{
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
	curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
	curl_easy_setopt(curl, CURLOPT_MAXREDIRS, (long)REDIRECTS_MAX);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_S);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)TOTAL_S);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, words);
	curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(curl, CURLOPT_HEADERDATA, ranges);
}

static void check(CURL *curl, const char *url, struct json_object *o)
{
	char words[CURL_ERROR_SIZE] = "";
	curl_off_t size = -1;
	bool ranges = false;
	long status = 0;
	CURLcode code;

	prepare(curl, url, words, &ranges);
	code = curl_easy_perform(curl);
	if (code != CURLE_OK) {
		fail(o, class_of(code), "%s", *words ? words : curl_easy_strerror(code));
		return;
	}
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &size);
	if (status < 200 || status > 299) {
		fail(o, "StorageError", "the server answered %ld", status);
		return;
	}
	if (size >= 0)
		json_add_int(o, "size", size);
	json_add_bool(o, "ranges", ranges);
}

/* ---- servers that are no web servers ---- */

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void prepare_reach(CURL *curl, const char *where, long ms, char *words)
{
	bool local = *where == '/';
	_cleanup_free_ char *url = xasprintf("http://%s/", local ? "localhost" : where);

	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http");
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_CONNECT_ONLY, 1L); /* so http says nothing */
	curl_easy_setopt(curl, CURLOPT_PROXY, "");
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, ms);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, words);
	if (local)
		curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, where);
}

static void explain(CURL *curl, CURLcode code, const char *words, long ms, struct json_object *o)
{
	long number = 0;

	curl_easy_getinfo(curl, CURLINFO_OS_ERRNO, &number);
	if (code == CURLE_OPERATION_TIMEDOUT)
		fail(o, "StorageError", "no connection to the server came about within %g s", (double)ms / 1000);
	else if (code == CURLE_COULDNT_CONNECT)
		fail(o, "StorageError", "cannot connect to the server: %s",
		     number ? strerror((int)number) : "it takes no more, or closed the connection at once");
	else
		fail(o, "StorageError", "cannot connect to the server: %s", *words ? words : curl_easy_strerror(code));
}

/* False: it has not come by UNTIL, or not all of it; O then says so. */
static bool receive(CURL *curl, char *to, int64_t until, struct json_object *o)
{
	struct pollfd p = { .fd = -1, .events = POLLIN };
	curl_socket_t fd = -1;

	curl_easy_getinfo(curl, CURLINFO_ACTIVESOCKET, &fd);
	p.fd = fd;
	for (size_t n = 0, got; n < GREETING; n += got) {
		CURLcode code = curl_easy_recv(curl, to + n, GREETING - n, &got);
		int64_t left = until - now_ms();

		if (code == CURLE_AGAIN && left > 0) {
			got = 0;
			poll(&p, 1, (int)left);
			continue;
		}
		if (code == CURLE_AGAIN)
			fail(o, "StorageError", "the server took the connection and did not greet in time");
		else if (code != CURLE_OK)
			fail(o, "StorageError", "the connection broke before the server had greeted");
		else if (got == 0)
			fail(o, "StorageError", "the server closed the connection before it had greeted");
		else
			continue;
		return false;
	}
	return true;
}

static void reach(CURL *curl, bool nbd, const char *where, long ms, struct json_object *o)
{
	static const char magic[] = "NBDMAGIC";
	char words[CURL_ERROR_SIZE] = "", greeting[GREETING];
	int64_t until = now_ms() + ms;
	CURLcode code;

	prepare_reach(curl, where, ms, words);
	code = curl_easy_perform(curl);
	if (code != CURLE_OK) {
		explain(curl, code, words, ms, o);
		return;
	}
	if (nbd && !receive(curl, greeting, until, o))
		return;
	if (nbd && memcmp(greeting, magic, strlen(magic)) != 0)
		fail(o, "StorageError", "what answers there does not speak NBD");
	else
		json_add_bool(o, "reached", true);
}

/* What it is to do, of its arguments. */
struct task {
	const char *what; /* a URL, a server */
	const char *user;
	bool reach, nbd;
	long ms;
};

static bool read_task(int argc, char **argv, struct task *ret)
{
	enum { CHECK_ARGS = 3, REACH_ARGS = 5, MS_MAX = 600000 };
	int n;

	*ret = (struct task){ .reach = argc > 1 && str_eq(argv[1], "--reach") };
	n = ret->reach ? REACH_ARGS : CHECK_ARGS;
	if (argc < n || argc > n + 1 || !(ret->reach || str_eq(argv[1], "--check")))
		return false;
	ret->what = argv[ret->reach ? 3 : 2];
	ret->user = argv[n];
	ret->nbd = ret->reach && str_eq(argv[2], "nbd");
	ret->ms = ret->reach ? strtol(argv[4], NULL, 10) : 1;
	return strlen(ret->what) <= URL_MAX && ret->ms > 0 && ret->ms <= MS_MAX;
}

int main(int argc, char **argv)
{
	_cleanup_json_ struct json_object *o = json_object_new_object();
	_cleanup_free_ char *text = NULL;
	struct task task;
	CURL *curl;

	if (!read_task(argc, argv, &task)) {
		fprintf(stderr, "drover-fetch is run by droverd only\n");
		return EXIT_USAGE;
	}
	if (task.user)
		become(task.user);
	confine();
	curl_global_init(CURL_GLOBAL_DEFAULT);
	curl = curl_easy_init();
	if (!curl)
		fail(o, "StorageError", "libcurl cannot be used");
	else if (task.reach)
		reach(curl, task.nbd, task.what, task.ms, o);
	else
		check(curl, task.what, o);
	curl_easy_cleanup(curl);
	curl_global_cleanup();
	text = json_print(o);
	puts(text);
	return fflush(stdout) == 0 ? 0 : 1;
}
