/* SPDX-License-Identifier: MIT */
/* Counting the streams of a key on all nodes, and listing all keys by pages. The announcements only have hashes of
 * keys, so the nodes that hold a key must be queried for its name and its number of streams.
 *
 * A listing covers one node after the other: this one first, then the others in the order of their ids. Each page is a
 * page of one node's store, so a key of several nodes is listed for each. A node that does not respond is skipped, and
 * the cursor is marked as partial. */
#include "base/callback.h"
#include "cluster/cluster/keys.h"

#include <string.h>

#include "base/log.h"
#include "cluster/cluster/cluster.h"
#include "cluster/cluster/members.h"
#include "cluster/cluster/remote_request.h"
#include "registry/targets.h"

/* MESSAGE_BYTES: size of a page's message besides its keys: id, error, count, cursor. */
enum {
  PAGE_COUNT = 256,
  PAGE_COUNT_MOST = 4096,
  PAGE_BYTES = 131072,
  ITEM_BYTES = 4,
  MESSAGE_BYTES = VSI_WIRE_HEAD + 8 + 1 + 4 + 8 + 8 + 1 + VSI_WIRE_SEAL
};

/* --------------------------------------------------------------------------------------- one page of this node ---- */

static void put_listed(const vestry_listed *listed, void *ctx) {
  vsi_buffer *page = ctx;
  vsi_wire_put_name(page, (vsi_wire_name){{listed->scope.data, listed->scope.len}, {listed->key, listed->key_len}});
  vsi_wire_put(page, listed->values_count, ITEM_BYTES);
}

/* Write a page of the store: the cursor after it, then the keys. It has fewer keys if they take too many bytes.
 * TOO_LARGE: the page has no keys, because no message has room for the next one; the list continues behind it. */
static vestry_err put_page(vestry_cluster *cluster, const vsi_wire_list *list, vsi_buffer *page) {
  const vestry_scope scope = {list->name.scope.data, list->name.scope.len};
  size_t count = list->page_count ? list->page_count : PAGE_COUNT;
  if (count > PAGE_COUNT_MOST) count = PAGE_COUNT_MOST;
  const size_t payload = cluster->broker.ops->max_payload(cluster->broker.broker);
  const size_t most = payload / 2 < PAGE_BYTES ? payload / 2 : PAGE_BYTES;
  for (;; count = (count + 1) / 2) {
    vestry_list_cursor cursor = {.position = list->position, .until = list->until};
    vsi_buffer keys;
    vsi_buffer_init(&keys, cluster->host);
    vestry_err error =
        vestry_store_list(vestry_parts_of(cluster->v)->store, list->what == VSI_WIRE_LIST_SCOPE ? &scope : NULL, count,
                          &cursor, put_listed, &keys);
    if (!error) error = keys.error;
    bool is_good = !error && (keys.len <= most || count == 1);
    if (is_good) {
      vsi_wire_put(page, cursor.position, 8);
      vsi_wire_put(page, cursor.until, 8);
      vsi_wire_put(page, cursor.done, 1);
      const bool has_room = MESSAGE_BYTES + keys.len <= payload;
      if (has_room) vsi_buffer_append(page, keys.data, keys.len);
      error = page->error ? page->error : has_room ? VESTRY_OK : VESTRY_TOO_LARGE;
    }
    vsi_buffer_finish(&keys);
    if (error || is_good) return error;
  }
}

static vestry_err count_here(vestry_cluster *cluster, const vestry_scoped_key *key, uint32_t *ret_count) {
  vsi_targets found;
  vsi_targets_init(&found, cluster->host);
  vestry_err error = vsi_targets_find(&found, vestry_parts_of(cluster->v)->store, key);
  *ret_count = (uint32_t)found.count;
  vsi_targets_finish(&found);
  return error;
}

vestry_err vsi_list_answer(vestry_cluster *cluster, const vsi_wire_list *list, uint32_t *ret_count, vsi_buffer *page) {
  if (list->what < VSI_WIRE_LIST_KEY) return put_page(cluster, list, page);
  vsi_scoped_key key;
  vestry_err error = vsi_cluster_pack(cluster, list->name, &key);
  if (error) return error;
  error = count_here(cluster, &key.key, ret_count);
  vsi_scoped_key_finish(&key);
  return error;
}

/* ---------------------------------------------------------------------------------------- one key on all nodes ---- */

/* Return whether this node has returned the error, without querying another node. */
static bool is_own_error(vestry_err error) {
  return error == VESTRY_BUSY || error == VESTRY_NO_MEMORY || error == VESTRY_CLOSED;
}

static bool is_no_answer(vestry_err error) {
  return error && error != VESTRY_NOT_FOUND;
}

static vestry_err count_streams(vestry_cluster *cluster, const vestry_scoped_key *key, vestry_cluster_count *count) {
  uint32_t here = 0, there = 0;
  vestry_err error = count_here(cluster, key, &here);
  if (is_no_answer(error)) return error;
  vsi_cluster_lock(cluster);
  uint64_t unsynced = vsi_peers_unsynced(cluster);
  uint64_t holders = vsi_keys_others(&cluster->keys, vsi_cluster_hash_key(cluster, key)) & vsi_peers_alive(cluster);
  count->is_partial = unsynced || !vsi_peers_are_known(cluster);
  vsi_cluster_unlock(cluster);
  count->nodes_count = (size_t)__builtin_popcountll(holders) + (here > 0);
  if (holders | unsynced) {
    const vsi_wire_list list = {.what = VSI_WIRE_LIST_KEY, .name = vsi_cluster_name_of(key)};
    error = vsi_remote_request_wait(cluster, &(vsi_remote_query){.list = &list, .only = holders | unsynced}, &there);
    if (is_own_error(error)) return error;
    count->is_partial |= is_no_answer(error);
  }
  count->streams_count = (size_t)here + there;
  return VESTRY_OK;
}

vestry_err vestry_cluster_count_get(vestry_cluster *cluster, vestry_scope scope, const vestry_key *key,
                                    vestry_cluster_count *ret_count) {
  vestry_cluster_count count = {0};
  if (!cluster) return VESTRY_INVALID;
  if (!ret_count) return vsi_mistake(cluster->host, "vestry_cluster_count_get", "ret_count is NULL");
  vsi_scoped_key name;
  vestry_err error = vsi_store_pack(vestry_parts_of(cluster->v)->store, &name, scope, key);
  if (error) return vsi_key_refuse(cluster->host, "vestry_cluster_count_get", error);
  error = count_streams(cluster, &name.key, &count);
  vsi_scoped_key_finish(&name);
  if (!error && ret_count) *ret_count = count;
  return error;
}

/* ------------------------------------------------------------------------------------------ all keys by pages ----- */

/* A listing, and the name of the node whose page is listed. */
typedef struct listing {
  vestry_cluster *cluster;
  const vestry_scope *only_scope;
  size_t page_count;
  vestry_cluster_list_fn fn;
  void *ctx;
  char node[VESTRY_NODE_MAX_BYTES + 1];
} listing;

static void hand_out(const listing *l, vestry_scope scope, const void *key, size_t key_len, size_t count) {
  const vestry_cluster_listed listed = {
      .node = l->node, .scope = scope, .key = key, .key_len = key_len, .streams_count = count};
  vsi_callback_begin();
  l->fn(&listed, l->ctx);
  vsi_callback_end();
}

static void hand_out_own(const vestry_listed *listed, void *ctx) {
  hand_out(ctx, listed->scope, listed->key, listed->key_len, listed->values_count);
}

/* Pass the keys of a received page to fn. is_check: only check its format, before any key is passed. */
static bool hand_out_page(const listing *l, vsi_wire_reader reader, bool is_check) {
  while (reader.left) {
    vsi_wire_name name = vsi_wire_read_name(&reader);
    size_t count = vsi_wire_number(&reader, ITEM_BYTES);
    if (reader.has_failed) return false;
    if (!is_check) hand_out(l, (vestry_scope){name.scope.data, name.scope.len}, name.key.data, name.key.len, count);
  }
  return true;
}

/* Move the cursor to the live node with the next higher id. false: there is none. */
static bool find_next(vestry_cluster *cluster, uint64_t id, vestry_cluster_cursor *cursor) {
  const vsi_peer *next = NULL;
  for (size_t i = 0; i < cluster->peers_count; i++) {
    const vsi_peer *peer = &cluster->peers[i];
    if (vsi_peer_lives(peer) && peer->id > id && (!next || peer->id < next->id)) next = peer;
  }
  if (!next) return false;
  cursor->node = next->id;
  cursor->epoch = next->epoch;
  return true;
}

/* Move the cursor to the next node. */
static void go_on(vestry_cluster *cluster, vestry_cluster_cursor *cursor) {
  cursor->keys = (vestry_list_cursor){0};
  vsi_cluster_lock(cluster);
  cursor->done = !find_next(cluster, cursor->node, cursor);
  if (cursor->done && !vsi_peers_are_known(cluster)) cursor->is_partial = true;
  vsi_cluster_unlock(cluster);
}

static uint64_t mask_of(listing *l, const vestry_cluster_cursor *cursor) {
  vestry_cluster *cluster = l->cluster;
  uint64_t mask = 0;
  vsi_cluster_lock(cluster);
  for (size_t i = 0; i < cluster->peers_count; i++) {
    const vsi_peer *peer = &cluster->peers[i];
    if (!vsi_peer_lives(peer) || peer->id != cursor->node || peer->epoch != cursor->epoch) continue;
    mask = UINT64_C(1) << i;
    memcpy(l->node, peer->name, sizeof l->node);
  }
  vsi_cluster_unlock(cluster);
  return mask;
}

/* List a page of another node. *ret_has_failed: the node has sent no valid page. OK | BUSY | NO_MEMORY | CLOSED */
static vestry_err list_other(listing *l, vestry_cluster_cursor *cursor, bool *ret_has_failed) {
  const vsi_wire_list list = {
      .what = l->only_scope ? VSI_WIRE_LIST_SCOPE : VSI_WIRE_LIST_ALL,
      .name.scope = {l->only_scope ? l->only_scope->data : NULL, l->only_scope ? l->only_scope->len : 0},
      .position = cursor->keys.position,
      .until = cursor->keys.until,
      .page_count = (uint32_t)l->page_count,
  };
  uint64_t mask = mask_of(l, cursor);
  uint32_t count;
  vsi_buffer page;
  vsi_buffer_init(&page, l->cluster->host);
  *ret_has_failed = true;
  vestry_err error =
      mask
          ? vsi_remote_request_wait(l->cluster, &(vsi_remote_query){.list = &list, .only = mask, .page = &page}, &count)
          : VESTRY_OK;
  const bool lacks_key = error == VESTRY_TOO_LARGE;
  if (lacks_key || error == VESTRY_NOT_FOUND) error = VESTRY_OK;
  if (!error) error = page.error;
  vsi_wire_reader reader = vsi_wire_read(page.data, page.len);
  const vestry_list_cursor next = {.position = vsi_wire_number(&reader, 8),
                                   .until = vsi_wire_number(&reader, 8),
                                   .done = vsi_wire_number(&reader, 1) == 1};
  if (!error && !reader.has_failed && hand_out_page(l, reader, true)) {
    *ret_has_failed = false;
    cursor->is_partial |= lacks_key;
    cursor->keys = next;
    (void)hand_out_page(l, reader, false);
  }
  vsi_buffer_finish(&page);
  return is_own_error(error) ? error : VESTRY_OK;
}

vestry_err vestry_cluster_list(vestry_cluster *cluster, const vestry_scope *only_scope, size_t page_count,
                               vestry_cluster_cursor *cursor, vestry_cluster_list_fn fn, void *ctx) {
  if (!cluster) return VESTRY_INVALID;
  if (!cursor || !fn || page_count > PAGE_COUNT_MOST)
    return vsi_mistake(cluster->host, "vestry_cluster_list", "cursor or fn is NULL, or page_count is too large");
  if (only_scope && only_scope->len > VESTRY_SCOPE_MAX_BYTES) return VESTRY_TOO_LARGE;
  if (cursor->done) return VESTRY_OK;
  listing l = {cluster, only_scope, page_count, fn, ctx, ""};
  bool has_failed = false;
  vestry_err error;
  if (cursor->node) {
    error = list_other(&l, cursor, &has_failed);
  } else {
    memcpy(l.node, cluster->name, sizeof l.node);
    error =
        vestry_store_list(vestry_parts_of(cluster->v)->store, only_scope, page_count, &cursor->keys, hand_out_own, &l);
  }
  if (error) return error;
  cursor->is_partial |= has_failed;
  if (has_failed || cursor->keys.done) go_on(cluster, cursor);
  return VESTRY_OK;
}
