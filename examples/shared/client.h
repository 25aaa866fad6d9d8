/* SPDX-License-Identifier: MIT */
/* The Datastar client of the build (VESTRY_DATASTAR_FILE), converted to an array; length 0: none was given. */
#ifndef EXAMPLES_CLIENT_H
#define EXAMPLES_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

extern const unsigned char client_js[];
extern const size_t client_js_len;

/* Return whether the first line of a client names a version before 1.0.3, which can compile only with eval. */
bool options_client_needs_eval(const void *client, size_t len);

#endif
