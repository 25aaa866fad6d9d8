/* SPDX-License-Identifier: MIT */
/* The hooks of every stream that vestry_serve opens. */
#ifndef VSI_SERVE_HOOKS_H
#define VSI_SERVE_HOOKS_H

#include "instance/stream_context.h"

/* What the connection is created with; a vsi_stream_context is their context. */
extern const vsi_connection_hooks vsi_stream_context_hooks;

#endif
