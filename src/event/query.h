/* SPDX-License-Identifier: MIT */
/* Query strings and form bodies (application/x-www-form-urlencoded). */
#ifndef VSI_EVENT_QUERY_H
#define VSI_EVENT_QUERY_H

#include "vestry/host.h"

/* Find the first parameter of a name. Its value is returned encoded, as a part of the query. OK | NOT_FOUND. */
VESTRY_API vestry_err vsi_query_find(const char *query, size_t len, const char *name, vestry_slice *ret_encoded);

/* Compute the decoded length of a value. OK | MALFORMED (a broken % escape at ret_offset, within encoded). */
vestry_err vsi_query_decoded_len(vestry_slice encoded, size_t *ret_len, size_t *ret_offset);

/* Decode a value that vsi_query_decoded_len accepted; writes exactly that number of bytes. */
void vsi_query_decode(vestry_slice encoded, char *to);

#endif
