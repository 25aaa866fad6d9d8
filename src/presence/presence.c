/* Who is at which place, and an actor that tells of each change (on_change). A reply says who will be there, its stream
 * makes it so, and the stream's end, and a grace time after it, undo it.
 *
 * A guest is one person at one place. Two things are known of each: whether he is here, and what on_change was told
 * last. Where the two differ there is news, and the guest stands in a list of news, once, by a link of his own: so
 * telling needs no memory, and what waits for a slow on_change is bounded by the number of guests. A change that makes
 * the two equal again takes him out; one that makes them differ puts him at the end. So each who is told of is told of
 * what happened last, in the order in which it happened, and what is told of one person alternates.
 *
 * A guest is in the tables while he is here, is believed to be, or is being told of; and all who are there count among
 * max_count.
 *
 * What a reply may need is made when it says so, before there is a stream: a guest, a place, and room among max_count.
 * So when the stream begins nothing can fail; what is not needed is freed then.
 *
 * All grace times are equal, so those who have gone leave in the order in which they went: a list and one timer. */
#include "presence/presence.h"

#include "base/buffer.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/options.h"
#include "base/utf8.h"
#include "connection/connection.h"
#include "http/reply.h"
#include "store/key.h"

enum { GRACE_MS = 2000, GRACE_MAX_MS = 86400000, MAX_COUNT = 100000, BUCKETS = 256 };

/* What a reply has made ready, and then what its stream has of presence, from its beginning to its end. */
typedef struct arrival {
  vsi_attachment attachment; /* first */
  vestry_presence *presence; /* a reference */
  vsi_guest *spare;          /* NULL: used */
  vsi_place *spare_place;    /* likewise */
  vsi_guest *here;           /* while the stream is open */
} arrival;

/* --------------------------------------------------------------------------------------------------- places ------- */

typedef struct encoding {
  unsigned char small[256], *bytes;
  size_t len;
} encoding;

static vestry_err encode(const vestry_host *host, const vestry_key *key, encoding *ret) {
  ret->bytes = ret->small;
  vestry_err error = vestry_key_encode(key, ret->small, sizeof ret->small, &ret->len);
  if (error != VESTRY_TOO_LARGE) return error;
  ret->bytes = vsi_alloc(host, VESTRY_KEY_MAX_BYTES);
  if (!ret->bytes) {
    ret->bytes = ret->small;
    return VESTRY_NO_MEMORY;
  }
  return vestry_key_encode(key, ret->bytes, VESTRY_KEY_MAX_BYTES, &ret->len);
}

static void finish_encoding(const vestry_host *host, encoding *made) {
  if (made->bytes != made->small) vsi_free(host, made->bytes);
}

static vestry_slice slice_of(const encoding *made) {
  return (vestry_slice){made->bytes, made->len};
}

/* How many keys it is made of, and how many bytes they have, each behind a NUL. */
static vestry_err measure(vestry_slice encoded, size_t *ret_parts, size_t *ret_bytes) {
  vsi_key_reader reader;
  vestry_key part;
  size_t closed;
  vestry_err error;
  vsi_key_reader_init(&reader, encoded.data, encoded.len);
  for (*ret_parts = *ret_bytes = 0; !(error = vsi_key_reader_next(&reader, &part, &closed)); ++*ret_parts)
    if (part.type == VESTRY_KEY_STRING || part.type == VESTRY_KEY_BYTES) *ret_bytes += part.len + 1;
  return error == VESTRY_NOT_FOUND ? VESTRY_OK : error;
}

/* Room at *parts and *bytes, which move on. It has been measured: nothing fails, and depth is bounded. */
static void decode(vsi_key_reader *reader, vestry_key *to, vestry_key **parts, char **bytes) {
  size_t closed;
  (void)vsi_key_reader_next(reader, to, &closed);
  if (to->type == VESTRY_KEY_TUPLE) {
    vestry_key *own = *parts;
    *parts += to->len;
    to->parts = own;
    for (size_t i = 0; i < to->len; i++) decode(reader, &own[i], parts, bytes);
  } else if (to->type != VESTRY_KEY_INTEGER) {
    to->data = memcpy(*bytes, to->data, to->len);
    (*bytes)[to->len] = '\0';
    *bytes += to->len + 1;
  }
}

vestry_err vsi_place_create(const vestry_host *host, vestry_slice encoded, uint64_t hash, vsi_place **ret_place) {
  size_t parts_count, bytes_count;
  vestry_err error = measure(encoded, &parts_count, &bytes_count);
  if (error) return error;
  vsi_place *made = vsi_calloc(host, 1, sizeof *made + parts_count * sizeof(vestry_key) + bytes_count + encoded.len);
  if (!made) return VESTRY_NO_MEMORY;
  vestry_key *first = (vestry_key *)(made + 1), *parts = first + 1;
  char *bytes = (char *)(first + parts_count);
  vsi_key_reader reader;
  vsi_key_reader_init(&reader, encoded.data, encoded.len);
  decode(&reader, first, &parts, &bytes);
  made->key = first;
  made->hash = hash;
  made->encoded = memcpy(bytes, encoded.data, encoded.len);
  made->encoded_len = encoded.len;
  *ret_place = made;
  return VESTRY_OK;
}

uint64_t vsi_place_hash(const vestry_presence *presence, vestry_slice encoded) {
  return vsi_siphash_1_3(presence->secret, encoded.data, encoded.len);
}

vsi_place *vsi_place_find_locked(const vestry_presence *presence, vestry_slice encoded, uint64_t hash) {
  vsi_place *at = presence->places[hash & (presence->buckets_count - 1)];
  while (at &&
         !(at->hash == hash && at->encoded_len == encoded.len && memcmp(at->encoded, encoded.data, encoded.len) == 0))
    at = at->next;
  return at;
}

static vsi_place *find_same_locked(const vestry_presence *presence, const vsi_place *as) {
  return vsi_place_find_locked(presence, (vestry_slice){as->encoded, as->encoded_len}, as->hash);
}

void vsi_place_enter_locked(vestry_presence *presence, vsi_place *at) {
  vsi_place **bucket = &presence->places[at->hash & (presence->buckets_count - 1)];
  at->next = *bucket;
  *bucket = at;
}

static void unref_place_locked(vestry_presence *presence, vsi_place *at) {
  if (--at->refs) return;
  vsi_place **link = &presence->places[at->hash & (presence->buckets_count - 1)];
  while (*link != at) link = &(*link)->next;
  *link = at->next;
  vsi_free(presence->host, at);
}

/* --------------------------------------------------------------------------------------------------- guests ------- */

static uint64_t hash_guest(const vestry_presence *presence, uint64_t place_hash, const char *who) {
  return place_hash ^ vsi_siphash_1_3(presence->secret, who, strlen(who)) * UINT64_C(0x9e3779b97f4a7c15);
}

vsi_guest *vsi_guest_create(const vestry_presence *presence, uint64_t place_hash, const char *who) {
  size_t len = strlen(who) + 1;
  vsi_guest *made = vsi_calloc(presence->host, 1, sizeof *made + len);
  if (!made) return NULL;
  made->hash = hash_guest(presence, place_hash, who);
  memcpy(made->who, who, len);
  return made;
}

vsi_guest *vsi_guest_find_locked(const vestry_presence *presence, const vsi_place *at, const char *who) {
  if (!at) return NULL;
  uint64_t hash = hash_guest(presence, at->hash, who);
  vsi_guest *found = presence->guests[hash & (presence->buckets_count - 1)];
  while (found && !(found->hash == hash && found->at == at && strcmp(found->who, who) == 0))
    found = found->next_in_bucket;
  return found;
}

static void take_out_news_locked(vestry_presence *presence, vsi_guest *one) {
  if (one->prev_news)
    one->prev_news->next_news = one->next_news;
  else
    presence->first_news = one->next_news;
  if (one->next_news)
    one->next_news->prev_news = one->prev_news;
  else
    presence->last_news = one->prev_news;
  one->next_news = one->prev_news = NULL;
  one->is_news = false;
}

/* He has come or left, which makes news, or makes news that nobody has heard untrue. */
static void tell_locked(vestry_presence *presence, vsi_guest *one) {
  if (one->is_news) {
    take_out_news_locked(presence, one);
    return;
  }
  if (!presence->on_change || presence->is_closed) return;
  bool is_first = !presence->first_news;
  one->is_news = true;
  one->prev_news = presence->last_news;
  if (presence->last_news)
    presence->last_news->next_news = one;
  else
    presence->first_news = one;
  presence->last_news = one;
  if (is_first) vestry_actor_notify(presence->actor); /* who tells, tells all that there is */
}

/* Free who is not needed any more. */
void vsi_guest_let_go_locked(vestry_presence *presence, vsi_guest *one) {
  if (one->is_here || one->is_news || one->is_being_told || one->is_waiting) return;
  vsi_guest **link = &presence->guests[one->hash & (presence->buckets_count - 1)];
  while (*link != one) link = &(*link)->next_in_bucket;
  *link = one->next_in_bucket;
  presence->count--;
  unref_place_locked(presence, one->at);
  vsi_free(presence->host, one);
}

void vsi_guest_enter_locked(vestry_presence *presence, vsi_place *at, vsi_guest *one) {
  vsi_guest **bucket = &presence->guests[one->hash & (presence->buckets_count - 1)];
  one->at = at;
  at->refs++;
  one->next_in_bucket = *bucket;
  *bucket = one;
  presence->count++;
}

void vsi_guest_come_locked(vestry_presence *presence, vsi_guest *one) {
  vsi_place *at = one->at;
  one->is_here = true;
  one->prev = at->last;
  if (at->last)
    at->last->next = one;
  else
    at->first = one;
  at->last = one;
  at->count++;
  presence->here_count++;
  tell_locked(presence, one);
}

void vsi_guest_leave_locked(vestry_presence *presence, vsi_guest *one) {
  vsi_place *at = one->at;
  one->is_here = false;
  if (one->prev)
    one->prev->next = one->next;
  else
    at->first = one->next;
  if (one->next)
    one->next->prev = one->prev;
  else
    at->last = one->prev;
  one->next = one->prev = NULL;
  at->count--;
  presence->here_count--;
  tell_locked(presence, one);
  vsi_guest_let_go_locked(presence, one);
}

/* ------------------------------------------------------------------------------------------- the grace time ------- */

/* He is not gone any more: he leaves the list of those who have gone. Either he is back, or the time is over. */
static void take_back_locked(vestry_presence *presence, vsi_guest *one) {
  if (one->prev_gone)
    one->prev_gone->next_gone = one->next_gone;
  else
    presence->first_gone = one->next_gone;
  if (one->next_gone)
    one->next_gone->prev_gone = one->prev_gone;
  else
    presence->last_gone = one->prev_gone;
  one->next_gone = one->prev_gone = NULL;
  one->is_gone = false;
}

/* Have the timer fire when the first who has gone is to leave. */
static void arm_locked(vestry_presence *presence) {
  if (!presence->first_gone || presence->is_closed) return;
  uint64_t now = vsi_now_ns(presence->host), due = presence->first_gone->leaves_ns;
  uint64_t ms = due > now ? (due - now + VSI_NS_PER_MS - 1) / VSI_NS_PER_MS : 0;
  (void)vestry_timer_set(presence->timer, ms, 0); /* CLOSED: the runtime ends, and nobody is told any more */
}

/* His last stream has ended: from now on his grace time runs. */
static void go_locked(vestry_presence *presence, vsi_guest *one) {
  one->is_gone = true;
  one->leaves_ns = vsi_now_ns(presence->host) + presence->grace_ns;
  one->prev_gone = presence->last_gone;
  if (presence->last_gone)
    presence->last_gone->next_gone = one;
  else
    presence->first_gone = one;
  presence->last_gone = one;
  if (presence->first_gone == one) arm_locked(presence);
}

static void fire(vestry_timer *timer, void *ctx) {
  vestry_presence *presence = ctx;
  (void)timer;
  pthread_mutex_lock(&presence->lock);
  uint64_t now = vsi_now_ns(presence->host);
  while (presence->first_gone && presence->first_gone->leaves_ns <= now) {
    vsi_guest *one = presence->first_gone;
    take_back_locked(presence, one);
    one->is_own = false;
    presence->own_count--;
    vsi_guest_spread_locked(presence, one);
    if (!one->others) vsi_guest_leave_locked(presence, one);
  }
  arm_locked(presence);
  pthread_mutex_unlock(&presence->lock);
}

/* ------------------------------------------------------------------------------------------------- its life ------- */

static void free_presence(vestry_presence *presence) {
  for (size_t i = 0; i < presence->buckets_count; i++) {
    for (vsi_guest *next, *one = presence->guests[i]; one; one = next) {
      next = one->next_in_bucket;
      vsi_free(presence->host, one);
    }
    for (vsi_place *next, *at = presence->places[i]; at; at = next) {
      next = at->next;
      vsi_free(presence->host, at);
    }
  }
  vsi_free(presence->host, presence->places);
  vsi_free(presence->host, presence->guests);
  pthread_mutex_destroy(&presence->lock);
  pthread_mutex_destroy(&presence->telling);
  vsi_free(presence->host, presence);
}

static void unref(vestry_presence *presence) {
  pthread_mutex_lock(&presence->lock);
  bool is_last = --presence->refs == 0;
  pthread_mutex_unlock(&presence->lock);
  if (is_last) free_presence(presence);
}

/* The first news, as it is now; NULL: there is none. The guest stays until it has been told. */
static vsi_guest *next_news(vestry_presence *presence, vestry_presence_change *ret_change) {
  pthread_mutex_lock(&presence->lock);
  vsi_guest *one = presence->is_closed ? NULL : presence->first_news;
  if (one) {
    take_out_news_locked(presence, one);
    one->is_told = one->is_here;
    one->is_being_told = true;
    if (one->is_told)
      one->at->told_count++;
    else
      one->at->told_count--;
    *ret_change = (vestry_presence_change){one->at->key, one->who, one->is_told, one->at->told_count};
  }
  pthread_mutex_unlock(&presence->lock);
  return one;
}

static void run(vestry_actor *self, void *ctx) {
  vestry_presence *presence = ctx;
  vestry_presence_change change;
  (void)self;
  for (vsi_guest *one; (one = next_news(presence, &change)) != NULL;) {
    pthread_mutex_lock(&presence->telling);
    if (!presence->is_deaf) presence->on_change(&change, presence->ctx);
    pthread_mutex_unlock(&presence->telling);
    pthread_mutex_lock(&presence->lock);
    one->is_being_told = false;
    vsi_guest_let_go_locked(presence, one);
    pthread_mutex_unlock(&presence->lock);
  }
}

static void done(void *ctx) {
  unref(ctx);
}

static vestry_err fill(vestry_presence *presence, vestry_runtime *runtime) {
  presence->buckets_count = BUCKETS;
  presence->places = vsi_calloc(presence->host, BUCKETS, sizeof *presence->places);
  presence->guests = vsi_calloc(presence->host, BUCKETS, sizeof *presence->guests);
  if (!presence->places || !presence->guests) return VESTRY_NO_MEMORY;
  vestry_err error = vsi_siphash_key_random(presence->host, &presence->secret);
  if (error) return error;
  error = vestry_timer_create(runtime, fire, presence, &presence->timer);
  if (error) return error;
  presence->refs++;
  error = vestry_actor_create(runtime, &(vestry_actor_options){.run = run, .done = done, .ctx = presence},
                              &presence->actor);
  if (error) presence->refs--;
  return error;
}

vestry_err vestry_presence_create(struct vestry *v, const vestry_presence_options *given,
                                  vestry_presence **ret_presence) {
  vestry_presence_options options;
  if (!v || !ret_presence) return VESTRY_INVALID;
  if (VSI_OPTIONS_TAKE(options, given) || options.grace_ms > GRACE_MAX_MS)
    return vsi_mistake(v->host, "vestry_presence_create",
                       "grace_ms is out of its bounds, or the options are of a later vestry");
  size_t name_len = options.name ? strnlen(options.name, VSI_PRESENCE_NAME_MAX + 1) : 0;
  if ((options.name && !name_len) || name_len > VSI_PRESENCE_NAME_MAX)
    return vsi_mistake(v->host, "vestry_presence_create", "the name is empty, or too long");
  vestry_presence *presence = vsi_calloc(v->host, 1, sizeof *presence);
  if (!presence) return VESTRY_NO_MEMORY;
  presence->v = v;
  presence->host = v->host;
  presence->refs = 1;
  if (name_len) memcpy(presence->name, options.name, name_len);
  presence->grace_ns = vsi_ms_to_ns(options.grace_ms ? options.grace_ms : GRACE_MS);
  presence->max_count = options.max_count ? options.max_count : MAX_COUNT;
  presence->on_change = options.on_change;
  presence->ctx = options.ctx;
  pthread_mutex_init(&presence->lock, NULL);
  pthread_mutex_init(&presence->telling, NULL);
  vestry_err error = fill(presence, options.runtime ? options.runtime : v->runtime);
  if (error) {
    vestry_timer_destroy(presence->timer);
    if (!presence->places || !presence->guests) presence->buckets_count = 0;
    free_presence(presence);
    return error;
  }
  error = vsi_presence_begin(presence);
  if (error) {
    vestry_presence_destroy(presence);
    return error;
  }
  *ret_presence = presence;
  return VESTRY_OK;
}

void vestry_presence_destroy(vestry_presence *presence) {
  if (!presence || vestry_is_forked(presence->v)) return;
  vsi_presence_end(presence);
  pthread_mutex_lock(&presence->telling); /* one that runs is over then */
  presence->is_deaf = true;
  pthread_mutex_unlock(&presence->telling);
  pthread_mutex_lock(&presence->lock);
  presence->is_closed = true;
  pthread_mutex_unlock(&presence->lock);
  vestry_timer_destroy(presence->timer);
  vestry_actor_unref(presence->actor);
  unref(presence);
}

/* ------------------------------------------------------------------------------------------------ arrivals -------- */

static void free_spares(const vestry_host *host, arrival *one) {
  vsi_free(host, one->spare);
  vsi_free(host, one->spare_place);
  one->spare = NULL;
  one->spare_place = NULL;
}

static void free_arrival(arrival *one) {
  vestry_presence *presence = one->presence;
  free_spares(presence->host, one);
  vsi_free(presence->host, one);
  unref(presence);
}

static void drop_arrival(vsi_attachment *attachment) {
  arrival *one = (arrival *)attachment;
  pthread_mutex_lock(&one->presence->lock);
  one->presence->reserved_count--;
  pthread_mutex_unlock(&one->presence->lock);
  free_arrival(one);
}

static void stream_ended(vsi_close_node *node, vestry_connection *connection, vestry_cause cause) {
  arrival *one = (arrival *)(void *)node;
  vestry_presence *presence = one->presence;
  (void)connection, (void)cause;
  pthread_mutex_lock(&presence->lock);
  if (!--one->here->streams_count) go_locked(presence, one->here);
  pthread_mutex_unlock(&presence->lock);
  free_arrival(one);
}

static void arrive(vsi_attachment *attachment, vestry_connection *connection) {
  arrival *one = (arrival *)attachment;
  vestry_presence *presence = one->presence;
  pthread_mutex_lock(&presence->lock);
  presence->reserved_count--;
  vsi_place *at = find_same_locked(presence, one->spare_place);
  if (!at) {
    at = one->spare_place;
    one->spare_place = NULL;
    vsi_place_enter_locked(presence, at);
  }
  vsi_guest *here = vsi_guest_find_locked(presence, at, one->spare->who);
  if (!here) {
    here = one->spare;
    one->spare = NULL;
    vsi_guest_enter_locked(presence, at, here);
  }
  if (here->is_gone) take_back_locked(presence, here);
  if (!here->is_own) {
    here->is_own = true;
    presence->own_count++;
    vsi_guest_spread_locked(presence, here);
  }
  if (!here->is_here) vsi_guest_come_locked(presence, here);
  here->streams_count++;
  one->here = here;
  pthread_mutex_unlock(&presence->lock);
  free_spares(presence->host, one);
  vsi_close_node_init(&one->attachment.node, stream_ended);
  if (vsi_connection_at_close(connection, &one->attachment.node)) /* it has ended already, and tells nobody any more */
    stream_ended(&one->attachment.node, connection, VESTRY_CAUSE_NONE);
}

/* More buckets, if there is memory for them: without, it is slower, but works. */
void vsi_presence_grow_locked(vestry_presence *presence) {
  size_t count = presence->buckets_count * 2;
  if (presence->count + presence->reserved_count < presence->buckets_count) return;
  vsi_place **places = vsi_calloc(presence->host, count, sizeof *places);
  vsi_guest **guests = vsi_calloc(presence->host, count, sizeof *guests);
  if (!places || !guests) {
    vsi_free(presence->host, places);
    vsi_free(presence->host, guests);
    return;
  }
  for (size_t i = 0; i < presence->buckets_count; i++) {
    for (vsi_place *next, *at = presence->places[i]; at; at = next) {
      next = at->next;
      at->next = places[at->hash & (count - 1)];
      places[at->hash & (count - 1)] = at;
    }
    for (vsi_guest *next, *one = presence->guests[i]; one; one = next) {
      next = one->next_in_bucket;
      one->next_in_bucket = guests[one->hash & (count - 1)];
      guests[one->hash & (count - 1)] = one;
    }
  }
  vsi_free(presence->host, presence->places);
  vsi_free(presence->host, presence->guests);
  presence->places = places;
  presence->guests = guests;
  presence->buckets_count = count;
}

/* Count a coming that is to be. A newcomer is refused when max_count are guests or reserved. Who is there already, or
 * has left and that is not told yet, is let in even then. That passes no bound: when his stream begins he is found in
 * the tables, and no guest is added. If he has left by then, his place has become free, and what is reserved for him
 * takes it. */
static vestry_err reserve(vestry_presence *presence, arrival *one) {
  pthread_mutex_lock(&presence->lock);
  vestry_err error = presence->is_closed ? VESTRY_CLOSED : VESTRY_OK;
  if (!error && presence->count + presence->reserved_count >= presence->max_count) {
    const vsi_place *at = find_same_locked(presence, one->spare_place);
    if (!vsi_guest_find_locked(presence, at, one->spare->who)) error = VESTRY_LIMIT;
  }
  if (!error) {
    vsi_presence_grow_locked(presence);
    presence->reserved_count++;
    presence->refs++;
    one->presence = presence;
  }
  pthread_mutex_unlock(&presence->lock);
  return error;
}

static const vestry_key nowhere = {VESTRY_KEY_TUPLE, 0, NULL, 0, NULL};

static vestry_err prepare(vestry_presence *presence, const vestry_key *key, const char *who, arrival *one) {
  encoding encoded;
  vestry_err error = encode(presence->host, key, &encoded);
  if (!error) {
    vestry_slice bytes = slice_of(&encoded);
    uint64_t hash = vsi_place_hash(presence, bytes);
    error = vsi_place_create(presence->host, bytes, hash, &one->spare_place);
    if (!error) one->spare = vsi_guest_create(presence, hash, who);
    if (!error && !one->spare) error = VESTRY_NO_MEMORY;
  }
  finish_encoding(presence->host, &encoded);
  return error;
}

vestry_err vestry_reply_present(vestry_reply *reply, vestry_presence *presence, const vestry_key *key,
                                const char *who) {
  size_t len = who ? strlen(who) : 0;
  if (!presence || !len || len > VSI_PRESENCE_WHO_MAX || !vsi_is_utf8(who, len))
    return vsi_reply_refuse(reply, VESTRY_INVALID,
                            "presence: who is NULL (nobody has logged in?), empty, longer than 255 bytes, or no UTF-8");
  vestry_err error = vsi_reply_may_join(reply);
  if (error) return error;
  arrival *one = vsi_calloc(presence->host, 1, sizeof *one);
  error = one ? prepare(presence, key ? key : &nowhere, who, one) : VESTRY_NO_MEMORY;
  if (error && error != VESTRY_NO_MEMORY)
    (void)vsi_reply_refuse(reply, error, "the place is not well formed or too large");
  if (!error) error = reserve(presence, one);
  if (!error) {
    one->attachment.begin = arrive;
    one->attachment.drop = drop_arrival;
    vsi_attachments_add_counted(&reply->attachments, &one->attachment);
    return VESTRY_OK;
  }
  reply->no_memory |= error == VESTRY_NO_MEMORY;
  if (one) free_spares(presence->host, one);
  vsi_free(presence->host, one);
  return error;
}

/* ------------------------------------------------------------------------------------------------ asking ---------- */

/* Locked if it is there. */
static vsi_place *find_and_lock(vestry_presence *presence, const vestry_key *key, vestry_err *ret_error) {
  encoding encoded;
  vsi_place *found = NULL;
  vestry_err error = encode(presence->host, key ? key : &nowhere, &encoded);
  if (!error) {
    pthread_mutex_lock(&presence->lock);
    found = vsi_place_find_locked(presence, slice_of(&encoded), vsi_place_hash(presence, slice_of(&encoded)));
    if (!found) pthread_mutex_unlock(&presence->lock);
  }
  finish_encoding(presence->host, &encoded);
  *ret_error = error;
  return found;
}

void vestry_presence_stats_get(vestry_presence *presence, vestry_presence_stats *ret_stats) {
  vestry_presence_stats stats = {0};
  pthread_mutex_lock(&presence->lock);
  stats.here_count = presence->here_count;
  stats.own_count = presence->own_count;
  stats.refused_count = presence->refused_count;
  stats.is_partial = presence->crowded_out != 0;
  const vsi_presence_watch *watch = presence->watch;
  pthread_mutex_unlock(&presence->lock);
  if (watch && !watch->knows_all(watch->ctx)) stats.is_partial = true;
  VSI_RESULT_GIVE(ret_stats, stats);
}

size_t vestry_presence_count(vestry_presence *presence, const vestry_key *key) {
  vestry_err error;
  if (!presence) return 0;
  vsi_place *at = find_and_lock(presence, key, &error);
  size_t count = at ? at->count : 0;
  if (at) pthread_mutex_unlock(&presence->lock);
  return count;
}

bool vestry_presence_is(vestry_presence *presence, const vestry_key *key, const char *who) {
  vestry_err error;
  if (!presence || !who) return false;
  vsi_place *at = find_and_lock(presence, key, &error);
  const vsi_guest *one = at ? vsi_guest_find_locked(presence, at, who) : NULL;
  bool is = one && one->is_here;
  if (at) pthread_mutex_unlock(&presence->lock);
  return is;
}

vestry_err vestry_presence_each(vestry_presence *presence, const vestry_key *key, vestry_presence_each_fn fn,
                                void *ctx) {
  vestry_err error;
  if (!presence || !fn) return VESTRY_INVALID;
  vsi_place *at = find_and_lock(presence, key, &error);
  if (!at) return error;
  vsi_buffer all; /* a count and a name, and so on */
  vsi_buffer_init(&all, presence->host);
  for (const vsi_guest *one = at->first; one; one = one->next) {
    vsi_buffer_append(&all, &one->streams_count, sizeof one->streams_count);
    vsi_buffer_append(&all, one->who, strlen(one->who) + 1);
  }
  pthread_mutex_unlock(&presence->lock);
  error = all.error;
  for (const char *next = all.data, *end = next + all.len; !error && next < end;) {
    size_t streams_count;
    memcpy(&streams_count, next, sizeof streams_count);
    next += sizeof streams_count;
    fn(next, streams_count, ctx);
    next += strlen(next) + 1;
  }
  vsi_buffer_finish(&all);
  return error;
}
