/* SPDX-License-Identifier: Apache-2.0 */
/* specs.c - ports, volumes, devices, limits and other short flag languages of run and create. */
#include "client/spec/specs.h"

#include "base/buf.h"
#include "base/fs.h"
#include "base/json.h"
#include "client/cli.h"
#include "client/units.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <fcntl.h>

struct range {
    long first, last;
};

static bool parse_port(const char *text, size_t len, long *out)
{
    if (len == 0 || len > 5 || strspn(text, "0123456789") < len)
        return false;
    *out = strtol(text, NULL, 10);
    return *out <= 65535;
}

static bool parse_range(const char *text, size_t len, struct range *out)
{
    const char *dash = memchr(text, '-', len);
    if (!dash) {
        out->last = 0;
        bool ok = parse_port(text, len, &out->first);
        out->last = out->first;
        return ok;
    }
    size_t left = (size_t)(dash - text);
    return parse_port(text, left, &out->first) &&
           parse_port(dash + 1, len - left - 1, &out->last) && out->first <= out->last;
}

struct port_spec {
    char ip[64];
    char host[24];
    char container[24];
    char proto[12];
};

/* Cut "ip:host:container/proto" from the right, as addresses may hold colons. */
static int split_ports(const char *value, struct port_spec *s, struct dray_err *err)
{
    size_t len = strlen(value);
    const char *slash = memrchr(value, '/', len);
    size_t ports = slash ? (size_t)(slash - value) : len;
    const char *second = memrchr(value, ':', ports);
    size_t left = second ? (size_t)(second - value) : 0;
    const char *first = second ? memrchr(value, ':', left) : NULL;
    const char *at = second ? second + 1 : value;
    *s = (struct port_spec){.proto = "tcp"};
    (void)snprintf(s->container, sizeof s->container, "%.*s", (int)(value + ports - at), at);
    if (slash && slash[1])
        (void)snprintf(s->proto, sizeof s->proto, "%s", slash + 1);
    if (second)
        (void)snprintf(s->host, sizeof s->host, "%.*s", (int)(second - (first ? first + 1 : value)),
                       first ? first + 1 : value);
    if (first) {
        const char *ip = value;
        size_t n = (size_t)(first - value);
        if (n >= 2 && ip[0] == '[' && ip[n - 1] == ']') {
            ip++;
            n -= 2;
        }
        (void)snprintf(s->ip, sizeof s->ip, "%.*s", (int)n, ip);
        struct in6_addr addr;
        if (*s->ip && inet_pton(AF_INET, s->ip, &addr) != 1 &&
            inet_pton(AF_INET6, s->ip, &addr) != 1)
            return dray_fail(err, DRAY_E_INVAL, "invalid IP address: %s", s->ip);
    }
    return 0;
}

static int check_ports(const char *value, const struct port_spec *s, struct range *inside,
                       struct range *outside, struct dray_err *err)
{
    if (!*s->container)
        return dray_fail(err, DRAY_E_INVAL, "no port specified: %s<empty>", value);
    if (!parse_range(s->container, strlen(s->container), inside))
        return dray_fail(err, DRAY_E_INVAL, "invalid containerPort: %s", s->container);
    if (*s->host && !parse_range(s->host, strlen(s->host), outside))
        return dray_fail(err, DRAY_E_INVAL, "invalid hostPort: %s", s->host);
    if (*s->host && inside->first != inside->last &&
        inside->last - inside->first != outside->last - outside->first)
        return dray_fail(err, DRAY_E_INVAL,
                         "invalid ranges specified for container and host Ports: %s and %s",
                         s->container, s->host);
    if (strcasecmp(s->proto, "tcp") != 0 && strcasecmp(s->proto, "udp") != 0 &&
        strcasecmp(s->proto, "sctp") != 0)
        return dray_fail(err, DRAY_E_INVAL, "invalid proto: %s", s->proto);
    return 0;
}

static void add_binding(struct json_object *bindings, const char *key, const char *ip,
                        const char *port)
{
    struct json_object *list = NULL, *b = json_object_new_object();
    if (!json_object_object_get_ex(bindings, key, &list)) {
        list = json_object_new_array();
        json_object_object_add(bindings, key, list);
    }
    dray_json_add_str(b, "HostIp", ip);
    dray_json_add_str(b, "HostPort", port);
    json_object_array_add(list, b);
}

int spec_publish(const char *value, struct json_object *exposed, struct json_object *bindings,
                 struct dray_err *err)
{
    struct port_spec s;
    struct range in = {0, 0}, out = {0, 0};
    int rc = split_ports(value, &s, err);
    if (rc == 0)
        rc = check_ports(value, &s, &in, &out, err);
    if (rc != 0)
        return rc;
    for (char *c = s.proto; *c; c++)
        *c = (char)tolower((unsigned char)*c);
    bool dynamic = in.first == in.last && out.first != out.last;
    for (long p = in.first; p <= in.last; p++) {
        char key[40], port[24] = "";
        (void)snprintf(key, sizeof key, "%ld/%s", p, s.proto);
        if (dynamic)
            (void)snprintf(port, sizeof port, "%s", s.host);
        else if (*s.host)
            (void)snprintf(port, sizeof port, "%ld", out.first + p - in.first);
        json_object_object_add(exposed, key, json_object_new_object());
        add_binding(bindings, key, s.ip, port);
    }
    return 0;
}

int spec_expose(const char *value, struct json_object *exposed, struct dray_err *err)
{
    size_t len = strcspn(value, "/");
    const char *proto = value[len] == '/' && value[len + 1] ? value + len + 1 : "tcp";
    struct range r = {0, 0};
    if (memchr(value, ':', len))
        return dray_fail(err, DRAY_E_INVAL, "invalid port format for --expose: %s", value);
    if (!parse_range(value, len, &r) && r.first > r.last)
        return dray_fail(err, DRAY_E_INVAL,
                         "invalid range format for --expose: %s, error: invalid range specified "
                         "for port: %.*s",
                         value, (int)len, value);
    if (!parse_range(value, len, &r))
        return dray_fail(err, DRAY_E_INVAL,
                         "invalid range format for --expose: %s, error: strconv.ParseUint: parsing "
                         "\"%.*s\": invalid syntax",
                         value, (int)len, value);
    for (long p = r.first; p <= r.last; p++) {
        char key[40];
        (void)snprintf(key, sizeof key, "%ld/%.20s", p, proto);
        json_object_object_add(exposed, key, json_object_new_object());
    }
    return 0;
}

int spec_volume(const char *value, char **bind, char **anonymous, struct dray_err *err)
{
    const char *colon = strchr(value, ':');
    if (!*value || *value == ':')
        return dray_fail(err, DRAY_E_INVAL, "invalid spec: %s: empty section between colons",
                         value);
    if (!colon) {
        *anonymous = cli_strdup(value);
        return 0;
    }
    if (strstr(value, "::"))
        return dray_fail(err, DRAY_E_INVAL, "invalid spec: %s: empty section between colons",
                         value);
    size_t n = (size_t)(colon - value), colons = 0;
    for (const char *c = value; *c; c++)
        colons += *c == ':';
    if (colons > 2)
        return dray_fail(err, DRAY_E_INVAL, "invalid spec: %s: too many colons", value);
    if ((n == 1 && *value == '.') || dray_str_prefix(value, "./")) {
        dray_autofree char *cwd = getcwd(NULL, 0);
        size_t skip = n == 1 ? 1 : 2;
        *bind = cli_strf("%s%s%.*s%s", cwd ? cwd : "", n > skip ? "/" : "", (int)(n - skip),
                         value + skip, colon);
        return 0;
    }
    *bind = cli_strdup(value);
    return 0;
}

static bool permissions(const char *text)
{
    return *text && strspn(text, "rwm") == strlen(text) && strlen(text) <= 3;
}

int spec_device(const char *value, struct json_object **out, struct dray_err *err)
{
    DRAY_AUTO(dray_strlist) part = {0};
    (void)dray_strlist_split(&part, value, ':');
    const char *inside = part.n > 1 ? part.v[1] : part.v[0], *perm = "rwm";
    if (part.n == 2 && permissions(part.v[1])) {
        inside = part.v[0];
        perm = part.v[1];
    } else if (part.n == 3) {
        perm = part.v[2];
    }
    if (part.n == 3 && !permissions(perm))
        return dray_fail(err, DRAY_E_INVAL, "bad mode specified: %s", perm);
    if (part.n > 3)
        return dray_fail(err, DRAY_E_INVAL, "invalid device specification: %s", value);
    if (out) {
        *out = json_object_new_object();
        dray_json_add_str(*out, "PathOnHost", part.v[0]);
        dray_json_add_str(*out, "PathInContainer", *inside ? inside : part.v[0]);
        dray_json_add_str(*out, "CgroupPermissions", perm);
    }
    return 0;
}

int spec_device_check(const char *value, struct dray_err *err)
{
    const char *path = value;
    if (strchr(value, '=') && *value != '/')
        return 0; /* a CDI name */
    if (!*path || strstr(value, "::"))
        return dray_fail(err, DRAY_E_INVAL, "bad format for path: %s", value);
    const char *colon = strchr(value, ':');
    if (colon && colon[1] != '/' && !permissions(colon + 1))
        return dray_fail(err, DRAY_E_INVAL, "bad mode specified: %s", colon + 1);
    return 0;
}

int spec_device_rule_check(const char *value, struct dray_err *err)
{
    const char *p = value;
    bool ok = strchr("acb", *p) && *p && p[1] == ' ';
    for (int i = 0; ok && i < 2; i++) {
        p += i == 0 ? 2 : 1;
        size_t n = *p == '*' ? 1 : strspn(p, "0123456789");
        p += n;
        ok = n > 0 && *p == (i == 0 ? ':' : ' ');
    }
    if (!ok || !permissions(p + 1))
        return dray_fail(err, DRAY_E_INVAL, "invalid device cgroup format '%s'", value);
    return 0;
}

int spec_throttle(const char *value, const char *key, bool bytes, struct json_object **out,
                  struct dray_err *err)
{
    const char *colon = strchr(value, ':');
    int64_t n = 0;
    char *end = NULL;
    if (!colon || strchr(colon + 1, ':'))
        return dray_fail(err, DRAY_E_INVAL, "bad format: %s", value);
    if (!dray_str_prefix(value, "/dev/"))
        return dray_fail(err, DRAY_E_INVAL, "bad format for device path: %s", value);
    if (bytes && units_bytes(colon + 1, &n, NULL) != 0)
        return dray_fail(err, DRAY_E_INVAL,
                         "invalid rate for device: %s. The correct format is <device-path>:"
                         "<number>[<unit>]. Number must be a positive integer. Unit is optional "
                         "and can be kb, mb, or gb",
                         value);
    if (!bytes)
        n = strtoll(colon + 1, &end, 10);
    if (end && (*end || n < 0))
        return dray_fail(err, DRAY_E_INVAL,
                         strcmp(key, "Weight") == 0
                             ? "invalid weight for device: %s"
                             : "invalid rate for device: %s. The correct format is <device-path>:"
                               "<number>. Number must be a positive integer",
                         value);
    if (strcmp(key, "Weight") == 0 && n > 0 && (n < 10 || n > 1000))
        return dray_fail(err, DRAY_E_INVAL, "invalid weight for device: %s", value);
    if (out) {
        *out = json_object_new_object();
        json_object_object_add(*out, "Path",
                               json_object_new_string_len(value, (int)(colon - value)));
        dray_json_add_int(*out, key, n);
    }
    return 0;
}

int spec_throttle_check(const char *value, struct dray_err *err)
{
    return spec_throttle(value, "Rate", true, NULL, err);
}

int spec_iops_check(const char *value, struct dray_err *err)
{
    return spec_throttle(value, "Rate", false, NULL, err);
}

int spec_weight_check(const char *value, struct dray_err *err)
{
    return spec_throttle(value, "Weight", false, NULL, err);
}

int spec_restart(const char *value, struct json_object **out, struct dray_err *err)
{
    const char *colon = strchr(value, ':');
    char *end = NULL;
    long max = colon ? strtol(colon + 1, &end, 10) : 0;
    if (colon == value)
        return dray_fail(err, DRAY_E_INVAL,
                         "invalid restart policy format: no policy provided before colon");
    if (colon && (*end || end == colon + 1))
        return dray_fail(err, DRAY_E_INVAL,
                         "invalid restart policy format: maximum retry count must be an integer");
    *out = json_object_new_object();
    json_object_object_add(
        *out, "Name",
        json_object_new_string_len(value, colon ? (int)(colon - value) : (int)strlen(value)));
    dray_json_add_int(*out, "MaximumRetryCount", max);
    return 0;
}

int spec_security(const char *value, char **out, struct dray_err *err)
{
    size_t n = strcspn(value, "=:");
    if (!value[n] && strcmp(value, "no-new-privileges") != 0)
        return dray_fail(err, DRAY_E_INVAL, "Invalid --security-opt: \"%s\"", value);
    const char *arg = value[n] ? value + n + 1 : "";
    if (n != 7 || memcmp(value, "seccomp", 7) != 0 || strcmp(arg, "unconfined") == 0 ||
        strcmp(arg, "builtin") == 0) {
        *out = value[n] == ':' ? cli_strf("%.*s=%s", (int)n, value, arg) : cli_strdup(value);
        return 0;
    }
    DRAY_AUTO(dray_buf) text = {0};
    dray_autojson *doc = NULL;
    struct dray_err why = {0};
    if (dray_fs_read(AT_FDCWD, arg, 16 << 20, &text, &why) != 0)
        return dray_fail(err, DRAY_E_INVAL, "opening seccomp profile (%s) failed: %s", arg,
                         why.os_errno ? strerror(why.os_errno) : why.text);
    if (dray_json_parse(text.data ? text.data : "", text.len, &doc, &why) != 0)
        return dray_fail(err, DRAY_E_INVAL, "compacting json for seccomp profile (%s) failed: %s",
                         arg, why.text);
    *out = cli_strf("seccomp=%s", dray_json_text(doc));
    return 0;
}

static int env_line(char *line, bool environ_values, const char *path, struct dray_strlist *out,
                    struct dray_err *err)
{
    line += strspn(line, " \t");
    size_t len = strlen(line);
    if (len && line[len - 1] == '\r')
        line[--len] = '\0';
    if (!*line || *line == '#')
        return 0;
    size_t name = strcspn(line, "=");
    if (name == 0)
        return dray_fail(err, DRAY_E_INVAL, "invalid env file (%s): no variable name on line '%s'",
                         path, line);
    for (size_t i = 0; i < name; i++)
        if (isspace((unsigned char)line[i]))
            return dray_fail(err, DRAY_E_INVAL,
                             "invalid env file (%s): variable '%.*s' contains whitespaces", path,
                             (int)name, line);
    if (line[name] == '=') {
        (void)dray_strlist_add(out, line);
    } else if (environ_values) {
        const char *v = getenv(line);
        if (v)
            (void)dray_strlist_addf(out, "%s=%s", line, v);
    } else {
        (void)dray_strlist_add(out, line);
    }
    return 0;
}

int spec_env_file(const char *path, bool environ_values, struct dray_strlist *out,
                  struct dray_err *err)
{
    DRAY_AUTO(dray_buf) text = {0};
    struct dray_err why = {0};
    if (dray_fs_read(AT_FDCWD, path, 64 << 20, &text, &why) != 0)
        return dray_fail(err, DRAY_E_NOTFOUND, "open %s: %s", path,
                         why.code == DRAY_E_NOTFOUND ? "no such file or directory" : why.text);
    char *p = text.data;
    if (p && memcmp(p, "\xef\xbb\xbf", text.len < 3 ? text.len : 3) == 0 && text.len >= 3)
        p += 3;
    while (p && *p) {
        char *nl = strchr(p, '\n');
        if (nl)
            *nl = '\0';
        int rc = env_line(p, environ_values, path, out, err);
        if (rc != 0)
            return rc;
        p = nl ? nl + 1 : NULL;
    }
    return 0;
}

struct json_object *spec_map(const struct dray_strlist *words)
{
    struct json_object *o = json_object_new_object();
    for (size_t i = 0; i < words->n; i++) {
        const char *eq = strchr(words->v[i], '=');
        dray_autofree char *key =
            eq ? cli_strf("%.*s", (int)(eq - words->v[i]), words->v[i]) : cli_strdup(words->v[i]);
        dray_json_add_str(o, key, eq ? eq + 1 : "");
    }
    return o;
}

static bool known_limit(const char *name, size_t len)
{
    static const char *const names[] = {
        "as",   "core",   "cpu",   "data", "fsize",  "locks",  "memlock",    "msgqueue",
        "nice", "nofile", "nproc", "rss",  "rtprio", "rttime", "sigpending", "stack"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strlen(names[i]) == len && memcmp(names[i], name, len) == 0)
            return true;
    return false;
}

int spec_ulimit(const char *value, struct json_object **out, struct dray_err *err)
{
    const char *eq = strchr(value, '=');
    if (!eq || strchr(eq + 1, '='))
        return dray_fail(err, DRAY_E_INVAL, "invalid ulimit argument: %s", value);
    if (!known_limit(value, (size_t)(eq - value)))
        return dray_fail(err, DRAY_E_INVAL, "invalid ulimit type: %.*s", (int)(eq - value), value);
    char *end = NULL;
    const char *p = eq + 1;
    long long soft = strtoll(p, &end, 10), hard = soft;
    if (end != p && *end == ':') {
        p = end + 1;
        hard = strtoll(p, &end, 10);
    }
    if (end == p || *end)
        return dray_fail(err, DRAY_E_INVAL, "strconv.ParseInt: parsing \"%s\": invalid syntax", p);
    if (hard != -1 && (soft == -1 || soft > hard))
        return dray_fail(err, DRAY_E_INVAL,
                         "ulimit soft limit must be less than or equal to hard limit: %lld > %lld",
                         soft, hard);
    if (out) {
        *out = json_object_new_object();
        json_object_object_add(*out, "Name", json_object_new_string_len(value, (int)(eq - value)));
        dray_json_add_int(*out, "Soft", soft);
        dray_json_add_int(*out, "Hard", hard);
    }
    return 0;
}

int spec_ulimit_check(const char *value, struct dray_err *err)
{
    return spec_ulimit(value, NULL, err);
}

int spec_host_check(const char *value, struct dray_err *err)
{
    size_t n = strcspn(value, ":=");
    if (n == 0 || !value[n] || !value[n + 1])
        return dray_fail(err, DRAY_E_INVAL, "bad format for add-host: \"%s\"", value);
    if (strcmp(value + n + 1, "host-gateway") == 0)
        return 0;
    char ip[64];
    const char *from = value + n + 1;
    size_t len = strlen(from);
    if (len >= 2 && *from == '[' && from[len - 1] == ']') {
        from++;
        len -= 2;
    }
    (void)snprintf(ip, sizeof ip, "%.*s", (int)len, from);
    struct in6_addr a;
    if (inet_pton(AF_INET, ip, &a) != 1 && inet_pton(AF_INET6, ip, &a) != 1)
        return dray_fail(err, DRAY_E_INVAL, "invalid IP address in add-host: \"%s\"", ip);
    return 0;
}

int spec_env_check(const char *value, struct dray_err *err)
{
    return *value && *value != '='
               ? 0
               : dray_fail(err, DRAY_E_INVAL, "invalid environment variable: %s", value);
}

int spec_attach_check(const char *value, struct dray_err *err)
{
    static const char *const names[] = {"stdin", "stdout", "stderr"};
    for (int i = 0; i < 3; i++)
        if (strcasecmp(value, names[i]) == 0)
            return 0;
    return dray_fail(err, DRAY_E_INVAL, "valid streams are STDIN, STDOUT and STDERR");
}

int spec_link_check(const char *value, struct dray_err *err)
{
    const char *colon = strchr(value, ':');
    if (!*value)
        return dray_fail(err, DRAY_E_INVAL, "empty string specified for links");
    return colon && strchr(colon + 1, ':')
               ? dray_fail(err, DRAY_E_INVAL, "bad format for links: %s", value)
               : 0;
}

int spec_ip_check(const char *value, struct dray_err *err)
{
    struct in6_addr a;
    if (inet_pton(AF_INET, value, &a) == 1 || inet_pton(AF_INET6, value, &a) == 1)
        return 0;
    return dray_fail(err, DRAY_E_INVAL, "IP address is not correctly formatted: %s", value);
}

bool spec_is_mac(const char *value)
{
    size_t len = strlen(value), each = len == 14 ? 4 : 2;
    if (len != 14 && len != 17)
        return false;
    char sep = each == 4 ? '.' : value[2];
    if (each == 2 && sep != ':' && sep != '-')
        return false;
    for (size_t i = 0; i < 12 / each; i++, value += each + 1)
        if (strspn(value, "0123456789abcdefABCDEF") != each ||
            value[each] != (i + 1 < 12 / each ? sep : '\0'))
            return false;
    return true;
}

/* What the kernel keeps apart by namespaces. */
int spec_sysctl_check(const char *value, struct dray_err *err)
{
    static const char *const single[] = {"kernel.msgmax", "kernel.msgmnb",         "kernel.msgmni",
                                         "kernel.sem",    "kernel.shmall",         "kernel.shmmax",
                                         "kernel.shmmni", "kernel.shm_rmid_forced"};
    size_t n = strcspn(value, "=");
    bool ok = value[n] && (strncmp(value, "net.", 4) == 0 || strncmp(value, "fs.mqueue.", 10) == 0);
    for (size_t i = 0; value[n] && i < sizeof single / sizeof *single; i++)
        ok = ok || (strlen(single[i]) == n && strncmp(single[i], value, n) == 0);
    return ok ? 0 : dray_fail(err, DRAY_E_INVAL, "sysctl '%s' is not allowed", value);
}

int spec_label_check(const char *value, struct dray_err *err)
{
    return *value && *value != '='
               ? 0
               : dray_fail(err, DRAY_E_INVAL, "invalid label '%s': empty name", value);
}
