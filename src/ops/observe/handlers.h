/* SPDX-License-Identifier: MIT */
/* Handlers of GET requests that return JSON. Their app is a vestry_observe. */
#ifndef VSI_OBSERVE_HANDLERS_H
#define VSI_OBSERVE_HANDLERS_H

#include "ops/observe/json.h"
#include "vestry/ops/observe.h"
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

/* Streams that have ended. */

/* GET {prefix}/closed?cause=&before=&after=&limit=; app: a vestry_observe. */
vestry_err vsi_list_closed(const vestry_request *req, vestry_reply *reply, void *app);

/* Write the recorded close of a stream. OK | NOT_FOUND (nothing is recorded, and nothing is written) */
vestry_err vsi_closed_put(vestry_observe *observe, uint64_t id, vsi_json_writer *json);

/* The console. Handlers of GET requests, whose app is a vestry_observe. */

/* {prefix}/console */
vestry_err vsi_console_page(const vestry_request *req, vestry_reply *reply, void *app);
/* {prefix}/console/events: the stream of the page. Its events report new data, and show that the server is alive. */
vestry_err vsi_console_events(const vestry_request *req, vestry_reply *reply, void *app);

/* The tail of a stream, sent as events of another stream. */

/* GET {prefix}/streams/{id}/tail; app: a vestry_observe. */
vestry_err vsi_observe_tail(const vestry_request *req, vestry_reply *reply, void *app);

#endif
