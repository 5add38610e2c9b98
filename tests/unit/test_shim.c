/* SPDX-License-Identifier: Apache-2.0 */
/* test_shim.c - the real dray-shim, with a runtime that starts processes of the host. */
#include "shim_harness.h"

static void test_run(void)
{
    struct harness h;
    struct box b;
    harness_begin(&h);
    box_begin(&b, &h, "run1", "echo out; echo err >&2; exit 3");
    box_run(&b, "l");
    CU_ASSERT_EQUAL(box_wait(&b), 3);
    dray_autojson *file = NULL;
    CU_ASSERT_EQUAL(dray_json_load(-100, b.exit_file, &file, NULL), 0);
    CU_ASSERT_EQUAL(dray_json_int(file, "code", -1), 3);
    CU_ASSERT_TRUE(dray_json_int(file, "at_ns", 0) > 0);
    CU_ASSERT_PTR_NULL(dray_json_get(file, "event"));
    dray_autofree char *log = box_log(&b);
    CU_ASSERT_PTR_NOT_NULL(strstr(log, "{\"log\":\"out\\n\",\"stream\":\"stdout\",\"time\":\""));
    CU_ASSERT_PTR_NOT_NULL(strstr(log, "{\"log\":\"err\\n\",\"stream\":\"stderr\",\"time\":\""));
    CU_ASSERT_TRUE(box_gone(&b));
    box_end(&b);
    harness_end(&h);
}

static const struct check_case cases[] = {
    {"run", test_run},
};
CHECK_MAIN("shim", cases)
