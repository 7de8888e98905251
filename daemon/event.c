/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/event.h"

#include "daemon/daemon.h"
#include "daemon/session.h"

#include <string.h>
#include <time.h>

void event_emit(struct daemon *d, const char *name, struct json_object *data)
{
	_cleanup_json_ struct json_object *o = json_object_new_object();
	struct json_object *stamp = json_object_new_object();
	struct timespec now;
	char **slot;

	clock_gettime(CLOCK_REALTIME, &now);
	json_add_int(stamp, "seconds", now.tv_sec);
	json_add_int(stamp, "microseconds", now.tv_nsec / 1000);
	json_add_str(o, "event", name);
	json_add(o, "data", data);
	json_add(o, "timestamp", stamp);
	json_add_int(o, "seq", ++d->events.last);
	slot = &d->events.text[d->events.last % EVENTS_KEPT];
	free(*slot);
	*slot = json_print(o);
	session_broadcast(d, o);
}

int64_t event_oldest(const struct daemon *d)
{
	return d->events.last < EVENTS_KEPT ? 1 : d->events.last - EVENTS_KEPT + 1;
}

void event_gap(struct daemon *d, struct err **e)
{
	struct err *gap = NULL;

	err_set(&gap, ERR_GAP, "events were lost; the oldest kept has seq %" PRId64, event_oldest(d));
	err_add(gap, "oldest", json_object_new_int64(event_oldest(d)));
	err_add(gap, "epoch", json_object_new_string(d->epoch));
	*e = gap;
}

bool event_since(struct daemon *d, int64_t since, const char *epoch, struct json_object **ret, struct err **e)
{
	struct json_object *list;

	if ((epoch && strcasecmp(epoch, d->epoch) != 0) || since < event_oldest(d) - 1 || since > d->events.last) {
		event_gap(d, e);
		return false;
	}
	list = json_object_new_array();
	for (int64_t seq = since + 1; seq <= d->events.last; seq++) {
		const char *text = d->events.text[seq % EVENTS_KEPT];
		struct json_object *o = NULL;

		if (json_parse(text, strlen(text), &json_limits_qemu, &o, NULL))
			json_object_array_add(list, o);
	}
	*ret = list;
	return true;
}
