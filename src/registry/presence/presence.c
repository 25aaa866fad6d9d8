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
#include "vestry/presence.h"

#include <pthread.h>
#include <string.h>

#include "base/buffer.h"
#include "base/memory.h"
#include "base/options.h"
#include "base/siphash.h"
#include "base/utf8.h"
#include "registry/instance/instance.h"
#include "registry/request/reply.h"
#include "stream/connection.h"

enum { GRACE_MS = 2000, GRACE_MAX_MS = 86400000, MAX_COUNT = 100000, WHO_MAX_BYTES = 255, BUCKETS = 256 };

typedef struct guest guest;

typedef struct place {
  struct place *next; /* in its bucket */
  uint64_t hash;
  guest *first, *last;      /* who is here, in the order of coming */
  size_t count, told_count; /* who is here; who is believed to be, by those who were told */
  size_t refs;              /* of guests */
  const vestry_key *key;
  size_t encoded_len;
  unsigned char *encoded; /* in one allocation with this and the key */
} place;

struct guest {
  uint64_t hash;
  place *at;
  guest *next_in_bucket, *next, *prev; /* next, prev: at the place */
  guest *next_news, *prev_news;
  size_t streams_count;
  uint64_t leaves_ns;           /* no streams: when he leaves */
  guest *next_gone, *prev_gone; /* those without streams, in the order of leaves_ns */
  bool is_here, is_gone;        /* is_gone: here, in the grace time */
  bool is_told, is_news;        /* believed to be here; is_news: in the list, since the two differ */
  bool is_being_told;
  char who[];
};

struct vestry_presence {
  const vestry_host *host;
  uint64_t grace_ns;
  size_t max_count;
  vestry_presence_fn on_change;
  void *ctx;
  vestry_actor *actor;
  vestry_timer *timer;
  vsi_siphash_key secret;
  pthread_mutex_t telling; /* held while on_change runs; outermost */
  bool is_deaf;            /* guarded by telling: destroyed */
  pthread_mutex_t lock;
  /* guarded by lock */
  size_t refs; /* the owner, the actor, attachments */
  bool is_closed;
  size_t count, reserved_count; /* guests; those that replies have made and not begun */
  place **places;
  guest **guests;
  size_t buckets_count; /* of both; a power of two */
  guest *first_gone, *last_gone;
  guest *first_news, *last_news;
};

/* What a reply has made ready, and then what its stream has of presence, from its beginning to its end. */
typedef struct arrival {
  vsi_attachment attachment; /* first */
  vestry_presence *presence; /* a reference */
  guest *spare;              /* NULL: used */
  place *spare_place;        /* likewise */
  guest *here;               /* while the stream is open */
} arrival;

/* --------------------------------------------------------------------------------------------------- places ------- */

static size_t parts_of(const vestry_key *key) {
  size_t count = 1;
  if (key->type == VESTRY_KEY_TUPLE)
    for (size_t i = 0; i < key->len; i++) count += parts_of(&key->parts[i]);
  return count;
}

static size_t bytes_of(const vestry_key *key) {
  size_t len = 0;
  if (key->type == VESTRY_KEY_TUPLE)
    for (size_t i = 0; i < key->len; i++) len += bytes_of(&key->parts[i]);
  else if (key->type != VESTRY_KEY_INTEGER)
    len = key->len + 1;
  return len;
}

/* Room at *parts and *bytes, which move on. Depth is bounded: it has been encoded. */
static void copy_key(const vestry_key *key, vestry_key *to, vestry_key **parts, char **bytes) {
  *to = *key;
  if (key->type == VESTRY_KEY_TUPLE) {
    vestry_key *own = *parts;
    *parts += key->len;
    to->parts = own;
    for (size_t i = 0; i < key->len; i++) copy_key(&key->parts[i], &own[i], parts, bytes);
  } else if (key->type != VESTRY_KEY_INTEGER) {
    to->data = memcpy(*bytes, key->data, key->len);
    (*bytes)[key->len] = '\0';
    *bytes += key->len + 1;
  }
}

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

static place *create_place(const vestry_host *host, const vestry_key *key, const encoding *encoded, uint64_t hash) {
  size_t parts_count = parts_of(key);
  place *made = vsi_calloc(host, 1, sizeof *made + parts_count * sizeof(vestry_key) + bytes_of(key) + encoded->len);
  if (!made) return NULL;
  vestry_key *first = (vestry_key *)(made + 1), *parts = first + 1;
  char *bytes = (char *)(first + parts_count);
  copy_key(key, first, &parts, &bytes);
  made->key = first;
  made->hash = hash;
  made->encoded = memcpy(bytes, encoded->bytes, encoded->len);
  made->encoded_len = encoded->len;
  return made;
}

static place *find_place_locked(const vestry_presence *presence, const encoding *key, uint64_t hash) {
  place *at = presence->places[hash & (presence->buckets_count - 1)];
  while (at && !(at->hash == hash && at->encoded_len == key->len && memcmp(at->encoded, key->bytes, key->len) == 0))
    at = at->next;
  return at;
}

static place *find_same_locked(const vestry_presence *presence, const place *as) {
  const encoding key = {.bytes = as->encoded, .len = as->encoded_len};
  return find_place_locked(presence, &key, as->hash);
}

static void unref_place_locked(vestry_presence *presence, place *at) {
  if (--at->refs) return;
  place **link = &presence->places[at->hash & (presence->buckets_count - 1)];
  while (*link != at) link = &(*link)->next;
  *link = at->next;
  vsi_free(presence->host, at);
}

/* --------------------------------------------------------------------------------------------------- guests ------- */

static uint64_t hash_guest(const vestry_presence *presence, uint64_t place_hash, const char *who) {
  return place_hash ^ vsi_siphash_1_3(presence->secret, who, strlen(who)) * UINT64_C(0x9e3779b97f4a7c15);
}

static guest *find_guest_locked(const vestry_presence *presence, const place *at, uint64_t hash, const char *who) {
  guest *found = presence->guests[hash & (presence->buckets_count - 1)];
  while (found && !(found->hash == hash && found->at == at && strcmp(found->who, who) == 0))
    found = found->next_in_bucket;
  return found;
}

static void take_out_news_locked(vestry_presence *presence, guest *one) {
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
static void tell_locked(vestry_presence *presence, guest *one) {
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
static void let_go_locked(vestry_presence *presence, guest *one) {
  if (one->is_here || one->is_news || one->is_being_told) return;
  guest **link = &presence->guests[one->hash & (presence->buckets_count - 1)];
  while (*link != one) link = &(*link)->next_in_bucket;
  *link = one->next_in_bucket;
  presence->count--;
  unref_place_locked(presence, one->at);
  vsi_free(presence->host, one);
}

static void enter_locked(vestry_presence *presence, place *at, guest *one) {
  guest **bucket = &presence->guests[one->hash & (presence->buckets_count - 1)];
  one->at = at;
  at->refs++;
  one->next_in_bucket = *bucket;
  *bucket = one;
  presence->count++;
}

static void come_locked(vestry_presence *presence, guest *one) {
  place *at = one->at;
  one->is_here = true;
  one->prev = at->last;
  if (at->last)
    at->last->next = one;
  else
    at->first = one;
  at->last = one;
  at->count++;
  tell_locked(presence, one);
}

static void leave_locked(vestry_presence *presence, guest *one) {
  place *at = one->at;
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
  tell_locked(presence, one);
  let_go_locked(presence, one);
}

/* ------------------------------------------------------------------------------------------- the grace time ------- */

/* He is not gone any more: he leaves the list of those who have gone. Either he is back, or the time is over. */
static void take_back_locked(vestry_presence *presence, guest *one) {
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
static void go_locked(vestry_presence *presence, guest *one) {
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
    guest *one = presence->first_gone;
    take_back_locked(presence, one);
    leave_locked(presence, one);
  }
  arm_locked(presence);
  pthread_mutex_unlock(&presence->lock);
}

/* ------------------------------------------------------------------------------------------------- its life ------- */

static void free_presence(vestry_presence *presence) {
  for (size_t i = 0; i < presence->buckets_count; i++) {
    for (guest *next, *one = presence->guests[i]; one; one = next) {
      next = one->next_in_bucket;
      vsi_free(presence->host, one);
    }
    for (place *next, *at = presence->places[i]; at; at = next) {
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
static guest *next_news(vestry_presence *presence, vestry_presence_change *ret_change) {
  pthread_mutex_lock(&presence->lock);
  guest *one = presence->is_closed ? NULL : presence->first_news;
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
  for (guest *one; (one = next_news(presence, &change)) != NULL;) {
    pthread_mutex_lock(&presence->telling);
    if (!presence->is_deaf) presence->on_change(&change, presence->ctx);
    pthread_mutex_unlock(&presence->telling);
    pthread_mutex_lock(&presence->lock);
    one->is_being_told = false;
    let_go_locked(presence, one);
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
  if (!v || !ret_presence || VSI_OPTIONS_TAKE(options, given) || options.grace_ms > GRACE_MAX_MS) return VESTRY_INVALID;
  vestry_presence *presence = vsi_calloc(v->host, 1, sizeof *presence);
  if (!presence) return VESTRY_NO_MEMORY;
  presence->host = v->host;
  presence->refs = 1;
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
  *ret_presence = presence;
  return VESTRY_OK;
}

void vestry_presence_destroy(vestry_presence *presence) {
  if (!presence) return;
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
  place *at = find_same_locked(presence, one->spare_place);
  if (!at) {
    at = one->spare_place;
    one->spare_place = NULL;
    place **bucket = &presence->places[at->hash & (presence->buckets_count - 1)];
    at->next = *bucket;
    *bucket = at;
  }
  guest *here = find_guest_locked(presence, at, one->spare->hash, one->spare->who);
  if (!here) {
    here = one->spare;
    one->spare = NULL;
    enter_locked(presence, at, here);
  }
  if (here->is_gone) take_back_locked(presence, here);
  if (!here->is_here) come_locked(presence, here);
  here->streams_count++;
  one->here = here;
  pthread_mutex_unlock(&presence->lock);
  free_spares(presence->host, one);
  vsi_close_node_init(&one->attachment.node, stream_ended);
  if (vsi_connection_at_close(connection, &one->attachment.node)) /* it has ended already, and tells nobody any more */
    stream_ended(&one->attachment.node, connection, VESTRY_CAUSE_NONE);
}

/* More buckets, if there is memory for them: without, it is slower, but works. */
static void grow_locked(vestry_presence *presence) {
  size_t count = presence->buckets_count * 2;
  if (presence->count + presence->reserved_count < presence->buckets_count) return;
  place **places = vsi_calloc(presence->host, count, sizeof *places);
  guest **guests = vsi_calloc(presence->host, count, sizeof *guests);
  if (!places || !guests) {
    vsi_free(presence->host, places);
    vsi_free(presence->host, guests);
    return;
  }
  for (size_t i = 0; i < presence->buckets_count; i++) {
    for (place *next, *at = presence->places[i]; at; at = next) {
      next = at->next;
      at->next = places[at->hash & (count - 1)];
      places[at->hash & (count - 1)] = at;
    }
    for (guest *next, *one = presence->guests[i]; one; one = next) {
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
    const place *at = find_same_locked(presence, one->spare_place);
    if (!at || !find_guest_locked(presence, at, one->spare->hash, one->spare->who)) error = VESTRY_LIMIT;
  }
  if (!error) {
    grow_locked(presence);
    presence->reserved_count++;
    presence->refs++;
    one->presence = presence;
  }
  pthread_mutex_unlock(&presence->lock);
  return error;
}

static const vestry_key nowhere = {VESTRY_KEY_TUPLE, 0, NULL, 0, NULL};

static uint64_t hash_place(const vestry_presence *presence, const encoding *key) {
  return vsi_siphash_1_3(presence->secret, key->bytes, key->len);
}

static vestry_err prepare(vestry_presence *presence, const vestry_key *key, const char *who, arrival *one) {
  encoding encoded;
  vestry_err error = encode(presence->host, key, &encoded);
  if (!error) {
    uint64_t hash = hash_place(presence, &encoded);
    size_t len = strlen(who) + 1;
    one->spare_place = create_place(presence->host, key, &encoded, hash);
    one->spare = vsi_calloc(presence->host, 1, sizeof *one->spare + len);
    error = one->spare_place && one->spare ? VESTRY_OK : VESTRY_NO_MEMORY;
    if (!error) {
      one->spare->hash = hash_guest(presence, hash, who);
      memcpy(one->spare->who, who, len);
    }
  }
  finish_encoding(presence->host, &encoded);
  return error;
}

vestry_err vestry_reply_present(vestry_reply *reply, vestry_presence *presence, const vestry_key *key,
                                const char *who) {
  size_t len = who ? strlen(who) : 0;
  if (!presence || !len || len > WHO_MAX_BYTES || !vsi_is_utf8(who, len))
    return vsi_reply_refuse(reply, VESTRY_INVALID,
                            "presence: who is NULL (nobody has logged in?), empty, longer than 255 bytes, or no UTF-8");
  if (reply->attachments.count >= VSI_ATTACHMENTS_MAX) return VESTRY_LIMIT;
  arrival *one = vsi_calloc(presence->host, 1, sizeof *one);
  vestry_err error = one ? prepare(presence, key ? key : &nowhere, who, one) : VESTRY_NO_MEMORY;
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
static place *find_and_lock(vestry_presence *presence, const vestry_key *key, vestry_err *ret_error) {
  encoding encoded;
  place *found = NULL;
  vestry_err error = encode(presence->host, key ? key : &nowhere, &encoded);
  if (!error) {
    pthread_mutex_lock(&presence->lock);
    found = find_place_locked(presence, &encoded, hash_place(presence, &encoded));
    if (!found) pthread_mutex_unlock(&presence->lock);
  }
  finish_encoding(presence->host, &encoded);
  *ret_error = error;
  return found;
}

size_t vestry_presence_count(vestry_presence *presence, const vestry_key *key) {
  vestry_err error;
  if (!presence) return 0;
  place *at = find_and_lock(presence, key, &error);
  size_t count = at ? at->count : 0;
  if (at) pthread_mutex_unlock(&presence->lock);
  return count;
}

bool vestry_presence_is(vestry_presence *presence, const vestry_key *key, const char *who) {
  vestry_err error;
  if (!presence || !who) return false;
  place *at = find_and_lock(presence, key, &error);
  const guest *one = at ? find_guest_locked(presence, at, hash_guest(presence, at->hash, who), who) : NULL;
  bool is = one && one->is_here;
  if (at) pthread_mutex_unlock(&presence->lock);
  return is;
}

vestry_err vestry_presence_each(vestry_presence *presence, const vestry_key *key, vestry_presence_each_fn fn,
                                void *ctx) {
  vestry_err error;
  if (!presence || !fn) return VESTRY_INVALID;
  place *at = find_and_lock(presence, key, &error);
  if (!at) return error;
  vsi_buffer all; /* a count and a name, and so on */
  vsi_buffer_init(&all, presence->host);
  for (const guest *one = at->first; one; one = one->next) {
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
