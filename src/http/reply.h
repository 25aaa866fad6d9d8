/* SPDX-License-Identifier: MIT */
/* A reply, from the handler that fills it to the code that performs it. */
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

/* It must not move after its initialization. */
struct vestry_reply {
  const vestry_host *host;
  int status;             /* 0: not set */
  vestry_header *headers; /* each name and value is one allocation, at the name's address */
  size_t headers_count, headers_room;
  const char *body_type; /* as passed to vestry_reply_body; owned */
  char *body;            /* NULL: none, or `rest` is its source (vsi_reply_load) */
  size_t body_len;
  vsi_body_source rest; /* instead of body: a part of a checked-out file, or bytes that outlive the request */
  vsi_room room;        /* of the body, from before it is made; empty if a page is rendered again, without a response */
  bool has_body;
  bool no_room; /* there was none for the last body: 503, except for a stream */
  struct {
    /* Called before the reply is answered. If it returns an error, the error is answered instead. NULL: there is no
     * policy. */
    vestry_err (*apply)(const vestry_request *req, struct vestry_reply *reply, int status, bool has_body);
    void *state;      /* of the policy, owned */
    vestry_err error; /* why the requested policy could not be set: then there is no document */
  } document;
  bool has_nonce; /* the body belongs to one document */
  bool encodes;   /* the body is encoded as a stream would be (vsi_encoding_apply) */
  bool knows_len; /* 304: a 200 would have had len bytes */
  size_t len;

  vestry *v;                 /* the reply's instance; NULL: none, so it cannot have a key */
  bool is_datastar;          /* the request is from the Datastar client */
  vestry_store *store;       /* vestry_reply_store; NULL: the instance's own */
  void *store_scope;         /* its scope; owned */
  vestry_scope scope;        /* of the request, or of that store */
  const char *last_event_id; /* of the request, in its memory; NULL: none */
  vestry_scoped_key *key;    /* packed, in that scope, in key_room or allocated; NULL: none */
  vestry_err key_error;      /* of the last vestry_reply_key */
  vestry_err more_key_error; /* of any vestry_reply_add_key: a valid key does not repair an earlier invalid one */
  vestry_err store_error;    /* of the last vestry_reply_store */
  struct vsi_more_key {
    vestry_scoped_key *key; /* packed */
    size_t many_count;
  } * more_keys; /* in addition to key */
  size_t more_keys_count, more_keys_room;
  vestry_connection *connection;
  bool fail_fast;
  bool any_client; /* a stream for any client */
  bool keep;
  vestry_keep_policy policy; /* REUSE unless vestry_reply_keep has set another */
  size_t many_count;
  bool auto_close;
  vestry_connection_hooks hooks;
  vsi_data data; /* owned */
  vsi_attachments attachments;
  size_t parts_count; /* of parts that keep its stream open: see instance/stream_context.h */
  vestry_connection_options stream;
  bool has_profiles; /* instead of the instance's */
  size_t profiles_count;
  vsi_effect_item *effects; /* few_effects, or an allocation */
  size_t effects_count, effects_room;
  bool no_memory;     /* a builder ran out of memory */
  vestry_err refused; /* error of the last builder that rejected its arguments */

  /* The rest is written before it is read, so it is not initialized. */
  vsi_effect_item few_effects[VSI_REPLY_FEW_EFFECTS];
  uint64_t key_room[VSI_REPLY_KEY_WORDS]; /* a common key needs no allocation */
  vestry_profile profiles[VESTRY_PROFILES_MAX];
};

VESTRY_API void vsi_reply_init(vestry_reply *reply, const vestry_host *host);
VESTRY_API void vsi_reply_finish(vestry_reply *reply);

/* Check whether the reply's stream may have one more attachment. OK | LIMIT: rejected and logged. */
VESTRY_API vestry_err vsi_reply_may_join(vestry_reply *reply);
/* The same, and pack the key of the channel or topic. OK | LIMIT | as vsi_store_pack; the reply remembers errors. */
VESTRY_API vestry_err vsi_reply_pack(vestry_reply *reply, vsi_scoped_key *name, vestry_scope scope,
                                     const vestry_key *key);
/* Add an attachment, or note the error of making it. NULL without an error: there was no memory. Returns the error. */
VESTRY_API vestry_err vsi_reply_attach(vestry_reply *reply, vestry_err error, vsi_attachment *attachment);

/* Remember NO_MEMORY of a builder. A handler may ignore it (vestry/request.h); then serve/serving.c answers the request
 * with this error. Returns its second argument. */
static inline vestry_err vsi_reply_remember(vestry_reply *reply, vestry_err error) {
  reply->no_memory |= error == VESTRY_NO_MEMORY;
  return error;
}
/* Remember that a builder rejected the handler's arguments, and log why. Returns its second argument. */
VESTRY_API vestry_err vsi_reply_refuse(vestry_reply *reply, vestry_err error, const char *why);
/* Drop the reply's body and take room for one of len bytes. Call it before the memory is allocated, and before
 * vsi_reply_take_body. OK | LIMIT */
VESTRY_API vestry_err vsi_reply_make_room(vestry_reply *reply, size_t len);
/* Drop a reply's body, and release its room. */
VESTRY_API void vsi_reply_drop_body(vestry_reply *reply);
/* Set the body without a copy. body is memory of the reply's host, and is taken in any case. The type is a valid header
 * value. OK | LIMIT | NO_MEMORY */
VESTRY_API vestry_err vsi_reply_take_body(vestry_reply *reply, const char *content_type, char *body, size_t len);
/* Replace the body by another one of the same type. The text is finished in any case. Returns as above. */
VESTRY_API vestry_err vsi_reply_change_body(vestry_reply *reply, vsi_buffer *text);
/* Set the body to a part of a file, which is taken on OK only; or to bytes that are borrowed until the request is over.
 * Neither is read before the body is needed. */
VESTRY_API vestry_err vsi_reply_take_file(vestry_reply *reply, const char *content_type, vsi_open_file *file,
                                          uint64_t at, size_t len);
VESTRY_API vestry_err vsi_reply_borrow_body(vestry_reply *reply, const char *content_type, const char *body,
                                            size_t len);
/* Load the body from its source into reply->body. OK | LIMIT | IO | NO_MEMORY */
VESTRY_API vestry_err vsi_reply_load(vestry_reply *reply);
/* Return the store of the reply's keys. The reply has an instance. */
static inline vestry_store *vsi_reply_store(const vestry_reply *reply) {
  return reply->store ? reply->store : reply->v->store;
}
/* Return whether the reply needs a connection instead of a response. */
static inline bool vsi_reply_is_stream(const vestry_reply *reply) {
  return reply->keep || reply->parts_count || reply->effects_count;
}
/* Return whether a stream that the reply opens stays open after its effects. */
static inline bool vsi_reply_stays_open(const vestry_reply *reply, const vestry *v) {
  return !reply->auto_close && (reply->keep || reply->parts_count || v->keep_open);
}

/* Return the policy for streams that are stored under the key already. */
static inline vestry_keep_policy vsi_reply_policy(const vestry_reply *reply) {
  return reply->parts_count && !reply->keep ? VESTRY_KEEP_MANY : reply->policy; /* its parts belong to its own stream */
}

/* Meaning of the reply's own Cache-Control for shared caches. */
typedef enum vsi_caching {
  VSI_CACHING_UNSET, /* there is no Cache-Control */
  VSI_CACHING_NONE,  /* private, no-store */
  VSI_CACHING_ASKED, /* stored, but revalidated before each use */
  VSI_CACHING_KEPT   /* any other value */
} vsi_caching;
VESTRY_API vsi_caching vsi_reply_caching(const vestry_reply *reply);
/* Return the header of that name, compared without case; NULL: none. */
VESTRY_API vestry_header *vsi_reply_header_find(const vestry_reply *reply, const char *name);

#endif
