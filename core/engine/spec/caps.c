/* SPDX-License-Identifier: Apache-2.0 */
/* caps.c - Linux capabilities by name, and the set a container gets. */
#include "engine/spec/caps.h"

#include "base/json.h"

#include <ctype.h>
#include <linux/capability.h>
#include <strings.h>
#include <sys/prctl.h>

/* capabilities(7), in the order of their numbers. */
static const char *const names[] = {
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
};
#define N_CAPS (sizeof names / sizeof names[0])

#define BIT(n) (UINT64_C(1) << (n))
#define DEFAULT_CAPS                                                                               \
    (BIT(CAP_CHOWN) | BIT(CAP_DAC_OVERRIDE) | BIT(CAP_FSETID) | BIT(CAP_FOWNER) | BIT(CAP_MKNOD) | \
     BIT(CAP_NET_RAW) | BIT(CAP_SETGID) | BIT(CAP_SETUID) | BIT(CAP_SETFCAP) | BIT(CAP_SETPCAP) |  \
     BIT(CAP_NET_BIND_SERVICE) | BIT(CAP_SYS_CHROOT) | BIT(CAP_KILL) | BIT(CAP_AUDIT_WRITE))
#define ALL_CAPS (BIT(N_CAPS) - 1)

static int find(const char *name)
{
    if (strncasecmp(name, "CAP_", 4) == 0)
        name += 4;
    for (size_t i = 0; i < N_CAPS; i++)
        if (strcasecmp(name, names[i]) == 0)
            return (int)i;
    return -1;
}

static int mask_of(struct json_object *list, const char *field, uint64_t *mask, bool *all,
                   struct dray_err *err)
{
    *mask = 0;
    *all = false;
    for (size_t i = 0; i < dray_json_len(list); i++) {
        const char *name = json_object_get_string(json_object_array_get_idx(list, i));
        if (strcasecmp(name, "ALL") == 0 || strcasecmp(name, "CAP_ALL") == 0) {
            *all = true;
            continue;
        }
        int cap = find(name);
        if (cap < 0) {
            const char *plain = strncasecmp(name, "CAP_", 4) == 0 ? name + 4 : name;
            return dray_fail(err, DRAY_E_INVAL, "invalid %s: unknown capability: \"CAP_%s\"", field,
                             plain);
        }
        *mask |= BIT(cap);
    }
    return 0;
}

/** What this process may hand on. */
/* The daemon never changes its own: asked for once. */
static uint64_t bounding(void)
{
    static _Atomic uint64_t known;
    uint64_t mask = known;
    for (size_t i = 0; i < N_CAPS && known == 0; i++)
        if (prctl(PR_CAPBSET_READ, (unsigned long)i, 0, 0, 0) == 1)
            mask |= BIT(i);
    known = mask;
    return mask;
}

int dray_caps_resolve(struct json_object *add, struct json_object *drop, bool privileged,
                      uint64_t *mask_out, struct dray_err *err)
{
    uint64_t added = 0, dropped = 0;
    bool add_all = false, drop_all = false;
    int rc = mask_of(add, "CapAdd", &added, &add_all, err);
    if (rc == 0)
        rc = mask_of(drop, "CapDrop", &dropped, &drop_all, err);
    if (rc != 0)
        return rc;
    uint64_t mask;
    if (privileged)
        mask = ALL_CAPS;
    else if (add_all)
        mask = ALL_CAPS & ~dropped;
    else if (drop_all)
        mask = added;
    else
        mask = (DEFAULT_CAPS | added) & ~(dropped & ~added);
    *mask_out = mask & bounding();
    return 0;
}

struct json_object *dray_caps_names(uint64_t mask)
{
    struct json_object *list = json_object_new_array();
    for (size_t i = 0; i < N_CAPS; i++) {
        if (!(mask & BIT(i)))
            continue;
        char text[40];
        (void)snprintf(text, sizeof text, "CAP_%s", names[i]);
        json_object_array_add(list, json_object_new_string(text));
    }
    return list;
}

bool dray_caps_has(uint64_t mask, const char *name)
{
    int cap = find(name);
    return cap >= 0 && (mask & BIT(cap));
}
