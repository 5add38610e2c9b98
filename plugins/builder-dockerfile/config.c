/* SPDX-License-Identifier: Apache-2.0 */
/* config.c - instructions that change nothing but the image's config, and how the history words
 * them. */
#include "bd.h"

#include <strings.h>

/* --- the config --------------------------------------------------------------------------------*/

static void default_bool(struct json_object *o, const char *key)
{
    if (!bd_json_get(o, key))
        json_object_object_add(o, key, json_object_new_boolean(false));
}

struct json_object *bd_config_new(struct json_object *image_config)
{
    static const char *const texts[] = {"Hostname", "Domainname", "User", "Image", "WorkingDir"};
    static const char *const bools[] = {"AttachStdin", "AttachStdout", "AttachStderr",
                                        "Tty",         "OpenStdin",    "StdinOnce"};
    static const char *const nulls[] = {"Env", "Cmd", "Volumes", "Entrypoint", "OnBuild", "Labels"};
    struct json_object *c = bd_json_copy(image_config);
    if (!c)
        c = json_object_new_object();
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (!bd_json_get(c, texts[i]))
            bd_json_set(c, texts[i], "");
    for (size_t i = 0; i < sizeof bools / sizeof *bools; i++)
        default_bool(c, bools[i]);
    for (size_t i = 0; i < sizeof nulls / sizeof *nulls; i++)
        if (!bd_json_get(c, nulls[i]))
            json_object_object_add(c, nulls[i], NULL);
    /* Nobody talks to what an image is built in. */
    json_object_object_add(c, "OpenStdin", json_object_new_boolean(false));
    json_object_object_add(c, "StdinOnce", json_object_new_boolean(false));
    if (!bd_config_env(c, "PATH"))
        bd_config_set_env(c, "PATH",
                          "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    return c;
}

/* The member of that name, made when it is not there. */
static struct json_object *member(struct json_object *o, const char *key, enum json_type type)
{
    struct json_object *m = bd_json_get(o, key);
    if (json_object_is_type(m, type))
        return m;
    m = type == json_type_array ? json_object_new_array() : json_object_new_object();
    json_object_object_add(o, key, m);
    return m;
}

static size_t array_len(struct json_object *a)
{
    return json_object_is_type(a, json_type_array) ? json_object_array_length(a) : 0;
}

static const char *array_text(struct json_object *a, size_t i)
{
    const char *text = json_object_get_string(json_object_array_get_idx(a, i));
    return text ? text : "";
}

const char *bd_config_env(struct json_object *config, const char *name)
{
    struct json_object *env = bd_json_get(config, "Env");
    size_t n = strlen(name);
    for (size_t i = 0; i < array_len(env); i++) {
        const char *e = array_text(env, i);
        if (strncmp(e, name, n) == 0 && e[n] == '=')
            return e + n + 1;
    }
    return NULL;
}

void bd_config_set_env(struct json_object *config, const char *name, const char *value)
{
    struct json_object *env = member(config, "Env", json_type_array);
    size_t n = strlen(name);
    dray_autofree char *pair = bd_strf("%s=%s", name, value);
    for (size_t i = 0; i < array_len(env); i++) {
        const char *e = array_text(env, i);
        if (strncmp(e, name, n) != 0 || e[n] != '=')
            continue;
        (void)json_object_array_put_idx(env, i, json_object_new_string(pair ? pair : ""));
        return;
    }
    json_object_array_add(env, json_object_new_string(pair ? pair : ""));
}

static struct json_object *shell_of(struct json_object *config)
{
    struct json_object *shell = bd_json_get(config, "Shell");
    if (array_len(shell) > 0)
        return bd_json_copy(shell);
    shell = json_object_new_array();
    json_object_array_add(shell, json_object_new_string("/bin/sh"));
    json_object_array_add(shell, json_object_new_string("-c"));
    return shell;
}

struct json_object *bd_command_json(struct json_object *config, const struct dray_df_command *c)
{
    struct json_object *argv = c->shell ? shell_of(config) : json_object_new_array();
    for (uint64_t i = 0; i < c->argv.n; i++)
        json_object_array_add(argv, json_object_new_string(c->argv.v[i]));
    return argv;
}

/* --- how Go prints lists -----------------------------------------------------------------------*/

static void add_quoted(struct bd_buf *b, struct json_object *list)
{
    bd_adds(b, "[");
    for (size_t i = 0; i < array_len(list); i++) {
        if (i)
            bd_adds(b, " ");
        bd_addq(b, array_text(list, i));
    }
    bd_adds(b, "]");
}

static void add_plain(struct bd_buf *b, struct dray_strs list, const char *open, const char *close)
{
    bd_adds(b, open);
    for (uint64_t i = 0; i < list.n; i++)
        bd_addf(b, "%s%s", i ? " " : "", list.v[i]);
    bd_adds(b, close);
}

/* 1m30s, as Go's time.Duration prints it. */
static void add_duration(struct bd_buf *b, int64_t ns)
{
    int64_t h = ns / 3600000000000, m = ns / 60000000000 % 60;
    int64_t rest = ns % 60000000000;
    if (ns > 0 && ns < 1000000000) {
        bd_addf(b, "%g%s", ns < 1000000 ? (double)ns / 1e3 : (double)ns / 1e6,
                ns < 1000000 ? "\xc2\xb5s" : "ms");
        return;
    }
    if (h)
        bd_addf(b, "%lldh", (long long)h);
    if (h || m)
        bd_addf(b, "%lldm", (long long)m);
    bd_addf(b, "%.10gs", (double)rest / 1e9);
}

/* --- instructions ------------------------------------------------------------------------------*/

/* What the histories of the two builders say of an instruction. */
struct saying {
    struct bd_buf classic;
    struct bd_buf kit; /* empty: the same */
    bool no_kit_step;
};

static int do_pairs(struct bd_stage *s, const struct dray_df_instr *in, struct saying *say,
                    struct dray_err *err)
{
    bool env = in->kind == DRAY_DF_ENV;
    struct json_object *labels = env ? NULL : member(s->config, "Labels", json_type_object);
    bd_adds(&say->classic, env ? "ENV" : "LABEL");
    for (size_t i = 0; i < in->u.pairs.n; i++) {
        const struct dray_kv *kv = &in->u.pairs.v[i];
        if (!*kv->key)
            return dray_fail(err, DRAY_E_INVAL, "%s names can not be blank", env ? "ENV" : "LABEL");
        bd_addf(&say->classic, " %s=%s", kv->key, kv->value ? kv->value : "");
        if (env && !bd_vars_set(&s->over, kv->key, NULL))
            return dray_fail(err, DRAY_E_NOMEM, "out of memory");
        if (env)
            bd_config_set_env(s->config, kv->key, kv->value ? kv->value : "");
        else
            bd_json_set(labels, kv->key, kv->value ? kv->value : "");
    }
    return 0;
}

static int do_arg(struct bd_stage *s, const struct dray_df_instr *in, struct saying *say,
                  struct dray_err *err)
{
    struct bd_build *b = s->build;
    bd_adds(&say->classic, "ARG");
    bd_adds(&say->kit, "ARG");
    for (size_t i = 0; i < in->u.pairs.n; i++) {
        const struct dray_kv *kv = &in->u.pairs.v[i];
        if (!*kv->key)
            return dray_fail(err, DRAY_E_INVAL, "ARG names can not be blank");
        bd_addf(&say->classic, " %s", kv->key);
        if (kv->value)
            bd_addf(&say->classic, "=%s", kv->value);
        const char *value = bd_build_arg(b, kv->key);
        value = value ? value : kv->value;
        value = value ? value : bd_vars_get(&b->globals, kv->key);
        value = value ? value : bd_platform_arg(b, kv->key);
        bd_addf(&say->kit, " %s%s%s", kv->key, value ? "=" : "", value ? value : "");
        bool hides = value && bd_kit(b);
        if (!bd_vars_set(&s->args, kv->key, value) ||
            (hides && !bd_vars_set(&s->over, kv->key, value)))
            return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    }
    return 0;
}

static int do_command(struct bd_stage *s, const struct dray_df_instr *in, struct saying *say,
                      struct dray_err *err)
{
    (void)err;
    struct json_object *argv = bd_command_json(s->config, &in->u.command);
    bool cmd = in->kind == DRAY_DF_CMD;
    bd_adds(&say->classic, cmd ? "CMD " : "ENTRYPOINT ");
    add_quoted(&say->classic, argv);
    json_object_object_add(s->config, cmd ? "Cmd" : "Entrypoint", argv);
    if (!cmd && !s->cmd_set)
        json_object_object_add(s->config, "Cmd", NULL);
    s->cmd_set = s->cmd_set || cmd;
    return 0;
}

static int do_shell(struct bd_stage *s, const struct dray_df_instr *in, struct saying *say,
                    struct dray_err *err)
{
    (void)err;
    json_object_object_add(s->config, "Shell", bd_json_strs(in->u.command.argv));
    add_plain(&say->classic, in->u.command.argv, "SHELL [", "]");
    return 0;
}

static int expose_one(struct json_object *ports, const char *spec, struct bd_buf *kit,
                      struct dray_err *err)
{
    const char *slash = strchr(spec, '/');
    const char *proto = slash ? slash + 1 : "tcp";
    const char *colon = strrchr(spec, ':'); /* a host's part counts for nothing */
    const char *at = colon && (!slash || colon < slash) ? colon + 1 : spec;
    char *end = NULL;
    unsigned long first = strtoul(at, &end, 10);
    unsigned long last = *end == '-' ? strtoul(end + 1, &end, 10) : first;
    if (*at < '0' || *at > '9' || (*end && *end != '/') || first > last || last > 65535)
        return dray_fail(err, DRAY_E_INVAL, "invalid containerPort: %.*s",
                         (int)(slash ? slash - spec : (long)strlen(spec)), spec);
    if (strcasecmp(proto, "tcp") != 0 && strcasecmp(proto, "udp") != 0 &&
        strcasecmp(proto, "sctp") != 0)
        return dray_fail(err, DRAY_E_INVAL, "invalid proto: %s", proto);
    for (unsigned long p = first; p <= last; p++) {
        char key[32];
        int n = snprintf(key, sizeof key, "%lu/%s", p, proto);
        for (int i = 0; i < n; i++)
            if (key[i] >= 'A' && key[i] <= 'Z')
                key[i] = (char)(key[i] + 32);
        json_object_object_add(ports, key, json_object_new_object());
        bd_addf(kit, "%s%s", kit->len ? " " : "EXPOSE [", key);
    }
    return 0;
}

static int do_expose(struct bd_stage *s, const struct dray_df_instr *in, struct saying *say,
                     struct dray_err *err)
{
    struct json_object *ports = member(s->config, "ExposedPorts", json_type_object);
    int rc = 0;
    for (uint64_t i = 0; !rc && i < in->u.words.n; i++)
        rc = expose_one(ports, in->u.words.v[i], &say->kit, err);
    bd_adds(&say->kit, "]");
    add_plain(&say->classic, in->u.words, "EXPOSE ", "");
    return rc;
}

static int do_volume(struct bd_stage *s, const struct dray_df_instr *in, struct saying *say,
                     struct dray_err *err)
{
    struct json_object *volumes = member(s->config, "Volumes", json_type_object);
    for (uint64_t i = 0; i < in->u.words.n; i++) {
        if (!*in->u.words.v[i])
            return dray_fail(err, DRAY_E_INVAL, "VOLUME specified can not be an empty string");
        json_object_object_add(volumes, in->u.words.v[i], json_object_new_object());
    }
    add_plain(&say->classic, in->u.words, "VOLUME [", "]");
    return 0;
}

/* "9", "USR1", "SIGRTMIN+3" */
static bool is_signal(const char *text)
{
    static const char *const more[] = {"CLD", "IOT", "IO", "POLL", "RTMIN", "RTMAX"};
    char *end = NULL;
    unsigned long n = *text >= '0' && *text <= '9' ? strtoul(text, &end, 10) : 0;
    if (end && !*end)
        return n != 0;
    text += strncasecmp(text, "SIG", 3) == 0 ? 3 : 0;
    for (int i = 1; i < 32; i++)
        if (sigabbrev_np(i) && strcasecmp(text, sigabbrev_np(i)) == 0)
            return true;
    for (size_t i = 0; i < sizeof more / sizeof *more; i++)
        if (strcasecmp(text, more[i]) == 0)
            return true;
    bool from_min = strncasecmp(text, "RTMIN+", 6) == 0;
    if (!from_min && strncasecmp(text, "RTMAX-", 6) != 0)
        return false;
    n = text[6] >= '0' && text[6] <= '9' ? strtoul(text + 6, &end, 10) : 0;
    return end && !*end && n >= 1 && n <= (from_min ? 15u : 14u);
}

static int do_value(struct bd_stage *s, const struct dray_df_instr *in, struct saying *say,
                    struct dray_err *err)
{
    if (in->kind == DRAY_DF_STOPSIGNAL && !is_signal(in->u.value))
        return dray_fail(err, DRAY_E_INVAL, "invalid signal: %s", in->u.value);
    bd_json_set(s->config, in->kind == DRAY_DF_USER ? "User" : "StopSignal", in->u.value);
    bd_addf(&say->classic, "%s %s", dray_df_kind_name(in->kind), in->u.value);
    return 0;
}

static int do_maintainer(struct bd_stage *s, const struct dray_df_instr *in, struct saying *say,
                         struct dray_err *err)
{
    free(s->author);
    s->author = strdup(in->u.value);
    bd_addf(&say->classic, "MAINTAINER %s", in->u.value);
    return s->author ? 0 : dray_fail(err, DRAY_E_NOMEM, "out of memory");
}

static int do_onbuild(struct bd_stage *s, const struct dray_df_instr *in, struct saying *say,
                      struct dray_err *err)
{
    const struct dray_df_instr *trigger = NULL;
    int rc = dray_df_parse_one(&s->arena, in->u.value, true, &trigger, err);
    if (rc)
        return rc;
    json_object_array_add(member(s->config, "OnBuild", json_type_array),
                          json_object_new_string(in->u.value));
    bd_addf(&say->classic, "ONBUILD %s", in->u.value);
    say->no_kit_step = true;
    return 0;
}

static void set_ns(struct json_object *o, const char *key, int64_t value)
{
    if (value)
        json_object_object_add(o, key, json_object_new_int64(value));
}

/* A number as Go's %q prints it: as a character. */
static void add_character(struct bd_buf *b, int64_t c)
{
    if (c == '\'' || c == '\\')
        bd_addf(b, "'\\%c'", (int)c);
    else if (c >= 7 && c <= 13)
        bd_addf(b, "'\\%c'", "abtnvfr"[c - 7]);
    else if (c >= 32 && c < 127)
        bd_addf(b, "'%c'", (int)c);
    else
        bd_addf(b, "'\\x%02x'", (unsigned)c);
}

/* The histories have the whole struct: as Go's %v prints it, and as its %q does. */
static void say_health(struct saying *say, const struct dray_df_health *h, struct json_object *test)
{
    bd_adds(&say->classic, "HEALTHCHECK &{");
    bd_adds(&say->kit, "HEALTHCHECK &{");
    for (size_t i = 0; i < array_len(test); i++)
        bd_addf(&say->classic, "%s%s", i ? " " : "[", array_text(test, i));
    bd_adds(&say->classic, "]");
    add_quoted(&say->kit, test);
    const int64_t times[] = {h->interval, h->timeout, h->start_period, h->start_interval};
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        bd_adds(&say->classic, " ");
        add_duration(&say->classic, times[i]);
        bd_adds(&say->kit, " \"");
        add_duration(&say->kit, times[i]);
        bd_adds(&say->kit, "\"");
    }
    bd_addf(&say->classic, " %lld}", (long long)h->retries);
    bd_adds(&say->kit, " ");
    add_character(&say->kit, h->retries);
    bd_adds(&say->kit, "}");
}

static int do_health(struct bd_stage *s, const struct dray_df_instr *in, struct saying *say,
                     struct dray_err *err)
{
    const struct dray_df_health *h = &in->u.health;
    struct json_object *check = json_object_new_object(), *test = json_object_new_array();
    (void)err;
    if (h->none)
        json_object_array_add(test, json_object_new_string("NONE"));
    else
        json_object_array_add(test, json_object_new_string(h->command.shell ? "CMD-SHELL" : "CMD"));
    for (uint64_t i = 0; !h->none && i < h->command.argv.n; i++)
        json_object_array_add(test, json_object_new_string(h->command.argv.v[i]));
    json_object_object_add(check, "Test", test);
    set_ns(check, "Interval", h->interval);
    set_ns(check, "Timeout", h->timeout);
    set_ns(check, "StartPeriod", h->start_period);
    set_ns(check, "StartInterval", h->start_interval);
    set_ns(check, "Retries", h->retries);
    say_health(say, h, test);
    json_object_object_add(s->config, "Healthcheck", check);
    return 0;
}

static int (*const appliers[])(struct bd_stage *s, const struct dray_df_instr *in,
                               struct saying *say, struct dray_err *err) = {
    [DRAY_DF_ENV] = do_pairs,
    [DRAY_DF_LABEL] = do_pairs,
    [DRAY_DF_ARG] = do_arg,
    [DRAY_DF_CMD] = do_command,
    [DRAY_DF_ENTRYPOINT] = do_command,
    [DRAY_DF_SHELL] = do_shell,
    [DRAY_DF_EXPOSE] = do_expose,
    [DRAY_DF_VOLUME] = do_volume,
    [DRAY_DF_USER] = do_value,
    [DRAY_DF_STOPSIGNAL] = do_value,
    [DRAY_DF_MAINTAINER] = do_maintainer,
    [DRAY_DF_ONBUILD] = do_onbuild,
    [DRAY_DF_HEALTHCHECK] = do_health,
};

int bd_config_apply(struct bd_stage *s, const struct dray_df_instr *in, char **classic, char **kit,
                    struct dray_err *err)
{
    struct saying say = {.no_kit_step = false};
    size_t kind = (size_t)in->kind;
    if (kind >= sizeof appliers / sizeof *appliers || !appliers[kind])
        return dray_fail(err, DRAY_E_INTERNAL, "%s changes more than the config", in->name);
    int rc = appliers[kind](s, in, &say, err);
    if (!rc && !say.kit.len && !say.no_kit_step)
        bd_adds(&say.kit, bd_text(&say.classic));
    if (!rc && (say.classic.failed || say.kit.failed))
        rc = dray_fail(err, DRAY_E_NOMEM, "out of memory");
    if (rc) {
        free(say.classic.text);
        free(say.kit.text);
        return rc;
    }
    *classic = say.classic.text;
    *kit = say.kit.text;
    return 0;
}
