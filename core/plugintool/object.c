/* SPDX-License-Identifier: Apache-2.0 */
/* object.c - how the shared object is linked: a plugin is never unmapped, exports one symbol, runs
 * no code before it is asked to. */
#include "check.h"

#include <elf.h>
#include <sys/mman.h>
#include <sys/stat.h>

struct object {
    const char *data;
    size_t size;
};

/* NULL when it would reach beyond the file. */
static const void *at(const struct object *o, uint64_t offset, uint64_t size)
{
    return offset <= o->size && size <= o->size - offset ? o->data + offset : NULL;
}

static const Elf64_Phdr *segment(const struct object *o, uint32_t type)
{
    const Elf64_Ehdr *eh = at(o, 0, sizeof *eh);
    for (unsigned i = 0; eh && i < eh->e_phnum; i++) {
        const Elf64_Phdr *ph = at(o, eh->e_phoff + i * sizeof *ph, sizeof *ph);
        if (ph && ph->p_type == type)
            return ph;
    }
    return NULL;
}

static uint64_t dynamic(const struct object *o, int64_t tag)
{
    const Elf64_Phdr *ph = segment(o, PT_DYNAMIC);
    for (uint64_t i = 0; ph && i < ph->p_filesz / sizeof(Elf64_Dyn); i++) {
        const Elf64_Dyn *d = at(o, ph->p_offset + i * sizeof *d, sizeof *d);
        if (d && d->d_tag == tag)
            return d->d_un.d_val;
    }
    return 0;
}

static const Elf64_Shdr *section(const struct object *o, uint32_t type)
{
    const Elf64_Ehdr *eh = at(o, 0, sizeof *eh);
    for (unsigned i = 0; eh && i < eh->e_shnum; i++) {
        const Elf64_Shdr *sh = at(o, eh->e_shoff + i * sizeof *sh, sizeof *sh);
        if (sh && sh->sh_type == type)
            return sh;
    }
    return NULL;
}

static const char *symbol_name(const struct object *o, const Elf64_Shdr *symbols, uint32_t name)
{
    const Elf64_Ehdr *eh = at(o, 0, sizeof *eh);
    uint64_t place = eh->e_shoff + symbols->sh_link * (uint64_t)sizeof(Elf64_Shdr);
    const Elf64_Shdr *strings = at(o, place, sizeof *strings);
    const char *text =
        strings && name < strings->sh_size ? at(o, strings->sh_offset + name, 1) : NULL;
    return text && memchr(text, '\0', o->size - (size_t)(text - o->data)) ? text : "";
}

static void check_symbols(struct ck *c, const struct object *o)
{
    const Elf64_Shdr *sh = section(o, SHT_DYNSYM);
    unsigned others = 0;
    const char *first = "";
    for (uint64_t i = 0; sh && i < sh->sh_size / sizeof(Elf64_Sym); i++) {
        const Elf64_Sym *s = at(o, sh->sh_offset + i * sizeof *s, sizeof *s);
        if (!s || s->st_shndx == SHN_UNDEF || ELF64_ST_BIND(s->st_info) == STB_LOCAL ||
            ELF64_ST_VISIBILITY(s->st_other) != STV_DEFAULT)
            continue;
        const char *name = symbol_name(o, sh, s->st_name);
        if (*name && *name != '_' && strcmp(name, DRAY_PLUGIN_SYMBOL) != 0 && !others++)
            first = name;
    }
    if (others)
        ck_warn(c,
                "it exports %u symbols beside " DRAY_PLUGIN_SYMBOL " (%s); compile it with "
                "-fvisibility=hidden",
                others, first);
}

void ck_object(struct ck *c, int fd)
{
    struct stat st;
    struct object o = {0};
    if (fstat(fd, &st) == 0)
        o.size = (size_t)st.st_size;
    void *map = mmap(NULL, o.size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED)
        return;
    o.data = map;
    if (!(dynamic(&o, DT_FLAGS_1) & DF_1_NODELETE))
        ck_warn(c, "it may be unmapped; link it with -Wl,-z,nodelete");
    if (!(dynamic(&o, DT_FLAGS_1) & DF_1_NOW))
        ck_warn(c, "its symbols are bound late; link it with -Wl,-z,now");
    const Elf64_Phdr *stack = segment(&o, PT_GNU_STACK);
    if (!stack || stack->p_flags & PF_X)
        ck_warn(c, "it wants a stack that can be executed; link it with -Wl,-z,noexecstack");
    /* One is the compiler's own. */
    if (dynamic(&o, DT_INIT_ARRAYSZ) > sizeof(void *))
        ck_warn(c, "it has constructors: code that runs before the host knows the plugin");
    check_symbols(c, &o);
    (void)munmap(map, o.size);
}
