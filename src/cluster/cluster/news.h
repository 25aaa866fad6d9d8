/* SPDX-License-Identifier: MIT */
/* What the application is to be told of members, gaps and versions. */
#ifndef VSI_CLUSTER_NEWS_H
#define VSI_CLUSTER_NEWS_H

#include "vestry/cluster/cluster.h"

/* The actor's: tell one thing. false: there is nothing. */
bool vsi_news_tell(vestry_cluster *cluster);

#endif
