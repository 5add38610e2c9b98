/* SPDX-License-Identifier: Apache-2.0 */
/* image_changes.c - Dockerfile instructions applied to an image's config (import, commit). */
#include "engine/image/images.h"

#include "base/clock.h"
#include "base/json.h"

#include <ctype.h>
#include <strings.h>

static const char *skip_space(const char *p)
{
    while (isspace((unsigned char)*p))
        p++;
    return p;
}

static const char *env_value(struct json_object *env, const char *name, size_t n)
{
    for (size_t i = 0; i < dray_json_len(env); i++) {
        const char *pair = json_object_get_string(json_object_array_get_idx(env, i));
        if (pair && strncmp(pair, name, n) == 0 && pair[n] == '=')
            return pair + n + 1;
    }
    return NULL;
}

/* Write what "$NAME", "${NAME}", "${NAME:-or}" or "${NAME:+then}" at p stands for. Returns its last
 * byte; what is no variable is copied as it is. */
static const char *put_variable(const char *p, struct json_object *env, struct dray_buf *b)
{
    bool braces = p[1] == '{';
    const char *name = p + 1 + braces;
    size_t n = 0;
    while (isalnum((unsigned char)name[n]) || name[n] == '_')
        n++;
    const char *end = braces ? strchr(name, '}') : name + n;
    if (n == 0 || !end) {
        dray_buf_addc(b, *p);
        return p;
    }
    const char *value = env_value(env, name, n);
    bool set = value && *value;
    if (braces && name[n] == ':' && (name[n + 1] == '-' || name[n + 1] == '+')) {
        if (set == (name[n + 1] == '+'))
            dray_buf_add(b, name + n + 2, (size_t)(end - name) - n - 2);
        else if (set)
            dray_buf_adds(b, value);
    } else if (value) {
        dray_buf_adds(b, value);
    }
    return braces ? end : end - 1;
}

/* One shell-like word: quotes and backslashes are taken off, variables of env (which may be NULL:
 * then they stay) replaced outside of single quotes. NULL at the end of the line. */
static char *next_word(const char **at, struct json_object *env)
{
    const char *p = skip_space(*at);
    if (!*p)
        return NULL;
    DRAY_AUTO(dray_buf) b = {0};
    char quote = '\0';
    for (; *p && (quote || !isspace((unsigned char)*p)); p++) {
        if (quote && *p == quote)
            quote = '\0';
        else if (!quote && (*p == '"' || *p == '\''))
            quote = *p;
        else if (*p == '\\' && p[1] && quote != '\'')
            dray_buf_addc(&b, *++p);
        else if (*p == '$' && env && quote != '\'')
            p = put_variable(p, env, &b);
        else
            dray_buf_addc(&b, *p);
    }
    *at = p;
    return dray_buf_steal(&b);
}

static bool words(const char *text, struct json_object *env, struct dray_strlist *out)
{
    for (char *w = next_word(&text, env); w; w = next_word(&text, env))
        if (!dray_strlist_take(out, w))
            return false;
    return true;
}

/* The value of a command: exec form as it is, else through a shell. */
static struct json_object *command(struct json_object *config, const char *text)
{
    struct json_object *list = NULL;
    if (*text == '[' && dray_json_parse(text, strlen(text), &list, NULL) == 0) {
        bool strings = json_object_is_type(list, json_type_array);
        for (size_t i = 0; strings && i < json_object_array_length(list); i++)
            strings = json_object_is_type(json_object_array_get_idx(list, i), json_type_string);
        if (strings)
            return list;
        json_object_put(list);
    }
    struct json_object *shell = dray_json_arr(config, "Shell");
    list = shell && dray_json_len(shell) ? dray_json_copy(shell) : NULL;
    if (!list) {
        list = json_object_new_array();
        json_object_array_add(list, json_object_new_string("/bin/sh"));
        json_object_array_add(list, json_object_new_string("-c"));
    }
    json_object_array_add(list, json_object_new_string(text));
    return list;
}

static struct json_object *sub_object(struct json_object *config, const char *key)
{
    struct json_object *o = dray_json_obj(config, key);
    if (!o) {
        o = json_object_new_object();
        dray_json_add(config, key, o);
    }
    return o;
}

static int do_command(struct json_object *config, const char *key, const char *text,
                      struct dray_err *err)
{
    (void)err;
    dray_json_add(config, key, command(config, text));
    return 0;
}

static int do_string(struct json_object *config, const char *key, const char *text,
                     struct dray_err *err)
{
    const char *at = text;
    dray_autofree char *word = next_word(&at, dray_json_arr(config, "Env"));
    if (!word)
        return dray_fail(err, DRAY_E_INVAL, "%s requires exactly one argument", key);
    dray_json_add_str(config, key, word);
    return 0;
}

static int do_workdir(struct json_object *config, const char *key, const char *text,
                      struct dray_err *err)
{
    const char *old = dray_json_str(config, key, ""), *at = text;
    dray_autofree char *dir = next_word(&at, dray_json_arr(config, "Env"));
    dray_autofree char *path =
        dir && dir[0] == '/' ? strdup(dir) : dray_strf("%s/%s", *old ? old : "", dir ? dir : "");
    if (!path)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/')
        path[--n] = '\0';
    dray_json_add_str(config, key, path);
    return 0;
}

/* "A=b C=d", or the old "A b c". */
static int pairs(struct json_object *config, const char *text, struct dray_kvlist *out,
                 const char *what, struct dray_err *err)
{
    DRAY_AUTO(dray_strlist) list = {0};
    if (!words(text, dray_json_arr(config, "Env"), &list))
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    if (list.n == 0)
        return dray_fail(err, DRAY_E_INVAL, "%s requires at least one argument", what);
    if (!strchr(list.v[0], '=')) {
        const char *rest = strpbrk(text, " \t");
        if (!rest)
            return dray_fail(err, DRAY_E_INVAL, "%s must have two arguments", what);
        return dray_kvlist_set(out, list.v[0], skip_space(rest)) ? 0 : DRAY_E_NOMEM;
    }
    for (size_t i = 0; i < list.n; i++) {
        char *eq = strchr(list.v[i], '=');
        if (!eq)
            return dray_fail(err, DRAY_E_INVAL,
                             "Syntax error - can't find = in \"%.100s\". Must be of the form: "
                             "name=value",
                             list.v[i]);
        *eq = '\0';
        if (!dray_kvlist_set(out, list.v[i], eq + 1))
            return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    }
    return 0;
}

static void set_env(struct json_object *env, const char *key, const char *value)
{
    size_t n = strlen(key);
    dray_autofree char *pair = dray_strf("%s=%s", key, value);
    for (size_t i = 0; i < dray_json_len(env); i++) {
        const char *old = json_object_get_string(json_object_array_get_idx(env, i));
        if (old && strncmp(old, key, n) == 0 && old[n] == '=') {
            json_object_array_put_idx(env, i, json_object_new_string(pair));
            return;
        }
    }
    json_object_array_add(env, json_object_new_string(pair));
}

static int do_env(struct json_object *config, const char *key, const char *text,
                  struct dray_err *err)
{
    DRAY_AUTO(dray_kvlist) kv = {0};
    int rc = pairs(config, text, &kv, "ENV", err);
    struct json_object *env = dray_json_arr(config, key);
    if (!env) {
        env = json_object_new_array();
        dray_json_add(config, key, env);
    }
    for (size_t i = 0; !rc && i < kv.n; i++)
        set_env(env, kv.v[i].key, kv.v[i].value);
    return rc;
}

static int do_label(struct json_object *config, const char *key, const char *text,
                    struct dray_err *err)
{
    DRAY_AUTO(dray_kvlist) kv = {0};
    int rc = pairs(config, text, &kv, "LABEL", err);
    struct json_object *labels = sub_object(config, key);
    for (size_t i = 0; !rc && i < kv.n; i++)
        dray_json_add_str(labels, kv.v[i].key, kv.v[i].value);
    return rc;
}

static int do_expose(struct json_object *config, const char *key, const char *text,
                     struct dray_err *err)
{
    DRAY_AUTO(dray_strlist) list = {0};
    if (!words(text, dray_json_arr(config, "Env"), &list))
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    struct json_object *ports = sub_object(config, key);
    for (size_t i = 0; i < list.n; i++) {
        char *end = NULL;
        unsigned long first = strtoul(list.v[i], &end, 10);
        unsigned long last = *end == '-' ? strtoul(end + 1, &end, 10) : first;
        const char *proto = *end == '/' ? end + 1 : "tcp";
        if (end == list.v[i] || (*end && *end != '/') || first > last || last > 65535)
            return dray_fail(err, DRAY_E_INVAL, "invalid containerPort: %.40s", list.v[i]);
        for (unsigned long p = first; p <= last; p++) {
            dray_autofree char *port = dray_strf("%lu/%s", p, proto);
            dray_json_add(ports, port, json_object_new_object());
        }
    }
    return 0;
}

static int do_volume(struct json_object *config, const char *key, const char *text,
                     struct dray_err *err)
{
    DRAY_AUTO(dray_strlist) list = {0};
    dray_autojson *array = NULL;
    bool json = *text == '[' && dray_json_parse(text, strlen(text), &array, NULL) == 0;
    int rc = json ? dray_json_to_strlist(array, &list, err) : 0;
    if (!json && !words(text, dray_json_arr(config, "Env"), &list))
        rc = dray_fail(err, DRAY_E_NOMEM, "out of memory");
    struct json_object *volumes = sub_object(config, key);
    for (size_t i = 0; !rc && i < list.n; i++)
        dray_json_add(volumes, list.v[i], json_object_new_object());
    return rc;
}

static int do_onbuild(struct json_object *config, const char *key, const char *text,
                      struct dray_err *err)
{
    (void)err;
    struct json_object *list = dray_json_arr(config, key);
    if (!list) {
        list = json_object_new_array();
        dray_json_add(config, key, list);
    }
    json_object_array_add(list, json_object_new_string(text));
    return 0;
}

/* "--interval=5s --retries=3 CMD curl ..." or "NONE". */
static int health_flag(struct json_object *check, const char *word, struct dray_err *err)
{
    static const struct {
        const char *flag, *key;
    } flags[] = {{"--interval=", "Interval"},
                 {"--timeout=", "Timeout"},
                 {"--start-period=", "StartPeriod"},
                 {"--start-interval=", "StartInterval"}};
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        int64_t ns = 0;
        if (!dray_str_prefix(word, flags[i].flag))
            continue;
        if (!dray_duration_parse(word + strlen(flags[i].flag), &ns))
            return dray_fail(err, DRAY_E_INVAL, "HEALTHCHECK: invalid duration in %.60s", word);
        dray_json_add_int(check, flags[i].key, ns);
        return 0;
    }
    if (!dray_str_prefix(word, "--retries="))
        return dray_fail(err, DRAY_E_INVAL, "unknown flag: %.60s", word);
    dray_json_add_int(check, "Retries", strtol(word + strlen("--retries="), NULL, 10));
    return 0;
}

static int do_health(struct json_object *config, const char *key, const char *text,
                     struct dray_err *err)
{
    dray_autojson *check = json_object_new_object();
    const char *at = text;
    dray_autofree char *word = next_word(&at, NULL);
    while (word && dray_str_prefix(word, "--")) {
        int rc = health_flag(check, word, err);
        if (rc)
            return rc;
        free(word);
        word = next_word(&at, NULL);
    }
    struct json_object *test = json_object_new_array();
    dray_json_add(check, "Test", test);
    at = skip_space(at);
    if (word && strcasecmp(word, "NONE") == 0) {
        json_object_array_add(test, json_object_new_string("NONE"));
    } else if (word && strcasecmp(word, "CMD") == 0 && *at) {
        dray_autojson *list = *at == '[' ? command(config, at) : NULL;
        json_object_array_add(test, json_object_new_string(list ? "CMD" : "CMD-SHELL"));
        for (size_t i = 0; i < dray_json_len(list); i++)
            json_object_array_add(test, json_object_get(json_object_array_get_idx(list, i)));
        if (!list)
            json_object_array_add(test, json_object_new_string(at));
    } else {
        return dray_fail(err, DRAY_E_INVAL, "Unknown type \"%s\" in HEALTHCHECK (try CMD)",
                         word ? word : "");
    }
    dray_json_add(config, key, json_object_get(check));
    return 0;
}

static const struct {
    const char *name, *key;
    int (*fn)(struct json_object *config, const char *key, const char *text, struct dray_err *err);
} instructions[] = {
    {"CMD", "Cmd", do_command},
    {"ENTRYPOINT", "Entrypoint", do_command},
    {"ENV", "Env", do_env},
    {"EXPOSE", "ExposedPorts", do_expose},
    {"HEALTHCHECK", "Healthcheck", do_health},
    {"LABEL", "Labels", do_label},
    {"ONBUILD", "OnBuild", do_onbuild},
    {"STOPSIGNAL", "StopSignal", do_string},
    {"USER", "User", do_string},
    {"VOLUME", "Volumes", do_volume},
    {"WORKDIR", "WorkingDir", do_workdir},
};

int dray_image_config_change(struct json_object *config, const char *instruction,
                             struct dray_err *err)
{
    const char *at = skip_space(instruction);
    size_t n = strcspn(at, " \t=");
    const char *rest = skip_space(at + n);
    for (size_t i = 0; i < sizeof instructions / sizeof *instructions; i++) {
        if (strlen(instructions[i].name) != n || strncasecmp(at, instructions[i].name, n) != 0)
            continue;
        if (!*rest)
            return dray_fail(err, DRAY_E_INVAL, "%s requires at least one argument",
                             instructions[i].name);
        return instructions[i].fn(config, instructions[i].key, rest, err);
    }
    char word[32];
    (void)snprintf(word, sizeof word, "%.*s", (int)n, at);
    for (char *p = word; *p; p++)
        *p = (char)toupper((unsigned char)*p);
    return dray_fail(err, DRAY_E_INVAL, "%s is not a valid change command", word);
}
