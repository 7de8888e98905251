/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A client that sends without waiting, survives the end of droverd, and keeps accounts: each request has one reply of a
 * documented shape, and no event is missing.
 */
#ifndef DROVER_TESTS_PEER_H
#define DROVER_TESTS_PEER_H

#include "base/json.h"
#include "rig.h"

struct peer_request {
	int id;
	char *command;
	struct peer_request *next;
};

struct peer {
	int fd, last_id; /* -1: not connected */
	struct json_reader *reader;
	struct peer_request *requests; /* without a reply */
	int awaited;                   /* id of the one whose reply is kept; 0: none */
	struct json_object *answer;    /* that */
	int64_t seq;                   /* of the last event; 0: none yet */
};

#define PEER_NONE ((struct peer){ .fd = -1 })

/* False: nobody answers, now. */
bool peer_open(struct peer *p, struct rig *r);
/* Hangs up; what was asked is forgotten. */
void peer_close(struct peer *p);
/* TEXT is the JSON of the arguments. 0 without a connection. */
int peer_send(struct peer *p, const char *command, const char *text);
void peer_write(struct peer *p, const char *data, size_t len);
/* Takes what comes, for MS at most, or until ID has its reply; 0: what is there. False once droverd has hung up. */
bool peer_listen(struct peer *p, unsigned ms, int id);
/* Requests without a reply; the commands and ids of the first few. The caller's. */
unsigned peer_open_requests(const struct peer *p);
char *peer_describe(const struct peer *p);
/* Asks and waits; the whole reply, or NULL once droverd has hung up. The caller's. */
struct json_object *peer_ask(struct peer *p, const char *command, const char *text);

#endif
