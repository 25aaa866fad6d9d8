/* The keeper: the interceptors that keep connections in the store. */
#ifndef VSI_REGISTRY_KEEPER_H
#define VSI_REGISTRY_KEEPER_H

#include "registry/names.h"

/* OK | NO_MEMORY. */
vestry_err vsi_keeper_register(vsi_names *names);

#endif
