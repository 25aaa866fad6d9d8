/* SPDX-License-Identifier: MIT */
/* The built-in effects. */
#ifndef VSI_REGISTRY_BUILTIN_H
#define VSI_REGISTRY_BUILTIN_H

#include "registry/names.h"

/* OK | NO_MEMORY. */
vestry_err vsi_effects_register(vestry_registry *names);

#endif
