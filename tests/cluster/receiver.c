/* SPDX-License-Identifier: MIT */
#include "cluster/receiver.h"

#include <stdlib.h>
#include <time.h>

#include "support/test.h"

static void keep(receiver *e, received what) {
  if (atomic_fetch_add(&e->inside, 1) != 0 || atomic_load(&e->over)) atomic_fetch_add(&e->faults, 1);
  pthread_mutex_lock(&e->lock);
  if (e->count == e->capacity) {
    e->capacity = e->capacity * 2 + 64;
    e->all = realloc(e->all, e->capacity * sizeof *e->all);
  }
  e->all[e->count++] = what;
  pthread_cond_broadcast(&e->changed);
  pthread_mutex_unlock(&e->lock);
  if (e->then) e->then(e, &what);
  atomic_fetch_sub(&e->inside, 1);
}

static void on_message(const char *subject, const void *data, size_t len, void *ctx) {
  received what = {.data = malloc(len + 1), .len = len};
  snprintf(what.subject, sizeof what.subject, "%s", subject);
  if (len) memcpy(what.data, data, len);
  ((char *)what.data)[len] = 0;
  keep(ctx, what);
}

static void on_state(vestry_broker_state state, void *ctx) {
  keep(ctx, (received){.is_state = true, .state = state});
}

void receiver_init(receiver *e, vestry_broker broker) {
  memset(e, 0, sizeof *e);
  e->broker = broker;
  e->events = (vestry_broker_events){.on_message = on_message, .on_state = on_state, .ctx = e};
  pthread_mutex_init(&e->lock, NULL);
  pthread_cond_init(&e->changed, NULL);
}

void receiver_subscribe(receiver *e, const char *subject) {
  e->subjects = realloc(e->subjects, (e->subjects_count + 1) * sizeof *e->subjects);
  snprintf(e->subjects[e->subjects_count++], sizeof *e->subjects, "%s", subject);
}

vestry_err receiver_try_start(receiver *e) {
  const char **subjects = calloc(e->subjects_count + 1, sizeof *subjects);
  for (size_t i = 0; i < e->subjects_count; i++) subjects[i] = e->subjects[i];
  vestry_err error = e->broker.ops->start(e->broker.broker, subjects, e->subjects_count, &e->events);
  free(subjects);
  return error;
}

void receiver_start(receiver *e) {
  assert_int_equal(receiver_try_start(e), VESTRY_OK);
}

void receiver_clear(receiver *e) {
  pthread_mutex_lock(&e->lock);
  for (size_t i = 0; i < e->count; i++) free(e->all[i].data);
  e->count = 0;
  pthread_mutex_unlock(&e->lock);
}

void receiver_finish(receiver *e) {
  e->broker.ops->stop(e->broker.broker);
  atomic_store(&e->over, true);
  e->broker.ops->destroy(e->broker.broker);
  assert_int_equal(atomic_load(&e->faults), 0);
  receiver_clear(e);
  free(e->all);
  free(e->subjects);
  pthread_cond_destroy(&e->changed);
  pthread_mutex_destroy(&e->lock);
}

static bool is_of(const received *what, const char *subject) {
  return !what->is_state && (!subject || strcmp(what->subject, subject) == 0);
}

size_t receiver_messages(receiver *e, const char *subject) {
  size_t count = 0;
  pthread_mutex_lock(&e->lock);
  for (size_t i = 0; i < e->count; i++) count += is_of(&e->all[i], subject);
  pthread_mutex_unlock(&e->lock);
  return count;
}

size_t receiver_states(receiver *e, vestry_broker_state state) {
  size_t count = 0;
  pthread_mutex_lock(&e->lock);
  for (size_t i = 0; i < e->count; i++) count += e->all[i].is_state && e->all[i].state == state;
  pthread_mutex_unlock(&e->lock);
  return count;
}

received receiver_nth(receiver *e, const char *subject, size_t n) {
  received found = {.data = NULL};
  pthread_mutex_lock(&e->lock);
  for (size_t i = 0; i < e->count; i++)
    if (is_of(&e->all[i], subject) && n-- == 0) {
      found = e->all[i];
      break;
    }
  pthread_mutex_unlock(&e->lock);
  assert_non_null(found.data);
  return found;
}

vestry_err receiver_publish_bytes(receiver *e, const char *subject, const void *data, size_t len) {
  vestry_err error = e->broker.ops->publish(e->broker.broker, subject, data, len);
  e->broker.ops->flush(e->broker.broker, atomic_fetch_add(&e->published_count, 1) % 2 == 0);
  return error;
}

vestry_err receiver_publish(receiver *e, const char *subject, const char *text) {
  return receiver_publish_bytes(e, subject, text, strlen(text));
}

void receiver_wait(receiver *e) {
  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_nsec += 2000000;
  if (until.tv_nsec >= 1000000000) until.tv_sec++, until.tv_nsec -= 1000000000;
  pthread_mutex_lock(&e->lock);
  pthread_cond_timedwait(&e->changed, &e->lock, &until);
  pthread_mutex_unlock(&e->lock);
}
