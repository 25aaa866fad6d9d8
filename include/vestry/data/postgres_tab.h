/* SPDX-License-Identifier: MIT */
/** States of tabs in a database of PostgreSQL (libvestry-postgres): bytes by (scope, tab), in a table that vestry
 *  makes, which a tab's handlers write and its page reads, at whichever node: which channel it shows, the draft.
 *
 *      vestry_postgres_tabs_create(pages, pool, NULL, &tabs);
 *      vestry_postgres_tab_set(tabs, req, draft, len); // a handler: the tab's page renders again
 *      vestry_postgres_tab_get(tabs, req, render, draft, sizeof draft, &len); // its render
 *
 *  Both use a transaction of their own: they are called by a thread that has none of this pool. A render that read it
 *  by a snapshot which is older would not know what was written since. */
#ifndef VESTRY_POSTGRES_TAB_H
#define VESTRY_POSTGRES_TAB_H

#include "vestry/app/page.h"
#include "vestry/data/postgres_pool.h"

#ifdef __cplusplus
extern "C" {
#endif

/** States of one database. */
typedef struct vestry_postgres_tabs vestry_postgres_tabs;

/** How they are kept. Zero is the default, in brackets. */
typedef struct vestry_postgres_tabs_options {
  size_t size;              /**< sizeof(vestry_postgres_tabs_options), or 0 */
  uint32_t ttl_s;           /**< a state is kept this long after it was last written or read [30 days] */
  uint32_t anonymous_ttl_s; /**< as ttl_s, of anonymous users (vestry_session_is_anonymous) [half of ttl_s] */
  uint32_t per_scope_count; /**< at most; the one that is nearest to its end makes room [64]. Not of the scope
                                    without a name, which is everybody's */
  size_t max_bytes;         /**< of one state [64 KiB]; at most 64 MiB */
  uint32_t
      max_count; /**< of all scopes; those nearest to their end make room, anonymous users' before users'. Counted once
                           in 1,024 new states of a node, so there may be so many more for each node [100,000] */
  int64_t (*now_s)(void *ctx); /**< seconds since 1970; NULL: the system's clock. For tests */
  void *now_ctx;               /**< handed to it */
} vestry_postgres_tabs_options;

/** Make the table, unless it is there.
 *  pages     borrowed, and so is pool; must not be destroyed before. Pages of other nodes are told by the cluster's
 *            topics, if there is one
 *  options   NULL: the defaults
 *  ret_tabs  owned by the caller; untouched on failure
 *  Returns  OK | INVALID | NO_MEMORY | the errors of vestry/data/postgres_pool.h (IO also: the table is of a later
 *  version
 *           of vestry). The log says why, and what helps
 *  Threads  any; blocks on the network */
VESTRY_API vestry_err vestry_postgres_tabs_create(vestry_pages *pages, vestry_postgres_pool *pool,
                                                  const vestry_postgres_tabs_options *options,
                                                  vestry_postgres_tabs **ret_tabs);
/** No request may use it any more. NULL is accepted. */
VESTRY_API void vestry_postgres_tabs_destroy(vestry_postgres_tabs *tabs);

/** Read the state of the tab that a request comes from (vestry/app/tab.h). A document's tab is a guess: read state that
 *  no other tab may show only where vestry_tab_is_known is true. In a render, the page renders again when the state is
 *  written.
 *  req       the handler's, or vestry_render.request
 *  render    the render that reads, NULL: none
 *  buffer    receives it, at most capacity bytes
 *  ret_len   its length, also with TOO_LARGE. 0: it has none yet. Untouched on all other failures
 *  Returns  OK | INVALID (also: this thread has a transaction of the pool) | NOT_FOUND (the request has no tab, the
 *           render is shared) | TOO_LARGE (capacity) | the errors of vestry/data/postgres_pool.h
 *  Threads  the handler's, or the render's; blocks on the network */
VESTRY_API vestry_err vestry_postgres_tab_get(vestry_postgres_tabs *tabs, const vestry_request *req,
                                              vestry_render *render, void *buffer, size_t capacity, size_t *ret_len);
/** Write it, and have the tab's page render again.
 *  data  copied; len 0: the tab has none any more
 *  Returns  OK | INVALID (also: this thread has a transaction of the pool) | NOT_FOUND (the request has no tab) |
 *           TOO_LARGE (max_bytes) | the errors of vestry/data/postgres_pool.h
 *  Threads  the handler's, not from a render; blocks on the network */
VESTRY_API vestry_err vestry_postgres_tab_set(vestry_postgres_tabs *tabs, const vestry_request *req, const void *data,
                                              size_t len);

#ifdef __cplusplus
}
#endif
#endif
