/* SPDX-License-Identifier: Apache-2.0 */
/* answer.c - questions of a container that are answered from the table. */
#include "dns/answer.h"

#include <arpa/inet.h>
#include <ldns/ldns.h>
#include <strings.h>
#include <sys/random.h>

#define TTL_S 600 /* as Docker's */
#define NAME_MOST 256
#define EDNS_SIZE 4096

static void free_packet(ldns_pkt **p)
{
    ldns_pkt_free(*p);
}
#define autopacket __attribute__((cleanup(free_packet))) ldns_pkt

/* Labels with a dot or a NUL in them have no text form that a container could be called. */
static bool name_text(const ldns_rdf *name, char out[NAME_MOST])
{
    const uint8_t *p = ldns_rdf_data(name);
    size_t left = ldns_rdf_size(name);
    size_t n = 0;
    while (left > 1 && *p && *p < left) {
        size_t label = *p++;
        if (n + label + 2 > NAME_MOST || memchr(p, '.', label) || memchr(p, 0, label))
            return false;
        if (n)
            out[n++] = '.';
        memcpy(out + n, p, label);
        n += label;
        p += label;
        left -= label + 1;
    }
    out[n] = '\0';
    return n > 0;
}

/* Name of a text in wire form; NULL if it is no name. */
static ldns_rdf *name_rdf(const char *text)
{
    uint8_t wire[NAME_MOST];
    size_t n = 0;
    for (const char *p = text; *p;) {
        size_t label = strcspn(p, ".");
        if (label == 0 || label > 63 || n + label + 2 > sizeof wire)
            return NULL;
        wire[n++] = (uint8_t)label;
        memcpy(wire + n, p, label);
        n += label;
        p += label + (p[label] == '.');
    }
    wire[n++] = 0;
    return ldns_rdf_new_frm_data(LDNS_RDF_TYPE_DNAME, n, wire);
}

/* Takes data. */
static bool push_record(ldns_pkt *pkt, const ldns_rr *question, ldns_rr_type type, ldns_rdf *data)
{
    ldns_rdf *owner = data ? ldns_rdf_clone(ldns_rr_owner(question)) : NULL;
    ldns_rr *rr = owner ? ldns_rr_new() : NULL;
    if (!rr) {
        ldns_rdf_deep_free(owner);
        ldns_rdf_deep_free(data);
        return false;
    }
    ldns_rr_set_owner(rr, owner);
    ldns_rr_set_type(rr, type);
    ldns_rr_set_class(rr, LDNS_RR_CLASS_IN);
    ldns_rr_set_ttl(rr, TTL_S);
    if (ldns_rr_push_rdf(rr, data) && ldns_pkt_push_rr(pkt, LDNS_SECTION_ANSWER, rr))
        return true;
    ldns_rr_free(rr);
    return false;
}

/* An answer without records. */
static ldns_pkt *new_reply(const ldns_pkt *query)
{
    ldns_rr *question = ldns_rr_clone(ldns_rr_list_rr(ldns_pkt_question(query), 0));
    ldns_pkt *pkt = question ? ldns_pkt_new() : NULL;
    if (!pkt) {
        ldns_rr_free(question);
        return NULL;
    }
    ldns_pkt_set_id(pkt, ldns_pkt_id(query));
    ldns_pkt_set_qr(pkt, true);
    ldns_pkt_set_opcode(pkt, ldns_pkt_get_opcode(query));
    ldns_pkt_set_rd(pkt, ldns_pkt_rd(query));
    ldns_pkt_set_cd(pkt, ldns_pkt_cd(query));
    ldns_pkt_set_ra(pkt, true);
    if (ldns_pkt_edns(query))
        ldns_pkt_set_edns_udp_size(pkt, EDNS_SIZE);
    if (ldns_pkt_push_rr(pkt, LDNS_SECTION_QUESTION, question))
        return pkt;
    ldns_rr_free(question);
    ldns_pkt_free(pkt);
    return NULL;
}

static size_t size_limit(const ldns_pkt *query, bool tcp)
{
    size_t size = ldns_pkt_edns(query) ? ldns_pkt_edns_udp_size(query) : 0;
    if (tcp)
        return DRAY_DNS_MOST;
    return size > DRAY_DNS_UDP_LEAST ? size : DRAY_DNS_UDP_LEAST;
}

/* What does not fit is left out, and the client is told to come by TCP. */
static bool serialize(ldns_pkt *pkt, size_t limit, struct dray_dns_reply *reply)
{
    for (;;) {
        if (ldns_pkt2wire(&reply->data, pkt, &reply->len) != LDNS_STATUS_OK) {
            reply->data = NULL;
            return false;
        }
        if (reply->len <= limit)
            return true;
        free(dray_steal(reply->data));
        ldns_rr *last = ldns_rr_list_pop_rr(ldns_pkt_answer(pkt));
        if (!last)
            return false;
        ldns_rr_free(last);
        ldns_pkt_set_ancount(pkt, (uint16_t)ldns_rr_list_rr_count(ldns_pkt_answer(pkt)));
        ldns_pkt_set_tc(pkt, true);
    }
}

/* Equal addresses of a shared name come in random order, so that clients spread. */
static void shuffle(struct dray_dns_found *f)
{
    uint16_t random[64];
    if (f->n < 2 || getrandom(random, sizeof random, GRND_INSECURE) != (ssize_t)sizeof random)
        return;
    for (size_t i = f->n - 1; i > 0; i--) {
        size_t k = random[i] % (i + 1);
        const struct dray_dns_ep *held = f->v[i];
        f->v[i] = f->v[k];
        f->v[k] = held;
    }
}

static bool push_addresses(ldns_pkt *pkt, const ldns_rr *question, struct dray_dns_found *f,
                           bool six)
{
    shuffle(f);
    for (size_t i = 0; i < f->n; i++) {
        ldns_rdf *data =
            six ? ldns_rdf_new_frm_data(LDNS_RDF_TYPE_AAAA, sizeof f->v[i]->v6, &f->v[i]->v6)
                : ldns_rdf_new_frm_data(LDNS_RDF_TYPE_A, sizeof f->v[i]->v4, &f->v[i]->v4);
        if (!push_record(pkt, question, six ? LDNS_RR_TYPE_AAAA : LDNS_RR_TYPE_A, data))
            return false;
    }
    return true;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "4.3.2.1.in-addr.arpa" */
static bool reverse4(const char *name, size_t len, uint8_t out[4])
{
    char text[INET_ADDRSTRLEN];
    uint8_t addr[4];
    if (len >= sizeof text)
        return false;
    memcpy(text, name, len);
    text[len] = '\0';
    if (inet_pton(AF_INET, text, addr) != 1)
        return false;
    for (int i = 0; i < 4; i++)
        out[i] = addr[3 - i];
    return true;
}

/* 32 single digits, the last first */
static bool reverse6(const char *name, size_t len, uint8_t out[16])
{
    enum { TEXT = 63 };
    if (len != TEXT)
        return false;
    for (size_t i = 0; i < 32; i++) {
        int digit = hex_digit(name[i * 2]);
        if (digit < 0 || (i < 31 && name[i * 2 + 1] != '.'))
            return false;
        size_t at = 15 - i / 2;
        out[at] = (uint8_t)(i % 2 ? out[at] | digit << 4 : digit);
    }
    return true;
}

static int reverse_family(const char *name, uint8_t addr[16])
{
    static const char four[] = ".in-addr.arpa", six[] = ".ip6.arpa";
    size_t len = strlen(name);
    if (len > sizeof four && strcasecmp(name + len - (sizeof four - 1), four) == 0)
        return reverse4(name, len - (sizeof four - 1), addr) ? AF_INET : 0;
    if (len > sizeof six && strcasecmp(name + len - (sizeof six - 1), six) == 0)
        return reverse6(name, len - (sizeof six - 1), addr) ? AF_INET6 : 0;
    return 0;
}

/* One question under way. */
struct asking {
    const struct dray_dns_table *t;
    const struct dray_dns_container *c;
    const ldns_pkt *query;
    const ldns_rr *question;
    bool plain; /* the question stands in the message without compression */
    char name[NAME_MOST];
};

/* NULL: not ours. *failed: ours, but memory ran out. */
static ldns_pkt *answer_reverse(const struct asking *a, bool *failed)
{
    uint8_t addr[16] = {0};
    char name[NAME_MOST];
    int family = reverse_family(a->name, addr);
    if (!family || !dray_dns_table_reverse(a->t, a->c, family, addr, name, sizeof name))
        return NULL;
    ldns_pkt *pkt = new_reply(a->query);
    if (pkt && push_record(pkt, a->question, LDNS_RR_TYPE_PTR, name_rdf(name)))
        return pkt;
    ldns_pkt_free(pkt);
    *failed = true;
    return NULL;
}

/* A name of ours gets an answer whatever it is asked for, so that none leaks to other servers. */
static ldns_pkt *answer_name(const struct asking *a, bool *failed)
{
    ldns_rr_type type = ldns_rr_get_type(a->question);
    struct dray_dns_found found;
    dray_dns_table_lookup(a->t, a->c, a->name, type == LDNS_RR_TYPE_AAAA ? AF_INET6 : AF_INET,
                          &found);
    if (!found.known)
        return NULL;
    bool addresses =
        type == LDNS_RR_TYPE_A || type == LDNS_RR_TYPE_AAAA || type == LDNS_RR_TYPE_ANY;
    ldns_pkt *pkt = new_reply(a->query);
    if (pkt && (!addresses || push_addresses(pkt, a->question, &found, type == LDNS_RR_TYPE_AAAA)))
        return pkt;
    ldns_pkt_free(pkt);
    *failed = true;
    return NULL;
}

static ldns_pkt *failure_of(const ldns_pkt *query, ldns_pkt_rcode code)
{
    ldns_pkt *pkt = new_reply(query);
    if (pkt)
        ldns_pkt_set_rcode(pkt, (uint8_t)code);
    return pkt;
}

static ldns_pkt *local_answer(struct asking *a)
{
    bool failed = false;
    ldns_pkt *pkt = NULL;
    if (ldns_pkt_get_opcode(a->query) != LDNS_PACKET_QUERY)
        return failure_of(a->query, LDNS_RCODE_NOTIMPL);
    if (!a->plain)
        return failure_of(a->query, LDNS_RCODE_FORMERR);
    if (ldns_rr_get_class(a->question) == LDNS_RR_CLASS_IN &&
        name_text(ldns_rr_owner(a->question), a->name)) {
        pkt = ldns_rr_get_type(a->question) == LDNS_RR_TYPE_PTR ? answer_reverse(a, &failed) : NULL;
        pkt = pkt || failed ? pkt : answer_name(a, &failed);
    }
    if (pkt)
        return pkt;
    if (failed || !a->c->forward || !a->c->n_servers)
        return failure_of(a->query, LDNS_RCODE_SERVFAIL);
    /* The client will come back with its search domains. */
    ldns_rr_type type = ldns_rr_get_type(a->question);
    if (a->c->ndots && (type == LDNS_RR_TYPE_A || type == LDNS_RR_TYPE_AAAA) &&
        !strchr(a->name, '.'))
        return new_reply(a->query);
    return NULL;
}

enum dray_dns_verdict dray_dns_answer(const struct dray_dns_table *t,
                                      const struct dray_dns_container *c, const uint8_t *query,
                                      size_t len, bool tcp, struct dray_dns_reply *reply)
{
    autopacket *q = NULL;
    *reply = (struct dray_dns_reply){.data = NULL};
    if (len < DRAY_DNS_HEADER || query[2] & 0x80 || ldns_wire2pkt(&q, query, len) != LDNS_STATUS_OK)
        return DRAY_DNS_IGNORE;
    const ldns_rr_list *questions = ldns_pkt_question(q);
    if (!questions || ldns_rr_list_rr_count(questions) == 0)
        return DRAY_DNS_IGNORE;
    struct asking a = {.t = t, .c = c, .query = q, .question = ldns_rr_list_rr(questions, 0)};
    const ldns_rdf *owner = ldns_rr_owner(a.question);
    size_t size = ldns_rdf_size(owner);
    a.plain = DRAY_DNS_HEADER + size + 4 <= len &&
              memcmp(query + DRAY_DNS_HEADER, ldns_rdf_data(owner), size) == 0;
    autopacket *pkt = local_answer(&a);
    if (pkt)
        return serialize(pkt, size_limit(q, tcp), reply) ? DRAY_DNS_REPLY : DRAY_DNS_IGNORE;
    reply->question = size + 4;
    return DRAY_DNS_FORWARD;
}

bool dray_dns_answer_failure(const uint8_t *query, size_t len, struct dray_dns_reply *reply)
{
    autopacket *q = NULL;
    *reply = (struct dray_dns_reply){.data = NULL};
    if (ldns_wire2pkt(&q, query, len) != LDNS_STATUS_OK || !ldns_pkt_question(q) ||
        ldns_rr_list_rr_count(ldns_pkt_question(q)) == 0)
        return false;
    autopacket *pkt = failure_of(q, LDNS_RCODE_SERVFAIL);
    return pkt && serialize(pkt, DRAY_DNS_UDP_LEAST, reply);
}
