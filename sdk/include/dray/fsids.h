/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fsids.h - the ids that the calling thread makes files with, apart from the rest of its rights.
 *
 * On an idmapped mount the host's root has no id. Who makes files there, or mounts an overlay whose
 * layers are such, does it with the ids of the container's root, and keeps its capabilities.
 */
#ifndef DRAY_FSIDS_H
#define DRAY_FSIDS_H

#include <dray/util.h>

#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef __cplusplus
extern "C" {
#endif

/** What the thread had. */
struct dray_fsids {
    uint32_t uid, gid;
    int held; /* there is something to give back */
};

/** From now on this thread makes files as uid and gid, and may do all else that it could before.
 *  Usable between fork and exec. Given back with dray_fsids_drop(). */
static inline int dray_fsids_take(uint32_t uid, uint32_t gid, struct dray_fsids *was,
                                  struct dray_err *err)
{
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct caps[_LINUX_CAPABILITY_U32S_3];
    was->held = 0;
    if (syscall(SYS_capget, &head, caps) != 0)
        return dray_fail_errno(err, "read capabilities");
    was->gid = (uint32_t)syscall(SYS_setfsgid, gid);
    was->uid = (uint32_t)syscall(SYS_setfsuid, uid);
    was->held = 1;
    /* Leaving 0 has taken away what concerns files. */
    if (syscall(SYS_capset, &head, caps) != 0)
        return dray_fail_errno(err, "keep capabilities");
    if ((uint32_t)syscall(SYS_setfsuid, -1) != uid || (uint32_t)syscall(SYS_setfsgid, -1) != gid)
        return dray_fail(err, DRAY_E_DENIED, "no right to make files as user %u, group %u", uid,
                         gid);
    return 0;
}

static inline void dray_fsids_drop(struct dray_fsids *was)
{
    if (!was->held)
        return;
    (void)syscall(SYS_setfsuid, was->uid);
    (void)syscall(SYS_setfsgid, was->gid);
    was->held = 0;
}

static inline void dray_fsids_cleanup(struct dray_fsids *was)
{
    dray_fsids_drop(was);
}

#ifdef __cplusplus
}
#endif
#endif
