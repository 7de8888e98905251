/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/metrics.h"

#include "cli/shapes.h"

#include <string.h>

const struct metric metrics[] = {
	{ "drover_up", METRIC_DAEMON, .help = "Whether droverd answered." },
	{ "drover_build_info", METRIC_VERSION, .help = "Always 1; which version of droverd answered." },
	{ "drover_instance_state", METRIC_STATE, .help = "Whether the instance is in this state." },
	{ "drover_instance_state_timestamp_seconds", METRIC_INSTANCE, .member = "since",
	  .help = "When the instance came into its state, in seconds since 1970." },
	{ "drover_instance_unreadable", METRIC_INSTANCE, .member = "error",
	  .help = "Whether the record or the process of the instance cannot be looked at." },
	{ "drover_instance_pending", METRIC_INSTANCE, .member = "pending",
	  .help = "Whether changes of the definition wait for the next start." },
	{ "drover_instance_monitor_ok", METRIC_INSTANCE, .member = "monitor", .is = "ok",
	  .help = "Whether QEMU answers on its monitor." },
	{ "drover_instance_vcpus", METRIC_INSTANCE, .member = "vcpus",
	  .help = "Virtual processors that the definition has." },
	{ "drover_instance_memory_wanted_bytes", METRIC_INSTANCE, .member = "memory",
	  .help = "Memory that the definition has." },
	{ "drover_instance_stats_stale", METRIC_STATS, .member = "stale",
	  .help = "Whether QEMU did not answer in time: what follows is what was known last." },
	{ "drover_instance_stats_timestamp_seconds", METRIC_STATS, .member = "as-of",
	  .help = "When the counters were read, in seconds since 1970." },
	{ "drover_instance_cpu_seconds_total", METRIC_STATS, true, "cpu", "time",
	  .help = "Processor time of the whole QEMU process." },
	{ "drover_instance_vcpu_seconds_total", METRIC_VCPU, true, .member = "time",
	  .help = "Processor time of a virtual processor." },
	{ "drover_instance_memory_resident_bytes", METRIC_STATS, false, "memory", "resident",
	  .help = "Memory of the host that the QEMU process has." },
	{ "drover_instance_memory_actual_bytes", METRIC_STATS, false, "memory", "actual",
	  .help = "Memory that the balloon leaves to the guest." },
	{ "drover_instance_disk_read_bytes_total", METRIC_DISK, true, .member = "read-bytes",
	  .help = "Bytes the guest has read." },
	{ "drover_instance_disk_reads_completed_total", METRIC_DISK, true, .member = "read-ops",
	  .help = "Reads the guest has made." },
	{ "drover_instance_disk_written_bytes_total", METRIC_DISK, true, .member = "write-bytes",
	  .help = "Bytes the guest has written." },
	{ "drover_instance_disk_writes_completed_total", METRIC_DISK, true, .member = "write-ops",
	  .help = "Writes the guest has made." },
	{ "drover_instance_disk_flushes_completed_total", METRIC_DISK, true, .member = "flush-ops",
	  .help = "Flushes the guest has made." },
	{ "drover_instance_network_receive_bytes_total", METRIC_NIC, true, .member = "rx-bytes",
	  .help = "Bytes towards the guest." },
	{ "drover_instance_network_receive_packets_total", METRIC_NIC, true, .member = "rx-packets",
	  .help = "Packets towards the guest." },
	{ "drover_instance_network_transmit_bytes_total", METRIC_NIC, true, .member = "tx-bytes",
	  .help = "Bytes from the guest." },
	{ "drover_instance_network_transmit_packets_total", METRIC_NIC, true, .member = "tx-packets",
	  .help = "Packets from the guest." },
	{ .name = NULL },
};

/* All that the daemon has; one that is added shows as its own. */
static const char *const states[] = { "running", "paused",  "blocked",     "shutdown",
				      "shutoff", "crashed", "pmsuspended", "nostate" };

/* What a scope's samples are taken from, and what they are called by. */
static const struct {
	const char *labels;
	bool stats;                     /* of query-stats, else of query-instances */
	const char *within, *list;      /* a sample for each of this list of it */
	const char *label, *members[2]; /* the further label; the first of these that is there */
} scopes[] = {
	[METRIC_DAEMON] = { "" },
	[METRIC_VERSION] = { "version" },
	[METRIC_INSTANCE] = { "name, uuid" },
	[METRIC_STATE] = { "name, uuid, state" },
	[METRIC_STATS] = { "name, uuid", true },
	[METRIC_VCPU] = { "name, uuid, vcpu", true, "cpu", "vcpus", "vcpu", { "id" } },
	[METRIC_DISK] = { "name, uuid, device", true, NULL, "disks", "device", { "name", "uuid" } },
	[METRIC_NIC] = { "name, uuid, device", true, NULL, "nics", "device", { "name", "uuid" } },
};

const char *metric_labels(const struct metric *m)
{
	return scopes[m->scope].labels;
}

/* ---- a sample ---- */

/* One metric on its way out. */
struct family {
	FILE *f;
	const struct metric *metric;
	bool begun;
};

struct label {
	const char *name, *value; /* NULL: it is left out */
};

static void print_label(FILE *f, const struct label *label, const char *before)
{
	fprintf(f, "%s%s=\"", before, label->name);
	for (const char *p = label->value; *p; p++) {
		if (*p == '\n')
			fputs("\\n", f);
		else if (*p == '"' || *p == '\\')
			fprintf(f, "\\%c", *p);
		else
			fputc(*p, f);
	}
	fputc('"', f);
}

static void sample(struct family *family, const struct label *labels, size_t n, const char *value)
{
	const struct metric *m = family->metric;
	bool any = false;

	if (!family->begun)
		fprintf(family->f, "# HELP %s %s\n# TYPE %s %s\n", m->name, m->help, m->name,
			m->counter ? "counter" : "gauge");
	family->begun = true;
	fputs(m->name, family->f);
	for (size_t i = 0; i < n; i++) {
		if (!labels[i].value)
			continue;
		print_label(family->f, &labels[i], any ? "," : "{");
		any = true;
	}
	fprintf(family->f, "%s %s\n", any ? "}" : "", value);
}

/* ---- its value ---- */

/* A number as it came; 1 and 0 for what is said of the member. NULL: nobody has it. The caller's. */
static char *value_of(const struct metric *m, struct json_object *o)
{
	struct json_object *value = NULL;
	bool there;

	if (m->within)
		o = json_get_typed(o, m->within, json_type_object);
	there = json_object_object_get_ex(o, m->member, &value);
	if (m->is)
		return there ? xstrdup(str_eq(json_get_str(o, m->member), m->is) ? "1" : "0") : NULL;
	if (str_eq(m->member, "error"))
		return xstrdup(there ? "1" : "0");
	if (json_object_is_type(value, json_type_boolean))
		return xstrdup(json_object_get_boolean(value) ? "1" : "0");
	return json_object_is_type(value, json_type_int) || json_object_is_type(value, json_type_double) ?
		       json_print(value) :
		       NULL;
}

/* ---- the scopes ---- */

enum { NAME, UUID, MORE, LABELS };

static void print_states(struct family *family, struct label *labels, struct json_object *o)
{
	const char *state = json_get_str(o, "state");
	bool known = !state;

	labels[MORE].name = "state";
	for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
		labels[MORE].value = states[i];
		sample(family, labels, LABELS, str_eq(state, states[i]) ? "1" : "0");
		known |= str_eq(state, states[i]);
	}
	labels[MORE].value = state;
	if (!known)
		sample(family, labels, LABELS, "1");
}

/* What the I-th of LIST is called by. No two are called the same: of a name that an earlier one has, the next member is
 * taken. The caller's. */
static char *called(enum metric_scope scope, struct json_object *list, size_t i)
{
	for (size_t m = 0; m < ARRAY_SIZE(scopes[scope].members) && scopes[scope].members[m]; m++) {
		const char *member = scopes[scope].members[m];
		char *value = shape_member(json_object_array_get_idx(list, i), member);
		bool taken = !value;

		for (size_t k = 0; k < i && !taken; k++) {
			_cleanup_free_ char *other = shape_member(json_object_array_get_idx(list, k), member);

			taken = str_eq(other, value);
		}
		if (!taken)
			return value;
		free(value);
	}
	return NULL;
}

static void print_parts(struct family *family, struct label *labels, struct json_object *o)
{
	enum metric_scope scope = family->metric->scope;
	struct json_object *list;

	if (scopes[scope].within)
		o = json_get_typed(o, scopes[scope].within, json_type_object);
	list = json_get_typed(o, scopes[scope].list, json_type_array);
	labels[MORE].name = scopes[scope].label;
	for (size_t i = 0; i < json_length(list); i++) {
		_cleanup_free_ char *name = called(scope, list, i);
		_cleanup_free_ char *value = value_of(family->metric, json_object_array_get_idx(list, i));

		labels[MORE].value = name;
		if (name && value)
			sample(family, labels, LABELS, value);
	}
}

static void print_one(struct family *family, struct json_object *o)
{
	enum metric_scope scope = family->metric->scope;
	struct label labels[LABELS] = {
		[NAME] = { "name", json_get_str(o, "name") }, [UUID] = { "uuid", json_get_str(o, "uuid") }
	};
	_cleanup_free_ char *value = NULL;

	if (!labels[NAME].value)
		return;
	if (scope == METRIC_STATE) {
		print_states(family, labels, o);
	} else if (scopes[scope].list) {
		print_parts(family, labels, o);
	} else {
		value = value_of(family->metric, o);
		if (value)
			sample(family, labels, MORE, value);
	}
}

static void print_version(struct family *family, struct json_object *version)
{
	const char *package = json_get_str(version, "package");
	const struct label label = { "version", package && str_starts(package, "drover-") ?
							package + strlen("drover-") :
							package };

	if (package)
		sample(family, &label, 1, "1");
}

void metrics_print(FILE *f, struct json_object *version, struct json_object *instances, struct json_object *stats)
{
	for (const struct metric *m = metrics; m->name; m++) {
		struct family family = { .f = f, .metric = m };
		struct json_object *list = scopes[m->scope].stats ? stats : instances;

		if (m->scope == METRIC_DAEMON)
			sample(&family, NULL, 0, version ? "1" : "0");
		else if (m->scope == METRIC_VERSION)
			print_version(&family, version);
		else
			for (size_t i = 0; i < json_length(list); i++)
				print_one(&family, json_object_array_get_idx(list, i));
	}
}
