/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/aside.h"

#include "base/cleanup.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>

struct aside {
	void (*run)(void *data);
	void (*done)(void *data);
	void *data;
	pthread_t thread;
	uv_async_t ended;
};

static void *thread_main(void *arg)
{
	struct aside *a = arg;

	a->run(a->data);
	uv_async_send(&a->ended);
	return NULL;
}

static void on_closed(uv_handle_t *handle)
{
	free(CONTAINER_OF((uv_async_t *)handle, struct aside, ended));
}

static void on_ended(uv_async_t *ended)
{
	struct aside *a = CONTAINER_OF(ended, struct aside, ended);

	/* It has nothing left to do, but may not have left uv_async_send() yet. */
	pthread_join(a->thread, NULL);
	uv_close((uv_handle_t *)ended, on_closed);
	a->done(a->data);
}

/* Signals are for the thread of the loop. */
static int start(struct aside *a)
{
	sigset_t all, before;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	/* With a whole stack: who knows the accounts of a host may use some of it. */
	r = pthread_create(&a->thread, NULL, thread_main, a);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return r;
}

bool aside_run(uv_loop_t *loop, void (*run)(void *data), void (*done)(void *data), void *data)
{
	struct aside *a = xcalloc(1, sizeof(*a));
	int r;

	a->run = run;
	a->done = done;
	a->data = data;
	uv_async_init(loop, &a->ended, on_ended);
	r = start(a);
	if (r == 0)
		return true;
	uv_close((uv_handle_t *)&a->ended, on_closed);
	errno = r;
	return false;
}
