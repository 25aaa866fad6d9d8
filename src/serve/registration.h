/* SPDX-License-Identifier: MIT */
/* The stream registration: connections of replies in the store. */
#ifndef VSI_SERVE_REGISTRATION_H
#define VSI_SERVE_REGISTRATION_H

#include "registry/context.h"

/* Determine whether a reply uses connections that are stored under its key, as the reply's policy requires. If it does,
 * they become the targets of the context; if the policy forbids the reply, it is refused; otherwise nothing changes,
 * and a stream can be opened. Called before a stream is opened for the reply. */
void vsi_registration_find(vestry_dispatch_context *context);

/* Store an opened stream (context->opened) under the keys of its reply, if it stays open. If another stream was faster
 * and the policy is REUSE, the opened stream is given up for that one. */
void vsi_registration_keep(vestry_dispatch_context *context);

/* Remove an ended stream by its handles from all its keys, with the cause for which it ended. Its context is marked as
 * ended before. */
void vsi_registration_remove(vsi_stream_context *stream, vestry_cause cause);

#endif
