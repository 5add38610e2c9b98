/* SPDX-License-Identifier: Apache-2.0 */
/* card.c - the card of a plugin file, read without running any of its code. */
#include "plugin/card.h"

#include "base/json.h"
#include "plugin/driver.h"

#include <elf.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

#define MAX_SEGMENTS 256u
#define MAX_NOTE_SEGMENT 65536u
#define MAX_FILE (INT64_C(1) << 30)

#if defined(__x86_64__)
#define HOST_MACHINE EM_X86_64
#elif defined(__aarch64__)
#define HOST_MACHINE EM_AARCH64
#elif defined(__riscv)
#define HOST_MACHINE EM_RISCV
#elif defined(__powerpc64__)
#define HOST_MACHINE EM_PPC64
#elif defined(__s390x__)
#define HOST_MACHINE EM_S390
#else
#error "name the ELF machine of this architecture here"
#endif

/* --- whose file is it ------------------------------------------------------------------------- */

static int check_owner(const struct stat *st, const char *what, struct dray_err *err)
{
    if (st->st_uid != 0 && st->st_uid != geteuid())
        return dray_fail(err, DRAY_E_DENIED,
                         "%s belongs to user %u; a plugin and its folder must belong to root; "
                         "run chown root on it if you trust it",
                         what, (unsigned)st->st_uid);
    if (st->st_mode & (S_IWGRP | S_IWOTH))
        return dray_fail(err, DRAY_E_DENIED,
                         "%s may be changed by others (mode %04o); only its owner may write to a "
                         "plugin and its folder; run chmod go-w on it if you trust it",
                         what, (unsigned)(st->st_mode & 07777));
    return 0;
}

/* The folder where the opened file really lies, also behind symbolic links. */
static int check_folder(int fd, struct dray_err *err)
{
    char link[64];
    char path[PATH_MAX];
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n <= 0)
        return dray_fail_errno(err, "find the folder of the file");
    path[n] = '\0';
    char *slash = strrchr(path, '/');
    if (!slash)
        return dray_fail(err, DRAY_E_IO, "find the folder of the file");
    slash[slash == path ? 1 : 0] = '\0';
    struct stat st;
    if (stat(path, &st) != 0)
        return dray_fail_errno(err, "look at folder %s", path);
    return check_owner(&st, "its folder", err);
}

int dray_card_open_file(const char *path, bool insecure, int *fd_out, struct dray_err *err)
{
    dray_autofd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
        return dray_fail(err, DRAY_E_NOTFOUND,
                         "there is no such file; a plugin is a shared object (.so); correct the "
                         "path in the configuration or install the plugin");
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0)
        return dray_fail_errno(err, "open");
    if (!S_ISREG(st.st_mode))
        return dray_fail(err, DRAY_E_INVAL,
                         "it is not a regular file; a plugin is a shared object (.so); correct the "
                         "path in the configuration");
    if (!insecure) {
        int rc = check_owner(&st, "the file", err);
        if (!rc)
            rc = check_folder(fd, err);
        if (rc)
            return rc;
    }
    *fd_out = dray_steal_fd(&fd);
    return 0;
}

/* --- the ELF note ----------------------------------------------------------------------------- */

static bool read_at(int fd, void *out, size_t n, uint64_t at)
{
    char *p = out;
    while (n > 0) {
        ssize_t got = at > INT64_MAX ? 0 : pread(fd, p, n, (off_t)at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        p += got;
        at += (uint64_t)got;
        n -= (size_t)got;
    }
    return true;
}

static int not_elf(struct dray_err *err, const char *found)
{
    return dray_fail(err, DRAY_E_CORRUPT,
                     "it is not an ELF shared object: %s; a plugin is a shared object built for "
                     "this machine; build it again or remove the file from the plugin folder",
                     found);
}

static int read_header(int fd, Elf64_Ehdr *eh, struct dray_err *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0 || st.st_size > MAX_FILE)
        return not_elf(err, "it is too large");
    if (!read_at(fd, eh, sizeof *eh, 0) || memcmp(eh->e_ident, ELFMAG, SELFMAG) != 0)
        return not_elf(err, "its first bytes are other ones");
    const unsigned char data =
        __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? ELFDATA2LSB : ELFDATA2MSB;
    if (eh->e_ident[EI_CLASS] != ELFCLASS64 || eh->e_ident[EI_DATA] != data ||
        eh->e_machine != HOST_MACHINE)
        return not_elf(err, "it was built for another machine");
    if (eh->e_type != ET_DYN)
        return not_elf(err, "it is an object file or a program");
    if (eh->e_phentsize != sizeof(Elf64_Phdr) || eh->e_phnum == 0 || eh->e_phnum > MAX_SEGMENTS)
        return not_elf(err, "its program headers are damaged");
    return 0;
}

static size_t pad(size_t n, size_t align)
{
    return (n + align - 1) & ~(align - 1);
}

/* Look for the card among the notes of one segment. All sizes come from the file: every sum is
 * taken in 64 bits and compared with what is left. */
static const char *find_note(const char *seg, size_t len, size_t align, size_t *len_out)
{
    size_t at = 0;
    while (len - at >= sizeof(Elf64_Nhdr)) {
        Elf64_Nhdr h;
        memcpy(&h, seg + at, sizeof h);
        at += sizeof h;
        size_t name_room = pad(h.n_namesz, align);
        if (name_room > len - at)
            return NULL;
        const char *name = seg + at;
        at += name_room;
        if (h.n_descsz > len - at)
            return NULL;
        if (h.n_type == DRAY_NOTE_TYPE && h.n_namesz == sizeof DRAY_NOTE_OWNER &&
            memcmp(name, DRAY_NOTE_OWNER, sizeof DRAY_NOTE_OWNER) == 0) {
            *len_out = h.n_descsz;
            return seg + at;
        }
        size_t desc_room = pad(h.n_descsz, align);
        at += desc_room <= len - at ? desc_room : len - at;
    }
    return NULL;
}

static int copy_card(const char *desc, size_t n, char *text, size_t size, struct dray_err *err)
{
    if (n < 2 || n > DRAY_CARD_MAX || n > size || memchr(desc, '\0', n) != desc + n - 1)
        return dray_fail(err, DRAY_E_CORRUPT,
                         "its card (ELF note .note.dray.plugin) is damaged: %zu bytes; a card is "
                         "text of at most %d bytes; use DRAY_PLUGIN_CARD of <dray/plugin.h>",
                         n, DRAY_CARD_MAX);
    memcpy(text, desc, n);
    return 0;
}

int dray_card_read_note(int fd, char *text, size_t size, struct dray_err *err)
{
    Elf64_Ehdr eh = {.e_phnum = 0};
    int rc = read_header(fd, &eh, err);
    if (rc)
        return rc;
    for (uint64_t i = 0; i < eh.e_phnum; i++) {
        Elf64_Phdr ph;
        uint64_t at;
        if (__builtin_add_overflow(eh.e_phoff, i * sizeof ph, &at) ||
            !read_at(fd, &ph, sizeof ph, at))
            return not_elf(err, "its program headers lie outside of it");
        if (ph.p_type != PT_NOTE || ph.p_filesz == 0 || ph.p_filesz > MAX_NOTE_SEGMENT)
            continue;
        dray_autofree char *seg = malloc(ph.p_filesz);
        if (!seg)
            return dray_fail(err, DRAY_E_NOMEM, "out of memory");
        if (!read_at(fd, seg, ph.p_filesz, ph.p_offset))
            return not_elf(err, "its notes lie outside of it");
        size_t n = 0;
        const char *desc = find_note(seg, ph.p_filesz, ph.p_align == 8 ? 8 : 4, &n);
        if (desc)
            return copy_card(desc, n, text, size, err);
    }
    return dray_fail(err, DRAY_E_INVAL,
                     "it has no card (ELF note .note.dray.plugin), so it is no plugin of this "
                     "host; put DRAY_PLUGIN_CARD(...) of <dray/plugin.h> into its source, or "
                     "remove the file from the plugin folder");
}

/* --- what the card says ----------------------------------------------------------------------- */

bool dray_plugin_name_valid(const char *name)
{
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-");
    return n >= 1 && n <= DRAY_PLUGIN_NAME_MAX && name[n] == '\0' && name[0] != '-';
}

int dray_abi_check(uint32_t major, uint32_t minor, struct dray_err *err)
{
    if (major == DRAY_ABI_MAJOR && minor == DRAY_ABI_MINOR)
        return 0;
    bool newer = major > DRAY_ABI_MAJOR || (major == DRAY_ABI_MAJOR && minor > DRAY_ABI_MINOR);
    return dray_fail(err, DRAY_E_NOTSUP,
                     "it was built for plugin ABI %u.%u, which is %s; this host has %d.%d, and "
                     "before 1.0 both numbers must match; %s",
                     (unsigned)major, (unsigned)minor, newer ? "newer" : "older", DRAY_ABI_MAJOR,
                     DRAY_ABI_MINOR,
                     newer ? "update this host, or build the plugin against its SDK"
                           : "build the plugin against this host's SDK");
}

static int parse_kinds(struct json_object *doc, struct dray_card *card, struct dray_err *err)
{
    struct json_object *kinds = dray_json_arr(doc, "kinds");
    for (size_t i = 0; i < dray_json_len(kinds); i++) {
        struct json_object *v = json_object_array_get_idx(kinds, i);
        const char *name =
            json_object_is_type(v, json_type_string) ? json_object_get_string(v) : "?";
        uint32_t kind = dray_kind_parse(name);
        if (!kind)
            return dray_fail(err, DRAY_E_NOTSUP,
                             "its card names the unknown kind \"%.40s\"; this host knows storage, "
                             "network, ipam, volume, registry, runtime, log, builder, authz and "
                             "extension; correct the card or update this host",
                             name);
        card->kinds |= 1u << kind;
    }
    if (card->kinds)
        return 0;
    return dray_fail(err, DRAY_E_INVAL,
                     "its card names no kind; \"kinds\" is an array such as [\"volume\"]; correct "
                     "the card");
}

int dray_card_parse(const char *text, struct dray_card *card, struct dray_err *err)
{
    *card = (struct dray_card){0};
    dray_autojson *doc = NULL;
    if (dray_json_parse(text, strlen(text), &doc, err) ||
        !json_object_is_type(doc, json_type_object))
        return dray_fail(err, DRAY_E_CORRUPT,
                         "its card is not a JSON object; a card has name, version, abi, kinds and "
                         "license; correct DRAY_PLUGIN_CARD in its source");
    const char *name = dray_json_str(doc, "name", "");
    (void)snprintf(card->version, sizeof card->version, "%s", dray_json_str(doc, "version", ""));
    (void)snprintf(card->license, sizeof card->license, "%s", dray_json_str(doc, "license", ""));
    if (!dray_plugin_name_valid(name))
        return dray_fail(err, DRAY_E_INVAL,
                         "its card has the name \"%.70s\"; a name is 1 to %d of a-z, 0-9 and -; "
                         "correct the card",
                         name, DRAY_PLUGIN_NAME_MAX);
    (void)snprintf(card->name, sizeof card->name, "%s", name);
    card->family = dray_json_bool(doc, "family", false);
    const char *abi = dray_json_str(doc, "abi", "");
    int end = 0;
    if (sscanf(abi, "%5hu.%5hu%n", &card->major, &card->minor, &end) != 2 || abi[end] != '\0')
        return dray_fail(err, DRAY_E_INVAL,
                         "its card has the ABI \"%.20s\"; it must be like \"%d.%d\"; correct the "
                         "card",
                         abi, DRAY_ABI_MAJOR, DRAY_ABI_MINOR);
    int rc = dray_abi_check(card->major, card->minor, err);
    return rc ? rc : parse_kinds(doc, card, err);
}
