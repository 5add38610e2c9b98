/* SPDX-License-Identifier: Apache-2.0 */
/* card.h - the card of a plugin file, read without running any of its code. */
#ifndef DRAY_PLUGIN_CARD_H
#define DRAY_PLUGIN_CARD_H

#include <dray/util.h>

#include <stdbool.h>

#define DRAY_PLUGIN_NAME_MAX 63

struct dray_card {
    char name[DRAY_PLUGIN_NAME_MAX + 1];
    char version[32];
    char license[64];
    uint16_t major, minor;
    uint32_t kinds; /**< mask of 1u << kind */
    bool family;    /**< it claims names when they are asked for */
};

/** Open a plugin file and see that nobody but root (or the caller) can change it or its folder.
 *  Refused: DENIED. insecure skips the question of owners. */
int dray_card_open_file(const char *path, bool insecure, int *fd_out, struct dray_err *err);
/** The text of the note, NUL terminated, from any file whatever it holds. */
int dray_card_read_note(int fd, char *text, size_t size, struct dray_err *err);
/** Check what the card says, also that this host can take the plugin. *card is filled as far as
 *  it could be read. */
int dray_card_parse(const char *text, struct dray_card *card, struct dray_err *err);
/** [a-z0-9][a-z0-9-]{0,62} */
bool dray_plugin_name_valid(const char *name);
/** Is this the ABI of this host? If not, fill err with what to do about it. */
int dray_abi_check(uint32_t major, uint32_t minor, struct dray_err *err);

#endif
