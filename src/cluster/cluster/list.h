/* SPDX-License-Identifier: MIT */
/* Keys over all nodes. */
#ifndef VSI_CLUSTER_LIST_H
#define VSI_CLUSTER_LIST_H

#include "cluster/cluster/wire.h"
#include "vestry/cluster/cluster.h"

/* What a LIST of another node's is answered; page: what goes after the error and the count. OK | NOT_FOUND | errors */
vestry_err vsi_list_answer(vestry_cluster *cluster, const vsi_wire_list *list, uint32_t *ret_count, vsi_buffer *page);

#endif
