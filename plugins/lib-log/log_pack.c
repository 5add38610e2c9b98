/* SPDX-License-Identifier: Apache-2.0 */
/* log_pack.c - rotated logs as gzip files (RFC 1952). */
#include "log_files.h"

#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <zlib.h>

#define CHUNK ((size_t)64 << 10)
#define GZIP_WINDOW (15 + 16)
/* Extra field of the header: subfield "DI", eight bytes, the inode of the file that was packed. */
#define EXTRA_LEN 12

static void make_extra(uint8_t extra[EXTRA_LEN], uint64_t ino)
{
    extra[0] = 'D';
    extra[1] = 'I';
    extra[2] = 8;
    extra[3] = 0;
    for (int i = 0; i < 8; i++)
        extra[4 + i] = (uint8_t)(ino >> (8 * i));
}

static int write_all(int fd, const uint8_t *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        data += n;
        len -= (size_t)n;
    }
    return 0;
}

/* Run a stream over everything that fd has. step: deflate or inflate. */
static int pump(z_stream *z, int (*step)(z_stream *, int), int in, int out)
{
    dray_autofree uint8_t *buf = malloc(2 * CHUNK);
    if (!buf)
        return -1;
    int rc = Z_OK;
    bool end = false;
    while (rc != Z_STREAM_END) {
        if (z->avail_in == 0 && !end) {
            ssize_t n = read(in, buf, CHUNK);
            if (n < 0)
                return -1;
            end = n == 0;
            z->next_in = buf;
            z->avail_in = (uInt)n;
        }
        z->next_out = buf + CHUNK;
        z->avail_out = (uInt)CHUNK;
        rc = step(z, end ? Z_FINISH : Z_NO_FLUSH);
        if ((rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR) ||
            (rc == Z_BUF_ERROR && end && z->avail_out == CHUNK))
            return -1;
        if (write_all(out, buf + CHUNK, CHUNK - z->avail_out) != 0)
            return -1;
    }
    return 0;
}

static int pack(int in, int out)
{
    struct stat st;
    if (fstat(in, &st) != 0)
        return -1;
    z_stream z = {0};
    if (deflateInit2(&z, 1, Z_DEFLATED, GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return -1;
    uint8_t extra[EXTRA_LEN];
    make_extra(extra, st.st_ino);
    gz_header head = {.extra = extra, .extra_len = EXTRA_LEN, .os = 3};
    (void)deflateSetHeader(&z, &head);
    int rc = pump(&z, deflate, in, out);
    (void)deflateEnd(&z);
    return rc;
}

int dray_log_pack(int dirfd, const char *from, const char *to)
{
    dray_autofree char *temp = NULL;
    if (asprintf(&temp, "%s.part", to) < 0) {
        temp = NULL;
        return -1;
    }
    dray_autofd int in = openat(dirfd, from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    dray_autofd int out =
        openat(dirfd, temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (in < 0 || out < 0 || pack(in, out) != 0 || renameat(dirfd, temp, dirfd, to) != 0) {
        (void)unlinkat(dirfd, temp, 0);
        return -1;
    }
    return 0;
}

uint64_t dray_log_packed_ino(int fd)
{
    uint8_t head[12 + EXTRA_LEN];
    if (pread(fd, head, sizeof head, 0) != (ssize_t)sizeof head)
        return 0;
    const uint8_t *extra = head + 12;
    if (head[0] != 0x1f || head[1] != 0x8b || !(head[3] & 4) || head[10] < EXTRA_LEN ||
        extra[0] != 'D' || extra[1] != 'I' || extra[2] != 8)
        return 0;
    uint64_t ino = 0;
    for (int i = 0; i < 8; i++)
        ino |= (uint64_t)extra[4 + i] << (8 * i);
    return ino;
}

int dray_log_unpack(int fd)
{
    dray_autofd int out = memfd_create("dray-log", MFD_CLOEXEC);
    if (out < 0 || lseek(fd, 0, SEEK_SET) != 0)
        return -1;
    z_stream z = {0};
    if (inflateInit2(&z, GZIP_WINDOW) != Z_OK)
        return -1;
    int rc = pump(&z, inflate, fd, out);
    (void)inflateEnd(&z);
    /* What a damaged file still gave is better than nothing. */
    if (rc != 0 && lseek(out, 0, SEEK_CUR) == 0)
        return -1;
    return lseek(out, 0, SEEK_SET) == 0 ? dray_steal_fd(&out) : -1;
}
