/* SPDX-License-Identifier: MIT */
/* Names of modes and namespaces in the protocol. */
#ifndef VSI_EVENT_NAMES_H
#define VSI_EVENT_NAMES_H

#include "vestry/event.h"

/* Convert a number to its name; NULL: no such number. And back: OK | NOT_FOUND (result untouched). */
const char *vsi_patch_mode_name(vestry_patch_mode mode);
vestry_err vsi_patch_mode_from_name(const char *name, vestry_patch_mode *ret_mode);
const char *vsi_namespace_name(vestry_namespace ns);
vestry_err vsi_namespace_from_name(const char *name, vestry_namespace *ret_namespace);

#endif
