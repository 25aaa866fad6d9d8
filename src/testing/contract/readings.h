/* SPDX-License-Identifier: MIT */
/* Bytes that a client may send, valid or not, and the single reading that RFC 9110 and 9112 allow. The parser shares no
 * code with vestry, so that the values that a handler saw can be compared with it. */
#ifndef VSI_TESTING_CONTRACT_READINGS_H
#define VSI_TESTING_CONTRACT_READINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { VSI_READINGS_BYTES = 4096, VSI_READINGS_REQUESTS = 8, VSI_READINGS_HEADERS = 24 };

/* Bytes for one connection: some requests, the first of which was changed in changes_count places. */
typedef struct vsi_readings_text {
  char bytes[VSI_READINGS_BYTES];
  size_t len;
  unsigned changes_count;
} vsi_readings_text;

/* Generate the text with this seed and number; the result is always the same. */
void vsi_readings_make(uint64_t seed, uint64_t number, vsi_readings_text *ret_text);

typedef struct vsi_readings_span {
  const char *data;
  size_t len;
} vsi_readings_span;

typedef struct vsi_readings_request {
  vsi_readings_span method, target, names[VSI_READINGS_HEADERS], values[VSI_READINGS_HEADERS];
  size_t headers_count;
  char body[VSI_READINGS_BYTES];
  size_t body_len;
  bool is_last; /* the following bytes may not be a request: the trailers of this one are invalid */
} vsi_readings_request;

/* Parse the requests of a text up to the first one without exactly one reading. Returns their number. takes_feeds: a
 * line may end with a bare LF, as RFC 9112, section 2.2, allows. */
size_t vsi_readings_read(const vsi_readings_text *text, bool takes_feeds,
                         vsi_readings_request ret_requests[VSI_READINGS_REQUESTS]);

/* Return the header with this name, in any case; its data is NULL: there is none. */
vsi_readings_span vsi_readings_header(const vsi_readings_request *request, const char *name);

#endif
