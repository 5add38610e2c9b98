/* SPDX-License-Identifier: Apache-2.0 */
/* check.h - the frame of a CUnit program: a table of tests, one main. */
#ifndef DRAY_TESTS_CHECK_H
#define DRAY_TESTS_CHECK_H

#include <CUnit/Basic.h>
#include <stddef.h>

struct check_case {
    const char *name;
    void (*run)(void);
};

/** Run the cases as one suite; 0 when all passed. */
static inline int check_main(const char *suite, const struct check_case *cases, size_t n)
{
    if (CU_initialize_registry() != CUE_SUCCESS)
        return 2;
    CU_pSuite s = CU_add_suite(suite, NULL, NULL);
    for (size_t i = 0; s && i < n; i++)
        if (!CU_add_test(s, cases[i].name, cases[i].run))
            s = NULL;
    if (!s)
        return 2;
    CU_basic_set_mode(CU_BRM_NORMAL);
    (void)CU_basic_run_tests();
    unsigned failed = CU_get_number_of_failures() + CU_get_number_of_tests_failed();
    CU_cleanup_registry();
    return failed ? 1 : 0;
}

#define CHECK_MAIN(suite, cases)                                                                   \
    int main(void)                                                                                 \
    {                                                                                              \
        return check_main(suite, cases, sizeof(cases) / sizeof((cases)[0]));                       \
    }

#endif
