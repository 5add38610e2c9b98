/* SPDX-License-Identifier: Apache-2.0 */
/* kept.c - the index behind a tar that was received from a client. */
#include "kit/kept.h"

#include "base/fs.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#define MAGIC "DRAYCTX1"
#define BOOT_LEN 36

/** The end of the file. */
struct trailer {
    char magic[8];
    char boot[BOOT_LEN + 4]; /**< of the machine, which wrote it */
    uint64_t at, len;        /**< the index */
};

static void read_boot(char out[BOOT_LEN + 4])
{
    memset(out, 0, BOOT_LEN + 4);
    dray_autofd int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && read(fd, out, BOOT_LEN) != BOOT_LEN)
        out[0] = '\0';
}

/* ---- Reading ---- */

static bool read_trailer(const struct kit_kept *k, struct trailer *t)
{
    char boot[BOOT_LEN + 4];
    if (k->size < sizeof *t)
        return false;
    memcpy(t, k->map + k->size - sizeof *t, sizeof *t);
    read_boot(boot);
    return memcmp(t->magic, MAGIC, sizeof t->magic) == 0 && boot[0] &&
           memcmp(t->boot, boot, sizeof boot) == 0 && t->at % 8 == 0 && t->at <= k->size &&
           t->len == k->size - sizeof *t - t->at;
}

bool kit_kept_open(struct kit_kept *k, int fd /* takes */)
{
    struct stat st;
    struct trailer t;
    *k = (struct kit_kept){.fd = fd};
    if (fd < 0 || fstat(fd, &st) != 0 || st.st_size <= 0)
        goto none;
    k->size = (size_t)st.st_size;
    void *map = mmap(NULL, k->size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED)
        goto none;
    k->map = map;
    if (!read_trailer(k, &t))
        goto none;
    k->first = k->map + t.at;
    k->end = k->first + t.len;
    return true;
none:
    kit_kept_close(k);
    return false;
}

void kit_kept_close(struct kit_kept *k)
{
    union {
        const char *in;
        void *out;
    } map = {.in = k->map};
    if (k->map)
        (void)munmap(map.out, k->size);
    dray_cleanup_fd(&k->fd);
    *k = (struct kit_kept){.fd = -EBADF};
}

const struct kit_kept_entry *kit_kept_at(const struct kit_kept *k, const char *at)
{
    size_t left = (size_t)(k->end - at);
    const void *p = at;
    const struct kit_kept_entry *e = p;
    if (left < sizeof *e || e->len > left || e->len % 8 != 0)
        return NULL;
    uint64_t room = e->len - sizeof *e;
    bool ok = e->len >= sizeof *e && (uint64_t)e->n_path + e->n_link + 2 <= room &&
              e->text[e->n_path] == '\0' && e->text[e->n_path + 1 + e->n_link] == '\0' &&
              (e->at < 0 || (e->size >= 0 && e->at <= (int64_t)(k->first - k->map) - e->size));
    return ok ? e : NULL;
}

bool kit_kept_equal(const struct kit_kept_entry *o, const struct kit_fs_entry *e)
{
    bool content = S_ISREG(e->mode) && !(e->link && *e->link);
    return o->mode == e->mode && o->uid == e->uid && o->gid == e->gid && o->major == e->major &&
           o->minor == e->minor && o->size == e->size && o->mtime_ns == e->mtime_ns && !e->caps &&
           (!content || o->at >= 0) && strcmp(o->text, e->path) == 0 &&
           strcmp(o->text + o->n_path + 1, e->link ? e->link : "") == 0;
}

int kit_kept_order(const char *a, const char *b)
{
    while (*a && *a == *b)
        a++, b++;
    unsigned char x = *a == '/' ? 1 : (unsigned char)*a, y = *b == '/' ? 1 : (unsigned char)*b;
    return x < y ? -1 : x > y;
}

/* ---- Writing ---- */

void kit_index_fini(struct kit_index *x)
{
    dray_buf_free(&x->buf);
    free(x->where);
}

int kit_index_add(struct kit_index *x, const struct kit_fs_entry *e, struct dray_err *err)
{
    static const char zeros[8];
    const char *link = e->link ? e->link : "";
    struct kit_kept_entry o = {.n_path = (uint32_t)strlen(e->path),
                               .n_link = (uint32_t)strlen(link),
                               .mode = e->mode,
                               .uid = e->uid,
                               .gid = e->gid,
                               .major = e->major,
                               .minor = e->minor,
                               .size = e->size,
                               .mtime_ns = e->mtime_ns,
                               .at = -1};
    uint32_t plain = (uint32_t)sizeof o + o.n_path + o.n_link + 2;
    o.len = (plain + 7) & ~7u;
    if (x->n == x->cap) {
        size_t cap = x->cap ? x->cap * 2 : 64;
        size_t *grown = reallocarray(x->where, cap, sizeof *grown);
        if (!grown)
            return dray_fail(err, DRAY_E_NOMEM, "out of memory");
        x->where = grown;
        x->cap = cap;
    }
    x->where[x->n++] = x->buf.len;
    dray_buf_add(&x->buf, &o, sizeof o);
    dray_buf_add(&x->buf, e->path, o.n_path + 1);
    dray_buf_add(&x->buf, link, o.n_link + 1);
    dray_buf_add(&x->buf, zeros, o.len - plain);
    return x->buf.failed ? dray_fail(err, DRAY_E_NOMEM, "out of memory") : 0;
}

void kit_index_set(struct kit_index *x, uint32_t number, int64_t at)
{
    if (number < x->n)
        memcpy(x->buf.data + x->where[number] + offsetof(struct kit_kept_entry, at), &at,
               sizeof at);
}

int kit_index_write(const struct kit_index *x, int fd, struct dray_err *err)
{
    struct trailer t = {.magic = MAGIC, .len = x->buf.len};
    off_t end = lseek(fd, 0, SEEK_END);
    if (end < 0 || ftruncate(fd, (end + 7) & ~(off_t)7) != 0 || (end = lseek(fd, 0, SEEK_END)) < 0)
        return dray_fail_errno(err, "keep the build context");
    t.at = (uint64_t)end;
    read_boot(t.boot);
    int rc = x->buf.len ? dray_fs_write_all(fd, x->buf.data, x->buf.len, err) : 0;
    return rc ? rc : dray_fs_write_all(fd, &t, sizeof t, err);
}
