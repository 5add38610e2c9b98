/* SPDX-License-Identifier: Apache-2.0 */
/* helper.c - sockets, answers and documents of the daemon's helper programs. */
#include "base/helper.h"

#include "base/fs.h"
#include "base/ident.h"
#include "base/json.h"
#include "base/logging.h"
#include "base/sockmsg.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define DRAY_LOG_AREA "helper"

int dray_helper_open(const char *exec_root, const char *dir, const char *socket, int *dir_out,
                     int *listener_out, struct dray_err *err)
{
    dray_autofd int root = open(exec_root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return dray_fail_errno(err, "open %s", exec_root);
    dray_autofd int docs = -EBADF;
    int rc = dray_fs_open_dir(root, dir, 0700, &docs, err);
    rc = rc ? rc : dray_sock_listen_at(root, socket, SOCK_SEQPACKET, listener_out, err);
    if (!rc)
        *dir_out = dray_steal_fd(&docs);
    return rc;
}

bool dray_helper_detach(int *status_out)
{
    pid_t pid = fork();
    *status_out = pid < 0;
    if (pid != 0)
        return false;
    (void)setsid();
    (void)signal(SIGPIPE, SIG_IGN);
    return true;
}

uint64_t dray_helper_raise_limit(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files))
        return 1024;
    uint64_t had = files.rlim_cur;
    files.rlim_cur = files.rlim_max;
    return setrlimit(RLIMIT_NOFILE, &files) ? had : files.rlim_cur;
}

void dray_helper_answer(int fd, int code, const char *text, struct json_object *extra)
{
    dray_autojson *m = extra ? extra : json_object_new_object();
    dray_json_add_int(m, "code", code);
    if (code)
        dray_json_add_str(m, "error", text);
    (void)dray_sockmsg_send(fd, m, NULL, 0, NULL);
}

bool dray_helper_gave_up(int fd)
{
    char c;
    return recv(fd, &c, sizeof c, MSG_PEEK | MSG_DONTWAIT) == 0;
}

int dray_helper_same(struct json_object *request, struct dray_err *err)
{
    struct stat st;
    if (stat("/proc/self/exe", &st))
        return 0;
    bool same = (int64_t)st.st_dev == dray_json_int(request, "dev", 0) &&
                (int64_t)st.st_ino == dray_json_int(request, "ino", 0);
    return same ? 0 : dray_fail(err, DRAY_E_CONFLICT, "another version runs");
}

bool dray_helper_doc_name(const char *id, char out[DRAY_HELPER_DOC])
{
    if (!dray_id_is_hex(id, DRAY_ID_LEN - 1, DRAY_ID_LEN - 1))
        return false;
    (void)snprintf(out, DRAY_HELPER_DOC, "%s.json", id);
    return true;
}

int dray_helper_store(int dir, const char *id, struct json_object *doc, struct dray_err *err)
{
    char name[DRAY_HELPER_DOC];
    if (!dray_helper_doc_name(id, name))
        return dray_fail(err, DRAY_E_INVAL, "invalid id");
    const char *text = dray_json_text(doc);
    return dray_fs_replace(dir, name, text, strlen(text), 0600, DRAY_FS_PLAIN, err);
}

void dray_helper_forget(int dir, const char *id)
{
    char name[DRAY_HELPER_DOC];
    if (dray_helper_doc_name(id, name))
        (void)unlinkat(dir, name, 0);
}

void dray_helper_load(int dir, int (*fn)(void *ctx, struct json_object *doc, struct dray_err *err),
                      void *ctx)
{
    int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    for (const struct dirent *e; d && (e = readdir(d)) != NULL;) {
        dray_autojson *doc = NULL;
        struct dray_err err = {0};
        if (e->d_name[0] == '.')
            continue;
        int rc = dray_json_load(dir, e->d_name, &doc, &err);
        rc = rc ? rc : fn(ctx, doc, &err);
        if (!rc)
            continue;
        dray_info("%s is dropped: %s", e->d_name, err.text);
        (void)unlinkat(dir, e->d_name, 0);
    }
    if (d)
        (void)closedir(d);
}
