/* SPDX-License-Identifier: MIT */
/* A request while it is served. */
#ifndef VSI_HTTP_REQUEST_H
#define VSI_HTTP_REQUEST_H

#include "instance/instance.h"
#include "vestry/adapter.h"
#include "vestry/request.h"

/* Names and values from one part of a request (values.c). */
enum { VSI_IN_COUNT = VESTRY_IN_FORM + 1 };
typedef struct vsi_values {
  bool is_read;     /* they are read at the first lookup */
  vestry_err error; /* why there are none: MALFORMED | TOO_LARGE | NO_MEMORY */
  size_t count;
  const char **pairs; /* a name, a value, and so on, in one allocation with `order` and their texts; owned */
  uint32_t *order;    /* numbers of the pairs, sorted by name */
} vsi_values;

/* Callbacks that report the outcome of a request to a module that intercepted it before its handler. No lock held. */
typedef struct vsi_watcher {
  /* Called before the first byte of the response is sent. Not for a stream. */
  void (*answered)(struct vsi_watcher *watcher, const vestry_request *req, const vestry_response *response);
  void (*over)(struct vsi_watcher *watcher); /* Called when the request is over; once; may free the watcher */
} vsi_watcher;

/* The header of a stream's request by which an element requests heartbeats that the Datastar client reports to the
 * page. Its value may request more from an extension. */
#define VSI_SIGNS_HEADER "Vestry-Signs"

enum { VSI_SHORT_BODY_BYTES = 512 };

/* A header whose lines were joined. */
typedef struct vsi_joined {
  struct vsi_joined *next;
  const char *value;
  char name[]; /* and the value after it */
} vsi_joined;

/* The private half of a vestry_request; the public half is in vestry/request.h. */
typedef struct vsi_request {
  const vestry_request_ops *ops;
  void *server_request;
  bool is_head;
  bool is_copy;            /* a copy in which a page is rendered again (app/page/copy.c) */
  bool is_shared;          /* a copy without data of its client, for a page that several clients share */
  bool is_personal;        /* the handler read data of the user, so the response is private */
  struct vsi_visit *visit; /* the request's place in the routes; NULL: its handler was passed by the caller */
  vsi_values values[VSI_IN_COUNT];
  vsi_joined *joined;    /* headers whose lines were joined (headers.c) */
  vsi_watcher *watcher;  /* NULL: none */
  void *lent;            /* passed by the route's receiver to the handler that it calls; NULL: nothing */
  vestry_err handled;    /* result of the guards and the handler */
  uint64_t came_ns;      /* the host's clock when its handling began */
  char *body;            /* owned; NULL: none, or it is in short_body */
  size_t body_taken;     /* of the instance's request bytes */
  unsigned scopes_count; /* how often the scope was set */
  _Alignas(max_align_t) unsigned char room[VSI_REQUEST_ROOM_BYTES]; /* of extensions (instance/extension.h) */
  char scope[VESTRY_SCOPE_MAX_BYTES];
  char short_body[VSI_SHORT_BODY_BYTES]; /* a body of announced length, and a NUL after it */
} vsi_request;

/* Set the scope to the first len bytes of own->scope. */
static inline void vsi_request_set_scope(vestry_request *req, size_t len) {
  req->own->scopes_count++;
  req->scope = (vestry_scope){len ? req->own->scope : NULL, len};
}

/* Return an extension's room in a request: its request_bytes, zero at first. NULL: the instance has no extension of
 * that kind. Any thread that serves the request; a few loads. */
static inline void *vsi_request_room(const vestry_request *req, const vsi_extension *kind) {
  const vsi_extended *row = vsi_extensions_find(&req->v->extensions, kind);
  return row ? req->own->room + row->room_at : NULL;
}

/* Mark the response as private to the request's user, so that no cache gives it to another user. */
static inline void vsi_request_mark_private(const vestry_request *req) {
  req->own->is_personal = true;
}

typedef char vsi_header_name[35];

/* Names of the headers that identify a user, sorted. A response is private if its handler reads one of them, and copies
 * of requests contain all of them (app/page/copy.c). vestry/request.h lists them. */
enum { VSI_USER_HEADERS_COUNT = 49 };
VESTRY_API extern const vsi_header_name vsi_user_headers[VSI_USER_HEADERS_COUNT];
/* Return the place of a header in the list; NULL: it does not identify a user. */
VESTRY_API const vsi_header_name *vsi_user_header(const char *name);

/* Compare a media type without its parameters. */
VESTRY_API bool vsi_is_media_type(const char *content_type, const char *wanted);
/* Return whether the body is a form, in either encoding. */
VESTRY_API bool vsi_request_is_form(const vestry_request *req);

/* Initialize a request. own: its private half, which must live as long. ops: checked already. */
VESTRY_API void vsi_request_init(vestry_request *req, vsi_request *own, vestry *v, const vestry_request_ops *ops,
                                 void *server_request);
VESTRY_API void vsi_request_finish(vestry_request *req);
/* Detach a request from the server, which may have freed its own: from here on it has no headers, no peer and no body,
 * and no response is sent. */
void vsi_request_detach(vestry_request *req);

/* Read the body and the signals. Blocks as the server does.
 * why: set on MALFORMED and TOO_LARGE of the signals; otherwise its message is empty.
 * OK | TOO_LARGE | MALFORMED | NO_MEMORY | LIMIT (all requests together are at their limit) | TIMEOUT, IO (of the
 * client). */
vestry_err vsi_request_read(vestry_request *req, vestry_signals_error *why);
/* Set the fields of a form whose body arrived in pieces, or the parameters of a copy's path. texts: `count` pairs of a
 * name, a NUL, a value and a NUL, in UTF-8 without other NULs; copied. Pointers to earlier values become invalid.
 * OK | TOO_LARGE | NO_MEMORY */
VESTRY_API vestry_err vsi_request_set_values(const vestry_request *req, vestry_in in, vestry_slice texts, size_t count);
/* Return whether the body is a form with more values than vestry_bounds allows. Reads a long form. NULL in a static
 * program that reads no values: it is linked without the code for forms. */
__attribute__((weak)) bool vsi_request_has_too_many_fields(const vestry_request *req);
/* Return whether a script sent the request, which shows the text of a refusal: the Datastar client, or a script that
 * sends files. It gets a line of text instead of the application's page for the status. */
VESTRY_API bool vsi_request_is_of_script(const vestry_request *req);
/* Return the announced length of the body; -1: unknown. */
VESTRY_API int64_t vsi_request_length(const vestry_request *req);
/* Get the scope from the application. OK | its error | FAILED (it reports a length beyond the buffer). */
vestry_err vsi_request_scope(vestry_request *req, vestry_reply *reply);

#endif
