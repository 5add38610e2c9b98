/* SPDX-License-Identifier: Apache-2.0 */
/* seccomp.c - the default filter of system calls, and profiles in Docker's JSON format. */
#include "base/buf.h"
#include "base/json.h"
#include "engine/spec/caps.h"
#include "engine/spec/security.h"

#include <sys/utsname.h>

/* The default profile: what a container may call, as in Docker's documentation ("Seccomp security
 * profiles for Docker"). Everything else fails with EPERM. */

static const char allowed[] =
    "accept accept4 access adjtimex alarm bind brk cachestat capget capset chdir chmod chown "
    "chown32 clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime "
    "clock_gettime64 clock_nanosleep clock_nanosleep_time64 close close_range connect "
    "copy_file_range creat dup dup2 dup3 epoll_create epoll_create1 epoll_ctl epoll_ctl_old "
    "epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 execve execveat exit "
    "exit_group faccessat faccessat2 fadvise64 fadvise64_64 fallocate fanotify_mark fchdir fchmod "
    "fchmodat fchmodat2 fchown fchown32 fchownat fcntl fcntl64 fdatasync fgetxattr flistxattr "
    "flock fork fremovexattr fsetxattr fstat fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate "
    "ftruncate64 futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake futimesat "
    "getcpu getcwd getdents getdents64 getegid getegid32 geteuid geteuid32 getgid getgid32 "
    "getgroups getgroups32 getitimer getpeername getpgid getpgrp getpid getppid getpriority "
    "getrandom getresgid getresgid32 getresuid getresuid32 getrlimit get_robust_list getrusage "
    "getsid getsockname getsockopt get_thread_area gettid gettimeofday getuid getuid32 getxattr "
    "getxattrat inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel ioctl "
    "io_destroy io_getevents io_pgetevents io_pgetevents_time64 ioprio_get ioprio_set io_setup "
    "io_submit ipc kill landlock_add_rule landlock_create_ruleset landlock_restrict_self lchown "
    "lchown32 lgetxattr link linkat listen listmount listxattr listxattrat llistxattr _llseek "
    "lremovexattr lseek lsetxattr lstat lstat64 madvise map_shadow_stack membarrier memfd_create "
    "memfd_secret mincore mkdir mkdirat mknod mknodat mlock mlock2 mlockall mmap mmap2 mprotect "
    "mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend "
    "mq_timedsend_time64 mq_unlink mremap mseal msgctl msgget msgrcv msgsnd msync munlock "
    "munlockall munmap name_to_handle_at nanosleep newfstatat _newselect open openat openat2 "
    "pause pidfd_open pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll "
    "ppoll_time64 prctl pread64 preadv preadv2 prlimit64 process_mrelease pselect6 "
    "pselect6_time64 pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv recv "
    "recvfrom recvmmsg recvmmsg_time64 recvmsg remap_file_pages removexattr removexattrat rename "
    "renameat renameat2 restart_syscall riscv_hwprobe rmdir rseq rt_sigaction rt_sigpending "
    "rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait "
    "rt_sigtimedwait_time64 rt_tgsigqueueinfo sched_getaffinity sched_getattr sched_getparam "
    "sched_get_priority_max sched_get_priority_min sched_getscheduler sched_rr_get_interval "
    "sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam "
    "sched_setscheduler sched_yield seccomp select semctl semget semop semtimedop "
    "semtimedop_time64 send sendfile sendfile64 sendmmsg sendmsg sendto setfsgid setfsgid32 "
    "setfsuid setfsuid32 setgid setgid32 setgroups setgroups32 setitimer setpgid setpriority "
    "setregid setregid32 setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 "
    "setrlimit set_robust_list setsid setsockopt set_thread_area set_tid_address setuid setuid32 "
    "setxattr setxattrat shmat shmctl shmdt shmget shutdown sigaltstack signalfd signalfd4 "
    "sigprocmask sigreturn socketcall socketpair splice stat stat64 statfs statfs64 statmount "
    "statx symlink symlinkat sync sync_file_range syncfs sysinfo tee tgkill time timer_create "
    "timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64 "
    "timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64 times "
    "tkill truncate truncate64 ugetrlimit umask uname unlink unlinkat uretprobe utime utimensat "
    "utimensat_time64 utimes vfork vmsplice wait4 waitid waitpid write writev "
    "process_vm_readv process_vm_writev ptrace "
#if defined(__x86_64__)
    "arch_prctl modify_ldt"
#elif defined(__aarch64__)
    "arm_fadvise64_64 arm_sync_file_range sync_file_range2 breakpoint cacheflush set_tls"
#elif defined(__riscv)
    "riscv_flush_icache"
#elif defined(__s390x__)
    "s390_pci_mmio_read s390_pci_mmio_write s390_runtime_instr"
#elif defined(__powerpc64__)
    "sync_file_range2 swapcontext"
#endif
    ;

struct cap_group {
    const char *cap;
    const char *names;
};

static const struct cap_group cap_groups[] = {
    {"DAC_READ_SEARCH", "open_by_handle_at"},
    {"SYS_ADMIN",
     "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie "
     "lsm_get_self_attr "
     "lsm_list_modules lsm_set_self_attr mount mount_setattr move_mount open_tree perf_event_open "
     "quotactl quotactl_fd setdomainname sethostname setns syslog umount umount2 unshare"},
    {"SYS_BOOT", "reboot"},
    {"SYS_CHROOT", "chroot"},
    {"SYS_MODULE", "delete_module init_module finit_module"},
    {"SYS_PACCT", "acct"},
    {"SYS_PTRACE", "kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev ptrace"},
    {"SYS_RAWIO", "iopl ioperm"},
    {"SYS_TIME", "settimeofday stime clock_settime clock_settime64"},
    {"SYS_TTY_CONFIG", "vhangup"},
    {"SYS_NICE", "get_mempolicy mbind set_mempolicy set_mempolicy_home_node"},
    {"SYSLOG", "syslog"},
    {"BPF", "bpf"},
    {"PERFMON", "perf_event_open"},
};

static void add_names(struct json_object *rule, const char *names)
{
    struct json_object *list = json_object_new_array();
    while (*names) {
        size_t n = strcspn(names, " ");
        if (n > 0)
            json_object_array_add(list, json_object_new_string_len(names, (int)n));
        names += n + (names[n] == ' ');
    }
    dray_json_add(rule, "names", list);
}

static struct json_object *add_rule(struct json_object *syscalls, const char *names,
                                    const char *action)
{
    struct json_object *rule = json_object_new_object();
    add_names(rule, names);
    dray_json_add_str(rule, "action", action);
    json_object_array_add(syscalls, rule);
    return rule;
}

static void add_arg(struct json_object *rule, int index, uint64_t value, uint64_t value_two,
                    const char *op)
{
    struct json_object *arg = json_object_new_object();
    struct json_object *args = json_object_new_array();
    dray_json_add_int(arg, "index", index);
    dray_json_add(arg, "value", json_object_new_uint64(value));
    dray_json_add(arg, "valueTwo", json_object_new_uint64(value_two));
    dray_json_add_str(arg, "op", op);
    json_object_array_add(args, arg);
    dray_json_add(rule, "args", args);
}

#define CLONE_NAMESPACES UINT64_C(0x7E020000)

static void add_argument_rules(struct json_object *syscalls, uint64_t caps)
{
    static const uint64_t personas[] = {0, 8, 0x20000, 0x20008, 0xffffffff};
    const char *const allow = "SCMP_ACT_ALLOW";
    add_arg(add_rule(syscalls, "socket", allow), 0, 40, 0, "SCMP_CMP_NE"); /* no AF_VSOCK */
    for (size_t i = 0; i < sizeof personas / sizeof personas[0]; i++)
        add_arg(add_rule(syscalls, "personality", allow), 0, personas[i], 0, "SCMP_CMP_EQ");
    if (dray_caps_has(caps, "SYS_ADMIN"))
        return;
#if defined(__s390x__)
    int flags = 1;
#else
    int flags = 0;
#endif
    add_arg(add_rule(syscalls, "clone", allow), flags, CLONE_NAMESPACES, 0, "SCMP_CMP_MASKED_EQ");
    /* clone3 hides its flags in memory: ENOSYS makes libc fall back to clone. */
    dray_json_add_int(add_rule(syscalls, "clone3", "SCMP_ACT_ERRNO"), "errnoRet", 38);
}

static struct json_object *native_archs(void)
{
    static const char *const archs[] = {
#if defined(__x86_64__)
        "SCMP_ARCH_X86_64",
        "SCMP_ARCH_X86",
        "SCMP_ARCH_X32",
#elif defined(__aarch64__)
        "SCMP_ARCH_AARCH64",
        "SCMP_ARCH_ARM",
#elif defined(__s390x__)
        "SCMP_ARCH_S390X",
        "SCMP_ARCH_S390",
#elif defined(__riscv)
        "SCMP_ARCH_RISCV64",
#elif defined(__powerpc64__)
        "SCMP_ARCH_PPC64LE",
#endif
    };
    struct json_object *list = json_object_new_array();
    for (size_t i = 0; i < sizeof archs / sizeof archs[0]; i++)
        json_object_array_add(list, json_object_new_string(archs[i]));
    return list;
}

struct json_object *dray_seccomp_default(uint64_t caps)
{
    struct json_object *p = json_object_new_object();
    struct json_object *syscalls = json_object_new_array();
    dray_json_add_str(p, "defaultAction", "SCMP_ACT_ERRNO");
    dray_json_add_int(p, "defaultErrnoRet", 1);
    dray_json_add(p, "architectures", native_archs());
    dray_json_add(p, "syscalls", syscalls);
    add_rule(syscalls, allowed, "SCMP_ACT_ALLOW");
    for (size_t i = 0; i < sizeof cap_groups / sizeof cap_groups[0]; i++)
        if (dray_caps_has(caps, cap_groups[i].cap))
            add_rule(syscalls, cap_groups[i].names, "SCMP_ACT_ALLOW");
    add_argument_rules(syscalls, caps);
    return p;
}

/* Profiles in Docker's format. */

static const char *native_arch_name(void)
{
#if defined(__x86_64__)
    return "amd64";
#elif defined(__aarch64__)
    return "arm64";
#elif defined(__s390x__)
    return "s390x";
#elif defined(__riscv)
    return "riscv64";
#else
    return "ppc64le";
#endif
}

static bool kernel_at_least(const char *want)
{
    struct utsname u;
    int have_major = 0, have_minor = 0, major = 0, minor = 0;
    if (uname(&u) != 0 || sscanf(u.release, "%d.%d", &have_major, &have_minor) != 2 ||
        sscanf(want, "%d.%d", &major, &minor) != 2)
        return false;
    return have_major > major || (have_major == major && have_minor >= minor);
}

static bool lists(struct json_object *array, const char *text)
{
    for (size_t i = 0; i < dray_json_len(array); i++)
        if (strcmp(json_object_get_string(json_object_array_get_idx(array, i)), text) == 0)
            return true;
    return false;
}

static size_t caps_held(struct json_object *array, uint64_t caps)
{
    size_t held = 0;
    for (size_t i = 0; i < dray_json_len(array); i++)
        held += dray_caps_has(caps, json_object_get_string(json_object_array_get_idx(array, i)));
    return held;
}

/** Do "includes" and "excludes" of a rule let it apply here? */
static bool applies(struct json_object *rule, uint64_t caps)
{
    struct json_object *arches = dray_json_arr(rule, "includes.arches");
    struct json_object *need = dray_json_arr(rule, "includes.caps");
    if (dray_json_len(arches) > 0 && !lists(arches, native_arch_name()))
        return false;
    if (caps_held(need, caps) < dray_json_len(need))
        return false;
    const char *kernel = dray_json_str(rule, "includes.minKernel", "");
    if (*kernel && !kernel_at_least(kernel))
        return false;
    if (lists(dray_json_arr(rule, "excludes.arches"), native_arch_name()) ||
        caps_held(dray_json_arr(rule, "excludes.caps"), caps) > 0)
        return false;
    kernel = dray_json_str(rule, "excludes.minKernel", "");
    return !*kernel || !kernel_at_least(kernel);
}

static int resolve_rules(struct json_object *profile, uint64_t caps, struct json_object *out,
                         struct dray_err *err)
{
    struct json_object *rules = dray_json_arr(profile, "syscalls");
    for (size_t i = 0; i < dray_json_len(rules); i++) {
        struct json_object *rule = json_object_array_get_idx(rules, i);
        const char *name = dray_json_str(rule, "name", "");
        bool many = dray_json_len(dray_json_arr(rule, "names")) > 0;
        if (*name && many)
            return dray_fail(err, DRAY_E_INVAL,
                             "'name' and 'names' were specified in the seccomp profile, use either "
                             "'name' or 'names'");
        if (!applies(rule, caps))
            continue;
        struct json_object *copy = dray_json_copy(rule);
        static const char *const drop[] = {"includes", "excludes", "comment", "name"};
        if (*name)
            add_names(copy, name);
        for (size_t k = 0; k < 4; k++)
            json_object_object_del(copy, drop[k]);
        json_object_array_add(out, copy);
    }
    return 0;
}

static struct json_object *resolve_archs(struct json_object *profile)
{
    struct json_object *given = dray_json_arr(profile, "architectures");
    return dray_json_len(given) > 0 ? dray_json_copy(given) : native_archs();
}

int dray_seccomp_resolve(struct json_object *profile, uint64_t caps, struct json_object **out,
                         struct dray_err *err)
{
    if (dray_json_len(dray_json_arr(profile, "architectures")) > 0 &&
        dray_json_len(dray_json_arr(profile, "archMap")) > 0)
        return dray_fail(err, DRAY_E_INVAL,
                         "'architectures' and 'archMap' were specified in the seccomp profile, use "
                         "either 'architectures' or 'archMap'");
    dray_autojson *p = json_object_new_object();
    struct json_object *syscalls = json_object_new_array();
    dray_json_add_str(p, "defaultAction", dray_json_str(profile, "defaultAction", ""));
    static const char *const keep[] = {"defaultErrnoRet", "flags", "listenerPath",
                                       "listenerMetadata"};
    for (size_t i = 0; i < 4; i++)
        if (dray_json_get(profile, keep[i]))
            dray_json_add(p, keep[i], dray_json_copy(dray_json_get(profile, keep[i])));
    dray_json_add(p, "architectures", resolve_archs(profile));
    dray_json_add(p, "syscalls", syscalls);
    int rc = resolve_rules(profile, caps, syscalls, err);
    if (rc == 0)
        *out = dray_steal(p);
    return rc;
}
