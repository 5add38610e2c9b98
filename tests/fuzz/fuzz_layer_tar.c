/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_layer_tar.c - libFuzzer target: any bytes, unpacked in both modes and packed again, neither
 * break the program nor touch anything outside of the layer. Runs as root on a tmpfs of its own.
 */
#include "files.h"
#include "fuzz.h"
#include "layer_tar.h"
#include "tar_sums.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>

static int top = -1, null_fd = -1;
static struct stat canary[3];
static const char *const canary_names[] = {"canary", "canary/secret", "."};

static void look(struct stat out[3])
{
    for (size_t i = 0; i < 3; i++)
        need(fstatat(top, canary_names[i], &out[i], AT_SYMLINK_NOFOLLOW) == 0);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    (void)signal(SIGPIPE, SIG_IGN);
    need(unshare(CLONE_NEWNS) == 0);
    need(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
    need(mount("tmpfs", "/mnt", "tmpfs", 0, "size=256m") == 0);
    top = open("/mnt", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    need(top >= 0 && null_fd >= 0);
    need(mkdirat(top, "canary", 0755) == 0);
    int fd = openat(top, "canary/secret", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    need(fd >= 0 && dray_pl_write_all(fd, "untouched", 9) == 0);
    (void)close(fd);
    return 0;
}

static void check_canary(void)
{
    struct stat now[3];
    look(now);
    for (size_t i = 0; i < 2; i++)
        need(now[i].st_mtim.tv_sec == canary[i].st_mtim.tv_sec &&
             now[i].st_mtim.tv_nsec == canary[i].st_mtim.tv_nsec &&
             now[i].st_ctim.tv_nsec == canary[i].st_ctim.tv_nsec &&
             now[i].st_mode == canary[i].st_mode && now[i].st_uid == canary[i].st_uid &&
             now[i].st_size == canary[i].st_size && now[i].st_nlink == canary[i].st_nlink);
    /* The folder of the layer itself may change its attributes, nothing beside it may appear. */
    DRAY_AUTO(dray_pl_dir) dir = {0};
    need(dray_pl_dir_read(top, false, &dir, NULL) == 0 && dir.n == 2);
}

static void run(int tar, enum dray_layer_mode mode)
{
    struct dray_err err = {0};
    need(mkdirat(top, "root", 0755) == 0);
    int root = openat(top, "root", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    need(root >= 0 && mkdirat(root, "old", 0755) == 0);
    look(canary);
    struct dray_layer_apply job = {
        .root = root, .mode = mode, .max_bytes = 1 << 22, .max_entries = 500, .cancel_fd = -1};
    (void)lseek(tar, 0, SEEK_SET);
    int rc = dray_layer_apply(tar, &job, &err);
    need(rc == 0 || err.text[0] != '\0');
    check_canary();
    const struct dray_layer_pair pair = {
        .upper = root, .lower = -EBADF, .native = mode == DRAY_LAYER_OVERLAY};
    if (job.bytes < 1 << 20)
        (void)dray_layer_diff(&pair, null_fd, -1, &err);
    (void)close(root);
    if (dray_pl_remove_tree(top, "root", &err) < 0) {
        (void)fprintf(stderr, "%s\n", err.text);
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int tar = memfd_create("tar", MFD_CLOEXEC);
    dray_autofree uint8_t *mended = (uint8_t *)fuzz_copy(data, size);
    tar_mend_sums(mended, size);
    need(tar >= 0 && dray_pl_write_all(tar, mended, size) == 0);
    run(tar, DRAY_LAYER_OVERLAY);
    run(tar, DRAY_LAYER_PLAIN);
    (void)close(tar);
    return 0;
}
