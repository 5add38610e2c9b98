/* SPDX-License-Identifier: Apache-2.0 */
/* auth.c - registry credentials: config.json's auths, and credential helpers. */
#include "client/config.h"

#include "base/json.h"

#define HUB_KEY "https://index.docker.io/v1/"

void config_base64(struct dray_buf *out, const char *data, size_t len, bool url)
{
    static const char std[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < len; i += 3) {
        uint32_t v = 0;
        size_t n = len - i < 3 ? len - i : 3;
        for (size_t k = 0; k < 3; k++)
            v = v << 8 | (k < n ? (unsigned char)data[i + k] : 0);
        for (size_t k = 0; k < 4; k++) {
            char c = k <= n ? std[v >> (18 - 6 * k) & 63] : '=';
            if (url)
                c = c == '+' ? '-' : c == '/' ? '_' : c;
            dray_buf_addc(out, c);
        }
    }
}

static int digit64(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' || c == '-' ? 62 : c == '/' || c == '_' ? 63 : -1;
}

bool config_unbase64(struct dray_buf *out, const char *text)
{
    uint32_t v = 0;
    int bits = 0;
    for (; *text && *text != '='; text++) {
        int d = digit64(*text);
        if (d < 0)
            return false;
        v = v << 6 | (uint32_t)d;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            dray_buf_addc(out, (char)(v >> bits & 255));
        }
    }
    return true;
}

char *config_registry_of(const char *image)
{
    size_t first = strcspn(image, "/");
    bool host = image[first] == '/' && (memchr(image, '.', first) || memchr(image, ':', first) ||
                                        (first == 9 && memcmp(image, "localhost", 9) == 0));
    return host ? cli_strf("%.*s", (int)first, image) : cli_strdup("docker.io");
}

const char *config_auth_key(const char *registry)
{
    bool hub = strcmp(registry, "docker.io") == 0 || strcmp(registry, "index.docker.io") == 0;
    return hub ? HUB_KEY : registry;
}

const char *config_helper(struct cli *cli, const char *key)
{
    struct json_object *helpers = dray_json_obj(config_get(cli), "credHelpers"), *v = NULL;
    if (helpers && json_object_object_get_ex(helpers, key, &v))
        return json_object_get_string(v);
    return dray_json_str(config_get(cli), "credsStore", NULL);
}

/* Host of "https://host/path"; how older clients wrote their keys. */
static bool same_registry(const char *a, const char *b)
{
    const char *pa = strstr(a, "://"), *pb = strstr(b, "://");
    a = pa ? pa + 3 : a;
    b = pb ? pb + 3 : b;
    size_t na = strcspn(a, "/"), nb = strcspn(b, "/");
    return na == nb && memcmp(a, b, na) == 0;
}

static void from_file(struct cli *cli, const char *key, struct json_object *auth)
{
    struct json_object *auths = dray_json_obj(config_get(cli), "auths"), *entry = NULL;
    if (!auths)
        return;
    if (!json_object_object_get_ex(auths, key, &entry)) {
        json_object_object_foreach(auths, k, v)
        {
            if (same_registry(k, key))
                entry = v;
        }
    }
    if (!entry)
        return;
    DRAY_AUTO(dray_buf) plain = {0};
    const char *packed = dray_json_str(entry, "auth", "");
    if (*packed && config_unbase64(&plain, packed) && plain.data) {
        char *colon = strchr(plain.data, ':');
        if (colon) {
            *colon = '\0';
            dray_json_add_str(auth, "username", plain.data);
            dray_json_add_str(auth, "password", colon + 1);
        }
    } else if (dray_json_str(entry, "username", NULL)) {
        dray_json_add_str(auth, "username", dray_json_str(entry, "username", ""));
        dray_json_add_str(auth, "password", dray_json_str(entry, "password", ""));
    }
    if (*dray_json_str(entry, "identitytoken", ""))
        dray_json_add_str(auth, "identitytoken", dray_json_str(entry, "identitytoken", ""));
    if (*dray_json_str(entry, "registrytoken", ""))
        dray_json_add_str(auth, "registrytoken", dray_json_str(entry, "registrytoken", ""));
}

static void from_helper(const char *helper, const char *key, struct json_object *auth)
{
    DRAY_AUTO(dray_buf) out = {0};
    dray_autojson *doc = NULL;
    if (credhelper_run(helper, "get", key, &out, NULL) != 0 || !out.data ||
        dray_json_parse(out.data, out.len, &doc, NULL) != 0)
        return;
    const char *user = dray_json_str(doc, "Username", "");
    const char *secret = dray_json_str(doc, "Secret", "");
    if (strcmp(user, "<token>") == 0) {
        dray_json_add_str(auth, "identitytoken", secret);
    } else if (*user) {
        dray_json_add_str(auth, "username", user);
        dray_json_add_str(auth, "password", secret);
    }
}

struct json_object *config_credentials(struct cli *cli, const char *key)
{
    struct json_object *auth = json_object_new_object();
    const char *helper = config_helper(cli, key);
    if (helper && *helper)
        from_helper(helper, key, auth);
    if (json_object_object_length(auth) == 0)
        from_file(cli, key, auth);
    if (json_object_object_length(auth) > 0)
        dray_json_add_str(auth, "serveraddress", key);
    return auth;
}

char *config_auth_header(struct cli *cli, const char *registry)
{
    dray_autojson *auth = config_credentials(cli, config_auth_key(registry));
    const char *text = dray_json_text(auth);
    DRAY_AUTO(dray_buf) b = {0};
    config_base64(&b, text, strlen(text), true);
    return cli_strf("X-Registry-Auth: %s\r\n", b.data ? b.data : "");
}

static struct json_object *auths_of(struct cli *cli)
{
    struct json_object *auths = NULL;
    if (!json_object_object_get_ex(config_get(cli), "auths", &auths)) {
        auths = json_object_new_object();
        json_object_object_add(config_get(cli), "auths", auths);
    }
    return auths;
}

static int store_in_helper(struct cli *cli, const char *helper, const char *key,
                           struct json_object *auth)
{
    dray_autojson *doc = json_object_new_object();
    const char *token = dray_json_str(auth, "identitytoken", "");
    dray_json_add_str(doc, "ServerURL", key);
    dray_json_add_str(doc, "Username", *token ? "<token>" : dray_json_str(auth, "username", ""));
    dray_json_add_str(doc, "Secret", *token ? token : dray_json_str(auth, "password", ""));
    DRAY_AUTO(dray_buf) out = {0};
    struct dray_err err = {0};
    if (credhelper_run(helper, "store", dray_json_text(doc), &out, &err) != 0)
        return cli_fail(cli, "Error saving credentials: %s", err.text);
    json_object_object_add(auths_of(cli), key, json_object_new_object());
    return config_save(cli);
}

int config_store_credentials(struct cli *cli, const char *key, struct json_object *auth)
{
    const char *helper = config_helper(cli, key);
    if (helper && *helper)
        return store_in_helper(cli, helper, key, auth);
    struct json_object *entry = json_object_new_object();
    const char *token = dray_json_str(auth, "identitytoken", "");
    dray_autofree char *plain = cli_strf("%s:%s", dray_json_str(auth, "username", ""),
                                         *token ? "" : dray_json_str(auth, "password", ""));
    DRAY_AUTO(dray_buf) packed = {0};
    config_base64(&packed, plain, strlen(plain), false);
    dray_json_add_str(entry, "auth", packed.data);
    if (*token)
        dray_json_add_str(entry, "identitytoken", token);
    json_object_object_add(auths_of(cli), key, entry);
    return config_save(cli);
}

int config_erase_credentials(struct cli *cli, const char *key)
{
    const char *helper = config_helper(cli, key);
    DRAY_AUTO(dray_buf) out = {0};
    if (helper && *helper)
        (void)credhelper_run(helper, "erase", key, &out, NULL);
    json_object_object_del(auths_of(cli), key);
    return config_save(cli);
}
