/* SPDX-License-Identifier: MIT */
/* A request while it is served. */
#ifndef VSI_HTTP_REQUEST_H
#define VSI_HTTP_REQUEST_H

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

/* The session of a request (session/). */
enum { VSI_SESSION_CHANGES_MAX = 4, VSI_SESSION_ID_BYTES = 33 };
typedef struct vsi_session {
  char id[VSI_SESSION_ID_BYTES];                            /* terminated; "": there are no sessions */
  bool is_new;                                              /* the browser is to be told */
  bool was_changed;                                         /* by log-in or log-out */
  struct vsi_session_user *user;                            /* a reference; NULL: no user has logged in */
  struct vsi_session_user *former[VSI_SESSION_CHANGES_MAX]; /* references: the handler may still hold their names */
  size_t former_count;
} vsi_session;

/* Told what becomes of a request: a part of the library that has stepped in before its handler. No lock held. */
typedef struct vsi_watcher {
  /* It is being answered: before the first byte goes out. Not for a stream. */
  void (*answered)(struct vsi_watcher *watcher, const vestry_request *req, const vestry_response *response);
  void (*over)(struct vsi_watcher *watcher); /* it is over; once, and may free it */
} vsi_watcher;

/* Room for a seal (registry/guard). */
enum { VSI_REQUEST_SEAL_BYTES = 65 };

/* What a vestry_request has beside what everybody may read (vestry/request.h). */
typedef struct vsi_request {
  const vestry_request_ops *ops;
  void *server_request;
  bool is_head;
  bool is_copy;            /* of one that was served before (copy.h) */
  bool is_personal;        /* the handler asked for the user: the answer is no other's */
  struct vsi_visit *visit; /* the route it is in; NULL: none, its handler was given */
  vsi_values values[VSI_IN_COUNT];
  vsi_session session;
  char tab[VSI_REQUEST_SEAL_BYTES];         /* the seal of its tab, once it was asked for; "": none yet */
  bool tab_is_new;                          /* made for this request */
  bool tab_is_said;                         /* by the page itself: it is the tab's, and no guess */
  bool tab_is_known;                        /* the seal is of this scope; code that sets another scope sets it to
                                               false */
  char csrf_cookie[VSI_REQUEST_SEAL_BYTES]; /* one that the answer sets; "": none */
  vsi_watcher *watcher;                     /* NULL: none */
  struct vsi_upload *upload;                /* whose files are kept, while its handler is told (upload/receive.c) */
  vestry_err handled;                       /* what the guards and the handler said */
  char *body;                               /* owned; NULL: none */
  size_t body_taken;                        /* of the instance's request bytes */
  char scope[VESTRY_SCOPE_MAX_BYTES];
} vsi_request;

/* So many bytes of its own room are its scope. */
static inline void vsi_request_set_scope(vestry_request *req, size_t len) {
  req->scope = (vestry_scope){len ? req->own->scope : NULL, len};
}

/* The answer is for the request's user alone: no cache may give it to others. */
static inline void vsi_request_is_asked_who(const vestry_request *req) {
  req->own->is_personal = true;
}

/* The media type alone, without its parameters. */
bool vsi_is_media_type(const char *content_type, const char *wanted);
/* Whether the body is a form's, in either coding. */
bool vsi_request_is_form(const vestry_request *req);

/* own: its other half, which stays as long as it. ops: checked already. */
void vsi_request_init(vestry_request *req, vsi_request *own, vestry *v, const vestry_request_ops *ops,
                      void *server_request);
void vsi_request_finish(vestry_request *req);

/* Read the body and the signals. Blocks as the server does.
 * why: set on MALFORMED and TOO_LARGE of the signals; its message is empty otherwise.
 * OK | TOO_LARGE | MALFORMED | NO_MEMORY | LIMIT (all requests hold all they may) | TIMEOUT, IO (of the client). */
vestry_err vsi_request_read(vestry_request *req, vestry_signals_error *why);
/* The form's fields, of a body that came in pieces: a name, a NUL, a value, a NUL, and so on, count times; UTF-8
 * without other NULs. Copied; what was handed out of fields before is not valid any more. OK | TOO_LARGE | NO_MEMORY */
vestry_err vsi_request_set_form(const vestry_request *req, vestry_slice texts, size_t count);
/* Have the guards of the request's route look: of a receiver's, once. The first error. */
vestry_err vsi_request_guard(const vestry_request *req, vestry_reply *reply);
/* How long the body is to be; -1: it is not said. */
int64_t vsi_request_length(const vestry_request *req);
/* Ask the application for the scope. OK | whatever it says | FAILED (it claims to have written too much). */
vestry_err vsi_request_scope(vestry_request *req, vestry_reply *reply);

#endif
