/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * drover-fetch: speaks to web servers for droverd, and ends.
 *
 *   drover-fetch --check URL [UID,GID]
 *
 * prints one line of JSON: {"size": BYTES, "ranges": BOOL}, or {"error": "…", "class": "NetworkError" or "StorageError"}, and ends
 * with 0. It asks as QEMU's own driver will (a HEAD, redirects followed, certificates checked, the proxies of the
 * environment), so that what it is told QEMU is told as well. It is given no credentials and looks for none.
 *
 * Run by root it becomes UID, without any group but GID, before it does anything else: it can be started from where
 * that user cannot look. It then limits itself: no new privileges, no files written, no core, little memory and time; http
 * and https only, wherever a server points to.
 */
#include "base/json.h"

#include <curl/curl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

enum { EXIT_USAGE = 2, CONNECT_S = 10, TOTAL_S = 20, REDIRECTS_MAX = 5, CPU_S = 10, FILES_MAX = 64, URL_MAX = 8192 };
#define MEMORY_MAX ((rlim_t)512 << 20)

static void limit(int resource, rlim_t value)
{
	struct rlimit l = { value, value };

	if (setrlimit((__rlimit_resource_t)resource, &l) < 0) {
		perror("drover-fetch: cannot limit itself");
		exit(1);
	}
}

/* With the uid go all capabilities. */
static void become(const char *user)
{
	char *comma, *end;
	uid_t uid = (uid_t)strtoul(user, &comma, 10);
	gid_t gid = (gid_t)strtoul(*comma == ',' ? comma + 1 : comma, &end, 10);

	if (comma == user || *comma != ',' || end == comma + 1 || *end) {
		fprintf(stderr, "drover-fetch: '%s' is no user\n", user);
		exit(EXIT_USAGE);
	}
	if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0) {
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

int main(int argc, char **argv)
{
	_cleanup_json_ struct json_object *o = json_object_new_object();
	_cleanup_free_ char *text = NULL;
	CURL *curl;

	if (argc < 3 || argc > 4 || !str_eq(argv[1], "--check") || strlen(argv[2]) > URL_MAX) {
		fprintf(stderr, "drover-fetch is run by droverd only\n");
		return EXIT_USAGE;
	}
	if (argv[3])
		become(argv[3]);
	confine();
	curl_global_init(CURL_GLOBAL_DEFAULT);
	curl = curl_easy_init();
	if (curl)
		check(curl, argv[2], o);
	else
		fail(o, "StorageError", "libcurl cannot be used");
	curl_easy_cleanup(curl);
	curl_global_cleanup();
	text = json_print(o);
	puts(text);
	return fflush(stdout) == 0 ? 0 : 1;
}
