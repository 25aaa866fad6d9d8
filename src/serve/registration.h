/* SPDX-License-Identifier: MIT */
/* The stream registration: connections of replies in the store. */
#ifndef VSI_SERVE_REGISTRATION_H
#define VSI_SERVE_REGISTRATION_H

#include "registry/context.h"

/* Before a stream is opened for a reply with a key: the open connections under the key become the context's targets, or
 * the reply is refused, as its policy says. */
void vsi_registration_find(vestry_dispatch_context *context);

/* A stream was opened (context->opened). If it stays: put it under the key, or give it up for one that was quicker. */
void vsi_registration_keep(vestry_dispatch_context *context);

/* The stream has ended, and its context says so: remove it from the store, from under all its keys, by identity, for
 * the cause it ended for. */
void vsi_registration_remove(vsi_stream_context *stream, vestry_cause cause);

#endif
