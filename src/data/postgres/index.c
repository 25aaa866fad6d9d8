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
 * Bounds. If the ring is full, published commits are dropped, and their time is kept, so that older renders count as
 * hit; commits that are not published count as matching every set. */
#include "data/postgres/index.h"

#include "base/array.h"
#include "base/map.h"
#include "base/wait.h"

enum { SWEEP_FROM = 64, MOVES_MAX = 1 << 16, RING_BYTES_MAX = 16 << 20 };

typedef vsi_postgres_key key;
typedef vsi_postgres_keys keys;
typedef struct set set;

/* A set's link in the list of one of its keys. */
typedef struct place {
  LIST_ENTRY(place) in;
  struct entry *entry;
  set *of;
  struct place *next; /* next link of the set */
} place;

typedef struct entry {
  vsi_map_link in; /* first */
  key key;
  LIST_HEAD(, place) places;
} entry;

struct set {
  LIST_ENTRY(set) in;
  uint64_t number;
  vsi_postgres_snapshot snapshot;
  size_t bytes;
  place *first; /* the links that were added later, and then those of the array */
  size_t places_count;
  place places[];
};

typedef struct recent {
  STAILQ_ENTRY(recent) in;
  uint64_t xid;
  uint64_t published; /* time of the index's clock; 0: not visible yet */
  uint64_t at_ns;     /* when its record was read; 0: not needed */
  bool is_all;
  keys keys;
} recent;

typedef struct move {
  uint64_t at;
  uint32_t relation, from, to;
} move;

struct vsi_postgres_index {
  vsi_postgres_index_options is;
  vsi_mutex lock;
  pthread_cond_t ended; /* a render has ended */
  /* All below is guarded by it. */
  uint64_t clock, numbers;
  LIST_HEAD(, vsi_postgres_ticket) tickets;
  LIST_HEAD(, set) sets;
  vsi_map entries;
  size_t entered_count; /* since the last sweep */
  bool has_whole;       /* a render depends on everything */
  bool is_matched;      /* a set waits for a commit of the ring that is not visible yet */
  STAILQ_HEAD(, recent) ring;
  size_t hidden_count; /* number in the ring that are not visible yet */
  size_t ring_bytes;
  uint64_t start_to;   /* transactions before it may have committed unseen */
  uint64_t start_left; /* number of them that had not ended at the last check */
  uint64_t forgotten;  /* renders with tickets up to this may have missed an unknown commit */
  uint64_t near;       /* a recent transaction number */
  move *moves;
  size_t moves_count, moves_room;
  vestry_postgres_stats stats; /* those of the index; refreshed_count only counts sets */
};

/* ----------------------------------------------------------------------------------------------------- sets ------- */

static entry *find_entry(const vsi_postgres_index *index, key of) {
  vsi_map_link *at = vsi_map_first(&index->entries, vsi_postgres_key_hash(of));
  while (at && !vsi_postgres_keys_are_equal(((entry *)at)->key, of)) at = vsi_map_further(at);
  return (entry *)at;
}

static entry *make_entry(vsi_postgres_index *index, key of) {
  entry *made = find_entry(index, of);
  if (made) return made;
  if (vsi_map_reserve(&index->entries, index->is.host, index->entries.count + 1)) return NULL;
  made = vsi_calloc(index->is.host, 1, sizeof *made);
  if (!made) return NULL;
  made->key = of;
  vsi_map_add(&index->entries, &made->in, vsi_postgres_key_hash(of));
  index->stats.sets_bytes += sizeof *made;
  return made;
}

/* Add a set to the list of a key. OK | NO_MEMORY */
static vestry_err add_to_key(vsi_postgres_index *index, set *s, place *where, key of) {
  entry *at = make_entry(index, of);
  if (!at) return VESTRY_NO_MEMORY;
  *where = (place){.entry = at, .of = s, .next = s->first};
  s->first = where;
  LIST_INSERT_HEAD(&at->places, where, in);
  return VESTRY_OK;
}

static void leave(vsi_postgres_index *index, place *where) {
  entry *at = where->entry;
  LIST_REMOVE(where, in);
  if (!LIST_EMPTY(&at->places)) return;
  vsi_map_remove(&index->entries, &at->in);
  vsi_free(index->is.host, at);
  index->stats.sets_bytes -= sizeof *at;
}

static void free_set(vsi_postgres_index *index, set *s) {
  for (place *next, *at = s->first; at; at = next) {
    const bool is_in_array = (uintptr_t)at - (uintptr_t)s->places < s->places_count * sizeof *at;
    next = at->next;
    leave(index, at);
    if (!is_in_array) vsi_free(index->is.host, at);
  }
  vsi_postgres_snapshot_finish(&s->snapshot, index->is.host);
  vsi_free(index->is.host, s);
}

static void remove_set(vsi_postgres_index *index, set *s) {
  LIST_REMOVE(s, in);
  index->stats.sets_count--;
  index->stats.sets_bytes -= s->bytes;
  free_set(index, s);
}

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

static void report_hit(vsi_postgres_index *index, uint64_t number, unsigned kind, uint64_t at_ns) {
  index->stats.refreshed_count++;
  ++*counter_of(&index->stats, kind);
  index->is.hit(index->is.ctx, number, at_ns);
}

static void hit(vsi_postgres_index *index, set *s, unsigned kind, uint64_t at_ns) {
  uint64_t number = s->number;
  bool is_used = index->is.is_used(index->is.ctx, number);
  remove_set(index, s);
  if (is_used) report_hit(index, number, kind, at_ns);
}

static void notify_receivers(const vsi_postgres_index *index, const keys *of) {
  if (index->is.seen) index->is.seen(index->is.ctx, of);
}

/* Hit the renders that depend on everything. */
static void hit_whole(vsi_postgres_index *index, uint64_t at_ns) {
  if (!index->has_whole) return;
  index->has_whole = false;
  report_hit(index, VSI_POSTGRES_EVERYTHING, 0, at_ns);
}

/* Hit every set whose snapshot does not see a transaction of the start (see the head of this file) that the snapshot
 * `now` sees. If `now` is NULL, hit all sets. */
static void hit_older(vsi_postgres_index *index, const vsi_postgres_snapshot *now) {
  for (set *next, *s = LIST_FIRST(&index->sets); s; s = next) {
    next = LIST_NEXT(s, in);
    if (!now || vsi_postgres_snapshot_sees_more(now, &s->snapshot, index->start_to)) hit(index, s, 0, 0);
  }
  hit_whole(index, 0);
  notify_receivers(index, NULL);
}

/* Remove sets that no page needs. A sweep runs when about half as many sets were added as there are now, so that its
 * cost for each added set is constant. */
static void sweep(vsi_postgres_index *index) {
  if (index->entered_count < SWEEP_FROM + index->stats.sets_count / 2) return;
  index->entered_count = 0;
  for (set *next, *s = LIST_FIRST(&index->sets); s; s = next) {
    next = LIST_NEXT(s, in);
    if (!index->is.is_used(index->is.ctx, s->number)) remove_set(index, s);
  }
}

/* Create a set. NULL: no memory. */
static set *make_set(vsi_postgres_index *index, uint64_t number, const keys *of, vsi_postgres_snapshot *snapshot) {
  size_t bytes = sizeof(set) + of->count * sizeof(place) + snapshot->count * sizeof *snapshot->running;
  set *s = vsi_calloc(index->is.host, 1, bytes);
  if (!s) return NULL;
  s->number = number;
  s->bytes = bytes;
  for (; s->places_count < of->count; s->places_count++) {
    if (add_to_key(index, s, &s->places[s->places_count], of->keys[s->places_count])) {
      free_set(index, s);
      return NULL;
    }
  }
  s->snapshot = *snapshot;
  *snapshot = (vsi_postgres_snapshot){.count = 0};
  LIST_INSERT_HEAD(&index->sets, s, in);
  index->stats.sets_count++;
  index->stats.sets_bytes += bytes;
  return s;
}

/* ------------------------------------------------------------------------------------------------- the ring ------- */

static void drop(vsi_postgres_index *index, recent *c) {
  STAILQ_REMOVE(&index->ring, c, recent, in);
  index->stats.ring_count--;
  index->ring_bytes -= vsi_postgres_keys_bytes(&c->keys);
  if (!c->published) index->hidden_count--;
  vsi_postgres_keys_clear(&c->keys, index->is.host);
  vsi_free(index->is.host, c);
}

static uint64_t oldest_ticket(const vsi_postgres_index *index) {
  uint64_t oldest = UINT64_MAX;
  const vsi_postgres_ticket *t;
  LIST_FOREACH(t, &index->tickets, in)
  if (t->at < oldest) oldest = t->at;
  return oldest;
}

/* Drop what no running render can need. */
static void prune(vsi_postgres_index *index) {
  uint64_t oldest = oldest_ticket(index);
  for (recent *next, *c = STAILQ_FIRST(&index->ring); c; c = next) {
    next = STAILQ_NEXT(c, in);
    if (c->published && c->published < oldest) drop(index, c);
  }
  size_t gone = 0;
  while (gone < index->moves_count && index->moves[gone].at <= oldest) gone++;
  index->moves_count -= gone;
  if (gone) memmove(index->moves, index->moves + gone, index->moves_count * sizeof *index->moves);
}

/* Empty the ring, for lack of memory or room: published commits are dropped, others count as matching every set. */
static void shrink(vsi_postgres_index *index) {
  for (recent *next, *c = STAILQ_FIRST(&index->ring); c; c = next) {
    next = STAILQ_NEXT(c, in);
    if (!c->published && c->xid >= index->start_to) index->start_to = c->xid + 1;
    if (!c->published) index->start_left = UINT64_MAX;
    drop(index, c);
  }
  index->forgotten = index->clock;
}

static bool matches(const recent *c, const keys *of, unsigned *ret_kind) {
  *ret_kind = 0;
  if (c->is_all) return true;
  for (size_t i = 0; i < of->count; i++) {
    if (!vsi_postgres_keys_have(&c->keys, of->keys[i])) continue;
    *ret_kind = of->keys[i].kind;
    return true;
  }
  return false;
}

/* Publish a commit: it is visible to renders that begin now. */
static void publish(vsi_postgres_index *index, recent *c) {
  index->hidden_count--;
  c->published = ++index->clock;
  if (c->is_all) {
    for (set *next, *s = LIST_FIRST(&index->sets); s; s = next) {
      next = LIST_NEXT(s, in);
      if (!vsi_postgres_snapshot_sees(&s->snapshot, c->xid)) hit(index, s, 0, c->at_ns);
    }
  }
  for (size_t i = 0; i < c->keys.count; i++) {
    entry *at = find_entry(index, c->keys.keys[i]);
    for (place *next, *where = at ? LIST_FIRST(&at->places) : NULL; where; where = next) {
      next = LIST_NEXT(where, in); /* of another set; the entry is freed after its last set left */
      if (!vsi_postgres_snapshot_sees(&where->of->snapshot, c->xid)) hit(index, where->of, at->key.kind, c->at_ns);
    }
  }
  hit_whole(index, c->at_ns);
  notify_receivers(index, c->is_all ? NULL : &c->keys);
}

/* Return whether a commit may match a set, or something else waits for it. */
static bool is_awaited(const vsi_postgres_index *index, const recent *c) {
  if (index->has_whole || (c->is_all && index->stats.sets_count)) return true;
  for (size_t i = 0; i < c->keys.count; i++)
    if (find_entry(index, c->keys.keys[i])) return true;
  return index->is.has_receiver &&
         index->is.has_receiver(index->is.ctx, c->is_all ? NULL : &c->keys); /* takes a lock */
}

vestry_err vsi_postgres_index_commit(vsi_postgres_index *index, uint32_t xid, keys *of, bool is_all) {
  const bool is_needed = is_all || of->count;
  const uint64_t at_ns = is_needed ? index->is.now_ns(index->is.ctx) : 0;
  vsi_mutex_lock(&index->lock);
  recent *c = is_needed ? vsi_calloc(index->is.host, 1, sizeof *c) : NULL;
  if (!c) {
    vsi_mutex_unlock(&index->lock);
    return is_needed ? VESTRY_NO_MEMORY : VESTRY_OK;
  }
  c->xid = vsi_postgres_full_xid(xid, index->near);
  c->at_ns = at_ns;
  c->is_all = is_all;
  c->keys = *of;
  *of = (keys){.count = 0};
  STAILQ_INSERT_TAIL(&index->ring, c, in);
  index->clock++;
  index->hidden_count++;
  index->stats.commits_count++;
  index->ring_bytes += vsi_postgres_keys_bytes(&c->keys);
  index->stats.ring_count++;
  if (!index->is_matched) index->is_matched = is_awaited(index, c);
  if (index->stats.ring_count > index->is.max_ring || index->ring_bytes > RING_BYTES_MAX) shrink(index);
  vsi_mutex_unlock(&index->lock);
  return VESTRY_OK;
}

/* --------------------------------------------------------------------------------------------------- leaves ------- */

static key leaf_of(uint32_t relation, uint32_t block) {
  return (key){.relation = relation, .block = block, .kind = VSI_POSTGRES_LEAF};
}

static bool has_key(const set *s, key of) {
  for (const place *at = s->first; at; at = at->next)
    if (vsi_postgres_keys_are_equal(at->entry->key, of)) return true;
  return false;
}

static vestry_err move_sets(vsi_postgres_index *index, key from, key to) {
  const entry *at = find_entry(index, from);
  place *where;
  if (!at) return VESTRY_OK;
  LIST_FOREACH(where, &at->places, in) {
    if (has_key(where->of, to)) continue;
    place *more = vsi_calloc(index->is.host, 1, sizeof *more);
    if (!more) return VESTRY_NO_MEMORY;
    if (add_to_key(index, where->of, more, to)) {
      vsi_free(index->is.host, more);
      return VESTRY_NO_MEMORY;
    }
    where->of->bytes += sizeof *more;
    index->stats.sets_bytes += sizeof *more;
  }
  return VESTRY_OK;
}

static vestry_err move_ring(vsi_postgres_index *index, key from, key to) {
  recent *c;
  STAILQ_FOREACH(c, &index->ring, in) {
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
  if (LIST_EMPTY(&index->tickets)) index->moves_count = 0;
  if (LIST_EMPTY(&index->tickets)) return VESTRY_OK;
  if (index->moves_count == MOVES_MAX) {
    index->moves_count = 0;
    index->forgotten = index->clock;
  }
  if (VSI_ARRAY_RESERVE(index->is.host, index->moves, index->moves_count, index->moves_room, 1))
    return VESTRY_NO_MEMORY;
  index->moves[index->moves_count++] = (move){index->clock, relation, from, to};
  return VESTRY_OK;
}

vestry_err vsi_postgres_index_move(vsi_postgres_index *index, uint32_t relation, uint32_t from, uint32_t to) {
  vsi_mutex_lock(&index->lock);
  index->clock++;
  vestry_err error = keep_move(index, relation, from, to);
  if (!error) error = move_ring(index, leaf_of(relation, from), leaf_of(relation, to));
  if (!error) error = move_sets(index, leaf_of(relation, from), leaf_of(relation, to));
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
  vsi_mutex_lock(&index->lock);
  ticket->at = ++index->clock;
  LIST_INSERT_HEAD(&index->tickets, ticket, in);
  vsi_mutex_unlock(&index->lock);
}

static void end_locked(vsi_postgres_index *index, vsi_postgres_ticket *ticket) {
  LIST_REMOVE(ticket, in);
  pthread_cond_broadcast(&index->ended);
  prune(index);
}

void vsi_postgres_index_leave(vsi_postgres_index *index, vsi_postgres_ticket *ticket) {
  vsi_mutex_lock(&index->lock);
  end_locked(index, ticket);
  vsi_mutex_unlock(&index->lock);
}

uint64_t vsi_postgres_index_number(vsi_postgres_index *index) {
  vsi_mutex_lock(&index->lock);
  uint64_t number = ++index->numbers;
  vsi_mutex_unlock(&index->lock);
  return number;
}

/* Return whether the ring has a commit that the snapshot does not see, and that wrote something with these keys: one
 * that is visible now, which the render has missed, or one that is not, and will hit a set with these keys. */
static bool has_unseen(const vsi_postgres_index *index, bool is_visible, const keys *of,
                       const vsi_postgres_snapshot *snapshot) {
  unsigned kind;
  const recent *c;
  STAILQ_FOREACH(c, &index->ring, in)
  if (!c->published != is_visible && !vsi_postgres_snapshot_sees(snapshot, c->xid) && matches(c, of, &kind))
    return true;
  return false;
}

/* Return whether the render has missed a commit, or may have. */
static bool is_passed(const vsi_postgres_index *index, const vsi_postgres_ticket *ticket, const keys *of,
                      const vsi_postgres_snapshot *snapshot) {
  return ticket->at <= index->forgotten || has_unseen(index, true, of, snapshot);
}

/* Enter a set under the lock. bytes: the memory of all sets with it */
static vsi_postgres_entry enter_locked(vsi_postgres_index *index, vsi_postgres_ticket *ticket, uint64_t number,
                                       keys *of, vsi_postgres_snapshot *snapshot, size_t bytes) {
  vsi_postgres_entry is = VSI_POSTGRES_ENTERED;
  if (follow_moves(index, ticket, of) || is_passed(index, ticket, of, snapshot)) {
    is = VSI_POSTGRES_OVERTAKEN;
    index->stats.overtaken_count++;
  } else {
    if (!index->is_matched) index->is_matched = has_unseen(index, false, of, snapshot);
    if (bytes / 2 > index->is.max_bytes || !make_set(index, number, of, snapshot)) {
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
  vsi_mutex_lock(&index->lock);
  index->entered_count++;
  sweep(index);
  size_t bytes = index->stats.sets_bytes + of->count * (sizeof(place) + sizeof(struct entry));
  if (bytes <= index->is.max_bytes || is_least) is = enter_locked(index, ticket, number, of, snapshot, bytes);
  vsi_mutex_unlock(&index->lock);
  vsi_postgres_keys_clear(of, index->is.host);
  if (is != VSI_POSTGRES_LARGE) vsi_postgres_snapshot_finish(snapshot, index->is.host);
  return is;
}

void vsi_postgres_index_add_whole(vsi_postgres_index *index) {
  vsi_mutex_lock(&index->lock);
  index->has_whole = true;
  vsi_mutex_unlock(&index->lock);
}

vsi_postgres_entry vsi_postgres_index_enter_whole(vsi_postgres_index *index, vsi_postgres_ticket *ticket) {
  vsi_mutex_lock(&index->lock);
  bool is_passed = ticket->at <= index->forgotten;
  const recent *c;
  STAILQ_FOREACH(c, &index->ring, in)
  if (c->published > ticket->at) is_passed = true;
  if (is_passed)
    index->stats.overtaken_count++;
  else
    index->has_whole = true;
  end_locked(index, ticket);
  vsi_mutex_unlock(&index->lock);
  return is_passed ? VSI_POSTGRES_OVERTAKEN : VSI_POSTGRES_WHOLE;
}

/* -------------------------------------------------------------------------------------------------- follower ------ */

/* Drop everything, because earlier commits are unknown. */
static void forget_all(vsi_postgres_index *index) {
  while (!STAILQ_EMPTY(&index->ring)) drop(index, STAILQ_FIRST(&index->ring));
  index->moves_count = 0;
  index->forgotten = ++index->clock;
  index->is_matched = false;
  hit_older(index, NULL);
}

void vsi_postgres_index_start(vsi_postgres_index *index, uint64_t to) {
  vsi_mutex_lock(&index->lock);
  forget_all(index);
  index->start_to = index->near = to;
  index->start_left = UINT64_MAX;
  vsi_mutex_unlock(&index->lock);
}

void vsi_postgres_index_stop(vsi_postgres_index *index) {
  vsi_mutex_lock(&index->lock);
  forget_all(index);
  index->start_left = 0;
  vsi_mutex_unlock(&index->lock);
}

vsi_postgres_waits vsi_postgres_index_waits(vsi_postgres_index *index) {
  vsi_mutex_lock(&index->lock);
  bool waits = index->hidden_count || index->start_left;
  vsi_postgres_waits is = !waits ? VSI_POSTGRES_NOTHING : index->is_matched ? VSI_POSTGRES_MET : VSI_POSTGRES_SOME;
  vsi_mutex_unlock(&index->lock);
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

void vsi_postgres_index_see(vsi_postgres_index *index, const vsi_postgres_snapshot *snapshot) {
  vsi_mutex_lock(&index->lock);
  index->clock++;
  index->near = snapshot->to;
  see_start(index, snapshot);
  bool is_matched = false;
  recent *c;
  STAILQ_FOREACH(c, &index->ring, in) {
    if (c->published) continue;
    if (vsi_postgres_snapshot_sees(snapshot, c->xid))
      publish(index, c);
    else if (!is_matched)
      is_matched = is_awaited(index, c);
  }
  index->is_matched = is_matched;
  prune(index);
  vsi_mutex_unlock(&index->lock);
}

/* ----------------------------------------------------------------------------------------------------- life ------- */

vestry_err vsi_postgres_index_create(const vsi_postgres_index_options *options, vsi_postgres_index **ret_index) {
  vsi_postgres_index *index = vsi_calloc(options->host, 1, sizeof *index);
  if (!index) return VESTRY_NO_MEMORY;
  index->is = *options;
  vsi_mutex_init(&index->lock, VSI_LOCK_POSTGRES_INDEX);
  pthread_cond_init(&index->ended, NULL);
  STAILQ_INIT(&index->ring);
  *ret_index = index;
  return VESTRY_OK;
}

void vsi_postgres_index_destroy(vsi_postgres_index *index) {
  if (!index) return;
  while (!STAILQ_EMPTY(&index->ring)) drop(index, STAILQ_FIRST(&index->ring));
  while (!LIST_EMPTY(&index->sets)) remove_set(index, LIST_FIRST(&index->sets));
  vsi_map_finish(&index->entries, index->is.host);
  vsi_free(index->is.host, index->moves);
  pthread_cond_destroy(&index->ended);
  vsi_mutex_finish(&index->lock);
  vsi_free(index->is.host, index);
}

void vsi_postgres_index_stats_get(vsi_postgres_index *index, vestry_postgres_stats *stats) {
  vsi_mutex_lock(&index->lock);
  *stats = index->stats;
  vsi_mutex_unlock(&index->lock);
  stats->refreshed_count += stats->overtaken_count;
}

bool vsi_postgres_index_wait(vsi_postgres_index *index, uint64_t until_ns) {
  bool is_in_time = true;
  vsi_mutex_lock(&index->lock);
  const uint64_t now = ++index->clock;
  while (is_in_time && oldest_ticket(index) < now) is_in_time = vsi_wait_until(&index->ended, &index->lock, until_ns);
  vsi_mutex_unlock(&index->lock);
  return is_in_time;
}
