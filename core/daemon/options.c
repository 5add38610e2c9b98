/* SPDX-License-Identifier: Apache-2.0 */
/* options.c - reads drayd's command line by the table of settings, and merges in daemon.json. */
#include "options.h"

#include "base/buf.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/spawn.h"
#include "engine/config_load.h"

#include <fcntl.h>

#define CONFIG_FILE_MOST ((size_t)1 << 20)

static const struct dray_conf_key *find_flag(const char *name, size_t n)
{
    for (const struct dray_conf_key *k = dray_conf_keys; k->key || k->flag; k++)
        if (k->flag && strlen(k->flag) == n && strncmp(k->flag, name, n) == 0)
            return k;
    return NULL;
}

static const struct dray_conf_key *find_letter(char letter)
{
    for (const struct dray_conf_key *k = dray_conf_keys; k->key || k->flag; k++)
        if (letter && k->letter == letter)
            return k;
    return NULL;
}

static int unknown_flag(const char *name, size_t n, struct dray_err *err)
{
    dray_autofree char *copy = strndup(name, n);
    const char *near = copy ? dray_conf_nearest(copy, true) : NULL;
    return dray_fail(err, DRAY_E_INVAL, "unknown flag: --%.*s%s%s%s", (int)n, name,
                     near ? " (did you mean --" : "", near ? near : "", near ? "?)" : "");
}

struct args {
    int argc;
    char *const *argv;
    int at;
};

/* The value of a flag: behind '=', or the next argument; "true" for a bare boolean. */
static const char *value_of(struct args *a, const struct dray_conf_key *k, const char *inline_value)
{
    if (inline_value)
        return inline_value;
    if (k->type == DRAY_CONF_BOOL)
        return "true";
    return a->at + 1 < a->argc ? a->argv[++a->at] : NULL;
}

static int apply(struct drayd_options *o, const struct dray_conf_key *k, const char *value,
                 struct dray_err *err)
{
    if (!value)
        return dray_fail(err, DRAY_E_INVAL, "flag needs an argument: --%s", k->flag);
    if (strcmp(k->flag, "help") == 0)
        o->help = true;
    else if (strcmp(k->flag, "version") == 0)
        o->version = true;
    else if (strcmp(k->flag, "validate") == 0)
        o->validate = true;
    else
        return dray_conf_set_flag(o->flags, k, value, err);
    return 0;
}

static int long_flag(struct drayd_options *o, struct args *a, struct dray_err *err)
{
    const char *name = a->argv[a->at] + 2;
    size_t n = strcspn(name, "=");
    const struct dray_conf_key *k = find_flag(name, n);
    if (!k)
        return unknown_flag(name, n, err);
    return apply(o, k, value_of(a, k, name[n] ? name + n + 1 : NULL), err);
}

/* "-D", "-Dl debug", "-Hunix://...", "-H=unix://..." */
static int short_flags(struct drayd_options *o, struct args *a, struct dray_err *err)
{
    int rc = 0;
    for (const char *p = a->argv[a->at] + 1; *p && !rc; p++) {
        const struct dray_conf_key *k = find_letter(*p);
        if (!k)
            return dray_fail(err, DRAY_E_INVAL, "unknown shorthand flag: '%c' in %s", *p,
                             a->argv[a->at]);
        if (k->type == DRAY_CONF_BOOL && p[1] != '=') {
            rc = apply(o, k, "true", err);
            continue;
        }
        const char *rest = p[1] == '=' ? p + 2 : p[1] ? p + 1 : NULL;
        return apply(o, k, value_of(a, k, rest), err);
    }
    return rc;
}

int drayd_options_parse(int argc, char *const *argv, struct drayd_options *out,
                        struct dray_err *err)
{
    *out = (struct drayd_options){.flags = json_object_new_object()};
    if (!out->flags)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    struct args a = {.argc = argc, .argv = argv, .at = 1};
    for (; a.at < argc; a.at++) {
        const char *arg = argv[a.at];
        int rc = 0;
        if (strncmp(arg, "--", 2) == 0 && arg[2])
            rc = long_flag(out, &a, err);
        else if (arg[0] == '-' && arg[1] && arg[1] != '-')
            rc = short_flags(out, &a, err);
        else
            rc = dray_fail(err, DRAY_E_INVAL, "\"drayd\" accepts no arguments, got \"%s\"", arg);
        if (rc)
            return rc;
    }
    return 0;
}

void drayd_options_free(struct drayd_options *o)
{
    json_object_put(o->flags);
    o->flags = NULL;
}

void drayd_options_help(void)
{
    static const char *const kinds[] = {
        [DRAY_CONF_STR] = " string",
        [DRAY_CONF_BOOL] = "",
        [DRAY_CONF_INT] = " int",
        [DRAY_CONF_SIZE] = " bytes",
        [DRAY_CONF_STRS] = " list",
        [DRAY_CONF_MAP] = " key=value",
        [DRAY_CONF_OBJ] = "",
        [DRAY_CONF_RUNTIMES] = " name=path",
        [DRAY_CONF_ULIMITS] = " ulimit",
        [DRAY_CONF_POOLS] = " pool-options",
    };
    printf("\nUsage:\tdrayd [OPTIONS]\n\nA container engine whose every subsystem is a plugin.\n\n"
           "Options:\n");
    for (const struct dray_conf_key *k = dray_conf_keys; k->key || k->flag; k++) {
        if (!k->flag || !k->help)
            continue;
        char left[64];
        char letter[5] = "    ";
        if (k->letter)
            (void)snprintf(letter, sizeof letter, "-%c, ", k->letter);
        (void)snprintf(left, sizeof left, "  %s--%s%s", letter, k->flag, kinds[k->type]);
        printf("%-42s %s\n", left, k->help);
    }
}

/* The values of a flag that daemon.json has no key for stay out of the merge. */
static const char *take_config_file(const struct drayd_options *o, bool *given)
{
    const char *path = dray_json_str(o->flags, "config-file", NULL);
    *given = path != NULL;
    return path ? path : DRAYD_CONFIG_FILE;
}

/* *out stays NULL for a file without anything in it, which says as much as "{}". */
static int load_file(const char *path, struct json_object **out, struct dray_err *err)
{
    DRAY_AUTO(dray_buf) b = {0};
    int rc = dray_fs_read(AT_FDCWD, path, CONFIG_FILE_MOST, &b, err);
    if (rc != 0 || !b.data || strspn(b.data, " \t\r\n") == b.len)
        return rc;
    rc = dray_json_parse(b.data, b.len, out, err);
    return rc != 0 ? dray_err_note(err, "%s", path) : 0;
}

int drayd_config_load(const struct drayd_options *o, struct dray_config **out, struct dray_err *err)
{
    bool given = false;
    const char *path = take_config_file(o, &given);
    dray_autojson *file = NULL;
    dray_autofree char *bin_dir = dray_spawn_self_dir();
    if (!bin_dir)
        return dray_fail(err, DRAY_E_IO, "cannot tell where this program is installed");
    struct dray_err local = {0};
    int rc = load_file(path, &file, &local);
    if (rc == DRAY_E_NOTFOUND && given)
        (void)dray_fail(&local, rc, "open %s: no such file or directory", path);
    else if (rc == DRAY_E_NOTFOUND)
        rc = 0;
    if (!rc)
        rc = dray_conf_check_file(file, &local);
    if (!rc)
        rc = dray_conf_check_conflicts(o->flags, file, &local);
    if (rc) {
        if (err)
            *err = local;
        return dray_err_note(err, "unable to configure the Dray daemon with file %s", path);
    }
    return dray_config_build(o->flags, file, path, bin_dir, out, err);
}
