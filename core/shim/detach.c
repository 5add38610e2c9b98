/* SPDX-License-Identifier: Apache-2.0 */
/* detach.c - finds the keys that detach a client in what it types. */
#include "shim/detach.h"

#include <string.h>

/* The longest proper beginning of the sequence that the held keys and c end with. What no longer
 * belongs to it is passed on. */
static size_t fall_back(struct shim_detach *d, uint8_t c, uint8_t *out)
{
    uint8_t seen[SHIM_DETACH_MAX + 1];
    size_t n = d->matched;
    memcpy(seen, d->keys, n);
    seen[n++] = c;
    size_t keep = n - 1;
    while (keep > 0 && memcmp(d->keys, seen + n - keep, keep) != 0)
        keep--;
    memcpy(out, seen, n - keep);
    d->matched = (uint8_t)keep;
    return n - keep;
}

bool shim_detach_feed(struct shim_detach *d, const uint8_t *data, size_t n, uint8_t *out,
                      size_t *n_out)
{
    size_t used = 0;
    for (size_t i = 0; i < n; i++) {
        if (d->n == 0) {
            out[used++] = data[i];
            continue;
        }
        if (data[i] != d->keys[d->matched]) {
            used += fall_back(d, data[i], out + used);
            continue;
        }
        if (++d->matched == d->n) {
            d->matched = 0;
            *n_out = used;
            return true;
        }
    }
    *n_out = used;
    return false;
}
