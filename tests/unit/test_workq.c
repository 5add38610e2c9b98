/* SPDX-License-Identifier: Apache-2.0 */
/* test_workq.c - jobs run, run at their time, and are dropped at the end. */
#include "engine/workq.h"

#include "base/clock.h"
#include "check.h"

#include <stdatomic.h>
#include <unistd.h>

static atomic_int ran, dropped;
static _Atomic int64_t ran_at;

static void run(void *arg)
{
    (void)arg;
    atomic_store(&ran_at, dray_clock_mono());
    atomic_fetch_add(&ran, 1);
}

static void slow(void *arg)
{
    usleep(20000);
    run(arg);
}

static void drop(void *arg)
{
    (void)arg;
    atomic_fetch_add(&dropped, 1);
}

static struct dray_workq *begin(unsigned max)
{
    struct dray_workq *q = NULL;
    CU_ASSERT_EQUAL_FATAL(dray_workq_open(max, &q, NULL), 0);
    atomic_store(&ran, 0);
    atomic_store(&dropped, 0);
    return q;
}

static void wait_ran(int n)
{
    for (int i = 0; i < 3000 && atomic_load(&ran) < n; i++)
        usleep(1000);
}

static void all_jobs_run(void)
{
    struct dray_workq *q = begin(4);
    for (int i = 0; i < 500; i++)
        dray_workq_add(q, run, drop, NULL);
    wait_ran(500);
    dray_workq_close(q);
    CU_ASSERT_EQUAL(atomic_load(&ran), 500);
    CU_ASSERT_EQUAL(atomic_load(&dropped), 0);
}

static void slow_jobs_run_side_by_side(void)
{
    struct dray_workq *q = begin(8);
    int64_t begun = dray_clock_mono();
    for (int i = 0; i < 8; i++)
        dray_workq_add(q, slow, drop, NULL);
    wait_ran(8);
    CU_ASSERT_TRUE(dray_clock_mono() - begun < 8 * INT64_C(20000000));
    dray_workq_close(q);
}

static void timed_jobs_keep_their_time(void)
{
    struct dray_workq *q = begin(2);
    int64_t when = dray_clock_mono() + 50000000;
    dray_workq_at(q, when, run, drop, NULL);
    dray_workq_at(q, when + INT64_C(3600000000000), run, drop, NULL);
    wait_ran(1);
    CU_ASSERT_TRUE(atomic_load(&ran_at) >= when);
    dray_workq_close(q);
    CU_ASSERT_EQUAL(atomic_load(&ran), 1);
    CU_ASSERT_EQUAL(atomic_load(&dropped), 1);
}

static const struct check_case cases[] = {
    {"all jobs run", all_jobs_run},
    {"slow jobs run side by side", slow_jobs_run_side_by_side},
    {"timed jobs keep their time", timed_jobs_keep_their_time},
};
CHECK_MAIN("workq", cases)
