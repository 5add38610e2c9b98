/* SPDX-License-Identifier: Apache-2.0 */
/* tar.c - small tars for the storage suite (POSIX.1-1988 ustar). */
#include "tar.h"

#define BLOCK 512u
#define TIME 1000000000u

/* Offsets in a header. */
enum {
    MODE = 100,
    UID = 108,
    GID = 116,
    SIZE = 124,
    MTIME = 136,
    SUM = 148,
    TYPE = 156,
    LINK = 157,
    MAGIC = 257
};

struct member {
    char type;
    const char *name, *link, *text;
    unsigned mode, uid, gid;
};

static void octal(char *field, size_t size, unsigned long value)
{
    field[--size] = '\0';
    for (; size-- > 0; value >>= 3)
        field[size] = (char)('0' + (value & 7));
}

static void add(struct dray_buf *tar, const struct member *m)
{
    char h[BLOCK] = "";
    static const char zeros[BLOCK];
    size_t n = m->text ? strlen(m->text) : 0;
    unsigned sum = 0;
    (void)snprintf(h, 100, "%s", m->name);
    octal(h + MODE, 8, m->mode);
    octal(h + UID, 8, m->uid);
    octal(h + GID, 8, m->gid);
    octal(h + SIZE, 12, n);
    octal(h + MTIME, 12, TIME);
    memset(h + SUM, ' ', 8);
    h[TYPE] = m->type;
    (void)snprintf(h + LINK, 100, "%s", m->link ? m->link : "");
    memcpy(h + MAGIC, "ustar\00000", 8);
    for (size_t i = 0; i < BLOCK; i++)
        sum += (unsigned char)h[i];
    octal(h + SUM, 7, sum);
    dray_buf_add(tar, h, BLOCK);
    dray_buf_add(tar, m->text, n);
    dray_buf_add(tar, zeros, (BLOCK - n % BLOCK) % BLOCK);
}

void ck_tar_folder(struct dray_buf *tar, const char *name)
{
    add(tar, &(struct member){.type = '5', .name = name, .mode = 0755});
}

void ck_tar_file(struct dray_buf *tar, const char *name, const char *text)
{
    add(tar, &(struct member){.type = '0', .name = name, .text = text, .mode = 0644});
}

void ck_tar_owned(struct dray_buf *tar, const char *name, unsigned mode, unsigned uid, unsigned gid)
{
    add(tar, &(struct member){.type = '0', .name = name, .mode = mode, .uid = uid, .gid = gid});
}

void ck_tar_link(struct dray_buf *tar, char type, const char *name, const char *target)
{
    add(tar, &(struct member){.type = type, .name = name, .link = target, .mode = 0777});
}

void ck_tar_end(struct dray_buf *tar)
{
    static const char zeros[2 * BLOCK];
    dray_buf_add(tar, zeros, sizeof zeros);
}

bool ck_tar_names(const struct dray_buf *tar, const char *name)
{
    size_t n = strlen(name);
    for (size_t at = 0; at + BLOCK <= tar->len;) {
        const char *h = tar->data + at;
        if (strncmp(h, name, n) == 0 && (!h[n] || strcmp(h + n, "/") == 0))
            return true;
        char field[13] = "";
        memcpy(field, h + SIZE, 12);
        size_t size = strtoul(field, NULL, 8);
        at += BLOCK + (size + BLOCK - 1) / BLOCK * BLOCK;
    }
    return false;
}
