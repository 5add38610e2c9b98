/* SPDX-License-Identifier: Apache-2.0 */
/* util.h - small inline helpers for authors in C and C++; nothing here is ABI. */
#ifndef DRAY_UTIL_H
#define DRAY_UTIL_H

#include <dray/abi.h>
#include <dray/host.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DRAY_TABLE(type, features_)                                                                \
    { (uint32_t)sizeof(type), DRAY_ABI_MAJOR, DRAY_ABI_MINOR, (features_) }

/** Put ": " and more behind the first n bytes of the text, as far as there is room. */
static inline void dray_err_append(struct dray_err *err, int n, const char *more)
{
    if (n < 0 || (size_t)n + 2 >= sizeof err->text)
        return;
    size_t room = sizeof err->text - (size_t)n - 3;
    size_t len = strlen(more);
    char *at = err->text + n;
    memcpy(at, ": ", 2);
    memcpy(at + 2, more, len < room ? len : room);
    at[2 + (len < room ? len : room)] = '\0';
}

/**
 * Fill err (may be NULL) and return code. The text is cut to fit. os_errno keeps the errno at
 * entry when code is DRAY_E_IO.
 */
__attribute__((format(printf, 3, 4))) static inline int dray_fail(struct dray_err *err, int code,
                                                                   const char *fmt, ...)
{
    int saved = errno;
    if (err) {
        err->code = code;
        err->os_errno = code == DRAY_E_IO ? saved : 0;
        err->flags = 0;
        err->reserved = 0;
        err->op[0] = '\0';
        va_list ap;
        va_start(ap, fmt);
        (void)vsnprintf(err->text, sizeof err->text, fmt, ap);
        va_end(ap);
    }
    errno = saved;
    return code;
}

/** Like dray_fail with DRAY_E_IO (DRAY_E_NOSPACE when the disk is full), adding strerror(errno). */
__attribute__((format(printf, 2, 3))) static inline int dray_fail_errno(struct dray_err *err,
                                                                         const char *fmt, ...)
{
    int saved = errno;
    int code = saved == ENOSPC || saved == EDQUOT ? DRAY_E_NOSPACE
               : saved == ENOMEM                  ? DRAY_E_NOMEM
                                                  : DRAY_E_IO;
    if (err) {
        err->code = code;
        err->os_errno = saved;
        err->flags = 0;
        err->reserved = 0;
        err->op[0] = '\0';
        va_list ap;
        va_start(ap, fmt);
        int n = vsnprintf(err->text, sizeof err->text, fmt, ap);
        va_end(ap);
        char buf[96] = "";
#if defined(__GLIBC__) && defined(_GNU_SOURCE)
        const char *why = strerror_r(saved, buf, sizeof buf);
#else
        const char *why = strerror_r(saved, buf, sizeof buf) == 0 ? buf : "error";
#endif
        dray_err_append(err, n, why);
    }
    errno = saved;
    return code;
}

/** Put context in front of the text ("pull x: ...") and return err's code. */
__attribute__((format(printf, 2, 3))) static inline int dray_err_note(struct dray_err *err,
                                                                       const char *fmt, ...)
{
    if (!err)
        return DRAY_E_INTERNAL;
    char old[sizeof err->text];
    memcpy(old, err->text, sizeof old);
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(err->text, sizeof err->text, fmt, ap);
    va_end(ap);
    dray_err_append(err, n, old);
    return err->code;
}

/** Value of key in a list, or def. */
static inline const char *dray_kvs_get(struct dray_kvs kvs, const char *key, const char *def)
{
    for (uint64_t i = 0; i < kvs.n; i++)
        if (strcmp(kvs.v[i].key, key) == 0)
            return kvs.v[i].value;
    return def;
}

/** A copy of text that lives as long as the call; NULL without memory. */
static inline char *dray_call_strdup(const struct dray_host *host, const struct dray_call *call,
                                     const char *text)
{
    size_t n = strlen(text) + 1;
    char *copy = (char *)host->alloc(call, n);
    if (copy)
        memcpy(copy, text, n);
    return copy;
}

/** printf into memory that lives as long as the call; NULL without memory. */
__attribute__((format(printf, 3, 4))) static inline char *
dray_call_printf(const struct dray_host *host, const struct dray_call *call, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0)
        return NULL;
    char *text = (char *)host->alloc(call, (uint64_t)n + 1);
    if (text) {
        va_start(ap, fmt);
        (void)vsnprintf(text, (size_t)n + 1, fmt, ap);
        va_end(ap);
    }
    return text;
}

/** Write one formatted line to the host's log. */
__attribute__((format(printf, 3, 4))) static inline void
dray_host_logf(const struct dray_host *host, uint32_t level, const char *fmt, ...)
{
    char line[1024];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    host->log(host, level, line);
}

#ifdef __clang_analyzer__
/* What a static analyzer cannot see for itself: these never return 0. */
#define dray_fail(err, code, ...) ((dray_fail)(err, code, __VA_ARGS__), (code))
#define dray_fail_errno(err, ...) ((dray_fail_errno)(err, __VA_ARGS__), DRAY_E_IO)
#define dray_err_note(err, ...) ((dray_err_note)(err, __VA_ARGS__), DRAY_E_INTERNAL)
#endif

static inline void dray_cleanup_free(void *p)
{
    void *held = NULL;
    memcpy(&held, p, sizeof held);
    free(held);
}

static inline void dray_cleanup_fd(int *fd)
{
    if (*fd >= 0) {
        int saved = errno;
        (void)close(*fd);
        errno = saved;
    }
}

/** Freed, closed at the end of the scope. "No descriptor" is -EBADF. */
#define dray_autofree __attribute__((cleanup(dray_cleanup_free)))
#define dray_autofd __attribute__((cleanup(dray_cleanup_fd)))
/** DRAY_AUTO(dray_buf) uses dray_buf_cleanup(). */
#define DRAY_AUTO(type) __attribute__((cleanup(type##_cleanup))) struct type

/** Move a pointer, a descriptor out of its variable. */
#define dray_steal(p)                                                                              \
    __extension__({                                                                                \
        __typeof__(p) dray_stolen_ = (p);                                                          \
        (p) = NULL;                                                                                \
        dray_stolen_;                                                                              \
    })
static inline int dray_steal_fd(int *fd)
{
    int held = *fd;
    *fd = -EBADF;
    return held;
}

#ifdef __cplusplus
}
#endif
#endif
