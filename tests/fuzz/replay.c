/* SPDX-License-Identifier: Apache-2.0 */
/* replay.c - runs a fuzz target without libFuzzer over a folder: each file whole, cut short, and
 * with single bytes spoiled, always in the same way. */
#include "fuzz.h"

#include <dirent.h>
#include <sys/stat.h>

#define CUTS 64u
#define SPOILED 200u
#define MAX_FILE ((size_t)1 << 20)

__attribute__((weak)) int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    return 0;
}

/* A copy of the exact size: the sanitizers see the first byte that is read beyond it. */
static void try(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);
    need(copy != NULL);
    if (size > 0)
        memcpy(copy, data, size);
    (void)LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

static void try_variants(uint8_t *data, size_t size)
{
    static const uint8_t bytes[] = {0x00, 0xff, 0x7f, 0x80, '"',  '{',
                                    ']',  '\n', '0',  '-',  0x01, '/'};
    unsigned seed = 1;
    try(data, size);
    for (size_t i = 0; i < CUTS && i < size; i++)
        try(data, size <= CUTS ? i : size * i / CUTS);
    for (size_t i = 0; i < SPOILED && size > 0; i++) {
        size_t at = (size_t)rand_r(&seed) % size;
        uint8_t was = data[at];
        data[at] = bytes[(size_t)rand_r(&seed) % sizeof bytes];
        try(data, size);
        data[at] = was;
    }
}

static void try_file(const char *path)
{
    FILE *f = fopen(path, "re");
    uint8_t *data = malloc(MAX_FILE);
    need(f && data);
    try_variants(data, fread(data, 1, MAX_FILE, f));
    (void)fclose(f);
    free(data);
}

int main(int argc, char **argv)
{
    struct dirent **names = NULL;
    (void)LLVMFuzzerInitialize(&argc, &argv);
    int n = argc == 2 ? scandir(argv[1], &names, NULL, alphasort) : -1;
    if (n < 0) {
        (void)fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
        return 2;
    }
    int tried = 0;
    for (int i = 0; i < n; i++) {
        char path[4096];
        if (names[i]->d_name[0] != '.') {
            (void)snprintf(path, sizeof path, "%s/%s", argv[1], names[i]->d_name);
            try_file(path);
            tried++;
        }
        free(names[i]);
    }
    free(names);
    (void)printf("%d inputs\n", tried);
    return tried ? 0 : 1;
}
