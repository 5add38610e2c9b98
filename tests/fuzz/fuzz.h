/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz.h - what every fuzz target needs. */
#ifndef DRAY_TESTS_FUZZ_H
#define DRAY_TESTS_FUZZ_H

#include <dray/util.h>

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/** What must hold for any input. */
#define need(good)                                                                                 \
    do {                                                                                           \
        if (!(good)) {                                                                             \
            (void)fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #good);                       \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/** A failure says why. */
static inline void need_words(int rc, const struct dray_err *err)
{
    need(rc == 0 || err->text[0] != '\0');
}

/** A copy with a NUL behind it: what is read beyond the input is seen. */
static inline char *fuzz_copy(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    need(text != NULL);
    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    return text;
}

/** The input up to a line that is "--", as a text of its own; *data and *size are what is behind
 * it. */
static inline char *fuzz_part(const uint8_t **data, size_t *size)
{
    static const char mark[] = "\n--\n";
    const uint8_t *end = *size ? memmem(*data, *size, mark, sizeof mark - 1) : NULL;
    size_t n = end ? (size_t)(end - *data) : *size;
    char *text = fuzz_copy(*data, n);
    size_t past = end ? n + sizeof mark - 1 : n;
    *data += past;
    *size -= past;
    return text;
}

#endif
