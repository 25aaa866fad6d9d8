/* SPDX-License-Identifier: MIT */
/* The one rule for public structs, which grow from version to version (include/vestry/vestry.h says it to users).
 *
 * The first member is `size_t size`: sizeof the struct as the caller was compiled. 0 stands for the struct as 0.3.0 has
 * it, up to the member that base/frozen.h names. A caller that uses a later member sets size too.
 *
 * What goes in: a caller that knows fewer members than this library leaves the others at zero, which is the default. A
 * caller that knows more may use what this library knows: what is beyond must be zero. What comes out: the caller gets
 * as much as it has room for; what this library does not know is zero. */
#ifndef VSI_BASE_OPTIONS_H
#define VSI_BASE_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "base/frozen.h"
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

/* The bytes of a struct of 0.3.0: up to the end of its last member. */
#define VSI_FROZEN_SIZE_OF(type, last) (offsetof(type, last) + sizeof(((type *)0)->last))
#define VSI_FROZEN_SIZE_BY(type, last) VSI_FROZEN_SIZE_OF(type, last)
#define VSI_FROZEN_SIZE(type)          VSI_FROZEN_SIZE_BY(type, VSI_LAST_OF_##type)
/* The same for a struct of a type that base/frozen.h has. own: the struct itself. */
#define VSI_OPTIONS_TAKE(type, own, given) vsi_options_take(&(own), sizeof(type), VSI_FROZEN_SIZE(type), given)
#define VSI_RESULT_GIVE(type, ret, own)    vsi_result_give(ret, &(own), sizeof(type), VSI_FROZEN_SIZE(type))
/* A table of functions, which is not copied: whether it is whole, and says nothing that this library does not know. */
#define VSI_OPS_ARE_KNOWN(type, ops)                                                                                   \
  (((ops)->size == 0 || (ops)->size >= VSI_FROZEN_SIZE(type)) &&                                                       \
   vsi_options_are_known(ops, sizeof(type), VSI_FROZEN_SIZE(type)))
/* The same for a table whose functions from `since` on may be absent; and whether it has one of them. */
#define VSI_OPS_ARE_KNOWN_GROWN(ops, type, since)                                                                      \
  (((ops)->size == 0 || (ops)->size >= offsetof(type, since)) &&                                                       \
   vsi_options_are_known(ops, sizeof(type), VSI_FROZEN_SIZE(type)))
#define VSI_OPS_HAVE(ops, type, member)                                                                                \
  (((ops)->size ? (ops)->size : VSI_FROZEN_SIZE(type)) >= offsetof(type, member) + sizeof(ops)->member && (ops)->member)

#endif
