/* A message is on three threads on its way in: libnats's reader, libnats's deliverer, and this one. The deliverer is of
 * all users of libnats in the process, so it must not wait for one of them; and what waits in libnats is bounded for
 * each subscription only, which is no bound. */
#include "nats/inbox.h"

#include "base/memory.h"
#include "base/thread.h"

enum { MESSAGE_BYTES = 256 };

void vsi_nats_inbox_init(vsi_nats_inbox *inbox, const vestry_host *host, size_t max_bytes, size_t max_count) {
  *inbox = (vsi_nats_inbox){.host = host, .max_bytes = max_bytes, .max_count = max_count, .up = {.is_up = true}};
  inbox->end = &inbox->first;
  pthread_mutex_init(&inbox->lock, NULL);
  pthread_cond_init(&inbox->arrived, NULL);
  pthread_cond_init(&inbox->told, NULL);
}

static void settle(vsi_nats_inbox *inbox, vsi_nats_news *news) {
  if (!news->is_message) return;
  natsMsg_Destroy(news->message);
  vsi_nats_interest_unref(news->interest);
  vsi_free(inbox->host, news);
}

void vsi_nats_inbox_finish(vsi_nats_inbox *inbox) {
  for (vsi_nats_news *news = inbox->first, *next; news; news = next) {
    next = news->next;
    settle(inbox, news);
  }
  pthread_cond_destroy(&inbox->told);
  pthread_cond_destroy(&inbox->arrived);
  pthread_mutex_destroy(&inbox->lock);
}

/* ---- arriving ---------------------------------------------------------------------------------------------------- */

static void add_locked(vsi_nats_inbox *inbox, vsi_nats_news *news) {
  news->next = NULL;
  news->lost_before = inbox->lost;
  inbox->lost = false;
  if (!inbox->first) pthread_cond_signal(&inbox->arrived);
  *inbox->end = news;
  inbox->end = &news->next;
}

static void lose_locked(vsi_nats_inbox *inbox) {
  inbox->lost = true;
  if (!inbox->first) pthread_cond_signal(&inbox->arrived);
}

static size_t bytes_of(const natsMsg *message) {
  return (size_t)natsMsg_GetDataLength(message) + MESSAGE_BYTES;
}

void vsi_nats_inbox_put(vsi_nats_inbox *inbox, vsi_nats_interest *interest, natsMsg *message) {
  size_t bytes = bytes_of(message);
  vsi_nats_news *news = vsi_calloc(inbox->host, 1, sizeof *news);
  pthread_mutex_lock(&inbox->lock);
  inbox->received_count++;
  bool fits = news && inbox->count < inbox->max_count && bytes <= inbox->max_bytes - inbox->bytes && !inbox->stops &&
              !inbox->deaf;
  if (fits) {
    news->is_message = true;
    news->interest = vsi_nats_interest_ref(interest);
    news->message = message;
    inbox->count++;
    inbox->bytes += bytes;
    add_locked(inbox, news);
  } else {
    inbox->dropped_count++;
    if (!inbox->deaf) lose_locked(inbox); /* when it is down, that was told */
  }
  pthread_mutex_unlock(&inbox->lock);
  if (fits) return;
  natsMsg_Destroy(message);
  vsi_free(inbox->host, news);
}

void vsi_nats_inbox_lose(vsi_nats_inbox *inbox) {
  pthread_mutex_lock(&inbox->lock);
  lose_locked(inbox);
  pthread_mutex_unlock(&inbox->lock);
}

void vsi_nats_inbox_say(vsi_nats_inbox *inbox, bool is_up) {
  vsi_nats_news *news = is_up ? &inbox->up : &inbox->down;
  pthread_mutex_lock(&inbox->lock);
  news->waits = true;
  if (!is_up) inbox->deaf = true;
  add_locked(inbox, news);
  pthread_mutex_unlock(&inbox->lock);
}

void vsi_nats_inbox_listen(vsi_nats_inbox *inbox) {
  pthread_mutex_lock(&inbox->lock);
  inbox->deaf = false;
  pthread_mutex_unlock(&inbox->lock);
}

void vsi_nats_inbox_wait_told(vsi_nats_inbox *inbox) {
  pthread_mutex_lock(&inbox->lock);
  while ((inbox->up.waits || inbox->down.waits) && !inbox->stops) pthread_cond_wait(&inbox->told, &inbox->lock);
  pthread_mutex_unlock(&inbox->lock);
}

/* ---- telling ----------------------------------------------------------------------------------------------------- */

static void tell_state(const vsi_nats_inbox *inbox, vestry_broker_state state) {
  if (inbox->events.on_state) inbox->events.on_state(state, inbox->events.ctx);
}

static void tell(const vsi_nats_inbox *inbox, const vsi_nats_news *news) {
  if (!news->is_message) {
    tell_state(inbox, news->is_up ? VESTRY_BROKER_UP : VESTRY_BROKER_DOWN);
    return;
  }
  /* acquire pairs with the release of the unsubscribing thread: then nothing more comes */
  if (!atomic_load_explicit(&news->interest->wanted, memory_order_acquire) || !inbox->events.on_message) return;
  inbox->events.on_message(news->interest->subject, natsMsg_GetData(news->message),
                           (size_t)natsMsg_GetDataLength(news->message), inbox->events.ctx);
}

/* What is next; NULL with `ret_lost`: only that something was lost. False: it stops. */
static bool next_locked(vsi_nats_inbox *inbox, vsi_nats_news **ret_news, bool *ret_lost) {
  while (!inbox->first && !inbox->lost && !inbox->stops) pthread_cond_wait(&inbox->arrived, &inbox->lock);
  if (inbox->stops) return false;
  vsi_nats_news *news = inbox->first;
  *ret_news = news;
  if (!news) {
    *ret_lost = inbox->lost;
    inbox->lost = false;
    return true;
  }
  inbox->first = news->next;
  if (!inbox->first) inbox->end = &inbox->first;
  *ret_lost = news->lost_before;
  if (news->is_message) {
    inbox->count--;
    inbox->bytes -= bytes_of(news->message);
    inbox->delivered_count++;
  }
  return true;
}

static void *tell_all(void *ctx) {
  vsi_nats_inbox *inbox = ctx;
  bool is_up = false, lost; /* is_up: as told */
  vsi_nats_news *news;
  pthread_mutex_lock(&inbox->lock);
  while (next_locked(inbox, &news, &lost)) {
    pthread_mutex_unlock(&inbox->lock);
    if (lost && is_up) tell_state(inbox, VESTRY_BROKER_MAYBE_LOST); /* DOWN, and then UP, says it too */
    if (news) {
      if (!news->is_message) is_up = news->is_up;
      tell(inbox, news);
      if (news->is_message) settle(inbox, news);
    }
    pthread_mutex_lock(&inbox->lock);
    if (news && (news == &inbox->up || news == &inbox->down)) {
      news->waits = false;
      pthread_cond_broadcast(&inbox->told);
    }
  }
  pthread_mutex_unlock(&inbox->lock);
  return NULL;
}

vestry_err vsi_nats_inbox_start(vsi_nats_inbox *inbox, const vestry_broker_events *events) {
  inbox->events = *events;
  return vsi_thread_start(inbox->host, &inbox->thread, "vestry-nats-in", tell_all, inbox);
}

void vsi_nats_inbox_close(vsi_nats_inbox *inbox) {
  pthread_mutex_lock(&inbox->lock);
  inbox->stops = true;
  pthread_cond_broadcast(&inbox->arrived);
  pthread_cond_broadcast(&inbox->told);
  pthread_mutex_unlock(&inbox->lock);
}

void vsi_nats_inbox_stop(vsi_nats_inbox *inbox) {
  vsi_nats_inbox_close(inbox);
  pthread_join(inbox->thread, NULL);
}
