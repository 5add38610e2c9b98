/* SPDX-License-Identifier: Apache-2.0 */
/* apparmor.h - the AppArmor profile that confines containers, where the kernel has AppArmor. */
#ifndef DRAY_ENGINE_APPARMOR_H
#define DRAY_ENGINE_APPARMOR_H

#include <dray/util.h>
#include <stdbool.h>

struct dray_buf;

/** The profile of containers that name no other: Docker's name, for tools and people know it. */
#define DRAY_APPARMOR_DEFAULT "docker-default"
#define DRAY_APPARMOR_UNCONFINED "unconfined"

/** Can this host confine containers: does the kernel enforce AppArmor, is its policy tree in
 *  sight, and is there a compiler (apparmor_parser) for the default profile? */
bool dray_apparmor_supported(void);
/** The profile of a container: what it asked for ("" is nothing), or the default. "" where AppArmor
 *  is not supported. The text lives as long as asked does. */
const char *dray_apparmor_profile(const char *asked, bool privileged);
/** Load the default profile unless the kernel has it. Takes a tenth of a second the first time
 *  after the machine's start; any thread. */
int dray_apparmor_ensure(struct dray_err *err);
/** The source of the default profile. daemon is the profile that the daemon itself is under, which
 *  may signal containers. For dray_apparmor_ensure() and its test. */
void dray_apparmor_source(const char *daemon, struct dray_buf *out);

#endif
