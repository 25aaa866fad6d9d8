/* SPDX-License-Identifier: MIT */
/* Hooks of every stream that vestry_serve opens. */
#ifndef VSI_SERVE_HOOKS_H
#define VSI_SERVE_HOOKS_H

#include "instance/stream_context.h"

/* The table with which connections are created; the context is a vsi_stream_context. */
extern const vsi_connection_hooks vsi_stream_context_hooks;

#endif
