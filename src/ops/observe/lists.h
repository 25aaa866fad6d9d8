/* SPDX-License-Identifier: MIT */
/* What is seen, as JSON: handlers of GET, whose app is a vestry_observe. */
#ifndef VSI_OBSERVE_LISTS_H
#define VSI_OBSERVE_LISTS_H

#include "vestry/request.h"

/* {prefix}/streams?prefix=&sort=newest|oldest|queued|bytes&cursor=&limit= */
vestry_err vsi_list_streams(const vestry_request *req, vestry_reply *reply, void *app);
/* {prefix}/streams/{id} */
vestry_err vsi_list_stream(const vestry_request *req, vestry_reply *reply, void *app);
/* {prefix}/channels?prefix=&cursor=&limit= */
vestry_err vsi_list_channels(const vestry_request *req, vestry_reply *reply, void *app);
/* {prefix}/store */
vestry_err vsi_list_store(const vestry_request *req, vestry_reply *reply, void *app);
/* {prefix}/pages?sort=path|handler|renders|unchanged&limit= */
vestry_err vsi_list_pages(const vestry_request *req, vestry_reply *reply, void *app);
/* {prefix}/cluster */
vestry_err vsi_list_cluster(const vestry_request *req, vestry_reply *reply, void *app);

#endif
