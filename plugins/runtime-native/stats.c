/* SPDX-License-Identifier: Apache-2.0 */
/* stats.c - answers what a container uses. */
#include "stats.h"
#include "state.h"

int32_t rn_stats(struct dray_self *self, const struct dray_call *call, const char *id,
                 const char **json_out, struct dray_err *err)
{
    __attribute__((cleanup(rn_state_cleanup))) struct rn_state st = {.dir = -EBADF};
    int rc = rn_state_read(self, id, &st, err);
    if (rc != 0)
        return rc;
    if (!rn_state_alive(&st))
        return dray_fail(err, DRAY_E_CONFLICT, "container %s is not running", id);
    const struct rn_cgroup g = {.layout = &self->cgroups, .path = st.cgroup, .host = self->host};
    rn_autojson *all = rn_stats_collect(&g);
    const char *text = json_object_to_json_string_ext(all, JSON_C_TO_STRING_PLAIN);
    char *copy = text ? dray_call_strdup(self->host, call, text) : NULL;
    if (!copy)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    *json_out = copy;
    return 0;
}
