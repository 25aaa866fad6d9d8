/* SPDX-License-Identifier: MIT */
/** Presence: the users who are at a place, for example in a chat room, with a notification of each change.
 *
 *      vestry_presence_create(v, &(vestry_presence_options){.on_change = show_members, .ctx = &app}, &presence);
 *
 *      vestry_reply_keep(reply, VESTRY_KEEP_MANY, 0);            // a page's stream
 *      vestry_reply_present(reply, presence, VESTRY_KEY("board", id), user);
 *
 *      static void show_members(const vestry_presence_change *change, void *ctx) {
 *        // change->user has joined or left change->place: dispatch a new list to the pages of the place
 *      }
 *
 *  A place is any key. A user is its member from the first stream until grace_ms after the end of the last one, so that
 *  a reload or a reconnect is no change. Several tabs of a user are one member. docs/guide/presence.md has the
 *  rules. */
#ifndef VESTRY_PRESENCE_H
#define VESTRY_PRESENCE_H

#include "vestry/request.h"
#include "vestry/runtime.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The members of any number of places.
 *  In a cluster (vestry/cluster/cluster.h), presences with the same name are one: a member on one node is present on
 *  all nodes, and a user with tabs on two nodes is one member. Each node announces its members within 5 ms. Each node
 *  calls its own on_change, which should update only the streams of this node, for example by
 *  vestry_dispatch_options.only_here. The members of a node leave when it leaves or is dead. In a partition each side
 *  has its own members; within a second after it heals all nodes have all members.
 *  A member is announced in one message. So place, user and name together have at most the broker's max_payload less 69
 *  bytes, and vestry_reply_present refuses a larger member. If max_payload becomes smaller later, a member that is now
 *  too large is missing in the next complete list of its node, so the other nodes drop it; its node logs this once. */
typedef struct vestry_presence vestry_presence;

/** A change. Valid during the call; later versions may add members at the end. */
typedef struct vestry_presence_change {
  const vestry_key *place;
  const char *user;
  bool here;         /**< true: joined; false: left */
  size_t here_count; /**< number of members of the place after this change; later changes that on_change has not
                          received yet are not included */
} vestry_presence_change;

/** Receives changes in order, one at a time, on a thread of the runtime, no lock held. For each member and place,
 *  joining and leaving alternate. Changes that occur during a call wait, at most one for each member and place: if a
 *  member leaves and joins again meanwhile, the two changes cancel each other. After the last call, the reported state
 *  is the current one. May query, dispatch and send. The result of a query may be newer than the change, never
 *  older. */
typedef void (*vestry_presence_fn)(const vestry_presence_change *change, void *ctx);

/** Options of a presence. Zero is the default. */
typedef struct vestry_presence_options {
  uint64_t grace_ms;            /**< time from the end of a member's last stream until it leaves; 0: 2,000; at most a
                                     day. While the last sixteenth of max_count is in use, each new member ends the
                                     oldest such time */
  size_t max_count;             /**< maximum number of pairs of member and place; a pair counts until on_change has
                                     received its leaving. 0: 100,000 */
  vestry_presence_fn on_change; /**< NULL: changes are not reported */
  void *ctx;                    /**< passed to on_change */
  vestry_runtime *runtime;      /**< runs on_change; pass a runtime of one thread to run on_change on a separate thread.
                                     Borrowed: destroy the runtime after vestry_presence_destroy, before or after
                                     vestry_destroy, while the instance's host is valid. After it has stopped, no grace
                                     time ends and no change is reported. NULL: the instance's runtime */
  const char *name;             /**< name under which the presence spans the nodes of a cluster: 1 to 64 bytes, unique
                                     in the instance; copied. Each node applies its own grace_ms, and its max_count
                                     includes the members of all nodes; members of other nodes beyond it are left out
                                     (is_partial). NULL: this node only */
} vestry_presence_options;

/** Create a presence.
 *  v             borrowed until vestry_presence_destroy
 *  options       NULL: the defaults; copied
 *  ret_presence  owned by the caller; untouched on failure
 *  Returns  OK | INVALID | EXISTS (the name) | NO_MEMORY | CLOSED (the runtime) | IO (no randomness)
 *  Threads  any; does not block */
VESTRY_API vestry_err vestry_presence_create(struct vestry *v, const vestry_presence_options *options,
                                             vestry_presence **ret_presence);

/** Destroy a presence, before vestry_destroy. After this returns, on_change neither runs nor will run. Open streams
 *  continue, but are not counted any more. NULL is accepted. May be called before or after vestry_stop. If vestry_stop
 *  is called first, it ends all streams, and on_change reports that their members left only if their grace time ends
 *  before vestry_presence_destroy is called.
 *  Threads  not from on_change; waits for a running call of it. From then on no handler may call vestry_reply_present,
 *           and no thread may query; streams may begin and end meanwhile */
VESTRY_API void vestry_presence_destroy(vestry_presence *presence);

/** Make a user a member of a place while the stream that this reply opens is open. No effect if the reply opens
 *  none, or vestry_reply_keep reuses a stored stream instead. If other streams take the last places before this one
 *  begins, the request is answered with 503. Call it once for each place.
 *  place  copied; NULL: one place for all
 *  user   UTF-8, 1 to 255 bytes; copied
 *  Returns  OK | INVALID (place, user) | TOO_LARGE (place; the member's announcement) | LIMIT
 *           (max_per_stream_count of vestry_bounds; or max_count, but never for a member that is present already, its
 *           grace time included) | NO_MEMORY (a handler need not check this: the request then fails with it)
 *  Threads  the handler's */
VESTRY_API vestry_err vestry_reply_present(vestry_reply *reply, vestry_presence *presence, const vestry_key *place,
                                           const char *user);

/** Count the members of a place; NULL: the place for all. Returns 0 also for an invalid key, or if presence is NULL.
 *  Threads any; takes a lock briefly. */
VESTRY_API size_t vestry_presence_count(vestry_presence *presence, const vestry_key *place);
/** Return whether a user is a member of a place; false also if presence or user is NULL. Threads any; takes a lock
 *  briefly. */
VESTRY_API bool vestry_presence_is(vestry_presence *presence, const vestry_key *place, const char *user);
/** Receives a member of a place. streams_count: number of the member's streams on this node; 0 in the grace time, or if
 *  all streams are on other nodes. */
typedef void (*vestry_presence_each_fn)(const char *user, size_t streams_count, void *ctx);
/** List the members of a place in the order of their joining: a snapshot.
 *  Returns  OK | INVALID (presence or fn is NULL; place) | TOO_LARGE (place) | NO_MEMORY (fn was not called)
 *  Threads  any; fn runs on this thread, no lock held */
VESTRY_API vestry_err vestry_presence_each(vestry_presence *presence, const vestry_key *place,
                                           vestry_presence_each_fn fn, void *ctx);

/** Number of members, and whether it is complete. */
typedef struct vestry_presence_stats {
  size_t here_count;      /**< pairs of member and place, on all nodes */
  size_t own_count;       /**< pairs on this node */
  uint64_t refused_count; /**< times that a member of another node was left out because of max_count */
  bool is_partial;        /**< the list may lack members, or contain members that have left: a live node has not yet
                               announced all its members, max_count was reached, or the set of live nodes is not yet
                               known */
} vestry_presence_stats;

/** Get a snapshot of the numbers. Threads any; takes locks briefly. */
VESTRY_API void vestry_presence_stats_get(vestry_presence *presence, vestry_presence_stats *ret_stats);

#ifdef __cplusplus
}
#endif
#endif
