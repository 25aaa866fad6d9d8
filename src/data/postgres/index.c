/* SPDX-License-Identifier: MIT */
/* essay: why a commit of PostgreSQL that concerns a render is never missed */
/* Sets of the reads of renders, found by keys. A key names a thing that a render can read and a commit can write, such
 * as a row, a table or a leaf of a B-tree (keys.h). "Index" without more words means the structure of this file. The
 * ring is its list of recent commits. A set belongs to one render, and ends when a commit matches it: when both have a
 * key in common.
 *
 * Why no commit is missed. The output of a render depends on its snapshot. So a commit that the snapshot sees does not
 * concern the render. Any other commit concerns it if the commit wrote something that the render has read, that is, if
 * the commit and the render have a key in common. The server announces a commit twice: first its record is in the WAL,
 * then the commit becomes visible. A record read from the WAL is kept in the ring until a snapshot, taken for this
 * purpose, sees the commit. Then it is published: sets that it matches, and whose snapshots do not see it, are hit.
 * Their renders run again, and see the commit. So no render runs again in vain, and none waits for a commit.
 *
 * A commit passes through the ring in these steps:
 *
 *     its record is in the WAL ──→ hidden ──a snapshot sees it──→ published ──no ticket is older──→ dropped
 *                                                                     └── hits the sets that it matches
 *
 * Commits whose records are read together enter the ring together (vsi_postgres_index_take). Before a split of a leaf,
 * those that precede it enter.
 *
 * A running render has no set yet. It has a ticket: the time of the index's clock before its transaction began. (This
 * clock is a counter.) A published commit stays in the ring while a ticket is older than its publication. When a render
 * with such a ticket ends, its reads are compared with the ring. A render with a later ticket began when the commit was
 * visible, and sees it.
 *
 * Leaves. If a render has read a leaf of a B-tree, an entry added to the leaf may be one for which the render looked. A
 * split moves a part of the leaf's range to a new leaf, so the set gets the new leaf, too. The render may have read
 * before or after the split, and the commit may have written before or after it. Therefore, everything that contains
 * the old leaf gets the new one: sets, the ring, the writes of running transactions (transactions.c), and renders with
 * an older ticket when they end.
 *
 * The start. The follower reads the WAL from some record on. A transaction that began before this record may have
 * written before it, so not all of its writes are known. The record of its commit may be before it, too, although the
 * commit becomes visible only later; then the follower never reads the commit. Therefore, when a new snapshot of the
 * follower is the first one that sees such a transaction, every set is hit whose own snapshot does not see it. The
 * transactions are checked one by one, because one of them may run for hours.
 *
 * Bounds. If the ring is full, published commits are dropped, the oldest first, and their time is kept, so that older
 * renders count as hit. If that is not enough, commits that are not published count as matching every set.
 *
 * The lock. A commit can hit every set, of which there may be a million. Renders that wait for the lock get it after
 * each STEP of them. A set that is entered meanwhile has been compared with the commit, which is published before the
 * walk, and stays in the ring until its end. */
#include "data/postgres/index.h"

#include <stdatomic.h>
#include <string.h>

#include "base/array.h"
#include "base/wait.h"
#include "data/postgres/sets.h"

enum {
  STEP = 256,
  STEP_MS = 100,     /* maximum time for which a walk waits until one of the renders that want the lock has had it */
  SWEPT_EACH = 2,    /* sets that are looked at for each one that is entered */
  FREED_EACH = 2,    /* sets that are freed with each render that ends */
  ENDED_MOST = 1024, /* sets that a commit has matched and that are not freed yet; each costs a kilobyte or so */
  COMING_MOST = 64,  /* commits that enter the ring together, and the keys of each */
  SPARE_MOST = 256,
  MANY = 192, /* commits after which a snapshot is wanted, so that their memory is used for the next ones */
  MOVES_MAX = 1 << 16,
  RING_BYTES_MAX = 64 << 20
};

typedef vsi_postgres_key key;
typedef vsi_postgres_keys keys;
typedef vsi_postgres_set set;

typedef struct recent {
  TAILQ_ENTRY(recent) in;
  uint64_t xid;
  uint64_t published; /* time of the index's clock; 0: not visible yet */
  uint64_t at_ns;     /* when its record was read; 0: not needed */
  bool is_all;
  bool is_compared; /* with all sets */
  bool is_awaited;  /* it matches a set, or did when it was compared last */
  bool is_held;     /* it is being published */
  keys keys;        /* last: it keeps its memory for the next commit */
} recent;

TAILQ_HEAD(ring, recent);

/* A commit that is not in the ring yet. */
typedef struct coming {
  uint32_t xid;
  bool is_all;
  keys keys;
} coming;

typedef struct move {
  uint64_t at;
  uint32_t relation, from, to;
} move;

struct vsi_postgres_index {
  vsi_postgres_index_options is;
  vsi_mutex lock;
  pthread_cond_t ended;      /* a render has ended, or had the lock while the follower gave way */
  _Atomic(uint64_t) numbers; /* relaxed: only unique */
  _Atomic(unsigned) waiting; /* threads that want the lock while the follower may have it; relaxed: a hint */
  /* Of the follower. The time is that of the first one. */
  coming coming[COMING_MOST];
  size_t coming_count;
  uint64_t coming_ns;
  /* All below is guarded by the lock. */
  uint64_t clock;
  TAILQ_HEAD(, vsi_postgres_ticket) tickets; /* the oldest first */
  vsi_postgres_sets sets;
  size_t walked;    /* sets and keys that the follower has passed */
  bool gives_way;   /* the follower waits until a render has had the lock */
  bool is_hitting;  /* the follower is hitting sets, and others may have the lock meanwhile */
  bool has_whole;   /* a render depends on everything */
  bool is_matched;  /* a set waits for a commit of the ring that is not visible yet */
  bool is_received; /* a receiver waited when find_receivers was called last */
  /* The ring: commits that are not visible yet, in the order of the WAL, and visible ones, in that of publication. */
  struct ring hidden, published;
  struct ring spare; /* dropped commits, for the next ones */
  size_t spare_count;
  size_t hidden_count, kept_count; /* kept: those that the last snapshot did not see */
  size_t ring_bytes;
  uint64_t start_to;   /* transactions before it may have committed unseen */
  uint64_t start_left; /* number of them that had not ended at the last check */
  uint64_t forgotten;  /* renders with tickets up to this may have missed an unknown commit */
  uint64_t near;       /* a recent transaction number */
  move *moves;
  size_t moves_count, moves_room;
  bool is_ring_full; /* commits, or splits of leaves, were dropped for the first time; not reported yet */
  vsi_postgres_hit hits[VSI_POSTGRES_HITS_MOST]; /* not reported yet; none while others may have the lock */
  size_t hits_count;
  vestry_postgres_stats stats; /* those of the index; refreshed_count only counts sets */
};

/* Take the lock. All threads but the follower's must take it in this way. */
static void lock_index(vsi_postgres_index *index) {
  atomic_fetch_add_explicit(&index->waiting, 1, memory_order_relaxed);
  vsi_mutex_lock(&index->lock);
  atomic_fetch_sub_explicit(&index->waiting, 1, memory_order_relaxed);
}

static void unlock_index(vsi_postgres_index *index) {
  if (index->gives_way) pthread_cond_broadcast(&index->ended);
  vsi_mutex_unlock(&index->lock);
}

/* ----------------------------------------------------------------------------------------------------- hits ------- */

/* Return the counter of sets that a commit hits with a key of this kind; 0: with any. */
static uint64_t *counter_of(vestry_postgres_stats *stats, unsigned kind) {
  switch (kind) {
  case 0: return &stats->refreshed_by_all;
  case VSI_POSTGRES_ROW:
  case VSI_POSTGRES_ROWS: return &stats->refreshed_by_row;
  case VSI_POSTGRES_LEAF: return &stats->refreshed_by_leaf;
  case VSI_POSTGRES_DEFINITION: return &stats->refreshed_by_schema;
  default: return &stats->refreshed_by_table;
  }
}

/* Report the hits. The next render of a page frees an ended set; those that no page needs are freed here. */
static void report_hits(vsi_postgres_index *index) {
  const size_t count = index->hits_count;
  if (!count) return;
  index->hits_count = 0;
  index->is.hit(index->is.ctx, index->hits, count);
  for (size_t i = 0; i < count; i++) {
    const vsi_postgres_hit *of = &index->hits[i];
    if (!of->is_used && of->number != VSI_POSTGRES_EVERYTHING) vsi_postgres_sets_free_ended(&index->sets, 1);
    if (!of->is_used) continue;
    index->stats.refreshed_count++;
    ++*counter_of(&index->stats, of->kind);
  }
  if (index->sets.ended_count > ENDED_MOST)
    vsi_postgres_sets_free_ended(&index->sets, index->sets.ended_count - ENDED_MOST);
}

static void add_hit(vsi_postgres_index *index, vsi_postgres_hit of) {
  index->hits[index->hits_count++] = of;
  if (index->hits_count == VSI_POSTGRES_HITS_MOST) report_hits(index);
}

/* End a set. of: the key that matches it */
static void hit(vsi_postgres_index *index, set *s, key of, uint64_t at_ns) {
  vsi_postgres_sets_end(&index->sets, s);
  add_hit(index, (vsi_postgres_hit){.number = s->number, .at_ns = at_ns, .kind = of.kind});
}

/* On the follower's thread, in a long walk: let others have the lock from time to time. */
static void give_way(vsi_postgres_index *index) {
  if (++index->walked % STEP || !atomic_load_explicit(&index->waiting, memory_order_relaxed)) return;
  report_hits(index);
  index->gives_way = true;
  (void)vsi_wait_until(&index->ended, &index->lock, vsi_monotonic_in_ms(STEP_MS));
  index->gives_way = false;
}

/* Find out once for many commits whether a receiver waits for any. If one begins to wait later, it reads the database
 * after that, and sees the commits that are visible already. */
static void find_receivers(vsi_postgres_index *index) {
  index->is_received = index->is.has_receiver && index->is.has_receiver(index->is.ctx, NULL);
}

static void notify_receivers(const vsi_postgres_index *index, const keys *of) {
  if (index->is.seen) index->is.seen(index->is.ctx, of);
}

/* Hit the renders that depend on everything. */
static void hit_whole(vsi_postgres_index *index, uint64_t at_ns) {
  if (!index->has_whole) return;
  index->has_whole = false;
  add_hit(index, (vsi_postgres_hit){.number = VSI_POSTGRES_EVERYTHING, .at_ns = at_ns});
}

/* Hit every set whose snapshot does not see a transaction of the start (see the head of this file) that the snapshot
 * `now` sees. If `now` is NULL, hit all sets. */
static void hit_older(vsi_postgres_index *index, const vsi_postgres_snapshot *now) {
  set *s;
  for (vsi_postgres_sets_walk(&index->sets); (s = vsi_postgres_sets_next(&index->sets)); give_way(index)) {
    const vsi_postgres_snapshot of = vsi_postgres_set_snapshot(s);
    if (!now || vsi_postgres_snapshot_sees_more(now, &of, index->start_to)) hit(index, s, (key){.kind = 0}, 0);
  }
  hit_whole(index, 0);
  notify_receivers(index, NULL);
}

/* Remove sets that no page needs: look at some with each set that is entered, so that each sweep ends before there are
 * twice as many. */
static void sweep(vsi_postgres_index *index) {
  for (int i = 0; i < SWEPT_EACH; i++) {
    set *s = vsi_postgres_sets_sweep(&index->sets);
    if (!s || index->is.is_used(index->is.ctx, s->number)) continue;
    vsi_postgres_sets_remove(&index->sets, s);
  }
}

/* ------------------------------------------------------------------------------------------------- the ring ------- */

static void drop(vsi_postgres_index *index, recent *c) {
  TAILQ_REMOVE(c->published ? &index->published : &index->hidden, c, in);
  index->stats.ring_count--;
  index->ring_bytes -= vsi_postgres_keys_bytes(&c->keys);
  if (!c->published) index->hidden_count--;
  if (index->spare_count == SPARE_MOST) {
    vsi_postgres_keys_clear(&c->keys, index->is.host);
    vsi_free(index->is.host, c);
    return;
  }
  vsi_postgres_keys_empty(&c->keys, index->is.host);
  memset(c, 0, offsetof(recent, keys));
  TAILQ_INSERT_HEAD(&index->spare, c, in);
  index->spare_count++;
}

static recent *take_spare(vsi_postgres_index *index) {
  recent *c = TAILQ_FIRST(&index->spare);
  if (!c) return vsi_calloc(index->is.host, 1, sizeof *c);
  TAILQ_REMOVE(&index->spare, c, in);
  index->spare_count--;
  return c;
}

/* Return the ticket of the oldest render that may still be current. Those of forgotten commits run again anyway. */
static uint64_t oldest_ticket(const vsi_postgres_index *index) {
  const vsi_postgres_ticket *t = TAILQ_FIRST(&index->tickets);
  while (t && t->at <= index->forgotten) t = TAILQ_NEXT(t, in);
  return t ? t->at : UINT64_MAX;
}

/* Drop what no running render can need. */
static void prune(vsi_postgres_index *index) {
  uint64_t oldest = oldest_ticket(index);
  for (recent *c; (c = TAILQ_FIRST(&index->published)) && c->published < oldest && !c->is_held;) drop(index, c);
  size_t gone = 0;
  while (gone < index->moves_count && index->moves[gone].at <= oldest) gone++;
  index->moves_count -= gone;
  if (gone) memmove(index->moves, index->moves + gone, index->moves_count * sizeof *index->moves);
}

static bool is_full(const vsi_postgres_index *index) {
  return index->stats.ring_count > index->is.max_ring || index->ring_bytes > RING_BYTES_MAX;
}

/* Make room in the ring: drop published commits, the oldest first. If the others alone are too many, drop all, which
 * then count as matching every set. Not while a commit is being published. */
static void shrink(vsi_postgres_index *index) {
  const size_t before = index->stats.ring_count;
  for (recent *c; is_full(index) && (c = TAILQ_FIRST(&index->published));) {
    if (c->published > index->forgotten) index->forgotten = c->published;
    drop(index, c);
  }
  if (is_full(index)) {
    for (recent *c; (c = TAILQ_FIRST(&index->hidden));) {
      if (c->xid >= index->start_to) index->start_to = c->xid + 1;
      index->start_left = UINT64_MAX;
      drop(index, c);
    }
    index->forgotten = index->clock;
  }
  if (index->stats.ring_count == before) return;
  index->is_ring_full |= !index->stats.over_ring_count;
  index->stats.over_ring_count += before - index->stats.ring_count;
}

static bool matches(const recent *c, const keys *of) {
  if (c->is_all) return true;
  for (size_t i = 0; i < of->count; i++)
    if (vsi_postgres_keys_concern(&c->keys, of->keys[i])) return true;
  return false;
}

/* Hit the sets of the walk that has begun. */
static void hit_walked(vsi_postgres_index *index, const recent *c, key of) {
  for (set *s; (s = vsi_postgres_sets_next(&index->sets)); give_way(index))
    if (!vsi_postgres_set_sees(s, c->xid)) hit(index, s, of, c->at_ns);
}

/* Publish a commit: it is visible to renders that begin now. */
static void publish(vsi_postgres_index *index, recent *c) {
  TAILQ_REMOVE(&index->hidden, c, in);
  TAILQ_INSERT_TAIL(&index->published, c, in);
  index->hidden_count--;
  c->published = ++index->clock;
  c->is_held = true;
  if (c->is_all) {
    vsi_postgres_sets_walk(&index->sets);
    hit_walked(index, c, (key){.kind = 0});
  }
  key of;
  for (vsi_postgres_key_walk is = {0}; vsi_postgres_keys_next(&c->keys, &is, &of);) {
    give_way(index);
    if (!vsi_postgres_sets_may_have(&index->sets, of)) continue;
    vsi_postgres_sets_walk_key(&index->sets, of);
    hit_walked(index, c, of);
  }
  hit_whole(index, c->at_ns);
  c->is_held = false;
  if (index->is_received) notify_receivers(index, c->is_all ? NULL : &c->keys);
}

/* Return whether a commit may match a set. */
static bool finds_set(vsi_postgres_index *index, const recent *c) {
  key of;
  if (c->is_all) return index->sets.count > 0;
  for (vsi_postgres_key_walk is = {0}; vsi_postgres_keys_next(&c->keys, &is, &of); give_way(index))
    if (vsi_postgres_sets_may_have(&index->sets, of) && vsi_postgres_sets_have(&index->sets, of)) return true;
  return false;
}

/* Return whether a set or something else waits for a commit. */
static bool is_awaited(vsi_postgres_index *index, recent *c) {
  if (index->has_whole) return true;
  if (!c->is_compared && finds_set(index, c)) c->is_awaited = true; /* a set that was entered meanwhile sets it, too */
  c->is_compared = true;
  return c->is_awaited ||
         (index->is_received && index->is.has_receiver(index->is.ctx, c->is_all ? NULL : &c->keys)); /* takes a lock */
}

/* Find out whether a set waits for the commit, unless one waits for an earlier commit: then the server is queried
 * anyway, and as a rule both are visible. */
static void compare(vsi_postgres_index *index, recent *c) {
  if (!index->is_matched && is_awaited(index, c)) index->is_matched = true;
}

/* Enter a commit into the ring, which takes over its keys. */
static vestry_err enter_commit(vsi_postgres_index *index, coming *of) {
  recent *c = take_spare(index);
  if (!c) return VESTRY_NO_MEMORY;
  c->xid = vsi_postgres_full_xid(of->xid, index->near);
  c->at_ns = index->coming_ns;
  c->is_all = of->is_all;
  vsi_postgres_keys_swap(&c->keys, &of->keys);
  TAILQ_INSERT_TAIL(&index->hidden, c, in);
  index->clock++;
  index->hidden_count++;
  index->stats.commits_count++;
  index->ring_bytes += vsi_postgres_keys_bytes(&c->keys);
  index->stats.ring_count++;
  compare(index, c);
  if (is_full(index)) shrink(index);
  return VESTRY_OK;
}

vestry_err vsi_postgres_index_take(vsi_postgres_index *index) {
  vestry_err error = VESTRY_OK;
  if (!index->coming_count) return VESTRY_OK;
  vsi_mutex_lock(&index->lock);
  find_receivers(index);
  for (size_t i = 0; i < index->coming_count && !error; i++) error = enter_commit(index, &index->coming[i]);
  vsi_mutex_unlock(&index->lock);
  if (!error) index->coming_count = 0;
  return error;
}

vestry_err vsi_postgres_index_commit(vsi_postgres_index *index, uint32_t xid, keys *of, bool is_all) {
  if (!is_all && !of->count) return VESTRY_OK;
  if (!index->coming_count) index->coming_ns = index->is.now_ns(index->is.ctx);
  coming *is = &index->coming[index->coming_count++];
  is->xid = xid;
  is->is_all = is_all;
  vsi_postgres_keys_move(&is->keys, of, index->is.host);
  const bool is_large = is->keys.count > COMING_MOST;
  return is_large || index->coming_count == COMING_MOST ? vsi_postgres_index_take(index) : VESTRY_OK;
}

/* --------------------------------------------------------------------------------------------------- leaves ------- */

static key leaf_of(uint32_t relation, uint32_t block) {
  return (key){.relation = relation, .block = block, .kind = VSI_POSTGRES_LEAF};
}

static vestry_err move_ring(vsi_postgres_index *index, const struct ring *ring, key from, key to) {
  recent *c;
  TAILQ_FOREACH(c, ring, in) {
    if (!vsi_postgres_keys_have(&c->keys, from)) continue;
    index->ring_bytes -= vsi_postgres_keys_bytes(&c->keys);
    vestry_err error = vsi_postgres_keys_add(&c->keys, index->is.host, to);
    index->ring_bytes += vsi_postgres_keys_bytes(&c->keys);
    if (error == VESTRY_NO_MEMORY) return error;
  }
  return VESTRY_OK;
}

/* Keep a split for running renders. */
static vestry_err keep_move(vsi_postgres_index *index, uint32_t relation, uint32_t from, uint32_t to) {
  if (TAILQ_EMPTY(&index->tickets)) index->moves_count = 0;
  if (TAILQ_EMPTY(&index->tickets)) return VESTRY_OK;
  if (index->moves_count == MOVES_MAX) {
    index->moves_count = 0;
    index->forgotten = index->clock;
    index->is_ring_full |= !index->stats.over_ring_count;
    index->stats.over_ring_count++;
  }
  if (VSI_ARRAY_RESERVE(index->is.host, index->moves, index->moves_count, index->moves_room, 1))
    return VESTRY_NO_MEMORY;
  index->moves[index->moves_count++] = (move){index->clock, relation, from, to};
  return VESTRY_OK;
}

vestry_err vsi_postgres_index_move(vsi_postgres_index *index, uint32_t relation, uint32_t from, uint32_t to) {
  vestry_err error = vsi_postgres_index_take(index);
  vsi_mutex_lock(&index->lock);
  index->clock++;
  const key old = leaf_of(relation, from), new = leaf_of(relation, to);
  if (!error) error = keep_move(index, relation, from, to);
  if (!error) error = move_ring(index, &index->hidden, old, new);
  if (!error) error = move_ring(index, &index->published, old, new);
  if (!error) error = vsi_postgres_sets_move(&index->sets, old, new);
  vsi_mutex_unlock(&index->lock);
  return error;
}

/* Apply the splits since the render began, in their order, because a leaf that was split may be split again. */
static vestry_err follow_moves(const vsi_postgres_index *index, const vsi_postgres_ticket *ticket, keys *of) {
  vestry_err error = VESTRY_OK;
  for (size_t i = 0; i < index->moves_count && error != VESTRY_NO_MEMORY; i++) {
    const move *m = &index->moves[i];
    if (m->at > ticket->at && vsi_postgres_keys_have(of, leaf_of(m->relation, m->from)))
      error = vsi_postgres_keys_add(of, index->is.host, leaf_of(m->relation, m->to));
  }
  return error == VESTRY_NO_MEMORY ? error : VESTRY_OK;
}

/* -------------------------------------------------------------------------------------------------- renders ------- */

void vsi_postgres_index_begin(vsi_postgres_index *index, vsi_postgres_ticket *ticket) {
  lock_index(index);
  ticket->at = ++index->clock;
  TAILQ_INSERT_TAIL(&index->tickets, ticket, in);
  unlock_index(index);
}

static void end_locked(vsi_postgres_index *index, vsi_postgres_ticket *ticket) {
  TAILQ_REMOVE(&index->tickets, ticket, in);
  vsi_postgres_sets_free_ended(&index->sets, FREED_EACH);
  pthread_cond_broadcast(&index->ended);
  prune(index);
}

void vsi_postgres_index_leave(vsi_postgres_index *index, vsi_postgres_ticket *ticket) {
  lock_index(index);
  end_locked(index, ticket);
  unlock_index(index);
}

uint64_t vsi_postgres_index_number(vsi_postgres_index *index) {
  return atomic_fetch_add_explicit(&index->numbers, 1, memory_order_relaxed) + 1;
}

/* Return whether the render has missed a commit, or may have: one that was published since it began, that its snapshot
 * does not see, and that wrote something that it has read. */
static bool is_passed(const vsi_postgres_index *index, const vsi_postgres_ticket *ticket, const keys *of,
                      const vsi_postgres_snapshot *snapshot) {
  const recent *c;
  if (ticket->at <= index->forgotten) return true;
  TAILQ_FOREACH_REVERSE(c, &index->published, ring, in) {
    if (c->published <= ticket->at) return false;
    if (!vsi_postgres_snapshot_sees(snapshot, c->xid) && matches(c, of)) return true;
  }
  return false;
}

/* Note that a set with these keys waits for commits that are not visible yet. */
static void await(vsi_postgres_index *index, const keys *of, const vsi_postgres_snapshot *snapshot) {
  recent *c;
  TAILQ_FOREACH(c, &index->hidden, in) {
    if (c->is_awaited || vsi_postgres_snapshot_sees(snapshot, c->xid) || !matches(c, of)) continue;
    c->is_awaited = index->is_matched = true;
  }
}

/* Enter a set under the lock. bytes: the memory of all sets with it */
static vsi_postgres_entry enter_locked(vsi_postgres_index *index, vsi_postgres_ticket *ticket, uint64_t number,
                                       keys *of, vsi_postgres_snapshot *snapshot, size_t bytes) {
  vsi_postgres_entry is = VSI_POSTGRES_ENTERED;
  if (follow_moves(index, ticket, of) || is_passed(index, ticket, of, snapshot)) {
    is = VSI_POSTGRES_OVERTAKEN;
    index->stats.overtaken_count++;
  } else {
    await(index, of, snapshot);
    if (bytes / 2 > index->is.max_bytes || vsi_postgres_sets_add(&index->sets, number, of, snapshot)) {
      is = VSI_POSTGRES_WHOLE;
      index->has_whole = true;
    }
  }
  end_locked(index, ticket);
  return is;
}

vsi_postgres_entry vsi_postgres_index_enter(vsi_postgres_index *index, vsi_postgres_ticket *ticket, uint64_t number,
                                            keys *of, vsi_postgres_snapshot *snapshot, bool is_least) {
  vsi_postgres_entry is = VSI_POSTGRES_LARGE;
  lock_index(index);
  sweep(index);
  const size_t wanted = vsi_postgres_sets_wanted(of, snapshot);
  if (index->sets.bytes + wanted > index->is.max_bytes) vsi_postgres_sets_free_ended(&index->sets, SIZE_MAX);
  const size_t bytes = index->sets.bytes + wanted;
  if (bytes <= index->is.max_bytes || is_least) is = enter_locked(index, ticket, number, of, snapshot, bytes);
  unlock_index(index);
  vsi_postgres_keys_clear(of, index->is.host);
  if (is != VSI_POSTGRES_LARGE) vsi_postgres_snapshot_finish(snapshot, index->is.host);
  return is;
}

void vsi_postgres_index_add_whole(vsi_postgres_index *index) {
  lock_index(index);
  index->has_whole = true;
  unlock_index(index);
}

vsi_postgres_entry vsi_postgres_index_enter_whole(vsi_postgres_index *index, vsi_postgres_ticket *ticket) {
  lock_index(index);
  const recent *last = TAILQ_LAST(&index->published, ring);
  const bool is_passed = ticket->at <= index->forgotten || (last && last->published > ticket->at);
  if (is_passed)
    index->stats.overtaken_count++;
  else
    index->has_whole = true;
  end_locked(index, ticket);
  unlock_index(index);
  return is_passed ? VSI_POSTGRES_OVERTAKEN : VSI_POSTGRES_WHOLE;
}

/* -------------------------------------------------------------------------------------------------- follower ------ */

static void drop_all(vsi_postgres_index *index) {
  for (coming *at = index->coming; at < index->coming + COMING_MOST; at++)
    vsi_postgres_keys_clear(&at->keys, index->is.host);
  index->coming_count = index->kept_count = 0;
  while (!TAILQ_EMPTY(&index->hidden)) drop(index, TAILQ_FIRST(&index->hidden));
  while (!TAILQ_EMPTY(&index->published)) drop(index, TAILQ_FIRST(&index->published));
}

/* Drop everything, because earlier commits are unknown. */
static void forget_all(vsi_postgres_index *index) {
  drop_all(index);
  index->moves_count = 0;
  index->forgotten = ++index->clock;
  index->is_matched = false;
  index->is_hitting = true;
  hit_older(index, NULL);
  report_hits(index);
  index->is_hitting = false;
}

void vsi_postgres_index_start(vsi_postgres_index *index, uint64_t to) {
  vsi_mutex_lock(&index->lock);
  index->start_to = index->near = to;
  index->start_left = UINT64_MAX;
  forget_all(index); /* others may get the lock */
  vsi_mutex_unlock(&index->lock);
}

void vsi_postgres_index_stop(vsi_postgres_index *index) {
  vsi_mutex_lock(&index->lock);
  index->start_left = 0;
  forget_all(index);
  vsi_mutex_unlock(&index->lock);
}

vsi_postgres_waits vsi_postgres_index_waits(vsi_postgres_index *index) {
  lock_index(index);
  bool waits = index->hidden_count || index->start_left || index->is_hitting;
  const bool may_match = index->start_left || !TAILQ_EMPTY(&index->tickets);
  const bool is_met =
      index->is_matched || index->has_whole || index->is_hitting || index->hidden_count >= index->kept_count + MANY;
  const vsi_postgres_waits is = !waits      ? VSI_POSTGRES_NOTHING
                                : is_met    ? VSI_POSTGRES_MET
                                : may_match ? VSI_POSTGRES_RUNNING
                                            : VSI_POSTGRES_SOME;
  unlock_index(index);
  return is;
}

/* The snapshots of running renders are unknown here, so they count as having missed a commit. */
static void see_start(vsi_postgres_index *index, const vsi_postgres_snapshot *snapshot) {
  uint64_t left = vsi_postgres_snapshot_unseen(snapshot, index->start_to);
  if (!index->start_left || left == index->start_left) return;
  index->start_left = left;
  index->forgotten = index->clock;
  hit_older(index, snapshot);
}

bool vsi_postgres_index_see(vsi_postgres_index *index, const vsi_postgres_snapshot *snapshot) {
  VSI_ASSERT(!index->coming_count);
  vsi_mutex_lock(&index->lock);
  index->clock++;
  index->near = snapshot->to;
  index->is_hitting = true;
  see_start(index, snapshot);
  find_receivers(index);
  for (recent *next, *c = TAILQ_FIRST(&index->hidden); c; c = next) {
    next = TAILQ_NEXT(c, in);
    if (vsi_postgres_snapshot_sees(snapshot, c->xid)) publish(index, c);
  }
  report_hits(index);
  recent *c;
  index->is_matched = false;
  find_receivers(index); /* others may have had the lock */
  TAILQ_FOREACH(c, &index->hidden, in) compare(index, c);
  index->kept_count = index->hidden_count;
  index->is_hitting = false;
  prune(index);
  const bool is_full = index->is_ring_full;
  index->is_ring_full = false;
  vsi_mutex_unlock(&index->lock);
  return is_full;
}

/* ----------------------------------------------------------------------------------------------------- life ------- */

vestry_err vsi_postgres_index_create(const vsi_postgres_index_options *options, vsi_postgres_index **ret_index) {
  vsi_postgres_index *index = vsi_calloc(options->host, 1, sizeof *index);
  if (!index) return VESTRY_NO_MEMORY;
  index->is = *options;
  index->sets.host = options->host;
  vsi_mutex_init(&index->lock, VSI_LOCK_POSTGRES_INDEX);
  pthread_cond_init(&index->ended, NULL);
  TAILQ_INIT(&index->tickets);
  TAILQ_INIT(&index->hidden);
  TAILQ_INIT(&index->published);
  TAILQ_INIT(&index->spare);
  *ret_index = index;
  return VESTRY_OK;
}

void vsi_postgres_index_destroy(vsi_postgres_index *index) {
  if (!index) return;
  drop_all(index);
  for (recent *c; (c = TAILQ_FIRST(&index->spare)); vsi_free(index->is.host, c)) {
    TAILQ_REMOVE(&index->spare, c, in);
    vsi_postgres_keys_clear(&c->keys, index->is.host);
  }
  vsi_postgres_sets_finish(&index->sets);
  vsi_free(index->is.host, index->moves);
  pthread_cond_destroy(&index->ended);
  vsi_mutex_finish(&index->lock);
  vsi_free(index->is.host, index);
}

void vsi_postgres_index_stats_get(vsi_postgres_index *index, vestry_postgres_stats *stats) {
  lock_index(index);
  *stats = index->stats;
  stats->sets_count = index->sets.count;
  stats->sets_bytes = index->sets.bytes;
  unlock_index(index);
  stats->refreshed_count += stats->overtaken_count;
}

bool vsi_postgres_index_wait(vsi_postgres_index *index, uint64_t until_ns) {
  bool is_in_time = true;
  const vsi_postgres_ticket *oldest;
  lock_index(index);
  const uint64_t now = ++index->clock;
  while (is_in_time && (oldest = TAILQ_FIRST(&index->tickets)) && oldest->at < now)
    is_in_time = vsi_wait_until(&index->ended, &index->lock, until_ns);
  unlock_index(index);
  return is_in_time;
}
