/* The one rule for structs of options, which grow from version to version.
 *
 * The first member of every public struct that goes in is `size_t size`: sizeof the struct as the caller was compiled.
 * A caller that knows fewer members than this library leaves the others at zero, which is the default. A caller that
 * knows more may use what this library knows: what is beyond must be zero. 0 stands for the struct as it was when its
 * layout was frozen: whoever sets a member that came later sets size too. */
#ifndef VSI_BASE_OPTIONS_H
#define VSI_BASE_OPTIONS_H

#include <string.h>

#include "vestry/error.h"

/* Copy a caller's options.
 *   own, own_size  where to; zero where the caller said nothing
 *   frozen_size    what a size of 0 stands for
 *   given          the caller's; NULL: all defaults
 *   Returns  OK | INVALID (a size that is none, or something set that this library does not know) */
static inline vestry_err vsi_options_take(void *own, size_t own_size, size_t frozen_size, const void *given) {
  memset(own, 0, own_size);
  if (!given) return VESTRY_OK;
  size_t size;
  memcpy(&size, given, sizeof size);
  if (size == 0) size = frozen_size;
  if (size < sizeof size) return VESTRY_INVALID;
  for (size_t i = own_size; i < size; i++)
    if (((const unsigned char *)given)[i]) return VESTRY_INVALID;
  memcpy(own, given, size < own_size ? size : own_size);
  return VESTRY_OK;
}

/* The same for a struct that has not grown since it was frozen. own: the struct itself. */
#define VSI_OPTIONS_TAKE(own, given) vsi_options_take(&(own), sizeof(own), sizeof(own), given)

#endif
