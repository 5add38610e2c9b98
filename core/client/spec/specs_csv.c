/* SPDX-License-Identifier: Apache-2.0 */
/* specs_csv.c - the flags of comma-separated key=value words: --mount, --network, --gpus. */
#include "client/spec/specs.h"

#include "base/buf.h"
#include "base/json.h"
#include "client/cli.h"
#include "client/units.h"

#include <ctype.h>

bool spec_csv(const char *text, struct dray_strlist *out)
{
    DRAY_AUTO(dray_buf) field = {0};
    bool quoted = false;
    for (const char *p = text;; p++) {
        if (quoted && *p == '"' && p[1] == '"') {
            dray_buf_addc(&field, *p++);
        } else if (*p == '"' && (quoted || field.len == 0)) {
            quoted = !quoted;
        } else if ((*p == ',' && !quoted) || !*p) {
            (void)dray_strlist_add(out, field.data ? field.data : "");
            dray_buf_reset(&field);
            if (field.data)
                field.data[0] = '\0';
            if (!*p)
                return !quoted;
        } else {
            dray_buf_addc(&field, *p);
        }
    }
}

/* "Key=value" with the key in lower case; *value is NULL without "=". */
static char *split_key(const char *word, const char **value)
{
    const char *eq = strchr(word, '=');
    char *key = eq ? cli_strf("%.*s", (int)(eq - word), word) : cli_strdup(word);
    for (char *c = key; *c; c++)
        *c = (char)tolower((unsigned char)*c);
    *value = eq ? eq + 1 : NULL;
    return key;
}

static struct json_object *sub(struct json_object *o, const char *key)
{
    struct json_object *v = NULL;
    if (!json_object_object_get_ex(o, key, &v)) {
        v = json_object_new_object();
        json_object_object_add(o, key, v);
    }
    return v;
}

/* A key of --mount and where its value goes in the API's object. */
struct mount_key {
    const char *key;
    const char *group; /* "BindOptions", or NULL for the mount itself */
    const char *field;
    enum { M_STR, M_BOOL, M_SIZE, M_MODE, M_PAIR, M_OPTIONS } kind;
};

static const struct mount_key mount_keys[] = {
    {"type", NULL, "Type", M_STR},
    {"source", NULL, "Source", M_STR},
    {"src", NULL, "Source", M_STR},
    {"target", NULL, "Target", M_STR},
    {"dst", NULL, "Target", M_STR},
    {"destination", NULL, "Target", M_STR},
    {"readonly", NULL, "ReadOnly", M_BOOL},
    {"ro", NULL, "ReadOnly", M_BOOL},
    {"consistency", NULL, "Consistency", M_STR},
    {"bind-propagation", "BindOptions", "Propagation", M_STR},
    {"bind-nonrecursive", "BindOptions", "NonRecursive", M_BOOL},
    {"bind-create-src", "BindOptions", "CreateMountpoint", M_BOOL},
    {"volume-nocopy", "VolumeOptions", "NoCopy", M_BOOL},
    {"volume-subpath", "VolumeOptions", "Subpath", M_STR},
    {"volume-label", "VolumeOptions", "Labels", M_PAIR},
    {"volume-driver", "VolumeOptions", "DriverConfig.Name", M_STR},
    {"volume-opt", "VolumeOptions", "DriverConfig.Options", M_PAIR},
    {"image-subpath", "ImageOptions", "Subpath", M_STR},
    {"tmpfs-size", "TmpfsOptions", "SizeBytes", M_SIZE},
    {"tmpfs-mode", "TmpfsOptions", "Mode", M_MODE},
    {"tmpfs-opt", "TmpfsOptions", "Options", M_OPTIONS},
};

static struct json_object *place(struct json_object *m, const struct mount_key *k,
                                 const char **field)
{
    struct json_object *o = k->group ? sub(m, k->group) : m;
    const char *dot = strchr(k->field, '.');
    *field = dot ? dot + 1 : k->field;
    return dot ? sub(o, "DriverConfig") : o;
}

static void add_tmpfs_option(struct json_object *o, const char *field, const char *value)
{
    struct json_object *list = NULL, *pair = json_object_new_array();
    if (!json_object_object_get_ex(o, field, &list)) {
        list = json_object_new_array();
        json_object_object_add(o, field, list);
    }
    const char *eq = strchr(value, '=');
    json_object_array_add(
        pair, json_object_new_string_len(value, eq ? (int)(eq - value) : (int)strlen(value)));
    if (eq)
        json_object_array_add(pair, json_object_new_string(eq + 1));
    json_object_array_add(list, pair);
}

static int set_mount_key(struct json_object *m, const struct mount_key *k, const char *value,
                         struct dray_err *err)
{
    const char *field = NULL;
    struct json_object *o = place(m, k, &field);
    bool b = true;
    int64_t n = 0;
    char *end = NULL;
    switch (k->kind) {
    case M_STR:
        dray_json_add_str(o, field, value);
        return 0;
    case M_BOOL:
        if (value && !units_bool(value, &b))
            return dray_fail(err, DRAY_E_INVAL, "invalid value for %s: %s", k->key, value);
        dray_json_add_bool(o, field, b);
        return 0;
    case M_SIZE:
        if (units_bytes(value, &n, NULL) != 0)
            return dray_fail(err, DRAY_E_INVAL, "invalid value for %s: %s", k->key, value);
        dray_json_add_int(o, field, n);
        return 0;
    case M_MODE:
        n = strtoll(value, &end, 8);
        if (!*value || *end)
            return dray_fail(err, DRAY_E_INVAL, "invalid value for %s: %s", k->key, value);
        dray_json_add_int(o, field, n);
        return 0;
    case M_PAIR: {
        const char *eq = strchr(value, '=');
        dray_autofree char *name =
            eq ? cli_strf("%.*s", (int)(eq - value), value) : cli_strdup(value);
        dray_json_add_str(sub(o, field), name, eq ? eq + 1 : "");
        return 0;
    }
    case M_OPTIONS:
        add_tmpfs_option(o, field, value);
        return 0;
    }
    return 0;
}

static int recursive_option(struct json_object *m, const char *value, struct dray_err *err)
{
    static const struct {
        const char *value, *field;
    } table[] = {{"enabled", NULL},
                 {"disabled", "NonRecursive"},
                 {"writable", "ReadOnlyNonRecursive"},
                 {"readonly", "ReadOnlyForceRecursive"}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (strcmp(value, table[i].value) == 0) {
            if (table[i].field)
                dray_json_add_bool(sub(m, "BindOptions"), table[i].field, true);
            return 0;
        }
    }
    return dray_fail(err, DRAY_E_INVAL,
                     "invalid value for bind-recursive: %s (must be \"enabled\", \"disabled\", "
                     "\"writable\", or \"readonly\")",
                     value);
}

static int mount_word(struct json_object *m, const char *word, struct dray_err *err)
{
    const char *value = NULL;
    dray_autofree char *key = split_key(word, &value);
    for (size_t i = 0; i < sizeof mount_keys / sizeof *mount_keys; i++) {
        const struct mount_key *k = &mount_keys[i];
        if (strcmp(k->key, key) != 0)
            continue;
        if (!value && k->kind != M_BOOL)
            return dray_fail(err, DRAY_E_INVAL, "invalid field '%s' must be a key=value pair",
                             word);
        return set_mount_key(m, k, value, err);
    }
    if (value && strcmp(key, "bind-recursive") == 0)
        return recursive_option(m, value, err);
    if (!value)
        return dray_fail(err, DRAY_E_INVAL, "invalid field '%s' must be a key=value pair", word);
    return dray_fail(err, DRAY_E_INVAL, "unexpected key '%s' in '%s'", key, word);
}

static int check_mix(struct json_object *m, const char *type, struct dray_err *err)
{
    static const char *const groups[4][2] = {{"BindOptions", "bind"},
                                             {"VolumeOptions", "volume"},
                                             {"ImageOptions", "image"},
                                             {"TmpfsOptions", "tmpfs"}};
    for (size_t i = 0; i < 4; i++)
        if (json_object_object_get_ex(m, groups[i][0], NULL) && strcmp(type, groups[i][1]) != 0)
            return dray_fail(err, DRAY_E_INVAL, "cannot mix '%s-*' options with mount type '%s'",
                             groups[i][1], type);
    return 0;
}

static void absolute_source(struct json_object *m)
{
    const char *src = dray_json_str(m, "Source", "");
    bool rel = strcmp(src, ".") == 0 || dray_str_prefix(src, "./") || dray_str_prefix(src, "../");
    if (!rel)
        return;
    dray_autofree char *cwd = getcwd(NULL, 0);
    dray_autofree char *full = cli_strf("%s/%s", cwd ? cwd : "", src);
    dray_autofree char *real = realpath(full, NULL);
    dray_json_add_str(m, "Source", real ? real : full);
}

int spec_mount(const char *value, struct json_object **out, struct dray_err *err)
{
    DRAY_AUTO(dray_strlist) words = {0};
    if (!spec_csv(value, &words))
        return dray_fail(err, DRAY_E_INVAL, "parse error on line 1: extraneous or missing \"");
    dray_autojson *m = json_object_new_object();
    dray_json_add_str(m, "Type", "volume");
    for (size_t i = 0; i < words.n; i++) {
        int rc = mount_word(m, words.v[i], err);
        if (rc != 0)
            return rc;
    }
    const char *type = dray_json_str(m, "Type", "");
    if (!*type)
        return dray_fail(err, DRAY_E_INVAL, "type is required");
    if (!*dray_json_str(m, "Target", ""))
        return dray_fail(err, DRAY_E_INVAL, "target is required");
    int rc = check_mix(m, type, err);
    if (rc != 0)
        return rc;
    if (strcmp(type, "bind") == 0)
        absolute_source(m);
    if (out)
        *out = dray_steal(m);
    return 0;
}

int spec_mount_check(const char *value, struct dray_err *err)
{
    return spec_mount(value, NULL, err);
}

static void append_str(struct json_object *o, const char *key, const char *value)
{
    struct json_object *list = NULL;
    if (!json_object_object_get_ex(o, key, &list)) {
        list = json_object_new_array();
        json_object_object_add(o, key, list);
    }
    json_object_array_add(list, json_object_new_string(value));
}

static int network_word(const char *word, char **target, struct json_object *ep,
                        struct dray_err *err)
{
    const char *value = NULL;
    dray_autofree char *key = split_key(word, &value);
    if (!value || !*value)
        return dray_fail(err, DRAY_E_INVAL, "invalid field %s: must be a key=value pair", word);
    if (strcmp(key, "name") == 0) {
        free(*target);
        *target = cli_strdup(value);
    } else if (strcmp(key, "alias") == 0) {
        append_str(ep, "Aliases", value);
    } else if (strcmp(key, "ip") == 0) {
        dray_json_add_str(sub(ep, "IPAMConfig"), "IPv4Address", value);
    } else if (strcmp(key, "ip6") == 0) {
        dray_json_add_str(sub(ep, "IPAMConfig"), "IPv6Address", value);
    } else if (strcmp(key, "mac-address") == 0) {
        dray_json_add_str(ep, "MacAddress", value);
    } else if (strcmp(key, "link-local-ip") == 0) {
        append_str(sub(ep, "IPAMConfig"), "LinkLocalIPs", value);
    } else if (strcmp(key, "driver-opt") == 0) {
        const char *eq = strchr(value, '=');
        if (!eq)
            return dray_fail(err, DRAY_E_INVAL,
                             "invalid field \"driver-opt\": must be a key=value pair");
        dray_autofree char *name = cli_strf("%.*s", (int)(eq - value), value);
        dray_json_add_str(sub(ep, "DriverOpts"), name, eq + 1);
    } else if (strcmp(key, "gw-priority") == 0) {
        char *end = NULL;
        long n = strtol(value, &end, 10);
        if (*end)
            return dray_fail(err, DRAY_E_INVAL, "invalid gw-priority (%s): invalid syntax", value);
        dray_json_add_int(ep, "GwPriority", n);
    } else {
        return dray_fail(err, DRAY_E_INVAL, "invalid field key %s", key);
    }
    return 0;
}

int spec_network(const char *value, char **target, struct json_object **out, struct dray_err *err)
{
    dray_autojson *ep = json_object_new_object();
    dray_autofree char *name = NULL;
    if (!strchr(value, '=')) {
        name = cli_strdup(value);
    } else {
        DRAY_AUTO(dray_strlist) words = {0};
        (void)spec_csv(value, &words);
        for (size_t i = 0; i < words.n; i++) {
            int rc = network_word(words.v[i], &name, ep, err);
            if (rc != 0)
                return rc;
        }
    }
    if (!name)
        return dray_fail(err, DRAY_E_INVAL, "network name/id is not specified");
    if (out) {
        *out = dray_steal(ep);
        *target = dray_steal(name);
    }
    return 0;
}

int spec_network_check(const char *value, struct dray_err *err)
{
    return spec_network(value, NULL, NULL, err);
}

static int gpu_word(struct json_object *o, const char *word, struct dray_err *err)
{
    const char *value = NULL;
    dray_autofree char *key = split_key(word, &value);
    const char *count = value ? value : key;
    if (!value || strcmp(key, "count") == 0) {
        char *end = NULL;
        long n = strcmp(count, "all") == 0 ? -1 : strtol(count, &end, 10);
        if (end && (*end || end == count))
            return dray_fail(err, DRAY_E_INVAL,
                             "invalid count (%s): value must be either \"all\" or an integer: "
                             "invalid syntax",
                             count);
        dray_json_add_int(o, "Count", n);
    } else if (strcmp(key, "driver") == 0) {
        dray_json_add_str(o, "Driver", value);
    } else if (strcmp(key, "device") == 0) {
        append_str(o, "DeviceIDs", value);
    } else if (strcmp(key, "capabilities") == 0) {
        append_str(o, "caps", value);
    } else if (strcmp(key, "options") != 0) {
        return dray_fail(err, DRAY_E_INVAL, "unexpected key '%s' in '%s'", key, word);
    }
    return 0;
}

int spec_gpus(const char *value, struct json_object **out, struct dray_err *err)
{
    DRAY_AUTO(dray_strlist) words = {0};
    (void)spec_csv(value, &words);
    dray_autojson *o = json_object_new_object();
    for (size_t i = 0; i < words.n; i++) {
        int rc = gpu_word(o, words.v[i], err);
        if (rc != 0)
            return rc;
    }
    if (!json_object_object_get_ex(o, "Count", NULL) &&
        !json_object_object_get_ex(o, "DeviceIDs", NULL))
        dray_json_add_int(o, "Count", 1);
    struct json_object *caps = NULL;
    if (!json_object_object_get_ex(o, "caps", &caps)) {
        append_str(o, "caps", "gpu");
        (void)json_object_object_get_ex(o, "caps", &caps);
    }
    struct json_object *all = json_object_new_array();
    json_object_array_add(all, json_object_get(caps));
    json_object_object_add(o, "Capabilities", all);
    json_object_object_del(o, "caps");
    if (out)
        *out = dray_steal(o);
    return 0;
}

int spec_gpus_check(const char *value, struct dray_err *err)
{
    return spec_gpus(value, NULL, err);
}
