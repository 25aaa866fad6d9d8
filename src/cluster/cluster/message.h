/* SPDX-License-Identifier: MIT */
/* What goes to other nodes: sealed, numbered, handed to the broker. All under the lock. */
#ifndef VSI_CLUSTER_MESSAGE_H
#define VSI_CLUSTER_MESSAGE_H

#include "cluster/cluster/peer.h"
#include "cluster/cluster/wire.h"

/* The subject that a node hears. */
void vsi_message_subject(const vestry_cluster *cluster, uint64_t id, char ret_subject[VESTRY_SUBJECT_MAX_BYTES + 1]);

/* Seal a message that was begun and ended, and publish it; from, epoch and turn are filled in. OK | the buffer's error
 * | IO (this node takes no part any more) | as the broker's publish */
vestry_err vsi_message_post(vestry_cluster *cluster, const char *subject, vsi_buffer *buffer, vsi_wire_message message);
/* Send one to a node, which counts it. is_told: if it fails, the receiver will know of a gap; but not for what is
 * TOO_LARGE, which no receiver could have had: its sender is told. */
vestry_err vsi_message_send(vestry_cluster *cluster, vsi_peer *peer, vsi_buffer *buffer, vsi_wire_kind kind,
                            uint8_t flags, bool is_told);
/* The same to all of a mask: the first failure. */
vestry_err vsi_message_send_all(vestry_cluster *cluster, uint64_t mask, vsi_buffer *buffer, vsi_wire_kind kind,
                                uint8_t flags, bool is_told);
/* The same without a body. */
vestry_err vsi_message_send_bare(vestry_cluster *cluster, uint64_t mask, vsi_wire_kind kind, bool is_told);

#endif
