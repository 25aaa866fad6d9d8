/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "boxoffice.h"

#include "vestry/app/input.h"
#include "vestry/app/tab.h"

int64_t buyer_of(const vestry_request *req) {
  char tab[VESTRY_TAB_ID_BYTES];
  if (!vestry_tab_is_known(req) || vestry_tab_id(req, tab)) return 0;
  tab[15] = '\0'; /* 60 of 128 random bits */
  return (int64_t)strtoull(tab, NULL, 16);
}

/* A single statement decides: a seat has one holder, and a buyer holds at most a few seats. A hold of the same buyer is
 * renewed. $1 is the seat; 0: any seat. */
#define HOLD                                                                                                           \
  "UPDATE seat SET holder = $2, until_ms = $3, at_ms = $4 WHERE payment = 0 AND kept = 0 AND (until_ms <= $4 OR "      \
  "holder = $2) AND id = CASE WHEN $1 > 0 THEN $1 ELSE (SELECT id FROM seat WHERE payment = 0 AND kept = 0 AND "       \
  "until_ms <= $4 AND row > 0 ORDER BY random() LIMIT 1) END AND (SELECT count(*) FROM seat WHERE holder = $2 AND "    \
  "payment = 0 AND until_ms > $4 AND id <> $1) < $5 RETURNING id"
#define FREE                                                                                                           \
  "UPDATE seat SET until_ms = 0, at_ms = $3 WHERE id = $1 AND holder = $2 AND payment = 0 AND until_ms > 0 RETURNING " \
  "id"

static int64_t seat_of(vestry_call *call, int64_t least) {
  int64_t seat = 0;
  vestry_call_get(call, VESTRY_IN_PATH, "seat", vestry_into_between(&seat, least, BLOCKS * 1000 + 999));
  return seat;
}

/* End an act: the sentence is shown beside the buttons. */
static void say(vestry_call *call, const char *sentence) {
  vestry_call_signals(call, VESTRY_OBJECT("_message", sentence));
  database_tell(&((struct app *)call->own)->db, call);
}

/* POST /hold/{seat}, /free/{seat}: sets the wanted state. */
static void hold(vestry_call *call) {
  const int64_t seat = seat_of(call, 0), buyer = buyer_of(call->req), now = vestry_clock_ms(NULL);
  if (!buyer) vestry_call_fail(call, VESTRY_INVALID);
  if (vestry_call_run(call, HOLD, VESTRY_LIST(seat, buyer, now + HOLD_MS, now, HELD_MAX))) {
    say(call, "");
    return;
  }
  const int64_t held = vestry_call_integer(
      call, "SELECT count(*) FROM seat WHERE holder = $1 AND payment = 0 AND until_ms > $2 AND id <> $3",
      VESTRY_LIST(buyer, now, seat));
  say(call, held >= HELD_MAX ? "At most six seats at a time: pay for these first, or let one go."
            : seat           ? "Another buyer was faster: this seat is taken."
                             : "No seat is free at the moment.");
}

static void let_go(vestry_call *call) {
  vestry_call_run(call, FREE, VESTRY_LIST(seat_of(call, 1), buyer_of(call->req), vestry_clock_ms(NULL)));
  say(call, "");
}

/* POST /pay: sell all seats that the buyer holds, or none. The nonce is the number on the receipt. */
static void pay(vestry_call *call) {
  struct app *app = call->own;
  const int64_t buyer = buyer_of(call->req), now = vestry_clock_ms(NULL);
  const char *nonce = vestry_request_header(call->req, "X-Once");
  const char *name = vestry_request_value(call->req, VESTRY_IN_FORM, "name");
  if (!buyer || !nonce) vestry_call_fail(call, VESTRY_INVALID);
  if (!vestry_text_has(name, 1, NAME_MAX_CHARS)) {
    say(call, "Enter a name of at most 40 characters for the tickets.");
    return;
  }
  const int64_t payment = vestry_call_integer(
      call,
      "INSERT INTO payment(nonce, show, buyer, name, seats, at_ms) SELECT $1, (SELECT max(number) FROM show), "
      "$2, $3, count(*), $4 FROM seat WHERE holder = $2 AND payment = 0 AND until_ms > $4 HAVING count(*) > 0 "
      "RETURNING id",
      VESTRY_LIST(nonce, buyer, name, now));
  if (!payment) {
    say(call, "No seat is held for you any more: the minute is over.");
    return;
  }
  vestry_call_run(call,
                  "INSERT INTO ticket SELECT (SELECT max(number) FROM show), id, $1 FROM seat WHERE holder = $2 AND "
                  "payment = 0 AND until_ms > $3",
                  VESTRY_LIST(payment, buyer, now));
  vestry_call_run(call, "UPDATE seat SET payment = $1, at_ms = $3 WHERE holder = $2 AND payment = 0 AND until_ms > $3",
                  VESTRY_LIST(payment, buyer, now));
  if (!call->error) vestry_call_fail(call, vestry_forms_clear(app->forms, call->req, "buyer"));
  say(call, "");
}

/* POST /plug/{node}: the parent process kills the node without warning. It is the node that serves the tab, which is
 * seldom the node that handles this request. */
static void plug(vestry_call *call) {
  const struct app *app = call->own;
  int64_t node;
  if (!vestry_call_get(call, VESTRY_IN_PATH, "node", vestry_into_between(&node, 1, (int64_t)app->house.node.count)))
    return;
  nodes_pull_the_plug((unsigned)node);
  vestry_call_fail(call, vestry_reply_status(call->reply, 204));
}

static vestry_err sweep(vestry_sql_transaction *transaction, void *ctx) {
  static const char *const steps[] = {
      "UPDATE seat SET until_ms = 0, at_ms = $1 WHERE payment = 0 AND until_ms > 0 AND until_ms <= $1",
      "UPDATE show SET next_ms = $1 WHERE number = (SELECT max(number) FROM show) AND next_ms = 0 AND NOT EXISTS "
      "(SELECT 1 FROM seat WHERE row > 0 AND payment = 0 AND kept = 0)",
      "UPDATE seat SET until_ms = 0, payment = 0, holder = 0, at_ms = $1 WHERE row > 0 AND (SELECT next_ms BETWEEN 1 "
      "AND $1 FROM show ORDER BY number DESC LIMIT 1)",
      "INSERT INTO show(number) SELECT max(number) + 1 FROM show HAVING (SELECT next_ms BETWEEN 1 AND $1 FROM show "
      "ORDER BY number DESC LIMIT 1)"};
  const int64_t now = *(const int64_t *)ctx;
  vestry_err err = VESTRY_OK;
  for (size_t i = 0; i < sizeof steps / sizeof *steps && !err; i++)
    err = vestry_sql_run(transaction, steps[i], VESTRY_LIST(i == 1 ? now + PAUSE_MS : now), NULL, NULL);
  return err;
}

/* Write nothing, and delay no other node, unless there is work. */
void sales_sweep(vestry_timer *timer, void *ctx) {
  struct app *app = ctx;
  int64_t now = vestry_clock_ms(NULL);
  (void)timer;
  static const char due[] =
      "SELECT 1 WHERE EXISTS (SELECT 1 FROM seat WHERE payment = 0 AND until_ms BETWEEN 1 AND $1) OR NOT EXISTS "
      "(SELECT 1 FROM seat WHERE row > 0 AND payment = 0 AND kept = 0) AND (SELECT next_ms = 0 OR next_ms <= $1 FROM "
      "show ORDER BY number DESC LIMIT 1)";
  if (!vestry_sql_read(app->db.pool, due, VESTRY_LIST(now), NULL, NULL)) (void)database_act(&app->db, sweep, &now);
}

const vestry_entry sales_entries[] = {VESTRY_ACT("/hold/{seat}", hold),
                                      VESTRY_ACT("/free/{seat}", let_go),
                                      VESTRY_ACT("/pay", pay),
                                      VESTRY_HANDLER("POST", "/plug/{node}", plug),
                                      {0}};
