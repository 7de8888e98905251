/* SPDX-License-Identifier: BSD-2-Clause */
#include "matrix.h"

#include "base/file.h"
#include "netns.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct scene scene;

/* ---- the definition ---- */

#define HVINFO(driver, id, addr) \
	"\"hvinfo\": {\"driver\": \"" driver "\", \"id\": \"" id "\", \"bus\": \"pci.0\", \"addr\": \"" addr "\"}"
#define RAW "932df160-22a7-4067-a566-7e0ca8386133"
#define TOP "932df161-22a7-4067-a566-7e0ca8386133"
#define NIC0 "003fc157-66a8-4e6d-8b7e-ec4f69751396"
#define NIC1 "003fc158-66a8-4e6d-8b7e-ec4f69751396"
#define BRIDGE "br0"

#define DISKS                                                                                                          \
	"\"disks\": [{\"uuid\": \"" RAW "\", \"name\": \"disk0\", \"path\": \"%s/raw\", " HVINFO(                      \
		"virtio-blk-pci", "disk-932df160-22a7-4067",                                                           \
		"0xc") "}, {\"uuid\": \"" TOP "\", \"name\": \"disk1\", "                                              \
		       "\"path\": \"%s/top\", \"format\": \"qcow2\", \"backing\": [{\"path\": \"%s/base\"}], " HVINFO( \
			       "virtio-blk-pci", "disk-932df161-22a7-4067", "0xd") "}]"
#define NIC(name, uuid, mac, id, addr) \
	"{\"name\": \"" name "\", \"uuid\": \"" uuid "\", \"mac\": \"" mac "\", " HVINFO("virtio-net-pci", id, addr)
#define USER NIC("nic0", NIC0, "52:54:00:3a:91:02", "nic-003fc157-66a8-4e6d", "0xe") ", \"mode\": \"user\"}"
#define BRIDGED                                                                 \
	NIC("nic1", NIC1, "52:54:00:3a:91:03", "nic-003fc158-66a8-4e6d", "0xf") \
	", \"mode\": \"bridged\", \"link\": \"" BRIDGE "\", \"queues\": 2}"

static char *devices(const struct plan *p, const char *root)
{
	return xasprintf(DISKS ", \"nics\": [" USER "%s]", root, root, root, p->bridged ? ", " BRIDGED : "");
}

char *scene_text(const char *text)
{
	char *copy = xstrdup(text), *at;

	while ((at = strstr(copy, "ROOT"))) {
		char *longer = xasprintf("%.*s%s%s", (int)(at - copy), copy, scene.r->root, at + strlen("ROOT"));

		free(copy);
		copy = longer;
	}
	return copy;
}

char *scene_definition(const struct plan *p, const char *description)
{
	const char *root = scene.r->root;
	_cleanup_free_ char *kernel = xasprintf("%s/kernel", root), *rest = devices(p, root), *binary = NULL,
			    *path = NULL;
	_cleanup_free_ char *words = scene_text(p->words ? p->words : "");

	binary = scene.machine->binary ? rig_shared(scene.machine->binary) : NULL;
	path = binary ? xasprintf(", \"kvm_path\": \"%s\"", binary) : xstrdup("");
	return xasprintf("{\"name\": \"web\", \"uuid\": \"" UUID "\", \"layout\": 1, \"description\": \"%s\", "
			 "\"memory\": \"16M\", %s, \"hvparams\": {\"accel\": \"tcg\"%s, \"kernel_path\": \"%s\", "
			 "\"initrd_path\": \"%s/initrd\", \"kernel_args\": \"%s\"%s}%s}",
			 description, rest, path, kernel, root, words, p->hvparams ? p->hvparams : "",
			 p->extra ? p->extra : "");
}

const char *scene_web(const struct plan *p)
{
	/* what cannot be read has no uuid that anybody knows */
	return p->from == BROKEN ? "'instance': 'web'" : "'instance': '" UUID "'";
}

/* ---- files ---- */

static void write_below(const char *below, const char *name, const char *text)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", scene.r->root, below);
	_cleanup_close_ int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	ck_assert(file_write(dir, name, text, 0600, false, NULL));
}

void scene_make(const char *name)
{
	write_below("", name, "");
}

enum { IMAGE_SIZE = 1 << 20 };

/* What its disks lie on; the fake does not look at them, drover-open does. The initial RAM disk is of those that QEMU
 * could not read itself. */
static void make_images(void)
{
	static const char *const raw[] = { "raw", "base", "more" };
	_cleanup_free_ char *image = rig_shared("top"), *top = xasprintf("%s/top", scene.r->root);
	_cleanup_free_ char *more = xasprintf("%s/more-top", scene.r->root);
	_cleanup_free_ char *kernel = scene.machine->kernel(scene.r->root);

	for (size_t i = 0; i < ARRAY_SIZE(raw); i++) {
		_cleanup_free_ char *path = xasprintf("%s/%s", scene.r->root, raw[i]);
		_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

		ck_assert_int_eq(ftruncate(fd, IMAGE_SIZE), 0);
	}
	if (access(image, F_OK) < 0) {
		_cleanup_free_ char *command = NULL;

		command = xasprintf("qemu-img create -q -f qcow2 -u -b /nonexistent/base -F raw %s 1M", image);
		ck_assert_int_eq(system(command), 0); /* NOLINT(cert-env33-c): a path of our own */
	}
	ck_assert_int_eq(link(image, top), 0);
	ck_assert_int_eq(link(image, more), 0);
	write_below("", "initrd", "initrd");
}

void scene_shrink(void)
{
	_cleanup_free_ char *path = xasprintf("%s/raw", scene.r->root);

	ck_assert_int_eq(truncate(path, IMAGE_SIZE), 0);
}

static void empty(const char *name)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", scene.r->root, name);

	ck_assert(truncate(path, 0) == 0 || access(path, F_OK) < 0);
}

void scene_set_faults(const char *fault)
{
	write_below("", "faults", fault);
}

bool log_says(const char *what)
{
	_cleanup_free_ char *text = rig_file(scene.r, "steps");

	return text && strstr(text, what);
}

void await_log(const char *what)
{
	for (int64_t end = look_until(); !log_says(what) && look_again(end);)
		;
	ck_assert_msg(log_says(what), "droverd never comes to '%s'", what);
}

/* ---- droverd ---- */

void scene_check_fds(void)
{
	_cleanup_free_ char *with_fds = NULL;
	unsigned fds = rig_own_fds(scene.r);

	for (int64_t end = look_until(); fds != scene.fds && look_again(end);)
		fds = rig_own_fds(scene.r);
	if (fds == scene.fds)
		return;
	with_fds = rig_world(scene.r, true);
	ck_abort_msg("droverd holds %u descriptors instead of %u:\n%s", fds, scene.fds, with_fds);
}

static void leave_client(void)
{
	if (scene.c)
		client_free(TAKE_PTR(scene.c));
}

void scene_spawn(const char *fault)
{
	leave_client();
	scene_set_faults(fault);
	rig_spawn(scene.r);
}

void scene_restart(void)
{
	leave_client();
	scene_set_faults("");
	rig_start(scene.r);
	scene.c = client_new(scene.r);
}

static void begin(void)
{
	scene.r = rig_new("droverd-faulty");
	scene.log = xasprintf("%s/steps", scene.r->root);
	scene.r->fault = xasprintf("log=%s;from=%s/faults", scene.log, scene.r->root);
	make_images();
	if (!if_nametoindex(BRIDGE))
		netns_bridge(BRIDGE);
	scene_restart();
	scene.fds = rig_own_fds(scene.r);
}

void scene_close(void)
{
	leave_client();
	if (scene.r)
		rig_free(scene.r);
	free(scene.log);
	free(scene.title);
	scene = (struct scene){ .machine = scene.machine };
}

void scene_leave(void)
{
	if (!scene.passed) {
		fprintf(stderr, "in %s\n", scene.title ? scene.title : "no trial");
		scene_close();
	}
	free(scene.title);
	scene.title = NULL;
}

/* ---- where a plan begins ---- */

static void forget_file(const char *name)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", scene.r->root, name);

	ck_assert(unlink(path) == 0 || access(path, F_OK) < 0);
}

static void forget_all(void)
{
	_cleanup_json_ struct json_object *list = client_ok(scene.c, "query-instances", NULL);
	_cleanup_json_ struct json_object *jobs = client_ok(scene.c, "query-jobs", NULL);

	for (size_t i = 0; i < json_object_array_length(list); i++)
		json_object_put(client_ok(scene.c, "instance-undefine", "{'instance': '%s', 'force': true}",
					  str_at(json_object_array_get_idx(list, i), "name")));
	for (size_t i = 0; i < json_object_array_length(jobs); i++)
		json_object_put(client_ok(scene.c, "job-dismiss", "{'id': '%s'}",
					  str_at(json_object_array_get_idx(jobs, i), "id")));
	empty("droverd.log");
}

static void break_definition(void)
{
	rig_kill(scene.r);
	write_below("lib/instances/web", "definition.json", "{");
	scene_restart();
}

static pid_t qemu_pid(void)
{
	_cleanup_json_ struct json_object *o = client_ok(scene.c, "query-instance", "{'instance': 'web'}");

	return has(o, "pid") ? (pid_t)int_at(o, "pid") : 0;
}

static bool is_in_state(const char *state)
{
	_cleanup_json_ struct json_object *o = client_ok(scene.c, "query-instance", "{'instance': 'web'}");

	return str_eq(str_at(o, "state"), state);
}

static void lead(const struct plan *p)
{
	_cleanup_free_ char *more = scene_text(p->lead_args ? p->lead_args : "");
	_cleanup_free_ char *args = xasprintf("{%s%s}", scene_web(p), more);

	json_object_put(p->lead_class ? client_error(scene.c, p->lead_class, p->lead, "%s", args) :
					client_ok(scene.c, p->lead, "%s", args));
}

static void start(const struct plan *p)
{
	const char *web = scene_web(p);

	json_object_put(
		client_ok(scene.c, "instance-start", "{%s, 'paused': %s}", web, p->from == PAUSED ? "true" : "false"));
	scene.qemu = qemu_pid();
	if (p->from == RUNNING && scene.machine->ready)
		scene.machine->ready();
	if (p->patch)
		json_object_put(client_ok(scene.c, "instance-modify", "{%s, 'patch': %s}", web, p->patch));
	if (p->lead && !p->restart)
		lead(p);
	if (p->lead_signal)
		kill(scene.qemu, p->lead_signal);
	/* not by events: there are those of former trials */
	for (int64_t end = look_until(); p->state && !is_in_state(p->state) && look_again(end);)
		;
}

void scene_open(const struct plan *p, const char *fault)
{
	scene.passed = false;
	scene.p = p;
	if (scene.r)
		forget_all();
	else
		begin();
	rig_reap();
	scene_shrink();
	if (p->file)
		forget_file(p->file);
	if (p->from != NOTHING) {
		_cleanup_free_ char *text = scene_definition(p, "first");

		json_object_put(client_ok(scene.c, "instance-define", "{'definition': %s}", text));
	}
	if (p->from == BROKEN)
		break_definition();
	if (p->from >= RUNNING)
		start(p);
	settle();
	empty("steps");
	scene_set_faults(fault);
}
