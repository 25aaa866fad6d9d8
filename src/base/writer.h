/* SPDX-License-Identifier: MIT */
/* Writing text whose length is not known yet. A writer without a destination only counts. A function that writes text
 * runs twice, and the second pass fills memory of the exact size. */
#ifndef VSI_BASE_WRITER_H
#define VSI_BASE_WRITER_H

#include <stddef.h>
#include <stdint.h>

#include "vestry/error.h"

typedef struct vsi_writer {
  char *to;   /* destination of the first byte; NULL: count only */
  size_t len; /* number of bytes written; SIZE_MAX if that exceeds a size_t */
} vsi_writer;

VESTRY_API void vsi_put(vsi_writer *writer, const void *data, size_t len);
VESTRY_API void vsi_put_str(vsi_writer *writer, const char *text);
void vsi_put_uint(vsi_writer *writer, uint32_t number); /* decimal */

/* Return a sum, at most SIZE_MAX. */
static inline size_t vsi_size_add(size_t a, size_t b) {
  return a > SIZE_MAX - b ? SIZE_MAX : a + b;
}

#endif
