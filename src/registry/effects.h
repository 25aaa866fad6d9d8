/* The built-in effects. */
#ifndef VSI_REGISTRY_EFFECTS_H
#define VSI_REGISTRY_EFFECTS_H

#include "registry/names.h"

/* OK | NO_MEMORY. */
vestry_err vsi_effects_register(vsi_names *names);

#endif
