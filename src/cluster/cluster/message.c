/* SPDX-License-Identifier: MIT */
/* Sending messages to other nodes: each is numbered for its receiver, sealed, and published by the broker. Also the
 * rules for subjects. */
#include "cluster/cluster/message.h"

#include <stdio.h>
#include <string.h>

#include "base/probe.h"
#include "cluster/cluster/cluster.h"
#include "vestry/cluster/broker.h"

bool vestry_subject_is_valid(const char *subject) {
  if (!subject || !*subject || *subject == '.') return false;
  size_t len = 0;
  char before = 0;
  for (; subject[len]; len++) {
    char c = subject[len];
    bool is_word = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    if (len == VESTRY_SUBJECT_MAX_BYTES || (!is_word && (c != '.' || before == '.'))) return false;
    before = c;
  }
  return before != '.';
}

bool vestry_subjects_are_valid(const char *const *subjects, size_t count) {
  if (count && !subjects) return false;
  for (size_t i = 0; i < count; i++) {
    if (!vestry_subject_is_valid(subjects[i])) return false;
    for (size_t j = 0; j < i; j++)
      if (strcmp(subjects[i], subjects[j]) == 0) return false;
  }
  return true;
}

/* Sending of messages. The caller holds the cluster's lock. */

void vsi_message_subject(const vestry_cluster *cluster, uint64_t id, char ret_subject[VESTRY_SUBJECT_MAX_BYTES + 1]) {
  snprintf(ret_subject, VESTRY_SUBJECT_MAX_BYTES + 1, "vestry.%016llx.n.%016llx",
           (unsigned long long)cluster->subject_hash, (unsigned long long)id);
}

size_t vsi_message_room(const vestry_cluster *cluster, size_t bytes) {
  const size_t most = cluster->broker.ops->max_payload(cluster->broker.broker), frame = VSI_WIRE_HEAD + VSI_WIRE_SEAL;
  if (bytes > most) bytes = most;
  return bytes > frame ? bytes - frame : 0;
}

vestry_err vsi_message_post(vestry_cluster *cluster, const char *subject, vsi_buffer *buffer,
                            vsi_wire_message message) {
  if (cluster->has_left || cluster->is_refused) return VESTRY_IO;
  message.from = cluster->id;
  message.epoch = cluster->epoch;
  message.turn = ++cluster->turn;
  vestry_err error = vsi_wire_seal(buffer, cluster->seal_key, &message);
  if (error) return error;
  cluster->has_unflushed = true;
  VSI_PROBE3(broker_out, subject, buffer->len, message.kind);
  error = cluster->broker.ops->publish(cluster->broker.broker, subject, buffer->data, buffer->len);
  buffer->len -= VSI_WIRE_SEAL;
  return error;
}

vestry_err vsi_message_send(vestry_cluster *cluster, vsi_peer *peer, vsi_buffer *buffer, vsi_wire_kind kind,
                            uint8_t flags, bool gap_on_failure) {
  uint64_t *seq = peer ? &peer->out_seq : &cluster->all_seq;
  const uint64_t before = *seq;
  if (vsi_wire_is_numbered(kind)) ++*seq;
  if (peer) peer->has_news |= vsi_wire_is_numbered(kind);
  const vsi_wire_message message = {.kind = (uint8_t)kind, .flags = flags, .to = peer ? peer->epoch : 0, .seq = *seq};
  vestry_err error = vsi_message_post(cluster, peer ? peer->subject : cluster->all_subject, buffer, message);
  if (error && (!gap_on_failure || error == VESTRY_TOO_LARGE)) *seq = before;
  cluster->stats.sent_count += !error;
  cluster->stats.send_failed_count += error != VESTRY_OK;
  return error;
}

vestry_err vsi_message_send_each(vestry_cluster *cluster, const vsi_bits *to, vsi_buffer *buffer, vsi_wire_kind kind,
                                 uint8_t flags, bool gap_on_failure) {
  vestry_err first = VESTRY_OK;
  for (size_t i = 0; i < cluster->peers_count; i++) {
    if (!vsi_bits_has(to, i)) continue;
    vestry_err error = vsi_message_send(cluster, cluster->peers[i], buffer, kind, flags, gap_on_failure);
    if (!first) first = error;
  }
  return first;
}

vestry_err vsi_message_send_bare(vestry_cluster *cluster, vsi_peer *peer, vsi_wire_kind kind, bool gap_on_failure) {
  vsi_buffer buffer;
  vsi_wire_begin(&buffer, cluster->host);
  vestry_err error = vsi_message_send(cluster, peer, &buffer, kind, 0, gap_on_failure);
  vsi_buffer_finish(&buffer);
  return error;
}
