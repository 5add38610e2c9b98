/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_settings.c - libFuzzer target: a daemon.json, and behind a line "--" the words of options of
 * drayd, one a line: "NAME=VALUE". What is accepted makes a configuration, twice the same one.
 */
#include "base/json.h"
#include "engine/config_load.h"
#include "fuzz.h"

static const struct dray_conf_key *key_of(const char *flag)
{
    const struct dray_conf_key *k = dray_conf_keys;
    for (; k->key || k->flag; k++)
        if (k->flag && strcmp(k->flag, flag) == 0)
            return k;
    return NULL;
}

static struct json_object *flags_of(char *text)
{
    struct json_object *flags = json_object_new_object();
    char *save = NULL;
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        char *value = strchr(line, '=');
        struct dray_err err = {0};
        if (value)
            *value++ = '\0';
        const struct dray_conf_key *k = key_of(line);
        (void)dray_conf_nearest(line, true);
        if (k)
            need_words(dray_conf_set_flag(flags, k, value ? value : "", &err), &err);
    }
    return flags;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dray_autofree char *doc = fuzz_part(&data, &size);
    dray_autofree char *words = fuzz_part(&data, &size);
    dray_autojson *file = NULL;
    dray_autojson *flags = flags_of(words);
    struct dray_err err = {0};
    struct dray_config *c = NULL, *again = NULL;
    if (dray_json_parse(doc, strlen(doc), &file, NULL) != 0)
        file = NULL;
    int rc = file ? dray_conf_check_file(file, &err) : 0;
    if (!rc && file)
        rc = dray_conf_check_conflicts(flags, file, &err);
    if (!rc)
        rc = dray_config_build(flags, file, "/etc/dray/daemon.json", "/usr/bin", &c, &err);
    need_words(rc, &err);
    if (rc)
        return 0;
    need(c->data_root && c->exec_root && c->log_driver && c->libexec_dir);
    need(dray_config_build(flags, file, "/etc/dray/daemon.json", "/usr/bin", &again, &err) == 0);
    need(json_object_equal(c->raw, again->raw) && c->mtu == again->mtu);
    dray_config_free(again);
    dray_config_free(c);
    return 0;
}
