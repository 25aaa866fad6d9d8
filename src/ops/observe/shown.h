/* SPDX-License-Identifier: MIT */
/* Text for display: the scope and the key of a stream, and names, which users may have chosen. */
#ifndef VSI_OBSERVE_SHOWN_H
#define VSI_OBSERVE_SHOWN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "instance/stream_context.h"
#include "store/scoped_key.h"
#include "vestry/ops/observe.h"

enum { VSI_SHOWN_SCOPE_BYTES = 9 };

/* Write the pseudonym of a scope; "" if the scope is empty. */
void vsi_shown_scope(const vestry *v, vestry_scope scope, char digits[VSI_SHOWN_SCOPE_BYTES]);

/* A key as text; "": none. */
typedef struct vsi_shown_key {
  char text[VESTRY_SHOWN_KEY_BYTES];
  bool is_cut;
} vsi_shown_key;
void vsi_shown_key_of(const void *encoded, size_t len, vsi_shown_key *key);
/* Check whether a key's text begins with the prefix, at its beginning or after leading characters [ and " and {. NULL,
 * "": true. */
bool vsi_shown_begins(const char *text, const char *prefix);
/* Get the key under which a stream is stored: the first that is still in the store. Returns false, and "", if there is
 * none. stream may be NULL. */
bool vsi_shown_key_of_stream(const vsi_stream_context *stream, vsi_shown_key *key);
/* Return the number of keys under which it was stored. */
uint32_t vsi_shown_keys_count(const vsi_stream_context *stream);

/* Values for vestry_stream_info. */
const char *vsi_shown_adapter(const vestry_connection *connection);
const char *vsi_shown_coding(const vestry_connection *connection);
vestry_err vsi_shown_refusal(const vestry_connection *connection);
static inline uint64_t vsi_shown_ms(uint64_t now_ns, uint64_t then_ns) {
  return now_ns > then_ns ? (now_ns - then_ns) / 1000000 : 0;
}

/* Copy a name of any bytes, and terminate it. Malformed UTF-8 and control characters become U+FFFD. It is truncated if
 * there is not enough room. */
void vsi_shown_name(const char *name, size_t len, char *text, size_t room);

#endif
