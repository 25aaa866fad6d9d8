/* SPDX-License-Identifier: MIT */
/* The rule for public structs, which grow from version to version (include/vestry/vestry.h states it for users).
 *
 * The first member is `size_t size`: sizeof the struct in the caller's version. 0 stands for the struct of 0.3.0, up to
 * the member that base/frozen.h names. A caller that uses a later member sets size, too.
 *
 * Input: if the caller's version has fewer members, the others are zero, which is the default. If it has more, those
 * that this library does not know must be zero. Output: the caller receives as much as it has room for; members that
 * this library does not know are zero. */
#ifndef VSI_BASE_OPTIONS_H
#define VSI_BASE_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "base/frozen.h"
#include "vestry/error.h"

/* Return whether a caller's struct can be read: its size is valid, and members unknown to this library are zero. */
VESTRY_API bool vsi_options_are_known(const void *given, size_t own_size, size_t frozen_size);
/* Copy a struct that is not NULL into zeroes. OK | INVALID */
VESTRY_API vestry_err vsi_options_copy(void *own, size_t own_size, size_t frozen_size, const void *given);
/* Copy an input struct.
 * own, own_size  the copy; zero where the caller set nothing
 * frozen_size    the size that 0 stands for
 * given          the caller's struct; NULL: all defaults
 * Returns        OK | INVALID (an invalid size, or a member set that this library does not know) */
static inline vestry_err vsi_options_take(void *own, size_t own_size, size_t frozen_size, const void *given) {
  memset(own, 0, own_size);
  return given ? vsi_options_copy(own, own_size, frozen_size, given) : VESTRY_OK;
}
/* Fill in an output struct. ret: the caller's; NULL: not wanted. Its size is unchanged. */
VESTRY_API void vsi_result_give(void *ret, const void *own, size_t own_size, size_t frozen_size);

/* Size of a struct in 0.3.0: up to the end of its last member. */
#define VSI_FROZEN_SIZE_OF(type, last) (offsetof(type, last) + sizeof(((type *)0)->last))
#define VSI_FROZEN_SIZE_BY(type, last) VSI_FROZEN_SIZE_OF(type, last)
#define VSI_FROZEN_SIZE(type)          VSI_FROZEN_SIZE_BY(type, VSI_LAST_OF_##type)
/* The same for the struct types of base/frozen.h. own: the struct itself. */
#define VSI_OPTIONS_TAKE(type, own, given) vsi_options_take(&(own), sizeof(type), VSI_FROZEN_SIZE(type), given)
#define VSI_RESULT_GIVE(type, ret, own)    vsi_result_give(ret, &(own), sizeof(type), VSI_FROZEN_SIZE(type))
/* Return whether a table of functions is complete and has no functions that this library does not know. (Such a table
 * is not copied, unlike options.) */
#define VSI_OPS_ARE_KNOWN(type, ops)                                                                                   \
  (((ops)->size == 0 || (ops)->size >= VSI_FROZEN_SIZE(type)) &&                                                       \
   vsi_options_are_known(ops, sizeof(type), VSI_FROZEN_SIZE(type)))
/* VSI_OPS_ARE_KNOWN_GROWN returns the same for a table whose functions from `since` on may be missing; VSI_OPS_HAVE
 * returns whether a table has such a function. */
#define VSI_OPS_ARE_KNOWN_GROWN(ops, type, since)                                                                      \
  (((ops)->size == 0 || (ops)->size >= offsetof(type, since)) &&                                                       \
   vsi_options_are_known(ops, sizeof(type), VSI_FROZEN_SIZE(type)))
#define VSI_OPS_HAVE(ops, type, member)                                                                                \
  (((ops)->size ? (ops)->size : VSI_FROZEN_SIZE(type)) >= offsetof(type, member) + sizeof(ops)->member && (ops)->member)

#endif
