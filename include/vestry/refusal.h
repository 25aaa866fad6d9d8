/* SPDX-License-Identifier: MIT */
/** Refusals: why a connection or request was refused before a handler was called. vestry_stats counts them.
 *
 *      vestry_stats stats = {0};
 *      vestry_stats_get(v, &stats);
 *      uint64_t late = stats.refused_by_reason[VESTRY_REFUSAL_DEADLINE]; */
#ifndef VESTRY_REFUSAL_H
#define VESTRY_REFUSAL_H

#include "vestry/error.h"

#ifdef __cplusplus
extern "C" {
#endif

/** X(enum, name): the refusals. */
#define VESTRY_REFUSALS(X)                                                                                             \
  X(NONE, "none")               /* not refused; never counted */                                                       \
  X(DEADLINE, "deadline")       /* the head or body did not arrive in time */                                          \
  X(BUDGET, "budget")           /* all requests together held nearly max_request_bytes */                              \
  X(ADDRESS, "address")         /* the client's address had its maximum of connections */                              \
  X(AMBIGUOUS, "ambiguous")     /* the head or path can be interpreted in two ways */                                  \
  X(DESCRIPTORS, "descriptors") /* the process had no descriptors left */                                              \
  X(RATE, "rate")               /* the client exceeds a rate limit (vestry/app/rate.h) */                              \
  X(MISDIRECTED, "misdirected") /* the server does not serve the requested name (vestry_h2_options.names) */

/** The reason of a refusal. */
typedef enum vestry_refusal {
#define VESTRY_REFUSAL_ENUM(name, text) VESTRY_REFUSAL_##name,
  VESTRY_REFUSALS(VESTRY_REFUSAL_ENUM)
#undef VESTRY_REFUSAL_ENUM
      VESTRY_REFUSAL_COUNT /**< number of refusals, NONE included */
} vestry_refusal;
/** Size of arrays of counts by refusal: more than the refusals of any version. */
#define VESTRY_REFUSALS_MAX 32

/** Get the lower-case name of a refusal; "unknown" for another number. Static. Threads any. */
VESTRY_API const char *vestry_refusal_name(vestry_refusal refusal);

#ifdef __cplusplus
}
#endif
#endif
