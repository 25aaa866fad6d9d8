/* SPDX-License-Identifier: MIT */
/* Other processes that follow the same file: they exchange which rows their commits change. */
#ifndef VSI_SQLITE_PEERS_H
#define VSI_SQLITE_PEERS_H

#include "data/sqlite/frames.h"
#include "data/sqlite/index.h"

typedef struct vsi_sqlite_peers vsi_sqlite_peers;

/* Create the peers of a followed file, and look for them.
 *  db      the library's own connection; for the path and the rights of its file
 *  tables  borrowed; their changes are noted for peers while there are any
 *  stats   borrowed, for the counters of peers; guarded by the database's lock
 *  OK | NO_MEMORY; if the side file cannot be used, this is logged, and there are no peers */
vestry_err vsi_sqlite_peers_create(const vestry_host *host, sqlite3 *db, vsi_sqlite_tables *tables,
                                   vestry_sqlite_stats *stats, vsi_sqlite_peers **ret_peers);
/* Leave the peers. NULL is accepted. */
void vsi_sqlite_peers_destroy(vsi_sqlite_peers *peers);
/* Find out how many peers there are now, and join them again if the side file was removed or replaced. */
void vsi_sqlite_peers_check(vsi_sqlite_peers *peers);
/* Read the version of the schema. Called before the data of tables that were known under a former one are discarded, so
 * those that are used later are not older than this version. */
void vsi_sqlite_peers_note_schema(vsi_sqlite_peers *peers);

/* Announce that the next commit may be of this process, before it is visible.
 *  comes  its rows may follow; false: they do not, so peers need not wait for them */
void vsi_sqlite_peers_announce(vsi_sqlite_peers *peers, uint32_t number, bool comes);
/* Write the changes of a commit of this process, which is visible. */
void vsi_sqlite_peers_share(vsi_sqlite_peers *peers, const vsi_sqlite_commit *commit);

/* Find the changes of a commit that this process did not make.
 *  ret_commit  valid until the next call; untouched otherwise
 *  Returns  OK | NOT_FOUND (no peer made it, or its changes are unknown) | BUSY (a peer may have made it, and has not
 *           written its changes yet) */
vestry_err vsi_sqlite_peers_find(vsi_sqlite_peers *peers, const vsi_sqlite_written *written,
                                 vsi_sqlite_commit *ret_commit);

#endif
