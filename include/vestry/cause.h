/* SPDX-License-Identifier: MIT */
/** Causes: why a connection ended, or left a store. Every end has exactly one.
 *
 *      vestry_connection_close(connection, VESTRY_CAUSE_CLOSED);   // vestry_cause_name: "closed" */
#ifndef VESTRY_CAUSE_H
#define VESTRY_CAUSE_H

#include <stdbool.h>

#include "vestry/error.h"

#ifdef __cplusplus
extern "C" {
#endif

/** X(enum, name, clean): the causes. After a clean end (the stream ends with its final chunk) the Datastar client does
 *  not reconnect, except with VESTRY_RETRY_ALWAYS; a live page (vestry/app/page.h) requests its stream again, at
 *  growing intervals. Other ends abort the stream, and the browser reconnects. With a clean cause, and with DRAIN,
 *  events accepted before are written first; otherwise they are discarded. */
#define VESTRY_CAUSES(X)                                                                                               \
  X(NONE, "none", true)          /* still open; never a cause */                                                       \
  X(CLOSED, "closed", true)      /* the application closed it, or auto-close did */                                    \
  X(REMOVED, "removed", true)    /* the application removed its key from the store */                                  \
  X(REPLACED, "replaced", true)  /* another connection took its key; a reconnect would evict that one */               \
  X(SIZE, "size", false)         /* evicted: the store, or the scope's share of it, was full */                        \
  X(IDLE, "idle", false)         /* not used for the idle time */                                                      \
  X(EXPIRED, "expired", false)   /* its fixed lifetime is over */                                                      \
  X(SHUTDOWN, "shutdown", false) /* the server is stopping */                                                          \
  X(HANGUP, "hangup", false)     /* the client closed its end */                                                       \
  X(LOST, "lost", false)         /* the client stopped acknowledging: a broken network, a sleeping machine */          \
  X(STALLED, "stalled", false)   /* the client acknowledged but did not read for too long */                           \
  X(FULL, "full", false)         /* its queue was full, and its policy is to close */                                  \
  X(ERROR, "error", false)       /* a failure in the server, for example out of memory */                              \
  X(DRAIN, "drain", false)       /* vestry_drain closed it, with a delay for the reconnect */                          \
  X(BUDGET, "budget", false)     /* all queues together were nearly full, and it held most */                          \
  X(LEASE_EXPIRED, "lease_expired", false) /* its tab no longer renews its lease: vestry_leases_create */              \
  X(DETACHED, "detached", true) /* it left this key of the store, and stays open; never the cause of an end */

/** The cause of an end. */
typedef enum vestry_cause {
#define VESTRY_CAUSE_ENUM(name, text, clean) VESTRY_CAUSE_##name,
  VESTRY_CAUSES(VESTRY_CAUSE_ENUM)
#undef VESTRY_CAUSE_ENUM
      VESTRY_CAUSE_COUNT /**< number of causes, NONE included */
} vestry_cause;
/** Size of arrays of counts by cause: more than the causes of any version. */
#define VESTRY_CAUSES_MAX 32

/** Get the lower-case name of a cause; "unknown" for another number. Static. Threads any. */
VESTRY_API const char *vestry_cause_name(vestry_cause cause);

#ifdef __cplusplus
}
#endif
#endif
