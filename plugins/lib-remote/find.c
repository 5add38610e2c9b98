/* SPDX-License-Identifier: Apache-2.0 */
/* find.c - finds where the server of a name listens. */
#include "remote.h"

#include <fcntl.h>
#include <sys/stat.h>

#define MAX_SPEC 65536

void dray_remote_addr_cleanup(struct dray_remote_addr *a)
{
    free(a->socket);
    free(a->url);
    free(a->ca);
    free(a->cert);
    free(a->key);
    *a = (struct dray_remote_addr){0};
}

/* The file DIR/NAME.EXT, or DIR/NAME/NAME.EXT, as a string of the caller's; NULL: neither. */
static char *find_file(const char *dir, const char *name, const char *ext)
{
    struct stat st;
    char *path = NULL;
    if (asprintf(&path, "%s/%s.%s", dir, name, ext) >= 0 && stat(path, &st) == 0 &&
        !S_ISDIR(st.st_mode))
        return path;
    free(path);
    path = NULL;
    if (asprintf(&path, "%s/%s/%s.%s", dir, name, name, ext) >= 0 && stat(path, &st) == 0 &&
        !S_ISDIR(st.st_mode))
        return path;
    free(path);
    return NULL;
}

static int read_text(const char *path, char **out, struct dray_err *err)
{
    /* A pipe that nobody writes to must not hold us up. */
    dray_autofd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return dray_fail_errno(err, "read %s", path);
    if (!S_ISREG(st.st_mode) || st.st_size > MAX_SPEC)
        return dray_fail(err, DRAY_E_INVAL, "%s is no small file", path);
    dray_autofree char *text = calloc(1, MAX_SPEC + 1);
    if (!text)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    ssize_t n = read(fd, text, MAX_SPEC);
    if (n < 0)
        return dray_fail_errno(err, "read %s", path);
    text[n] = '\0';
    *out = dray_steal(text);
    return 0;
}

static bool starts(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* "unix:///path", "tcp://host:port", "http://...", "https://..." */
static int take_url(const char *path, const char *url, bool tls, struct dray_remote_addr *out,
                    struct dray_err *err)
{
    const char *rest = strstr(url, "://");
    int n = 0;
    if (starts(url, "unix://")) {
        n = asprintf(&out->socket, "%s", url + 7);
        if (n >= 0)
            n = asprintf(&out->url, "http://plugin");
    } else if (rest && (starts(url, "tcp://") || starts(url, "http://"))) {
        n = asprintf(&out->url, "http%s%s", tls ? "s" : "", rest);
    } else if (starts(url, "https://")) {
        n = asprintf(&out->url, "%s", url);
    } else {
        return dray_fail(err, DRAY_E_INVAL,
                         "%s has the address \"%.100s\"; it must begin with unix://, tcp://, "
                         "http:// or https://",
                         path, url);
    }
    return n < 0 ? dray_fail(err, DRAY_E_NOMEM, "out of memory") : 0;
}

static int take_spec(const char *path, struct dray_remote_addr *out, struct dray_err *err)
{
    dray_autofree char *text = NULL;
    int rc = read_text(path, &text, err);
    if (rc)
        return rc;
    char *url = text + strspn(text, " \t\r\n");
    url[strcspn(url, " \t\r\n")] = '\0';
    return take_url(path, url, false, out, err);
}

static char *copy_member(struct json_object *obj, const char *key)
{
    const char *text = dray_remote_str(obj, key);
    return *text ? strdup(text) : NULL;
}

static int take_json(const char *path, struct dray_remote_addr *out, struct dray_err *err)
{
    dray_autofree char *text = NULL;
    int rc = read_text(path, &text, err);
    if (rc)
        return rc;
    dray_remote_auto *doc = json_tokener_parse(text);
    if (!json_object_is_type(doc, json_type_object))
        return dray_fail(err, DRAY_E_INVAL, "%s is no JSON object", path);
    struct json_object *tls = dray_remote_obj(doc, "TLSConfig");
    out->insecure = dray_remote_bool(tls, "InsecureSkipVerify");
    out->ca = copy_member(tls, "CAFile");
    out->cert = copy_member(tls, "CertFile");
    out->key = copy_member(tls, "KeyFile");
    bool wanted = tls && json_object_object_length(tls) > 0;
    return take_url(path, dray_remote_str(doc, "Addr"), wanted, out, err);
}

static int try_sockets(struct dray_strs dirs, const char *name, struct dray_remote_addr *out,
                       struct dray_err *err)
{
    for (uint64_t i = 0; i < dirs.n; i++) {
        dray_autofree char *path = find_file(dirs.v[i], name, "sock");
        if (!path)
            continue;
        out->socket = dray_steal(path);
        out->url = strdup("http://plugin");
        return out->url ? 0 : dray_fail(err, DRAY_E_NOMEM, "out of memory");
    }
    return DRAY_E_NOTFOUND;
}

static int try_specs(struct dray_strs dirs, const char *name, struct dray_remote_addr *out,
                     struct dray_err *err)
{
    for (uint64_t i = 0; i < dirs.n; i++) {
        dray_autofree char *spec = find_file(dirs.v[i], name, "spec");
        if (spec)
            return take_spec(spec, out, err);
        dray_autofree char *json = find_file(dirs.v[i], name, "json");
        if (json)
            return take_json(json, out, err);
    }
    return DRAY_E_NOTFOUND;
}

int dray_remote_find(const struct dray_host *host, const char *name, struct dray_remote_addr *out,
                     struct dray_err *err)
{
    int rc = try_sockets(host->opt_list(host, "socket-dirs"), name, out, err);
    if (rc == DRAY_E_NOTFOUND)
        rc = try_specs(host->opt_list(host, "spec-dirs"), name, out, err);
    if (rc == DRAY_E_NOTFOUND)
        return dray_fail(err, rc, "plugin \"%s\" not found", name);
    return rc;
}

int32_t dray_remote_claim(const struct dray_host *host, uint32_t kind, const char *name,
                          struct dray_err *err)
{
    (void)kind;
    DRAY_AUTO(dray_remote_addr) addr = {0};
    return dray_remote_find(host, name, &addr, err);
}
