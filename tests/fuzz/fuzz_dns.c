/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_dns.c - messages of a container to the embedded resolver. */
#include "base/json.h"
#include "dns/answer.h"
#include "fuzz.h"

static struct dray_dns_table *table(struct dray_dns_container **c)
{
    static const char doc[] =
        "{\"id\":\"x\",\"forward\":true,\"servers\":[{\"addr\":\"10.0.0.1\"}],"
        "\"eps\":[{\"net\":\"n\",\"netname\":\"b.c\",\"v4\":\"10.1.0.2\","
        "\"v6\":\"fd00::2\",\"names\":[\"a\",\"a.b\"],"
        "\"links\":{\"l\":\"a\"}}]}";
    struct dray_dns_table *t = dray_dns_table_new();
    struct json_object *o = NULL;
    if (!t || dray_json_parse(doc, strlen(doc), &o, NULL) || dray_dns_table_set(t, o, c, NULL))
        abort();
    json_object_put(o);
    return t;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct dray_dns_table *t;
    static struct dray_dns_container *c;
    if (!t)
        t = table(&c);
    for (int tcp = 0; tcp < 2; tcp++) {
        DRAY_AUTO(dray_dns_reply) r = {0};
        DRAY_AUTO(dray_dns_reply) failure = {0};
        enum dray_dns_verdict v = dray_dns_answer(t, c, data, size, tcp, &r);
        if (v == DRAY_DNS_FORWARD && r.question + DRAY_DNS_HEADER > size)
            abort();
        if (v == DRAY_DNS_FORWARD)
            (void)dray_dns_answer_failure(data, size, &failure);
    }
    return 0;
}
