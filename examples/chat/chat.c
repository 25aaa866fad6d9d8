/* The chat: people log in by a name and talk in channels. All of it is in SQLite, and pages are made of what is there:
 * a handler changes rows and is done, and every tab that shows these rows renders again, once they are on the disk.
 *
 * A tab's page is private: it has its user's name, the channel that this tab shows, how far its user has read. What many
 * look at stands in it as parts, which are rendered once for all of them: the messages of a channel, how far each
 * channel goes, who is here. No handler sends anything to a page. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../shared/program.h"
#include "db.h"

enum {
  NAME_MAX = 40,   /* characters, of people and channels */
  TEXT_MAX = 2000, /* characters, of a message */
  CHANNELS_MAX = 200,
  SHOWN = 100, /* messages of a channel; and so many more each time that older ones are wanted */
  SHOWN_MAX = 500,
  PEOPLE_MAX = 20,           /* that are named */
  DRAFTS_MAX = 16,           /* of a tab */
  DRAFT_BYTES = 32,          /* of a tab */
  SLOT_S = 10,               /* messages of a person are counted for so long */
  INTERVAL_MS = 50,          /* between two renders of one thing, when much is said */
  TALLY_MS = 500,            /* so often it is looked how far channels go */
  QUEUED_MAX_BYTES = 8 << 20 /* of a tab: SHOWN_MAX messages of TEXT_MAX characters, however they are escaped */
};

struct app {
  struct program program;
  const char *file;
  uint64_t rate; /* messages of a person within SLOT_S */
  struct db *db;
  unsigned char secret[DB_SECRET_BYTES];
  vestry_pages *pages;
  vestry_page *page;
  vestry_presence *presence;
  vestry_csrf *csrf;
  vestry_once *once;
  vestry_files *files;
  vestry_runtime *clerk; /* a thread that counts */
  vestry_timer *timer;
};

/* A text with something to see in it, of at most so many characters. */
static bool is_good(const char *text, size_t max) {
  size_t count = 0;
  for (const char *at = text; text && *at; at++) count += ((unsigned char)*at & 0xC0) != 0x80;
  return text && count <= max && text[strspn(text, " \t\r\n")] != '\0';
}

/* What buttons and forms send: signals, by a regular expression; that it was a page of ours, and that it is meant once. A
 * request that is under way goes on when the next one follows. */
#define WITH(signals)                                                                                                  \
  (&(vestry_backend_action_options){                                                                                   \
      .filter_include = signals, .csrf = true, .once = true, .cancellation = VESTRY_CANCEL_DISABLED})
#define ALONE WITH("^tabId$")

/* ------------------------------------------------------------------------------ parts, which many see ------------- */

struct list {
  vestry_html *html;
  int channel, shown;
  int count;                     /* of messages until now */
  char author[NAME_MAX * 4 + 1]; /* of the last one */
  struct tm sent;                /* likewise */
};

/* Everybody has a colour. */
static void put_avatar(vestry_html *html, const char *name) {
  unsigned hash = 0;
  int len = 1;
  for (const char *at = name; *at; at++) hash = hash * 31 + (unsigned char)*at;
  while (((unsigned char)name[len] & 0xC0) == 0x80) len++; /* the first character, whole */
  vestry_html_add(html, "<i class=\"avatar tint-%u\" aria-hidden=\"true\">%.*s</i>", hash % 6, len, name);
}

static void put_message(sqlite3_stmt *row, void *ctx) {
  struct list *list = ctx;
  vestry_html *html = list->html;
  const int id = sqlite3_column_int(row, 0);
  const char *author = (const char *)sqlite3_column_text(row, 1), *text = (const char *)sqlite3_column_text(row, 2);
  const time_t sent = (time_t)sqlite3_column_int64(row, 3);
  if (!list->count++ && sqlite3_column_int(row, 5) > list->shown) { /* one more than is shown */
    if (list->shown >= SHOWN_MAX) return;
    vestry_html_add(html, "<button id=\"older\" data-on:click=\"");
    vestry_html_backend_action(html, VESTRY_METHOD_POST, ALONE, "/channel/%d/older", list->channel);
    vestry_html_add(html, "\">Show older</button>");
    return;
  }
  struct tm now;
  char day[32], minute[8];
  localtime_r(&sent, &now);
  strftime(day, sizeof day, "%A, %e %B %Y", &now);
  strftime(minute, sizeof minute, "%H:%M", &now);
  bool is_today = now.tm_yday == list->sent.tm_yday && now.tm_year == list->sent.tm_year;
  if (!is_today) vestry_html_add(html, "<h2>%s</h2>", day);
  bool goes_on = is_today && strcmp(author, list->author) == 0; /* then a reader need not be told again who it is */
  snprintf(list->author, sizeof list->author, "%s", author);
  list->sent = now;
  vestry_html_add(html, "<article id=\"m%d-%d\" tabindex=\"-1\"%-s>", list->channel, id,
                  goes_on ? " class=\"on\"" : "");
  put_avatar(html, author);
  vestry_html_add(html, "<header><b>%s</b> <time>%s</time>%-s</header><p>%s</p>", author, minute,
                  sqlite3_column_int(row, 4) ? " <small>edited</small>" : "", text);
  vestry_html_add(
      html,
      "<menu data-preserve-attr=\"style\" data-show=\"$_me == '%s'\"><button name=\"edit\" value=\"%d\">Edit</button>"
      "<button name=\"drop\" value=\"%d\">Delete</button></menu></article>",
      author, id, id);
}

/* The last messages of a channel. Its share says which, and how many: "7 100". */
static vestry_err messages(vestry_render *render, vestry_html *html, void *ctx) {
  struct app *app = ctx;
  struct list list = {.html = html};
  if (sscanf(vestry_render_share(render), "%d %d", &list.channel, &list.shown) != 2) return VESTRY_INVALID;
  struct db_connection *db = db_take(app->db);
  vestry_err err =
      db_run(db,
             "SELECT id, author, text, sent, edited, count(*) OVER () FROM "
             "(SELECT * FROM message WHERE channel = ?1 AND text IS NOT NULL ORDER BY id DESC LIMIT ?2 + 1) "
             "ORDER BY id",
             VESTRY_KEY(list.channel, list.shown), put_message, &list);
  db_give(db);
  if (err == VESTRY_NOT_FOUND) return vestry_html_add(html, "<p>Nobody has said anything yet.</p>");
  return err;
}

static void put_last(sqlite3_stmt *row, void *last) {
  char name[16];
  snprintf(name, sizeof name, "c%d", sqlite3_column_int(row, 0));
  json_object_set_new(last, name, json_integer(sqlite3_column_int64(row, 1)));
}

/* How far all channels go. What of it somebody has not read is for the tab to tell: so this is the same for all. */
static vestry_err tally(vestry_render *render, vestry_html *html, void *ctx) {
  struct app *app = ctx;
  (void)render;
  json_t *last = json_object();
  struct db_connection *db = db_take(app->db);
  vestry_err err = db_run(db, "SELECT channel, last FROM tally ORDER BY channel", NULL, put_last, last);
  db_give(db);
  vestry_html_add(html, "<i data-signals:_last=\"");
  vestry_html_json(html, last);
  json_decref(last);
  vestry_html_add(html, "\"></i>");
  return err == VESTRY_NOT_FOUND ? VESTRY_OK : err;
}

static void put_person(const char *who, size_t streams_count, void *ctx) {
  struct list *list = ctx;
  (void)streams_count;
  if (list->count++ >= PEOPLE_MAX) return;
  vestry_html_add(list->html, "<li>");
  put_avatar(list->html, who);
  vestry_html_add(list->html, "<span>%s</span></li>", who);
}

/* Who is here is in no database. So it has a topic, which on_presence refreshes. */
static vestry_err people(vestry_render *render, vestry_html *html, void *ctx) {
  struct app *app = ctx;
  struct list list = {.html = html};
  vestry_render_topic(render, "people");
  vestry_err err = vestry_presence_each(app->presence, NULL, put_person, &list);
  if (list.count > PEOPLE_MAX) vestry_html_add(html, "<li>and %d more</li>", list.count - PEOPLE_MAX);
  return err;
}

static void on_presence(const vestry_presence_change *change, void *ctx) {
  struct app *app = ctx;
  (void)change;
  vestry_refresh(app->pages, "people", NULL);
}

/* -------------------------------------------------------------------------------------- the page, one's own ------- */

/* The signal, and the member of a tab's state, that a draft is. It is the tab's: a page that was rendered before its tab
 * was known (vestry/tab.h) leaves nothing behind. */
static vestry_err name_draft(const vestry_request *req, int channel, char name[DRAFT_BYTES]) {
  char tab[VESTRY_TAB_ID_BYTES];
  vestry_err err = vestry_tab_id(req, tab);
  if (!err) snprintf(name, DRAFT_BYTES, "draft%d_%.6s", channel, tab);
  return err;
}

/* What a tab shows. */
struct view {
  const char *user;
  json_t *state;     /* {"channel": 7, "shown": 100, "drafts": {"draft7_a0b1c2": "…"}}, each of them may be missing */
  json_t *seen;      /* how far the user has read: {"c7": 41} */
  vestry_html links; /* to all channels */
  int channel, shown;
  char name[NAME_MAX * 4 + 1]; /* of the channel; empty: there is none like that */
  char draft[DRAFT_BYTES];     /* the name of its draft */
};

static void put_link(sqlite3_stmt *row, void *ctx) {
  struct view *view = ctx;
  vestry_html *html = &view->links;
  const int id = sqlite3_column_int(row, 0);
  const char *name = (const char *)sqlite3_column_text(row, 1);
  char seen[16];
  snprintf(seen, sizeof seen, "c%d", id);
  json_object_set_new(view->seen, seen, json_integer(sqlite3_column_int64(row, 2)));
  if (!view->channel) view->channel = id; /* who has chosen none sees the first one */
  const bool is_here = id == view->channel;
  if (is_here) snprintf(view->name, sizeof view->name, "%s", name);
  vestry_html_add(
      html,
      "<li><a id=\"to-%d\" href=\"/channel/%d\"%-s data-on:click=\"evt.ctrlKey || evt.metaKey || evt.shiftKey || "
      "(evt.preventDefault(), history.replaceState(null, '', el.href), $edit = 0, $error = '', ",
      id, id, is_here ? " aria-current=\"page\"" : "");
  vestry_html_backend_action(html, VESTRY_METHOD_POST, ALONE, "/channel/%d", id);
  vestry_html_add(html, ")\">%s</a>", name);
  if (!is_here)
    vestry_html_add(
        html, "<b title=\"Unread\" data-show=\"$_last.c%d > $_seen.c%d\" data-text=\"$_last.c%d - $_seen.c%d\"></b>",
        id, id, id, id);
  vestry_html_add(html, "</li>");
}

static vestry_err look(struct app *app, vestry_render *render, struct view *view) {
  const vestry_request *req = vestry_render_request(render);
  struct db_connection *db = db_take(app->db);
  vestry_html_init(&view->links, NULL);
  view->user = vestry_session_user(req);
  view->seen = json_object();
  view->state = db_tab(db, req, render);
  view->channel = (int)json_integer_value(json_object_get(view->state, "channel"));
  view->shown = SHOWN + (int)json_integer_value(json_object_get(view->state, "older"));
  vestry_err err = !view->user ? VESTRY_NOT_FOUND : view->state && view->seen ? VESTRY_OK : VESTRY_NO_MEMORY;
  if (!err)
    err = db_run(db,
                 "SELECT c.id, c.name, coalesce(s.id, 0) FROM channel c LEFT JOIN seen s ON s.user = ? AND "
                 "s.channel = c.id ORDER BY c.id",
                 VESTRY_KEY(view->user), put_link, view);
  if (!err) err = name_draft(req, view->channel, view->draft);
  db_give(db);
  return err;
}

static void look_away(struct view *view) {
  vestry_html_finish(&view->links);
  json_decref(view->state);
  json_decref(view->seen);
}

static void put_part(vestry_render *render, vestry_html *html, const char *id, const char *element, const char *share,
                     vestry_page_fn fn, struct app *app) {
  vestry_render_part(render, html,
                     &(vestry_page_part){.id = id, .element = element, .share = share, .render = fn, .app = app});
}

/* Beside the channel: which others there are, a form for a new one, who is here. */
static void put_aside(struct app *app, vestry_render *render, vestry_html *html, struct view *view) {
  vestry_slice links = {.data = "", .len = 0};
  (void)vestry_html_result(&view->links, &links);
  put_part(render, html, "tally", "div", "", tally, app);
  vestry_html_add(html, "<aside data-signals:_seen=\"");
  vestry_html_json(html, view->seen);
  vestry_html_add(html, "\"><div><nav aria-label=\"Channels\"><ul>%-s</ul></nav><form id=\"new\" data-on:submit=\"",
                  (const char *)links.data);
  vestry_html_backend_action(html, VESTRY_METHOD_POST, WITH("^(tabId|name)$"), "/channel");
  vestry_html_add(html, "\"><label for=\"name\">New channel</label><input id=\"name\" data-bind:name "
                        "autocomplete=\"off\" placeholder=\"New channel\"><button>Create</button></form></div>");
  vestry_html_add(html, "<section id=\"here\"><h2>Here now</h2>");
  put_part(render, html, "people", "ul", "", people, app);
  vestry_html_add(html, "</section><footer>");
  put_avatar(html, view->user);
  vestry_html_add(html, "<b>%s</b><button data-on:click=\"", view->user);
  vestry_html_backend_action(html, VESTRY_METHOD_POST, ALONE, "/logout");
  vestry_html_add(html, "\">Log out</button></footer></aside>");
}

/* A draft is a signal of its channel and its tab. It is saved while it is typed, for when the page, or the server, does
 * not come back as it was; from then on it is in the page, for one that lacks it. What is sent leaves the field at once,
 * and comes back to it if it was refused. */
static void put_composer(vestry_html *html, const struct view *view) {
  const char *draft = view->draft,
             *saved = json_string_value(json_object_get(json_object_get(view->state, "drafts"), draft));
  const int id = view->channel;
  char include[64];
  snprintf(include, sizeof include, "^(tabId|%s)$", draft);
  vestry_html_add(html, "<form id=\"composer\" data-show=\"!$edit\" data-signals:%-s__ifmissing=\"'%s'\" ", draft,
                  saved ? saved : "");
  vestry_html_add(
      html,
      "data-on:datastar-fetch=\"evt.detail.el === el && ['error', 'retries-failed'].includes(evt.detail.type) "
      "&& ($%-s = $text)\" data-on:submit=\"$text = $%-s; $%-s = ''; $error = ''; ",
      draft, draft, draft);
  vestry_html_backend_action(html, VESTRY_METHOD_POST, WITH("^(tabId|text)$"), "/channel/%d/message", id);
  vestry_html_add(html,
                  "\"><label for=\"%-s\">Message</label><textarea id=\"%-s\" rows=\"1\" placeholder=\"Write to %s\" "
                  "data-bind:%-s data-on:keydown=\"evt.key == 'Enter' && !evt.shiftKey && !evt.isComposing && "
                  "(evt.preventDefault(), el.form.requestSubmit())\" data-on:input__debounce.300ms=\"",
                  draft, draft, view->name, draft);
  const vestry_backend_action_options save = {.filter_include = include, .csrf = true};
  vestry_html_backend_action(html, VESTRY_METHOD_POST, &save, "/channel/%d/draft", id);
  vestry_html_add(html, "\"></textarea><button class=\"first\">Send</button></form>");
}

/* Takes the composer's place while something is edited. */
static void put_editing(vestry_html *html, const struct view *view) {
  vestry_html_add(html, "<form id=\"editing\" data-show=\"$edit\" style=\"display: none\" data-effect=\"$edit && "
                        "setTimeout(() => document.getElementById('edited').focus())\" data-on:submit=\"$error = ''; ");
  vestry_html_backend_action(html, VESTRY_METHOD_PUT, WITH("^(tabId|edit|edited)$"), "/channel/%d/message",
                             view->channel);
  vestry_html_add(html,
                  "\"><label for=\"edited\">New text</label><textarea id=\"edited\" rows=\"1\" "
                  "data-bind:edited data-on:keydown=\"evt.key == 'Escape' && ($edit = 0)\"></textarea>"
                  "<button class=\"first\">Save</button><button type=\"button\" data-on:click=\"$edit = 0\">Cancel"
                  "</button></form>");
}

static void put_room(struct app *app, vestry_render *render, vestry_html *html, struct view *view) {
  char id[32], share[32];
  snprintf(id, sizeof id, "list-%d",
           view->channel); /* one for each channel, so that none is seen under another's name */
  snprintf(share, sizeof share, "%d %d", view->channel, view->shown);
  vestry_html_add(html,
                  "<section id=\"room\" data-channel=\"%d\" data-init=\"follow(el)\" data-on:click=\""
                  "evt.target.name == 'edit' && ($edit = Number(evt.target.value), $edited = "
                  "evt.target.closest('article').querySelector('p').textContent); "
                  "evt.target.name == 'drop' && ($drop = Number(evt.target.value), ",
                  view->channel);
  vestry_html_backend_action(html, VESTRY_METHOD_DELETE, WITH("^(tabId|drop)$"), "/channel/%d/message", view->channel);
  vestry_html_add(html, ")\">");
  if (*view->name) {
    vestry_html_add(html, "<header><h1>%s</h1></header>", view->name);
    vestry_html_add(html, "<div id=\"messages\">");
    put_part(render, html, id, "div", share, messages, app);
    vestry_html_add(html, "</div>");
    vestry_html_add(html, "<p class=\"error\" role=\"alert\" data-text=\"$error\"></p>");
    put_composer(html, view);
    put_editing(html, view);
  } else {
    vestry_reply_status(vestry_render_reply(render), 404);
    vestry_html_add(html, "<header><h1>There is no such channel</h1></header><p class=\"none\">Perhaps it never was. "
                          "Choose another one, or make a new one.</p>"
                          "<p class=\"error\" role=\"alert\" data-text=\"$error\"></p>");
  }
  vestry_html_add(html, "</section>");
}

/* Around all that changes, in the document alone: what the tab is and has, and what it proves that with. */
static vestry_err put_frame(struct app *app, vestry_render *render, vestry_html *html, struct view *view) {
  const vestry_request *req = vestry_render_request(render);
  vestry_reply *reply = vestry_render_reply(render);
  char tab[VESTRY_TAB_ATTRIBUTES_BYTES], token[VESTRY_CSRF_TOKEN_BYTES], nonce[VESTRY_ONCE_NONCE_BYTES];
  vestry_err err = vestry_tab_attributes(req, reply, tab, sizeof tab);
  if (!err) err = vestry_csrf_token(app->csrf, req, reply, token);
  if (!err) err = vestry_once_nonce(req, nonce);
  if (err) return err;
  program_live_begin(&app->program, render, html, "Chat");
  return vestry_html_add(
      html,
      "<script src=\"/chat.js\"></script><div id=\"chat\" %-s data-signals:_csrf=\"'%s'\" "
      "data-signals:_once=\"'%s'\" data-signals:_me=\"'%s'\" data-signals=\"{text: '', name: '', edit: 0, "
      "drop: 0, edited: '', error: '', _last: {}, _seen: {}}\" data-on:datastar-fetch=\"evt.detail.type == 'error' && "
      "evt.detail.el.closest('main') && ($error = evt.detail.argsRaw.status == 403 ? "
      "'You have logged in anew elsewhere: load this page again.' : 'That did not work.')\">",
      tab, token, nonce, view->user);
}

/* A vestry_page_fn: the document, and later its content again. */
static vestry_err chat(vestry_render *render, vestry_html *html, void *ctx) {
  struct app *app = ctx;
  struct view view = {.user = NULL};
  vestry_err err = look(app, render, &view);
  if (!err && !vestry_render_is_stream(render)) err = put_frame(app, render, html, &view);
  if (!err) {
    vestry_render_begin(render, html);
    put_aside(app, render, html, &view);
    put_room(app, render, html, &view);
    vestry_render_end(render, html);
    vestry_html_add(html, "</div>");
    err = program_live_end(html);
  }
  look_away(&view);
  return err;
}

/* ----------------------------------------------------------------------------------- coming, going ---------------- */

#define LOGIN                                                                                                          \
  "<main id=\"login\"><h1>Chat</h1><p>Say who you are, and come in.</p><form method=\"post\" action=\"/login\">"       \
  "<input type=\"hidden\" name=\"csrf\" value=\"%s\"><label for=\"name\">Name</label><input id=\"name\" "              \
  "name=\"name\" "                                                                                                     \
  "required autofocus autocomplete=\"username\"><p class=\"error\" role=\"alert\">%s</p>"                              \
  "<button class=\"first\">Enter</button></form></main>"

static vestry_err put_login(struct app *app, const vestry_request *req, vestry_reply *reply, const char *error) {
  char token[VESTRY_CSRF_TOKEN_BYTES];
  vestry_err err = vestry_csrf_token(app->csrf, req, reply, token);
  return err ? err : program_page(&app->program, reply, "Chat", LOGIN, token, error);
}

/* All but the log-in is for those who have logged in. */
static vestry_err for_members(const vestry_request *req, vestry_reply *reply, void *ctx) {
  (void)ctx;
  if (vestry_session_user(req)) return VESTRY_OK;
  vestry_reply_redirect(reply, 303, "/");
  if (vestry_request_is_datastar(req)) vestry_reply_status(reply, 401); /* the tab loads its page anew */
  return VESTRY_FAILED;
}

static vestry_err may_see(const vestry_request *req, void *ctx) {
  (void)ctx;
  return vestry_session_user(req) ? VESTRY_OK : VESTRY_NOT_FOUND;
}

static vestry_err mark_seen(struct db_connection *db, const char *user, int channel) {
  vestry_err err = db_run(db,
                          "INSERT INTO seen SELECT ?1, id, coalesce((SELECT max(m.id) FROM message m WHERE "
                          "m.channel = c.id), 0) FROM channel c WHERE id = ?2 "
                          "ON CONFLICT DO UPDATE SET id = excluded.id WHERE excluded.id > seen.id",
                          VESTRY_KEY(user, channel), NULL, NULL);
  return err == VESTRY_NOT_FOUND ? VESTRY_OK : err;
}

/* Whoever says so is who he says: an application asks for a password here. What was said before he first came, a
 * newcomer need not read. */
static vestry_err login(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  const char *name = vestry_request_value(req, VESTRY_IN_FORM, "name");
  if (!is_good(name, NAME_MAX) || vestry_session_login(req, reply, name)) {
    vestry_reply_status(reply, 422);
    return put_login(app, req, reply, "A name is wanted, of at most 40 characters.");
  }
  struct db_connection *db = db_begin(app->db);
  if (!db) return VESTRY_IO;
  vestry_err err = db_run(db,
                          "INSERT INTO seen SELECT ?1, id, coalesce((SELECT max(m.id) FROM message m WHERE "
                          "m.channel = c.id), 0) FROM channel c WHERE NOT EXISTS (SELECT 1 FROM seen WHERE user = ?1)",
                          VESTRY_KEY(name), NULL, NULL);
  err = db_end(db, err == VESTRY_NOT_FOUND ? VESTRY_OK : err);
  return err ? err : vestry_reply_redirect(reply, 303, "/");
}

static vestry_err logout(const vestry_request *req, vestry_reply *reply, void *ctx) {
  (void)ctx;
  vestry_err err = vestry_session_logout(req, reply);
  return err ? err : vestry_reply_redirect(reply, 303, "/");
}

/* This tab shows that channel from now on. What was said until now in it, and in the one before, its user has seen. */
static vestry_err enter(struct db_connection *db, const vestry_request *req, int channel) {
  json_t *state = db_tab(db, req, NULL);
  const int before = (int)json_integer_value(json_object_get(state, "channel"));
  vestry_err err = state ? VESTRY_OK : VESTRY_NO_MEMORY;
  if (!err) err = mark_seen(db, vestry_session_user(req), before);
  if (!err) err = mark_seen(db, vestry_session_user(req), channel);
  if (!err && json_object_set_new(state, "channel", json_integer(channel))) err = VESTRY_NO_MEMORY;
  json_object_del(state, "older");
  if (!err) err = db_tab_set(db, req, state);
  json_decref(state);
  return err;
}

static vestry_err channel_of(const vestry_request *req, int *ret_channel) {
  int64_t id;
  vestry_err err = vestry_request_integer(req, VESTRY_IN_PATH, "channel", 1, INT32_MAX, &id);
  if (!err) *ret_channel = (int)id;
  return err ? VESTRY_NOT_FOUND : VESTRY_OK;
}

/* GET /: the page, or its stream, while which its user is here. */
static vestry_err serve(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  const char *user = vestry_session_user(req);
  if (!user && vestry_request_is_datastar(req)) return vestry_reply_status(reply, 401);
  if (!user) return put_login(app, req, reply, "");
  vestry_err err = vestry_reply_present(reply, app->presence, NULL, user);
  if (!err) err = vestry_reply_stream(reply, &(vestry_connection_options){.max_queued_bytes = QUEUED_MAX_BYTES});
  return err ? err : vestry_page_serve(req, reply, app->page, NULL);
}

/* GET /channel/{channel}: a link that somebody follows from elsewhere. The stream of such a page shows what its tab
 * shows, as any other. */
static vestry_err serve_channel(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  int channel;
  vestry_err err = channel_of(req, &channel);
  if (err || vestry_request_is_datastar(req)) return err ? err : serve(req, reply, ctx);
  struct db_connection *db = db_begin(app->db);
  err = db ? db_end(db, enter(db, req, channel)) : VESTRY_IO;
  return err ? err : serve(req, reply, ctx);
}

/* POST /channel/{channel} */
static vestry_err go(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  int channel;
  vestry_err err = channel_of(req, &channel);
  struct db_connection *db = err ? NULL : db_begin(app->db);
  if (!err) err = db ? db_end(db, enter(db, req, channel)) : VESTRY_IO;
  return err ? err : vestry_reply_status(reply, 204);
}

/* ---------------------------------------------------------------------------------- what people do ---------------- */

static vestry_err complain(vestry_reply *reply, const char *what) {
  return vestry_reply_patch_signals(reply, VESTRY_OBJECT("error", what));
}

static void read_integer(sqlite3_stmt *row, void *integer) {
  *(int *)integer = sqlite3_column_int(row, 0);
}

/* POST /channel */
static vestry_err create_channel(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  const char *name = program_text(req, "name", NAME_MAX * 4);
  int id = 0;
  if (!is_good(name, NAME_MAX)) return complain(reply, "A channel needs a name, of at most 40 characters.");
  struct db_connection *db = db_begin(app->db);
  if (!db) return VESTRY_IO;
  vestry_err err = db_run(db,
                          "INSERT INTO channel(name) SELECT trim(?1) WHERE (SELECT count(*) FROM channel) < ?2 "
                          "ON CONFLICT DO NOTHING RETURNING id",
                          VESTRY_KEY(name, CHANNELS_MAX), read_integer, &id);
  if (!err) err = enter(db, req, id);
  err = db_end(db, err);
  if (err == VESTRY_NOT_FOUND) return complain(reply, "There is a channel of that name, or there are too many.");
  return err ? err : vestry_reply_patch_signals(reply, VESTRY_OBJECT("name", "", "error", ""));
}

/* Whether somebody may say something more just now. */
static vestry_err keep_pace(struct app *app, struct db_connection *db, const char *user) {
  int count = 0;
  vestry_err err = db_run(db,
                          "INSERT INTO pace VALUES(?1, unixepoch() / ?2, 1) ON CONFLICT DO UPDATE SET count = "
                          "iif(slot = excluded.slot, count + 1, 1), slot = excluded.slot RETURNING count",
                          VESTRY_KEY(user, (int)SLOT_S), read_integer, &count);
  return !err && (uint64_t)count > app->rate ? VESTRY_LIMIT : err;
}

/* Forget a tab's draft, or keep it. */
static vestry_err set_draft(struct db_connection *db, const vestry_request *req, const char *name, const char *text) {
  json_t *state = db_tab(db, req, NULL), *drafts = json_object_get(state, "drafts");
  bool is_done = state != NULL;
  if (state && !drafts) is_done = json_object_set_new(state, "drafts", drafts = json_object()) == 0;
  json_object_del(drafts, name); /* the latest one is the last */
  if (is_done && *text) is_done = json_object_set_new(drafts, name, json_string(text)) == 0;
  if (json_object_size(drafts) > DRAFTS_MAX) json_object_del(drafts, json_object_iter_key(json_object_iter(drafts)));
  vestry_err err = is_done ? db_tab_set(db, req, state) : VESTRY_NO_MEMORY;
  json_decref(state);
  return err;
}

/* A message is told by its nonce (vestry/once.h), here too: one that comes again after a crash is in the database. */
static vestry_err add_message(struct app *app, const vestry_request *req, int channel, const char *draft,
                              const char *text) {
  const char *user = vestry_session_user(req), *once = vestry_request_header(req, "X-Once");
  struct db_connection *db = db_begin(app->db);
  if (!db) return VESTRY_IO;
  int id = 0;
  vestry_err err = keep_pace(app, db, user);
  if (!err) err = db_run(db, "SELECT id FROM channel WHERE id = ?", VESTRY_KEY(channel), read_integer, &id);
  if (!err)
    err = db_run(db,
                 "INSERT INTO message(channel, id, author, text, once) "
                 "SELECT ?1, coalesce(max(id), 0) + 1, ?2, ?3, nullif(?4, '') FROM message WHERE channel = ?1 "
                 "ON CONFLICT(once) DO NOTHING RETURNING id",
                 VESTRY_KEY(channel, user, text, once ? once : ""), NULL, NULL);
  if (!err) err = mark_seen(db, user, channel);
  if (!err) err = set_draft(db, req, draft, "");
  return db_end(db, err == VESTRY_NOT_FOUND && id ? VESTRY_OK : err);
}

/* POST /channel/{channel}/message */
static vestry_err say(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  const char *text = "";
  int channel;
  char draft[DRAFT_BYTES];
  vestry_err err = channel_of(req, &channel);
  if (!err) err = name_draft(req, channel, draft);
  if (!err) err = vestry_signals_string(vestry_request_signals(req), "text", &text, NULL);
  if (err) return err;
  const char *wrong = NULL;
  if (!is_good(text, SIZE_MAX))
    wrong = "A message needs some text.";
  else if (!is_good(text, TEXT_MAX))
    wrong = "A message has at most 2,000 characters.";
  else
    err = add_message(app, req, channel, draft, text);
  if (err == VESTRY_LIMIT) wrong = "That was much in a short time: wait a few seconds.";
  if (wrong) return vestry_reply_patch_signals(reply, VESTRY_OBJECT("error", wrong, (const char *)draft, text));
  return err ? err : vestry_reply_status(reply, 204);
}

/* POST /channel/{channel}/draft */
static vestry_err save_draft(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  int channel;
  char draft[DRAFT_BYTES];
  vestry_err err = channel_of(req, &channel);
  if (!err) err = name_draft(req, channel, draft);
  if (err) return err;
  const char *text = program_text(req, draft, TEXT_MAX * 4);
  struct db_connection *db = text ? db_begin(app->db) : NULL;
  if (db) err = db_end(db, set_draft(db, req, draft, text));
  return err ? err : vestry_reply_status(reply, 204);
}

/* POST /channel/{channel}/older */
static vestry_err show_older(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  struct db_connection *db = db_begin(app->db);
  if (!db) return VESTRY_IO;
  json_t *state = db_tab(db, req, NULL);
  json_int_t older = json_integer_value(json_object_get(state, "older")) + SHOWN;
  if (older > SHOWN_MAX - SHOWN) older = SHOWN_MAX - SHOWN;
  vestry_err err = json_object_set_new(state, "older", json_integer(older)) ? VESTRY_NO_MEMORY : VESTRY_OK;
  if (!err) err = db_tab_set(db, req, state);
  json_decref(state);
  err = db_end(db, err);
  return err ? err : vestry_reply_status(reply, 204);
}

/* What only who has written it may do. */
static vestry_err change(struct app *app, vestry_reply *reply, const char *sql, const vestry_key *values) {
  struct db_connection *db = db_begin(app->db);
  vestry_err err = db ? db_end(db, db_run(db, sql, values, NULL, NULL)) : VESTRY_IO;
  return err ? err : vestry_reply_patch_signals(reply, VESTRY_OBJECT("edit", 0, "error", ""));
}

/* PUT /channel/{channel}/message */
static vestry_err edit(const vestry_request *req, vestry_reply *reply, void *ctx) {
  const char *text = program_text(req, "edited", TEXT_MAX * 4);
  int channel;
  int64_t id;
  vestry_err err = channel_of(req, &channel);
  if (!err) err = vestry_signals_integer(vestry_request_signals(req), "edit", 1, INT32_MAX, &id, NULL);
  if (err) return err;
  if (!is_good(text, TEXT_MAX)) return complain(reply, "A message has some text, and at most 2,000 characters.");
  return change(ctx, reply,
                "UPDATE message SET text = ?1, edited = 1 WHERE channel = ?2 AND id = ?3 AND author = ?4 AND "
                "text IS NOT NULL RETURNING id",
                VESTRY_KEY(text, channel, id, vestry_session_user(req)));
}

/* DELETE /channel/{channel}/message */
static vestry_err delete_message(const vestry_request *req, vestry_reply *reply, void *ctx) {
  int channel;
  int64_t id;
  vestry_err err = channel_of(req, &channel);
  if (!err) err = vestry_signals_integer(vestry_request_signals(req), "drop", 1, INT32_MAX, &id, NULL);
  if (err) return err;
  return change(
      ctx, reply,
      "UPDATE message SET text = NULL WHERE channel = ? AND id = ? AND author = ? AND text IS NOT NULL RETURNING id",
      VESTRY_KEY(channel, id, vestry_session_user(req)));
}

/* ------------------------------------------------------------------------------------ from start to end ----------- */

/* Every message moves its channel's tally, which all tabs show. So it is brought up to date now and then, by a thread
 * of its own: two thousand tabs are told twice a second at most, however much is said, and by whatever process. */
static void count(vestry_timer *timer, void *ctx) {
  struct app *app = ctx;
  int changes = 0;
  (void)timer;
  struct db_connection *db = db_take(app->db);
  (void)db_run(db,
               "SELECT 1 FROM channel c LEFT JOIN tally t ON t.channel = c.id WHERE t.last IS NOT coalesce("
               "(SELECT max(id) FROM message WHERE channel = c.id), 0) LIMIT 1",
               NULL, read_integer, &changes);
  db_give(db);
  db = changes ? db_begin(app->db) : NULL;
  if (!db) return;
  vestry_err err =
      db_run(db,
             "INSERT OR REPLACE INTO tally SELECT id, coalesce((SELECT max(id) FROM message WHERE channel = c.id), "
             "0) AS now FROM channel c WHERE now IS NOT (SELECT last FROM tally WHERE channel = c.id)",
             NULL, NULL, NULL);
  (void)db_end(db, err == VESTRY_NOT_FOUND ? VESTRY_OK : err);
}

static vestry_err serve_script(const vestry_request *req, vestry_reply *reply, void *ctx) {
  return vestry_reply_file(req, reply, ((struct app *)ctx)->files, "chat.js");
}

static vestry_err error_page(const vestry_request *req, vestry_reply *reply, void *ctx) {
  return program_page(ctx, reply, "Chat", "<main id=\"login\"><h1>%s</h1><p><a href=\"/\">To the chat</a></p></main>",
                      vestry_request_error(req) == 404 ? "There is no such page" : "That did not work");
}

enum { OPTION_DB = OPTION_OWN, OPTION_RATE };

static int read_option(int option, const char *value, void *ctx) {
  struct app *app = ctx;
  if (option == OPTION_DB) app->file = value;
  bool is_bad = option == OPTION_RATE && !options_number(value, 1, 1000000, &app->rate);
  return is_bad ? options_refuse("chat", "rate", value, "a number from 1 to 1000000 is wanted") : 0;
}

/* The database is open before the instance is created, which seals with what is kept there. */
static bool prepare(void *ctx, vestry_options *options) {
  struct app *app = ctx;
  app->db = db_open(app->file);
  if (!app->db || db_secret(app->db, app->secret)) return false;
  options->secret = app->secret;
  options->secret_len = sizeof app->secret;
  return true;
}

static vestry_err mount(struct app *app) {
  static const vestry_mounted routes[] = {{"GET", "/", serve},
                                          {"GET", "/chat.js", serve_script},
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
  vestry_err err = vestry_guard(v, "/", vestry_csrf_guard, app->csrf);
  if (!err) err = vestry_guard(v, "/", vestry_once_guard, app->once);
  if (!err) err = vestry_guard(v, "/channel", for_members, app);
  if (!err) err = vestry_mount(v, "", routes, sizeof routes / sizeof *routes, app);
  return err ? err : vestry_error_page(v, 0, error_page, &app->program);
}

static vestry_err begin(struct app *app) {
  vestry *v = app->program.v;
  const vestry_file script = {.path = "chat.js", .bytes = chat_js, .len = chat_js_len};
  const vestry_pages_options pages = {
      .secret = app->secret, .secret_len = sizeof app->secret, .interval_ms = INTERVAL_MS};
  const vestry_page_options page = {.render = chat, .allow = may_see, .app = app};
  const vestry_presence_options presence = {.on_change = on_presence, .ctx = app};
  vestry_err err = vestry_files_create(&(vestry_files_options){.embedded = &script, .embedded_count = 1}, &app->files);
  if (!err) err = vestry_csrf_create(v, NULL, &app->csrf);
  if (!err) err = vestry_once_create(v, NULL, &app->once);
  if (!err) err = vestry_pages_create(v, &pages, &app->pages);
  if (!err) err = vestry_page_create(app->pages, &page, &app->page);
  if (!err) err = vestry_presence_create(v, &presence, &app->presence);
  if (!err) err = db_attach(app->db, app->pages);
  if (!err) err = vestry_runtime_create(&(vestry_runtime_options){.threads_count = 1}, &app->clerk);
  if (!err) err = vestry_timer_create(app->clerk, count, app, &app->timer);
  if (!err) err = vestry_timer_set(app->timer, 0, TALLY_MS);
  return err ? err : mount(app);
}

/* In the order in which each stands on the next. */
static void end(struct app *app) {
  vestry_stop(app->program.v, VESTRY_NEVER_MS);
  vestry_timer_destroy(app->timer);
  vestry_runtime_destroy(app->clerk);
  vestry_presence_destroy(app->presence);
  db_detach(app->db);
  vestry_pages_destroy(app->pages);
  vestry_once_destroy(app->once);
  vestry_csrf_destroy(app->csrf);
  vestry_files_destroy(app->files);
}

int main(int argc, char **argv) {
  static const struct option names[] = {
      OPTIONS_OF_ALL, {"db", required_argument, NULL, OPTION_DB}, {"rate", required_argument, NULL, OPTION_RATE}, {0}};
  static const vestry_profile offered[] = {{.ops = &vestry_profile_brotli}, {.ops = &vestry_profile_gzip}};
  static struct app app = {.file = "chat.db", .rate = 1000};
  app.program =
      (struct program){.names = names,
                       .read_own = read_option,
                       .own = &app,
                       .prepare = prepare,
                       .style = chat_css,
                       .style_len = chat_css_len,
                       .own_help = "  --db FILE             where all is kept [chat.db]\n"
                                   "  --rate N              messages of one person within ten seconds [1000]\n"};
  vestry_sqlite_record_pages(); /* before SQLite is used: then only what a page has read renders it again */
  const vestry_session_options sessions = {.insecure = true, .storage = &db_sessions, .storage_ctx = &app.db};
  const vestry_options options = {.sessions = &sessions, .profiles = offered, .profiles_count = 2};
  program_start(&app.program, argc, argv, "chat", "Channels, and people who talk in them", &options);
  vestry_err err = begin(&app);
  if (!err)
    program_wait(&app.program);
  else
    fprintf(stderr, "chat: %s\n", vestry_strerror(err));
  end(&app);
  int status = program_finish(&app.program);
  db_close(app.db);
  return err ? 1 : status;
}
