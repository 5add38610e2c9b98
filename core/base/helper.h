/* SPDX-License-Identifier: Apache-2.0 */
/*
 * helper.h - what the helper programs of a daemon have in common.
 *
 * A helper is started by the daemon and outlives it. It listens in the exec root, and keeps a
 * folder of JSON documents there, one an object, from which it goes on after a crash.
 */
#ifndef DRAY_BASE_HELPER_H
#define DRAY_BASE_HELPER_H

#include <dray/util.h>
#include <stdbool.h>

struct json_object;

#define DRAY_HELPER_DOC 96 /**< size of a document's file name */

/** Open the folder `dir` and listen at `socket` (SOCK_SEQPACKET), both in the exec root. */
int dray_helper_open(const char *exec_root, const char *dir, const char *socket, int *dir_out,
                     int *listener_out, struct dray_err *err);
/** Leave whoever started us, which sees this program end: true in the process that goes on. */
bool dray_helper_detach(int *status_out);
/** Allow as many descriptors as may be; how many that is. */
uint64_t dray_helper_raise_limit(void);
/** Answer a request; takes extra, whose fields the answer has, too, or NULL. */
void dray_helper_answer(int fd, int code, const char *text, struct json_object *extra);
/** Has the daemon given up a request before it was looked at, because this program was stopped?
 * What it asked for then must not come about behind its back. Not for requests without an answer.
 */
bool dray_helper_gave_up(int fd);
/** DRAY_E_CONFLICT unless the program that runs is the file that "dev" and "ino" of the request
 *  name: a daemon of another version brings its own along. */
int dray_helper_same(struct json_object *request, struct dray_err *err);
/** "<id>.json"; false: it is no id. */
bool dray_helper_doc_name(const char *id, char out[DRAY_HELPER_DOC]);
/** Replace a document in one step. It is not flushed: the folder does not outlive the machine's
 *  run. */
int dray_helper_store(int dir, const char *id, struct json_object *doc, struct dray_err *err);
void dray_helper_forget(int dir, const char *id);
/** Call fn with each document of the folder. One for which it fails is logged and removed. */
void dray_helper_load(int dir, int (*fn)(void *ctx, struct json_object *doc, struct dray_err *err),
                      void *ctx);

#endif
