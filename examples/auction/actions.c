/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auction.h"

/* Parse a price such as "12", "12.5" or "12,50" as cents. "1.234" may mean more than a thousand, so a separator is
 * followed by two digits at most. false: not a price */
static bool read_cents(const char *text, int64_t *ret_cents) {
  static const char digits[] = "0123456789";
  const size_t len = text ? strlen(text) : 0, whole = text ? strspn(text, digits) : 0;
  const size_t part = whole < len ? strspn(text + whole + 1, digits) : 0;
  char cents[16];
  if (!len || len > 12 || part > 2 || (whole < len && (!strchr(".,", text[whole]) || whole + 1 + part < len)))
    return false;
  snprintf(cents, sizeof cents, "%.*s%.*s%s", (int)whole, text, (int)part, text + whole + 1,
           part == 2 ? ""
           : part    ? "0"
                     : "00");
  *ret_cents = strtoll(cents, NULL, 10);
  return *ret_cents >= 1 && *ret_cents <= CENTS_MAX;
}

VESTRY_STRUCT(person, (const char *, name));

/* POST /login. Any name is accepted; a real application would check a password here. */
const vestry_application_form login_form = {
    .action = "/login",
    .title = "The auction",
    .button = "Enter",
    VESTRY_INPUTS(VESTRY_INPUT(person, name, .label = "Name", .min = 1, .max = NAME_MAX,
                               .message = "Enter a name of at most 40 characters.",
                               .attributes = "autofocus autocomplete=\"username\""))};

void action_log_in(vestry_call *call) {
  const person *sent = call->values;
  vestry_call_fail(call, vestry_session_login(call->req, call->reply, sent->name));
  vestry_call_go(call, "/");
}

void action_log_out(vestry_call *call) {
  vestry_forms_forget(call->app->forms, call->req);
  vestry_call_fail(call, vestry_session_logout(call->req, call->reply));
  vestry_call_go(call, "/");
}

/* A guard: all routes except the log-in require a user. */
void action_admit_members(vestry_call *call) {
  if (!call->user) vestry_call_go(call, "/enter");
}

/* POST /bid/{lot}: a single statement decides once; a trigger updates the lot in the same transaction. A bid that the
 * same request made before a crash counts as made. */
void action_bid(vestry_call *call) {
  const int64_t lot = vestry_call_path(call, "lot");
  int64_t cents;
  if (!read_cents(program_text(call->req, "amount", 12), &cents)) {
    vestry_call_signals(call,
                        VESTRY_OBJECT("_message", "Enter an amount, such as 12.50, without separators of thousands."));
    return;
  }
  const int64_t now_ms = vestry_clock_ms(NULL);
  if (vestry_call_run(
          call,
          "INSERT INTO bid SELECT id, bids + 1, ?2, ?3, ?4 FROM lot WHERE id = ?1 AND is_over = 0 AND ends_ms > ?4 AND "
          "leader <> ?2 AND ?3 >= cents + iif(bids, ?5, 0) RETURNING number",
          VESTRY_LIST(lot, call->user, cents, now_ms, STEP_CENTS))) {
    vestry_call_signals(call, VESTRY_OBJECT("_message", "", "amount", ""));
    return;
  }
  const char *why = vestry_call_text(
      call,
      "SELECT CASE WHEN is_over OR ends_ms <= ?4 THEN 'Too late: the auction has ended.' WHEN leader = ?2 AND cents = "
      "?3 THEN '' WHEN leader = ?2 THEN 'You already lead.' ELSE 'Too low by now.' END FROM lot WHERE id = ?1",
      VESTRY_LIST(lot, call->user, cents, now_ms));
  if (vestry_call_need(call, why)) vestry_call_signals(call, VESTRY_OBJECT("_message", why));
}

/* A job: ends a lot at its time. */
void action_end_lot(vestry_call *call) {
  vestry_call_run(call, "UPDATE lot SET is_over = 1 WHERE id = ?", VESTRY_LIST(call->key));
}

static vestry_err refuse(vestry_reply *reply, const char *sentence) {
  vestry_reply_status(reply, 422);
  vestry_reply_bodyf(reply, "<p>%s</p>", sentence);
  return VESTRY_FAILED;
}

/* A lot, and the job that ends it at its time, are written together, and the text of the form is cleared. */
typedef struct new_lot {
  const struct app *app;
  const vestry_request *req;
  const char *title, *about;
  vestry_kept_file picture;
  int64_t cents, ends_ms, id;
} new_lot;

static vestry_err insert_lot(vestry_sql_transaction *transaction, void *ctx) {
  new_lot *lot = ctx;
  const vestry_application *parts = lot->app->program.app;
  char key[24];
  vestry_err err = vestry_sql_run(
      transaction,
      "INSERT INTO lot(title, about, seller, picture, type, cents, ends_ms) VALUES(?, ?, ?, ?, ?, ?, ?) RETURNING id",
      VESTRY_LIST(lot->title, lot->about, vestry_session_user(lot->req), lot->picture.stored ? lot->picture.stored : "",
                  lot->picture.type ? lot->picture.type : "", lot->cents, lot->ends_ms),
      vestry_sql_row_integer, &lot->id);
  snprintf(key, sizeof key, "%lld", (long long)lot->id);
  const vestry_job_order end = {.kind = "end", .payload = {key, strlen(key)}, .not_before_ms = lot->ends_ms};
  if (!err) err = vestry_jobs_enqueue(parts->jobs, transaction, &end, NULL);
  if (!err) err = vestry_forms_clear(parts->forms, lot->req, "lot"); /* because the lot exists */
  return err == VESTRY_NOT_FOUND ? VESTRY_OK : err;                  /* a request of a program, without a tab */
}

/* POST /lots, with or without a picture, which is already on the disk. If this returns an error, the picture is
 * deleted. */
vestry_err action_offer(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  new_lot lot = {.app = app,
                 .req = req,
                 .title = vestry_request_value(req, VESTRY_IN_FORM, "title"),
                 .about = vestry_request_value(req, VESTRY_IN_FORM, "about")};
  int64_t minutes;
  char url[40];
  if (!vestry_text_has(lot.title, 1, TITLE_MAX) || !vestry_text_has(lot.about, 0, ABOUT_MAX))
    return refuse(reply, "A lot needs a title, and no field may be longer than the form permits.");
  if (!read_cents(vestry_request_value(req, VESTRY_IN_FORM, "price"), &lot.cents))
    return refuse(reply, "The price is not a valid amount.");
  if (vestry_request_get(req, VESTRY_IN_FORM, "minutes", vestry_into_between(&minutes, 1, MINUTES_MAX)))
    return refuse(reply, "A lot is offered for 1 to 1,380 minutes (23 hours).");
  (void)vestry_uploads_kept(req, 0, &lot.picture); /* NOT_FOUND: there is no picture */
  lot.ends_ms = vestry_clock_ms(NULL) + minutes * 60000;
  vestry_err err = vestry_application_act(app->program.app, insert_lot, &lot);
  snprintf(url, sizeof url, "/lot/%lld", (long long)lot.id);
  return err ? err : vestry_reply_redirect(reply, 303, url);
}

/* GET /picture/{name}: serve a lot's picture, but no other file of the folder. */
void action_picture(vestry_call *call) {
  struct app *app = call->own;
  const char *name = vestry_request_value(call->req, VESTRY_IN_PATH, "name");
  const char *type =
      vestry_call_text(call, "SELECT type FROM lot WHERE picture = ? AND picture <> '' LIMIT 1", VESTRY_LIST(name));
  if (!vestry_call_need(call, type)) return;
  vestry_reply_header(call->reply, "Cache-Control", "private, max-age=86400, immutable");
  vestry_call_fail(call, vestry_reply_file(call->req, call->reply, app->files, name));
  vestry_reply_header(call->reply, "Content-Type", type);
}

VESTRY_STRUCT(line, (int, number), (const char *, person), (long long, cents), (const char *, time));

/* A name may begin like a formula, so it is marked as a text for spreadsheets. */
static void write_line(const line *at, FILE *file) {
  const char *name = at->person;
  fprintf(file, "%d,\"%s", at->number, *name && strchr("=+-@\t\r", *name) ? "'" : "");
  for (; *name; name++) fprintf(file, *name == '"' ? "\"\"" : "%c", *name);
  fprintf(file, "\",%lld.%02lld,%s\r\n", at->cents / 100, at->cents % 100, at->time);
}

/* GET /lot/{lot}/bids.csv */
void action_report(vestry_call *call) {
  char *text = NULL;
  size_t len = 0;
  vestry_rows bids = vestry_call_rows(call, &line_shape,
                                      "SELECT number, person, cents, strftime('%Y-%m-%dT%H:%M:%SZ', at_ms / 1000, "
                                      "'unixepoch') AS time FROM bid WHERE lot = ? ORDER BY number",
                                      VESTRY_LIST(vestry_call_path(call, "lot")));
  FILE *file = open_memstream(&text, &len);
  if (!file) vestry_call_fail(call, VESTRY_NO_MEMORY);
  if (!file) return;
  fprintf(file, "number,person,euros,time\r\n");
  for (const line *at; (at = vestry_next(&bids));) write_line(at, file);
  vestry_call_fail(call, fclose(file) ? VESTRY_NO_MEMORY : VESTRY_OK);
  vestry_reply_header(call->reply, "Content-Disposition", "attachment; filename=\"bids.csv\"");
  vestry_call_fail(call, vestry_reply_body(call->reply, "text/csv; charset=utf-8", text, len));
  free(text);
}
