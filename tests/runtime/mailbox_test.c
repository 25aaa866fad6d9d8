/* SPDX-License-Identifier: MIT */
#include "runtime/mailbox.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include "runtime/random.h"
#include "support/test.h"

typedef struct letter {
  vsi_mail mail;
  unsigned sender;
  unsigned number;
} letter;

static letter *letter_create(unsigned sender, unsigned number) {
  letter *l = malloc(sizeof *l);
  if (!l) abort();
  l->sender = sender;
  l->number = number;
  return l;
}

static void link_letters(letter *from, letter *to) {
  atomic_store_explicit(&from->mail.next, &to->mail, memory_order_relaxed);
}

static void empty_says_null(void **state) {
  (void)state;
  vsi_mailbox box;
  vsi_mailbox_init(&box);
  for (int i = 0; i < 3; i++) {
    assert_null(vsi_mailbox_pop(&box));
    assert_true(vsi_mailbox_is_empty(&box));
  }
}

static void one_thread_first_in_first_out(void **state) {
  (void)state;
  uint64_t seed = 7;
  vsi_mailbox box;
  vsi_mailbox_init(&box);
  unsigned pushed = 0, popped = 0;
  for (int step = 0; step < 20000; step++) {
    if (random_below(&seed, 100) < (step < 10000 ? 55u : 45u)) {
      vsi_mailbox_push(&box, &letter_create(0, pushed++)->mail);
    } else {
      assert_int_equal(vsi_mailbox_is_empty(&box), pushed == popped);
      letter *l = (letter *)vsi_mailbox_pop(&box);
      assert_int_equal(l != NULL, pushed > popped);
      if (l) assert_int_equal(l->number, popped++);
      free(l); /* at once: the queue must not need it any more */
    }
  }
  for (letter *l; (l = (letter *)vsi_mailbox_pop(&box)) != NULL; free(l)) assert_int_equal(l->number, popped++);
  assert_int_equal(pushed, popped);
}

static void chain_goes_in_whole_and_in_order(void **state) {
  (void)state;
  vsi_mailbox box;
  vsi_mailbox_init(&box);
  letter l[5] = {{.number = 0}, {.number = 1}, {.number = 2}, {.number = 3}, {.number = 4}};
  vsi_mailbox_push(&box, &l[0].mail);
  link_letters(&l[1], &l[2]);
  link_letters(&l[2], &l[3]);
  vsi_mailbox_push_chain(&box, &l[1].mail, &l[3].mail);
  vsi_mailbox_push(&box, &l[4].mail);
  for (unsigned i = 0; i < 5; i++) assert_ptr_equal(vsi_mailbox_pop(&box), &l[i].mail);
  assert_null(vsi_mailbox_pop(&box));
}

/* The moment between the exchange and the link, by hand: what is behind the cut is not there yet, and nothing in front
 * of it that the producer still has to write to is handed out. */
static void push_under_way_hides_what_is_behind(void **state) {
  (void)state;
  vsi_mailbox box;
  vsi_mailbox_init(&box);
  letter a = {.number = 1}, b = {.number = 2}, c = {.number = 3};

  atomic_store(&a.mail.next, NULL);
  vsi_mail *before_a = atomic_exchange(&box.head, &a.mail); /* a: half in */
  vsi_mailbox_push(&box, &b.mail);                          /* b: behind the cut */
  assert_null(vsi_mailbox_pop(&box));
  assert_true(vsi_mailbox_is_empty(&box));
  atomic_store(&before_a->next, &a.mail);
  assert_false(vsi_mailbox_is_empty(&box));
  assert_ptr_equal(vsi_mailbox_pop(&box), &a.mail);

  atomic_store(&c.mail.next, NULL);
  vsi_mail *before_c = atomic_exchange(&box.head, &c.mail);
  assert_ptr_equal(before_c, &b.mail);
  assert_null(vsi_mailbox_pop(&box)); /* b is c's producer's to write to */
  assert_false(vsi_mailbox_is_empty(&box));
  atomic_store(&before_c->next, &c.mail);
  assert_ptr_equal(vsi_mailbox_pop(&box), &b.mail);
  assert_ptr_equal(vsi_mailbox_pop(&box), &c.mail);
  assert_null(vsi_mailbox_pop(&box));
  assert_true(vsi_mailbox_is_empty(&box));
}

enum { SENDERS = 4, LETTERS = 30000, CHAIN = 3 };

typedef struct sender {
  vsi_mailbox *box;
  unsigned id;
  unsigned chain; /* letters a push */
} sender;

static void *send_letters(void *argument) {
  sender *s = argument;
  for (unsigned i = 0; i < LETTERS; i += s->chain) {
    letter *first = letter_create(s->id, i), *last = first;
    for (unsigned k = 1; k < s->chain; k++) {
      letter *next = letter_create(s->id, i + k);
      link_letters(last, next);
      last = next;
    }
    vsi_mailbox_push_chain(s->box, &first->mail, &last->mail);
  }
  return NULL;
}

static void many_producers(unsigned chain) {
  vsi_mailbox box;
  vsi_mailbox_init(&box);
  pthread_t threads[SENDERS];
  sender senders[SENDERS];
  for (unsigned i = 0; i < SENDERS; i++) {
    senders[i] = (sender){&box, i, chain};
    assert_int_equal(pthread_create(&threads[i], NULL, send_letters, &senders[i]), 0);
  }
  unsigned next[SENDERS] = {0}, out_of_order = 0, torn = 0;
  for (unsigned got = 0, last_sender = 0; got < SENDERS * LETTERS;) {
    letter *l = (letter *)vsi_mailbox_pop(&box);
    if (!l) {
      sched_yield();
      continue;
    }
    out_of_order += l->number != next[l->sender]++;
    torn += l->number % chain != 0 && l->sender != last_sender;
    last_sender = l->sender;
    got++;
    free(l);
  }
  for (unsigned i = 0; i < SENDERS; i++) pthread_join(threads[i], NULL);
  assert_int_equal(out_of_order, 0);
  assert_int_equal(torn, 0);
  assert_null(vsi_mailbox_pop(&box));
}

static void producers_keep_their_order(void **state) {
  (void)state;
  many_producers(1);
}

static void producers_keep_their_chains_together(void **state) {
  (void)state;
  many_producers(CHAIN);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(empty_says_null),
      cmocka_unit_test(one_thread_first_in_first_out),
      cmocka_unit_test(chain_goes_in_whole_and_in_order),
      cmocka_unit_test(push_under_way_hides_what_is_behind),
      cmocka_unit_test(producers_keep_their_order),
      cmocka_unit_test(producers_keep_their_chains_together),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
