/* SPDX-License-Identifier: MIT */
#include "store/history.h"

#include <stdlib.h>

#include "store/invariants.h"
#include "support/test.h"

/* -------------------------------------------------------------------------------------------------- recording ---- */

enum { VALUES = 1 << 16, OPS_OF_THREAD = 4096, FILLERS = 1000 /* the first of their keys */ };

typedef struct linear_value {
  linear *owner;
  uint64_t number;
  size_t key;
  _Atomic(uint64_t) born_ns;
  _Atomic(long) refs, purges, closes;
  _Atomic(uint64_t) handle;
  _Atomic(uint64_t) used_ns, used_stamp; /* the last completed use: when it began, and when it returned */
} linear_value;

typedef struct recorded {
  size_t key;
  linear_op op;
} recorded;

struct linear {
  test_host host;
  vestry_store *store;
  _Atomic(uint64_t) clock;
  uint64_t span_ns;     /* for which each value may be found; UINT64_MAX: for ever */
  uint64_t idle_ns;     /* for which a used value is not idle */
  linear_value *values; /* by number; 0 is none */
  _Atomic(uint64_t) values_count;
  _Atomic(uint64_t) last_put[LINEAR_KEYS][8];
  _Atomic(uint64_t) puts[LINEAR_KEYS];
  recorded log[LINEAR_THREADS][OPS_OF_THREAD];
  size_t log_count[LINEAR_THREADS];
  linear_states states[LINEAR_KEYS];
};

static linear the_linear;
static _Thread_local recorded *current; /* the running operation of this thread */
static _Thread_local size_t current_thread;

static uint64_t stamp(linear *l) {
  return atomic_fetch_add(&l->clock, 1) + 1;
}

/* Schedule points in callbacks, if a schedule runs; see schedule/. */
static void (*callback_point)(void);

void linear_set_point(void (*point)(void)) {
  callback_point = point;
}

static void pause_here(void) {
  if (callback_point) callback_point();
}

static void value_ref(void *v) {
  pause_here();
  atomic_fetch_add(&((linear_value *)v)->refs, 1);
}

static void value_unref(void *v) {
  pause_here();
  if (atomic_fetch_sub(&((linear_value *)v)->refs, 1) <= 1) abort(); /* the recorder has one */
}

/* While a callback runs, the store still has its reference. */
static void assert_held(const linear_value *v) {
  if (atomic_load(&v->refs) < 2) abort();
  pause_here();
  if (atomic_load(&v->refs) < 2) abort();
}

static void value_close(void *v, vestry_cause cause) {
  assert_held(v);
  atomic_fetch_add(&((linear_value *)v)->closes, 1);
}

static recorded *record(linear *l, size_t thread, size_t key, linear_kind kind) {
  if (l->log_count[thread] == OPS_OF_THREAD) abort();
  recorded *made = &l->log[thread][l->log_count[thread]++];
  *made = (recorded){key, {.kind = kind, .thread = thread}};
  return made;
}

/* Keys are numbers, or long enough to be stored outside of their slots. */
static vestry_key key_of(size_t key, char text[80]) {
  if (key % 2 == 0) return vestry_key_integer((int64_t)key);
  snprintf(text, 80, "a key that is kept outside, number %zu", key);
  return vestry_key_string(text);
}

static void text_of(size_t key, char text[80]) {
  if (key % 2 == 0)
    snprintf(text, 80, "%zu", key);
  else
    snprintf(text, 80, "\"a key that is kept outside, number %zu\"", key);
}

/* Never early: each use that had returned before the operation began is at least idle_ns ago. */
static void assert_idle(const linear *l, const linear_value *v) {
  if (atomic_load(&v->used_stamp) < current->op.invoked &&
      atomic_load(&l->host.now_ns) - atomic_load(&v->used_ns) < l->idle_ns)
    abort();
}

static void on_purge(const vestry_purged *purged, void *ctx) {
  linear *l = ctx;
  linear_value *v = purged->value;
  assert_held(v);
  char key[80], expected[80]; /* read after the pause, while the key must still exist */
  if (vestry_key_format(purged->key, purged->key_len, key, sizeof key, NULL)) abort();
  text_of(v->key, expected);
  if (strcmp(key, expected) != 0) abort();
  atomic_fetch_add(&v->purges, 1);
  if (purged->cause == VESTRY_CAUSE_IDLE && callback_point) assert_idle(l, v);
  if (purged->cause == VESTRY_CAUSE_REPLACED || purged->cause == VESTRY_CAUSE_REMOVED) {
    current->op.took = v->number;
  } else if (purged->cause != VESTRY_CAUSE_HANGUP) {
    recorded *leave = record(l, current_thread, v->key < LINEAR_KEYS ? v->key : LINEAR_KEYS, LINEAR_LEAVE);
    leave->op.value = v->number;
    leave->op.invoked = current->op.invoked;
    leave->op.returned = stamp(l);
  }
}

static recorded *begin(linear *l, size_t thread, size_t key, linear_kind kind) {
  current = record(l, thread, key, kind);
  current_thread = thread;
  current->op.invoked = stamp(l);
  return current;
}

static void end(linear *l, recorded *r) {
  r->op.returned = stamp(l);
}

static const vestry_scope scope = {"s", 1};

static void used(const recorded *r, linear_value *v, uint64_t since_ns) {
  atomic_store(&v->used_ns, since_ns);
  atomic_store(&v->used_stamp, r->op.returned);
}

static linear_value *new_value(linear *l, size_t key) {
  uint64_t number = atomic_fetch_add(&l->values_count, 1) + 1;
  if (number >= VALUES) abort();
  linear_value *v = &l->values[number];
  v->owner = l;
  v->number = number;
  v->key = key;
  atomic_store(&v->born_ns, atomic_load(&l->host.now_ns));
  atomic_store(&v->refs, 1);
  return v;
}

void linear_put(linear *l, size_t thread, size_t key, vestry_keep_policy policy) {
  linear_value *v = new_value(l, key);
  uint64_t number = v->number;
  char text[80];
  vestry_key k = key_of(key, text);
  vestry_put_result result = {0};
  uint64_t now_ns = atomic_load(&l->host.now_ns);
  recorded *r = begin(l, thread, key, policy == VESTRY_KEEP_REJECT ? LINEAR_PUT_NEW : LINEAR_PUT);
  r->op.value = number;
  vestry_err error = vestry_store_put(l->store, scope, &k, v, policy, 0, &result);
  end(l, r);
  r->op.did = error == VESTRY_OK;
  if (error == VESTRY_NO_MEMORY || error == VESTRY_CLOSED) {
    if (r->op.took) abort(); /* it has changed something nevertheless */
    r->key = LINEAR_KEYS;    /* nothing has happened */
  } else if (error && error != VESTRY_EXISTS) {
    abort();
  }
  if (!error) {
    used(r, v, now_ns);
    atomic_store(&v->handle, result.handle);
    atomic_store(&l->last_put[key][atomic_fetch_add(&l->puts[key], 1) % 8], number);
  }
}

/* Record that nothing was found, and which values may have been due. */
static void found_nothing(linear *l, recorded *r) {
  uint64_t number = l->span_ns == UINT64_MAX ? 0 : atomic_load(&l->values_count);
  for (uint64_t born_ns; number; number--) {
    born_ns = atomic_load(&l->values[number].born_ns); /* 0: it is just being made */
    if (born_ns && born_ns + l->span_ns <= atomic_load(&l->host.now_ns)) break;
  }
  r->op.took = number;
}

void linear_get(linear *l, size_t thread, size_t key) {
  char text[80];
  vestry_key k = key_of(key, text);
  void *found[1];
  size_t count = 1;
  uint64_t now_ns = atomic_load(&l->host.now_ns);
  recorded *r = begin(l, thread, key, LINEAR_GET);
  vestry_err error = vestry_store_get(l->store, scope, &k, found, &count);
  end(l, r);
  if (error) {
    found_nothing(l, r);
    return;
  }
  r->op.value = ((linear_value *)found[0])->number;
  used(r, found[0], now_ns);
  value_unref(found[0]);
}

static void look(void *v, void *ctx) {
  if (atomic_load(&((linear_value *)v)->refs) < 2) abort(); /* the store's reference, during this call */
  pause_here();
  if (atomic_load(&((linear_value *)v)->refs) < 2) abort();
  ((recorded *)ctx)->op.value = ((linear_value *)v)->number;
}

void linear_with(linear *l, size_t thread, size_t key) {
  char text[80];
  vestry_key k = key_of(key, text);
  uint64_t now_ns = atomic_load(&l->host.now_ns);
  recorded *r = begin(l, thread, key, LINEAR_GET);
  vestry_err error = vestry_store_with(l->store, scope, &k, look, r);
  end(l, r);
  if (error)
    found_nothing(l, r);
  else
    used(r, &l->values[r->op.value], now_ns);
}

void linear_remove(linear *l, size_t thread, size_t key) {
  char text[80];
  vestry_key k = key_of(key, text);
  recorded *r = begin(l, thread, key, LINEAR_REMOVE);
  vestry_err error = vestry_store_remove(l->store, scope, &k, VESTRY_CAUSE_REMOVED, NULL);
  end(l, r);
  if ((error == VESTRY_OK) != (r->op.took != 0)) abort();
}

void linear_remove_if(linear *l, size_t thread, size_t key, size_t back) {
  uint64_t number = atomic_load(&l->last_put[key][(atomic_load(&l->puts[key]) + 7 - back % 8) % 8]);
  if (!number) return;
  recorded *r = begin(l, thread, key, LINEAR_REMOVE_IF);
  r->op.value = number;
  char text[80];
  vestry_key k = key_of(key, text);
  linear_value *v = &l->values[number];
  r->op.did = number % 2 ? vestry_store_remove_if(l->store, atomic_load(&v->handle), VESTRY_CAUSE_HANGUP)
                         : !vestry_store_remove_value(l->store, scope, &k, v, VESTRY_CAUSE_HANGUP);
  end(l, r);
}

void linear_tick(linear *l, size_t thread) {
  recorded *r = begin(l, thread, LINEAR_KEYS, LINEAR_GET); /* of no key: only evictions and expiry are of interest */
  vsi_store_tick(l->store);
  end(l, r);
}

void linear_fill(linear *l, size_t thread, size_t number) {
  linear_value *v = new_value(l, FILLERS + number);
  char text[80];
  vestry_key k = key_of(FILLERS + number, text);
  vestry_put_result result = {0};
  uint64_t now_ns = atomic_load(&l->host.now_ns);
  recorded *r = begin(l, thread, LINEAR_KEYS, LINEAR_PUT);
  vestry_err error = vestry_store_put(l->store, scope, &k, v, VESTRY_KEEP_REPLACE, 0, &result);
  end(l, r);
  if (error) return;
  atomic_store(&v->handle, result.handle);
  used(r, v, now_ns);
}

void linear_empty(linear *l, size_t thread, size_t number) {
  char text[80];
  vestry_key k = key_of(FILLERS + number, text);
  recorded *r = begin(l, thread, LINEAR_KEYS, LINEAR_REMOVE);
  vestry_store_remove(l->store, scope, &k, VESTRY_CAUSE_REMOVED, NULL);
  end(l, r);
}

typedef struct named {
  char keys[64][80];
  size_t count;
} named;

static void on_listed(const vestry_listed *listed, void *ctx) {
  named *n = ctx;
  char key[80] = {0};
  pause_here();
  if (vestry_key_format(listed->key, listed->key_len, key, sizeof key, NULL) || !listed->values_count) abort();
  if (n->count == 64) return;
  for (size_t i = 0; i < n->count; i++)
    if (!memcmp(n->keys[i], key, sizeof key)) abort();
  memcpy(n->keys[n->count++], key, sizeof key);
}

void linear_close(linear *l, size_t thread) {
  recorded *r = begin(l, thread, LINEAR_KEYS, LINEAR_GET);
  vsi_store_close(l->store);
  end(l, r);
}

void linear_list(linear *l, size_t thread) {
  named n;
  n.count = 0;
  recorded *r = begin(l, thread, LINEAR_KEYS, LINEAR_GET);
  for (vestry_list_cursor cursor = {0}; !cursor.done;)
    if (vestry_store_list(l->store, NULL, 3, &cursor, on_listed, &n)) break; /* no memory */
  end(l, r);
}

/* --------------------------------------------------------------------------------------------------- checking ---- */

static void print_history(const linear_op *ops, size_t count, const linear_states *before, size_t key) {
  static const char *const names[] = {"put", "put if new", "get", "remove", "remove if", "leave"};
  print_message("key %zu held one of:", key);
  for (size_t i = 0; i < before->count; i++) print_message(" %llu", (unsigned long long)before->values[i]);
  print_message("\n");
  for (size_t i = 0; i < count; i++)
    print_message("  [%llu, %llu] thread %zu: %s value %llu took %llu %s\n", (unsigned long long)ops[i].invoked,
                  (unsigned long long)ops[i].returned, ops[i].thread, names[ops[i].kind],
                  (unsigned long long)ops[i].value, (unsigned long long)ops[i].took, ops[i].did ? "did" : "");
}

static int by_time(const void *a, const void *b) {
  uint64_t x = ((const linear_op *)a)->invoked, y = ((const linear_op *)b)->invoked;
  return (x > y) - (x < y);
}

static bool check_key(linear *l, size_t key) {
  linear_op ops[LINEAR_OPS];
  size_t count = 0;
  for (size_t t = 0; t < LINEAR_THREADS; t++)
    for (size_t i = 0; i < l->log_count[t]; i++)
      if (l->log[t][i].key == key) {
        assert_true(count < LINEAR_OPS);
        ops[count++] = l->log[t][i].op;
      }
  qsort(ops, count, sizeof *ops, by_time);
  linear_states before = l->states[key];
  if (linear_is_possible(ops, count, &l->states[key])) return true;
  print_history(ops, count, &before, key);
  l->states[key] = (linear_states){.count = 1};
  return false;
}

bool linear_check(linear *l) {
  bool possible = true;
  for (size_t key = 0; key < LINEAR_KEYS; key++) possible &= check_key(l, key);
  for (size_t t = 0; t < LINEAR_THREADS; t++) l->log_count[t] = 0;
  vestry_store_stats stats = {0};
  vestry_store_stats_get(l->store, &stats);
  uint64_t purged = 0;
  for (uint64_t number = 1; number <= atomic_load(&l->values_count); number++) {
    long purges = atomic_load(&l->values[number].purges);
    assert_in_range(purges, 0, 1);
    assert_int_equal(atomic_load(&l->values[number].closes), purges);
    purged += (uint64_t)purges;
  }
  assert_int_equal(stats.removed_count, purged);
  invariants_check(l->store);
  return possible;
}

linear *linear_open(const char *type, vestry_store_options options) {
  linear *l = &the_linear;
  memset(l, 0, sizeof *l);
  test_host_init(&l->host);
  l->values = calloc(VALUES, sizeof *l->values);
  assert_non_null(l->values);
  for (size_t key = 0; key < LINEAR_KEYS; key++) l->states[key].count = 1; /* the key holds nothing */
  l->span_ns = UINT64_MAX;
  if (options.lifetime_ms) l->span_ns = options.lifetime_ms * 1000000;
  if (options.idle_ms && options.idle_ms != VESTRY_NEVER_MS && options.idle_ms * 1000000 < l->span_ns)
    l->span_ns = options.idle_ms * 1000000;
  l->idle_ns = options.idle_ms * 1000000;
  options.host = &l->host.host;
  options.value = &(vestry_value_ops){.ref = value_ref, .unref = value_unref, .close = value_close};
  options.purge = on_purge;
  options.purge_ctx = l;
  assert_int_equal(vestry_store_create(type, &options, &l->store), VESTRY_OK);
  return l;
}

vestry_store *linear_store(linear *l) {
  return l->store;
}

test_host *linear_host(linear *l) {
  return &l->host;
}

void linear_end(linear *l) {
  linear_close(l, 0);
  assert_true(linear_check(l));
  vestry_store_destroy(l->store);
  for (uint64_t number = 1; number <= atomic_load(&l->values_count); number++) {
    assert_int_equal(atomic_load(&l->values[number].refs), 1);
    assert_int_equal(atomic_load(&l->values[number].purges), atomic_load(&l->values[number].handle) != 0);
  }
  free(l->values);
  test_host_assert_clean(&l->host);
}
