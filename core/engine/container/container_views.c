/* SPDX-License-Identifier: Apache-2.0 */
/* container_views.c - parts of a container as both inspect and the list show them. */
#include "base/buf.h"
#include "base/json.h"
#include "engine/container/container.h"

struct json_object *dray_container_mount_view(struct json_object *point)
{
    static const char *const keys[] = {"Type",   "Name", "Source", "Destination",
                                       "Driver", "Mode", "RW",     "Propagation"};
    struct json_object *o = json_object_new_object();
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (dray_json_get(point, keys[i]))
            dray_json_add(o, keys[i], dray_json_copy(dray_json_get(point, keys[i])));
    /* That of an image is kept without what makes others take it for a volume. */
    if (strcmp(dray_json_str(point, "Type", ""), "image") == 0) {
        dray_json_add_str(o, "Name", dray_json_str(point, "Source", ""));
        dray_json_add_str(o, "Propagation", "rprivate");
    }
    return o;
}

struct json_object *dray_endpoint_view(struct json_object *ep)
{
    static const char *const objects[] = {"IPAMConfig", "DriverOpts"};
    static const char *const arrays[] = {"Links", "Aliases", "DNSNames"};
    static const char *const texts[] = {"NetworkID",        "EndpointID", "Gateway",
                                        "IPAddress",        "MacAddress", "IPv6Gateway",
                                        "GlobalIPv6Address"};
    static const char *const ints[] = {"GwPriority", "IPPrefixLen", "GlobalIPv6PrefixLen"};
    struct json_object *o = json_object_new_object();
    for (size_t i = 0; i < 2; i++)
        dray_json_add(o, objects[i], dray_json_copy(dray_json_obj(ep, objects[i])));
    for (size_t i = 0; i < 3; i++)
        dray_json_add(o, arrays[i], dray_json_copy(dray_json_arr(ep, arrays[i])));
    for (size_t i = 0; i < 7; i++)
        dray_json_add_str(o, texts[i], dray_json_str(ep, texts[i], ""));
    for (size_t i = 0; i < 3; i++)
        dray_json_add_int(o, ints[i], dray_json_int(ep, ints[i], 0));
    return o;
}

/* The part of its row in a list that is fixed. */

static char *command_text(struct json_object *config)
{
    DRAY_AUTO(dray_buf) b = {0};
    struct json_object *parts[] = {dray_json_arr(config, "Entrypoint"),
                                   dray_json_arr(config, "Cmd")};
    for (size_t k = 0; k < 2; k++) {
        for (size_t i = 0; i < dray_json_len(parts[k]); i++) {
            const char *word = json_object_get_string(json_object_array_get_idx(parts[k], i));
            bool quote = b.len > 0 && strchr(word, ' ');
            dray_buf_addf(&b, quote ? "%s'%s'" : "%s%s", b.len ? " " : "", word);
        }
    }
    return dray_buf_steal(&b);
}

void dray_container_resummarize(struct dray_container *c)
{
    dray_autojson *config = dray_container_text(c->config);
    dray_autojson *host = dray_container_text(c->host);
    dray_autojson *points = dray_container_text(c->mounts);
    dray_container_summarize(c, config, host, points);
}

void dray_container_summarize(struct dray_container *c, struct json_object *config,
                              struct json_object *host, struct json_object *points)
{
    dray_autojson *row = json_object_new_object();
    struct json_object *mounts = json_object_new_array();
    dray_json_add_str(row, "Id", c->id);
    dray_json_add_str(row, "ImageID", c->image_id);
    dray_autofree char *command = command_text(config);
    dray_json_add_str(row, "Command", command ? command : "");
    dray_json_add_int(row, "Created", c->created_ns / DRAY_NS_PER_S);
    struct json_object *labels = dray_json_obj(config, "Labels");
    dray_json_add(row, "Labels", labels ? dray_json_copy(labels) : json_object_new_object());
    for (size_t i = 0; i < dray_json_len(points); i++)
        json_object_array_add(mounts,
                              dray_container_mount_view(json_object_array_get_idx(points, i)));
    dray_json_add(row, "Mounts", mounts);
    struct json_object *hc = json_object_new_object();
    dray_json_add_str(hc, "NetworkMode", dray_json_str(host, "NetworkMode", ""));
    dray_json_add(row, "HostConfig", hc);
    const char *text = dray_json_text(row);
    free(c->summary);
    c->summary = strndup(text, strlen(text) - 2); /* without the "}}" of HostConfig and itself */
    struct json_object *notes = dray_json_obj(host, "Annotations");
    free(c->notes);
    c->notes = notes ? strdup(dray_json_text(notes)) : NULL;
}
