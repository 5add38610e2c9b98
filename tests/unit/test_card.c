/* SPDX-License-Identifier: Apache-2.0 */
/* test_card.c - the reader of ELF notes against sound, damaged and random files. */
#include "check.h"

#include "base/fs.h"
#include "plugin/card.h"
#include "plugin/driver.h"

#include <elf.h>
#include <fcntl.h>
#include <sys/mman.h>

/* A whole plugin in memory. */
static void load(struct dray_buf *b, const char *specimen)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s.so", SPECIMEN_DIR, specimen);
    CU_ASSERT_EQUAL_FATAL(dray_fs_read(AT_FDCWD, path, 64 << 20, b, NULL), 0);
}

/* Read the card of these bytes as if they were a file. */
static int read_bytes(const void *data, size_t len, char text[DRAY_CARD_MAX + 1])
{
    dray_autofd int fd = memfd_create("card", MFD_CLOEXEC);
    struct dray_err err = {0};
    CU_ASSERT_FATAL(fd >= 0);
    CU_ASSERT_EQUAL(dray_fs_write_all(fd, data, len, NULL), 0);
    int rc = dray_card_read_note(fd, text, DRAY_CARD_MAX + 1, &err);
    CU_ASSERT(rc == 0 || err.text[0]);
    return rc;
}

static void reads_a_card(void)
{
    DRAY_AUTO(dray_buf) b = {0};
    char text[DRAY_CARD_MAX + 1];
    struct dray_card card;
    load(&b, "good");
    CU_ASSERT_EQUAL(read_bytes(b.data, b.len, text), 0);
    CU_ASSERT_EQUAL(dray_card_parse(text, &card, NULL), 0);
    CU_ASSERT_STRING_EQUAL(card.name, "specimen");
    CU_ASSERT_STRING_EQUAL(card.version, "1.2.3");
    CU_ASSERT_STRING_EQUAL(card.license, "MIT");
    CU_ASSERT_EQUAL(card.kinds, 1u << DRAY_KIND_VOLUME);
}

static void reads_no_card_of_cut_files(void)
{
    DRAY_AUTO(dray_buf) b = {0};
    char text[DRAY_CARD_MAX + 1];
    load(&b, "good");
    /* Where the notes end; whatever is cut before that cannot be read. */
    Elf64_Ehdr eh;
    memcpy(&eh, b.data, sizeof eh);
    size_t end = 0;
    for (size_t i = 0; i < eh.e_phnum; i++) {
        Elf64_Phdr ph;
        memcpy(&ph, b.data + eh.e_phoff + i * sizeof ph, sizeof ph);
        if (ph.p_type == PT_NOTE && memmem(b.data + ph.p_offset, ph.p_filesz, "specimen", 8))
            end = ph.p_offset + ph.p_filesz;
    }
    CU_ASSERT_FATAL(end > 0);
    for (size_t n = 0; n < end; n += 7)
        CU_ASSERT_NOT_EQUAL(read_bytes(b.data, n, text), 0);
    CU_ASSERT_EQUAL(read_bytes(b.data, end, text), 0);
}

/* A file of one PT_NOTE segment with the given content. */
static int read_notes(const void *notes, size_t len, uint64_t align, uint64_t claim)
{
    struct {
        Elf64_Ehdr eh;
        Elf64_Phdr ph;
        char notes[4096];
    } f = {0};
    char text[DRAY_CARD_MAX + 1];
    DRAY_AUTO(dray_buf) good = {0};
    load(&good, "good");
    memcpy(&f.eh, good.data, sizeof f.eh);
    f.eh.e_phoff = sizeof f.eh;
    f.eh.e_phnum = 1;
    f.ph = (Elf64_Phdr){.p_type = PT_NOTE,
                        .p_offset = offsetof(__typeof__(f), notes),
                        .p_filesz = claim,
                        .p_align = align};
    memcpy(f.notes, notes, len);
    return read_bytes(&f, offsetof(__typeof__(f), notes) + len, text);
}

struct note {
    uint32_t namesz, descsz, type;
    char rest[64];
};

static void survives_hostile_notes(void)
{
    struct note n = {5, 8, DRAY_NOTE_TYPE, "dray\0\0\0\0{\"a\":1}"};
    const size_t all = 12 + 8 + 8;
    CU_ASSERT_EQUAL(read_notes(&n, all, 4, all), 0);
    CU_ASSERT_EQUAL(read_notes(&n, all, 8, all), 0);
    CU_ASSERT_NOT_EQUAL(read_notes(&n, all, 4, all - 1), 0);
    CU_ASSERT_NOT_EQUAL(read_notes(&n, all, 4, all + 1), 0);
    CU_ASSERT_NOT_EQUAL(read_notes(&n, all, 4, UINT64_MAX), 0);
    static const uint32_t sizes[] = {0, 1, 6, 0x7fffffff, 0x80000000, 0xfffffff8, 0xffffffff};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct note m = n;
        m.namesz = sizes[i];
        CU_ASSERT_NOT_EQUAL(read_notes(&m, all, 4, all), 0);
        m = n;
        m.descsz = sizes[i];
        CU_ASSERT_NOT_EQUAL(read_notes(&m, all, 4, all), 0);
    }
    struct note unended = n;
    memset(unended.rest + 8, 'x', 8);
    CU_ASSERT_NOT_EQUAL(read_notes(&unended, all, 4, all), 0);
    /* The second of two notes is found. */
    struct note two[2] = {{4, 1, 3, "GNU"}, n};
    memmove((char *)two + 20, &two[1], sizeof n);
    CU_ASSERT_EQUAL(read_notes(two, 20 + all, 4, 20 + all), 0);
}

/* Random damage anywhere must never crash, hang or read out of bounds (run under sanitizers). */
static void survives_random_damage(void)
{
    DRAY_AUTO(dray_buf) b = {0};
    load(&b, "good");
    unsigned seed = 20240229;
    for (int round = 0; round < 3000; round++) {
        char text[DRAY_CARD_MAX + 1];
        size_t len = b.len < 4096 ? b.len : 4096;
        dray_autofree unsigned char *copy = malloc(len);
        CU_ASSERT_PTR_NOT_NULL_FATAL(copy);
        memcpy(copy, b.data, len);
        for (int i = 0; i < 1 + round % 8; i++) {
            /* Half of the damage goes where the headers are. */
            size_t span = rand_r(&seed) % 2 ? 700 : len;
            copy[(size_t)rand_r(&seed) % span] = (unsigned char)rand_r(&seed);
        }
        struct dray_card card;
        if (read_bytes(copy, len, text) == 0)
            (void)dray_card_parse(text, &card, NULL);
    }
}

static void survives_random_cards(void)
{
    static const char sound[] = "{\"name\":\"a\",\"version\":\"1\",\"abi\":\"0.1\",\"kinds\":"
                                "[\"volume\"],\"license\":\"MIT\"}";
    unsigned seed = 7;
    struct dray_card card;
    CU_ASSERT_EQUAL(dray_card_parse(sound, &card, NULL), 0);
    for (int round = 0; round < 20000; round++) {
        char text[sizeof sound];
        memcpy(text, sound, sizeof sound);
        for (int i = 0; i < 1 + round % 4; i++)
            text[(size_t)rand_r(&seed) % (sizeof sound - 1)] = (char)(1 + rand_r(&seed) % 255);
        struct dray_err err = {0};
        bool bad = dray_card_parse(text, &card, &err) != 0;
        CU_ASSERT_TRUE(bad ? err.code != 0 && err.text[0] : dray_plugin_name_valid(card.name));
    }
}

static void names(void)
{
    CU_ASSERT_TRUE(dray_plugin_name_valid("a"));
    CU_ASSERT_TRUE(dray_plugin_name_valid("json-file2"));
    CU_ASSERT_FALSE(dray_plugin_name_valid(""));
    CU_ASSERT_FALSE(dray_plugin_name_valid("-a"));
    CU_ASSERT_FALSE(dray_plugin_name_valid("../a"));
    CU_ASSERT_FALSE(dray_plugin_name_valid("A"));
    char long_name[66];
    memset(long_name, 'a', 65);
    long_name[65] = '\0';
    CU_ASSERT_FALSE(dray_plugin_name_valid(long_name));
    long_name[63] = '\0';
    CU_ASSERT_TRUE(dray_plugin_name_valid(long_name));
    for (uint32_t kind = 1; kind <= 10; kind++)
        CU_ASSERT_EQUAL(dray_kind_parse(dray_kind_name(kind)), kind);
    CU_ASSERT_STRING_EQUAL(dray_kind_name(0), "unknown");
    CU_ASSERT_STRING_EQUAL(dray_kind_name(11), "unknown");
    CU_ASSERT_EQUAL(dray_kind_parse("unknown"), 0);
}

static const struct check_case cases[] = {
    {"reads a card", reads_a_card},
    {"reads no card of cut files", reads_no_card_of_cut_files},
    {"survives hostile notes", survives_hostile_notes},
    {"survives random damage", survives_random_damage},
    {"survives random cards", survives_random_cards},
    {"names", names},
};
CHECK_MAIN("card", cases)
