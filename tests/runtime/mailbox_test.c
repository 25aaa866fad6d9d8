/* SPDX-License-Identifier: MIT */
#include "runtime/mailbox.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include "runtime/random.h"
#include "support/test.h"

typedef struct numbered {
  vsi_mail mail;
  unsigned sender;
  unsigned number;
} numbered;

static numbered *message_create(unsigned sender, unsigned number) {
  numbered *l = malloc(sizeof *l);
  if (!l) abort();
  l->sender = sender;
  l->number = number;
  return l;
}

TEST_CASE(empty_mailbox_returns_null) {
  vsi_mailbox box;
  vsi_mailbox_init(&box);
  for (int i = 0; i < 3; i++) {
    assert_null(vsi_mailbox_pop(&box));
    assert_true(vsi_mailbox_is_empty(&box));
  }
}

TEST_CASE(mailbox_of_one_thread_is_fifo) {
  uint64_t seed = 7;
  vsi_mailbox box;
  vsi_mailbox_init(&box);
  unsigned pushed = 0, popped = 0;
  for (int step = 0; step < 20000; step++) {
    if (random_below(&seed, 100) < (step < 10000 ? 55u : 45u)) {
      vsi_mailbox_push(&box, &message_create(0, pushed++)->mail);
    } else {
      assert_int_equal(vsi_mailbox_is_empty(&box), pushed == popped);
      numbered *l = (numbered *)vsi_mailbox_pop(&box);
      assert_int_equal(l != NULL, pushed > popped);
      if (l) assert_int_equal(l->number, popped++);
      free(l); /* at once: the queue must not need it any more */
    }
  }
  for (numbered *l; (l = (numbered *)vsi_mailbox_pop(&box)) != NULL; free(l)) assert_int_equal(l->number, popped++);
  assert_int_equal(pushed, popped);
}

/* The moment between the exchange and the link, by hand. Messages after the gap are invisible, and pop must not return
 * a message before it that its producer still has to write to. */
TEST_CASE(unfinished_push_hides_later_messages) {
  vsi_mailbox box;
  vsi_mailbox_init(&box);
  numbered a = {.number = 1}, b = {.number = 2}, c = {.number = 3};

  atomic_store(&a.mail.next, NULL);
  vsi_mail *before_a = atomic_exchange(&box.head, &a.mail); /* a: half pushed */
  vsi_mailbox_push(&box, &b.mail);                          /* b: after the gap */
  assert_null(vsi_mailbox_pop(&box));
  assert_true(vsi_mailbox_is_empty(&box));
  atomic_store(&before_a->next, &a.mail);
  assert_false(vsi_mailbox_is_empty(&box));
  assert_ptr_equal(vsi_mailbox_pop(&box), &a.mail);

  atomic_store(&c.mail.next, NULL);
  vsi_mail *before_c = atomic_exchange(&box.head, &c.mail);
  assert_ptr_equal(before_c, &b.mail);
  assert_null(vsi_mailbox_pop(&box)); /* the producer of c still writes to b */
  assert_false(vsi_mailbox_is_empty(&box));
  atomic_store(&before_c->next, &c.mail);
  assert_ptr_equal(vsi_mailbox_pop(&box), &b.mail);
  assert_ptr_equal(vsi_mailbox_pop(&box), &c.mail);
  assert_null(vsi_mailbox_pop(&box));
  assert_true(vsi_mailbox_is_empty(&box));
}

enum { SENDERS = 4, MESSAGES = 30000 };

typedef struct sender {
  vsi_mailbox *box;
  unsigned id;
} sender;

static void *send_messages(void *argument) {
  sender *s = argument;
  for (unsigned i = 0; i < MESSAGES; i++) vsi_mailbox_push(s->box, &message_create(s->id, i)->mail);
  return NULL;
}

TEST_CASE(each_producer_keeps_its_order) {
  vsi_mailbox box;
  vsi_mailbox_init(&box);
  pthread_t threads[SENDERS];
  sender senders[SENDERS];
  for (unsigned i = 0; i < SENDERS; i++) {
    senders[i] = (sender){&box, i};
    assert_int_equal(pthread_create(&threads[i], NULL, send_messages, &senders[i]), 0);
  }
  unsigned next[SENDERS] = {0}, out_of_order = 0;
  for (unsigned got = 0; got < SENDERS * MESSAGES;) {
    numbered *l = (numbered *)vsi_mailbox_pop(&box);
    if (!l) {
      sched_yield();
      continue;
    }
    out_of_order += l->number != next[l->sender]++;
    got++;
    free(l);
  }
  for (unsigned i = 0; i < SENDERS; i++) pthread_join(threads[i], NULL);
  assert_int_equal(out_of_order, 0);
  assert_null(vsi_mailbox_pop(&box));
}
