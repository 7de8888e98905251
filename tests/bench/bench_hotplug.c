/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What droverd adds to an attach and a detach: a raw virtio disk, and a virtio card in user mode and on a bridge, of a guest
 * that has booted (PC, 128 MiB, the test guest).
 *
 * The bare thing is a second QEMU with the same command line, its guest booted as well, and a client of its monitor that
 * does not parse. It says what droverd said: the commands of an attach and of a detach are taken from the trace of a round
 * that does not count, without the questions among them (query-…, qom-…), which are droverd's own. It opens the same
 * image, and makes the same tap by the same function, on the same bridge; it writes nothing down. It sends one command
 * after the other, each when the last is replied to; for the reply to what only clears (remove-fd) it waits behind the
 * clock, as droverd does.
 *
 *   attach            from before the image is opened, or the request is sent, to the last reply
 *   until it is seen  from there to the line that the guest writes of it; looked for every half millisecond
 *   detach            to the last reply behind DEVICE_DELETED: nothing of the device is left
 *
 * A device is detached when the guest has seen it, and attached when it has seen the last one go; each time the guests
 * are first left alone for a while, for what they do about it takes the processor. The two take turns.
 * DROVER_BENCH_ROUNDS: how often (30). No bridged card where the host does not give this process a network of its own.
 */
#include "bare.h"

#include "base/file.h"
#include "base/param.h"
#include "netdev/tap.h"
#include "netns.h"
#include "runtime/argv.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { ROUNDS = 30, LOOK_US = 500, SETTLE_US = 300000, IMAGE_SIZE = 64 << 20 };

#define UUID "932df160-7a22-4067-a566-7e0ca8386133"

static const struct kind {
	const char *what, *member; /* "disk" of disk-attach, and of its arguments */
	const char *device;        /* as JSON; @: the image */
	const char *id, *seen;     /* what the guest says behind GUEST-ADD and GUEST-DEL */
	bool bridged;
} kinds[] = {
	{ "a disk", "disk", "{\"uuid\": \"" UUID "\", \"path\": \"@\"}", "disk-932df160-7a22-4067", "block vd" },
	{ "a card, user", "nic", "{\"uuid\": \"" UUID "\", \"mode\": \"user\", \"mac\": \"52:54:00:3a:91:02\"}",
	  "nic-932df160-7a22-4067", "net eth" },
	{ "a card, bridged", "nic",
	  "{\"uuid\": \"" UUID "\", \"mode\": \"bridged\", \"link\": \"br0\", \"mac\": \"52:54:00:3a:91:02\"}",
	  "nic-932df160-7a22-4067", "net eth", true },
};

/* What is done to one of the two machines, and how long it takes. */
struct side {
	char *console; /* the log */
	struct wire *wire;
	void (*attach)(struct side *s), (*detach)(struct side *s);
	struct series attached, seen, detached;
};

struct bench {
	struct rig *r;
	struct client *c;
	char *image;
	struct side bare, drover;
};

/* The kind that is measured; requests to droverd, and the words for a QEMU: [{text, name}]. */
static const struct kind *kind;
static const char *image;
static char *attach_request, *detach_request;
static struct json_object *attach_words, *detach_words;

/* ---- what the guest says ---- */

static unsigned said(const struct side *s, const char *what)
{
	_cleanup_free_ char *log = NULL, *text = xasprintf("%s %s", what, kind->seen);
	unsigned n = 0;

	if (!file_read(AT_FDCWD, s->console, FILE_MAX, &log, NULL, NULL))
		return 0;
	for (const char *p = log; (p = strstr(p, text)); p++)
		n++;
	return n;
}

static void await_said(const struct side *s, const char *what, unsigned n)
{
	double end = now_ms() + RIG_DEADLINE_MS;

	while (said(s, what) < n) {
		ck_assert_msg(now_ms() < end, "the guest does not say '%s %s'", what, kind->seen);
		usleep(LOOK_US);
	}
}

/* ---- drover ---- */

static void drover_attach(struct side *s)
{
	wire_ask(s->wire, attach_request);
}

static void drover_detach(struct side *s)
{
	wire_ask(s->wire, detach_request);
}

/* ---- bare ---- */

/* What goes along with a command, or -1. */
static int descriptor_of(const char *name)
{
	struct err *e = NULL;
	char tap[IFNAMSIZ];
	int fd = -1;

	if (str_eq(name, "add-fd")) {
		fd = open(image, O_RDWR | O_CLOEXEC);
		ck_assert_int_ge(fd, 0);
	} else if (str_eq(name, "getfd")) {
		tap_name(UUID, tap);
		ck_assert_msg(tap_open(tap, 1, true, "br0", PARAM_INT_NONE, &fd, &e), "%s", e ? e->desc : "");
	}
	return fd;
}

static void say(struct wire *w, struct json_object *word)
{
	const char *name = str_at(word, "name"), *text = str_at(word, "text");
	_cleanup_close_ int fd = descriptor_of(name);

	if (fd >= 0)
		wire_say_fd(w, text, fd);
	else
		wire_say(w, text);
	if (str_eq(name, "device_del"))
		wire_await_gone(w, kind->id);
	else if (!str_eq(name, "remove-fd"))
		wire_await(w);
	ck_assert_msg(!str_starts(w->text, "{\"error\""), "%s: %s", text, w->text);
}

static void say_all(struct wire *w, struct json_object *words)
{
	for (size_t i = 0; i < json_object_array_length(words); i++)
		say(w, json_object_array_get_idx(words, i));
}

static void bare_attach(struct side *s)
{
	say_all(s->wire, attach_words);
}

static void bare_detach(struct side *s)
{
	say_all(s->wire, detach_words);
}

/* ---- what droverd said ---- */

static double now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static bool is_question(const char *name)
{
	return str_starts(name, "query-") || str_starts(name, "qom-");
}

/* The commands on the first monitor between two times. */
static struct json_object *words_between(struct bench *b, double since, double until)
{
	_cleanup_json_ struct json_object *trace = client_ok(b->c, "query-trace", "{'instance': 'drover', 'since': %f}",
							     since);
	struct json_object *words = json_object_new_array();

	for (size_t i = 0; i < json_object_array_length(trace); i++) {
		struct json_object *o = json_object_array_get_idx(trace, i), *word;

		if (!str_eq(str_at(o, "direction"), "out") || int_at(o, "monitor") != 1 ||
		    is_question(str_at(o, "name")) || json_get_double(o, "time", 0) > until)
			continue;
		word = json_object_new_object();
		json_add_str(word, "name", str_at(o, "name"));
		json_add_str(word, "text", json_object_to_json_string(at(o, "message")));
		json_object_array_add(words, word);
	}
	ck_assert_uint_gt(json_object_array_length(words), 0);
	return words;
}

static char *request(const char *verb, const char *value)
{
	return xasprintf("{\"execute\": \"%s-%s\", \"arguments\": {\"instance\": \"drover\", \"%s\": %s}}",
			 kind->member, verb, kind->member, value);
}

/* The device as droverd is told of it; the caller's. */
static char *device(void)
{
	const char *mark = strchr(kind->device, '@');

	return mark ? xasprintf("%.*s%s%s", (int)(mark - kind->device), kind->device, image, mark + 1) :
		      xstrdup(kind->device);
}

static void measure(struct side *s, bool counts);

/* A round that asks what the binary can do, and is not counted. */
static void learn(struct bench *b)
{
	_cleanup_free_ char *it = device();
	double begin = now_s(), between, end;
	unsigned added = said(&b->drover, "GUEST-ADD"), gone = said(&b->drover, "GUEST-DEL");

	attach_request = request("attach", it);
	detach_request = request("detach", "\"" UUID "\"");
	drover_attach(&b->drover);
	await_said(&b->drover, "GUEST-ADD", added + 1);
	between = now_s();
	drover_detach(&b->drover);
	await_said(&b->drover, "GUEST-DEL", gone + 1);
	end = now_s();
	attach_words = words_between(b, begin, between);
	detach_words = words_between(b, between, end);
	measure(&b->bare, false);
}

static void forget(void)
{
	free(attach_request);
	free(detach_request);
	json_object_put(attach_words);
	json_object_put(detach_words);
}

/* ---- measuring ---- */

static void measure(struct side *s, bool counts)
{
	unsigned added = said(s, "GUEST-ADD"), gone = said(s, "GUEST-DEL");
	double begin, attached, seen, detached;

	usleep(SETTLE_US);
	begin = now_ms();
	s->attach(s);
	attached = now_ms() - begin;
	await_said(s, "GUEST-ADD", added + 1);
	seen = now_ms() - begin;
	usleep(SETTLE_US);
	begin = now_ms();
	s->detach(s);
	detached = now_ms() - begin;
	await_said(s, "GUEST-DEL", gone + 1);
	if (!counts)
		return;
	series_add(&s->attached, attached);
	series_add(&s->seen, seen);
	series_add(&s->detached, detached);
}

static void bench(struct bench *b, const struct kind *k, int n)
{
	_cleanup_free_ char *attach = xasprintf("attach %s", k->what), *detach = xasprintf("detach %s", k->what);
	_cleanup_free_ char *seen = xasprintf("attach %s, until it is seen", k->what);

	kind = k;
	learn(b);
	for (int i = 0; i < n; i++) {
		measure(&b->bare, true);
		measure(&b->drover, true);
	}
	bench_row(&(struct row){ attach, "ms", &b->bare.attached, &b->drover.attached, GOAL_RATIO, 1.5 });
	bench_row(&(struct row){ seen, "ms", &b->bare.seen, &b->drover.seen, NO_GOAL });
	bench_row(&(struct row){ detach, "ms", &b->bare.detached, &b->drover.detached, GOAL_RATIO, 1.05 });
	forget();
}

/* ---- the two machines ---- */

static void define(struct bench *b, const char *name)
{
	client_define(b->c, name,
		      "'memory': '128M', 'hvparams': {'accel': 'tcg', 'machine_version': 'pc', 'kernel_path': "
		      "'%s/vmlinux', 'initrd_path': '%s/initrd.gz', 'kernel_args': 't.net=none'}",
		      rig_guest(), rig_guest());
}

static void await_boot(const struct side *s)
{
	static const struct kind up = { .seen = "" };

	kind = &up;
	await_said(s, "GUEST-UP", 1);
}

static void begin_drover(struct bench *b)
{
	_cleanup_free_ char *path = xasprintf("%s/run/drover.sock", b->r->root);

	b->drover.console = xasprintf("%s/log/drover.console", b->r->root);
	b->drover.wire = wire_new(path);
	b->drover.attach = drover_attach;
	b->drover.detach = drover_detach;
	ck_assert_ptr_nonnull(b->drover.wire);
	define(b, "drover");
	json_object_put(client_ok(b->c, "instance-start", "{'instance': 'drover'}"));
	await_boot(&b->drover);
}

static pid_t begin_bare(struct bench *b)
{
	_cleanup_free_ char *path = xasprintf("%s/qmp", b->r->root);
	char *none[] = { NULL };
	struct bare bare = { .dir = b->r->root, .images = none };
	double ms;
	pid_t pid;

	define(b, "bare");
	bare.argv = bare_argv(b->c, "bare");
	pid = bare_start(&bare, &ms);
	argv_free(bare.argv);
	b->bare.console = xasprintf("%s/console", b->r->root);
	b->bare.wire = wire_new(path);
	b->bare.attach = bare_attach;
	b->bare.detach = bare_detach;
	ck_assert_ptr_nonnull(b->bare.wire);
	await_boot(&b->bare);
	return pid;
}

static void end_side(struct side *s)
{
	free(s->console);
	wire_free(s->wire);
}

static char *make_image(struct rig *r)
{
	char *path = xasprintf("%s/image", r->root);
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	ck_assert(fd >= 0 && ftruncate(fd, IMAGE_SIZE) == 0);
	return path;
}

START_TEST(attach_and_detach)
{
	int n = bench_rounds(ROUNDS);
	struct bench b = { .r = bench_rig_new() };
	double ms;
	pid_t pid;

	ck_assert_msg(rig_guest(), "DROVER_GUEST does not name a test guest");
	b.c = client_new(b.r);
	image = b.image = make_image(b.r);
	begin_drover(&b);
	pid = begin_bare(&b);
	bench_head("devices of a guest that runs, pc");
	if (netns_is_own())
		netns_bridge("br0");
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (!kinds[i].bridged || netns_is_own())
			bench(&b, &kinds[i], n);
	end_side(&b.bare);
	end_side(&b.drover);
	bare_stop(pid, &ms);
	client_free(b.c);
	bench_rig_free(b.r);
	free(b.image);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("bench_hotplug");
	TCase *t = tcase_create("hotplug");

	tcase_add_test(t, attach_and_detach);
	suite_add_tcase(s, t);
	return s;
}

RIG_MAIN(suite)
