/* SPDX-License-Identifier: MIT */
/* The one rule for public structs, which grow from version to version (include/vestry/vestry.h says it to users).
 *
 * The first member is `size_t size`: sizeof the struct as the caller was compiled. 0 stands for the struct as the
 * first release has it; until there is one, as it is now. A caller that uses a member that came later sets size too.
 *
 * What goes in: a caller that knows fewer members than this library leaves the others at zero, which is the default. A
 * caller that knows more may use what this library knows: what is beyond must be zero. What comes out: the caller gets
 * as much as it has room for; what this library does not know is zero. */
#ifndef VSI_BASE_OPTIONS_H
#define VSI_BASE_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "vestry/error.h"

/* Whether a caller's struct can be read: its size is one, and beyond what this library knows it is zero. */
static inline bool vsi_options_are_known(const void *given, size_t own_size, size_t frozen_size) {
  size_t size;
  memcpy(&size, given, sizeof size);
  if (size == 0) size = frozen_size;
  if (size < sizeof size) return false;
  for (size_t i = own_size; i < size; i++)
    if (((const unsigned char *)given)[i]) return false;
  return true;
}

/* Copy what goes in.
 *   own, own_size  where to; zero where the caller said nothing
 *   frozen_size    what a size of 0 stands for
 *   given          the caller's; NULL: all defaults
 *   Returns  OK | INVALID (a size that is none, or something set that this library does not know) */
static inline vestry_err vsi_options_take(void *own, size_t own_size, size_t frozen_size, const void *given) {
  memset(own, 0, own_size);
  if (!given) return VESTRY_OK;
  if (!vsi_options_are_known(given, own_size, frozen_size)) return VESTRY_INVALID;
  size_t size;
  memcpy(&size, given, sizeof size);
  if (size == 0) size = frozen_size;
  memcpy(own, given, size < own_size ? size : own_size);
  return VESTRY_OK;
}

/* Fill in what comes out. ret: the caller's; NULL: not wanted. Its size stays as it is. */
static inline void vsi_result_give(void *ret, const void *own, size_t own_size, size_t frozen_size) {
  if (!ret) return;
  size_t size;
  memcpy(&size, ret, sizeof size);
  if (size == 0) size = frozen_size;
  if (size <= sizeof size) return;
  size_t known = size < own_size ? size : own_size;
  memcpy((char *)ret + sizeof size, (const char *)own + sizeof size, known - sizeof size);
  memset((char *)ret + known, 0, size - known);
}

/* The same for structs that have not grown since they were frozen. own: the struct itself. */
#define VSI_OPTIONS_TAKE(own, given) vsi_options_take(&(own), sizeof(own), sizeof(own), given)
#define VSI_RESULT_GIVE(ret, own)    vsi_result_give(ret, &(own), sizeof(own), sizeof(own))
/* A table of functions, which is not copied: whether it is whole, and says nothing that this library does not know. */
#define VSI_OPS_ARE_KNOWN(ops)                                                                                         \
  (((ops)->size == 0 || (ops)->size >= sizeof *(ops)) && vsi_options_are_known(ops, sizeof *(ops), sizeof *(ops)))
/* The same for a table whose first function that came later is `since`; and whether it has one that did. */
#define VSI_OPS_ARE_KNOWN_GROWN(ops, type, since)                                                                      \
  (((ops)->size == 0 || (ops)->size >= offsetof(type, since)) &&                                                       \
   vsi_options_are_known(ops, sizeof *(ops), sizeof *(ops)))
#define VSI_OPS_HAVE(ops, type, member)                                                                                \
  (((ops)->size == 0 || (ops)->size >= offsetof(type, member) + sizeof(ops)->member) && (ops)->member)

#endif
