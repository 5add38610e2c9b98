/* SPDX-License-Identifier: Apache-2.0 */
/* log_opts.c - the --log-opt keys that are the engine's own. */
#include "engine/spec/log_opts.h"

#include "base/buf.h"
#include "base/json.h"
#include "base/strlist.h"
#include "plugin/driver.h"

#define CACHE "cache-"
#define CACHE_LEN 6
#define BUFFER_DEFAULT (1 << 20)

static const char *const OWN_KEYS[] = {"mode",           "max-buffer-size", "cache-disabled",
                                       "cache-max-size", "cache-max-file",  "cache-compress"};

static bool is_ours(const char *key)
{
    for (size_t i = 0; i < sizeof OWN_KEYS / sizeof OWN_KEYS[0]; i++)
        if (strcmp(OWN_KEYS[i], key) == 0)
            return true;
    return false;
}

/* "4m", "1g", "512kb": bytes in powers of 1024. */
static bool parse_size(const char *text, int64_t *out)
{
    static const char units[] = "bkmgtp";
    char *end = NULL;
    double v = strtod(text, &end);
    if (end == text || !(v >= 0))
        return false;
    end += strspn(end, " ");
    const char *unit = *end ? strchr(units, *end | 0x20) : units;
    if (!unit)
        return false;
    v *= (double)(INT64_C(1) << (10 * (unit - units)));
    end += *end != '\0';
    end += strspn(end, "iI");
    end += unit != units && (*end | 0x20) == 'b';
    *out = v < 9e18 ? (int64_t)v : INT64_MAX;
    return *end == '\0';
}

int64_t dray_log_opts_buffer(struct json_object *opts)
{
    int64_t n = 0;
    return parse_size(dray_json_str(opts, "max-buffer-size", ""), &n) && n > 0 ? n : BUFFER_DEFAULT;
}

bool dray_log_opts_cached(struct json_object *opts)
{
    bool off = false;
    (void)dray_str_bool(dray_json_str(opts, "cache-disabled", ""), &off);
    return !off;
}

static int check_ours(struct json_object *opts, struct dray_err *err)
{
    const char *mode = dray_json_str(opts, "mode", "");
    const char *size = dray_json_str(opts, "max-buffer-size", NULL);
    const char *off = dray_json_str(opts, "cache-disabled", "");
    bool drops = strcmp(mode, "non-blocking") == 0, flag = false;
    int64_t n = 0;
    if (*mode && !drops && strcmp(mode, "blocking") != 0)
        return dray_fail(err, DRAY_E_INVAL, "logger: logging mode not supported: %s", mode);
    if (size && !drops)
        return dray_fail(err, DRAY_E_INVAL,
                         "logger: max-buffer-size option is only supported with "
                         "'mode=non-blocking'");
    if (size && !parse_size(size, &n))
        return dray_fail(err, DRAY_E_INVAL,
                         "error parsing option max-buffer-size: invalid size: '%s'", size);
    if (*off && !dray_str_bool(off, &flag))
        return dray_fail(err, DRAY_E_INVAL, "invalid value for option cache-disabled: %s", off);
    return 0;
}

static struct json_object *filter(struct json_object *opts, bool cache)
{
    struct json_object *out = json_object_new_object();
    if (!opts)
        return out;
    json_object_object_foreach(opts, key, value)
    {
        bool cached = strncmp(key, CACHE, CACHE_LEN) == 0 && is_ours(key);
        if (cache && cached && strcmp(key, "cache-disabled") != 0)
            dray_json_add(out, key + CACHE_LEN, dray_json_copy(value));
        else if (!cache && !is_ours(key))
            dray_json_add(out, key, dray_json_copy(value));
    }
    return out;
}

struct json_object *dray_log_opts_own(struct json_object *opts)
{
    return filter(opts, false);
}

struct json_object *dray_log_opts_cache(struct json_object *opts)
{
    return filter(opts, true);
}

static int validate(struct dray_driver *d, struct json_object *opts /* takes */,
                    struct dray_err *err)
{
    dray_autojson *held = opts;
    DRAY_AUTO(dray_kvlist) list = {0};
    int rc = dray_json_to_kvlist(held, &list, err);
    if (rc || !dray_driver_has(d, "validate"))
        return rc;
    return dray_driver_call(d, log, DRAY_CLASS_QUICK, err, validate, dray_kvlist_view(&list));
}

int dray_log_opts_check(struct dray_drivers *drivers, const char *driver, struct json_object *opts,
                        struct dray_err *err)
{
    struct dray_driver *d = dray_drivers_find(drivers, DRAY_KIND_LOG, driver);
    if (!d)
        return dray_fail(err, DRAY_E_INVAL, "logger: no log driver named '%s' is registered",
                         driver);
    if (strcmp(driver, "none") == 0)
        return 0;
    int rc = check_ours(opts, err);
    if (!rc)
        rc = validate(d, dray_log_opts_own(opts), err);
    struct dray_driver *cache = dray_drivers_find(drivers, DRAY_KIND_LOG, DRAY_LOG_CACHE_DRIVER);
    if (!rc && cache)
        rc = validate(cache, dray_log_opts_cache(opts), err);
    return rc;
}
