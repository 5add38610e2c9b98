/* SPDX-License-Identifier: Apache-2.0 */
/* plugin.c - a family of authorization drivers: servers of Docker's authorization protocol. */
#include "remote.h"

#include <dray/authz.h>

struct dray_self {
    struct dray_remote *remote;
};

/* RFC 4648, as Go writes bytes in JSON. */
static char *base64(struct dray_span in)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *b = in.data;
    char *out = malloc((size_t)in.len / 3 * 4 + 5);
    char *p = out;
    for (uint64_t i = 0; out && i < in.len; i += 3) {
        uint64_t left = in.len - i;
        unsigned v = (unsigned)b[i] << 16 | (left > 1 ? (unsigned)b[i + 1] << 8 : 0) |
                     (left > 2 ? b[i + 2] : 0);
        *p++ = digits[v >> 18];
        *p++ = digits[v >> 12 & 63];
        *p++ = left > 1 ? digits[v >> 6 & 63] : '=';
        *p++ = left > 2 ? digits[v & 63] : '=';
    }
    if (out)
        *p = '\0';
    return out;
}

static int add_bytes(struct json_object *o, const char *key, struct dray_span bytes,
                     struct dray_err *err)
{
    if (!bytes.len)
        return 0;
    dray_autofree char *text = base64(bytes);
    if (!text)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    dray_remote_add(o, key, text);
    return 0;
}

static int describe(const struct dray_authz_exchange *x, struct json_object *o,
                    struct dray_err *err)
{
    dray_remote_add(o, "User", x->user);
    dray_remote_add(o, "UserAuthNMethod", x->user_auth);
    dray_remote_add(o, "RequestMethod", x->method);
    dray_remote_add(o, "RequestUri", x->uri);
    (void)json_object_object_add(o, "RequestHeaders", dray_remote_kvs(x->headers));
    int rc = add_bytes(o, "RequestBody", x->body, err);
    if (rc || !x->status)
        return rc;
    (void)json_object_object_add(o, "ResponseStatusCode", json_object_new_int((int)x->status));
    (void)json_object_object_add(o, "ResponseHeaders", dray_remote_kvs(x->answer_headers));
    return add_bytes(o, "ResponseBody", x->answer_body, err);
}

static int ask(struct dray_self *self, const struct dray_call *call, const char *method,
               const struct dray_authz_exchange *x, struct dray_err *err)
{
    struct json_object *body = json_object_new_object();
    dray_remote_auto *answer = NULL;
    int rc = describe(x, body, err);
    if (rc) {
        json_object_put(body);
        return rc;
    }
    rc = dray_remote_call(self->remote, call, method, body, &answer, err);
    if (rc || dray_remote_bool(answer, "Allow"))
        return rc;
    const char *words = dray_remote_str(answer, "Msg");
    return dray_fail(err, DRAY_E_DENIED, "%s", *words ? words : "no reason was given");
}

static int32_t request(struct dray_self *self, const struct dray_call *call,
                       const struct dray_authz_exchange *x, struct dray_err *err)
{
    return ask(self, call, "AuthZReq", x, err);
}

static int32_t response(struct dray_self *self, const struct dray_call *call,
                        const struct dray_authz_exchange *x, struct dray_err *err)
{
    return ask(self, call, "AuthZRes", x, err);
}

static int32_t open_self(const struct dray_host *host, const char *instance, struct dray_self **out,
                         struct dray_err *err)
{
    struct dray_self *self = calloc(1, sizeof *self);
    if (!self)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    int rc = dray_remote_open(host, instance, "AuthZPlugin", &self->remote, err);
    if (rc)
        free(self);
    else
        *out = self;
    return rc;
}

static void close_self(struct dray_self *self)
{
    dray_remote_close(self->remote);
    free(self);
}

static const struct dray_authz_ops ops = {
    .head = DRAY_TABLE(struct dray_authz_ops, 0),
    .request = request,
    .response = response,
};
static const struct dray_option options[] = {DRAY_REMOTE_OPTIONS};
static const struct dray_iface ifaces[] = {
    {DRAY_KIND_AUTHZ, DRAY_THREAD_PARALLEL, &ops.head},
};

DRAY_PLUGIN_CARD("{\"name\":\"remote\",\"version\":\"0.1.0\",\"abi\":\"0.1\",\"family\":true,"
                 "\"kinds\":[\"authz\"],\"license\":\"Apache-2.0\"}");

DRAY_PLUGIN_EXPORT extern const struct dray_plugin dray_plugin_v1;
const struct dray_plugin dray_plugin_v1 = {
    .magic = DRAY_PLUGIN_MAGIC,
    .head = DRAY_TABLE(struct dray_plugin, 0),
    .name = "remote",
    .version = "0.1.0",
    .license = "Apache-2.0",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .ifaces = ifaces,
    .n_ifaces = sizeof ifaces / sizeof *ifaces,
    .open = open_self,
    .close = close_self,
    .claim = dray_remote_claim,
};
