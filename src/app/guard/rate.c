/* SPDX-License-Identifier: MIT */
/* essay: a token bucket, stored as the time when it is full again */
/* A token bucket needs a level and a time. The time when the bucket will be full again contains both. Taking a token
 * moves this time later by the time that one token needs to return. A bucket whose time has passed is full and can be
 * dropped. This is the Generic Cell Rate Algorithm (ITU-T I.371, "theoretical arrival time").
 *
 * Buckets are in sets of eight, which take two cache lines; the hash selects the set. A new bucket replaces the one
 * that will be full first, which usually is full already. Otherwise the bucket closest to full is dropped, so the
 * client that sends most is kept longest. A bucket is never outside of its set, so the table never grows and needs no
 * cleanup. A map with links (base/map.h) would allocate 40 bytes for each address that a client invents.
 *
 * The hash is 64 bits of a keyed function. Two names with the same hash share a bucket. */
#include "app/guard/rate.h"

#include <stdatomic.h>
#include <stdio.h>

#include "app/guard/person.h"
#include "app/guard/proof.h"
#include "app/session/session.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/mutex.h"
#include "base/siphash.h"
#include "instance/instance.h"
#include "vestry/app/rate.h"

enum { WAYS = 8, STRIPES = 32 };

typedef struct bucket {
  uint64_t hash;
  uint64_t full_ns; /* time when it is full again; 0: never used */
} bucket;

typedef struct set {
  bucket ways[WAYS];
} set;

typedef struct stripe {
  vsi_mutex lock; /* guards every STRIPES-th set */
} stripe;

struct vsi_buckets {
  stripe stripes[STRIPES];
  const vestry_host *host;
  uint64_t step_ns, room_ns; /* room: of a full bucket */
  size_t sets_count;         /* a power of two */
  set *sets;
};

vestry_err vsi_buckets_create(const vestry_host *host, uint64_t step_ns, uint64_t tokens, size_t max_count,
                              vsi_buckets **ret_buckets) {
  size_t sets_count = STRIPES;
  while (sets_count * WAYS < max_count) sets_count *= 2;
  vsi_buckets *buckets = vsi_calloc(host, 1, sizeof *buckets);
  set *sets = vsi_calloc(host, sets_count, sizeof *sets);
  if (!buckets || !sets) {
    vsi_free(host, buckets);
    vsi_free(host, sets);
    return VESTRY_NO_MEMORY;
  }
  *buckets = (vsi_buckets){
      .host = host, .step_ns = step_ns, .room_ns = step_ns * tokens, .sets_count = sets_count, .sets = sets};
  for (stripe *part = buckets->stripes; part < buckets->stripes + STRIPES; part++)
    vsi_mutex_init(&part->lock, VSI_LOCK_BUCKETS);
  *ret_buckets = buckets;
  return VESTRY_OK;
}

void vsi_buckets_destroy(vsi_buckets *buckets) {
  if (!buckets) return;
  const vestry_host *host = buckets->host;
  for (int i = 0; i < STRIPES; i++) vsi_mutex_finish(&buckets->stripes[i].lock);
  vsi_free(host, buckets->sets);
  vsi_free(host, buckets);
}

/* Return the bucket of this hash, or otherwise the one that is full first. */
static bucket *find(set *in, uint64_t hash) {
  bucket *first = in->ways;
  for (bucket *at = in->ways; at < in->ways + WAYS; at++) {
    if (at->hash == hash && at->full_ns) return at;
    if (at->full_ns < first->full_ns) first = at;
  }
  return first;
}

uint64_t vsi_buckets_take(vsi_buckets *buckets, uint64_t hash, uint64_t now_ns) {
  size_t index = (size_t)hash & (buckets->sets_count - 1);
  stripe *part = &buckets->stripes[index % STRIPES];
  vsi_mutex_lock(&part->lock);
  bucket *at = find(&buckets->sets[index], hash);
  bool is_known = at->hash == hash;
  uint64_t full_ns = is_known && at->full_ns > now_ns ? at->full_ns : now_ns;
  uint64_t owed_ns = full_ns - now_ns + buckets->step_ns; /* time until the bucket is full, after this token */
  uint64_t wait_ns = owed_ns > buckets->room_ns ? owed_ns - buckets->room_ns : 0;
  if (!wait_ns) *at = (bucket){hash, full_ns + buckets->step_ns};
  vsi_mutex_unlock(&part->lock);
  return wait_ns;
}

/* UNKNOWN_SHARE: all unknown clients together have the rate of this number of clients. */
enum { UNKNOWN_SHARE = 100 };
enum { MOST_TOKENS = 1000000, DEFAULT_COUNT = 65536, MOST_COUNT = 1 << 24, DEFAULT_MS = 1000, MOST_MS = 86400000 };
static const uint64_t MOST_FULL_NS = UINT64_C(400) * 86400 * 1000000000;

/* Kinds of names. Each kind has its own hash key, so that names of different kinds never share a bucket. */
typedef enum kind { OF_ADDRESS, OF_SCOPE, OF_HANDLER, KINDS } kind;

struct vestry_rate {
  vestry *v;
  vestry_rate_options options;
  vsi_siphash_key keys[KINDS];
  vsi_buckets *buckets;
  vsi_buckets *unknown;  /* one bucket, of all unknown clients */
  atomic_bool is_silent; /* the warning about unknown clients was logged */
};

/* ---- create and destroy ------------------------------------------------------------------------------------------ */

static const char *mistake_of(const vestry *v, const vestry_rate_options *o) {
  if (!o->count || o->count > MOST_TOKENS) return "count is not from 1 to 1,000,000";
  if (o->burst_count > MOST_TOKENS) return "burst_count is above 1,000,000";
  if (o->period_ms > MOST_MS) return "period_ms is more than a day";
  if (o->max_count > MOST_COUNT) return "max_count is above 16,777,216";
  if (o->by != VESTRY_RATE_ADDRESS && o->by != VESTRY_RATE_SCOPE)
    return "by is neither VESTRY_RATE_ADDRESS nor VESTRY_RATE_SCOPE";
  if (o->by == VESTRY_RATE_SCOPE && !vsi_sessions_of(v) && !v->scope)
    return "by is VESTRY_RATE_SCOPE, but the instance has neither sessions nor scopes; create them first, because "
           "otherwise all clients share one scope";
  if (o->period_ms * 1000000 / o->count > MOST_FULL_NS / o->burst_count)
    return "burst_count tokens need more than 400 days to refill";
  return NULL;
}

static vestry_err fill(vestry_rate *rate) {
  const vestry_rate_options *o = &rate->options;
  const vestry_host *host = rate->v->host;
  const uint64_t step_ns = o->period_ms * 1000000 / o->count;
  const uint64_t unknown_step_ns = step_ns < UNKNOWN_SHARE ? 1 : step_ns / UNKNOWN_SHARE;
  vestry_err error = VESTRY_OK;
  for (int i = 0; i < KINDS && !error; i++) error = vsi_siphash_key_random(host, &rate->keys[i]);
  if (!error) error = vsi_buckets_create(host, step_ns, o->burst_count, o->max_count, &rate->buckets);
  return error ? error : vsi_buckets_create(host, unknown_step_ns, o->burst_count * UNKNOWN_SHARE, 1, &rate->unknown);
}

vestry_err vestry_rate_create(vestry *v, const vestry_rate_options *given, vestry_rate **ret_rate) {
  if (!v) return VESTRY_INVALID;
  if (!ret_rate) return vsi_mistake(v->host, "vestry_rate_create", "ret_rate is NULL");
  vestry_rate_options options = given ? *given : (vestry_rate_options){0};
  if (!options.period_ms) options.period_ms = DEFAULT_MS;
  if (!options.burst_count) options.burst_count = options.count;
  if (!options.max_count) options.max_count = DEFAULT_COUNT;
  const char *mistake = mistake_of(v, &options);
  if (mistake) return vsi_mistake(v->host, "vestry_rate_create", mistake);

  vestry_rate *rate = vsi_calloc(v->host, 1, sizeof *rate);
  if (!rate) return VESTRY_NO_MEMORY;
  rate->v = v;
  rate->options = options;
  vestry_err error = fill(rate);
  if (error)
    vestry_rate_destroy(rate);
  else
    *ret_rate = rate;
  return error;
}

void vestry_rate_destroy(vestry_rate *rate) {
  if (!rate) return;
  vsi_buckets_destroy(rate->buckets);
  vsi_buckets_destroy(rate->unknown);
  vsi_free(rate->v->host, rate);
}

/* ---- tokens ------------------------------------------------------------------------------------------------------ */

/* Take a token. Returns 0, or the time in nanoseconds until the next one. */
static uint64_t take(vestry_rate *rate, kind of, const void *name, size_t len) {
  uint64_t hash = vsi_siphash_1_3(rate->keys[of], name, len);
  return vsi_buckets_take(rate->buckets, hash, vsi_now_ns(rate->v->host));
}

vestry_err vestry_rate_take(vestry_rate *rate, const void *name, size_t len, uint64_t *ret_wait_ms) {
  if (!rate) return VESTRY_INVALID;
  if (!name && len) return vsi_mistake(rate->v->host, "vestry_rate_take", "the name is NULL");
  uint64_t wait_ns = take(rate, OF_HANDLER, name, len);
  if (!wait_ns) return VESTRY_OK;
  if (ret_wait_ms) *ret_wait_ms = (wait_ns + 999999) / 1000000;
  return VESTRY_LIMIT;
}

/* ---- the guard --------------------------------------------------------------------------------------------------- */

/* Take a token of all unknown clients together. Otherwise one client behind a proxy could use up the rate of all. A
 * missing option is logged when a proxy is evident, or a request is refused; a program that is tried on its own machine
 * logs nothing. */
static uint64_t take_of_unknown(vestry_rate *rate, const vestry_request *req) {
  const bool is_behind_proxy = rate->options.is_behind_proxy || req->v->is_behind_proxy;
  const uint64_t wait_ns = vsi_buckets_take(rate->unknown, 1, vsi_now_ns(rate->v->host));
  if ((wait_ns || is_behind_proxy || vsi_person_is_passed_on(req)) &&
      !atomic_load_explicit(&rate->is_silent, memory_order_relaxed) &&
      !atomic_exchange_explicit(&rate->is_silent, true, memory_order_relaxed))
    vsi_log(rate->v->host, VESTRY_LOG_WARN,
            "vestry_rate_guard: %s: the client's address is unknown, and all such clients together have the rate of %d "
            "clients; %s",
            req->path, UNKNOWN_SHARE,
            is_behind_proxy ? "let the proxy set X-Forwarded-For to exactly one address, that of its peer"
                            : "the request comes from this machine or through a proxy. Behind a proxy, set "
                              "vestry_options.is_behind_proxy");
  return wait_ns;
}

/* Take a token of the client's address. */
static uint64_t take_of_address(vestry_rate *rate, const vestry_request *req) {
  const vsi_person person = vsi_person_by_address(req, rate->options.is_behind_proxy);
  const uint64_t words[] = {person.address.prefix, person.address.family};
  return person.kind == VSI_PERSON_UNKNOWN ? take_of_unknown(rate, req) : take(rate, OF_ADDRESS, words, sizeof words);
}

static vestry_err refuse(const vestry_request *req, vestry_reply *reply, uint64_t wait_ns) {
  char seconds[24], sentence[96];
  uint64_t wait_s = (wait_ns + 999999999) / 1000000000;
  snprintf(seconds, sizeof seconds, "%llu", (unsigned long long)wait_s);
  snprintf(sentence, sizeof sentence, "Too many requests: this one was rejected. Try again in %s %s.", seconds,
           wait_s == 1 ? "second" : "seconds");
  vestry_reject(req->v, VESTRY_REFUSAL_RATE);
  vestry_err error = vestry_reply_header(reply, "Retry-After", seconds);
  if (!error) error = vsi_refuse_request(req, reply, 429, sentence);
  return error == VESTRY_FAILED ? VESTRY_LIMIT : error; /* LIMIT means "not now": vestry_once_guard permits a
                                                           repetition */
}

vestry_err vestry_rate_guard(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_rate *rate = app;
  const vsi_person person = vsi_person_of(req);
  const uint64_t wait_ns = rate->options.by == VESTRY_RATE_SCOPE && person.name.len
                               ? take(rate, OF_SCOPE, person.name.data, person.name.len)
                               : take_of_address(rate, req);
  return wait_ns ? refuse(req, reply, wait_ns) : VESTRY_OK;
}
