/* SPDX-License-Identifier: Apache-2.0 */
/* state.c - what is remembered of a container between calls and across processes. */
#include "oci.h"

#include "files.h"

#include <dirent.h>
#include <fcntl.h>

#define STATE "state.json"
#define STARTED "started"

static int check_id(const char *id, struct dray_err *err)
{
    if (!*id || *id == '.' || strchr(id, '/') || strlen(id) > 200)
        return dray_fail(err, DRAY_E_INVAL, "invalid container id \"%.64s\"", id);
    return 0;
}

uint64_t oci_start_time(pid_t pid)
{
    char path[32], text[1024];
    (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    if (pid <= 0 || rn_read_at(AT_FDCWD, path, text, sizeof text) <= 0)
        return 0;
    const char *p = strrchr(text, ')'); /* the name may hold anything */
    if (!p || p[1] != ' ' || p[2] == 'Z' || p[2] == 'X')
        return 0;
    p += 2;
    for (int field = 3; field < 22 && p; field++) {
        p = strchr(p, ' ');
        p = p ? p + 1 : NULL;
    }
    return p ? strtoull(p, NULL, 10) : 0;
}

bool oci_state_alive(const struct oci_state *s)
{
    return s->start && oci_start_time(s->pid) == s->start;
}

static void empty(int dirfd)
{
    int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d) {
        dray_cleanup_fd(&fd);
        return;
    }
    for (struct dirent *e; (e = readdir(d));)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            (void)unlinkat(dirfd, e->d_name, 0);
    (void)closedir(d);
}

static int open_dir(struct dray_self *self, const char *id)
{
    return openat(self->run, id, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

int oci_state_new(struct dray_self *self, const char *id, struct oci_state *out,
                  struct dray_err *err)
{
    int rc = check_id(id, err);
    if (rc)
        return rc;
    if (oci_state_read(self, id, out, NULL) == 0 && oci_state_alive(out))
        return dray_fail(err, DRAY_E_CONFLICT, "container %s runs already", id);
    dray_cleanup_fd(&out->dir);
    *out = (struct oci_state){.dir = -EBADF};
    if (mkdirat(self->run, id, 0700) != 0 && errno != EEXIST)
        return dray_fail_errno(err, "make the folder of container %s", id);
    out->dir = open_dir(self, id);
    if (out->dir < 0)
        return dray_fail_errno(err, "open the folder of container %s", id);
    empty(out->dir);
    return 0;
}

int oci_state_write(const struct oci_state *s, struct dray_err *err)
{
    rn_autojson *o = json_object_new_object();
    (void)json_object_object_add(o, "pid", json_object_new_int(s->pid));
    (void)json_object_object_add(o, "start", json_object_new_uint64(s->start));
    (void)json_object_object_add(o, "cgroup", json_object_new_string(s->cgroup));
    const char *text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN);
    dray_autofd int fd =
        openat(s->dir, STATE ".new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || rn_write_all(fd, text, strlen(text)) != 0 ||
        renameat(s->dir, STATE ".new", s->dir, STATE) != 0)
        return dray_fail_errno(err, "write the state of a container");
    return 0;
}

int oci_state_mark_started(const struct oci_state *s, struct dray_err *err)
{
    dray_autofd int fd = openat(s->dir, STARTED, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    return fd < 0 ? dray_fail_errno(err, "write the state of a container") : 0;
}

int oci_state_read(struct dray_self *self, const char *id, struct oci_state *out,
                   struct dray_err *err)
{
    char text[PATH_MAX + 256];
    *out = (struct oci_state){.dir = -EBADF};
    int rc = check_id(id, err);
    if (rc)
        return rc;
    dray_autofd int dir = open_dir(self, id);
    ssize_t n = dir < 0 ? -1 : rn_read_at(dir, STATE, text, sizeof text);
    if (n < 0)
        return dray_fail(err, DRAY_E_NOTFOUND, "container %s does not exist", id);
    rn_autojson *o = NULL;
    rc = rn_json_parse(text, (size_t)n, &o, err);
    if (rc)
        return rc;
    out->pid = (pid_t)rn_json_int(o, "pid", 0);
    out->start = rn_json_uint(o, "start", 0);
    (void)snprintf(out->cgroup, sizeof out->cgroup, "%s", rn_json_str(o, "cgroup", ""));
    out->started = faccessat(dir, STARTED, F_OK, 0) == 0;
    out->dir = dray_steal_fd(&dir);
    return 0;
}

void oci_state_remove(struct dray_self *self, const char *id)
{
    dray_autofd int dir = check_id(id, NULL) == 0 ? open_dir(self, id) : -EBADF;
    if (dir < 0)
        return;
    empty(dir);
    (void)unlinkat(self->run, id, AT_REMOVEDIR);
}
