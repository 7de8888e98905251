/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/sound.h"

#define AUDIODEV "audio0"

static const struct card {
	const char *driver; /* NULL: the machine's own */
	const char *on_q35; /* instead */
	bool isa, codec;    /* codec: it is what speaks to the audiodev */
} cards[] = {
	[SOUND_AC97] = { "AC97" },
	[SOUND_ADLIB] = { "adlib", .isa = true },
	[SOUND_CS4231A] = { "cs4231a", .isa = true },
	[SOUND_ES1370] = { "ES1370" },
	[SOUND_GUS] = { "gus", .isa = true },
	[SOUND_HDA] = { "intel-hda", .on_q35 = "ich9-intel-hda", .codec = true },
	[SOUND_PCSPK] = { NULL },
	[SOUND_SB16] = { "sb16", .isa = true },
	[SOUND_VIRTIO] = { "virtio-sound-pci" },
};

static const char *driver_of(const struct definition *def)
{
	const struct card *card = &cards[def->hvparams.soundhw];
	bool q35 = machine_kind(def->hvparams.machine_version) == MACHINE_Q35;

	return q35 && card->on_q35 ? card->on_q35 : card->driver;
}

bool sound_fits(const struct definition *def, const struct argv_env *env, struct err **e)
{
	const char *driver = def->hvparams.soundhw == SOUND_NONE ? NULL : driver_of(def);

	if (!driver || !env->has || env->has(driver, NULL, env->data))
		return true;
	err_set(e, ERR_UNSUPPORTED, "'hvparams.soundhw': '%s' has no device '%s'", env->binary, driver);
	return err_name_param(e, "hvparams.soundhw");
}

struct json_object *sound_audiodev(const struct hvparams *hv)
{
	struct json_object *o;

	if (hv->soundhw == SOUND_NONE)
		return NULL;
	o = json_object_new_object();
	json_add_str(o, "id", AUDIODEV);
	json_add_str(o, "driver", str_empty(hv->spice_bind) ? "none" : "spice");
	return o;
}

const char *sound_machine(const struct hvparams *hv)
{
	return hv->soundhw == SOUND_PCSPK ? ",pcspk-audiodev=" AUDIODEV : "";
}

void sound_parts(const struct definition *def, const struct argv_env *env, struct parts *parts)
{
	const struct card *card = &cards[def->hvparams.soundhw];
	struct json_object *o, *codec;

	if (def->hvparams.soundhw == SOUND_NONE || !card->driver)
		return;
	if (card->isa) {
		o = json_object_new_object();
		json_add_str(o, "driver", card->driver);
		json_add_str(o, "id", "sound");
		json_add_str(o, "bus", "isa.0");
	} else {
		o = device_new(def, driver_of(def), "sound", "0x9", 6);
	}
	if (!card->codec)
		json_add_str(o, "audiodev", AUDIODEV);
	parts_add_device(parts, env, o);
	if (!card->codec)
		return;
	codec = json_object_new_object();
	json_add_str(codec, "driver", "hda-duplex");
	json_add_str(codec, "id", "sound-codec");
	json_add_str(codec, "bus", "sound.0");
	json_add_str(codec, "audiodev", AUDIODEV);
	parts_add_device(parts, env, codec);
}
