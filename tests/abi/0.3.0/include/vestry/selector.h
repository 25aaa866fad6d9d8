/* SPDX-License-Identifier: MIT */
/** CSS selectors of elements by id, for ids that contain any characters.
 *
 *      char selector[VESTRY_SELECTOR_BYTES(64)];
 *      vestry_err error = vestry_select_id(row_id, selector, sizeof selector);   // "p+2": #p\+2 */
#ifndef VESTRY_SELECTOR_H
#define VESTRY_SELECTOR_H

#include <stddef.h>

#include "vestry/error.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Size of a buffer that is sufficient for the selector of an id of id_len bytes. */
#define VESTRY_SELECTOR_BYTES(id_len) (4 * (size_t)(id_len) + 2)

/** Write the selector "#…" of the element with an id, escaped as CSSOM serializes identifiers (section 2.1). It has no
 *  line breaks, so it can be a selector of vestry_elements_options. Invalid UTF-8 becomes U+FFFD, as in vestry/html.h,
 *  so that the selector finds an element whose id was written by vestry/html.h.
 *  id       terminated, not empty
 *  buffer   receives at most capacity - 1 bytes and a NUL; untouched on failure
 *  Returns  OK | INVALID (id or buffer NULL, id empty) | TOO_LARGE (capacity; see VESTRY_SELECTOR_BYTES)
 *  Threads  any; does not block */
VESTRY_API vestry_err vestry_select_id(const char *id, char *buffer, size_t capacity);

#ifdef __cplusplus
}
#endif
#endif
