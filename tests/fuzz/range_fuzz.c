/* SPDX-License-Identifier: MIT */
/* Range: any bytes. Input: a byte for the file's length, then the header's value. A part lies within the file, and
 * formatted again it is the same part. */
#include <stdio.h>

#include "app/files/conditions.h"
#include "fuzz/target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (!size) return 0;
  size_t len = data[0] == 0xff ? SIZE_MAX : data[0], first = 7, last = 3, again_first, again_last;
  char *header = malloc(size);
  require(header != NULL);
  memcpy(header, data + 1, size - 1);
  header[size - 1] = '\0';
  vsi_range range = vsi_range_read(header, len, &first, &last);
  if (range == VSI_RANGE_PART) {
    char text[64];
    require(first <= last && last < len);
    snprintf(text, sizeof text, "bytes=%zu-%zu", first, last);
    require(vsi_range_read(text, len, &again_first, &again_last) == VSI_RANGE_PART);
    require(again_first == first && again_last == last);
  } else {
    require(first == 7 && last == 3);
  }
  if (strchr(header, ',')) require(range == VSI_RANGE_WHOLE);
  free(header);
  return 0;
}
