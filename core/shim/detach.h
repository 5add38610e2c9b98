/* SPDX-License-Identifier: Apache-2.0 */
/* detach.h - finds the keys that detach a client in what it types. */
#ifndef DRAY_SHIM_DETACH_H
#define DRAY_SHIM_DETACH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SHIM_DETACH_MAX 16

/** Zero-initialised has no keys and passes everything on. */
struct shim_detach {
    uint8_t keys[SHIM_DETACH_MAX];
    uint8_t n;
    uint8_t matched; /* keys held back: they may be the beginning of the sequence */
};

/**
 * Look at n bytes of input. out gets what is to be passed on, at most n + SHIM_DETACH_MAX bytes.
 * Returns true once the sequence is complete; the rest of the input is then dropped.
 */
bool shim_detach_feed(struct shim_detach *d, const uint8_t *data, size_t n, uint8_t *out,
                      size_t *n_out);

#endif
