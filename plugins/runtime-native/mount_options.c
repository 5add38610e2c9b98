/* SPDX-License-Identifier: Apache-2.0 */
/* mount_options.c - what the words in a mount's list of options mean (OCI runtime-spec, mount(8)).
 */
#include "mount.h"

#include <dray/util.h>

#define ATIME UINT64_C(0x70)

enum kind { SET, CLEAR, REC_SET, REC_CLEAR, PROPAGATION, BIND, COPYUP, NOTHING };

struct word {
    const char *name;
    enum kind kind;
    uint64_t flag;
    bool rec;
};

static const struct word words_table[] = {
    {"ro", SET, MOUNT_ATTR_RDONLY, false},
    {"rw", CLEAR, MOUNT_ATTR_RDONLY, false},
    {"nosuid", SET, MOUNT_ATTR_NOSUID, false},
    {"suid", CLEAR, MOUNT_ATTR_NOSUID, false},
    {"nodev", SET, MOUNT_ATTR_NODEV, false},
    {"dev", CLEAR, MOUNT_ATTR_NODEV, false},
    {"noexec", SET, MOUNT_ATTR_NOEXEC, false},
    {"exec", CLEAR, MOUNT_ATTR_NOEXEC, false},
    {"nosymfollow", SET, MOUNT_ATTR_NOSYMFOLLOW, false},
    {"symfollow", CLEAR, MOUNT_ATTR_NOSYMFOLLOW, false},
    {"nodiratime", SET, MOUNT_ATTR_NODIRATIME, false},
    {"diratime", CLEAR, MOUNT_ATTR_NODIRATIME, false},
    {"noatime", SET, MOUNT_ATTR_NOATIME, false},
    {"atime", CLEAR, MOUNT_ATTR_NOATIME, false},
    {"strictatime", SET, MOUNT_ATTR_STRICTATIME, false},
    {"relatime", SET, MOUNT_ATTR_RELATIME, false},
    {"nostrictatime", CLEAR, MOUNT_ATTR_STRICTATIME, false},
    {"norelatime", NOTHING, 0, false},
    {"rro", REC_SET, MOUNT_ATTR_RDONLY, true},
    {"rrw", REC_CLEAR, MOUNT_ATTR_RDONLY, true},
    {"rnosuid", REC_SET, MOUNT_ATTR_NOSUID, true},
    {"rsuid", REC_CLEAR, MOUNT_ATTR_NOSUID, true},
    {"rnodev", REC_SET, MOUNT_ATTR_NODEV, true},
    {"rdev", REC_CLEAR, MOUNT_ATTR_NODEV, true},
    {"rnoexec", REC_SET, MOUNT_ATTR_NOEXEC, true},
    {"rexec", REC_CLEAR, MOUNT_ATTR_NOEXEC, true},
    {"rnosymfollow", REC_SET, MOUNT_ATTR_NOSYMFOLLOW, true},
    {"rsymfollow", REC_CLEAR, MOUNT_ATTR_NOSYMFOLLOW, true},
    {"rnodiratime", REC_SET, MOUNT_ATTR_NODIRATIME, true},
    {"rnoatime", REC_SET, MOUNT_ATTR_NOATIME, true},
    {"rstrictatime", REC_SET, MOUNT_ATTR_STRICTATIME, true},
    {"rrelatime", REC_SET, MOUNT_ATTR_RELATIME, true},
    {"private", PROPAGATION, MS_PRIVATE, false},
    {"rprivate", PROPAGATION, MS_PRIVATE, true},
    {"slave", PROPAGATION, MS_SLAVE, false},
    {"rslave", PROPAGATION, MS_SLAVE, true},
    {"shared", PROPAGATION, MS_SHARED, false},
    {"rshared", PROPAGATION, MS_SHARED, true},
    {"unbindable", PROPAGATION, MS_UNBINDABLE, false},
    {"runbindable", PROPAGATION, MS_UNBINDABLE, true},
    {"bind", BIND, 0, false},
    {"rbind", BIND, 0, true},
    {"tmpcopyup", COPYUP, 0, false},
    {"defaults", NOTHING, 0, false},
    {"loud", NOTHING, 0, false},
    {"async", NOTHING, 0, false},
    {"nomand", NOTHING, 0, false},
    {"nolazytime", NOTHING, 0, false},
    {"noiversion", NOTHING, 0, false},
    {"remount", NOTHING, 0, false},
    {"z", NOTHING, 0, false},
    {"Z", NOTHING, 0, false},
};

static bool is_atime(uint64_t flag, enum kind kind)
{
    return (kind == SET || kind == REC_SET) &&
           (flag == MOUNT_ATTR_RELATIME || (flag & (MOUNT_ATTR_NOATIME | MOUNT_ATTR_STRICTATIME)));
}

static void attr(uint64_t *set, uint64_t *clr, const struct word *w)
{
    bool on = w->kind == SET || w->kind == REC_SET;
    /* The three ways to keep access times are values of one field. */
    if (is_atime(w->flag, w->kind) ||
        (!on && (w->flag & (MOUNT_ATTR_NOATIME | MOUNT_ATTR_STRICTATIME)))) {
        *set &= ~ATIME;
        *clr |= ATIME;
        if (on)
            *set |= w->flag;
        return;
    }
    if (on) {
        *set |= w->flag;
        *clr &= ~w->flag;
    } else {
        *clr |= w->flag;
        *set &= ~w->flag;
    }
}

static void apply(const struct word *w, struct rn_mount_opts *o)
{
    switch (w->kind) {
    case SET:
    case CLEAR:
        attr(&o->attr_set, &o->attr_clr, w);
        break;
    case REC_SET:
    case REC_CLEAR:
        attr(&o->rec_set, &o->rec_clr, w);
        break;
    case PROPAGATION:
        o->propagation = (unsigned long)w->flag;
        o->propagation_rec = w->rec;
        break;
    case BIND:
        o->bind = true;
        o->rec = w->rec;
        break;
    case COPYUP:
        o->copyup = true;
        break;
    case NOTHING:
        break;
    }
}

int rn_mount_options(const char *const *words, size_t n, struct rn_mount_opts *out,
                     struct dray_err *err)
{
    const size_t n_table = sizeof words_table / sizeof words_table[0];
    memset(out, 0, offsetof(struct rn_mount_opts, data));
    out->n_data = 0;
    for (size_t i = 0; i < n; i++) {
        const struct word *w = NULL;
        for (size_t k = 0; k < n_table && !w; k++)
            if (strcmp(words_table[k].name, words[i]) == 0)
                w = &words_table[k];
        if (w)
            apply(w, out);
        else if (!*words[i])
            continue;
        else if (out->n_data == RN_MOUNT_DATA_MAX)
            return dray_fail(err, DRAY_E_INVAL, "too many mount options");
        else
            out->data[out->n_data++] = words[i];
    }
    return 0;
}

bool rn_mount_is_bind(const struct rn_spec_mount *m)
{
    if (strcmp(m->type, "bind") == 0)
        return true;
    for (size_t i = 0; i < m->options.n; i++)
        if (strcmp(m->options.v[i], "bind") == 0 || strcmp(m->options.v[i], "rbind") == 0)
            return true;
    return false;
}
