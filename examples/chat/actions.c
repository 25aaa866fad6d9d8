/* SPDX-License-Identifier: MIT */
/* Actions. An action changes rows without notifying pages: every page that shows them renders again. */
#include "chat.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* Return whether a text contains a visible character, and at most max characters, which are Unicode code points. A
 * field's maxlength counts an emoji as two, so it never accepts a text that is too long here. */
static bool is_good(const char *text, size_t max) {
  size_t count = 0;
  for (const char *at = text; text && *at; at++) count += ((unsigned char)*at & 0xC0) != 0x80;
  return text && count <= max && text[strspn(text, " \t\r\n")] != '\0';
}

/* ------------------------------------------------------------------------------------ login and logout --------- */

/* Guard: all routes except the login require a logged-in user. */
static vestry_err for_members(const vestry_request *req, vestry_reply *reply, void *ctx) {
  (void)ctx;
  if (vestry_session_user(req)) return VESTRY_OK;
  vestry_reply_redirect(reply, 303, "/");
  if (req->is_datastar) vestry_reply_status(reply, 401); /* the tab reloads its page */
  return VESTRY_FAILED;
}

/* Guard for pages: a page shows the login itself, because it knows to which channel the login leads. */
static vestry_err for_members_but_pages(const vestry_request *req, vestry_reply *reply, void *ctx) {
  return strcmp(req->method, "GET") == 0 ? VESTRY_OK : for_members(req, reply, ctx);
}

/* Record that the user has read a channel up to a message; ALL: up to its last one. */
enum { ALL = INT32_MAX };

static vestry_err mark_seen(vestry_sql_transaction *transaction, const char *user, int channel, int until) {
  return vestry_sql_run(
      transaction,
      "INSERT INTO seen SELECT $1, c.id, CASE WHEN l.last < $3 THEN l.last ELSE $3 END FROM channel c, "
      "(SELECT coalesce(max(id), 0) AS last FROM message WHERE channel = $2) l WHERE c.id = $2 "
      "ON CONFLICT(\"user\", channel) DO UPDATE SET id = excluded.id WHERE excluded.id > seen.id",
      VESTRY_LIST(user, channel, until), NULL, NULL);
}

/* After the transaction: refresh the tabs of the user, which read these positions aside. */
static void refresh_seen(const struct app *app, const char *user) {
  char topic[VESTRY_PAGE_TOPIC_MAX_BYTES];
  snprintf(topic, sizeof topic, "seen/%s", user);
  (void)vestry_refresh(app->pages, topic, NULL);
}

/* Return the last message of the channel that the tab has shown (chat.js); newer messages may exist. If the tab did not
 * report it, return otherwise. */
static int shown_of(const vestry_request *req, int channel, int otherwise) {
  char name[16];
  snprintf(name, sizeof name, "c%d", channel);
  const json_t *until = json_object_get(json_object_get(req->signals, "shown"), name);
  const json_int_t id = json_integer_value(until);
  return json_is_integer(until) && id >= 0 && id < ALL ? (int)id : otherwise;
}

/* POST /login. Any name is accepted; a real application would check a password here. For a new user, all existing
 * messages count as read. */
static vestry_err login(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  const char *name = vestry_request_value(req, VESTRY_IN_FORM, "name");
  int64_t channel = 0; /* the channel of the link that led to the login */
  char address[32] = "/";
  (void)vestry_request_get(req, VESTRY_IN_FORM, "channel", vestry_into_between(&channel, 0, INT32_MAX));
  if (channel) snprintf(address, sizeof address, "/channel/%d", (int)channel);
  vestry_err err = is_good(name, NAME_MAX) ? vestry_session_login(req, reply, name) : VESTRY_INVALID;
  if (err && err != VESTRY_INVALID) return err;
  if (err) {
    vestry_reply_status(reply, 422);
    return page_login(app, req, reply, (int)channel, name, "Enter a name of at most 40 characters.");
  }
  err =
      database_run_alone(&app->db,
                         "INSERT INTO seen SELECT $1, id, coalesce((SELECT max(m.id) FROM message m WHERE m.channel = "
                         "c.id), 0) FROM channel c WHERE NOT EXISTS (SELECT 1 FROM seen WHERE \"user\" = $1) "
                         "ON CONFLICT DO NOTHING",
                         VESTRY_LIST(name), NULL, NULL);
  if (!err) refresh_seen(app, name);
  return err ? err : vestry_reply_redirect(reply, 303, address);
}

static vestry_err logout(const vestry_request *req, vestry_reply *reply, void *ctx) {
  (void)ctx;
  vestry_err err = vestry_session_logout(req, reply);
  return err ? err : vestry_reply_redirect(reply, 303, "/");
}

struct entering {
  struct app *app;
  const vestry_request *req;
  int channel;
};

/* Mark as read all messages of the new channel, and of the previous channel those that the tab has shown. */
static vestry_err see(vestry_sql_transaction *transaction, void *ctx) {
  const struct entering *of = ctx;
  const char *user = vestry_session_user(of->req);
  json_t *state = tabs_get(of->app, of->req, NULL);
  if (!state) return VESTRY_LIMIT;
  const int before = (int)json_integer_value(json_object_get(state, "channel"));
  json_decref(state);
  vestry_err err = mark_seen(transaction, user, before, shown_of(of->req, before, before == of->channel ? ALL : 0));
  return err || of->channel == before ? err : mark_seen(transaction, user, of->channel, ALL);
}

/* Set the channel that the tab shows. */
static vestry_err arrive(json_t *state, void *ctx) {
  const struct entering *of = ctx;
  if (of->channel != json_integer_value(json_object_get(state, "channel"))) json_object_del(state, "older");
  return json_object_set_new(state, "channel", json_integer(of->channel)) ? VESTRY_NO_MEMORY : VESTRY_OK;
}

static vestry_err channel_of(const vestry_request *req, int *ret_channel) {
  int64_t id;
  vestry_err err = vestry_request_get(req, VESTRY_IN_PATH, "channel", vestry_into_between(&id, 1, INT32_MAX));
  if (!err) *ret_channel = (int)id;
  return err ? VESTRY_NOT_FOUND : VESTRY_OK;
}

/* Serve the page or its stream. The user is present while the stream is open. */
static vestry_err serve_at(const vestry_request *req, vestry_reply *reply, struct app *app, int channel) {
  const char *user = vestry_session_user(req);
  if (!user && req->is_datastar) return vestry_reply_status(reply, 401);
  if (!user) return page_login(app, req, reply, channel, NULL, "");
  vestry_err err = vestry_reply_present(reply, app->presence, NULL, user);
  if (!err)
    err = vestry_reply_stream(reply, &(vestry_stream_options){.connection = &(vestry_connection_options){
                                                                  .max_queued_bytes = QUEUED_MAX_BYTES}});
  return err ? err : vestry_page_serve(req, reply, app->page, NULL);
}

/* GET /: show the last channel of the tab. */
static vestry_err serve(const vestry_request *req, vestry_reply *reply, void *ctx) {
  return serve_at(req, reply, ctx, 0);
}

/* GET /channel/{channel}: changes nothing. The tab sends a POST when it shows the channel. */
static vestry_err serve_channel(const vestry_request *req, vestry_reply *reply, void *ctx) {
  int channel;
  vestry_err err = channel_of(req, &channel);
  return err ? err : serve_at(req, reply, ctx, channel);
}

/* POST /channel/{channel} */
static vestry_err go(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  struct entering of = {.app = app, .req = req};
  vestry_err err = channel_of(req, &of.channel);
  if (!err) err = tabs_change(app, req, see, arrive, &of);
  if (!err) refresh_seen(app, vestry_session_user(req));
  return err ? err : vestry_reply_status(reply, 204);
}

/* ----------------------------------------------------------------------------------- sending messages ---------- */

static vestry_err complain(vestry_reply *reply, const char *what) {
  return vestry_reply_patch_signals(reply, VESTRY_OBJECT("error", what));
}

/* POST /channel */
static vestry_err create_channel(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  const char *name = program_text(req, "name", NAME_MAX * 4);
  int64_t id = 0;
  if (!is_good(name, NAME_MAX)) return complain(reply, "A channel needs a name, of at most 40 characters.");
  vestry_err err =
      database_run_alone(&app->db,
                         "INSERT INTO channel(name) SELECT trim($1) WHERE (SELECT count(*) FROM channel) < $2 "
                         "ON CONFLICT(name) DO NOTHING RETURNING id",
                         VESTRY_LIST(name, (int)CHANNELS_MAX), vestry_sql_row_integer, &id);
  if (err == VESTRY_NOT_FOUND) return complain(reply, "A channel of this name exists, or there are too many channels.");
  char address[32];
  snprintf(address, sizeof address, "/channel/%lld", (long long)id);
  if (!err) err = vestry_reply_patch_signals(reply, VESTRY_OBJECT("name", "", "error", ""));
  return err ? err : vestry_reply_effect(reply, VESTRY_LIST("navigate", address));
}

struct saying {
  struct app *app;
  const vestry_request *req;
  int channel;
  const char *draft, *text;
  bool is_again; /* the message was stored before, and this is its repetition */
};

/* Return FULL if the user has sent too many messages in this interval. */
static vestry_err keep_pace(vestry_sql_transaction *transaction, const struct app *app, const char *user) {
  int64_t count = 0;
  vestry_err err =
      vestry_sql_run(transaction,
                     "INSERT INTO pace VALUES($1, $2, 1) ON CONFLICT(\"user\") DO UPDATE SET count = CASE WHEN "
                     "pace.slot = excluded.slot THEN pace.count + 1 ELSE 1 END, slot = excluded.slot "
                     "RETURNING count",
                     VESTRY_LIST(user, (int64_t)time(NULL) / SLOT_S), vestry_sql_row_integer, &count);
  return !err && count > app->rate ? VESTRY_FULL : err;
}

/* Store a message with its nonce (vestry/app/once.h), so that a message which is repeated after a crash is found in the
 * database. */
static vestry_err add_message(vestry_sql_transaction *transaction, void *ctx) {
  struct saying *of = ctx;
  const char *user = vestry_session_user(of->req), *once = vestry_request_header(of->req, "X-Once");
  of->is_again = false;
  vestry_err err = keep_pace(transaction, of->app, user);
  if (!err) err = database_lock(&of->app->db, transaction, of->channel); /* because messages are numbered */
  if (!err)
    err = vestry_sql_run(transaction, "SELECT id FROM channel WHERE id = $1", VESTRY_LIST(of->channel), NULL, NULL);
  if (err) return err;
  err = vestry_sql_run(transaction,
                       "INSERT INTO message(channel, id, author, text, once) "
                       "SELECT CAST($1 AS integer), coalesce(max(id), 0) + 1, $2, $3, nullif($4, '') FROM message "
                       "WHERE channel = $1 ON CONFLICT(once) DO NOTHING RETURNING id",
                       VESTRY_LIST(of->channel, user, of->text, once ? once : ""), NULL, NULL);
  of->is_again = err == VESTRY_NOT_FOUND;
  return err && !of->is_again ? err : mark_seen(transaction, user, of->channel, ALL);
}

/* Store a draft of the tab; an empty text removes it. */
static vestry_err set_draft(json_t *state, const char *name, const char *text) {
  json_t *drafts = json_object_get(state, "drafts");
  if (!drafts && json_object_set_new(state, "drafts", drafts = json_object())) return VESTRY_NO_MEMORY;
  json_object_del(drafts, name); /* the newest draft is the last member */
  if (*text && json_object_set_new(drafts, name, json_string(text))) return VESTRY_NO_MEMORY;
  if (json_object_size(drafts) > DRAFTS_MAX) json_object_del(drafts, json_object_iter_key(json_object_iter(drafts)));
  return VESTRY_OK;
}

/* Remove the draft of a message that was sent. If the message is a repetition, the user may have begun another
 * draft. */
static vestry_err forget_draft(json_t *state, void *ctx) {
  const struct saying *of = ctx;
  const char *draft = json_string_value(json_object_get(json_object_get(state, "drafts"), of->draft));
  bool is_another = of->is_again && draft && strncmp(of->text, draft, strlen(draft)) != 0;
  return is_another ? VESTRY_OK : set_draft(state, of->draft, "");
}

static vestry_err keep_draft(json_t *state, void *ctx) {
  const struct saying *of = ctx;
  return set_draft(state, of->draft, of->text);
}

/* POST /channel/{channel}/message */
static vestry_err say(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  const char *text = "";
  int channel;
  char draft[DRAFT_BYTES];
  vestry_err err = channel_of(req, &channel);
  if (!err) err = page_draft(req, channel, draft);
  if (!err) err = vestry_signals_get(req->signals, "text", VESTRY_INTO(&text), NULL);
  if (err) return err;
  const char *wrong = NULL;
  if (!is_good(text, SIZE_MAX))
    wrong = "A message needs some text.";
  else if (!is_good(text, TEXT_MAX))
    wrong = "A message has at most 2,000 characters.";
  else
    err = tabs_change(app, req, add_message, forget_draft,
                      &(struct saying){.app = app, .req = req, .channel = channel, .draft = draft, .text = text});
  if (!wrong && !err) refresh_seen(app, vestry_session_user(req));
  if (err == VESTRY_FULL) wrong = "Too many messages in a short time: wait a few seconds.";
  if (wrong) return vestry_reply_patch_signals(reply, VESTRY_OBJECT("error", wrong, (const char *)draft, text));
  if (err || !vestry_request_value(req, VESTRY_IN_QUERY, "then")) return err ? err : vestry_reply_status(reply, 204);
  char address[32]; /* older messages are shown: navigate to the new one */
  snprintf(address, sizeof address, "/channel/%d", channel);
  return vestry_reply_effect(reply, VESTRY_LIST("navigate", address));
}

/* POST /channel/{channel}/draft */
static vestry_err save_draft(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  int channel;
  char draft[DRAFT_BYTES];
  vestry_err err = channel_of(req, &channel);
  if (!err) err = page_draft(req, channel, draft);
  if (err) return err;
  const char *text = program_text(req, draft, TEXT_MAX * 4);
  if (text) err = tabs_change(app, req, NULL, keep_draft, &(struct saying){.draft = draft, .text = text});
  return err ? err : vestry_reply_status(reply, 204);
}

static vestry_err add_older(json_t *state, void *ctx) {
  json_int_t older = json_integer_value(json_object_get(state, "older")) + SHOWN;
  (void)ctx;
  if (older > SHOWN_MAX - SHOWN) older = SHOWN_MAX - SHOWN;
  return json_object_set_new(state, "older", json_integer(older)) ? VESTRY_NO_MEMORY : VESTRY_OK;
}

/* POST /channel/{channel}/older */
static vestry_err show_older(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  vestry_err err = tabs_change(app, req, NULL, add_older, NULL);
  return err ? err : vestry_reply_status(reply, 204);
}

/* Change a message that the user has written. */
static vestry_err change(struct app *app, vestry_reply *reply, const char *sql, const vestry_value *values) {
  vestry_err err = database_run_alone(&app->db, sql, values, NULL, NULL);
  return err ? err : vestry_reply_patch_signals(reply, VESTRY_OBJECT("edit", 0, "error", ""));
}

/* Return whether a message of this user was deleted. */
static bool is_deleted(struct app *app, int channel, int64_t id, const char *user) {
  return database_run_alone(&app->db,
                            "SELECT 1 FROM message WHERE channel = $1 AND id = $2 AND author = $3 AND text IS NULL",
                            VESTRY_LIST(channel, id, user), NULL, NULL) == VESTRY_OK;
}

/* PUT /channel/{channel}/message */
static vestry_err edit(const vestry_request *req, vestry_reply *reply, void *ctx) {
  const char *text = program_text(req, "edited", TEXT_MAX * 4);
  int channel;
  int64_t id;
  vestry_err err = channel_of(req, &channel);
  if (!err) err = vestry_signals_get(req->signals, "edit", vestry_into_between(&id, 1, INT32_MAX), NULL);
  if (err) return err;
  if (!is_good(text, TEXT_MAX)) return complain(reply, "A message has some text, and at most 2,000 characters.");
  err = change(ctx, reply,
               "UPDATE message SET text = $1, edited = 1 WHERE channel = $2 AND id = $3 AND author = $4 AND "
               "text IS NOT NULL RETURNING id",
               VESTRY_LIST(text, channel, id, vestry_session_user(req)));
  if (err == VESTRY_NOT_FOUND && is_deleted(ctx, channel, id, vestry_session_user(req)))
    return complain(reply, "This message was deleted meanwhile. You can still copy its new text here.");
  return err;
}

/* DELETE /channel/{channel}/message */
static vestry_err delete_message(const vestry_request *req, vestry_reply *reply, void *ctx) {
  int channel;
  int64_t id;
  vestry_err err = channel_of(req, &channel);
  if (!err) err = vestry_signals_get(req->signals, "drop", vestry_into_between(&id, 1, INT32_MAX), NULL);
  if (err) return err;
  return change(
      ctx, reply,
      "UPDATE message SET text = NULL WHERE channel = $1 AND id = $2 AND author = $3 AND text IS NOT NULL RETURNING id",
      VESTRY_LIST(channel, id, vestry_session_user(req)));
}

/* ------------------------------------------------------------------------------------------ routes ------------ */
static vestry_err serve_script(const vestry_request *req, vestry_reply *reply, void *ctx) {
  return vestry_reply_file(req, reply, ((struct app *)ctx)->program.app->files, "chat.js");
}

/* GET /counters: the level at which the pages follow the database, and its counters. */
static vestry_err serve_counters(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  struct database_counters followed = {0};
  vestry_pages_stats pages = {0};
  (void)req;
  database_counters(&app->db, &followed);
  vestry_pages_stats_get(app->pages, &pages);
  json_t *counters =
      json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "level", followed.level, "commits",
                (json_int_t)followed.commits, "other_commits", (json_int_t)followed.other_commits, "recorded",
                (json_int_t)followed.recorded, "coarse", (json_int_t)followed.coarse, "refreshed",
                (json_int_t)followed.refreshed, "streams", (json_int_t)pages.streams_count, "renders",
                (json_int_t)pages.renders_count, "unchanged", (json_int_t)pages.unchanged_count);
  vestry_err err = counters ? vestry_reply_json(reply, counters) : VESTRY_NO_MEMORY;
  json_decref(counters);
  return err;
}

static vestry_err error_page(const vestry_request *req, vestry_reply *reply, void *ctx) {
  return program_page(ctx, reply, "Chat", "<main id=\"login\"><h1>%s</h1><p><a href=\"/\">To the chat</a></p></main>",
                      req->error == 404 ? "There is no such page" : "That did not work");
}

vestry_err actions_mount(struct app *app) {
  static const vestry_mounted routes[] = {{"GET", "/", serve},
                                          {"GET", "/chat.js", serve_script},
                                          {"GET", "/counters", serve_counters},
                                          {"POST", "/login", login},
                                          {"POST", "/logout", logout},
                                          {"POST", "/channel", create_channel},
                                          {"GET", "/channel/{channel}", serve_channel},
                                          {"POST", "/channel/{channel}", go},
                                          {"POST", "/channel/{channel}/older", show_older},
                                          {"POST", "/channel/{channel}/draft", save_draft},
                                          {"POST", "/channel/{channel}/message", say},
                                          {"PUT", "/channel/{channel}/message", edit},
                                          {"DELETE", "/channel/{channel}/message", delete_message}};
  vestry *v = app->program.v;
  vestry_err err = vestry_guard(v, "/channel", for_members_but_pages, app);
  if (!err) err = vestry_guard(v, "/counters", for_members, app);
  if (!err) err = vestry_mount(v, "", routes, sizeof routes / sizeof *routes, app);
  return err ? err : vestry_error_page(v, 0, error_page, &app->program);
}
