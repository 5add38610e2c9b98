/* SPDX-License-Identifier: Apache-2.0 */
/* tsan.c - what gcc's thread sanitizer has to be told; part of its builds alone. */
#include <dlfcn.h>
#include <pthread.h>
#include <sanitizer/tsan_interface.h>
#include <stddef.h>

typedef int (*clocklock_fn)(pthread_mutex_t *, clockid_t, const struct timespec *);

/* It does not know this lock, and would take the unlock for one of a mutex that nobody has locked.
 */
int pthread_mutex_clocklock(pthread_mutex_t *mutex, clockid_t clock, const struct timespec *until)
{
    static clocklock_fn _Atomic real;
    if (!real)
        real = (clocklock_fn)dlsym(RTLD_NEXT, "pthread_mutex_clocklock");
    __tsan_mutex_pre_lock(mutex, __tsan_mutex_try_lock);
    int rc = real(mutex, clock, until);
    unsigned failed = rc ? __tsan_mutex_try_lock_failed : 0;
    __tsan_mutex_post_lock(mutex, __tsan_mutex_try_lock | failed, 0);
    return rc;
}

/* The C library keeps locales under a lock of its own, which the sanitizer does not see. */
const char *__tsan_default_suppressions(void);
__attribute__((visibility("default"))) const char *__tsan_default_suppressions(void)
{
    return "race:_nl_unload_locale\nrace:freelocale\n";
}
