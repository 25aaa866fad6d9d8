/* SPDX-License-Identifier: MIT */
/* Which transactions a transaction sees. One thread at a time. */
#ifndef VSI_POSTGRES_SNAPSHOT_H
#define VSI_POSTGRES_SNAPSHOT_H

#include <stdbool.h>
#include <stdint.h>

#include "vestry/error.h"
#include "vestry/host.h"

/* Numbers of transactions are those of 64 bits, which never come again. */
typedef struct vsi_postgres_snapshot {
  uint64_t from;     /* all before it have ended */
  uint64_t to;       /* it and all after it are not seen */
  uint64_t *running; /* of those in between, these are not seen */
  size_t count;
} vsi_postgres_snapshot;

/* As pg_current_snapshot() writes it: "10:14:10,12". Finish it after OK.
 * OK | MALFORMED | NO_MEMORY */
vestry_err vsi_postgres_snapshot_read(vsi_postgres_snapshot *snapshot, const vestry_host *host, const char *text);
void vsi_postgres_snapshot_finish(vsi_postgres_snapshot *snapshot, const vestry_host *host);
/* Whether the changes of that transaction are seen, if it is committed. */
bool vsi_postgres_snapshot_sees(const vsi_postgres_snapshot *snapshot, uint64_t xid);
/* How many of the transactions before that number are not seen. */
uint64_t vsi_postgres_snapshot_unseen(const vsi_postgres_snapshot *snapshot, uint64_t before);
/* Whether it sees a transaction before that number that the older one does not see. */
bool vsi_postgres_snapshot_sees_more(const vsi_postgres_snapshot *snapshot, const vsi_postgres_snapshot *older,
                                     uint64_t before);

/* The number of 64 bits of a transaction that the WAL knows by 32: the one nearest to another. */
static inline uint64_t vsi_postgres_full_xid(uint32_t xid, uint64_t near) {
  return near + (uint64_t)(int64_t)(int32_t)(xid - (uint32_t)near);
}

#endif
