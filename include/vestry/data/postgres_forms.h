/* SPDX-License-Identifier: MIT */
/** Forms that come back, in a database of PostgreSQL (libvestry-postgres): what vestry/app/form.h keeps, in tables that
 *  vestry makes in the application's database, for all nodes that use it.
 *
 *      vestry_postgres_forms_create(pool, NULL, &stored);
 *      vestry_forms_create(v, &(vestry_forms_options){.pages = pages, .storage = stored}, &forms);
 *
 *      vestry_postgres_begin(pool, VESTRY_POSTGRES_READ_COMMITTED, &loan);         // the submit's handler
 *      err = vestry_postgres_run(loan, "INSERT INTO report(title) VALUES($1)", VESTRY_LIST(title), NULL, NULL);
 *      if (!err) err = vestry_forms_clear(forms, req, "report");
 *      err = vestry_postgres_end(loan, err);                                       // both are committed, or neither
 *
 *  In vestry_postgres_act it is the same, however often that begins again. What was typed outlives a node that is
 *  killed; all nodes with the database and vestry_secret_set find it. What is typed refreshes no page. A form that
 *  is cleared refreshes its page, once that is committed: at this node always; at others if their pages follow the same
 *  pool (vestry_postgres_create), or are of one cluster. At level READS it refreshes others of these pages seldom: a
 *  form has one of 4,096 rows, by its tab and name. At level TABLES it refreshes all pages with forms.
 *
 *  Bounds are those of vestry_forms_options, for all nodes together; more than eight nodes that fill them at once may
 *  pass max_bytes by a little, until the next form is kept. Where that is full, a 32nd of it is made free. A form's age
 *  is known to a tenth of ttl_ms. What is over is found no more, and is deleted, some at a time, when others come.
 *  While the server is away what is typed is refused (503), and the page says it again each five seconds; what was kept
 *  before stays. */
#ifndef VESTRY_POSTGRES_FORMS_H
#define VESTRY_POSTGRES_FORMS_H

#include "vestry/app/form.h"
#include "vestry/data/postgres_pool.h"

#ifdef __cplusplus
extern "C" {
#endif

/** How they are kept. Zero is the default, in brackets. */
typedef struct vestry_postgres_forms_options {
  size_t size;                  /**< sizeof(vestry_postgres_forms_options), or 0 */
  int64_t (*now_ms)(void *ctx); /**< since 1970; NULL: the database's clock, which is one for all nodes. For tests */
  void *now_ctx;                /**< handed to it */
} vestry_postgres_forms_options;

/** Make the tables vestry_form and vestry_form_cleared, unless they are there.
 *  pool         borrowed; must not be destroyed before
 *  options      NULL: the defaults
 *  ret_storage  for vestry_forms_options.storage, of one vestry_forms at a time. Owned by the caller; untouched on
 *               failure
 *  Returns  OK | INVALID | NO_MEMORY | the errors of vestry/data/postgres_pool.h (IO also: the tables are of a later
 *  version
 *           of vestry; nothing was changed). The log says why, and what helps
 *  Threads  any; blocks on the network */
VESTRY_API vestry_err vestry_postgres_forms_create(vestry_postgres_pool *pool,
                                                   const vestry_postgres_forms_options *options,
                                                   vestry_forms_storage **ret_storage);
/** After vestry_forms_destroy; no transaction that has cleared a form may be open. NULL is accepted. */
VESTRY_API void vestry_postgres_forms_destroy(vestry_forms_storage *storage);

#ifdef __cplusplus
}
#endif
#endif
