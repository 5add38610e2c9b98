/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_seccomp.c - libFuzzer target: a profile of the user's, resolved as the daemon does and
 * compiled as the runtime does. */
#include "base/json.h"
#include "engine/spec/security.h"
#include "filter.h"
#include "fuzz.h"

#define MOST 4096 /* libseccomp takes its time for long ones */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint64_t caps[] = {0, UINT64_MAX, 0xa80425fb};
    if (size > MOST)
        return 0;
    dray_autofree char *text = fuzz_copy(data, size);
    dray_autojson *profile = NULL;
    if (dray_json_parse(text, size, &profile, NULL))
        return 0;
    for (size_t i = 0; i < sizeof caps / sizeof *caps; i++) {
        struct dray_err err = {0};
        dray_autojson *out = NULL;
        int rc = dray_seccomp_resolve(profile, caps[i], &out, &err);
        need_words(rc, &err);
        if (rc || i > 0)
            continue;
        DRAY_AUTO(rn_filter) filter = {0};
        const char *made = dray_json_text(out);
        rc = rn_seccomp_compile(made, strlen(made), &filter, &err);
        need_words(rc, &err);
        need(rc != 0 || filter.n > 0);
    }
    return 0;
}
