/* SPDX-License-Identifier: MIT */
/* Lists that are linked by a member `next`. Header only, like base/memory.h. */
#ifndef VSI_BASE_LIST_H
#define VSI_BASE_LIST_H

#include "base/memory.h"

/* Free all members of a list. first: an lvalue, evaluated several times; NULL afterwards */
#define VSI_LIST_FREE(host, first)                                                                                     \
  for (__typeof__(first) next_of_it; (first); (first) = next_of_it) {                                                  \
    next_of_it = (first)->next;                                                                                        \
    vsi_free(host, first);                                                                                             \
  }

#endif
