/* SPDX-License-Identifier: Apache-2.0 */
/* add.c - what ADD does beyond COPY: archives are unpacked, URLs and repositories are fetched. */
#include "copy.h"

bool bd_add_is_remote(const char *source)
{
    return bd_prefix(source, "http://") || bd_prefix(source, "https://") ||
           bd_prefix(source, "git@") || bd_prefix(source, "git://") || bd_prefix(source, "ssh://");
}

int bd_add_fetch(struct bd_copying *c, const char *url, struct dray_err *err)
{
    (void)c;
    return dray_fail(err, DRAY_E_NOTSUP, "%s: not supported", url);
}

int bd_add_detect(struct bd_copying *c, struct bd_source *src, struct dray_err *err)
{
    struct bd_content content = {.fd = -EBADF};
    if (!c->add || c->in->unpack == 0 || !src->tree || !S_ISREG(src->entry.mode))
        return 0;
    int rc = src->tree->ops->open(src->tree, src->path, &content, err);
    if (!rc)
        src->unpack = bd_is_archive(&content);
    bd_content_close(&content);
    return rc;
}
