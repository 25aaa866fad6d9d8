/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auction.h"

/* Parse a price such as "12", "12.5" or "12,50" as cents. false: not a price */
static bool read_cents(const char *text, int64_t *ret_cents) {
  char plain[16], *comma, *end;
  if (!text || !*text || strlen(text) >= sizeof plain || strspn(text, "0123456789.,") != strlen(text)) return false;
  strcpy(plain, text);
  if ((comma = strchr(plain, ',')) != NULL) *comma = '.';
  const double cents = strtod(plain, &end) * 100;
  *ret_cents = (int64_t)(cents + .5);
  return !*end && cents >= 1 && cents <= CENTS_MAX;
}

/* POST /login. Any name is accepted; a real application would check a password here. */
static vestry_err login(const vestry_request *req, vestry_reply *reply, void *ctx) {
  const char *name = vestry_request_value(req, VESTRY_IN_FORM, "name");
  if (!vestry_text_has(name, 1, NAME_MAX)) {
    vestry_reply_status(reply, 422);
    return page_login(ctx, reply, name, "Enter a name of at most 40 characters.");
  }
  vestry_err err = vestry_session_login(req, reply, name);
  return err ? err : vestry_reply_redirect(reply, 303, "/");
}

static vestry_err logout(const vestry_request *req, vestry_reply *reply, void *ctx) {
  vestry_forms_forget(((struct app *)ctx)->forms, req);
  vestry_err err = vestry_session_logout(req, reply);
  return err ? err : vestry_reply_redirect(reply, 303, "/");
}

/* Guard: all routes except the login require a logged-in user. */
static vestry_err for_members(const vestry_request *req, vestry_reply *reply, void *ctx) {
  (void)ctx;
  if (vestry_session_user(req)) return VESTRY_OK;
  vestry_reply_redirect(reply, 303, "/");
  if (req->is_datastar) vestry_reply_status(reply, 401);
  return VESTRY_FAILED;
}

static vestry_err home(const vestry_request *req, vestry_reply *reply, void *ctx) {
  if (!req->is_datastar && !vestry_session_user(req)) return page_login(ctx, reply, NULL, "");
  return vestry_page_serve(req, reply, ((struct app *)ctx)->lots, NULL);
}

struct word {
  char text[ROOM];
};
static const vestry_sql_shape word_shape = VESTRY_ROW(struct word, text);

/* POST /bid/{lot}: a single statement decides once; a trigger updates the lot in the same transaction. A bid that the
 * same request made before a crash counts as made. */
static vestry_err bid(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  const char *who = vestry_session_user(req);
  struct word why = {""};
  int64_t lot, cents;
  if (vestry_request_get(req, VESTRY_IN_PATH, "lot", vestry_into_between(&lot, 1, INT64_MAX))) return VESTRY_NOT_FOUND;
  if (!read_cents(program_text(req, "amount", 12), &cents))
    return vestry_reply_patch_signals(reply, VESTRY_OBJECT("_message", "Enter an amount, such as 12.50."));
  vestry_err err = vestry_sql_run_alone(
      app->db,
      "INSERT INTO bid SELECT id, bids + 1, ?2, ?3, ?4 FROM lot WHERE id = ?1 AND is_over = 0 AND ends_ms > ?4 AND "
      "leader <> ?2 AND ?3 >= cents + iif(bids, ?5, 0) RETURNING number",
      VESTRY_LIST(lot, who, cents, vestry_clock_ms(NULL), STEP_CENTS), NULL, NULL);
  if (!err) return vestry_reply_patch_signals(reply, VESTRY_OBJECT("_message", "", "amount", ""));
  if (err == VESTRY_NOT_FOUND)
    err = vestry_sql_read_rows(
        app->db,
        "SELECT CASE WHEN is_over OR ends_ms <= ?4 THEN 'Too late: the auction has ended.' WHEN leader = ?2 AND cents "
        "= ?3 "
        "THEN '' WHEN leader = ?2 THEN 'You already lead.' ELSE 'Too low by now.' END AS text FROM lot WHERE id = ?1",
        VESTRY_LIST(lot, who, cents, vestry_clock_ms(NULL)), VESTRY_ONE_ROW(&word_shape, &why));
  return err ? err : vestry_reply_patch_signals(reply, VESTRY_OBJECT("_message", why.text));
}

vestry_err actions_end_later(struct app *app, vestry_sql_transaction *transaction, int64_t lot, int64_t ends_ms) {
  char key[24];
  snprintf(key, sizeof key, "%lld", (long long)lot);
  const vestry_job_order end = {.kind = "end", .key = key, .payload = {key, strlen(key)}, .not_before_ms = ends_ms};
  vestry_err err = vestry_jobs_enqueue(app->jobs, transaction, &end, NULL);
  return err == VESTRY_EXISTS ? VESTRY_OK : err;
}

static vestry_err refuse(vestry_reply *reply, const char *sentence) {
  vestry_reply_status(reply, 422);
  vestry_reply_bodyf(reply, "<p>%s</p>", sentence);
  return VESTRY_FAILED;
}

/* POST /lots, with or without a picture, which is already on the disk. If this returns an error, the picture is
 * deleted. */
static vestry_err offer(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  const char *title = vestry_request_value(req, VESTRY_IN_FORM, "title"),
             *about = vestry_request_value(req, VESTRY_IN_FORM, "about");
  vestry_kept_file picture = {0};
  vestry_sql_transaction *transaction;
  int64_t cents, minutes, id;
  char url[40];
  if (!vestry_text_has(title, 1, TITLE_MAX) || !vestry_text_has(about, 0, ABOUT_MAX))
    return refuse(reply, "A lot needs a title, and no field may be longer than the form permits.");
  if (!read_cents(vestry_request_value(req, VESTRY_IN_FORM, "price"), &cents))
    return refuse(reply, "The price is not a valid amount.");
  if (vestry_request_get(req, VESTRY_IN_FORM, "minutes", vestry_into_between(&minutes, 1, MINUTES_MAX)))
    return refuse(reply, "A lot is offered for 1 to 1,380 minutes (23 hours).");
  const bool has_picture = !vestry_uploads_kept(req, 0, &picture);
  const int64_t ends_ms = vestry_clock_ms(NULL) + minutes * 60000;
  vestry_err err = vestry_sql_begin(app->db, VESTRY_SQL_WRITE, &transaction);
  if (err) return err;
  err = vestry_sql_run(
      transaction,
      "INSERT INTO lot(title, about, seller, picture, type, cents, ends_ms) VALUES(?, ?, ?, ?, ?, ?, ?) RETURNING id",
      VESTRY_LIST(title, about, vestry_session_user(req), has_picture ? picture.stored : "",
                  has_picture ? picture.type : "", cents, ends_ms),
      vestry_sql_row_integer, &id);
  if (!err) err = actions_end_later(app, transaction, id, ends_ms);
  if (!err) err = vestry_forms_clear(app->forms, req, "lot"); /* because the lot exists */
  if (err == VESTRY_NOT_FOUND) err = VESTRY_OK;               /* a request of a program, without a tab */
  err = vestry_sql_end(transaction, err);
  if (err) return err;
  snprintf(url, sizeof url, "/lot/%lld", (long long)id);
  return vestry_reply_redirect(reply, 303, url);
}

/* GET /picture/{name}: serve a lot's picture, but no other file of the folder. */
static vestry_err picture(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  const char *name = vestry_request_value(req, VESTRY_IN_PATH, "name");
  struct word type;
  vestry_err err =
      vestry_sql_read_rows(app->db, "SELECT type AS text FROM lot WHERE picture = ? AND picture <> '' LIMIT 1",
                           VESTRY_LIST(name), VESTRY_ONE_ROW(&word_shape, &type));
  if (!err) err = vestry_reply_header(reply, "Cache-Control", "private, max-age=86400, immutable");
  if (!err) err = vestry_reply_file(req, reply, app->files, name);
  return err ? err : vestry_reply_header(reply, "Content-Type", type.text);
}

struct line {
  int number;
  const char *person, *time;
  long long cents;
};
static const vestry_sql_shape line_shape = VESTRY_ROW(struct line, number, person, cents, time);

/* A name may begin like a formula, so it is marked as a text for spreadsheets. */
static vestry_err write_line(void *row, void *file) {
  const struct line *line = row;
  const char *name = line->person;
  fprintf(file, "%d,\"%s", line->number, *name && strchr("=+-@\t\r", *name) ? "'" : "");
  for (; *name; name++) fprintf(file, *name == '"' ? "\"\"" : "%c", *name);
  fprintf(file, "\",%lld.%02lld,%s\r\n", line->cents / 100, line->cents % 100, line->time);
  return VESTRY_OK;
}

/* GET /lot/{lot}/bids.csv */
static vestry_err report(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  char *text = NULL;
  size_t len = 0;
  struct line line;
  int64_t lot;
  if (vestry_request_get(req, VESTRY_IN_PATH, "lot", vestry_into_between(&lot, 1, INT64_MAX))) return VESTRY_NOT_FOUND;
  FILE *file = open_memstream(&text, &len);
  if (!file) return VESTRY_NO_MEMORY;
  fprintf(file, "number,person,euros,time\r\n");
  vestry_err err = vestry_sql_read_rows(app->db,
                                        "SELECT number, person, cents, strftime('%Y-%m-%dT%H:%M:%SZ', at_ms / 1000, "
                                        "'unixepoch') AS time FROM bid WHERE lot = ? ORDER BY number",
                                        VESTRY_LIST(lot), VESTRY_EACH_ROW(&line_shape, &line, write_line, file));
  bool is_whole = fclose(file) == 0;
  if (!err && !is_whole) err = VESTRY_NO_MEMORY;
  if (!err) err = vestry_reply_header(reply, "Content-Disposition", "attachment; filename=\"bids.csv\"");
  if (!err) err = vestry_reply_body(reply, "text/csv; charset=utf-8", text, len);
  free(text);
  return err;
}

vestry_err actions_mount(struct app *app) {
  static const vestry_mounted routes[] = {{"GET", "/", home},
                                          {"POST", "/login", login},
                                          {"POST", "/logout", logout},
                                          {"POST", "/bid/{lot}", bid},
                                          {"GET", "/lot/{lot}/bids.csv", report},
                                          {"GET", "/picture/{name}", picture}};
  static const char *const inside[] = {"/lot", "/lots", "/offer", "/bid", "/picture", "/kept"};
  const vestry_page_options lot = {.render = page_lot, .allow = page_may_see, .layout = "auction", .app = app};
  const vestry_page_options another = {.render = page_offer, .allow = page_may_see, .layout = "auction", .app = app};
  const vestry_uploads_options pictures = {.pattern = "/lots",
                                           .folder = app->folder,
                                           .types = "image/png, image/jpeg, image/webp, image/gif",
                                           .max_file_bytes = 10 << 20,
                                           .done = offer,
                                           .app = app};
  vestry *v = app->program.v;
  vestry_page *pages[2];
  vestry_err err = vestry_page_create(app->pages, &lot, &pages[0]);
  if (!err) err = vestry_page_create(app->pages, &another, &pages[1]);
  if (!err) err = vestry_mount(v, "", routes, sizeof routes / sizeof *routes, app);
  if (!err) err = vestry_route(v, "GET", "/lot/{lot}", vestry_page_handler, pages[0]);
  if (!err) err = vestry_route(v, "GET", "/offer", vestry_page_handler, pages[1]);
  if (!err) err = vestry_uploads_create(v, &pictures, &app->uploads);
  for (size_t i = 0; i < sizeof inside / sizeof *inside && !err; i++)
    err = vestry_guard(v, inside[i], for_members, app);
  return err ? err : vestry_guard(v, "/bid", vestry_rate_guard, app->rate);
}
