/* SPDX-License-Identifier: MIT */
/* Query strings and form bodies (application/x-www-form-urlencoded). */
#ifndef VSI_EVENT_QUERY_H
#define VSI_EVENT_QUERY_H

#include "vestry/signals.h"

/* Find the first parameter of a name. Its value is returned encoded, as a part of the query. OK | NOT_FOUND. */
VESTRY_API vestry_err vsi_query_find(const char *query, size_t len, const char *name, vestry_slice *ret_encoded);

/* Compute the decoded length of a value. OK | MALFORMED (a broken % escape at ret_offset, within encoded). */
vestry_err vsi_query_decoded_len(vestry_slice encoded, size_t *ret_len, size_t *ret_offset);

/* Decode a value that vsi_query_decoded_len accepted; writes exactly that number of bytes. */
void vsi_query_decode(vestry_slice encoded, char *to);

/* Get the URL-decoded value of the first parameter of a name in a query string or form body ('+' is a space).
 *  buffer   receives at most capacity - 1 bytes and a NUL; the value may itself contain NUL bytes
 *  ret_len  bytes without the NUL; untouched on failure
 *  Returns  OK | NOT_FOUND | MALFORMED (a broken % escape) | TOO_LARGE (capacity; buffer untouched)
 *  Threads  any; does not block */
VESTRY_API vestry_err vsi_query_value(const char *query, size_t query_len, const char *name, char *buffer,
                                      size_t capacity, size_t *ret_len);

/* Parse the signals of a query string: its parameter `datastar`, URL-decoded. Without the parameter: an empty object.
 *  host   its memory functions are used during the call; NULL: the default
 *  query  as on the request line, without '?', len bytes; NULL with 0: no query. If there are several parameters, the
 *         first counts
 *  Otherwise as vestry_signals_parse; a broken % escape is MALFORMED (offset: into the query). */
VESTRY_API vestry_err vsi_signals_parse_query(const vestry_host *host, const char *query, size_t len,
                                              const vestry_signals_limits *limits, json_t **ret_signals,
                                              vestry_signals_error *ret_error);

#endif
