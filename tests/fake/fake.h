/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The state of fake-qemu, which all of its parts share, and how they speak: events, answers, refusals.
 */
#ifndef DROVER_TESTS_FAKE_H
#define DROVER_TESTS_FAKE_H

#include "gear.h"
#include "monitor.h"
#include "script.h"

enum { MONITORS_MAX = 4 };

/* A command that is being answered: the main loop is busy until then. */
struct answer {
	struct monitor *m; /* NULL: none */
	unsigned client;
	struct json_object *request;
	int64_t due;
	const char *hold;
};

struct fake {
	struct script script;
	struct monitor monitors[MONITORS_MAX];
	size_t n;
	const char *name, *uuid, *status; /* status: a RunState */
	bool q35, ends_at_reboot, full;   /* machine; -action reboot=shutdown; a disk is */
	bool rebooting;                   /* the firmware is to reset once more */
	int64_t resets;                   /* and then, at this time, again; 0: not */
	bool moved;                       /* the guest has run, so its clock is not 0 */
	int vnc;                          /* what it listens on; -1: nothing */
	int log;                          /* of the second monitor; -1: none */
	struct gear gear;
	struct answer answer;
	bool hung; /* the main loop does nothing any more */
	struct json_object *counts;
	int record; /* -1: none */
};

int64_t now_ms(void);
bool fake_runs(const struct fake *f);
/* To every monitor that has negotiated, and to the log. DATA is consumed; NULL: none. */
void emit(struct fake *f, const char *name, struct json_object *data);
/* DATA as JSON text. */
void emit_text(struct fake *f, const char *name, const char *data);
/* Before the process ends by itself, or is frozen: what was said is heard. */
void flush_all(struct fake *f);

/* ---- commands ---- */

/* A command, or an option of the command line, which is a command at the start: then M is NULL. */
struct ask {
	struct fake *f;
	struct monitor *m;
	struct json_object *args; /* may be NULL */
	const char *class;        /* of a refusal; NULL: none */
	char *desc;
};

/* NULL is "{}", or a refusal. */
typedef struct json_object *command_fn(struct ask *a);

struct command {
	const char *name; /* NULL: the end of a table */
	command_fn *fn;
	const char *
		takes; /* its arguments, parted by blanks, with ":i" or ":b" behind one that is no string; "*": not known */
	bool oob;
};

/* The first refusal counts. Always NULL. */
void *refuse(struct ask *a, const char *class, const char *fmt, ...) _printf_(3, 4);
/* A member that must be there; refuses, and NULL, if it is not. */
const char *ask_str(struct ask *a, const char *key);
/* The same; false. */
bool ask_int(struct ask *a, const char *key, int64_t *ret);
/* Refuses what QEMU takes for no identifier. NULL is taken. */
bool ask_id(struct ask *a, const char *id);

extern const struct command fdset_commands[], node_commands[], object_commands[], net_commands[], chardev_commands[],
	device_commands[], display_commands[];
/* NULL: there is none of this name. */
const struct command *command_find(const char *name);
/* Refuses arguments that it does not take, as QEMU's schema does. */
struct json_object *command_run(const struct command *c, struct ask *a);

/* ---- parts of the loop ---- */

/* A request of a monitor, which waits for the main loop unless it is out of band. */
void take_request(struct fake *f, struct monitor *m, struct json_object *request);
void reply_syntax_error(struct monitor *m);
void run_main_loop(struct fake *f);
struct json_object *fake_version(void);

/* What a script has at this place, for the NTH time. M may be NULL. */
void at_place(struct fake *f, struct monitor *m, const char *place, unsigned nth, bool after);
/* How many times it has come to PLACE, this one included. */
unsigned count_place(struct fake *f, const char *place);

#endif
