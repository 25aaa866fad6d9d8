/* SPDX-License-Identifier: MIT */
/* The Datastar client that the build was given (VESTRY_DATASTAR_FILE), made into an array; of length 0: none was. */
#ifndef EXAMPLES_CLIENT_H
#define EXAMPLES_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

extern const unsigned char client_js[];
extern const size_t client_js_len;

/* Whether a client's first line names a version before 1.0.3, which compiles by eval alone. */
bool options_client_needs_eval(const void *client, size_t len);

#endif
