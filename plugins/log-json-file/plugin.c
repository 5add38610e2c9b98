/* SPDX-License-Identifier: Apache-2.0 */
/* plugin.c - the log driver "json-file": Docker's format and options, rotated by default. */
#include "log_driver.h"

#include "json_line.h"

DRAY_PLUGIN_CARD("{\"name\":\"json-file\",\"version\":\"0.1.0\",\"abi\":\"0.1\","
                 "\"kinds\":[\"log\"],\"license\":\"Apache-2.0\"}");

_Static_assert(sizeof(struct json_tail) <= DRAY_LOG_BATCH_STATE, "the state of a batch fits");

static int place(const struct dray_log_info *info, char **dir_out, char **file_out)
{
    *dir_out = strdup(info->dir);
    if (asprintf(file_out, "%s-json.log", info->container_id) < 0)
        *file_out = NULL;
    return *dir_out && *file_out ? 0 : DRAY_E_NOMEM;
}

static char *put_string(char *p, const char *text)
{
    *p++ = '"';
    p = dray_log_json_escape(p, (const unsigned char *)text, strlen(text));
    *p++ = '"';
    return p;
}

/* `"attrs":{...},` or nothing. */
static int prefix(const struct dray_log_attrs *a, struct dray_log_prefix *out)
{
    size_t room = 16;
    for (size_t i = 0; i < a->n; i++)
        room += DRAY_LOG_JSON_MAX(strlen(a->v[i].key) + strlen(a->v[i].value)) + 8;
    char *p = out->data = malloc(room);
    if (!p)
        return DRAY_E_NOMEM;
    if (a->n)
        p = stpcpy(p, "\"attrs\":{");
    for (size_t i = 0; i < a->n; i++) {
        if (i)
            *p++ = ',';
        p = put_string(p, a->v[i].key);
        *p++ = ':';
        p = put_string(p, a->v[i].value);
    }
    if (a->n)
        p = stpcpy(p, "},");
    out->len = (size_t)(p - out->data);
    return 0;
}

static size_t room(const struct dray_log_prefix *attrs, size_t len)
{
    return DRAY_LOG_JSON_MAX(len) + attrs->len + JSON_LINE_ROOM;
}

static char *encode(char *out, const struct dray_log_record *r, const struct dray_log_prefix *attrs,
                    void *batch)
{
    return json_line_write(out, r, attrs->data, attrs->len, batch);
}

/* What follows a torn line must not be glued to it. */
static int mend(struct dray_log_writer *w, struct dray_err *err)
{
    char last = '\n';
    if (w->size > 0 && pread(w->fd, &last, 1, w->size - 1) == 1 && last != '\n')
        return dray_log_writer_add(w, "\n", 1, err);
    return 0;
}

static void state_fini(void *state)
{
    json_scanner_fini(state);
}

static const struct dray_log_driver driver = {
    .title = "json-file log driver",
    .attrs = true,
    .place = place,
    .prefix = prefix,
    .room = room,
    .encode = encode,
    .mend = mend,
    .format = &json_line_format,
    .state_size = sizeof(struct json_scanner),
    .state_fini = state_fini,
};

static int32_t plugin_open(const struct dray_host *host, const char *instance,
                           struct dray_self **out, struct dray_err *err)
{
    (void)instance;
    return dray_log_driver_new(&driver, host, out, err);
}

static const struct dray_option options[] = DRAY_LOG_DRIVER_OPTIONS("100m", "3", "false");
static const struct dray_log_ops ops = DRAY_LOG_DRIVER_OPS;

/* Reads of one container run beside each other and beside its writer in another process. */
static const struct dray_iface ifaces[] = {
    {.kind = DRAY_KIND_LOG, .threading = DRAY_THREAD_PARALLEL, .ops = &ops.head},
};

DRAY_PLUGIN_EXPORT const struct dray_plugin dray_plugin_v1 = {
    .magic = DRAY_PLUGIN_MAGIC,
    .head = DRAY_TABLE(struct dray_plugin, 0),
    .name = "json-file",
    .version = "0.1.0",
    .license = "Apache-2.0",
    .options = options,
    .n_options = sizeof options / sizeof options[0],
    .ifaces = ifaces,
    .n_ifaces = 1,
    .open = plugin_open,
    .close = dray_log_driver_free,
};
