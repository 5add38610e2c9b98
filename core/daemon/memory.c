/* SPDX-License-Identifier: Apache-2.0 */
/* memory.c - the daemon lets go of memory that it does not use while it is idle.
 *
 * A start goes through some thirty libraries, most of them needed by a pull or a build only. Their
 * code stays mapped, and counted as the daemon's, long after; so an idle daemon unmaps all of it.
 */
#include "memory.h"

#include <dray/util.h>

#include <link.h>
#include <malloc.h>
#include <sys/mman.h>
#include <time.h>

#define IDLE_NS 5000000

static int64_t released_at;
static int64_t seen_at;

static int64_t cpu_ns(void)
{
    struct timespec t = {0};
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Segments that the file marks as not writable never hold anything that is not in the file. */
static int release_object(struct dl_phdr_info *info, size_t size, void *arg)
{
    (void)size;
    uintptr_t page = *(const uintptr_t *)arg;
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
        if (ph->p_type != PT_LOAD || (ph->p_flags & PF_W))
            continue;
        uintptr_t from = (info->dlpi_addr + ph->p_vaddr) & ~(page - 1);
        uintptr_t to = (info->dlpi_addr + ph->p_vaddr + ph->p_filesz + page - 1) & ~(page - 1);
        (void)madvise((void *)from, to - from, MADV_DONTNEED);
    }
    return 0;
}

void drayd_memory_release(void)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    (void)malloc_trim(0);
    (void)dl_iterate_phdr(release_object, &page);
    released_at = seen_at = cpu_ns();
}

void drayd_memory_tick(void)
{
    int64_t now = cpu_ns();
    if (now - seen_at < IDLE_NS && now - released_at > IDLE_NS)
        drayd_memory_release();
    seen_at = now;
}
