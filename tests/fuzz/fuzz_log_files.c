/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_log_files.c - libFuzzer target: any bytes as the file of the json-file and of the local
 * driver, read whole and by their last lines. Every record that comes out is well-formed, and tail
 * gives no more than the whole.
 */
#include "format.h"
#include "fuzz.h"
#include "json_line.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

static char folder[] = "/dev/shm/dray-fuzz-log-XXXXXX";

static void drop_folder(void)
{
    static const char *const names[] = {"log", "log.1", "log.1.gz"};
    char path[64];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        (void)unlink(path);
    }
    (void)rmdir(folder);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    need(mkdtemp(folder) != NULL);
    return atexit(drop_folder);
}

static void put(const char *name, const uint8_t *data, size_t size)
{
    char path[64];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    dray_autofd int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    need(fd >= 0 && write(fd, data, size) == (ssize_t)size);
}

/* Frames follow each other without a rest; returns how many. */
static size_t count_frames(int fd)
{
    struct stat st;
    need(fstat(fd, &st) == 0);
    size_t len = (size_t)st.st_size, at = 0, n = 0;
    char *text = len ? mmap(NULL, len, PROT_READ, MAP_PRIVATE, fd, 0) : NULL;
    need(text != MAP_FAILED);
    for (; at < len; n++) {
        struct dray_log_frame f;
        need(len - at >= sizeof f);
        memcpy(&f, text + at, sizeof f);
        at += sizeof f;
        need(f.stream == DRAY_LOG_STDOUT || f.stream == DRAY_LOG_STDERR);
        need(len - at >= (size_t)f.attrs_len + f.len);
        at += (size_t)f.attrs_len + f.len;
    }
    if (text)
        (void)munmap(text, len);
    return n;
}

static size_t read_log(const struct dray_log_format *format, void *state, int64_t tail,
                       uint32_t flags)
{
    const struct dray_log_source source = {format, state, folder, "log"};
    const struct dray_log_query query = {
        .size = sizeof query, .flags = flags, .tail = tail, .ended = {-1}};
    const struct dray_call call = {.size = sizeof call, .cancel_fd = -1};
    struct dray_err err = {0};
    dray_autofd int out = memfd_create("out", MFD_CLOEXEC);
    need(out >= 0);
    need_words(dray_log_read(&source, &query, &call, out, &err), &err);
    return count_frames(out);
}

static void try_format(const struct dray_log_format *format, void *state)
{
    static const uint32_t both = DRAY_LOGQ_STDOUT | DRAY_LOGQ_STDERR;
    size_t all = read_log(format, state, -1, both);
    need(read_log(format, state, 3, both) <= all);
    need(read_log(format, state, 0, both) == 0);
    need(read_log(format, state, 2, DRAY_LOGQ_STDERR) <= all);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct json_scanner scanner = {0};
    size_t half = size > 2 ? (size_t)data[0] * size / 256 : 0;
    put("log", data, size);
    put("log.1", data, half);
    try_format(&json_line_format, &scanner);
    json_scanner_fini(&scanner);
    try_format(&local_format, NULL);
    /* As a file that was packed. */
    char path[64];
    (void)snprintf(path, sizeof path, "%s/log.1", folder);
    (void)unlink(path);
    put("log.1.gz", data, size);
    scanner = (struct json_scanner){0};
    (void)read_log(&json_line_format, &scanner, -1, DRAY_LOGQ_STDOUT);
    json_scanner_fini(&scanner);
    (void)snprintf(path, sizeof path, "%s/log.1.gz", folder);
    (void)unlink(path);
    return 0;
}
