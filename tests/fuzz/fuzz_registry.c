/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_registry.c - libFuzzer target: what a registry and its token service answer, one answer
 * after the other, each a number, headers, an empty line, a body and a line "--". All that the
 * driver asks of a registry is asked.
 */
#include "fuzz.h"
#include "hub.h"

#include <fcntl.h>

/* The rest of the input: answers that are still to come. */
static const uint8_t *script;
static size_t script_len;
static unsigned asked;

int hub_exchange(struct dray_self *s, const struct hub_request *rq, struct hub_answer *out,
                 struct dray_err *err)
{
    (void)s;
    need(rq->url && rq->method && rq->target);
    hub_answer_begin(out);
    if (script_len == 0 || ++asked > 64)
        return dray_fail(err, DRAY_E_UNAVAIL, "no answer");
    dray_autofree char *text = fuzz_part(&script, &script_len);
    char *at = text, *end;
    out->status = strtol(at, &end, 10) % 1000;
    out->elsewhere = *end == '>';
    for (at = strchr(at, '\n'); at && at[1] != '\n'; at = strchr(at, '\n')) {
        size_t n = strcspn(++at, "\n");
        dray_autofree char *line = fuzz_copy((const uint8_t *)at, n);
        hub_answer_header(out, line, n);
    }
    const char *body = at ? at + 2 : "";
    size_t n = strlen(body);
    if ((out->status != 200 && out->status != 206) || !rq->sink)
        return hub_buf_add(&out->body, body, n);
    out->sunk += n;
    return rq->sink(rq->sink_ctx, body, n, err);
}

int hub_pause(const struct dray_call *call, long ms, struct dray_err *err)
{
    (void)call, (void)err;
    need(ms >= 0);
    return 0;
}

/* --- a host ------------------------------------------------------------------------------------*/

static void *blocks[64];
static size_t n_blocks;

static void *host_alloc(const struct dray_call *call, uint64_t n)
{
    (void)call;
    need(n_blocks < sizeof blocks / sizeof *blocks);
    return blocks[n_blocks++] = calloc(1, n ? n : 1);
}

static int32_t host_emit(const struct dray_call *call, const struct dray_record *rec)
{
    (void)call;
    for (uint64_t i = 0; i < rec->fields.n; i++)
        need(rec->fields.v[i].key && rec->fields.v[i].value);
    return 0;
}

static const char *host_str(const struct dray_host *h, const char *name)
{
    (void)h, (void)name;
    return "";
}

static int64_t host_int(const struct dray_host *h, const char *name)
{
    (void)h, (void)name;
    return 0;
}

static struct dray_strs host_list(const struct dray_host *h, const char *name)
{
    (void)h, (void)name;
    return (struct dray_strs){NULL, 0};
}

static const struct dray_host host = {.alloc = host_alloc,
                                      .emit = host_emit,
                                      .opt_str = host_str,
                                      .opt_int = host_int,
                                      .opt_list = host_list};

static void begin(const uint8_t *data, size_t size)
{
    script = data;
    script_len = size;
    asked = 0;
    while (n_blocks > 0)
        free(blocks[--n_blocks]);
}

static void ask_all(struct dray_self *s, const uint8_t *data, size_t size,
                    const struct dray_auth *auth)
{
    static const char digest[] =
        "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    static const char repo[] = "127.0.0.1:5000/a/b";
    const struct dray_call call = {.size = sizeof call, .cancel_fd = -1};
    const struct dray_desc blob = {.size = sizeof blob,
                                   .media_type = "application/octet-stream",
                                   .digest = digest,
                                   .length = 40};
    struct dray_desc desc = {.size = sizeof desc};
    const char *token = NULL;
    struct dray_err err = {0};
    dray_autofd int out = open("/dev/null", O_WRONLY | O_CLOEXEC);
    dray_autofd int in = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    begin(data, size);
    int rc = hub_resolve(s, &call, repo, "latest", auth, &desc, &err);
    need_words(rc, &err);
    need(rc != 0 || (desc.media_type && desc.digest));
    begin(data, size);
    need_words(hub_fetch(s, &call, repo, &blob, 0, auth, (struct dray_fd_borrow){out}, &err), &err);
    begin(data, size);
    need_words(hub_tags(s, &call, repo, auth, &err), &err);
    begin(data, size);
    need_words(hub_stat(s, &call, repo, &blob, auth, &err), &err);
    begin(data, size);
    need_words(hub_push(s, &call, repo, "", &blob, auth, (struct dray_fd_borrow){in}, &err), &err);
    begin(data, size);
    need_words(hub_mount(s, &call, repo, "127.0.0.1:5000/c", &blob, auth, &err), &err);
    begin(data, size);
    need_words(hub_search(s, &call, "word", 5, auth, &err), &err);
    begin(data, size);
    if (auth)
        need_words(hub_login(s, &call, auth, &token, &err), &err);
    begin(NULL, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct dray_auth auths[] = {
        {.size = sizeof auths[0],
         .username = "u",
         .password = "p",
         .identity_token = "",
         .registry_token = "",
         .server = "127.0.0.1:5000"},
        {.size = sizeof auths[0],
         .username = "u",
         .password = "",
         .identity_token = "t",
         .registry_token = "",
         .server = "127.0.0.1:5000"},
    };
    for (size_t i = 0; i < 3; i++) {
        struct dray_self s = {.host = &host};
        (void)pthread_mutex_init(&s.lock, NULL);
        ask_all(&s, data, size, i < 2 ? &auths[i] : NULL);
        hub_tokens_free(&s);
        hub_schemes_free(&s);
        (void)pthread_mutex_destroy(&s.lock);
    }
    return 0;
}
