/* SPDX-License-Identifier: MIT */
/** Refusals: why a connection or a request was refused before a handler saw it. Adapters and the registry count
 *  them; vestry_stats tells how many there were. */
#ifndef VESTRY_REFUSAL_H
#define VESTRY_REFUSAL_H

#include "vestry/error.h"

#ifdef __cplusplus
extern "C" {
#endif

/** X(enum, name) */
#define VESTRY_REFUSALS(X)                                                                                             \
  X(NONE, "none")               /* it was not refused; never counted */                                                \
  X(DEADLINE, "deadline")       /* its head or its body did not come in time */                                        \
  X(BUDGET, "budget")           /* requests under way held nearly max_request_bytes, and it held most */               \
  X(ADDRESS, "address")         /* its address had as many as it may */                                                \
  X(AMBIGUOUS, "ambiguous")     /* its head or its path can be read in two ways */                                     \
  X(DESCRIPTORS, "descriptors") /* the process had none left */                                                        \
  X(RATE, "rate")               /* its client sends more than a rate lets it (vestry/app/rate.h) */

/** Why something was refused. */
typedef enum vestry_refusal {
#define VESTRY_REFUSAL_ENUM(name, text) VESTRY_REFUSAL_##name,
  VESTRY_REFUSALS(VESTRY_REFUSAL_ENUM)
#undef VESTRY_REFUSAL_ENUM
      VESTRY_REFUSAL_COUNT /**< how many there are, NONE included */
} vestry_refusal;
/** Room for counts by refusal: more than there will be. */
#define VESTRY_REFUSALS_MAX 32

/** Lower-case name of a refusal; "unknown" for a number that is none. Threads any. */
VESTRY_API const char *vestry_refusal_name(vestry_refusal refusal);

#ifdef __cplusplus
}
#endif
#endif
