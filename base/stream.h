/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A stream of JSON values over a connected unix socket, with file descriptors, on a libuv loop.
 *
 * It owns the socket, a json_reader, the queue of what is to be written. It knows neither requests
 * nor replies: those belong to its owner (a session of the API, a QEMU monitor). Values go out as
 * compact JSON, each ended by CR LF as QEMU does. One portion of input (64 KiB) is read per turn
 * of the loop, so one talkative peer does not starve the others.
 *
 * Callbacks come from the loop only, never from within a function of this header. stream_free() may
 * be called in a callback, after which no further one comes. Writing never blocks; a peer that
 * does not read makes the queue grow, which the owner watches with stream_queued(). SIGPIPE is not
 * raised.
 */
#ifndef DROVER_BASE_STREAM_H
#define DROVER_BASE_STREAM_H

#include "base/json.h"

#include <uv.h>

struct stream;

struct stream_ops {
	/* A whole value. VALUE stays the stream's (take a reference to keep it). */
	void (*value)(struct stream *s, struct json_object *value, void *data);
	/* Input that cannot be taken. With FATAL the reader is dead and nothing more will be read:
	 * the owner answers and ends the stream (stream_finish). E stays the stream's. */
	void (*bad)(struct stream *s, const struct err *e, bool fatal, void *data);
	/* The peer hung up (ERROR 0) or the socket failed (an errno). All values that came before are
	 * delivered. What is queued is lost, but a peer that only stopped sending is first given what
	 * it takes of it. Nothing more comes; the owner frees the stream now or later. */
	void (*closed)(struct stream *s, int error, void *data);
	/* Optional: the queue of output became empty after it was not. */
	void (*drained)(struct stream *s, void *data);
	/* Optional: the peer closed its end while reading was paused. It takes nothing any more; what it sent before
	 * can still be had. Once at most. */
	void (*hung_up)(struct stream *s, void *data);
};

/* Takes FD, a connected stream socket; makes it non-blocking. OPS and LIMITS must outlive it. */
struct stream *stream_new(uv_loop_t *loop, int fd, const struct json_limits *limits, const struct stream_ops *ops,
			  void *data);
/* Closes the socket at once; the memory goes when the loop has run once more. Returns NULL. */
struct stream *stream_free(struct stream *s);
DEFINE_CLEANUP(struct stream *, stream_free, stream_freep)

/* Queues VALUE (stays the caller's) and writes what the socket takes at once. FD, if not -1, is
 * consumed and travels with the first byte of VALUE by SCM_RIGHTS. A failure of the socket is
 * reported by closed() from the loop. After stream_finish() or the end all is dropped. */
void stream_send(struct stream *s, struct json_object *value, int fd);
/* Bytes queued and not yet taken by the socket. */
size_t stream_queued(const struct stream *s);
/* The socket while nothing is half-way, neither in nor out; else -1. It stays the stream's. */
int stream_settled_fd(const struct stream *s);
/* Stops and starts reading (values that are already read stay back as well). While paused a
 * hang-up of the peer is noticed only when there is something to write, or by hung_up(). */
void stream_pause(struct stream *s, bool pause);
/* No more is read; when the queue is written the stream hangs up and calls closed(0). A peer that
 * takes nothing for five seconds is not waited for. */
void stream_finish(struct stream *s);

/* Gives the socket to the caller, who wants raw bytes from here on: *FD is non-blocking, *REST the
 * *LEN input bytes that followed the value just delivered (allocated), OUT what is still to be
 * written (allocated, may be empty). The stream is freed (queued descriptors are closed).
 * For use in a value() callback. */
void stream_detach(struct stream *s, int *fd, char **rest, size_t *len, char **out, size_t *out_len);

/* SO_PEERCRED of the other end; false if unknown. */
bool stream_peer(const struct stream *s, uid_t *uid, pid_t *pid);

#endif
