/* SPDX-License-Identifier: MIT */
/* Check that a time stays below a limit that is not much longer. A test tries TRIES times: code that waits is slow in
 * each try, and a busy machine does not delay all tries.
 *
 *     BELOW_S(4, seconds_to_leave(leaves, tls)); */
#ifndef TESTS_SUPPORT_TRIES_H
#define TESTS_SUPPORT_TRIES_H

#include "support/test.h"

enum { TRIES = 20 };

/* took_s is evaluated for each try. */
#define BELOW_S(limit_s, took_s)                                                                                       \
  do {                                                                                                                 \
    for (int tries_ = 1; (took_s) >= (limit_s); tries_++)                                                              \
      if (tries_ == TRIES) fail_msg("%s: not below %s in any of %d tries", #took_s, #limit_s, TRIES);                  \
  } while (0)

#endif
