/* SPDX-License-Identifier: MIT */
/* The reply builder. It copies its arguments and rejects values that must not reach the wire.
 *
 * Words. An effect is a named operation for the connections of the reply, such as patch-signals; a list is its name and
 * arguments as JSON. An interceptor is a function of the application that is called before and after each effect
 * (registry/). The room of a body is the number of bytes that are reserved for it in the budget of responses
 * (max_all_responses_bytes). An attachment is an object to which the reply's stream will belong, such as a channel
 * (http/attachment.h). */
#include "http/reply.h"

#include <stdio.h>
#include <string.h>

#include "base/array.h"
#include "base/ascii.h"
#include "base/field.h"
#include "base/log.h"
#include "base/memory.h"
#include "channel/broadcast.h"
#include "channel/channel.h"
#include "coding/coding.h"
#include "connection/group.h"
#include "http/request.h"
#include "instance/stores.h"
#include "registry/names.h"
#include "store/store.h"
#include "vestry/channel.h"

enum { STATUS_MIN = 200, STATUS_MAX = 599 };

void vsi_reply_init(vestry_reply *reply, const vestry_host *host) {
  memset(reply, 0, offsetof(vestry_reply, few_effects));
  reply->host = host;
  reply->policy = VESTRY_KEEP_REUSE;
  reply->effects = reply->few_effects;
  reply->effects_room = VSI_REPLY_FEW_EFFECTS;
}

static void header_free(const vestry_reply *reply, const vestry_header *header) {
  vsi_free(reply->host, (void *)header->name);
}

/* Free the body, but keep the bytes that are reserved for it (reply->room). */
static void free_body(vestry_reply *reply) {
  vsi_free(reply->host, reply->body);
  if (reply->rest.file) reply->rest.file->give_back(reply->rest.file);
  reply->body = NULL;
  reply->rest = (vsi_body_source){.bytes = NULL};
}

void vsi_reply_drop_body(vestry_reply *reply) {
  free_body(reply);
  (void)vsi_room_resize(&reply->room, 0);
  reply->has_body = false;
  reply->body_len = 0;
}

static void free_key(const vestry_reply *reply) {
  if ((void *)reply->key != (void *)reply->key_room) vsi_free(reply->host, reply->key);
}

void vsi_reply_finish(vestry_reply *reply) {
  (void)vsi_attachments_settle(&reply->attachments, NULL);
  for (size_t i = 0; i < reply->headers_count; i++) header_free(reply, &reply->headers[i]);
  vsi_free(reply->host, reply->headers);
  vsi_free(reply->host, (void *)reply->body_type);
  vsi_free(reply->host, reply->document.state);
  vsi_reply_drop_body(reply);
  free_key(reply);
  for (size_t i = 0; i < reply->more_keys_count; i++) vsi_free(reply->host, reply->more_keys[i].key);
  vsi_free(reply->host, reply->more_keys);
  vsi_free(reply->host, reply->store_scope);
  vestry_connection_unref(reply->connection);
  for (size_t i = 0; i < reply->effects_count; i++) {
    vestry_event_unref(reply->effects[i].event);
    json_decref(reply->effects[i].list);
  }
  VSI_ARRAY_FREE(reply->host, reply->few_effects, reply->effects);
  vsi_data_destroy(&reply->data);
}

vestry_err vsi_reply_refuse(vestry_reply *reply, vestry_err error, const char *why) {
  reply->refused = error;
  vsi_log_mistake(reply->host, "reply", why);
  return error;
}

/* ------------------------------------------------------------------------------------ status, headers and body ---- */

vestry_err vestry_reply_status(vestry_reply *reply, int status) {
  if (status < STATUS_MIN || status > STATUS_MAX)
    return vsi_reply_refuse(reply, VESTRY_INVALID, "vestry_reply_status: the status must be from 200 to 599");
  reply->status = status;
  return VESTRY_OK;
}

/* Return whether only the adapter may write this header: it frames the body or the connection, or is Date. */
static bool is_framing(const char *name) {
  static const char *const framing[] = {
      "Content-Length", "Transfer-Encoding", "Connection", "Keep-Alive", "Trailer", "Upgrade", "TE", "Date", NULL};
  return vsi_is_listed(name, framing);
}

vestry_header *vsi_reply_header_find(const vestry_reply *reply, const char *name) {
  for (size_t i = 0; i < reply->headers_count; i++)
    if (vsi_strcasecmp(reply->headers[i].name, name) == 0) return &reply->headers[i];
  return NULL;
}

/* Return whether a list of directives has this one, in upper or lower case (RFC 9111, section 5.2). Values are
 * ignored. */
static bool has_directive(const char *list, const char *name) {
  size_t len = strlen(name);
  for (const char *at = list; *at; at += strcspn(at, ",")) {
    at += strspn(at, ", \t");
    if (vsi_strncasecmp(at, name, len) == 0 && strchr(", \t=", at[len])) return true;
  }
  return false;
}

vsi_caching vsi_reply_caching(const vestry_reply *reply) {
  vsi_caching caching = VSI_CACHING_UNSET;
  for (size_t i = 0; i < reply->headers_count; i++) {
    if (vsi_strcasecmp(reply->headers[i].name, "Cache-Control") != 0) continue;
    const char *list = reply->headers[i].value;
    if (has_directive(list, "private") || has_directive(list, "no-store")) return VSI_CACHING_NONE;
    if (caching != VSI_CACHING_ASKED) caching = has_directive(list, "no-cache") ? VSI_CACHING_ASKED : VSI_CACHING_KEPT;
  }
  return caching;
}

vestry_err vestry_reply_header(vestry_reply *reply, const char *name, const char *value) {
  if (!name || !value || !vsi_is_token(name) || !vsi_is_field_value(value) || is_framing(name))
    return vsi_reply_refuse(reply, VESTRY_INVALID,
                            "vestry_reply_header: the adapter sets this header, or its name or value is invalid");
  if (VSI_ARRAY_RESERVE(reply->host, reply->headers, reply->headers_count, reply->headers_room, 1))
    return vsi_reply_remember(reply, VESTRY_NO_MEMORY);
  size_t name_len = strlen(name), value_len = strlen(value);
  char *copy = vsi_alloc(reply->host, name_len + value_len + 2);
  if (!copy) return vsi_reply_remember(reply, VESTRY_NO_MEMORY);
  memcpy(copy, name, name_len + 1);
  memcpy(copy + name_len + 1, value, value_len + 1);
  vestry_header made = {copy, copy + name_len + 1};
  vestry_header *before = vsi_strcasecmp(name, "Content-Type") == 0 ? vsi_reply_header_find(reply, name) : NULL;
  if (before) {
    header_free(reply, before);
    *before = made;
    return VESTRY_OK;
  }
  reply->headers[reply->headers_count++] = made;
  return VESTRY_OK;
}

/* Resize the room to the bytes of the body that are in memory. LIMIT is recorded until a body gets room: a handler may
 * ignore it, and then the request is answered with this error. */
static vestry_err resize_room(vestry_reply *reply, size_t len) {
  vestry_err error = vsi_room_resize(&reply->room, len);
  reply->no_room |= error == VESTRY_LIMIT;
  return error;
}

vestry_err vsi_reply_make_room(vestry_reply *reply, size_t len) {
  vsi_reply_drop_body(reply);
  return resize_room(reply, len);
}

/* Begin a body of this type and length. held: the number of its bytes that will be in memory. The caller then sets the
 * source of the body. */
static vestry_err begin_reply_body(vestry_reply *reply, const char *content_type, size_t len, size_t held) {
  vestry_err error = resize_room(reply, held);
  if (error) return error;
  char *type = vsi_strdup(reply->host, content_type, strlen(content_type));
  if (!type) return vsi_reply_remember(reply, VESTRY_NO_MEMORY);
  vsi_free(reply->host, (void *)reply->body_type);
  free_body(reply);
  reply->body_type = type;
  reply->body_len = len;
  reply->has_body = true;
  reply->no_room = false;
  return VESTRY_OK;
}

vestry_err vsi_reply_take_body(vestry_reply *reply, const char *content_type, char *body, size_t len) {
  vestry_err error = begin_reply_body(reply, content_type, len, len);
  if (error)
    vsi_free(reply->host, body);
  else
    reply->body = body;
  return error;
}

vestry_err vsi_reply_change_body(vestry_reply *reply, vsi_buffer *text) {
  size_t len = 0;
  char *body = vsi_buffer_take(text, &len);
  vsi_buffer_finish(text);
  return body ? vsi_reply_take_body(reply, reply->body_type, body, len) : VESTRY_NO_MEMORY;
}

vestry_err vsi_reply_take_file(vestry_reply *reply, const char *content_type, vsi_open_file *file, uint64_t at,
                               size_t len) {
  vestry_err error = begin_reply_body(reply, content_type, len, 0);
  if (error) return error;
  reply->rest.file = file;
  reply->rest.at = at;
  return VESTRY_OK;
}

vestry_err vsi_reply_borrow_body(vestry_reply *reply, const char *content_type, const char *body, size_t len) {
  vestry_err error = begin_reply_body(reply, content_type, len, 0);
  if (!error) reply->rest.borrowed = body;
  return error;
}

vestry_err vsi_reply_load(vestry_reply *reply) {
  char *body = NULL;
  if (reply->body) return VESTRY_OK;
  vestry_err error = resize_room(reply, reply->body_len);
  if (error) return error;
  if (reply->rest.file)
    error = vsi_open_file_load(reply->host, reply->rest.file, reply->rest.at, reply->body_len, &body);
  else if (!(body = vsi_strdup(reply->host, reply->rest.borrowed ? reply->rest.borrowed : "", reply->body_len)))
    error = VESTRY_NO_MEMORY;
  if (error) return vsi_reply_remember(reply, error);
  free_body(reply);
  reply->body = body;
  return VESTRY_OK;
}

vestry_err vestry_reply_body(vestry_reply *reply, const char *content_type, const void *body, size_t len) {
  if ((!body && len) || (content_type && !vsi_is_field_value(content_type)))
    return vsi_reply_refuse(reply, VESTRY_INVALID,
                            "vestry_reply_body: the body is NULL, or the content type is invalid");
  if (!content_type || !*content_type) content_type = "text/html; charset=utf-8";
  vestry_err error = vsi_reply_make_room(reply, len);
  if (error) return error;
  char *copy = vsi_strdup(reply->host, len ? body : "", len);
  return copy ? vsi_reply_take_body(reply, content_type, copy, len) : vsi_reply_remember(reply, VESTRY_NO_MEMORY);
}

/* ------------------------------------------------------------------------------------------ key and connection ---- */

/* Pack a key once, for all later uses. */
static vestry_err pack_key(vestry_reply *reply, vestry_scope scope, const vestry_key *key, void *room,
                           size_t room_bytes, vestry_scoped_key **ret_key) {
  vsi_scoped_key packed;
  vestry_err error = vsi_store_pack(vsi_reply_store(reply), &packed, scope, key);
  if (error == VESTRY_NO_MEMORY) return vsi_reply_remember(reply, VESTRY_NO_MEMORY);
  if (error)
    return vsi_reply_refuse(reply, error, "vestry_reply_key or vestry_reply_add_key: the key is invalid or too large");
  *ret_key = vsi_scoped_key_keep(reply->host, packed.key, room, room_bytes);
  vsi_scoped_key_finish(&packed);
  return *ret_key ? VESTRY_OK : vsi_reply_remember(reply, VESTRY_NO_MEMORY);
}

/* Set the scope of the keys by the scope function of a store. */
static vestry_err find_store_scope(const vestry_request *req, vestry_reply *reply, const vsi_instance_store *in) {
  char bytes[VESTRY_SCOPE_MAX_BYTES];
  size_t len = 0;
  vestry_err error = in->scope(req, reply, bytes, &len, in->scope_ctx);
  if (error) return error;
  if (len > sizeof bytes) return VESTRY_FAILED;
  void *copy = len ? vsi_strdup(reply->host, bytes, len) : NULL;
  if (len && !copy) return vsi_reply_remember(reply, VESTRY_NO_MEMORY);
  req->own->is_personal |= len != 0; /* as the scope of a request: serve/serving.c */
  vsi_free(reply->host, reply->store_scope);
  reply->store_scope = copy;
  reply->scope = (vestry_scope){copy, len};
  return VESTRY_OK;
}

static vestry_err choose_store(const vestry_request *req, vestry_reply *reply, const char *name) {
  const vsi_instance_store *found = vsi_stores_find(reply->v, name);
  if (!found)
    return vsi_reply_refuse(reply, VESTRY_NOT_FOUND,
                            "vestry_reply_store: the instance has no store of this name; see vestry_options.stores");
  if (reply->key || reply->more_keys_count)
    return vsi_reply_refuse(reply, VESTRY_INVALID, "vestry_reply_store: call it before vestry_reply_key");
  reply->scope = req->scope;
  reply->store = found->store;
  return found->scope ? find_store_scope(req, reply, found) : VESTRY_OK;
}

vestry_err vestry_reply_store(const vestry_request *req, vestry_reply *reply, const char *name) {
  return reply->store_error = choose_store(req, reply, name);
}

vestry_err vestry_reply_key(vestry_reply *reply, const vestry_key *key) {
  vestry_scoped_key *packed;
  reply->key_error = pack_key(reply, reply->scope, key, reply->key_room, sizeof reply->key_room, &packed);
  if (reply->key_error) return reply->key_error;
  if (packed != reply->key) free_key(reply);
  reply->key = packed;
  return VESTRY_OK;
}

/* Refuse a key or attachment beyond the maximum of a stream. */
static vestry_err refuse_more(vestry_reply *reply, const char *function, const char *what) {
  char why[160];
  snprintf(why, sizeof why, "%s: a stream can have at most %zu %s; raise vestry_bounds.max_per_stream_count", function,
           reply->v->max_per_stream_count, what);
  return vsi_reply_refuse(reply, VESTRY_LIMIT, why);
}

vestry_err vsi_reply_may_join(vestry_reply *reply) {
  if (reply->attachments.count < reply->v->max_per_stream_count) return VESTRY_OK;
  return refuse_more(reply, "vestry_reply_join and similar", "channels, topics and places");
}

vestry_err vestry_reply_add_key(vestry_reply *reply, vestry_scope scope, const vestry_key *key, size_t many_count) {
  if (reply->more_keys_count >= reply->v->max_per_stream_count)
    return reply->more_key_error = refuse_more(reply, "vestry_reply_add_key", "keys in addition to its first");
  if (VSI_ARRAY_RESERVE(reply->host, reply->more_keys, reply->more_keys_count, reply->more_keys_room, 1))
    return vsi_reply_remember(reply, VESTRY_NO_MEMORY);
  vestry_scoped_key *packed;
  vestry_err error = pack_key(reply, scope, key, NULL, 0, &packed);
  if (error) return reply->more_key_error = error;
  reply->more_keys[reply->more_keys_count++] = (struct vsi_more_key){packed, many_count};
  return VESTRY_OK;
}

vestry_err vestry_reply_connection(vestry_reply *reply, vestry_connection *connection) {
  if (!connection || (reply->v && !vsi_group_has(reply->v->group, connection)))
    return vsi_reply_refuse(reply, VESTRY_INVALID,
                            "vestry_reply_connection: the connection is NULL, or belongs to another instance");
  vestry_connection_ref(connection);
  vestry_connection_unref(reply->connection);
  reply->connection = connection;
  return VESTRY_OK;
}

vestry_err vestry_reply_keep(vestry_reply *reply, vestry_keep_policy policy, size_t many_count) {
  if ((unsigned)policy > VESTRY_KEEP_MANY)
    return vsi_reply_refuse(reply, VESTRY_INVALID, "vestry_reply_keep: the policy is none of vestry_keep_policy");
  reply->keep = true;
  reply->policy = policy;
  reply->many_count = many_count;
  return VESTRY_OK;
}

void vestry_reply_any_client(vestry_reply *reply) {
  reply->any_client = true;
}

/* The data is taken in any case. All other options are checked before the reply is changed, so that it is changed
 * completely or not at all. */
vestry_err vestry_reply_stream(vestry_reply *reply, const vestry_stream_options *options) {
  vestry_connection_options connection, resolved;
  vestry_profile profiles[VESTRY_PROFILES_MAX];
  vestry_stream_options own = options ? *options : (vestry_stream_options){0};
  connection = own.connection ? *own.connection : (vestry_connection_options){0};
  vestry_connection_hooks hooks = own.hooks ? *own.hooks : (vestry_connection_hooks){0};
  if (!options)
    return vsi_reply_refuse(reply, VESTRY_INVALID, "vestry_reply_stream: the options are NULL, or a member is unknown");
  if (own.data) {
    vsi_data before = reply->data;
    reply->data = (vsi_data){own.data, own.destroy};
    vsi_data_destroy(&before);
  }
  if (vsi_connection_options_resolve(&connection, NULL, &resolved))
    return vsi_reply_refuse(reply, VESTRY_INVALID,
                            "vestry_reply_stream: options.connection: max_queued_count is at most 1,000,000, "
                            "max_queued_bytes at most 1 GiB, and full one of vestry_full_policy of this build");
  bool is_profiled = own.profiles_count <= VESTRY_PROFILES_MAX && (own.profiles || !own.profiles_count);
  for (size_t i = 0; is_profiled && i < own.profiles_count; i++)
    is_profiled = !vsi_profile_resolve(&own.profiles[i], &profiles[i]);
  if (!is_profiled)
    return vsi_reply_refuse(
        reply, VESTRY_INVALID,
        "vestry_reply_stream: options.profiles are missing, too many, invalid or not of this build");
  if (own.connection) reply->stream = connection;
  if (own.hooks) reply->hooks = hooks;
  reply->auto_close |= own.auto_close;
  reply->fail_fast |= own.fail_fast;
  if (!own.profiles) return VESTRY_OK;
  for (size_t i = 0; i < own.profiles_count; i++) reply->profiles[i] = profiles[i];
  reply->profiles_count = own.profiles_count;
  reply->has_profiles = true;
  return VESTRY_OK;
}

/* ----------------------------------------------------------------------------------------------------- effects ---- */

/* Add an effect. Takes its event and its list in any case. */
static vestry_err add_effect(vestry_reply *reply, const vsi_effect_item *effect) {
  if (!VSI_ARRAY_RESERVE_FROM(reply->host, reply->few_effects, reply->effects, reply->effects_count,
                              reply->effects_room, 1)) {
    reply->effects[reply->effects_count++] = *effect;
    return VESTRY_OK;
  }
  vestry_event_unref(effect->event);
  json_decref(effect->list);
  return vsi_reply_remember(reply, VESTRY_NO_MEMORY);
}

static vestry_err refuse_value(vestry_reply *reply, vestry_err error) {
  if (error == VESTRY_NO_MEMORY) return vsi_reply_remember(reply, error);
  return vsi_reply_refuse(reply, error,
                          "a value cannot be written as JSON (a string that is NULL or not UTF-8, HTML that failed, an "
                          "infinite number), or signals are not an object");
}

static vestry_err add_patch(vestry_reply *reply, bool is_elements, const vestry_value *argument) {
  vsi_effect_item item;
  vestry_err error =
      vsi_effect_item_make(reply->v ? reply->v->registry : NULL, reply->host, is_elements, argument, &item);
  return error ? refuse_value(reply, error) : add_effect(reply, &item);
}

vestry_err vestry_reply_effect(vestry_reply *reply, const vestry_value *effect) {
  json_t *list;
  vestry_err error = vestry_value_to_json(effect, &list);
  if (error) return refuse_value(reply, error);
  if (json_is_string(json_array_get(list, 0))) return add_effect(reply, &(vsi_effect_item){.list = list});
  json_decref(list);
  return vsi_reply_refuse(reply, VESTRY_INVALID, "an effect must be a list that begins with its name");
}

vestry_err vestry_reply_patch_signals(vestry_reply *reply, const vestry_value *signals) {
  return add_patch(reply, false, signals);
}

vestry_err vestry_reply_patch_elements(vestry_reply *reply, const char *html) {
  if (!html) return vsi_reply_refuse(reply, VESTRY_INVALID, "vestry_reply_patch_elements: the HTML is NULL");
  return add_patch(reply, true, VESTRY_VALUES(html));
}

void *vestry_connection_data(const vestry_connection *connection) {
  const vsi_stream_context *stream = vsi_stream_context_of(connection);
  const vsi_data *data = stream ? vsi_stream_context_data(stream) : NULL;
  return data ? data->data : NULL;
}

/* -------------------------------------------------------------------------------------------- attachments --------- */

/* The stream of a reply joins channels, and the topics and histories of extensions, when it begins. A channel exists
 * from the handler's declaration on, so that the bound of channels is checked there. */

vestry_err vsi_reply_pack(vestry_reply *reply, vsi_scoped_key *name, vestry_scope scope, const vestry_key *key) {
  vestry_err error = vsi_reply_may_join(reply);
  if (error) return error;
  error = vsi_store_pack(reply->v->store, name, scope, key);
  if (error && error != VESTRY_NO_MEMORY)
    return vsi_reply_refuse(reply, error, "the key of a channel or topic is not well formed or too large");
  return vsi_reply_remember(reply, error);
}

vestry_err vsi_reply_attach(vestry_reply *reply, vestry_err error, vsi_attachment *attachment) {
  if (!error && !attachment) error = VESTRY_NO_MEMORY;
  if (!error) vsi_attachments_add_counted(&reply->attachments, attachment);
  return vsi_reply_remember(reply, error);
}

typedef struct joining {
  vsi_attachment attachment; /* first member */
  const vestry_host *host;
  vsi_channel *channel; /* a reference */
} joining;

static void drop_joining(vsi_attachment *attachment) {
  joining *one = (joining *)attachment;
  vsi_channel_unref(one->channel);
  vsi_free(one->host, one);
}

static vestry_err begin_joining(vsi_attachment *attachment, vestry_connection *connection) {
  vestry_err error = vsi_channel_join(((joining *)attachment)->channel, connection);
  if (error && error != VESTRY_EXISTS) return error;
  drop_joining(attachment);
  return VESTRY_OK;
}

vestry_err vestry_reply_join(vestry_reply *reply, vestry_scope scope, const vestry_key *key) {
  vsi_scoped_key name;
  vsi_channel *channel = NULL;
  vestry_err error = vsi_reply_pack(reply, &name, scope, key);
  if (error) return error;
  error = vsi_name_hold(reply->v, &name, &channel);
  joining *one = error ? NULL : vsi_alloc(reply->host, sizeof *one);
  if (one)
    *one = (joining){{.begin = begin_joining, .drop = drop_joining}, reply->host, channel};
  else if (channel)
    vsi_channel_unref(channel);
  return vsi_reply_attach(reply, error, one ? &one->attachment : NULL);
}
