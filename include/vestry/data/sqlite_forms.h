/* SPDX-License-Identifier: MIT */
/** Forms that come back, in a database of SQLite (libvestry-sqlite): what vestry/app/form.h keeps, in a table that
 *  vestry makes in the application's database.
 *
 *      vestry_sqlite_forms_create(pool, &stored);
 *      vestry_forms_create(v, &(vestry_forms_options){.pages = pages, .storage = stored}, &forms);
 *
 *      vestry_sqlite_borrow(pool, VESTRY_SQLITE_WRITE, &loan);                     // the submit's handler
 *      err = vestry_sqlite_run(loan, "INSERT INTO report(title) VALUES(?)", VESTRY_LIST(title), NULL, NULL);
 *      if (!err) err = vestry_forms_clear(forms, req, "report");
 *      err = vestry_sqlite_give(loan, err);                                        // both are committed, or neither
 *
 *  What was typed outlives a server that is killed, and all processes with the file and vestry_secret_set find it.
 *  It is durable as the pool's `synchronous` says: with NORMAL a power cut can take the last letters, a killed process
 *  none. What is typed refreshes no page. A form that is cleared refreshes its page: in this process always, once that
 *  is committed; in others if their pages follow the pool (vestry_sqlite_pool_follow), or are of one cluster.
 *
 *  Bounds are those of vestry_forms_options, for all processes together. A form's age is known to a tenth of ttl_ms.
 *  What is over is found no more, and is deleted, some at a time, when others come. A database that is locked or full
 *  refuses what is typed (503), and the page says it again each five seconds; what was kept before stays. */
#ifndef VESTRY_SQLITE_FORMS_H
#define VESTRY_SQLITE_FORMS_H

#include "vestry/app/form.h"
#include "vestry/data/sqlite_pool.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Make the table vestry_form, unless it is there.
 *  pool         borrowed; must not be destroyed before
 *  ret_storage  for vestry_forms_options.storage, of one vestry_forms at a time. Owned by the caller; untouched on
 *               failure
 *  Returns  OK | INVALID | NO_MEMORY | BUSY | LIMIT (the disk is full; no connection) | IO (also: the table is of a
 *           later version of vestry; nothing was changed). The log says why, and what helps
 *  Threads  any; blocks on the disk */
VESTRY_API vestry_err vestry_sqlite_forms_create(vestry_sqlite_pool *pool, vestry_forms_storage **ret_storage);
/** After vestry_forms_destroy; no transaction that has cleared a form may be open. NULL is accepted. */
VESTRY_API void vestry_sqlite_forms_destroy(vestry_forms_storage *storage);

#ifdef __cplusplus
}
#endif
#endif
