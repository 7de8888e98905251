/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench.h"

#include "base/file.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

double now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

void series_add(struct series *s, double value)
{
	s->values = xrealloc(s->values, s->n + 1, sizeof(double));
	s->values[s->n++] = value;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double series_rank(struct series *s, double q)
{
	size_t i = (size_t)ceil(q * (double)s->n);

	if (!s->n)
		return 0;
	qsort(s->values, s->n, sizeof(double), by_value);
	return s->values[i ? i - 1 : 0];
}

void series_clear(struct series *s)
{
	free(s->values);
	*s = (struct series){ 0 };
}

int bench_rounds(int fallback)
{
	const char *text = getenv("DROVER_BENCH_ROUNDS");
	int n = text ? (int)strtol(text, NULL, 10) : fallback;

	ck_assert_msg(n > 0, "DROVER_BENCH_ROUNDS: '%s' is no number of rounds", text);
	return n;
}

static char *run_of(const struct rig *r)
{
	return xasprintf("%s/run", r->root);
}

struct rig *bench_rig_new(void)
{
	struct rig *r = rig_new("droverd");
	_cleanup_free_ char *run = run_of(r);

	r->quiet = true;
	ck_assert(file_make_dirs(run, 0755, NULL));
	if (mount("tmpfs", run, "tmpfs", 0, "mode=0755") < 0)
		printf("run is not in memory: %m\n");
	rig_start(r);
	return r;
}

void bench_rig_free(struct rig *r)
{
	_cleanup_free_ char *run = run_of(r);

	rig_stop(r);
	umount2(run, MNT_DETACH);
	rig_free(r);
}

void bench_head(const char *title)
{
	printf("\n| %-44s | unit | bare: median (p90) | drover: median (p90) | ratio | goal     | met |\n", title);
	printf("| -------------------------------------------- | ---- | ------------------ | -------------------- | "
	       "----- "
	       "| -------- | --- |\n");
}

static char *figures(struct series *s)
{
	return s && s->n ? xasprintf("%.2f (%.2f)", series_rank(s, 0.5), series_rank(s, 0.9)) : xstrdup("-");
}

void bench_row(const struct row *r)
{
	_cleanup_free_ char *bare = figures(r->bare), *drover = figures(r->drover), *ratio = NULL, *goal = NULL;
	double is = series_rank(r->drover, 0.5), by = r->bare ? is / series_rank(r->bare, 0.5) : 0;
	bool met = r->kind == GOAL_RATIO ? by <= r->goal : is <= r->goal;

	ratio = r->bare ? xasprintf("%.2f", by) : xstrdup("-");
	goal = r->kind == NO_GOAL    ? xstrdup("-") :
	       r->kind == GOAL_RATIO ? xasprintf("x %.2f", r->goal) :
				       xasprintf("%g", r->goal);
	printf("| %-44s | %-4s | %18s | %20s | %5s | %-8s | %-3s |\n", r->what, r->unit, bare, drover, ratio, goal,
	       r->kind == NO_GOAL ? "-" :
	       met                ? "yes" :
				    "no");
	fflush(stdout);
	if (r->bare)
		series_clear(r->bare);
	series_clear(r->drover);
}

/* ---- the wire ---- */

/* The next line in w->text; false at the end. */
static bool next_line(struct wire *w)
{
	char *end;

	memmove(w->text, w->text + w->used, w->len - w->used);
	w->len -= w->used;
	w->used = 0;
	for (size_t seen = 0;;) {
		ssize_t n;

		end = memchr(w->text + seen, '\n', w->len - seen);
		if (end)
			break;
		seen = w->len;
		if (w->len == w->size) {
			w->size *= 2;
			w->text = xrealloc(w->text, w->size + 1, 1);
		}
		n = read(w->fd, w->text + w->len, w->size - w->len);
		if (n <= 0)
			return false;
		w->len += (size_t)n;
	}
	*end = '\0';
	w->used = (size_t)(end - w->text) + 1;
	return true;
}

struct wire *wire_new(const char *path)
{
	struct wire *w = xcalloc(1, sizeof(*w));
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	w->size = 1 << 16;
	w->text = xcalloc(w->size + 1, 1);
	w->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect(w->fd, (struct sockaddr *)&a, sizeof(a)) < 0 || !next_line(w)) {
		wire_free(w);
		return NULL;
	}
	wire_ask(w, "{\"execute\": \"qmp_capabilities\"}");
	return w;
}

void wire_free(struct wire *w)
{
	fd_close(w->fd);
	free(w->text);
	free(w);
}

void wire_say(struct wire *w, const char *request)
{
	size_t len = strlen(request);

	ck_assert_int_eq(send(w->fd, request, len, MSG_NOSIGNAL), (ssize_t)len);
}

void wire_say_fd(struct wire *w, const char *request, int fd)
{
	union {
		struct cmsghdr align;
		char data[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec iov = { (char *)request, strlen(request) };
	struct msghdr message = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.data, .msg_controllen = sizeof(control.data)
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&message);

	*c = (struct cmsghdr){ .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int)) };
	memcpy(CMSG_DATA(c), &fd, sizeof(int));
	ck_assert_int_eq(sendmsg(w->fd, &message, MSG_NOSIGNAL), (ssize_t)iov.iov_len);
}

/* The next line, whatever it is; whether it is a reply. */
static bool await_line(struct wire *w)
{
	if (!next_line(w))
		ck_abort_msg("the other end hung up");
	return str_starts(w->text, "{\"return\"") || str_starts(w->text, "{\"error\"");
}

void wire_await(struct wire *w)
{
	while (!await_line(w))
		;
}

void wire_await_gone(struct wire *w, const char *id)
{
	_cleanup_free_ char *device = xasprintf("\"device\": \"%s\"", id);

	for (bool replied = false, gone = false; !replied || !gone;) {
		bool reply = await_line(w);

		ck_assert_msg(!str_starts(w->text, "{\"error\""), "%s", w->text);
		replied |= reply;
		gone |= strstr(w->text, "\"DEVICE_DELETED\"") && strstr(w->text, device);
	}
}

double wire_ask(struct wire *w, const char *request)
{
	double begin = now_ms();

	wire_say(w, request);
	wire_await(w);
	ck_assert_msg(str_starts(w->text, "{\"return\""), "%s: %s", request, w->text);
	return now_ms() - begin;
}
