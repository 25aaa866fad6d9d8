/* SPDX-License-Identifier: MIT */
/* Sending of messages: sealing, numbering, and passing them to the broker. The caller holds the cluster's lock. */
#ifndef VSI_CLUSTER_MESSAGE_H
#define VSI_CLUSTER_MESSAGE_H

#include "app/presence/bits.h"
#include "cluster/cluster/peer.h"
#include "cluster/cluster/wire.h"

/* Write the subject to which a node is subscribed. */
void vsi_message_subject(const vestry_cluster *cluster, uint64_t id, char ret_subject[VESTRY_SUBJECT_MAX_BYTES + 1]);

/* Return the maximum size of the body of a message that has at most `bytes` in all. */
size_t vsi_message_room(const vestry_cluster *cluster, size_t bytes);
/* Seal a message, and publish it; from, epoch and turn are filled in. OK | the buffer's error | IO (this node has left,
 * or was refused) | as the broker's publish */
vestry_err vsi_message_post(vestry_cluster *cluster, const char *subject, vsi_buffer *buffer, vsi_wire_message message);
/* Send a message to a node, and count it. peer NULL: send it to all nodes, with a number of their common series; the
 * same applies to send_bare. gap_on_failure: a failure must become a gap of the receiver, so the message's
 * number stays assigned. With TOO_LARGE the number is freed in any case, because no receiver could get the message and
 * its sender gets the error. */
vestry_err vsi_message_send(vestry_cluster *cluster, vsi_peer *peer, vsi_buffer *buffer, vsi_wire_kind kind,
                            uint8_t flags, bool gap_on_failure);
/* Send a message to each node of a set. Returns the first error. */
vestry_err vsi_message_send_each(vestry_cluster *cluster, const vsi_bits *to, vsi_buffer *buffer, vsi_wire_kind kind,
                                 uint8_t flags, bool gap_on_failure);
/* Send a message without a body. */
vestry_err vsi_message_send_bare(vestry_cluster *cluster, vsi_peer *peer, vsi_wire_kind kind, bool gap_on_failure);

#endif
