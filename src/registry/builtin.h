/* SPDX-License-Identifier: MIT */
/* The built-in effects. */
#ifndef VSI_REGISTRY_BUILTIN_H
#define VSI_REGISTRY_BUILTIN_H

#include "registry/names.h"

/* Register the built-in effects. OK | NO_MEMORY. */
vestry_err vsi_effects_register(vestry_registry *names);

/* Return whether a name is a built-in effect; and whether no function of the application is called around such effects,
 * so that performing one takes some µs. */
VESTRY_API bool vsi_builtin_is(const vestry_registry *names, const char *name);
VESTRY_API bool vsi_builtin_is_alone(const vestry_registry *names);

#endif
