/* SPDX-License-Identifier: MIT */
/* Announcements to all nodes. */
#ifndef VSI_CLUSTER_ANNOUNCE_H
#define VSI_CLUSTER_ANNOUNCE_H

#include "store/scoped_key.h"
#include "vestry/cluster/cluster.h"

/* Send the waiting announcements. Under the lock. */
void vsi_announce_locked(vestry_cluster *cluster);
/* Run by the timer for it. */
void vsi_announce_due(vestry_timer *timer, void *cluster);
/* Send an event to the nodes where a channel has members. Returns as vsi_elsewhere.broadcast. */
vestry_err vsi_announce_event(const vestry_scoped_key *name, vestry_event *event, void *cluster);
/* Announce a refresh of the pages of a topic; len 0: of all pages. */
void vsi_announce_refresh(bool is_report, const char *topic, size_t len, void *cluster);

#endif
