/* SPDX-License-Identifier: MIT */
/* The set of transactions that a transaction sees. One thread at a time. */
#ifndef VSI_POSTGRES_SNAPSHOT_H
#define VSI_POSTGRES_SNAPSHOT_H

#include <stdbool.h>
#include <stdint.h>

#include "vestry/error.h"
#include "vestry/host.h"

/* Transaction numbers have 64 bits, and are never reused. */
typedef struct vsi_postgres_snapshot {
  uint64_t from;     /* all before it have ended */
  uint64_t to;       /* it and all after it are not seen */
  uint64_t *running; /* those in between that are not seen */
  size_t count;
} vsi_postgres_snapshot;

/* Parse the format of pg_current_snapshot(): "10:14:10,12". Call vsi_postgres_snapshot_finish after OK. OK | MALFORMED
 * | NO_MEMORY */
vestry_err vsi_postgres_snapshot_read(vsi_postgres_snapshot *snapshot, const vestry_host *host, const char *text);
void vsi_postgres_snapshot_finish(vsi_postgres_snapshot *snapshot, const vestry_host *host);
/* Return whether the changes of a transaction are seen, if it is committed. */
bool vsi_postgres_snapshot_sees(const vsi_postgres_snapshot *snapshot, uint64_t xid);
/* Return how many of the transactions before that number are not seen. */
uint64_t vsi_postgres_snapshot_unseen(const vsi_postgres_snapshot *snapshot, uint64_t before);
/* Return whether it sees a transaction before that number that the older snapshot does not see. */
bool vsi_postgres_snapshot_sees_more(const vsi_postgres_snapshot *snapshot, const vsi_postgres_snapshot *older,
                                     uint64_t before);

/* Return the 64-bit number of a transaction from its 32-bit number in the WAL: the one nearest to another number. */
static inline uint64_t vsi_postgres_full_xid(uint32_t xid, uint64_t near) {
  return near + (uint64_t)(int64_t)(int32_t)(xid - (uint32_t)near);
}

#endif
