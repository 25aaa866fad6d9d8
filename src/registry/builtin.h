/* SPDX-License-Identifier: MIT */
/* The built-in effects. */
#ifndef VSI_REGISTRY_BUILTIN_H
#define VSI_REGISTRY_BUILTIN_H

#include "registry/names.h"

/* OK | NO_MEMORY. */
vestry_err vsi_effects_register(vestry_registry *names);

/* Whether a name is an effect of vestry's own; and whether nothing of the application's is called around such effects:
 * then performing them takes some µs. */
VESTRY_API bool vsi_builtin_is(const vestry_registry *names, const char *name);
VESTRY_API bool vsi_builtin_is_alone(const vestry_registry *names);

#endif
