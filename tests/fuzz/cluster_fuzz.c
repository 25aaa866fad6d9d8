/* SPDX-License-Identifier: MIT */
/* Messages that a node receives. Bytes without a seal are not a message. A sender with the secret may send anything:
 * nothing crashes, counters are consistent, and forbidden requests are not performed.
 * Input: messages, each with a kind, flags, a sender, a number, a length of two bytes, and a body; unchanged, and
 * sealed, from one node or two. */
#include "cluster/cluster/cluster.h"
#include "cluster/cluster/members.h"
#include "fuzz/target.h"
#include "vestry/testing/memory.h"
#include "vestry/testing/memory_network.h"
#include "vestry/vestry.h"

static const char secret[32] = "0123456789abcdef0123456789abcde";
static size_t performed;
static uint64_t clock_ns, turn;

static void *reallocate(void *ctx, void *memory, size_t size) {
  if (size) return realloc(memory, size);
  free(memory);
  return NULL;
}
static uint64_t now_ns(void *ctx) {
  return clock_ns;
}
static vestry_err random_bytes(void *ctx, void *buffer, size_t len) {
  memset(buffer, 0x5a, len);
  return VESTRY_OK;
}
static const vestry_host host = {.reallocate = reallocate, .now_ns = now_ns, .random = random_bytes};

static vestry_err perform(vestry_dispatch_context *context, const json_t *args, void *ctx) {
  performed++;
  return VESTRY_OK;
}

static vestry_err come(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_reply_key(reply, VESTRY_KEY(1));
  if (vestry_reply_present(reply, app, VESTRY_KEY(1), "w")) return VESTRY_NO_MEMORY;
  vestry_reply_join(reply, req->scope, VESTRY_KEY(1));
  return vestry_reply_keep(reply, VESTRY_KEEP_REPLACE, 0);
}

static void settle(vestry_runtime *runtime) {
  while (vestry_runtime_step(runtime)) continue;
}

/* Mark a sender as proven. Other nodes count only after a handshake, which the input cannot contain. */
static void prove(vestry_cluster *cluster, const vsi_wire_message *message, bool is_stranger) {
  const vestry_slice name = {"n", 1};
  if (is_stranger || message->from == cluster->id || !message->epoch || !message->to) return;
  vsi_cluster_lock(cluster);
  const vsi_peer *peer = vsi_peers_find(cluster, message->from);
  vsi_wire_message proof = *message;
  proof.turn = 0;
  if (!peer || !vsi_peer_lives(peer) || peer->epoch != message->epoch)
    (void)vsi_members_prove(cluster, &proof, &name, 0);
  vsi_cluster_unlock(cluster);
}

static void say(vestry_cluster *cluster, const uint8_t *head, const uint8_t *body, size_t len) {
  vsi_buffer buffer;
  vsi_wire_begin(&buffer, &host);
  vsi_buffer_append(&buffer, body, len);
  require(!buffer.error);
  const vsi_wire_message message = {
      .kind = (uint8_t)(head[0] % (VSI_WIRE_KINDS + 1)),
      .flags = head[1],
      .from = head[2] & 1 ? cluster->id : 77 + (head[2] >> 1 & 1),
      .epoch = (uint64_t)(head[2] >> 2 & 3),
      .to = head[2] & 16 ? cluster->epoch : head[2] & 32,
      .seq = head[2] & 64 ? UINT64_MAX - head[3] : head[3],
      .turn = head[3] & 4 ? turn : ++turn, /* it may repeat a number */
  };
  prove(cluster, &message, head[3] & 8);
  require(!vsi_wire_seal(&buffer, cluster->seal_key, &message));
  vsi_cluster_received(cluster->own_subject, buffer.data, buffer.len, cluster);
  vsi_wire_message read;
  buffer.data[buffer.len - 1] ^= 1;
  require(vsi_wire_open(buffer.data, buffer.len, cluster->seal_key, &read) == VESTRY_MALFORMED);
  vsi_buffer_finish(&buffer);
}

static void listen(vestry_cluster *cluster, vestry_runtime *runtime, const uint8_t *data, size_t size) {
  vsi_cluster_received(cluster->own_subject, data, size, cluster);
  while (size >= 6) {
    size_t len = data[4] | (size_t)data[5] << 8;
    if (len > size - 6) len = size - 6;
    say(cluster, data, data + 6, len);
    if (data[3] & 1) settle(runtime);
    if (data[3] & 2) clock_ns += UINT64_C(100000000);
    data += 6 + len;
    size -= 6 + len;
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  vestry_runtime *runtime;
  vestry_memory_network *network;
  vestry_broker broker;
  vestry *v;
  vestry_pages *pages;
  vestry_cluster *cluster;
  vestry_memory_exchange *stream;
  vestry_presence *presence;
  clock_ns = UINT64_C(1000000000);
  performed = 0;
  turn = 0;
  static const char *const allow[] = {"allowed", NULL};
  const vestry_runtime_options stepped = {.host = &host, .threads_count = VESTRY_THREADS_NONE};
  require(!vestry_runtime_create(&stepped, &runtime));
  require(!vestry_memory_network_create(runtime, NULL, &network));
  require(!vestry_memory_network_join(network, &broker));
  require(!vestry_create(&(vestry_options){.host = &host, .runtime = runtime}, &v));
  require(!vestry_registry_effect(vestry_parts_of(v)->registry, "forbidden", perform, NULL));
  require(!vestry_pages_create(v, &(vestry_pages_options){.threads_count = 1}, &pages));
  const vestry_cluster_options options = {.node = "a",
                                          .secret = secret,
                                          .secret_len = sizeof secret,
                                          .pages = pages,
                                          .allow = allow,
                                          .max_remote_bytes = 4096};
  require(!vestry_cluster_create(v, &broker, &options, &cluster));
  require(!vestry_presence_create(v, &(vestry_presence_options){.name = "p", .max_count = 4}, &presence));
  require(!vestry_memory_request(v, &(vestry_memory_call){.datastar = true}, come, presence, &stream));
  settle(runtime);
  vestry_memory_mode_set(stream, VESTRY_MEMORY_BLOCKS); /* events wait and supersede each other */
  listen(cluster, runtime, data, size);
  settle(runtime);
  clock_ns += UINT64_C(1000000000);
  settle(runtime);
  vestry_cluster_stats stats = {0};
  vestry_cluster_stats_get(cluster, &stats);
  require(stats.received_count ==
          stats.taken_count + stats.duplicates_count + stats.malformed_count + stats.stale_count);
  require(performed == 0 && stats.remote_bytes == 0);
  vestry_presence_stats present = {0};
  vestry_presence_stats_get(presence, &present);
  require(present.here_count <= 4 && present.own_count <= 1);
  vestry_stop(v, 0);
  vestry_presence_destroy(presence);
  vestry_cluster_destroy(cluster);
  broker.ops->destroy(broker.broker);
  vestry_pages_destroy(pages);
  vestry_destroy(v);
  vestry_memory_destroy(stream);
  vestry_memory_network_destroy(network);
  vestry_runtime_destroy(runtime);
  return 0;
}
