/* SPDX-License-Identifier: Apache-2.0 */
/* test_logging.c - levels, defanged text, folded repeats. */
#define DRAY_LOG_AREA "test"
#include "check.h"

#include "base/fs.h"
#include "base/logging.h"

#include <fcntl.h>
#include <sys/mman.h>

/* What the statement wrote to stderr. */
#define CAPTURED(buf, ...)                                                                         \
    do {                                                                                           \
        int keep_ = dup(STDERR_FILENO);                                                            \
        int file_ = memfd_create("stderr", MFD_CLOEXEC);                                           \
        CU_ASSERT_FATAL(keep_ >= 0 && file_ >= 0);                                                 \
        CU_ASSERT(dup2(file_, STDERR_FILENO) >= 0);                                                \
        __VA_ARGS__;                                                                               \
        CU_ASSERT(dup2(keep_, STDERR_FILENO) >= 0);                                                \
        CU_ASSERT_EQUAL(lseek(file_, 0, SEEK_SET), 0);                                             \
        dray_buf_reset(&(buf));                                                                    \
        CU_ASSERT_EQUAL(dray_fs_read_fd(file_, 1 << 20, &(buf), NULL), 0);                         \
        (void)close(file_);                                                                        \
        (void)close(keep_);                                                                        \
    } while (0)

static void levels(void)
{
    DRAY_AUTO(dray_buf) b = {0};
    dray_log_setup(DRAY_LOG_INFO, false);
    CAPTURED(b, dray_debug("hidden"); dray_info("shown %d", 1); dray_error("bad"));
    CU_ASSERT_STRING_EQUAL(b.data, "INFO  test: shown 1\nERROR test: bad\n");
    dray_log_level_set(DRAY_LOG_DEBUG);
    CAPTURED(b, dray_debug("seen"));
    CU_ASSERT_STRING_EQUAL(b.data, "DEBUG test: seen\n");
    dray_log_level_set(DRAY_LOG_ERROR);
    CAPTURED(b, dray_warn("quiet"));
    CU_ASSERT_EQUAL(b.len, 0);
    CU_ASSERT_EQUAL(dray_log_level_parse("warn"), DRAY_LOG_WARN);
    CU_ASSERT_EQUAL(dray_log_level_parse("loud"), -1);
}

static void repeats(void)
{
    DRAY_AUTO(dray_buf) b = {0};
    dray_log_setup(DRAY_LOG_INFO, false);
    CAPTURED(b, for (int i = 0; i < 100; i++) dray_warn("again"); dray_warn("other"));
    CU_ASSERT_STRING_EQUAL(b.data, "WARN  test: again\n"
                                   "WARN  test: (the line before came 99 times more)\n"
                                   "WARN  test: other\n");
}

static void text_cannot_forge(void)
{
    DRAY_AUTO(dray_buf) b = {0};
    dray_log_setup(DRAY_LOG_INFO, false);
    CAPTURED(b, dray_warn("%s", "a\nERROR x\033[2J"));
    CU_ASSERT_STRING_EQUAL(b.data, "WARN  test: a ERROR x?[2J\n");
}

static void stamps(void)
{
    DRAY_AUTO(dray_buf) b = {0};
    dray_log_setup(DRAY_LOG_INFO, true);
    CAPTURED(b, dray_info("now"));
    CU_ASSERT_EQUAL(b.len, strlen("2020-01-01T00:00:00.123Z INFO  test: now\n"));
    CU_ASSERT_EQUAL(b.data[23], 'Z');
    dray_log_setup(DRAY_LOG_INFO, false);
}

static const struct check_case cases[] = {
    {"levels", levels},
    {"repeats are folded", repeats},
    {"text cannot forge lines", text_cannot_forge},
    {"stamps", stamps},
};
CHECK_MAIN("logging", cases)
