/* SPDX-License-Identifier: MIT */
/* How nodes meet. All under the lock. */
#ifndef VSI_CLUSTER_MEET_H
#define VSI_CLUSTER_MEET_H

#include "cluster/cluster/wire.h"
#include "vestry/cluster/cluster.h"

/* A life is heard of: ask for a proof that it goes on, unless that is known. */
void vsi_meet_prompt(vestry_cluster *cluster, const vsi_wire_message *message);
/* MEET. false: nothing came of it. */
bool vsi_meet_take(vestry_cluster *cluster, const vsi_wire_message *message);
/* HELLO or MEET of another node of this one's name. */
void vsi_meet_twin(vestry_cluster *cluster, const vsi_wire_message *message);

#endif
