/* SPDX-License-Identifier: Apache-2.0 */
/* seccomp_cache.c - keeps compiled filters: compiling takes longer than the rest of a start. */
#include "files.h"
#include "filter.h"

#include <fcntl.h>

#define FOLDER "seccomp"
#define MAGIC UINT64_C(0x3150434353595244) /* "DRYSCCP1" */
#define FILE_MAX ((size_t)4 << 20)
#define LINK_TRIES 1000

/** A cache file: this, the profile's text, the program. */
struct header {
    uint64_t magic, key_len, n_insns;
    uint32_t flags, insn_size;
};

/** FNV-1a. Only a name: the text itself is compared. */
static uint64_t hash(const char *text, size_t len)
{
    uint64_t h = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < len; i++)
        h = (h ^ (unsigned char)text[i]) * UINT64_C(1099511628211);
    return h;
}

/** Read a cache file. key NULL: whatever it holds. NOTFOUND when it is not the one. */
static int load(int dir, const char *name, const char *key, size_t key_len, struct rn_filter *out)
{
    dray_autofree char *data = NULL;
    size_t len = 0;
    struct header h;
    if (rn_read_whole(dir, name, FILE_MAX, &data, &len, NULL) != 0 || len < sizeof h)
        return DRAY_E_NOTFOUND;
    memcpy(&h, data, sizeof h);
    size_t rest = len - sizeof h;
    if (h.magic != MAGIC || h.insn_size != sizeof *out->insns || h.n_insns == 0 ||
        h.n_insns > BPF_MAXINSNS || h.key_len > rest ||
        rest - h.key_len != h.n_insns * sizeof *out->insns)
        return DRAY_E_NOTFOUND;
    if (key && (h.key_len != key_len || memcmp(data + sizeof h, key, key_len) != 0))
        return DRAY_E_NOTFOUND;
    out->insns = malloc(h.n_insns * sizeof *out->insns);
    if (!out->insns)
        return DRAY_E_NOMEM;
    memcpy(out->insns, data + sizeof h + h.key_len, h.n_insns * sizeof *out->insns);
    out->n = h.n_insns;
    out->flags = h.flags;
    return 0;
}

static int save(int dir, const char *name, const char *key, size_t key_len,
                const struct rn_filter *f)
{
    char temp[64];
    (void)snprintf(temp, sizeof temp, "%s.%d", name, (int)getpid());
    const struct header h = {.magic = MAGIC,
                             .key_len = key_len,
                             .n_insns = f->n,
                             .flags = f->flags,
                             .insn_size = sizeof *f->insns};
    dray_autofd int fd = openat(dir, temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd >= 0 && rn_write_all(fd, &h, sizeof h) == 0 && rn_write_all(fd, key, key_len) == 0 &&
        rn_write_all(fd, f->insns, f->n * sizeof *f->insns) == 0 &&
        renameat(dir, temp, dir, name) == 0)
        return 0;
    (void)unlinkat(dir, temp, 0);
    return -1;
}

/** Execs need the same filter: a link costs no memory, and outlives the cache's entry. While others
 *  save the same filter, the file that is found may be replaced before it is linked: ENOENT. */
static int link_entry(int dir, const char *name, int id_dir)
{
    int rc = -1;
    (void)unlinkat(id_dir, FOLDER, 0);
    for (int i = 0; i < LINK_TRIES; i++) {
        rc = linkat(dir, name, id_dir, FOLDER, 0);
        if (rc == 0 || errno != ENOENT)
            break;
    }
    return rc;
}

int rn_seccomp_get(int run, int id_dir, const char *text, size_t len, struct rn_filter *out,
                   struct dray_err *err)
{
    char name[32];
    (void)snprintf(name, sizeof name, "%016llx", (unsigned long long)hash(text, len));
    dray_autofd int dir = openat(run, FOLDER, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0 && errno == ENOENT && (mkdirat(run, FOLDER, 0700) == 0 || errno == EEXIST))
        dir = openat(run, FOLDER, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return dray_fail_errno(err, "open the folder of seccomp filters");
    if (load(dir, name, text, len, out) != 0) {
        int rc = rn_seccomp_compile(text, len, out, err);
        if (rc != 0)
            return rc;
        if (save(dir, name, text, len, out) != 0)
            return dray_fail_errno(err, "keep the seccomp filter");
    }
    if (link_entry(dir, name, id_dir) != 0)
        return dray_fail_errno(err, "keep the container's seccomp filter");
    return 0;
}

int rn_seccomp_of(int id_dir, struct rn_filter *out, struct dray_err *err)
{
    out->insns = NULL;
    out->n = 0;
    if (faccessat(id_dir, FOLDER, F_OK, 0) != 0)
        return errno == ENOENT ? 0 : dray_fail_errno(err, "read the container's seccomp filter");
    if (load(id_dir, FOLDER, NULL, 0, out) != 0)
        return dray_fail(err, DRAY_E_CORRUPT, "the container's seccomp filter cannot be read");
    return 0;
}
