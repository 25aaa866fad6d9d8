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

static vestry_err say(vestry_reply *reply, const char *sentence) {
  return vestry_reply_patch_signals(reply, VESTRY_OBJECT("_message", sentence));
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

/* POST /hold/{seat}, /free/{seat}: sets the wanted state, so that a repetition has no further effect. */
static vestry_err hold(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  const int64_t buyer = buyer_of(req), now = vestry_clock_ms(NULL);
  int64_t seat;
  vestry_err err = vestry_request_get(req, VESTRY_IN_PATH, "seat", vestry_into_between(&seat, 0, BLOCKS * 1000 + 999));
  if (err || !buyer) return err ? err : VESTRY_INVALID;
  err = database_run_alone(&app->db, HOLD, VESTRY_LIST(seat, buyer, now + HOLD_MS, now, HELD_MAX), NULL, NULL);
  if (err != VESTRY_NOT_FOUND) return err ? err : say(reply, "");
  int64_t held = 0;
  err = vestry_sql_read(app->db.pool,
                        "SELECT count(*) FROM seat WHERE holder = $1 AND payment = 0 AND until_ms > $2 AND id <> $3",
                        VESTRY_LIST(buyer, now, seat), vestry_sql_row_integer, &held);
  if (err) return err;
  return say(reply, held >= HELD_MAX ? "At most six seats at a time: pay for these first, or let one go."
                    : seat           ? "Another buyer was faster: this seat is taken."
                                     : "No seat is free at the moment.");
}

static vestry_err let_go(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  int64_t seat;
  vestry_err err = vestry_request_get(req, VESTRY_IN_PATH, "seat", vestry_into_between(&seat, 1, BLOCKS * 1000 + 999));
  if (!err)
    err = database_run_alone(&app->db, FREE, VESTRY_LIST(seat, buyer_of(req), vestry_clock_ms(NULL)), NULL, NULL);
  return err && err != VESTRY_NOT_FOUND ? err : say(reply, "");
}

struct sale {
  struct app *app;
  const vestry_request *req;
  const char *name;
};

/* Sell all seats that the buyer holds, or none. The nonce of the submission is stored with the payment, so the seats
 * are paid once, even if the request is repeated at another node or after a crash. */
static vestry_err sell(vestry_sql_transaction *transaction, void *ctx) {
  const struct sale *of = ctx;
  const int64_t buyer = buyer_of(of->req), now = vestry_clock_ms(NULL);
  const char *nonce = vestry_request_header(of->req, "X-Once");
  char own[48]; /* for a submission without a nonce */
  int64_t payment, was;
  snprintf(own, sizeof own, "%lld at %lld", (long long)buyer, (long long)now);
  if (!nonce || !*nonce) nonce = own;
  vestry_err err = vestry_sql_run(transaction, "SELECT id FROM payment WHERE nonce = $1", VESTRY_LIST(nonce),
                                  vestry_sql_row_integer, &was);
  if (err != VESTRY_NOT_FOUND) return err;
  err = vestry_sql_run(
      transaction,
      "INSERT INTO payment(nonce, show, buyer, name, seats, at_ms) SELECT $1, (SELECT max(number) FROM show), "
      "$2, $3, count(*), $4 FROM seat WHERE holder = $2 AND payment = 0 AND until_ms > $4 HAVING count(*) > 0 "
      "RETURNING id",
      VESTRY_LIST(nonce, buyer, of->name, now), vestry_sql_row_integer, &payment);
  if (!err)
    err = vestry_sql_run(
        transaction,
        "INSERT INTO ticket SELECT (SELECT max(number) FROM show), id, $1 FROM seat WHERE holder = $2 AND "
        "payment = 0 AND until_ms > $3",
        VESTRY_LIST(payment, buyer, now), NULL, NULL);
  if (!err)
    err = vestry_sql_run(transaction,
                         "UPDATE seat SET payment = $1, at_ms = $3 WHERE holder = $2 AND payment = 0 AND until_ms > $3",
                         VESTRY_LIST(payment, buyer, now), NULL, NULL);
  return err ? err : vestry_forms_clear(of->app->forms, of->req, "buyer");
}

/* POST /pay */
static vestry_err pay(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  const char *name = vestry_request_value(req, VESTRY_IN_FORM, "name");
  if (!buyer_of(req)) return VESTRY_INVALID;
  if (!vestry_text_has(name, 1, NAME_MAX_CHARS))
    return say(reply, "Enter a name of at most 40 characters for the tickets.");
  vestry_err err = database_act(&app->db, sell, &(struct sale){.app = app, .req = req, .name = name});
  if (err == VESTRY_NOT_FOUND) return say(reply, "No seat is held for you any more: the minute is over.");
  return err ? err : say(reply, "");
}

/* POST /plug/{node}: the parent process kills the node without warning. It is the node that serves the tab, which is
 * seldom the node that handles this request. */
static vestry_err plug(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  int64_t node;
  vestry_err err =
      vestry_request_get(req, VESTRY_IN_PATH, "node", vestry_into_between(&node, 1, (int64_t)app->house.node.count));
  if (err) return err;
  nodes_pull_the_plug((unsigned)node);
  return vestry_reply_status(reply, 204);
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

vestry_err sales_mount(struct app *app) {
  static const vestry_mounted routes[] = {{"POST", "/hold/{seat}", hold},
                                          {"POST", "/free/{seat}", let_go},
                                          {"POST", "/pay", pay},
                                          {"POST", "/plug/{node}", plug}};
  return vestry_mount(app->program.v, "", routes, sizeof routes / sizeof *routes, app);
}
