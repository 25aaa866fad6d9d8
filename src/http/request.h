/* SPDX-License-Identifier: MIT */
/* A request while it is served. */
#ifndef VSI_HTTP_REQUEST_H
#define VSI_HTTP_REQUEST_H

#include "instance/instance.h"
#include "vestry/adapter.h"
#include "vestry/request.h"

/* Names and values that come with a request, of one place (values.c). */
enum { VSI_IN_COUNT = VESTRY_IN_FORM + 1 };
typedef struct vsi_values {
  bool is_read;     /* they are when the first is asked for */
  vestry_err error; /* why there are none: MALFORMED | TOO_LARGE | NO_MEMORY */
  size_t count;
  const char **pairs; /* a name, a value, and so on, in one allocation with their texts; owned */
} vsi_values;

/* Told what becomes of a request: a part of the library that has stepped in before its handler. No lock held. */
typedef struct vsi_watcher {
  /* It is being answered: before the first byte goes out. Not for a stream. */
  void (*answered)(struct vsi_watcher *watcher, const vestry_request *req, const vestry_response *response);
  void (*over)(struct vsi_watcher *watcher); /* it is over; once, and may free it */
} vsi_watcher;

/* The header of a request for a stream by which an element asks for heartbeats that the client tells of; its value may
 * ask an extension for more. */
#define VSI_SIGNS_HEADER "Vestry-Signs"

enum { VSI_SHORT_BODY_BYTES = 512 };

/* What a vestry_request has beside what everybody may read (vestry/request.h). */
typedef struct vsi_request {
  const vestry_request_ops *ops;
  void *server_request;
  bool is_head;
  bool is_copy;            /* of one that was served before (copy.h) */
  bool is_personal;        /* the handler asked for the user: the answer is no other's */
  struct vsi_visit *visit; /* the route it is in; NULL: none, its handler was given */
  vsi_values values[VSI_IN_COUNT];
  vsi_watcher *watcher;  /* NULL: none */
  void *lent;            /* by the route's receiver to the handler that it calls; NULL: nothing */
  vestry_err handled;    /* what the guards and the handler said */
  char *body;            /* owned; NULL: none, or it is short_body */
  size_t body_taken;     /* of the instance's request bytes */
  unsigned scopes_count; /* how often its scope was set */
  _Alignas(max_align_t) unsigned char room[VSI_REQUEST_ROOM_BYTES]; /* of extensions (instance/extension.h) */
  char scope[VESTRY_SCOPE_MAX_BYTES];
  char short_body[VSI_SHORT_BODY_BYTES]; /* a body with its length said before, and the NUL after it */
} vsi_request;

/* So many bytes of its own room are its scope. */
static inline void vsi_request_set_scope(vestry_request *req, size_t len) {
  req->own->scopes_count++;
  req->scope = (vestry_scope){len ? req->own->scope : NULL, len};
}

/* What an extension remembers of a request: its request_bytes, zero at first. NULL: the instance has no extension of
 * that kind. Any thread that serves the request; a few loads. */
static inline void *vsi_request_room(const vestry_request *req, const vsi_extension *kind) {
  const vsi_extended *row = vsi_extensions_find(&req->v->extensions, kind);
  return row ? req->own->room + row->room_at : NULL;
}

/* The answer is for the request's user alone: no cache may give it to others. */
static inline void vsi_request_is_asked_who(const vestry_request *req) {
  req->own->is_personal = true;
}

/* The media type alone, without its parameters. */
VESTRY_API bool vsi_is_media_type(const char *content_type, const char *wanted);
/* Whether the body is a form's, in either coding. */
bool vsi_request_is_form(const vestry_request *req);

/* own: its other half, which stays as long as it. ops: checked already. */
VESTRY_API void vsi_request_init(vestry_request *req, vsi_request *own, vestry *v, const vestry_request_ops *ops,
                                 void *server_request);
VESTRY_API void vsi_request_finish(vestry_request *req);

/* Read the body and the signals. Blocks as the server does.
 * why: set on MALFORMED and TOO_LARGE of the signals; its message is empty otherwise.
 * OK | TOO_LARGE | MALFORMED | NO_MEMORY | LIMIT (all requests hold all they may) | TIMEOUT, IO (of the client). */
vestry_err vsi_request_read(vestry_request *req, vestry_signals_error *why);
/* The form's fields, of a body that came in pieces: a name, a NUL, a value, a NUL, and so on, count times; UTF-8
 * without other NULs. Copied; what was handed out of fields before is not valid any more. OK | TOO_LARGE | NO_MEMORY */
VESTRY_API vestry_err vsi_request_set_form(const vestry_request *req, vestry_slice texts, size_t count);
/* Have the guards of the request's route look: of a receiver's, once. The first error. */
VESTRY_API vestry_err vsi_request_guard(const vestry_request *req, vestry_reply *reply);
/* How long the body is to be; -1: it is not said. */
VESTRY_API int64_t vsi_request_length(const vestry_request *req);
/* Ask the application for the scope. OK | whatever it says | FAILED (it claims to have written too much). */
vestry_err vsi_request_scope(vestry_request *req, vestry_reply *reply);

#endif
