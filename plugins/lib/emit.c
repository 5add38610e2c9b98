/* SPDX-License-Identifier: Apache-2.0 */
/* emit.c - fills records and hands them over. */
#include "emit.h"

#include <limits.h>

int dray_pl_emit_status(const struct dray_host *host, const struct dray_call *call, const char *key,
                        const char *value)
{
    const struct dray_kv fields[] = {{"key", key}, {"value", value}};
    const struct dray_record record = {
        .size = sizeof record, .type = DRAY_REC_STATUS, .fields = {fields, 2}};
    return host->emit(call, &record);
}

int dray_pl_emit_change(void *arg, const struct dray_layer_change *change, struct dray_err *err)
{
    static const char *const kinds[] = {"0", "1", "2"};
    const struct dray_pl_emit *to = arg;
    char path[PATH_MAX + 2];
    (void)err;
    (void)snprintf(path, sizeof path, "/%s", change->path);
    const struct dray_kv fields[] = {{"kind", kinds[change->kind]}, {"path", path}};
    const struct dray_record record = {
        .size = sizeof record, .type = DRAY_REC_ITEM, .fields = {fields, 2}};
    return to->host->emit(to->call, &record);
}

void dray_pl_emit_warning(const void *arg, const char *text)
{
    const struct dray_host *host = arg;
    host->log(host, DRAY_LOG_WARN, text);
}
