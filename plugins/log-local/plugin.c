/* SPDX-License-Identifier: Apache-2.0 */
/* plugin.c - the log driver "local": compact files, compressed when rotated. */
#include "log_driver.h"

#include "format.h"

#include <sys/stat.h>

DRAY_PLUGIN_CARD("{\"name\":\"local\",\"version\":\"0.1.0\",\"abi\":\"0.1\","
                 "\"kinds\":[\"log\"],\"license\":\"Apache-2.0\"}");

static int place(const struct dray_log_info *info, char **dir_out, char **file_out)
{
    *file_out = strdup("container.log");
    if (asprintf(dir_out, "%s/local-logs", info->dir) < 0)
        *dir_out = NULL;
    if (!*dir_out || !*file_out)
        return DRAY_E_NOMEM;
    return mkdir(*dir_out, 0700) == 0 || errno == EEXIST || errno == ENOENT ? 0 : DRAY_E_IO;
}

/* Attributes as they are shown: "key=value,key=value", escaped as Go's url.QueryEscape does. */
static char *put_escaped(char *p, const char *text)
{
    static const char digits[] = "0123456789ABCDEF";
    for (; *text; text++) {
        uint8_t c = (uint8_t)*text;
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
            strchr("-_.~", c)) {
            *p++ = (char)c;
        } else if (c == ' ') {
            *p++ = '+';
        } else {
            *p++ = '%';
            *p++ = digits[c >> 4];
            *p++ = digits[c & 15];
        }
    }
    return p;
}

static int prefix(const struct dray_log_attrs *a, struct dray_log_prefix *out)
{
    size_t need = 1;
    for (size_t i = 0; i < a->n; i++)
        need += 3 * (strlen(a->v[i].key) + strlen(a->v[i].value)) + 2;
    char *p = out->data = malloc(need);
    if (!p)
        return DRAY_E_NOMEM;
    for (size_t i = 0; i < a->n; i++) {
        if (i)
            *p++ = ',';
        p = put_escaped(p, a->v[i].key);
        *p++ = '=';
        p = put_escaped(p, a->v[i].value);
    }
    out->len = (size_t)(p - out->data);
    return out->len > UINT16_MAX ? DRAY_E_LIMIT : 0;
}

static size_t room(const struct dray_log_prefix *attrs, size_t len)
{
    return LOCAL_ROOM + attrs->len + len;
}

static char *encode(char *out, const struct dray_log_record *r, const struct dray_log_prefix *attrs,
                    void *batch)
{
    (void)batch;
    return local_write(out, r, attrs->data, (uint16_t)attrs->len);
}

static const struct dray_log_driver driver = {
    .title = "log driver local",
    .place = place,
    .prefix = prefix,
    .room = room,
    .encode = encode,
    .mend = local_mend,
    .format = &local_format,
};

static int32_t plugin_open(const struct dray_host *host, const char *instance,
                           struct dray_self **out, struct dray_err *err)
{
    (void)instance;
    return dray_log_driver_new(&driver, host, out, err);
}

static const struct dray_option options[] = DRAY_LOG_DRIVER_OPTIONS("20m", "5", "true");
static const struct dray_log_ops ops = DRAY_LOG_DRIVER_OPS;

static const struct dray_iface ifaces[] = {
    {.kind = DRAY_KIND_LOG, .threading = DRAY_THREAD_PARALLEL, .ops = &ops.head},
};

DRAY_PLUGIN_EXPORT const struct dray_plugin dray_plugin_v1 = {
    .magic = DRAY_PLUGIN_MAGIC,
    .head = DRAY_TABLE(struct dray_plugin, 0),
    .name = "local",
    .version = "0.1.0",
    .license = "Apache-2.0",
    .options = options,
    .n_options = sizeof options / sizeof options[0],
    .ifaces = ifaces,
    .n_ifaces = 1,
    .open = plugin_open,
    .close = dray_log_driver_free,
};
