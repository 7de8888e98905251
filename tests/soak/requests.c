/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What clients ask for: every command, with arguments that are good, odd, or wrong.
 */
#include "soak.h"

#include <string.h>

/* More arguments of a command, in JSON behind a comma, or "". */
typedef const char *more_fn(struct chance *c);

static const char *more_start(struct chance *c)
{
	static const char *const rows[] = {
		"", "", "", "", "", "", "", ", \"paused\": true", ", \"paused\": true", ", \"paused\": \"yes\"",
	};

	return CHANCE_OF(c, rows);
}

static const char *more_shutdown(struct chance *c)
{
	static const char *const rows[] = {
		", \"timeout\": 0.2",
		", \"timeout\": 0",
		", \"timeout\": 2",
		", \"timeout\": 0.5, \"then\": \"stop\"",
		", \"timeout\": 1, \"mode\": \"acpi\"",
		", \"timeout\": 1, \"mode\": \"acpi\", \"then\": \"stop\"",
		", \"timeout\": 1, \"mode\": \"agent\"",
		", \"timeout\": 0.3, \"mode\": \"agent\", \"then\": \"stop\"",
		", \"timeout\": -1",
	};

	return CHANCE_OF(c, rows);
}

static const char *more_reboot(struct chance *c)
{
	static const char *const rows[] = { ", \"timeout\": 0.5", ", \"timeout\": 2", ", \"timeout\": 0.1" };

	return CHANCE_OF(c, rows);
}

static const char *more_undefine(struct chance *c)
{
	static const char *const rows[] = { "", ", \"force\": true", ", \"force\": true, \"volumes\": \"delete\"" };

	return CHANCE_OF(c, rows);
}

static const char *more_modify(struct chance *c)
{
	static const char *const rows[] = {
		", \"patch\": {\"description\": \"another\"}",
		", \"patch\": {\"vcpus\": 3}",
		", \"patch\": {\"vcpus\": null}",
		", \"patch\": {\"memory\": \"256M\"}",
		", \"patch\": {\"autostart\": true}",
		", \"patch\": {\"autostart\": {\"order\": 2, \"delay\": 0.05}}",
		", \"patch\": {\"disks\": []}",
		", \"patch\": {\"nics\": [{\"mode\": \"user\"}, {\"mode\": \"user\"}]}, \"live\": false",
		", \"patch\": {\"hvparams\": {\"on_poweroff\": \"restart\"}}",
		", \"patch\": {\"hvparams\": {\"on_reboot\": \"restart\", \"on_crash\": \"restart\"}}",
		", \"patch\": {\"hvparams\": {\"on_reboot\": null, \"on_crash\": null, \"on_poweroff\": null}}",
		", \"patch\": {\"hvparams\": {\"kernel_path\": \"/nonexistent\"}}",
		", \"patch\": {\"hvparams\": {\"machine_version\": \"q35\"}}",
		", \"patch\": {\"vcpus\": 4}, \"dry-run\": true",
		", \"patch\": {\"name\": \"other\"}",
		", \"patch\": {\"nonsense\": 1}",
		", \"patch\": 1",
	};

	return CHANCE_OF(c, rows);
}

static const char *more_qmp(struct chance *c)
{
	static const char *const rows[] = {
		", \"execute\": \"query-status\"",
		", \"execute\": \"query-block\"",
		", \"execute\": \"stop\"",
		", \"execute\": \"cont\"",
		", \"execute\": \"system_powerdown\"",
		", \"execute\": \"system_wakeup\"",
		", \"execute\": \"quit\"",
		", \"execute\": \"nonsense\"",
		", \"execute\": \"system_reset\"",
		", \"execute\": \"system_reset\", \"unsafe\": true",
		", \"execute\": \"set-action\", \"arguments\": {\"reboot\": \"shutdown\"}, \"unsafe\": true",
		"",
	};

	return CHANCE_OF(c, rows);
}

static const char *more_log(struct chance *c)
{
	static const char *const rows[] = { "", ", \"which\": \"console\"", ", \"bytes\": 10", ", \"bytes\": 0" };

	return CHANCE_OF(c, rows);
}

static const struct {
	unsigned weight;
	const char *command;
	bool untargeted, job; /* takes no instance; may be a job */
	more_fn *more;
} rows[] = {
	{ 40, "instance-start", .job = true, .more = more_start },
	{ 6, "instance-stop", .job = true },
	{ 8, "instance-shutdown", .job = true, .more = more_shutdown },
	{ 7, "instance-reboot", .job = true, .more = more_reboot },
	{ 7, "instance-reset" },
	{ 5, "instance-pause" },
	{ 5, "instance-resume" },
	{ 2, "instance-nmi" },
	{ 6, "instance-qmp", .more = more_qmp },
	{ 5, "instance-modify", .more = more_modify },
	{ 2, "instance-undefine", .more = more_undefine },
	{ 2, "query-instance" },
	{ 2, "query-guest" },
	{ 1, "instance-argv" },
	{ 1, "query-log", .more = more_log },
	{ 1, "query-trace" },
	{ 2, "query-instances", .untargeted = true },
	{ 2, "query-stats", .untargeted = true },
	{ 2, "query-jobs", .untargeted = true },
	{ 1, "query-host", .untargeted = true },
	{ 1, "query-schema", .untargeted = true },
	{ 1, "query-events", .untargeted = true },
	{ 1, "nonsense", .untargeted = true },
};

static const char *const job_ids[] = { "j1", "j2", "j3", "j4", "j5", "#3", "#8" };
/* How long a client waits for the reply. */
static const unsigned waits[] = { 0, 0, 0, 0, 20, 50, 500, 2000 };

static void ask(struct chance *c, const char *command, const char *args)
{
	unsigned which = chance_below(c, round_.n_peers), ms = CHANCE_OF(c, waits);
	struct peer *p = &round_.peers[which];
	int id;

	say("client %u: %s %s; waits %u ms", which, command, args, ms);
	life_connect(p);
	id = peer_send(p, command, args);
	if (id)
		peer_listen(p, ms, id);
}

static void ask_row(struct chance *c)
{
	size_t i = chance_row(c, rows, ARRAY_SIZE(rows), sizeof(rows[0]));
	const struct machine *m = machine_draw(c);
	const char *name = machine_draw_name(c, m), *id = CHANCE_OF(c, job_ids);
	const char *more = rows[i].more ? rows[i].more(c) : "";
	bool job = chance_percent(c, 25) && rows[i].job;
	_cleanup_free_ char *job_id = job ? xasprintf(", \"job-id\": \"%s\"", id) : xstrdup("");
	_cleanup_free_ char *args = NULL;

	if (chance_percent(c, 2))
		args = xstrdup("{\"instance\": 3}");
	else if (rows[i].untargeted)
		args = xstrdup("{}");
	else
		args = xasprintf("{\"instance\": \"%s\"%s%s}", name, more, job_id);
	ask(c, rows[i].command, args);
}

static void define(struct chance *c, struct machine *m)
{
	_cleanup_free_ char *definition = machine_draw_definition(c, m);
	_cleanup_free_ char *args = xasprintf("{\"definition\": %s}", definition);

	ask(c, "instance-define", args);
}

static void ask_define(struct chance *c)
{
	define(c, machine_draw(c));
}

void requests_define_all(struct chance *c)
{
	for (unsigned i = 0; i < round_.n_machines; i++) {
		_cleanup_free_ char *args = xasprintf("{\"instance\": \"%s\"}", round_.machines[i].uuid);
		bool known = chance_percent(c, 90), started = chance_percent(c, 60);

		if (known)
			define(c, &round_.machines[i]);
		if (started)
			ask(c, "instance-start", args);
	}
}

static void ask_rename(struct chance *c)
{
	struct machine *m = machine_draw(c);
	_cleanup_free_ char *args = xasprintf("{\"instance\": \"%s\", \"name\": \"%s\"}", machine_draw_name(c, m),
					      m->names[!m->name]);

	m->name = !m->name;
	ask(c, "instance-rename", args);
}

static void ask_job(struct chance *c)
{
	const char *command = chance_percent(c, 60) ? "job-cancel" : "job-dismiss";
	_cleanup_free_ char *number = xasprintf("#%u", chance_between(c, 1, 80));
	bool named = chance_percent(c, 50);
	const char *id = CHANCE_OF(c, job_ids);
	_cleanup_free_ char *args = xasprintf("{\"id\": \"%s\"}", named ? id : number);

	ask(c, command, args);
}

void request_draw(struct chance *c)
{
	static const struct {
		unsigned weight;
		void (*fn)(struct chance *c);
	} kinds[] = { { 75, ask_row }, { 12, ask_define }, { 4, ask_rename }, { 9, ask_job } };

	kinds[chance_row(c, kinds, ARRAY_SIZE(kinds), sizeof(kinds[0]))].fn(c);
}
