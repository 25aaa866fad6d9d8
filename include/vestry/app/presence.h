/* SPDX-License-Identifier: MIT */
/** Presence: who is at a place now, told when it changes.
 *
 *      vestry_presence_create(v, &(vestry_presence_options){.on_change = say_who, .ctx = &app}, &presence);
 *
 *      vestry_reply_keep(reply, VESTRY_KEEP_MANY, 0);            // a page's stream
 *      vestry_reply_present(reply, presence, VESTRY_KEY("board", id), user);
 *
 *      static void say_who(const vestry_presence_change *change, void *ctx) {
 *        // change->who has come to change->place, or has left it: dispatch a new list to the place's pages
 *      }
 *
 *  A person is present from the first stream that says so until grace_ms after the last one has ended: a reload, or a
 *  stream that breaks and comes back, is no change. Several tabs are one person.
 *
 *  In a cluster (vestry/cluster/cluster.h) a presence with a name is of all nodes that have one of this name: a person
 *  at a place of one node is there on all, and a person with tabs on two nodes is one. Each node tells its own, within
 *  5 ms, and calls its own on_change. The persons of a node leave when it says goodbye, or is taken for dead. When two
 *  parts of a divided network take each other for dead, each has its own; afterwards both have all again, within a
 *  second. on_change is to bring up to date what is on its own node, since each has one: by
 *  vestry_dispatch_options.only_here, say. */
#ifndef VESTRY_PRESENCE_H
#define VESTRY_PRESENCE_H

#include "vestry/request.h"
#include "vestry/runtime.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Persons and the places where they are. */
typedef struct vestry_presence vestry_presence;

/** What has changed. Valid during the call; may grow at its end. */
typedef struct vestry_presence_change {
  const vestry_key *place;
  const char *who;
  bool here;         /**< has come, or has left */
  size_t here_count; /**< how many are at the place since then, as far as it has been told */
} vestry_presence_change;

/** Told of changes: in the order in which they happened, one at a time. For each who and place a coming, a leaving, a
 *  coming, and so on. While it runs, others wait, at most one for each who and place: what was undone before it could
 *  be told, a coming and the leaving after it, or the other way round, is left out. In the end what was told is how
 *  things are. On a thread of the runtime's; no lock held: it may ask, dispatch and send. What it asks for may be newer
 *  than what it is told of, never older. */
typedef void (*vestry_presence_fn)(const vestry_presence_change *change, void *ctx);

/** How presence is kept. Zero is the default. */
typedef struct vestry_presence_options {
  size_t size;       /**< sizeof(vestry_presence_options), or 0 */
  uint64_t grace_ms; /**< bridges reloads; 0: 2,000; at most a day */
  size_t max_count;  /**< pairs of who and place, all together; those that have left, too, until that was told. 0:
                          100,000 */
  vestry_presence_fn on_change; /**< NULL: changes are not told */
  void *ctx;                    /**< handed to it */
  vestry_runtime *runtime;      /**< on whose threads on_change runs; one with one thread is a thread of your own.
                                     Borrowed: destroy it after vestry_presence_destroy, before or after
                                     vestry_destroy, while the instance's host is good. Once it is stopped, no grace
                                     time ends and no change is told. NULL: the instance's */
  const char *name; /**< of one that spans the nodes of a cluster: 1 to 64 bytes, of its own in this instance;
                                     copied. Each node keeps the time of its own members, and counts all in max_count;
                                     members of other nodes beyond it are left out (is_partial). NULL: it is of this
                                     node alone */
} vestry_presence_options;

/** Create one.
 *  v             borrowed; must not be destroyed before
 *  options       NULL: the defaults; copied
 *  ret_presence  owned by the caller; untouched on failure
 *  Returns  OK | INVALID | EXISTS (the name) | NO_MEMORY | CLOSED (the runtime) | IO (no randomness)
 *  Threads  any; does not block */
VESTRY_API vestry_err vestry_presence_create(struct vestry *v, const vestry_presence_options *options,
                                             vestry_presence **ret_presence);

/** End it: on_change does not run any more, nor will it. Streams that are open go on, and are counted no more. NULL is
 *  accepted. Before vestry_destroy; before or after vestry_stop: what is told after that is of streams that it ended.
 *  Threads  not from on_change; waits for one that runs. No handler may call vestry_reply_present any more, nor any
 *           thread ask; streams may begin and end meanwhile */
VESTRY_API void vestry_presence_destroy(vestry_presence *presence);

/** Have a person be present at a place as long as the stream is open that this reply opens. Nothing happens if it opens
 *  none, or if it is given up for a stored one. For several places, call it several times.
 *  place    copied; NULL: one for all
 *  who      UTF-8, 1 to 255 bytes; copied
 *  Returns  OK | INVALID (place, who) | TOO_LARGE (place) | LIMIT (max_per_stream_count of vestry_bounds;
 *           or max_count, but never for a person that is there already, the grace time included) | NO_MEMORY
 *           (may be left to vestry)
 *  Threads  the handler's */
VESTRY_API vestry_err vestry_reply_present(vestry_reply *reply, vestry_presence *presence, const vestry_key *place,
                                           const char *who);

/** How many are at a place. 0: none; a place that is no key; presence is NULL. place: NULL: the one for all. Threads
 *  any; takes a lock briefly. */
VESTRY_API size_t vestry_presence_count(vestry_presence *presence, const vestry_key *place);
/** Whether this person is. false also if presence or who is NULL. Threads any; takes a lock briefly. */
VESTRY_API bool vestry_presence_is(vestry_presence *presence, const vestry_key *place, const char *who);
/** Called for one who is at a place; streams_count: on this node; 0 in the grace time, or if only others have him. */
typedef void (*vestry_presence_each_fn)(const char *who, size_t streams_count, void *ctx);
/** Name all persons at a place, as they came: a snapshot.
 *  Returns  OK | INVALID (presence or fn is NULL; place) | TOO_LARGE (place) | NO_MEMORY (none was named)
 *  Threads  any; fn runs on this thread, no lock held */
VESTRY_API vestry_err vestry_presence_each(vestry_presence *presence, const vestry_key *place,
                                           vestry_presence_each_fn fn, void *ctx);

/** How many are there, and whether that is all. */
typedef struct vestry_presence_stats {
  size_t size;            /**< sizeof(vestry_presence_stats), or 0 */
  size_t here_count;      /**< pairs of who and place, on all nodes */
  size_t own_count;       /**< of these, on this node */
  uint64_t refused_count; /**< how often there was no room for one of another node's */
  bool is_partial;        /**< some may be missing, or be gone: a node that lives has not told all of its own yet, there
                               was no room, or it is not known yet which nodes live */
} vestry_presence_stats;

/** A snapshot. Threads any; takes locks briefly. */
VESTRY_API void vestry_presence_stats_get(vestry_presence *presence, vestry_presence_stats *ret_stats);

#ifdef __cplusplus
}
#endif
#endif
