/* SPDX-License-Identifier: Apache-2.0 */
/* words.c - what a registry's refusal means, in Docker's words. */
#include "hub.h"

#include <ctype.h>
#include <json-c/json.h>

bool hub_transient(long status)
{
    return status == 408 || status == 429 || status >= 500;
}

static void copy_text(struct json_object *o, const char *key, char *out, size_t size)
{
    struct json_object *v = NULL;
    if (!json_object_object_get_ex(o, key, &v) || !v)
        return;
    (void)snprintf(out, size, "%s", json_object_get_string(v));
}

/** First of {"errors":[{"code","message"}]}: "manifest unknown: manifest unknown". */
static void first_error(const struct hub_answer *a, char *code, size_t code_size, char *text,
                        size_t text_size)
{
    struct json_object *doc = a->body.data ? json_tokener_parse(a->body.data) : NULL;
    struct json_object *list = NULL, *e = NULL;
    code[0] = text[0] = '\0';
    if (json_object_is_type(doc, json_type_object) &&
        json_object_object_get_ex(doc, "errors", &list) &&
        json_object_is_type(list, json_type_array))
        e = json_object_array_get_idx(list, 0);
    if (json_object_is_type(e, json_type_object)) {
        copy_text(e, "code", code, code_size);
        copy_text(e, "message", text, text_size);
    } else if (json_object_is_type(doc, json_type_object)) {
        copy_text(doc, "details", text, text_size);
    }
    for (char *p = code; *p; p++)
        *p = (char)(*p == '_' ? ' ' : tolower((unsigned char)*p));
    if (doc)
        json_object_put(doc);
}

int hub_refused(const struct hub_answer *a, const char *repo, const char *what,
                struct dray_err *err)
{
    char code[64], text[200];
    first_error(a, code, sizeof code, text, sizeof text);
    const char *name = hub_familiar(repo);
    const char *sep = strncmp(what, "sha256:", 7) == 0 ? "@" : ":";
    if (a->status == 404 && *code)
        return dray_fail(err, DRAY_E_NOTFOUND, "manifest for %s%s%s not found: %s: %s", name, sep,
                         what, code, *text ? text : code);
    if (a->status == 404)
        return dray_fail(err, DRAY_E_NOTFOUND, "manifest for %s%s%s not found", name, sep, what);
    if (a->status == 401 || a->status == 403) {
        bool hub = strncmp(repo, HUB_REPO "/", sizeof HUB_REPO) == 0;
        const char *why = *code ? code : a->status == 401 ? "unauthorized" : "denied";
        if (hub)
            return dray_fail(err, DRAY_E_NOTFOUND,
                             "pull access denied for %s, repository does not exist or may require "
                             "'docker login': %s: %s",
                             name, why,
                             *text ? text : "requested access to the resource is denied");
        return dray_fail(err, a->status == 401 ? DRAY_E_UNAUTH : DRAY_E_DENIED, "%s: %s", why,
                         *text ? text : "authentication required");
    }
    int rc = a->status == 429 ? DRAY_E_AGAIN : DRAY_E_UNAVAIL;
    if (a->status == 429)
        (void)dray_fail(err, rc, "toomanyrequests: %s", *text ? text : "Rate exceeded");
    else if (*text)
        (void)dray_fail(err, rc, "received unexpected HTTP status: %ld: %s: %s", a->status, code,
                        text);
    else
        (void)dray_fail(err, rc, "received unexpected HTTP status: %ld", a->status);
    if (err && hub_transient(a->status))
        err->flags |= DRAY_ERR_TRANSIENT;
    return rc;
}

int hub_token_refused(const struct hub_answer *a, bool named, struct dray_err *err)
{
    char code[64], text[200];
    first_error(a, code, sizeof code, text, sizeof text);
    int rc = a->status == 429 ? DRAY_E_AGAIN : a->status >= 500 ? DRAY_E_UNAVAIL : DRAY_E_UNAUTH;
    if (rc == DRAY_E_UNAVAIL)
        (void)dray_fail(err, rc,
                        "the authorization server answered: received unexpected HTTP status: %ld",
                        a->status);
    else if (rc == DRAY_E_AGAIN)
        (void)dray_fail(err, rc, "toomanyrequests: %s", *text ? text : "Rate exceeded");
    else if (*code || *text || a->status == 401)
        (void)dray_fail(err, rc, "%s: %s", *code ? code : "unauthorized",
                        *text   ? text
                        : named ? "incorrect username or password"
                                : "authentication required");
    else
        (void)dray_fail(err, rc,
                        "error parsing HTTP %ld response body: no error details found in HTTP "
                        "response body: \"%.100s\"",
                        a->status, a->body.data ? a->body.data : "");
    if (err && hub_transient(a->status))
        err->flags |= DRAY_ERR_TRANSIENT;
    return rc;
}
