/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A blocking session with droverd: connect, greeting, capabilities, one call at a time.
 *
 * The daemon is the one that was named, by --socket or --host, else by $DROVER_SOCKET or $DROVER_HOST, and no other; else
 * the system's, else the user's own. That nobody answers is Unavailable and says what was
 * tried. Errors of the daemon come out as it sent them (a class this program does not know keeps
 * its name on the wire in the member "class"). Events that come meanwhile go to one function, or
 * nowhere. Signals do not end a wait unless they end the program.
 */
#ifndef DROVER_CLI_CLIENT_H
#define DROVER_CLI_CLIENT_H

#include "base/json.h"

struct client;

/* Where to look, given the option and the environment (each may be NULL or empty). The strings and
 * the list, which ends with NULL, are the caller's. */
char **client_paths(const char *option, const char *drover_socket, const char *xdg_runtime_dir);

/* SOCKET, HOST: the values of --socket and --host, or NULL; without them the environment counts. Who names both a socket and
 * a host is asked which: InvalidParameter. */
struct client *client_open(const char *socket, const char *host, struct err **e);
/* A connection to the daemon of this host, and its socket's path, the caller's; or -1. */
int client_dial(const char *option, char **path, struct err **e);
/* A session over FD (consumed also on failure), PATH being its name for people. */
struct client *client_new(int fd, const char *path, struct err **e);
struct client *client_free(struct client *c);
DEFINE_CLEANUP(struct client *, client_free, client_freep)

const char *client_path(const struct client *c);
/* From the greeting; NULL if it had none. */
const char *client_epoch(const struct client *c);

/* Calls ARGUMENTS (NULL: none) stay the caller's, *RET is the caller's. */
bool client_call(struct client *c, const char *command, struct json_object *arguments, struct json_object **ret,
		 struct err **e);

/* How the call with the I-th arguments ended: RESULT, or E if that is NULL; both stay the client's. */
typedef void (*client_ended)(size_t i, struct json_object *result, const struct err *e, void *data);
/* Calls COMMAND with each object of the array ARGUMENTS, side by side as far as a session may, and tells of each end when
 * it comes. False: the session is over, and how those ended that were not told of is not known. */
bool client_call_each(struct client *c, const char *command, struct json_object *arguments, client_ended ended,
		      void *data, struct err **e);

/* EVENT stays the client's. */
void client_on_event(struct client *c, void (*fn)(struct json_object *event, void *data), void *data);
/* Waits for the next value and hands it to that function if it is an event. */
bool client_wait(struct client *c, struct err **e);

/* For those who wait for more than the daemon: sends a request, with the id *ID; what answers it goes to the function of
 * client_on_reply(), as does what answers nothing, which has no id. */
bool client_send(struct client *c, const char *command, struct json_object *arguments, int64_t *id, struct err **e);
/* REPLY, as it came, stays the client's. */
void client_on_reply(struct client *c, void (*fn)(struct json_object *reply, void *data), void *data);
/* Takes what is left over, else reads once, for client_fd() is readable; hands out all that is whole by then. */
bool client_take(struct client *c, struct err **e);

/* Input is at hand that client_wait() would take without reading from client_fd(). */
bool client_buffered(const struct client *c);
int client_fd(const struct client *c);

/* The session becomes a raw stream: gives the socket and the *LEN bytes that were read behind the
 * last value (allocated; the end of its line among them). The client is freed. */
int client_detach(struct client *c, char **rest, size_t *len);

#endif
