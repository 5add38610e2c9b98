/* SPDX-License-Identifier: Apache-2.0 */
/* caps.c - capability sets of a process. */
#include "caps.h"

#include <dray/util.h>

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

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
#define N_NAMES ((int)(sizeof names / sizeof names[0]))

int rn_cap_number(const char *name)
{
    if (strncmp(name, "CAP_", 4) == 0)
        name += 4;
    for (int i = 0; i < N_NAMES; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    return -1;
}

uint64_t rn_caps_bounding(void)
{
    uint64_t mask = 0;
    for (int i = 0; i < 64; i++) {
        int have = prctl(PR_CAPBSET_READ, i, 0, 0, 0);
        if (have < 0)
            break;
        if (have > 0)
            mask |= UINT64_C(1) << i;
    }
    return mask;
}

int rn_caps_drop(uint64_t mask, struct dray_err *err)
{
    for (int i = 0; i < 64; i++)
        if ((mask >> i & 1) && prctl(PR_CAPBSET_DROP, i, 0, 0, 0) != 0)
            return dray_fail_errno(err, "drop capability %d from the bounding set", i);
    return 0;
}

int rn_caps_set(uint64_t effective, uint64_t permitted, uint64_t inheritable)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    struct __user_cap_data_struct data[2] = {
        {.effective = (uint32_t)effective,
         .permitted = (uint32_t)permitted,
         .inheritable = (uint32_t)inheritable},
        {.effective = (uint32_t)(effective >> 32),
         .permitted = (uint32_t)(permitted >> 32),
         .inheritable = (uint32_t)(inheritable >> 32)},
    };
    return (int)syscall(SYS_capset, &head, data);
}

int rn_caps_ambient(uint64_t mask, struct dray_err *err)
{
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0 && errno != EINVAL)
        return dray_fail_errno(err, "clear the ambient capabilities");
    for (int i = 0; i < N_NAMES; i++) {
        if (!(mask >> i & 1))
            continue;
        if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, i, 0, 0) != 0 && errno != EPERM)
            return dray_fail_errno(err, "raise the ambient capability CAP_%s", names[i]);
    }
    return 0;
}
