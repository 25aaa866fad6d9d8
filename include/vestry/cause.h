/* SPDX-License-Identifier: MIT */
/** Causes: why a connection ended, or left a store. Every end has exactly one. */
#ifndef VESTRY_CAUSE_H
#define VESTRY_CAUSE_H

#include <stdbool.h>

#include "vestry/error.h"

#ifdef __cplusplus
extern "C" {
#endif

/** X(enum, name, clean): clean ends tell the browser to stay away (the stream ends with its final chunk); the others
 *  abort the stream, which makes the browser come back. A clean end, and DRAIN, let what was accepted before be written
 *  first; the others discard it. */
#define VESTRY_CAUSES(X)                                                                                               \
  X(NONE, "none", true)          /* still open; never a cause */                                                       \
  X(CLOSED, "closed", true)      /* the application closed it, or auto-close did */                                    \
  X(REMOVED, "removed", true)    /* the application removed its key from the store */                                  \
  X(REPLACED, "replaced", true)  /* another connection took its key: coming back would chase that one away */          \
  X(SIZE, "size", false)         /* evicted: the store, or the scope's share of it, was full */                        \
  X(IDLE, "idle", false)         /* not used for the idle time */                                                      \
  X(EXPIRED, "expired", false)   /* its fixed lifetime is over */                                                      \
  X(SHUTDOWN, "shutdown", false) /* the server stops */                                                                \
  X(HANGUP, "hangup", false)     /* the client closed its end */                                                       \
  X(LOST, "lost", false)         /* the client stopped acknowledging: a cut network, a machine asleep */               \
  X(STALLED, "stalled", false)   /* the client acknowledged but did not read for too long */                           \
  X(FULL, "full", false)         /* its queue was full and its policy says close */                                    \
  X(ERROR, "error", false)       /* a failure in the server, such as memory */                                         \
  X(DRAIN, "drain", false)       /* vestry_drain sent it away, with a hint when to come back */                        \
  X(BUDGET, "budget", false)     /* all queues together were nearly full, and it held most */                          \
  X(LEASE_EXPIRED, "lease_expired", false) /* its tab does not answer any more: vestry_leases_create */

/** Why something ended. */
typedef enum vestry_cause {
#define VESTRY_CAUSE_ENUM(name, text, clean) VESTRY_CAUSE_##name,
  VESTRY_CAUSES(VESTRY_CAUSE_ENUM)
#undef VESTRY_CAUSE_ENUM
      VESTRY_CAUSE_COUNT /**< how many there are, NONE included */
} vestry_cause;
/** Room for counts by cause: more causes than there will be. */
#define VESTRY_CAUSES_MAX 32

/** Lower-case name of a cause; "unknown" for a number that is none. Threads any. */
VESTRY_API const char *vestry_cause_name(vestry_cause cause);
/** Whether a stream that ends for this cause ends cleanly. Threads any. */
VESTRY_API bool vestry_cause_is_clean(vestry_cause cause);

#ifdef __cplusplus
}
#endif
#endif
