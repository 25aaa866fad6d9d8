/* What an adapter is made of. */
#ifndef VSI_CIVETWEB_ADAPTER_H
#define VSI_CIVETWEB_ADAPTER_H

#include <pthread.h>

#include "adapter/civetweb/parked.h"
#include "adapter/civetweb/routes.h"
#include "adapter/civetweb/settings.h"
#include "adapter/civetweb/watch.h"

struct vestry_civetweb {
  /* Constant. */
  vestry *v;
  const vestry_host *host;
  struct mg_context *server;
  uint32_t capacity; /* streams at most */
  uint64_t request_timeout_ns;
  bool keep_alive; /* the server keeps connections open between requests */

  vsi_civetweb_routes routes;
  vsi_civetweb_parked parked;
  vsi_civetweb_watch *watch; /* NULL: none */

  pthread_mutex_t lock; /* innermost; nothing is called while it is held */
  pthread_cond_t left;  /* a handler has returned; CLOCK_MONOTONIC */
  bool stopping;        /* guarded by lock */
  uint32_t inside;      /* guarded by lock: handlers that run */
  uint32_t streams;     /* guarded by lock: of these, those that hold a place for a stream */
};

/* Begin a request: false when the adapter is stopping. */
bool vsi_civetweb_enter(vestry_civetweb *adapter);
/* The request is over; with_place: and so is its stream. */
void vsi_civetweb_leave(vestry_civetweb *adapter, bool with_place);
/* Take a place for a stream: false when there is none, or the adapter is stopping. */
bool vsi_civetweb_take_place(vestry_civetweb *adapter);
bool vsi_civetweb_is_stopping(vestry_civetweb *adapter);

/* What civetweb calls for a request that matches a route (serve.c). */
struct mg_connection;
int vsi_civetweb_serve(struct mg_connection *server_connection, void *route);

#endif
