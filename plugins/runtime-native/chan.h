/* SPDX-License-Identifier: Apache-2.0 */
/* chan.h - the talk between the maker of a container's process and that process, before its exec.
 */
#ifndef RN_CHAN_H
#define RN_CHAN_H

#include <dray/util.h>
#include <stdbool.h>

enum rn_word {
    /* from the new process */
    RN_WORD_READY = 'r', /* may carry the master of its terminal */
    RN_WORD_FAILED = 'e',
    RN_WORD_HOOKS = 'h', /* wants the hooks of the runtime namespace run */
    /* to it */
    RN_WORD_MAPPED = 'm',  /* its ids are mapped */
    RN_WORD_CGROUPS = 'c', /* its cgroups are there */
    RN_WORD_HOOKED = 'k',
    RN_WORD_START = 's',
    /* neither: the other side has gone (an exec closes its end) */
    RN_WORD_END = 0,
};

/** Both ends, O_CLOEXEC. */
int rn_chan_open(int ends[2], struct dray_err *err);
/** fd: a descriptor to pass, or -1. err: with FAILED. 0 or -1. */
int rn_chan_send(int chan, enum rn_word word, const struct dray_err *failed, int fd);
/** Wait for something to hear, for at most ms. False: there is nothing, and time is left. */
bool rn_chan_ready(int chan, uint64_t deadline_ns, int ms);
/**
 * Next word. failed is filled with FAILED's error; *fd_out (may be NULL) becomes a passed
 * descriptor. Waits till deadline_ns (CLOCK_MONOTONIC, 0: forever): TIMEOUT.
 */
int rn_chan_recv(int chan, uint64_t deadline_ns, enum rn_word *word, struct dray_err *failed,
                 int *fd_out, struct dray_err *err);

#endif
