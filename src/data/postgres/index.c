/* SPDX-License-Identifier: MIT */
/* essay: why a commit of PostgreSQL that concerns a render is never missed */
/* The reads of renders (data/sql/reads.h) with keys of PostgreSQL (keys.h), and the commits that renders cannot see
 * yet.
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
 * Bounds. If the ring is full although no published commit is left, those that are not published count as matching
 * every set. */
#include "data/postgres/index.h"

#include <string.h>

#include "base/array.h"

enum {
  MANY = 192, /* commits after which a snapshot is wanted, so that the ring does not get full */
  RING_BYTES_MAX = 64 << 20
};

typedef vsi_postgres_key key;
typedef vsi_postgres_keys keys;
typedef vsi_read_set set;

typedef struct recent {
  vsi_read_commit is; /* first */
  uint64_t xid;
  bool is_all;
  bool is_awaited; /* it matches a set, or did since it came */
  keys keys;
  key from, to; /* of a split; kind 0: it is a commit */
} recent;

struct vsi_postgres_index {
  vsi_reads reads; /* first; its lock guards all */
  vsi_postgres_index_options is;
  bool is_hitting;             /* the follower is hitting sets, and others may have the lock meanwhile */
  bool is_matched;             /* a set waits for a commit of the ring that is not visible yet */
  struct vsi_read_ring hidden; /* commits that are not visible yet, in the order of the WAL; they count for the ring */
  size_t hidden_count, kept_count; /* kept: those that the last snapshot did not see */
  uint64_t start_to;               /* transactions before it may have committed unseen */
  uint64_t start_left;             /* number of them that had not ended at the last check */
  uint64_t near;                   /* a recent transaction number */
  bool is_ring_full;               /* commits, or splits of leaves, were dropped for the first time; not reported yet */
  vestry_postgres_stats stats;     /* those of the index; refreshed_count only counts sets */
};

vsi_reads *vsi_postgres_index_reads(vsi_postgres_index *index) {
  return &index->reads;
}

/* Return the snapshot of a set, which is valid as long as the set. */
static vsi_postgres_snapshot snapshot_of(set *s) {
  uint64_t *of = vsi_read_set_data(s);
  return (vsi_postgres_snapshot){of[0], of[1], of + 2, s->bytes / sizeof *of - 2};
}

static bool has_seen(set *s, uint64_t xid) {
  const vsi_postgres_snapshot of = snapshot_of(s);
  return vsi_postgres_snapshot_sees(&of, xid);
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

static uint64_t hash(const void *ctx, const key *of) {
  (void)ctx;
  return vsi_postgres_key_hash(*of);
}

/* Report hits, and count those that a page needs. */
static void report(void *ctx, vsi_read_hit *hits, size_t count) {
  vsi_postgres_index *index = ctx;
  index->is.hit(index->is.ctx, hits, count);
  for (size_t i = 0; i < count; i++) {
    if (!hits[i].is_used) continue;
    index->stats.refreshed_count++;
    ++*counter_of(&index->stats, hits[i].key.kind);
  }
}

static bool is_used(void *ctx, uint64_t number) {
  const vsi_postgres_index *index = ctx;
  return index->is.is_used(index->is.ctx, number);
}

/* Hit every set whose snapshot does not see a transaction of the start (see the head of this file) that the snapshot
 * `now` sees. If `now` is NULL, hit all sets. */
static void hit_older(vsi_postgres_index *index, const vsi_postgres_snapshot *now) {
  set *s;
  for (vsi_reads_walk(&index->reads); (s = vsi_reads_next(&index->reads)); vsi_reads_give_way(&index->reads)) {
    const vsi_postgres_snapshot of = snapshot_of(s);
    if (!now || vsi_postgres_snapshot_sees_more(now, &of, index->start_to))
      vsi_reads_hit(&index->reads, s, (key){.kind = 0}, 0);
  }
  vsi_reads_hit_whole(&index->reads, 0);
}

/* ------------------------------------------------------------------------------------------------- the ring ------- */

static void drop(void *ctx, vsi_read_commit *of) {
  const vsi_postgres_index *index = ctx;
  vsi_postgres_keys_clear(&((recent *)of)->keys, index->is.host);
  vsi_free(index->is.host, of);
}

/* Take a commit out of `hidden`. */
static void show(vsi_postgres_index *index, recent *c) {
  TAILQ_REMOVE(&index->hidden, &c->is, in);
  index->hidden_count--;
  index->reads.ring_count--;
  index->reads.ring_bytes -= c->is.bytes;
}

static void drop_hidden(vsi_postgres_index *index) {
  for (recent *c; (c = (recent *)TAILQ_FIRST(&index->hidden)); drop(index, &c->is)) {
    show(index, c);
    if (c->xid >= index->start_to) index->start_to = c->xid + 1;
  }
}

/* Make room in the ring: drop published commits, the oldest first. If the others alone are too many, drop all, which
 * then count as matching every set. Not while a commit is being published. */
static void shrink(vsi_postgres_index *index) {
  const size_t before = index->reads.ring_count;
  if (vsi_reads_shrink(&index->reads)) {
    drop_hidden(index);
    index->start_left = UINT64_MAX;
    index->reads.forgotten = index->reads.clock;
  }
  if (index->reads.ring_count == before) return;
  index->is_ring_full |= !index->stats.over_ring_count;
  index->stats.over_ring_count += before - index->reads.ring_count;
}

static bool matches(const recent *c, const keys *of) {
  if (c->is_all) return true;
  for (size_t i = 0; i < of->count; i++)
    if (vsi_postgres_keys_have(&c->keys, of->keys[i])) return true;
  return false;
}

/* Hit the sets of the walk that has begun. */
static void hit_walked(vsi_postgres_index *index, const recent *c, key of) {
  for (set *s; (s = vsi_reads_next(&index->reads)); vsi_reads_give_way(&index->reads))
    if (!has_seen(s, c->xid)) vsi_reads_hit(&index->reads, s, of, c->is.at_ns);
}

/* Publish a commit: it is visible to renders that begin now. */
static void publish(vsi_postgres_index *index, recent *c) {
  vsi_reads *reads = &index->reads;
  show(index, c);
  vsi_reads_publish(reads, &c->is);
  if (c->is_all) {
    vsi_reads_walk(reads);
    hit_walked(index, c, (key){.kind = 0});
  }
  for (size_t i = 0; i < c->keys.count; i++) {
    const key *of = &c->keys.keys[i];
    vsi_reads_give_way(reads);
    if (!vsi_reads_may_have(reads, of)) continue;
    vsi_reads_walk_key(reads, of);
    hit_walked(index, c, *of);
  }
  vsi_reads_hit_whole(reads, c->is.at_ns);
  vsi_reads_walked(reads, &c->is);
}

/* Return whether a commit matches a set, so that a page waits for it. */
static bool finds_set(vsi_postgres_index *index, const recent *c) {
  if (c->is_all) return index->reads.count > 0;
  for (size_t i = 0; i < c->keys.count; i++, vsi_reads_give_way(&index->reads))
    if (vsi_reads_have(&index->reads, &c->keys.keys[i])) return true;
  return false;
}

vestry_err vsi_postgres_index_commit(vsi_postgres_index *index, uint32_t xid, keys *of, bool is_all) {
  if (!is_all && !of->count) return VESTRY_OK;
  recent *c = vsi_calloc(index->is.host, 1, sizeof *c);
  if (!c) return VESTRY_NO_MEMORY;
  c->is.at_ns = index->is.now_ns(index->is.ctx);
  c->is.bytes = vsi_postgres_keys_bytes(of);
  c->is_all = is_all;
  c->keys = *of;
  *of = (keys){.count = 0};
  vsi_mutex_lock(&index->reads.lock);
  c->xid = vsi_postgres_full_xid(xid, index->near);
  TAILQ_INSERT_TAIL(&index->hidden, &c->is, in);
  index->hidden_count++;
  index->reads.ring_count++;
  index->reads.ring_bytes += c->is.bytes;
  index->reads.clock++;
  index->stats.commits_count++;
  if (finds_set(index, c)) c->is_awaited = index->is_matched = true; /* so does a set that is entered later */
  shrink(index);
  vsi_mutex_unlock(&index->reads.lock);
  return VESTRY_OK;
}

/* --------------------------------------------------------------------------------------------------- leaves ------- */

static key leaf_of(uint32_t relation, uint32_t block) {
  return (key){.relation = relation, .block = block, .kind = VSI_POSTGRES_LEAF};
}

static vestry_err move_ring(vsi_postgres_index *index, const struct vsi_read_ring *ring, key from, key to) {
  vsi_read_commit *of;
  TAILQ_FOREACH(of, ring, in) {
    keys *written = &((recent *)of)->keys;
    if (!vsi_postgres_keys_have(written, from)) continue;
    vestry_err error = vsi_postgres_keys_add(written, index->is.host, to);
    index->reads.ring_bytes += vsi_postgres_keys_bytes(written) - of->bytes;
    of->bytes = vsi_postgres_keys_bytes(written);
    if (error == VESTRY_NO_MEMORY) return error;
  }
  return VESTRY_OK;
}

/* Keep a split in the ring for running renders. */
static vestry_err keep_split(vsi_postgres_index *index, key from, key to) {
  recent *c = vsi_calloc(index->is.host, 1, sizeof *c);
  if (!c) return VESTRY_NO_MEMORY;
  c->is.is_quiet = true;
  c->from = from;
  c->to = to;
  vsi_reads_publish(&index->reads, &c->is);
  vsi_reads_walked(&index->reads, &c->is);
  shrink(index);
  return VESTRY_OK;
}

vestry_err vsi_postgres_index_move(vsi_postgres_index *index, uint32_t relation, uint32_t from, uint32_t to) {
  const key old = leaf_of(relation, from), new = leaf_of(relation, to);
  vsi_mutex_lock(&index->reads.lock);
  vestry_err error = keep_split(index, old, new);
  if (!error) error = move_ring(index, &index->hidden, old, new);
  if (!error) error = move_ring(index, &index->reads.ring, old, new);
  if (!error) error = vsi_reads_move(&index->reads, &old, &new);
  vsi_mutex_unlock(&index->reads.lock);
  return error;
}

/* Apply the splits since the render began, in their order, because a leaf that was split may be split again. */
static vestry_err follow_moves(const vsi_postgres_index *index, const vsi_read_ticket *ticket, keys *of) {
  vestry_err error = VESTRY_OK;
  const vsi_read_commit *at;
  TAILQ_FOREACH(at, &index->reads.ring, in) {
    const recent *c = (const recent *)at;
    if (!c->from.kind || at->published <= ticket->at || !vsi_postgres_keys_have(of, c->from)) continue;
    error = vsi_postgres_keys_add(of, index->is.host, c->to);
    if (error == VESTRY_NO_MEMORY) break;
  }
  return error == VESTRY_NO_MEMORY ? error : VESTRY_OK;
}

/* -------------------------------------------------------------------------------------------------- renders ------- */

/* Return whether the render has missed a commit, or may have: one that was published since it began, that its snapshot
 * does not see, and that wrote something that it has read. */
static bool is_passed(const vsi_postgres_index *index, const vsi_read_ticket *ticket, const keys *of,
                      const vsi_postgres_snapshot *snapshot) {
  const vsi_read_commit *at;
  if (ticket->at <= index->reads.forgotten) return true;
  TAILQ_FOREACH_REVERSE(at, &index->reads.ring, vsi_read_ring, in) {
    const recent *c = (const recent *)at;
    if (at->published <= ticket->at) return false;
    if (!vsi_postgres_snapshot_sees(snapshot, c->xid) && matches(c, of)) return true;
  }
  return false;
}

/* Note that a set with these keys waits for commits that are not visible yet. */
static void await(vsi_postgres_index *index, const keys *of, const vsi_postgres_snapshot *snapshot) {
  vsi_read_commit *at;
  TAILQ_FOREACH(at, &index->hidden, in) {
    recent *c = (recent *)at;
    if (c->is_awaited || vsi_postgres_snapshot_sees(snapshot, c->xid) || !matches(c, of)) continue;
    c->is_awaited = index->is_matched = true;
  }
}

/* Add a set with a copy of the snapshot. */
static vsi_read_entry add(vsi_postgres_index *index, uint64_t number, const keys *of,
                          const vsi_postgres_snapshot *snapshot, bool is_least) {
  const vsi_read_content content = {
      .keys = of->keys, .count = of->count, .bytes = (2 + snapshot->count) * sizeof(uint64_t)};
  set *s;
  const vsi_read_entry is = vsi_reads_enter(&index->reads, number, &content, is_least, &s);
  if (is > VSI_READS_ENTERED) return is;
  uint64_t *data = vsi_read_set_data(s);
  data[0] = snapshot->from;
  data[1] = snapshot->to;
  if (snapshot->count) memcpy(data + 2, snapshot->running, snapshot->count * sizeof *data);
  await(index, of, snapshot);
  return is;
}

vsi_read_entry vsi_postgres_index_enter(vsi_postgres_index *index, vsi_read_ticket *ticket, uint64_t number, keys *of,
                                        vsi_postgres_snapshot *snapshot, bool is_least) {
  vsi_read_entry is = VSI_READS_OVERTAKEN;
  vsi_reads_lock(&index->reads);
  if (follow_moves(index, ticket, of) || is_passed(index, ticket, of, snapshot))
    index->reads.overtaken_count++;
  else
    is = add(index, number, of, snapshot, is_least);
  if (is <= VSI_READS_OVERTAKEN) vsi_reads_end(&index->reads, ticket);
  vsi_reads_unlock(&index->reads);
  vsi_postgres_keys_clear(of, index->is.host);
  if (is != VSI_READS_LARGE) vsi_postgres_snapshot_finish(snapshot, index->is.host);
  return is;
}

/* -------------------------------------------------------------------------------------------------- follower ------ */

static void drop_all(vsi_postgres_index *index) {
  index->kept_count = 0;
  drop_hidden(index);
  vsi_reads_forget(&index->reads);
}

/* Drop everything, because earlier commits are unknown. */
static void forget_all(vsi_postgres_index *index) {
  drop_all(index);
  index->is_matched = false;
  index->is_hitting = true;
  hit_older(index, NULL);
  vsi_reads_report(&index->reads);
  index->is_hitting = false;
}

void vsi_postgres_index_start(vsi_postgres_index *index, uint64_t to) {
  vsi_mutex_lock(&index->reads.lock);
  index->start_to = index->near = to;
  index->start_left = UINT64_MAX;
  forget_all(index); /* others may get the lock */
  vsi_mutex_unlock(&index->reads.lock);
}

void vsi_postgres_index_stop(vsi_postgres_index *index) {
  vsi_mutex_lock(&index->reads.lock);
  index->start_left = 0;
  forget_all(index);
  vsi_mutex_unlock(&index->reads.lock);
}

vsi_postgres_waits vsi_postgres_index_waits(vsi_postgres_index *index) {
  vsi_reads_lock(&index->reads);
  bool waits = index->hidden_count || index->start_left || index->is_hitting;
  const bool may_match = index->start_left || !TAILQ_EMPTY(&index->reads.tickets);
  const bool is_met = index->is_matched || index->reads.has_whole || index->is_hitting ||
                      index->hidden_count >= index->kept_count + MANY;
  const vsi_postgres_waits is = !waits      ? VSI_POSTGRES_NOTHING
                                : is_met    ? VSI_POSTGRES_MET
                                : may_match ? VSI_POSTGRES_RUNNING
                                            : VSI_POSTGRES_SOME;
  vsi_reads_unlock(&index->reads);
  return is;
}

/* The snapshots of running renders are unknown here, so they count as having missed a commit. */
static void see_start(vsi_postgres_index *index, const vsi_postgres_snapshot *snapshot) {
  uint64_t left = vsi_postgres_snapshot_unseen(snapshot, index->start_to);
  if (!index->start_left || left == index->start_left) return;
  index->start_left = left;
  index->reads.forgotten = index->reads.clock;
  hit_older(index, snapshot);
}

bool vsi_postgres_index_see(vsi_postgres_index *index, const vsi_postgres_snapshot *snapshot) {
  vsi_mutex_lock(&index->reads.lock);
  index->reads.clock++;
  index->near = snapshot->to;
  index->is_hitting = true;
  see_start(index, snapshot);
  for (vsi_read_commit *next, *at = TAILQ_FIRST(&index->hidden); at; at = next) {
    next = TAILQ_NEXT(at, in);
    if (vsi_postgres_snapshot_sees(snapshot, ((recent *)at)->xid)) publish(index, (recent *)at);
  }
  vsi_reads_report(&index->reads);
  vsi_read_commit *at;
  index->is_matched = false;
  TAILQ_FOREACH(at, &index->hidden, in) index->is_matched |= ((recent *)at)->is_awaited;
  index->kept_count = index->hidden_count;
  index->is_hitting = false;
  const bool is_full = index->is_ring_full;
  index->is_ring_full = false;
  vsi_mutex_unlock(&index->reads.lock);
  return is_full;
}

/* ----------------------------------------------------------------------------------------------------- life ------- */

vestry_err vsi_postgres_index_create(const vsi_postgres_index_options *options, vsi_postgres_index **ret_index) {
  vsi_postgres_index *index = vsi_calloc(options->host, 1, sizeof *index);
  if (!index) return VESTRY_NO_MEMORY;
  index->is = *options;
  vsi_reads_init(&index->reads, &(vsi_reads_options){.host = options->host,
                                                     .max_bytes = options->max_bytes,
                                                     .more_bytes = options->max_bytes,
                                                     .max_ring = options->max_ring,
                                                     .ring_bytes = RING_BYTES_MAX,
                                                     .own_kinds = VSI_POSTGRES_PART_KINDS,
                                                     .hash = hash,
                                                     .hit = report,
                                                     .is_used = is_used,
                                                     .drop = drop,
                                                     .ctx = index});
  TAILQ_INIT(&index->hidden);
  *ret_index = index;
  return VESTRY_OK;
}

void vsi_postgres_index_destroy(vsi_postgres_index *index) {
  if (!index) return;
  drop_all(index);
  vsi_reads_finish(&index->reads);
  vsi_free(index->is.host, index);
}

void vsi_postgres_index_stats_get(vsi_postgres_index *index, vestry_postgres_stats *stats) {
  vsi_reads_lock(&index->reads);
  *stats = index->stats;
  stats->ring_count = index->reads.ring_count;
  stats->overtaken_count = index->reads.overtaken_count;
  stats->sets_count = index->reads.count;
  stats->sets_bytes = index->reads.bytes;
  vsi_reads_unlock(&index->reads);
  stats->refreshed_count += stats->overtaken_count;
}
