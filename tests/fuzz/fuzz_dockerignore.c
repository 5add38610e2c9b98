/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_dockerignore.c - libFuzzer target: a .dockerignore up to the first NUL, then a path; walking
 * down to the path and asking for it at once agree (but for "!", where Docker's two ways differ).
 * The first line is tried as a pattern of COPY.
 */
#include "fuzz.h"

#include <dray/dockerignore.h>

/* From folder to folder, as the client does. */
static int walk(const struct dray_ignore *ig, char *path)
{
    unsigned char *trails[2] = {calloc(1, ig->n + 1), calloc(1, ig->n + 1)};
    int got = 0;
    unsigned level = 0;
    for (char *p = path;; p++) {
        char c = *p;
        if (c && c != '/')
            continue;
        *p = '\0';
        got = dray_ignore_walk(ig, path, level ? trails[(level - 1) % 2] : NULL, trails[level % 2]);
        if (c && got)
            (void)dray_ignore_may_hold(ig, path);
        *p = c;
        level++;
        if (!c)
            break;
    }
    free(trails[0]);
    free(trails[1]);
    return got;
}

static void match(const struct dray_ignore *ig, char *path)
{
    dray_path_clean(path);
    if (path[0] == '/' || strcmp(path, ".") == 0)
        return;
    int at_once = dray_ignore_match(ig, path), walked = walk(ig, path);
    if (ig->negations == 0 && at_once != walked)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dray_ignore ig = {0};
    struct dray_err err = {0};
    const uint8_t *nul = size ? memchr(data, 0, size) : NULL;
    if (!nul || size > 4096)
        return 0;
    size_t n = (size_t)(nul - data);
    char *path = calloc(1, size - n + 2);
    memcpy(path, nul + 1, size - n - 1);
    if (dray_ignore_parse(&ig, (const char *)data, n, &err) == 0)
        match(&ig, path);
    dray_ignore_free(&ig);
    char *pattern = calloc(1, n + 1);
    memcpy(pattern, data,
           strcspn((const char *)data, "\n") < n ? strcspn((const char *)data, "\n") : n);
    (void)dray_path_match(pattern, path, &err);
    free(pattern);
    free(path);
    return 0;
}
