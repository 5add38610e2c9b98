/* SPDX-License-Identifier: Apache-2.0 */
/* scheme.c - by which scheme a host answers that may speak HTTP, and what of a URL is trusted. */
#include "hub.h"

#include <strings.h>
#include <time.h>

#define KNOWN_MAX 64
#define KNOWN_S 600

struct hub_scheme {
    struct hub_scheme *next;
    time_t until; /* CLOCK_MONOTONIC seconds */
    bool tls;
    char host[256];
};

static time_t mono(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec;
}

void hub_schemes_free(struct dray_self *s)
{
    while (s->schemes) {
        struct hub_scheme *k = s->schemes;
        s->schemes = k->next;
        free(k);
    }
}

/** Take what is known of the host out of the list, and all that is too old. Lock held. */
static struct hub_scheme *take(struct dray_self *s, const char *host)
{
    struct hub_scheme *found = NULL;
    time_t now = mono();
    size_t n = 0;
    for (struct hub_scheme **at = &s->schemes; *at;) {
        struct hub_scheme *k = *at;
        bool same = strcmp(k->host, host) == 0;
        if (!same && k->until > now && ++n < KNOWN_MAX) {
            at = &k->next;
            continue;
        }
        *at = k->next;
        if (same && k->until > now && !found)
            found = k;
        else
            free(k);
    }
    return found;
}

void hub_scheme_note(struct dray_self *s, const struct hub_target *t, bool works)
{
    if (t->verify || t->mirror)
        return; /* there is no choice */
    pthread_mutex_lock(&s->lock);
    struct hub_scheme *k = take(s, t->host);
    if (works && !k)
        k = calloc(1, sizeof *k);
    if (works && k) {
        (void)snprintf(k->host, sizeof k->host, "%s", t->host);
        k->tls = strncmp(t->base, "https:", 6) == 0;
        k->until = mono() + KNOWN_S;
        k->next = s->schemes;
        s->schemes = k;
        k = NULL;
    }
    pthread_mutex_unlock(&s->lock);
    free(k);
}

int hub_scheme_of(struct dray_self *s, const char *host)
{
    int tls = -1;
    time_t now = mono();
    pthread_mutex_lock(&s->lock);
    for (const struct hub_scheme *k = s->schemes; k; k = k->next)
        if (k->until > now && strcmp(k->host, host) == 0)
            tls = k->tls;
    pthread_mutex_unlock(&s->lock);
    return tls;
}

/* --- URLs -------------------------------------------------------------------------------------*/

char *hub_url_join(const char *base_url, const char *location)
{
    char *text = NULL, *out = NULL;
    CURLU *u = curl_url();
    if (u && curl_url_set(u, CURLUPART_URL, base_url, 0) == CURLUE_OK &&
        curl_url_set(u, CURLUPART_URL, location, 0) == CURLUE_OK &&
        curl_url_get(u, CURLUPART_URL, &text, 0) == CURLUE_OK)
        out = strdup(text);
    curl_free(text);
    curl_url_cleanup(u);
    return out && (strncmp(out, "https://", 8) == 0 || strncmp(out, "http://", 7) == 0)
               ? out
               : (free(out), NULL);
}

static bool same_part(CURLU *a, CURLU *b, CURLUPart part)
{
    char *x = NULL, *y = NULL;
    bool same = curl_url_get(a, part, &x, CURLU_DEFAULT_PORT) == CURLUE_OK &&
                curl_url_get(b, part, &y, CURLU_DEFAULT_PORT) == CURLUE_OK && strcasecmp(x, y) == 0;
    curl_free(x);
    curl_free(y);
    return same;
}

bool hub_same_origin(const char *a, const char *b)
{
    CURLU *x = curl_url(), *y = curl_url();
    bool same = x && y && curl_url_set(x, CURLUPART_URL, a, 0) == CURLUE_OK &&
                curl_url_set(y, CURLUPART_URL, b, 0) == CURLUE_OK &&
                same_part(x, y, CURLUPART_SCHEME) && same_part(x, y, CURLUPART_HOST) &&
                same_part(x, y, CURLUPART_PORT);
    curl_url_cleanup(x);
    curl_url_cleanup(y);
    return same;
}
