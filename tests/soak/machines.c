/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The instances of a round and what they may be: disks, cards, policies, and QEMUs that do as scripts say (script.h).
 */
#include "soak.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NICS_MAX = 2, WORDS_MAX = 3 };

/* ---- scripts ---- */

enum nature { PLAIN, DEAF, LIAR };

static const char *const places[] = {
	"start", "greeting",           "cont",          "cont+",        "cont#2",        "stop",
	"stop+", "query-status#3",     "query-status+", "system_reset", "system_reset+", "system_powerdown",
	"quit",  "qmp_capabilities#2", "query-block",   "remove-fd",    "query-fdsets",  "inject-nmi+"
};
static const char *const commands[] = { "cont",
					"stop",
					"system_reset",
					"system_powerdown",
					"quit",
					"query-block",
					"query-fdsets",
					"remove-fd",
					"query-uuid",
					"inject-nmi",
					"query-chardev",
					"set-action",
					"query-named-block-nodes",
					"query-status",
					"qmp_capabilities" };

/* "%s": of which place or command; "%u": a number up to MAX. */
static const struct {
	unsigned weight;
	const char *place, *command, *plain; /* one of them */
	unsigned max;
	enum nature nature;
} words[] = {
	{ 8, .place = "fake.poweroff=%s" },
	{ 6, .place = "fake.panic=%s" },
	{ 2, .place = "fake.pause=%s" },
	{ 2, .place = "fake.state=%s:suspended" },
	{ 2, .place = "fake.state=%s:watchdog" },
	{ 2, .place = "fake.state=%s:no-space" },
	{ 2, .place = "fake.state=%s:unheard" },
	{ 4, .place = "fake.exit=%s:%u", .max = 3 },
	{ 4, .place = "fake.kill=%s:11" },
	{ 4, .place = "fake.hangup=%s" },
	{ 3, .place = "fake.freeze=%s" },
	{ 12, .command = "fake.delay=%s:%u", .max = 300 },
	{ 5, .command = "fake.flood=%s:%u", .max = 400 },
	{ 5, .command = "fake.error=%s:GenericError:no_way", .nature = LIAR },
	{ 3, .command = "fake.lie=%s", .nature = LIAR },
	{ 2, .command = "fake.twice=%s", .nature = LIAR },
	{ 3, .command = "fake.silent=%s", .nature = DEAF },
	{ 3, .command = "fake.hang=%s", .nature = DEAF },
	{ 8, .plain = "fake.chunk=%u", .max = 9 },
	{ 8, .plain = "fake.powerdown=ignore" },
	{ 5, .plain = "fake.term=ignore" },
	{ 5, .plain = "fake.fdsets=late" },
	{ 3, .plain = "fake.fdsets=stay" },
	{ 1, .plain = "fake.greeting=none", .nature = DEAF },
	{ 1, .plain = "fake.greeting=garbage", .nature = DEAF },
	{ 1, .plain = "fake.greeting=half", .nature = DEAF },
	{ 3, .plain = "fake.say=hear_hear" },
};

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
static char *draw_word(struct chance *c, struct machine *m)
{
	size_t i = chance_row(c, words, ARRAY_SIZE(words), sizeof(words[0]));
	const char *place = CHANCE_OF(c, places), *command = CHANCE_OF(c, commands);
	unsigned number = words[i].max ? chance_between(c, 1, words[i].max) : 0;

	m->deaf |= words[i].nature == DEAF;
	m->liar |= words[i].nature != PLAIN;
	if (words[i].plain)
		return xasprintf(words[i].plain, number);
	return words[i].place ? xasprintf(words[i].place, place, number) : xasprintf(words[i].command, command, number);
}
#pragma GCC diagnostic pop

static char *draw_script(struct chance *c, struct machine *m)
{
	unsigned n = chance_percent(c, 40) ? 0 : chance_between(c, 1, WORDS_MAX);
	char *all = xstrdup("ro");

	while (n--) {
		_cleanup_free_ char *word = draw_word(c, m), *old = all;

		all = xasprintf("%s %s", old, word);
	}
	return all;
}

/* ---- definitions ---- */

static void make_image(const char *name)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", round_.r->root, name);
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	ck_assert_int_eq(ftruncate(fd, 1 << 20), 0);
}

/* The images of all; the fake does not look at them, drover-open does. */
static void make_images(void)
{
	_cleanup_free_ char *command = NULL;

	make_image("raw0");
	make_image("raw1");
	make_image("base");
	command = xasprintf("qemu-img create -q -f qcow2 -u -b /nonexistent/base -F raw %s/top 1M", round_.r->root);
	ck_assert_int_eq(system(command), 0); /* NOLINT(cert-env33-c): a path of our own */
}

static void make_uuid(struct chance *c, char *uuid)
{
	uint64_t a = chance_next(c), b = chance_next(c);

	snprintf(uuid, 37, "%08x-%04x-4%03x-8%03x-%012" PRIx64, (unsigned)(a >> 32), (unsigned)(a >> 16 & 0xffff),
		 (unsigned)(a & 0xfff), (unsigned)(b >> 48 & 0xfff), (uint64_t)(b & 0xffffffffffff));
}

void machines_make(void)
{
	struct chance *c = &round_.chance;

	round_.n_machines = chance_between(c, 1, MACHINES_MAX);
	for (unsigned i = 0; i < round_.n_machines; i++) {
		struct machine *m = &round_.machines[i];

		snprintf(m->names[0], sizeof(m->names[0]), "m%u", i);
		snprintf(m->names[1], sizeof(m->names[1]), "m%u-renamed", i);
		make_uuid(c, m->uuid);
	}
	make_images();
}

struct machine *machine_draw(struct chance *c)
{
	return &round_.machines[chance_below(c, round_.n_machines)];
}

const char *machine_draw_name(struct chance *c, const struct machine *m)
{
	return chance_percent(c, 50) ? m->names[m->name] : m->uuid;
}

/* "%s": the root. */
static char *draw_disks(struct chance *c)
{
	static const struct {
		unsigned percent;
		const char *disk;
	} rows[] = {
		{ 25, "\"path\": \"%s/raw0\"" },
		{ 25, "\"path\": \"%s/raw1\", \"cache\": \"none\"" },
		{ 25, "\"path\": \"%s/top\", \"format\": \"qcow2\", \"backing\": [{\"path\": \"%s/base\"}]" },
		{ 3, "\"path\": \"%s/base\", \"mode\": \"ro\"" },
		{ 2, "\"path\": \"%s/missing\"" },
	};
	const char *root = round_.r->root;
	char *all = xstrdup("");

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_free_ char *old = NULL, *disk = NULL;

		if (!chance_percent(c, rows[i].percent))
			continue;
		old = all;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		disk = xasprintf(rows[i].disk, root, root);
#pragma GCC diagnostic pop
		all = xasprintf("%s%s{%s}", old, *old ? ", " : "", disk);
	}
	return all;
}

static char *draw_nics(struct chance *c)
{
	unsigned n = chance_below(c, NICS_MAX + 1);
	char *all = xstrdup("");

	while (n--) {
		_cleanup_free_ char *old = all;

		all = xasprintf("%s%s{\"mode\": \"user\"}", old, *old ? ", " : "");
	}
	return all;
}

char *machine_draw_definition(struct chance *c, struct machine *m)
{
	static const char *const machines[] = { "pc", "pc", "q35", "pc-i440fx-7.2" };
	static const char *const poweroffs[] = { "stop", "restart" };
	static const char *const reboots[] = { "reset", "stop", "restart" };
	static const char *const crashes[] = { "pause", "stop", "reset", "restart" };
	static const char *const models[] = { "pool", "pool", "none" };
	static const char *const autostarts[] = { "false", "true", "{\"order\": 3, \"delay\": 0.1}", "{\"order\": 1}" };
	static const char *const bools[] = { "true", "false" };
	static const char *const chroots[] = { "", "", "", "", ", \"use_chroot\": true" };
	_cleanup_free_ char *fake = rig_shared("fake-qemu"), *kernel = rig_shared("kernel"),
			    *script = draw_script(c, m);
	_cleanup_free_ char *disks = draw_disks(c), *nics = draw_nics(c), *hvparams = NULL;
	/* One by one: the order in which arguments are evaluated is the compiler's. */
	const char *poweroff = CHANCE_OF(c, poweroffs), *reboot = CHANCE_OF(c, reboots), *crash = CHANCE_OF(c, crashes);
	const char *machine = CHANCE_OF(c, machines), *model = CHANCE_OF(c, models),
		   *autostart = CHANCE_OF(c, autostarts);
	const char *console = CHANCE_OF(c, bools), *agent = CHANCE_OF(c, bools), *chroot = CHANCE_OF(c, chroots);
	bool initrd = chance_percent(c, 25);
	unsigned description = chance_below(c, 1000), vcpus = chance_between(c, 1, 4);

	hvparams = xasprintf("\"accel\": \"tcg\", \"machine_version\": \"%s\", \"kvm_path\": \"%s\", "
			     "\"kernel_path\": \"%s\", \"initrd_path\": \"%s\", \"kernel_args\": \"%s\", "
			     "\"security_model\": \"%s\", \"serial_console\": %s, \"use_guest_agent\": %s, "
			     "\"on_poweroff\": \"%s\", \"on_reboot\": \"%s\", \"on_crash\": \"%s\"%s",
			     machine, fake, kernel, initrd ? kernel : "", script, model, console, agent, poweroff,
			     reboot, crash, chroot);
	return xasprintf("{\"name\": \"%s\", \"uuid\": \"%s\", \"description\": \"%u\", \"vcpus\": %u, "
			 "\"autostart\": %s, \"disks\": [%s], \"nics\": [%s], \"hvparams\": {%s}}",
			 m->names[m->name], m->uuid, description, vcpus, autostart, disks, nics, hvparams);
}

/* ---- processes ---- */

pid_t machine_holder(const char *name, const char *file)
{
	return rig_lock_holder(round_.r, name, file);
}

pid_t machine_process(const struct machine *m, const char *file)
{
	pid_t pid = machine_holder(m->names[m->name], file);

	return pid ? pid : machine_holder(m->names[!m->name], file);
}

struct machine *machine_find(const char *name)
{
	for (unsigned i = 0; i < round_.n_machines; i++)
		for (unsigned j = 0; j < 2; j++)
			if (str_eq(round_.machines[i].names[j], name))
				return &round_.machines[i];
	return NULL;
}
