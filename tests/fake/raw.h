/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A QEMU, real or fake, without a droverd: two monitors on sockets in a directory of its own, which is also where it
 * starts, and a client that sends what it is told to and looks at whole replies.
 */
#ifndef DROVER_TESTS_RAW_H
#define DROVER_TESTS_RAW_H

#include "rig.h"

enum { RAW_MONITORS = 2 };

struct raw {
	char *dir;
	pid_t pid;
	int fds[RAW_MONITORS]; /* -1: not connected */
	struct json_reader *readers[RAW_MONITORS];
	struct json_object *events; /* of the first monitor, in their order, not taken yet */
};

/* Where the files are to lie that it opens; the caller's. */
char *raw_dir(void);
/* Starts PROGRAM, stopped before its first instruction, in DIR, which it consumes; EXTRA: words of the command line,
 * parted by blanks. Both monitors are connected, without out-of-band execution. */
struct raw *raw_start(const char *program, char *dir, const char *machine, const char *extra);
/* Ends it, and removes the directory. */
void raw_free(struct raw *r);
void raw_connect(struct raw *r, unsigned monitor, bool oob);
void raw_hang_up(struct raw *r, unsigned monitor);
/* Sends it with N descriptors. ARGS: JSON with ', or NULL. The request has the id "COMMAND". */
void raw_send(struct raw *r, unsigned monitor, const char *command, const char *args, const int *fds, size_t n);
/* The next value that is no event; NULL at the end of the stream. The caller's. */
struct json_object *raw_reply(struct raw *r, unsigned monitor);
/* Both, on the first monitor; the reply must be there. */
struct json_object *raw_ask(struct raw *r, const char *command, const char *args, ...) _printf_(3, 4);
/* The same; the result is its "return", or its "error", and must be. */
struct json_object *raw_ok(struct raw *r, const char *command, const char *args, ...) _printf_(3, 4);
struct json_object *raw_error(struct raw *r, const char *command, const char *args, ...) _printf_(3, 4);
/* The next event NAME; earlier other ones are dropped. The caller's. */
struct json_object *raw_event(struct raw *r, const char *name);
/* Whether one has come by now, without waiting. */
bool raw_has_event(struct raw *r, const char *name);

#endif
