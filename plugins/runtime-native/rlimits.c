/* SPDX-License-Identifier: Apache-2.0 */
/* rlimits.c - resource limits of a process. */
#include "rlimits.h"

#include <dray/util.h>

#include <sys/resource.h>

static const struct {
    const char *name;
    int number;
} names[] = {
    {"RLIMIT_AS", RLIMIT_AS},
    {"RLIMIT_CORE", RLIMIT_CORE},
    {"RLIMIT_CPU", RLIMIT_CPU},
    {"RLIMIT_DATA", RLIMIT_DATA},
    {"RLIMIT_FSIZE", RLIMIT_FSIZE},
    {"RLIMIT_LOCKS", RLIMIT_LOCKS},
    {"RLIMIT_MEMLOCK", RLIMIT_MEMLOCK},
    {"RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE},
    {"RLIMIT_NICE", RLIMIT_NICE},
    {"RLIMIT_NOFILE", RLIMIT_NOFILE},
    {"RLIMIT_NPROC", RLIMIT_NPROC},
    {"RLIMIT_RSS", RLIMIT_RSS},
    {"RLIMIT_RTPRIO", RLIMIT_RTPRIO},
    {"RLIMIT_RTTIME", RLIMIT_RTTIME},
    {"RLIMIT_SIGPENDING", RLIMIT_SIGPENDING},
    {"RLIMIT_STACK", RLIMIT_STACK},
};

int rn_rlimit_number(const char *name)
{
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(names[i].name, name) == 0)
            return names[i].number;
    return -1;
}

void rn_rlimits_raise(const struct rn_process *p)
{
    for (size_t i = 0; i < p->n_rlimits; i++) {
        const struct rn_rlimit *r = &p->rlimits[i];
        struct rlimit lim;
        if (getrlimit((__rlimit_resource_t)r->resource, &lim) != 0 || lim.rlim_max >= r->hard)
            continue;
        lim.rlim_max = r->hard;
        (void)setrlimit((__rlimit_resource_t)r->resource, &lim); /* applying it tells */
    }
}

int rn_rlimits_apply(const struct rn_process *p, struct dray_err *err)
{
    for (size_t i = 0; i < p->n_rlimits; i++) {
        const struct rn_rlimit *r = &p->rlimits[i];
        struct rlimit lim = {.rlim_cur = r->soft, .rlim_max = r->hard}, now;
        if (setrlimit((__rlimit_resource_t)r->resource, &lim) == 0)
            continue;
        int why = errno;
        bool raised =
            getrlimit((__rlimit_resource_t)r->resource, &now) == 0 && lim.rlim_max > now.rlim_max;
        errno = why;
        if (why == EPERM && raised)
            return dray_fail(err, DRAY_E_IO,
                             "error setting rlimit type %d: operation not permitted (raising %s "
                             "above %llu needs CAP_SYS_RESOURCE, which this daemon lacks)",
                             r->resource, r->name, (unsigned long long)now.rlim_max);
        return dray_fail_errno(err, "error setting rlimit type %d", r->resource);
    }
    return 0;
}
