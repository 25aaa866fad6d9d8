/* SPDX-License-Identifier: MIT */
/* Query strings and form bodies (application/x-www-form-urlencoded). */
#ifndef VSI_EVENT_QUERY_H
#define VSI_EVENT_QUERY_H

#include "vestry/host.h"

/* The first parameter of that name, its value as sent: a piece of the query. OK | NOT_FOUND. */
VESTRY_API vestry_err vsi_query_find(const char *query, size_t len, const char *name, vestry_slice *ret_encoded);

/* How many bytes the value has when decoded. OK | MALFORMED (a broken % escape; ret_offset, within encoded). */
vestry_err vsi_query_decoded_len(vestry_slice encoded, size_t *ret_len, size_t *ret_offset);

/* Decode a value that vsi_query_decoded_len accepted; writes exactly that many bytes. */
void vsi_query_decode(vestry_slice encoded, char *to);

#endif
