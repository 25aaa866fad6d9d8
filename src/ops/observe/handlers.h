/* SPDX-License-Identifier: MIT */
/* What is seen, as JSON: handlers of GET, whose app is a vestry_observe. */
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

/* Streams that have ended, as JSON. */

/* GET {prefix}/closed?cause=&before=&after=&limit=; app: a vestry_observe. */
vestry_err vsi_list_closed(const vestry_request *req, vestry_reply *reply, void *app);

/* Write what is known of one that has ended, by the stream's number. OK | NOT_FOUND: nothing is known any more, and
 * nothing is written. */
vestry_err vsi_closed_put(vestry_observe *observe, uint64_t id, vsi_json_writer *json);

/* The console: a page that shows what is seen. Handlers of GET, whose app is a vestry_observe. */

/* {prefix}/console */
vestry_err vsi_console_page(const vestry_request *req, vestry_reply *reply, void *app);
/* {prefix}/console/events: the page's stream, by which it knows that there is something new, and that the server is
 * there. */
vestry_err vsi_console_events(const vestry_request *req, vestry_reply *reply, void *app);

/* The tail of a stream, as events of another stream: for which requests, how long, and what is told of it. */

/* GET {prefix}/streams/{id}/tail; app: a vestry_observe. */
vestry_err vsi_observe_tail(const vestry_request *req, vestry_reply *reply, void *app);

#endif
