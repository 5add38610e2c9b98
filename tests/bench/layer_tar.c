/* SPDX-License-Identifier: Apache-2.0 */
/* layer_tar.c - unpacks (or packs) a layer and says how long it took: layer_tar apply|diff TAR DIR
 */
#include "layer_tar.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

static double seconds(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int apply(int tar, int dir, struct dray_err *err)
{
    struct dray_layer_apply job = {
        .root = dir, .cancel_fd = -1, .sync = getenv("DRAY_BENCH_SYNC") != NULL};
    int rc = dray_layer_apply(tar, &job, err);
    (void)printf("%llu entries, %llu bytes: ", (unsigned long long)job.entries,
                 (unsigned long long)job.bytes);
    return rc;
}

static int diff(int tar, int dir, struct dray_err *err)
{
    const struct dray_layer_pair pair = {.upper = dir, .lower = -EBADF, .native = true};
    return dray_layer_diff(&pair, tar, -1, err);
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        (void)fprintf(stderr, "usage: %s apply|diff TAR DIR\n", argv[0]);
        return 2;
    }
    bool packs = strcmp(argv[1], "diff") == 0;
    (void)mkdir(argv[3], 0755);
    int tar = packs ? open(argv[2], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644)
                    : open(argv[2], O_RDONLY | O_CLOEXEC);
    int dir = open(argv[3], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (tar < 0 || dir < 0) {
        perror("open");
        return 1;
    }
    struct dray_err err = {0};
    double start = seconds();
    int rc = packs ? diff(tar, dir, &err) : apply(tar, dir, &err);
    (void)printf("%.3f s\n", seconds() - start);
    if (rc < 0)
        (void)fprintf(stderr, "%s\n", err.text);
    return rc < 0;
}
