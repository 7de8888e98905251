/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/guest_agent.h"

#include "base/log.h"

#include <math.h>
#include <string.h>
#include <sys/queue.h>

/* What a guest may make us keep, each answer. */
enum { KEEP_MAX = 256 << 10 };

/* What is asked, and how it is shown. */
static const struct {
	const char *command;
	const char *member; /* of the answer; NULL: all of it */
	enum json_type type;
	const char *name; /* in query-guest */
} questions[] = {
	{ "guest-info", "version", json_type_string, "version" },
	{ "guest-get-host-name", "host-name", json_type_string, "hostname" },
	{ "guest-get-osinfo", NULL, json_type_object, "os" },
	{ "guest-network-get-interfaces", NULL, json_type_array, "interfaces" },
	{ "guest-get-fsinfo", NULL, json_type_array, "filesystems" },
};

enum { QUESTIONS = ARRAY_SIZE(questions) };

/* Kept as text: a value of a hostile guest may be a hundred times as large as its text. */
struct answer {
	struct guest_agent *ga;
	char *text; /* NULL: never answered, or the agent has no such thing */
	double as_of;
};

struct guest_asker {
	TAILQ_ENTRY(guest_asker) link;
	struct guest_agent *ga;
	uv_timer_t patience; /* runs while the agent is waited for */
	guest_agent_told_fn *told;
	void *data;
};

struct guest_agent {
	struct instance *inst;
	struct agent *client;
	bool known, up; /* known: QEMU has said whether its port is open */
	bool ended;
	struct answer answers[QUESTIONS];
	unsigned pending; /* of the question under way */
	bool answered;    /* to any of it */
	bool overdue;     /* some of it was not answered */
	TAILQ_HEAD(asker_list, guest_asker) askers;
};

static int connect_agent(void *data, struct err **e)
{
	struct guest_agent *ga = data;

	return dirs_connect(ga->inst->run_dir, "agent.sock", e);
}

static struct guest_agent *get(struct instance *inst)
{
	struct guest_agent *ga = inst->agent;

	if (ga)
		return ga;
	inst->agent = ga = xcalloc(1, sizeof(*ga));
	ga->inst = inst;
	ga->client = agent_new(inst->rt->loop, connect_agent, ga);
	TAILQ_INIT(&ga->askers);
	for (size_t i = 0; i < QUESTIONS; i++)
		ga->answers[i].ga = ga;
	return ga;
}

bool guest_agent_is_up(const struct instance *inst)
{
	return inst->agent && inst->agent->up;
}

struct agent *guest_agent_client(struct instance *inst)
{
	return get(inst)->client;
}

/* ---- what it said ---- */

static struct json_object *describe(const struct guest_agent *ga, bool alive, bool stale)
{
	struct json_object *o = json_object_new_object();
	double as_of = INFINITY;

	for (size_t i = 0; i < QUESTIONS; i++)
		if (ga->answers[i].text)
			as_of = fmin(as_of, ga->answers[i].as_of);
	json_add_bool(o, "alive", alive);
	json_add_time(o, "as-of", as_of);
	json_add_bool(o, "stale", stale);
	for (size_t i = 0; i < QUESTIONS; i++) {
		const char *text = ga->answers[i].text;
		struct json_object *value = NULL;

		if (text && json_parse(text, strlen(text), &json_limits_qemu, &value, NULL))
			json_add(o, questions[i].name, value);
	}
	return o;
}

static bool knows_anything(const struct guest_agent *ga)
{
	for (size_t i = 0; i < QUESTIONS; i++)
		if (ga->answers[i].text)
			return true;
	return false;
}

static void on_patience_closed(uv_handle_t *handle)
{
	free(CONTAINER_OF(handle, struct guest_asker, patience));
}

void guest_agent_forget(struct guest_asker *a)
{
	TAILQ_REMOVE(&a->ga->askers, a, link);
	uv_close((uv_handle_t *)&a->patience, on_patience_closed);
}

/* Consumes RET and E. */
static void tell(struct guest_asker *a, struct json_object *ret, struct err *e)
{
	guest_agent_forget(a);
	a->told(ret, e, a->data);
}

/* It did not come in time. */
static void on_impatient(uv_timer_t *timer)
{
	struct guest_asker *a = CONTAINER_OF(timer, struct guest_asker, patience);

	tell(a, describe(a->ga, false, knows_anything(a->ga)), NULL);
}

/* All is said, or will not be. */
static void conclude(struct guest_agent *ga)
{
	struct guest_asker *a, *next;

	/* By hand: TAILQ has no walk that bears removal. */
	for (a = TAILQ_FIRST(&ga->askers); a && !ga->ended; a = next) {
		next = TAILQ_NEXT(a, link);
		if (!uv_is_active((uv_handle_t *)&a->patience))
			tell(a, describe(ga, ga->answered, ga->overdue), NULL);
	}
}

static void keep(struct answer *answer, struct json_object *ret)
{
	size_t i = (size_t)(answer - answer->ga->answers);
	struct json_object *value = ret;

	free(answer->text);
	answer->text = NULL;
	if (questions[i].member)
		value = json_get_typed(ret, questions[i].member, questions[i].type);
	if (!value || !json_object_is_type(value, questions[i].type)) {
		log_debug("%s: the guest agent's answer to '%s' is none", answer->ga->inst->name, questions[i].command);
		return;
	}
	answer->text = json_print(value);
	answer->as_of = time_now();
	if (strlen(answer->text) > KEEP_MAX) {
		log_debug("%s: the guest agent's answer to '%s' is too long", answer->ga->inst->name,
			  questions[i].command);
		free(answer->text);
		answer->text = NULL;
	}
}

static void on_answer(struct json_object *ret, const struct err *e, void *data)
{
	struct answer *answer = data;
	struct guest_agent *ga = answer->ga;

	if (!e)
		keep(answer, ret);
	else if (e->class == ERR_GUEST_REFUSED)
		keep(answer, NULL); /* it has no such command, or no such thing */
	else
		ga->overdue = true;
	ga->answered |= !e || e->class == ERR_GUEST_REFUSED;
	if (--ga->pending == 0)
		conclude(ga);
}

/* False: it cannot be asked now. */
static bool ask_all(struct guest_agent *ga)
{
	if (ga->pending)
		return true;
	ga->answered = ga->overdue = false;
	for (size_t i = 0; i < QUESTIONS; i++) {
		if (agent_send(ga->client, questions[i].command, NULL, AGENT_MS, on_answer, &ga->answers[i], NULL))
			ga->pending++;
		else
			ga->overdue = true;
	}
	return ga->pending > 0;
}

struct guest_asker *guest_agent_ask(struct instance *inst, double wait, guest_agent_told_fn *told, void *data)
{
	struct guest_agent *ga = get(inst);
	struct guest_asker *a = xcalloc(1, sizeof(*a));
	uint64_t ms = (uint64_t)ceil(wait * 1000);

	a->ga = ga;
	a->told = told;
	a->data = data;
	uv_timer_init(inst->rt->loop, &a->patience);
	TAILQ_INSERT_TAIL(&ga->askers, a, link);
	if (ga->up && ask_all(ga))
		return a;
	if (!ga->known && ms < AGENT_MS)
		ms = AGENT_MS; /* QEMU will say */
	uv_timer_start(&a->patience, on_impatient, ga->up ? 0 : ms, 0);
	return a;
}

/* ---- whether it is there ---- */

/* Those who waited for it to come ask now; those who waited for no longer than to know are told. */
static void wake_askers(struct guest_agent *ga)
{
	struct guest_asker *a;

	if (!ga->up || TAILQ_EMPTY(&ga->askers) || !ask_all(ga))
		return;
	TAILQ_FOREACH(a, &ga->askers, link)
	uv_timer_stop(&a->patience);
}

static void set_up(struct guest_agent *ga, bool up)
{
	bool changed = ga->up != up;

	ga->known = true;
	ga->up = up;
	if (changed)
		ga->inst->rt->ops->agent_changed(ga->inst, up, ga->inst->rt->data);
	wake_askers(ga);
}

static void on_chardevs(struct json_object *ret, const struct err *e, void *data)
{
	struct guest_agent *ga = data;
	bool open = false;

	for (size_t i = 0; i < json_length(ret); i++) {
		struct json_object *o = json_object_array_get_idx(ret, i);

		if (str_eq(json_get_str(o, "label"), "agent"))
			open = json_get_bool(o, "frontend-open", false);
	}
	if (e)
		ga->known = true; /* as well as it can be */
	else
		set_up(ga, open);
}

void guest_agent_begin(struct instance *inst)
{
	qmp_send(inst->qmp, "query-chardev", NULL, -1, on_chardevs, get(inst));
}

void guest_agent_event(struct instance *inst, const char *name, struct json_object *event)
{
	if (str_eq(name, "VSERPORT_CHANGE") && str_eq(json_get_str(event, "id"), "agent"))
		set_up(get(inst), json_get_bool(event, "open", false));
}

void guest_agent_end(struct instance *inst)
{
	struct guest_agent *ga = inst->agent;
	struct guest_asker *a;

	if (!ga)
		return;
	ga->ended = true;
	inst->agent = NULL;
	agent_free(ga->client);
	while ((a = TAILQ_FIRST(&ga->askers))) {
		struct err *e = NULL;

		err_set(&e, ERR_GUEST_GONE, "QEMU has ended");
		tell(a, NULL, e); /* NOLINT(clang-analyzer-unix.Malloc): it is off the list */
	}
	if (ga->up)
		inst->rt->ops->agent_changed(inst, false, inst->rt->data);
	for (size_t i = 0; i < QUESTIONS; i++)
		free(ga->answers[i].text);
	free(ga);
}
