/* SPDX-License-Identifier: Apache-2.0 */
/* config_flags.c - values of command line options in the shapes of daemon.json; checks of both. */
#include "engine/config_load.h"

#include "base/buf.h"
#include "base/json.h"

#include <ctype.h>
#include <strings.h>

static const struct dray_conf_key *find_key(const char *key)
{
    for (const struct dray_conf_key *k = dray_conf_keys; k->key || k->flag; k++)
        if (k->key && strcmp(k->key, key) == 0)
            return k;
    return NULL;
}

/* Levenshtein distance, at most 64 characters. */
static size_t distance(const char *a, const char *b)
{
    size_t row[65];
    size_t n = strnlen(b, 64);
    for (size_t j = 0; j <= n; j++)
        row[j] = j;
    for (size_t i = 1; a[i - 1] && i < 64; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= n; j++) {
            size_t best = diagonal + (a[i - 1] != b[j - 1]);
            best = row[j] + 1 < best ? row[j] + 1 : best;
            best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            diagonal = row[j];
            row[j] = best;
        }
    }
    return row[n];
}

const char *dray_conf_nearest(const char *name, bool flags)
{
    const char *best = NULL;
    size_t best_d = strlen(name) / 3 + 2;
    for (const struct dray_conf_key *k = dray_conf_keys; k->key || k->flag; k++) {
        const char *known = flags ? k->flag : k->key;
        size_t d = known ? distance(name, known) : SIZE_MAX;
        if (d < best_d) {
            best_d = d;
            best = known;
        }
    }
    return best;
}

/* ---- Flags ---- */

/* The object or array of that key, made when missing. */
static struct json_object *child(struct json_object *obj, const char *key, bool array)
{
    struct json_object *c = NULL;
    if (json_object_object_get_ex(obj, key, &c) && c)
        return c;
    c = array ? json_object_new_array() : json_object_new_object();
    dray_json_add(obj, key, c);
    return c;
}

/* "name=value" into its halves; false without a '='. */
static bool halves(const char *text, char **name, const char **value)
{
    const char *eq = strchr(text, '=');
    if (!eq || eq == text)
        return false;
    *name = strndup(text, (size_t)(eq - text));
    *value = eq + 1;
    return *name != NULL;
}

static int set_pair(struct json_object *flags, const struct dray_conf_key *k, const char *name,
                    const char *text, struct dray_err *err)
{
    dray_autofree char *left = NULL;
    const char *right = NULL;
    if (!halves(text, &left, &right))
        return dray_fail(err, DRAY_E_INVAL,
                         "invalid argument \"%s\" for \"--%s\" flag: must be NAME=VALUE", text,
                         k->flag);
    struct json_object *map = child(flags, name, false);
    if (k->type == DRAY_CONF_NETOPTS) {
        dray_autofree char *option = NULL;
        if (!halves(right, &option, &right))
            return dray_fail(err, DRAY_E_INVAL,
                             "invalid argument \"%s\" for \"--%s\" flag: must be "
                             "DRIVER=OPTION=VALUE",
                             text, k->flag);
        dray_json_add_str(child(map, left, false), option, right);
        return 0;
    }
    if (k->type == DRAY_CONF_RUNTIMES) {
        struct json_object *rt = json_object_new_object();
        dray_json_add_str(rt, "path", right);
        dray_json_add(map, left, rt);
        return 0;
    }
    if (k->type != DRAY_CONF_ULIMITS) {
        dray_json_add_str(map, left, right);
        return 0;
    }
    char *end = NULL;
    long long soft = strtoll(right, &end, 10), hard = soft;
    if (end != right && *end == ':')
        hard = strtoll(end + 1, &end, 10);
    if (end == right || *end || soft > hard)
        return dray_fail(err, DRAY_E_INVAL, "invalid argument \"%s\" for \"--%s\" flag", text,
                         k->flag);
    struct json_object *limit = json_object_new_object();
    dray_json_add_str(limit, "Name", left);
    dray_json_add_int(limit, "Hard", hard);
    dray_json_add_int(limit, "Soft", soft);
    dray_json_add(map, left, limit);
    return 0;
}

static int set_pool(struct json_object *flags, const struct dray_conf_key *k, const char *text,
                    struct dray_err *err)
{
    DRAY_AUTO(dray_strlist) parts = {0};
    dray_autojson *pool = json_object_new_object();
    if (!pool || !dray_strlist_split(&parts, text, ','))
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    for (size_t i = 0; i < parts.n; i++) {
        if (strncmp(parts.v[i], "base=", 5) == 0)
            dray_json_add_str(pool, "base", parts.v[i] + 5);
        else if (strncmp(parts.v[i], "size=", 5) == 0)
            dray_json_add_int(pool, "size", strtol(parts.v[i] + 5, NULL, 10));
        else
            return dray_fail(err, DRAY_E_INVAL,
                             "invalid argument \"%s\" for \"--%s\" flag: must be base=CIDR,size=N",
                             text, k->flag);
    }
    json_object_array_add(child(flags, k->key, true), json_object_get(pool));
    return 0;
}

int dray_conf_set_flag(struct json_object *flags, const struct dray_conf_key *k, const char *text,
                       struct dray_err *err)
{
    const char *name = k->key ? k->key : k->flag;
    char *end = NULL;
    bool on = false;
    switch (k->type) {
    case DRAY_CONF_BOOL:
        if (!dray_str_bool(text, &on))
            break;
        dray_json_add_bool(flags, name, on);
        return 0;
    case DRAY_CONF_INT: {
        errno = 0;
        long long n = strtoll(text, &end, 10);
        if (!*text || *end || errno || isspace((unsigned char)*text))
            break;
        dray_json_add_int(flags, name, n);
        return 0;
    }
    case DRAY_CONF_STRS:
        json_object_array_add(child(flags, name, true), json_object_new_string(text));
        return 0;
    case DRAY_CONF_MAP:
    case DRAY_CONF_RUNTIMES:
    case DRAY_CONF_ULIMITS:
    case DRAY_CONF_NETOPTS:
        return set_pair(flags, k, name, text, err);
    case DRAY_CONF_POOLS:
        return set_pool(flags, k, text, err);
    default:
        dray_json_add_str(flags, name, text);
        return 0;
    }
    return dray_fail(err, DRAY_E_INVAL, "invalid argument \"%s\" for \"--%s\" flag", text, k->flag);
}

/* ---- The file ---- */

static const struct {
    const char *name;
    json_type types[2];
} shapes[] = {
    [DRAY_CONF_STR] = {"a string", {json_type_string, json_type_string}},
    [DRAY_CONF_BOOL] = {"true or false", {json_type_boolean, json_type_boolean}},
    [DRAY_CONF_INT] = {"a number", {json_type_int, json_type_int}},
    [DRAY_CONF_SIZE] = {"a size like \"64M\"", {json_type_string, json_type_int}},
    [DRAY_CONF_STRS] = {"a list of strings", {json_type_array, json_type_array}},
    [DRAY_CONF_MAP] = {"an object of strings", {json_type_object, json_type_object}},
    [DRAY_CONF_OBJ] = {"an object", {json_type_object, json_type_object}},
    [DRAY_CONF_RUNTIMES] = {"an object of objects", {json_type_object, json_type_object}},
    [DRAY_CONF_ULIMITS] = {"an object of objects", {json_type_object, json_type_object}},
    [DRAY_CONF_NETOPTS] = {"an object of objects of strings", {json_type_object, json_type_object}},
    [DRAY_CONF_POOLS] = {"a list of {\"base\", \"size\"}", {json_type_array, json_type_array}},
};

static bool all_strings(struct json_object *map)
{
    json_object_object_foreach(map, name, member)
    {
        (void)name;
        if (!json_object_is_type(member, json_type_string))
            return false;
    }
    return true;
}

static bool members_ok(const struct dray_conf_key *k, struct json_object *value)
{
    json_type want =
        k->type == DRAY_CONF_STRS || k->type == DRAY_CONF_MAP ? json_type_string : json_type_object;
    if (json_object_is_type(value, json_type_array)) {
        for (size_t i = 0; i < json_object_array_length(value); i++)
            if (!json_object_is_type(json_object_array_get_idx(value, i), want))
                return false;
    } else if (k->type != DRAY_CONF_OBJ && json_object_is_type(value, json_type_object)) {
        json_object_object_foreach(value, name, member)
        {
            (void)name;
            if (!json_object_is_type(member, want) ||
                (k->type == DRAY_CONF_NETOPTS && !all_strings(member)))
                return false;
        }
    }
    return true;
}

static int check_value(const struct dray_conf_key *k, struct json_object *value,
                       struct dray_err *err)
{
    json_type type = json_object_get_type(value);
    if (!value || ((type == shapes[k->type].types[0] || type == shapes[k->type].types[1]) &&
                   members_ok(k, value)))
        return 0;
    return dray_fail(err, DRAY_E_INVAL, "the value of \"%s\" must be %s, not %.100s", k->key,
                     shapes[k->type].name, dray_json_text(value));
}

int dray_conf_check_file(struct json_object *file, struct dray_err *err)
{
    if (!file)
        return 0;
    if (!json_object_is_type(file, json_type_object))
        return dray_fail(err, DRAY_E_INVAL, "the configuration must be a JSON object");
    json_object_object_foreach(file, key, value)
    {
        const struct dray_conf_key *k = find_key(key);
        const char *near = k ? NULL : dray_conf_nearest(key, false);
        if (!k)
            return dray_fail(err, DRAY_E_INVAL,
                             "the following directives don't match any configuration option: "
                             "%s%s%s%s",
                             key, near ? " (did you mean \"" : "", near ? near : "",
                             near ? "\"?)" : "");
        int rc = check_value(k, value, err);
        if (rc)
            return rc;
    }
    return 0;
}

/* Proxies have names of their own only as flags; in the file they are together. They may have a
 * password, which is not for a log. */
static bool add_proxy_conflict(struct dray_buf *b, const char *key, struct json_object *value,
                               struct json_object *file)
{
    const char *there = dray_json_str(dray_json_obj(file, "proxies"), key, NULL);
    if (!there)
        return false;
    dray_autofree char *flag = dray_str_masked(json_object_get_string(value));
    dray_autofree char *other = dray_str_masked(there);
    dray_buf_addf(b, "%s%s: (from flag: %s, from file: %s)", b->len ? ", " : "", key,
                  flag ? flag : "", other ? other : "");
    return true;
}

int dray_conf_check_conflicts(struct json_object *flags, struct json_object *file,
                              struct dray_err *err)
{
    DRAY_AUTO(dray_buf) b = {0};
    if (!flags || !file)
        return 0;
    json_object_object_foreach(flags, key, value)
    {
        struct json_object *other = NULL;
        /* Runtimes of both places are put together. */
        if (strcmp(key, "runtimes") == 0 || add_proxy_conflict(&b, key, value, file) ||
            !json_object_object_get_ex(file, key, &other))
            continue;
        dray_buf_addf(&b, "%s%s: (from flag: %s, ", b.len ? ", " : "", key, dray_json_text(value));
        dray_buf_addf(&b, "from file: %s)", other ? dray_json_text(other) : "null");
    }
    if (!b.len)
        return 0;
    return dray_fail(err, DRAY_E_INVAL,
                     "the following directives are specified both as a flag and in the "
                     "configuration file: %s",
                     b.data);
}
