/* SPDX-License-Identifier: MIT */
/* The order of all locks of src/, outermost first: a thread that holds a lock takes only locks that come later, and
 * none under an INNERMOST one. The test `locking` compares these rows with those of docs/locking.md, which describe
 * what each lock guards and what is done under it.
 *
 * Where VSI_LOCK_RANKS is defined (CMake's VESTRY_LOCK_RANKS: builds of type Debug, and those with sanitizers), each
 * thread keeps a list of its held locks. If a lock is taken out of order, even without contention, the program ends
 * with the names of both locks and both places. Other builds compile none of this. Header only except the list, which
 * belongs to the core and is exported in such builds, because other libraries take locks, too. */
#ifndef VSI_BASE_LOCK_ORDER_H
#define VSI_BASE_LOCK_ORDER_H

#define VSI_LOCKS(OUTER, INNERMOST)                                                                                    \
  OUTER(PRESENCE_NOTIFYING, "vestry_presence.notifying", "app/presence/presences.h: notifying")                        \
  OUTER(ROUTES_CHANGES, "vsi_routes.changes", "http/routes/routes.c: changes")                                         \
  OUTER(CIVETWEB_NEIGHBOURS, "the neighbours' lock", "adapter/civetweb/mounts.c: lock")                                \
  OUTER(ROUTES, "vsi_routes.lock", "http/routes/routes.c: lock")                                                       \
  OUTER(SQLITE, "vestry_sqlite.lock", "data/sqlite/sqlite.h: lock")                                                    \
  OUTER(READS, "vsi_reads.lock", "data/sql/reads.h: lock")                                                             \
  OUTER(CLUSTER, "vestry_cluster.lock", "cluster/cluster/cluster.h: lock")                                             \
  OUTER(CLUSTER_KEYS, "vsi_keys.lock", "cluster/cluster/keys.h: lock")                                                 \
  OUTER(PRESENCES, "vsi_presences.list_lock", "app/presence/presences.h: list_lock")                                   \
  OUTER(PRESENCE, "vestry_presence.lock", "app/presence/presences.h: lock")                                            \
  OUTER(PAGES, "vestry_pages.lock", "app/page/pages.h: lock")                                                          \
  OUTER(SHARES, "vsi_shares.lock", "serve/shares.c: lock")                                                             \
  OUTER(STORE_DRIVER, "vestry_store.driver_lock", "store/store.h: driver_lock")                                        \
  OUTER(SESSION_CHECKS, "vsi_session_checks.checks_lock", "app/session/record.h: checks_lock")                         \
  OUTER(MEMORY_NETWORK, "vestry_memory_network.lock", "testing/memory_network.h: lock")                                \
  OUTER(NATS_IO, "vsi_nats_broker.io", "cluster/nats/broker.h: io")                                                    \
  OUTER(NATS, "vsi_nats_broker.lock", "cluster/nats/broker.h: lock")                                                   \
  OUTER(STAGE, "stage_lock", "runtime/runtime.h: stage_lock")                                                          \
  OUTER(TIMER, "vestry_timer.lock", "runtime/timer.c: lock")                                                           \
  OUTER(TICKER, "vsi_ticker.lock", "runtime/ticker.h: lock")                                                           \
  OUTER(CHANNEL, "vsi_channel.lock", "channel/channel.h: lock")                                                        \
  OUTER(GROUP, "vsi_group.lock", "connection/group.c: lock")                                                           \
  OUTER(SHARD, "vsi_shard.lock", "store/shard.h: lock")                                                                \
  INNERMOST(SESSION, "a session's lock", "app/session/record.h: lock")                                                 \
  INNERMOST(CONNECTION, "a connection's lock", "connection/queue.h: lock")                                             \
  INNERMOST(JOB_QUEUE, "a pool queue's lock", "runtime/pool.h: lock")                                                  \
  INNERMOST(BUS, "vsi_bus.lock", "app/bus/bus.c: lock")                                                                \
  INNERMOST(CHANNELS, "vsi_channels.lock", "channel/channels.c: lock")                                                 \
  INNERMOST(HISTORIES, "vsi_histories.lock", "app/history/histories.c: lock")                                          \
  INNERMOST(CODINGS, "vsi_codings.lock", "coding/coding.h: lock")                                                      \
  INNERMOST(ONCE, "vsi_once_table.lock", "app/guard/once_table.h: lock")                                               \
  INNERMOST(BUCKETS, "a lock of a rate's buckets", "app/guard/rate.c: lock")                                           \
  INNERMOST(UPLOAD_PLACES, "vsi_upload_places.lock", "app/upload/place.h: lock")                                       \
  INNERMOST(UPLOAD_FOLDER, "vestry_upload_folder.lock", "app/upload/room.h: lock")                                     \
  INNERMOST(FORMS, "vsi_form_kept.lock", "app/page/form_kept.c: lock")                                                 \
  INNERMOST(SQLITE_TABLES, "vsi_sqlite_tables.lock", "data/sqlite/tables.h: lock")                                     \
  INNERMOST(SQL_POOL, "vestry_sql_pool.lock", "data/sql/sql.h: lock")                                                  \
  INNERMOST(POSTGRES_FOLLOWER, "vsi_postgres_follower.lock", "data/postgres/follower.c: lock")                         \
  INNERMOST(SQLITE_CACHE, "the page cache's lock", "data/sqlite/cache.c: lock")                                        \
  INNERMOST(EXCHANGE, "a memory exchange's lock", "testing/exchange.h: lock")                                          \
  INNERMOST(GATE, "an adapter's gate", "adapter/web/gate.h: lock")                                                     \
  INNERMOST(ADDRESSES, "vsi_web_addresses.lock", "adapter/web/addresses.h: lock")                                      \
  INNERMOST(CIVETWEB_WATCH, "vsi_civetweb_watch.lock", "adapter/civetweb/watch.h: lock")                               \
  INNERMOST(CIVETWEB_DEADLINES, "vsi_civetweb_deadlines.lock", "adapter/civetweb/deadline.h: lock")                    \
  INNERMOST(CIVETWEB_TRIAL, "the trial threads' lock", "adapter/civetweb/settings.c: end")                             \
  INNERMOST(MICROHTTPD_WATCH, "vsi_microhttpd_watch.lock", "adapter/microhttpd/watch.h: lock")                         \
  INNERMOST(MICROHTTPD_REQUESTS, "vsi_microhttpd_attached.lock", "adapter/microhttpd/adapter.h: lock")                 \
  INNERMOST(MICROHTTPD_SOCKETS, "vsi_microhttpd_sockets.lock", "adapter/microhttpd/socket.h: lock")                    \
  INNERMOST(MICROHTTPD_SENDINGS, "vsi_microhttpd_sendings.loads_lock", "adapter/microhttpd/adapter.h: loads_lock")     \
  INNERMOST(MICROHTTPD_ARRIVALS, "vsi_microhttpd_arrivals.on_way_lock", "adapter/microhttpd/socket.h: on_way_lock")    \
  INNERMOST(MICROHTTPD_WRITER_POOL, "vsi_microhttpd_writer_pool.pool_lock", "adapter/microhttpd/adapter.h: pool_lock") \
  INNERMOST(H2_LOOP, "vsi_h2_loop.loop_lock", "adapter/h2/adapter.h: loop_lock")                                       \
  INNERMOST(TLS, "vsi_tls.tls_lock", "adapter/microhttpd/tls.c: tls_lock")                                             \
  INNERMOST(H2_SESSION, "vsi_h2_session.lock", "adapter/h2/adapter.h: lock")                                           \
  INNERMOST(JOBS, "vestry_jobs.lock", "data/jobs/state.h: lock")                                                       \
  INNERMOST(LEASES, "vsi_leases.lock", "app/stream/lease.c: lock")                                                     \
  INNERMOST(TAILS, "the tails' lock", "ops/observe/stream_tail.c: lock")                                               \
  INNERMOST(SHOWINGS, "vsi_showings.lock", "ops/observe/inside.h: lock")                                               \
  INNERMOST(EXTENSIONS, "vsi_extensions.lock", "instance/extension.h: lock")                                           \
  INNERMOST(CLOSES, "vsi_closes.lock", "ops/observe/closes.c: lock")                                                   \
  INNERMOST(MICROHTTPD_ASKING, "vsi_microhttpd_stream.asking", "adapter/microhttpd/watch.h: asking")                   \
  INNERMOST(OWED, "vsi_owed.lock", "app/session/owed.h: lock")                                                         \
  INNERMOST(H2_LOADS, "vsi_h2.loads_lock", "adapter/h2/adapter.h: loads_lock")                                         \
  INNERMOST(RECORDER, "vsi_recorder.lock", "testing/contract/recorder.h: lock")                                        \
  INNERMOST(REFRESHES, "vsi_inbox.lock", "app/page/inbox.h: lock")

#define VSI_LOCK_ENUMERATOR(name, title, declared) VSI_LOCK_##name,
typedef enum vsi_lock_rank { VSI_LOCK_UNKNOWN, VSI_LOCKS(VSI_LOCK_ENUMERATOR, VSI_LOCK_ENUMERATOR) } vsi_lock_rank;
#undef VSI_LOCK_ENUMERATOR

/* These macros are used in the functions that take and release locks; an argument may be evaluated twice, or not at
 * all. */
#ifdef VSI_LOCK_RANKS
#define VSI_LOCK_LINE_(line)      #line
#define VSI_LOCK_LINE(line)       VSI_LOCK_LINE_(line)
#define VSI_LOCK_HERE             __FILE__ ":" VSI_LOCK_LINE(__LINE__)
#define VSI_LOCK_TAKE(lock, rank) vsi_lock_order_take(lock, rank, VSI_LOCK_HERE)
#define VSI_LOCK_TOOK(lock, rank) vsi_lock_order_took(lock, rank, VSI_LOCK_HERE)
#define VSI_LOCK_WAIT(lock)       vsi_lock_order_wait(lock)
#define VSI_LOCK_GIVE(lock)       vsi_lock_order_give(lock)
#define VSI_LOCK_EXPORTED         __attribute__((visibility("default")))

/* Record that the thread is about to take a lock. place: constant */
VSI_LOCK_EXPORTED void vsi_lock_order_take(const void *lock, vsi_lock_rank rank, const char *place);
/* Record that the thread has taken a lock without waiting, which is allowed in any order. */
VSI_LOCK_EXPORTED void vsi_lock_order_took(const void *lock, vsi_lock_rank rank, const char *place);
/* Record that the thread is about to wait for a condition, after which it takes the lock again. */
VSI_LOCK_EXPORTED void vsi_lock_order_wait(const void *lock);
VSI_LOCK_EXPORTED void vsi_lock_order_give(const void *lock);
#else
#define VSI_LOCK_TAKE(lock, rank) ((void)0)
#define VSI_LOCK_TOOK(lock, rank) ((void)0)
#define VSI_LOCK_WAIT(lock)       ((void)0)
#define VSI_LOCK_GIVE(lock)       ((void)0)
#endif

#endif
