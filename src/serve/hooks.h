/* SPDX-License-Identifier: MIT */
/* The hooks of every stream that vestry_serve opens. */
#ifndef VSI_SERVE_HOOKS_H
#define VSI_SERVE_HOOKS_H

#include "instance/life.h"

/* What the connection is created with; a vsi_life is their context. */
extern const vsi_connection_hooks vsi_life_hooks;

#endif
