/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How the fake QEMU is to misbehave: words of the kernel's command line, so that a definition alone
 * carries them ("kernel_path": of any file, "kernel_args": "fake.exit=cont+:3 fake.say=no_space").
 *
 *   at a place, once:       exit=PLACE:STATUS  kill=PLACE:SIGNAL  freeze=PLACE (SIGSTOP to itself)
 *                           hangup=PLACE (that monitor)  poweroff=PLACE  panic=PLACE  pause=PLACE (io-error)
 *                           state=PLACE:RUNSTATE (it stands still then; also no-space, and unheard, which is no-space
 *                           without an event)
 *                           event=PLACE:NAME or event=PLACE:NAME:DATA (an event; DATA is JSON, with ` for ")
 *                           eject=PLACE:ID (the guest lets go of that device by itself)
 *                           line=PLACE:TEXT (anything, on that monitor)
 *   of a command's answer:  silent=CMD (that one never comes)  hang=CMD (neither does any later one, but out of band)
 *                           delay=CMD:MS  hold=CMD:FILE (until FILE exists)  error=CMD:CLASS:TEXT  flood=CMD:EVENTS
 *                           lie=CMD (a return without members)  twice=CMD  wrongid=CMD (with the id of the request
 *                           before it)  garbage=CMD (no JSON)  half=CMD (a part of it, then that monitor hangs up)
 *                           linger=quit:MS (the monitors close, and it ends so much later)
 *   throughout:             chunk=BYTES (at a time)  greeting=none|garbage|half  powerdown=ignore  term=ignore
 *                           fdsets=late|early|stay (remove-fd says yes, and does it only while the guest runs, which
 *                           is what QEMU 7.2 does and the default; at once, as later ones; or never)
 *                           unplug=HOW, or unplug=ID/HOW for one device: HOW is obey (the default), ignore, refuse (it
 *                           says so), late:FILE (when FILE exists). It is for PCI, and while the guest runs: what was
 *                           asked for while it stood still it hears later, what was before it ever ran never
 *                           resets=MS (its own reset the firmware repeats after so long, once)
 *                           again=refuse (a second device_del of what is pending, also when the guest has run; QEMU
 *                           does so for 5 s without ACPI)
 *                           say=TEXT (to stderr, at start)  record=FILE (a line "MONITOR COMMAND" for each request)
 *
 * PLACE is "start" (before it listens), "greeting" (after one was sent), or a command, with "#N" for its
 * Nth time only and "+" for after the answer instead of before it. In texts "_" stands for a space.
 */
#ifndef DROVER_TESTS_SCRIPT_H
#define DROVER_TESTS_SCRIPT_H

#include "base/cleanup.h"

struct script_line {
	char *word, *place, *value; /* value: what follows the first ':', or NULL */
	unsigned nth;               /* 0: every time */
	bool after, done;
};

struct script {
	struct script_line *lines;
	size_t n;
};

/* The words "fake.…" of a kernel's command line; exits with a message for one it does not know. */
void script_read(struct script *s, const char *append);
/* The next line (after PREV, NULL: the first) that says WORD of PLACE at its NTH time. */
struct script_line *script_next(struct script *s, struct script_line *prev, const char *word, const char *place,
				unsigned nth, bool after);
/* The value of a word that holds throughout, or NULL. */
const char *script_value(const struct script *s, const char *word);
bool script_says(const struct script *s, const char *word, const char *value);
/* Of one that is said as "WORD=ID/VALUE" for one thing, and as "WORD=VALUE" for the others. */
const char *script_value_for(const struct script *s, const char *word, const char *id);

#endif
