/* SPDX-License-Identifier: MIT */
/* essay: a message that arrives after its form was submitted */
/* The storage of forms in memory.
 *
 * The values of a form arrive in messages without an order: one message is on its way when the form is submitted, and
 * another one is sent when the page is left and overtakes it. Therefore a form has a generation, which each message
 * contains. Clearing a form begins the next generation, which is recorded even if no values were stored. A message of
 * an earlier generation is late, however long it took. Within a generation messages have numbers, and a smaller number
 * is late.
 *
 * Generations come from a counter that starts at the time when the process started. If a record was lost, by a restart
 * or eviction, the next clearing still gets a generation later than those of all pages. If a form has no record, its
 * message is stored, whatever the message's generation: the record was lost, and the page still has the text.
 *
 * A new form evicts the oldest form of its scope if the scope is full, and the oldest of all if memory is full. Forms
 * of anonymous users, which any client can create, have at most half of the memory, and are evicted before those of
 * users. All users share the scope without a name; there the limit applies to each tab. Any client can invent anonymous
 * users and tabs, so the forms of one address without a user have at most a quarter of this memory. Expired forms are
 * at the beginning of the list by age. */
#include "app/page/form_storage.h"

#include <string.h>
#include <time.h>

#include "base/map.h"
#include "base/mutex.h"
#include "base/ring.h"
#include "base/siphash.h"

typedef struct owner {
  vsi_map_link in; /* first member */
  vsi_ring forms;  /* the form that changed longest ago is first */
  size_t count;
  bool is_anonymous, is_tab; /* is_tab: `scope` is the id of a tab in the scope without a name */
  size_t scope_len;
  unsigned char scope[];
} owner;

/* The forms of one address, by its hash. */
typedef struct person {
  vsi_map_link in; /* first member */
  vsi_ring forms;  /* the form that changed longest ago is first */
  size_t bytes;
} person;

typedef struct kept_form {
  vsi_ring of_owner; /* first member; in whose->forms */
  vsi_ring by_age, of_person;
  owner *whose;
  person *sender;                       /* NULL: a user, or the address is unknown */
  uint64_t generation, number, over_ns; /* over_ns: time when it expires */
  char tab[VESTRY_TAB_ID_BYTES];
  char name[VESTRY_FORM_NAME_MAX_BYTES + 1];
  size_t len;
  char pairs[];
} kept_form;

typedef struct vsi_form_kept {
  vestry_forms_storage storage; /* first member */
  const vestry_host *host;
  vsi_siphash_key secret;
  vsi_mutex lock;
  /* the lock guards all members below */
  vsi_map owners, persons;
  vsi_ring by_age[2]; /* [0]: the forms of users; [1]: the forms of anonymous users. The form that changed longest ago
                         is first */
  size_t bytes[2], count;
  uint64_t generation; /* the last one that was assigned */
  uint64_t evicted_count, expired_count;
} vsi_form_kept;

/* -------------------------------------------------------------------------------------------------- list ---------- */

static size_t bytes_of(const kept_form *form) {
  return sizeof *form + form->len + sizeof(owner) + form->whose->scope_len;
}

static void leave_person(vsi_form_kept *kept, kept_form *form) {
  person *sender = form->sender;
  if (!sender) return;
  vsi_ring_remove(&form->of_person);
  sender->bytes -= bytes_of(form);
  if (!vsi_ring_is_empty(&sender->forms)) return;
  vsi_map_remove(&kept->persons, &sender->in);
  vsi_free(kept->host, sender);
}

static void take_out(vsi_form_kept *kept, kept_form *form) {
  owner *whose = form->whose;
  leave_person(kept, form);
  kept->bytes[whose->is_anonymous] -= bytes_of(form);
  kept->count--;
  vsi_ring_remove(&form->of_owner);
  vsi_ring_remove(&form->by_age);
  vsi_free(kept->host, form);
  if (--whose->count) return;
  vsi_map_remove(&kept->owners, &whose->in);
  vsi_free(kept->host, whose);
}

static void put_in(vsi_form_kept *kept, owner *whose, person *sender, kept_form *form) {
  form->whose = whose;
  form->sender = sender;
  if (sender) {
    vsi_ring_add_last(&sender->forms, &form->of_person);
    sender->bytes += bytes_of(form);
  }
  vsi_ring_add_last(&whose->forms, &form->of_owner);
  vsi_ring_add_last(&kept->by_age[whose->is_anonymous], &form->by_age);
  whose->count++;
  kept->count++;
  kept->bytes[whose->is_anonymous] += bytes_of(form);
}

void vsi_form_kept_destroy(vestry_forms_storage *storage) {
  vsi_form_kept *kept = (vsi_form_kept *)storage;
  if (!kept) return;
  for (int i = 0; i < 2; i++)
    while (!vsi_ring_is_empty(&kept->by_age[i]))
      take_out(kept, VSI_RING_OWNER(kept->by_age[i].next, kept_form, by_age));
  vsi_map_finish(&kept->owners, kept->host);
  vsi_map_finish(&kept->persons, kept->host);
  vsi_mutex_finish(&kept->lock);
  vsi_free(kept->host, kept);
}

/* Return the name to which the limit of forms applies: the scope, or the tab. */
static vestry_scope bounded_of(vestry_scope scope, const char *tab) {
  return scope.len ? scope : (vestry_scope){tab, VESTRY_TAB_ID_BYTES - 1};
}

static owner *find_owner(const vsi_form_kept *kept, vestry_scope of, const char *tab, uint64_t *ret_hash) {
  const vestry_scope scope = bounded_of(of, tab);
  *ret_hash = vsi_siphash_1_3(kept->secret, scope.data, scope.len);
  for (vsi_map_link *at = vsi_map_first(&kept->owners, *ret_hash); at; at = vsi_map_further(at)) {
    owner *one = (owner *)at;
    if (one->is_tab == !of.len && one->scope_len == scope.len && memcmp(one->scope, scope.data, scope.len) == 0)
      return one;
  }
  return NULL;
}

/* Remove the expired forms, which are at the beginning of the lists. */
static void expire(vsi_form_kept *kept, uint64_t now_ns) {
  for (int i = 0; i < 2; i++) {
    while (!vsi_ring_is_empty(&kept->by_age[i])) {
      kept_form *oldest = VSI_RING_OWNER(kept->by_age[i].next, kept_form, by_age);
      if (oldest->over_ns > now_ns) break;
      take_out(kept, oldest);
      kept->expired_count++;
    }
  }
}

/* Begin an operation: take the lock, and remove expired forms. An operation reads the clock only once, because expiring
 * forms a second time could free a form that it has found. */
static uint64_t begin_locked(vsi_form_kept *kept) {
  vsi_mutex_lock(&kept->lock);
  const uint64_t now_ns = vsi_now_ns(kept->host);
  expire(kept, now_ns);
  return now_ns;
}

static kept_form *find(const vsi_form_kept *kept, vestry_scope scope, const char *tab, const char *name) {
  uint64_t hash;
  const owner *whose = find_owner(kept, scope, tab, &hash);
  if (!whose) return NULL;
  for (vsi_ring *at = whose->forms.next; at != &whose->forms; at = at->next) {
    kept_form *form = VSI_RING_OWNER(at, kept_form, of_owner);
    if (strcmp(form->tab, tab) == 0 && strcmp(form->name, name) == 0) return form;
  }
  return NULL;
}

static owner *need_owner(vsi_form_kept *kept, const vsi_form_key *key) {
  uint64_t hash;
  const vestry_scope scope = bounded_of(key->scope, key->tab);
  owner *whose = find_owner(kept, key->scope, key->tab, &hash);
  if (whose) return whose;
  if (vsi_map_reserve(&kept->owners, kept->host, kept->owners.count + 1)) return NULL;
  whose = vsi_calloc(kept->host, 1, sizeof *whose + scope.len);
  if (!whose) return NULL;
  whose->is_anonymous = key->is_anonymous;
  whose->is_tab = !key->scope.len;
  whose->scope_len = scope.len;
  memcpy(whose->scope, scope.data, scope.len);
  vsi_ring_init(&whose->forms);
  vsi_map_add(&kept->owners, &whose->in, hash);
  return whose;
}

/* Find or make the record of the client's address. NULL: the address does not count, or there is no memory; then the
 * form counts for no address. */
static person *need_person(vsi_form_kept *kept, const vsi_form_key *key) {
  if (!key->person) return NULL;
  person *sender = (person *)vsi_map_first(&kept->persons, key->person);
  if (sender || vsi_map_reserve(&kept->persons, kept->host, kept->persons.count + 1)) return sender;
  sender = vsi_calloc(kept->host, 1, sizeof *sender);
  if (!sender) return NULL;
  vsi_ring_init(&sender->forms);
  vsi_map_add(&kept->persons, &sender->in, key->person);
  return sender;
}

static void evict(vsi_form_kept *kept, kept_form *oldest, const kept_form *but) {
  if (oldest == but) return; /* it is the only one */
  take_out(kept, oldest);
  kept->evicted_count++;
}

static kept_form *oldest_of(const vsi_ring *by_age) {
  return VSI_RING_OWNER(by_age->next, kept_form, by_age);
}

/* Evict forms beyond the limits. The new form is the last of each list. */
static void bound(vsi_form_kept *kept, const kept_form *but) {
  const vestry_forms_options *options = &kept->storage.bounds;
  const person *sender = but->sender;
  const size_t most_of_sender = options->max_bytes / (but->whose->is_anonymous ? 2 : 1) / 4;
  if (but->whose->count > options->max_per_scope_count)
    evict(kept, VSI_RING_OWNER(but->whose->forms.next, kept_form, of_owner), but);
  while (sender && sender->bytes > most_of_sender && sender->forms.next != &but->of_person)
    evict(kept, VSI_RING_OWNER(sender->forms.next, kept_form, of_person), but);
  while (kept->bytes[1] > options->max_bytes / 2 && kept->by_age[1].next != &but->by_age)
    evict(kept, oldest_of(&kept->by_age[1]), but);
  while (kept->bytes[0] + kept->bytes[1] > options->max_bytes) {
    vsi_ring *from = &kept->by_age[!vsi_ring_is_empty(&kept->by_age[1]) && kept->by_age[1].next != &but->by_age];
    if (vsi_ring_is_empty(from) || from->next == &but->by_age) break;
    evict(kept, oldest_of(from), but);
  }
}

/* Replace a stored form, or add one if former is NULL. Without memory, nothing changes. */
static kept_form *replace(vsi_form_kept *kept, const vsi_form_key *key, kept_form *former, const vsi_form_state *state,
                          uint64_t now_ns) {
  kept_form *form = vsi_calloc(kept->host, 1, sizeof *form + state->len);
  owner *whose = form ? need_owner(kept, key) : NULL;
  if (!whose) {
    vsi_free(kept->host, form);
    return NULL;
  }
  form->generation = state->generation;
  form->number = state->number;
  form->over_ns = vsi_add_saturating(now_ns, vsi_ms_to_ns(kept->storage.bounds.ttl_ms));
  memcpy(form->tab, key->tab, sizeof form->tab - 1);
  memcpy(form->name, key->name, strlen(key->name));
  form->len = state->len;
  if (state->len) memcpy(form->pairs, state->pairs, state->len);
  put_in(kept, whose, need_person(kept, key), form);
  if (former) take_out(kept, former);
  bound(kept, form);
  return form;
}

/* -------------------------------------------------------------------------------------------- operations ---------- */

static vsi_form_state brief(const kept_form *form) {
  return form ? (vsi_form_state){.generation = form->generation, .number = form->number, .len = form->len}
              : (vsi_form_state){.len = 0};
}

static vestry_err find_copy(vestry_forms_storage *storage, const vsi_form_key *key, vsi_form_state *ret_state) {
  vsi_form_kept *kept = (vsi_form_kept *)storage;
  (void)begin_locked(kept);
  const kept_form *form = find(kept, key->scope, key->tab, key->name);
  vsi_form_state state = brief(form);
  if (state.len) {
    state.pairs = vsi_alloc(kept->host, state.len);
    if (state.pairs) memcpy(state.pairs, form->pairs, state.len);
  }
  vsi_mutex_unlock(&kept->lock);
  if (state.len && !state.pairs) return VESTRY_NO_MEMORY;
  *ret_state = state;
  return VESTRY_OK;
}

static vestry_err put(vestry_forms_storage *storage, const vsi_form_key *key, const vsi_form_state *state,
                      vsi_form_state *ret_state) {
  vsi_form_kept *kept = (vsi_form_kept *)storage;
  const uint64_t now_ns = begin_locked(kept);
  kept_form *former = find(kept, key->scope, key->tab, key->name);
  const vsi_form_state there = brief(former);
  bool is_late = former && vsi_form_is_late(state, &there);
  const kept_form *now = is_late ? former : replace(kept, key, former, state, now_ns);
  if (now) *ret_state = brief(now);
  vsi_mutex_unlock(&kept->lock);
  return is_late ? VESTRY_EXISTS : now ? VESTRY_OK : VESTRY_NO_MEMORY;
}

static uint64_t next_generation(vsi_form_kept *kept, const kept_form *former) {
  kept->generation++;
  return former && former->generation >= kept->generation ? former->generation + 1 : kept->generation;
}

static vestry_err clear(vestry_forms_storage *storage, const vsi_form_key *key, bool notifies,
                        vsi_form_state *ret_state) {
  vsi_form_kept *kept = (vsi_form_kept *)storage;
  const uint64_t now_ns = begin_locked(kept);
  kept_form *former = find(kept, key->scope, key->tab, key->name);
  const vsi_form_state none = {.generation = next_generation(kept, former)};
  const kept_form *now = replace(kept, key, former, &none, now_ns);
  if (now) *ret_state = brief(now);
  vsi_mutex_unlock(&kept->lock);
  if (now && notifies) storage->on_cleared(storage->forms, key->tab, key->name);
  return now ? VESTRY_OK : VESTRY_NO_MEMORY;
}

static vestry_err copy(vestry_forms_storage *storage, const vsi_form_key *key, const char *tab,
                       vsi_form_state *ret_state) {
  vsi_form_kept *kept = (vsi_form_kept *)storage;
  vestry_err error = VESTRY_EXISTS;
  const uint64_t now_ns = begin_locked(kept);
  const kept_form *now = find(kept, key->scope, key->tab, key->name);
  kept_form *from = find(kept, key->scope, tab, key->name);
  if (!now && (!from || !from->len)) error = VESTRY_NOT_FOUND;
  if (!now && from && from->len) {
    const vsi_form_state copied = {.generation = next_generation(kept, from), .len = from->len, .pairs = from->pairs};
    now = replace(kept, key, NULL, &copied, now_ns);
    error = now ? VESTRY_OK : VESTRY_NO_MEMORY;
  }
  *ret_state = brief(now);
  vsi_mutex_unlock(&kept->lock);
  return error;
}

/* Delete all forms in the scope without a name. */
static void forget_tabs(vsi_form_kept *kept) {
  for (int i = 0; i < 2; i++)
    for (vsi_ring *next, *at = kept->by_age[i].next; at != &kept->by_age[i]; at = next) {
      kept_form *form = VSI_RING_OWNER(at, kept_form, by_age);
      next = at->next;
      if (form->whose->is_tab) take_out(kept, form);
    }
}

static vestry_err forget(vestry_forms_storage *storage, vestry_scope scope) {
  vsi_form_kept *kept = (vsi_form_kept *)storage;
  uint64_t hash;
  vsi_mutex_lock(&kept->lock);
  if (!scope.len) forget_tabs(kept);
  for (const owner *whose; scope.len && (whose = find_owner(kept, scope, NULL, &hash)) != NULL;)
    take_out(kept, VSI_RING_OWNER(whose->forms.next, kept_form, of_owner));
  vsi_mutex_unlock(&kept->lock);
  return VESTRY_OK;
}

static void count(vestry_forms_storage *storage, vestry_forms_stats *stats) {
  vsi_form_kept *kept = (vsi_form_kept *)storage;
  vsi_mutex_lock(&kept->lock);
  stats->evicted_count = kept->evicted_count;
  stats->expired_count = kept->expired_count;
  stats->forms_count = kept->count;
  stats->bytes = kept->bytes[0] + kept->bytes[1];
  vsi_mutex_unlock(&kept->lock);
}

static const vsi_form_storage_ops ops = {find_copy, put, clear, copy, forget, count};

vestry_err vsi_form_kept_create(const vestry_host *host, const vestry_forms_options *options,
                                vestry_forms_storage **ret_kept) {
  vsi_form_kept *kept = vsi_calloc(host, 1, sizeof *kept);
  if (!kept) return VESTRY_NO_MEMORY;
  kept->host = host;
  kept->storage = (vestry_forms_storage){.ops = &ops, .host = host, .bounds = *options};
  kept->generation = (uint64_t)time(NULL) * 1000;
  vestry_err error = vsi_siphash_key_random(host, &kept->secret);
  if (error) {
    vsi_free(host, kept);
    return error;
  }
  vsi_mutex_init(&kept->lock, VSI_LOCK_FORMS);
  for (int i = 0; i < 2; i++) vsi_ring_init(&kept->by_age[i]);
  *ret_kept = &kept->storage;
  return VESTRY_OK;
}
