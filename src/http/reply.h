/* SPDX-License-Identifier: MIT */
/* A reply while a handler fills it and vestry performs it. */
#ifndef VSI_HTTP_REPLY_H
#define VSI_HTTP_REPLY_H

#include "base/buffer.h"
#include "http/attachment.h"
#include "http/body.h"
#include "instance/stream_context.h"
#include "registry/dispatch.h"
#include "store/scoped_key.h"
#include "vestry/adapter.h"

enum { VSI_REPLY_FEW_EFFECTS = 4, VSI_REPLY_KEY_WORDS = 24 };

/* It stays where it was initialized. */
struct vestry_reply {
  const vestry_host *host;
  int status;             /* 0: not set */
  vestry_header *headers; /* name and value of each in one allocation, the name's */
  size_t headers_count, headers_room;
  const char *body_type; /* what vestry_reply_body said; owned */
  char *body;            /* NULL: there is none, or rest says what it is made of (vsi_reply_load) */
  size_t body_len;
  vsi_body_source rest; /* instead of body: a part of a file that is lent, or bytes that outlive the request */
  vsi_room room;        /* the body's, from before it is made; of what is no answer, a page rendered again, none */
  bool has_body;
  bool no_room; /* there was none for the last body: 503, but for a stream */
  struct {
    /* Called when the reply is about to be answered: an error is answered instead. NULL: there is no policy. */
    vestry_err (*apply)(const vestry_request *req, struct vestry_reply *reply, int status, bool has_body);
    void *state;      /* the policy's, owned */
    vestry_err error; /* why it is not the one that was asked for: then there is no document */
  } document;
  bool has_nonce; /* the body is one document's */
  bool knows_len; /* 304: a 200 would have had len bytes */
  size_t len;

  vestry *v;                 /* whose reply it is; NULL: none's, and then it can have no key */
  bool is_datastar;          /* the request is the client's */
  vestry_scope scope;        /* the request's */
  const char *last_event_id; /* likewise, in the request; NULL: none */
  vestry_scoped_key *key;    /* packed, in that scope, in key_room or in memory of its own; NULL: none */
  vestry_err key_error;      /* of the last vestry_reply_key, or of any vestry_reply_add_key */
  struct vsi_more_key {
    vestry_scoped_key *key; /* packed */
    size_t many_count;
  } * more_keys; /* beside it */
  size_t more_keys_count, more_keys_room;
  vestry_connection *connection;
  bool fail_fast;
  bool any_client; /* a stream for any client */
  bool keep;
  vestry_keep_policy policy; /* REUSE unless reply_keep said otherwise */
  size_t many_count;
  enum { VSI_AUTO_CLOSE_UNSET, VSI_AUTO_CLOSE_OFF, VSI_AUTO_CLOSE_ON } auto_close;
  vestry_connection_hooks hooks;
  vsi_data data; /* owned */
  vsi_attachments attachments;
  size_t parts_count; /* of its stream, by which it stays open: see instance/stream_context.h */
  vestry_connection_options stream;
  bool has_profiles; /* instead of the instance's */
  vestry_profile profiles[VESTRY_PROFILES_MAX];
  size_t profiles_count;
  vsi_effect_item *effects; /* few_effects, or an allocation */
  size_t effects_count, effects_room;
  bool no_memory;     /* some builder had none */
  vestry_err refused; /* what the last builder said that refused what it was given */
  vsi_effect_item few_effects[VSI_REPLY_FEW_EFFECTS];
  uint64_t key_room[VSI_REPLY_KEY_WORDS]; /* a usual key takes no allocation */
};

VESTRY_API void vsi_reply_init(vestry_reply *reply, const vestry_host *host);
VESTRY_API void vsi_reply_finish(vestry_reply *reply);

/* OK: the reply's stream may be a part of one thing more | LIMIT: refused, and said why. */
VESTRY_API vestry_err vsi_reply_may_join(vestry_reply *reply);
/* The same, and the packed key of what it is to be a part of. OK | LIMIT | as vsi_name_pack; the reply knows of errors.
 */
VESTRY_API vestry_err vsi_reply_pack(vestry_reply *reply, vsi_scoped_key *name, vestry_scope scope,
                                     const vestry_key *key);
/* What it is a part of from its beginning was made, or there is an error: the reply takes it. Returns the error. */
VESTRY_API vestry_err vsi_reply_attach(vestry_reply *reply, vestry_err error, vsi_attachment *attachment);

/* Remember that a builder refused what the handler gave it, and log why: returns its second argument. */
VESTRY_API vestry_err vsi_reply_refuse(vestry_reply *reply, vestry_err error, const char *why);
/* Whatever body it has is dropped, and there is room for one of len bytes: before there is memory of it, and before
 * vsi_reply_take_body. OK | LIMIT */
VESTRY_API vestry_err vsi_reply_make_room(vestry_reply *reply, size_t len);
/* Drop a reply's body, and give its room back. */
VESTRY_API void vsi_reply_drop_body(vestry_reply *reply);
/* vestry_reply_body without a copy: body is of the reply's host, and is taken in any case. The type is a header's
 * value. OK | LIMIT | NO_MEMORY */
VESTRY_API vestry_err vsi_reply_take_body(vestry_reply *reply, const char *content_type, char *body, size_t len);
/* Put another body in the place of one, which has its type. The text is finished in any case. Returns as above. */
VESTRY_API vestry_err vsi_reply_change_body(vestry_reply *reply, vsi_buffer *text);
/* The same with a part of a file, which is lent on OK only; and with bytes that are borrowed until the request is over.
 * Neither is read before the body is wanted. */
VESTRY_API vestry_err vsi_reply_take_file(vestry_reply *reply, const char *content_type, vsi_open_file *file,
                                          uint64_t at, size_t len);
VESTRY_API vestry_err vsi_reply_borrow_body(vestry_reply *reply, const char *content_type, const char *body,
                                            size_t len);
/* Whatever it is made of, reply->body has the body from here on. OK | LIMIT | IO | NO_MEMORY */
VESTRY_API vestry_err vsi_reply_load(vestry_reply *reply);
/* Whether it wants a connection, rather than an answer. */
static inline bool vsi_reply_is_stream(const vestry_reply *reply) {
  return reply->keep || reply->parts_count || reply->effects_count;
}
/* Whether a stream that it opens stays open when its effects are done. */
static inline bool vsi_reply_stays_open(const vestry_reply *reply, const vestry *v) {
  if (reply->auto_close != VSI_AUTO_CLOSE_UNSET) return reply->auto_close == VSI_AUTO_CLOSE_OFF;
  return reply->keep || reply->parts_count || v->keep_open;
}

/* When streams are stored under its key already. */
static inline vestry_keep_policy vsi_reply_policy(const vestry_reply *reply) {
  return reply->parts_count && !reply->keep ? VESTRY_KEEP_MANY : reply->policy; /* its parts are its own stream's */
}

/* What its own Cache-Control says to caches that many share. */
typedef enum vsi_caching {
  VSI_CACHING_UNSAID,
  VSI_CACHING_NONE,  /* private, no-store */
  VSI_CACHING_ASKED, /* kept, and given out only after asking here */
  VSI_CACHING_KEPT   /* whatever else */
} vsi_caching;
VESTRY_API vsi_caching vsi_reply_caching(const vestry_reply *reply);
/* The header of that name, in any case; NULL: none. */
VESTRY_API const vestry_header *vsi_reply_header_find(const vestry_reply *reply, const char *name);

#endif
