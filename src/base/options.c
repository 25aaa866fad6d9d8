/* SPDX-License-Identifier: MIT */
#include "base/options.h"

#include <string.h>

/* Return the size of a caller's struct. */
static size_t size_of(const void *given, size_t frozen_size) {
  size_t size;
  memcpy(&size, given, sizeof size);
  return size ? size : frozen_size;
}

bool vsi_options_are_known(const void *given, size_t own_size, size_t frozen_size) {
  const size_t size = size_of(given, frozen_size);
  if (size < sizeof size) return false;
  for (size_t i = own_size; i < size; i++)
    if (((const unsigned char *)given)[i]) return false;
  return true;
}

vestry_err vsi_options_copy(void *own, size_t own_size, size_t frozen_size, const void *given) {
  const size_t size = size_of(given, frozen_size);
  if ((size < sizeof size || size > own_size) && !vsi_options_are_known(given, own_size, frozen_size))
    return VESTRY_INVALID;
  memcpy(own, given, size < own_size ? size : own_size);
  return VESTRY_OK;
}

void vsi_result_give(void *ret, const void *own, size_t own_size, size_t frozen_size) {
  if (!ret) return;
  const size_t size = size_of(ret, frozen_size);
  if (size <= sizeof size) return;
  const size_t known = size < own_size ? size : own_size;
  memcpy((char *)ret + sizeof size, (const char *)own + sizeof size, known - sizeof size);
  memset((char *)ret + known, 0, size - known);
}
