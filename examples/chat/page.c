/* SPDX-License-Identifier: MIT */
/* The content of a tab. Its page is private: it contains the user's name, the channel of this tab, and the user's read
 * positions. Shared content is in parts, which are rendered once for all tabs: the messages of a channel, the tallies
 * of all channels, the users who are present. A page depends on the data that it has read. It names topics for other
 * data: for the users who are present, which are in no database, and for the user's read positions, which are read
 * aside (VESTRY_SQL_READ_ASIDE). */
#include "chat.h"
#include "vestry/app/csp.h"
#include "vestry/app/press.h"
#include "vestry/app/tab.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* Options of buttons and forms: the signals to send, by a regular expression, with a CSRF token and a nonce. An action
 * that sets a value is deduplicated if it is submitted again before its answer. Messages can be sent twice, and
 * channels shown twice. */
#define OPTIONS(signals, again)                                                                                        \
  (&(vestry_backend_action_options){.filter_include = signals, .csrf = true, .once = true, .deduplicate = again})
#define WITH(signals) OPTIONS(signals, true)
#define EACH(signals, seen)                                                                                            \
  (&(vestry_backend_action_options){.filter_include = signals, .csrf = true, .once = true, .sent = seen})
#define ALONE EACH("^tabId$", NULL)

/* A tab repeats the report of the messages that it has shown until it is answered, so that messages do not stay unread
 * after the server was unavailable (503). */
static const vestry_backend_action_options looked = {.filter_include = "^(tabId|shown\\..*)$",
                                                     .csrf = true,
                                                     .once = true,
                                                     .retry_interval_ms = 1000,
                                                     .retry_scaler = 1,
                                                     .retry_max_count = 60};
#define LOOKED (&looked)

/* A message is repeated each second until it is answered, so that it is stored soon after the server or its database
 * (503) is available again. */
static const vestry_backend_action_options saying = {.filter_include = "^(tabId|text)$",
                                                     .csrf = true,
                                                     .once = true,
                                                     .sent = "_sending",
                                                     .retry_interval_ms = 1000,
                                                     .retry_scaler = 1,
                                                     .retry_max_count = VESTRY_RETRY_FOREVER};

/* ---------------------------------------------------------------------------------------- shared parts --------- */

struct list {
  vestry_html *html;
  int channel, shown;
  long long until;               /* the newest message to show; 0: always the last one */
  int count;                     /* number of messages so far */
  char author[NAME_MAX * 4 + 1]; /* of the last message */
  struct tm sent;                /* of the last message */
  time_t began;                  /* time of the first message of its group */
};

/* Append an avatar, whose colour depends on the name. */
static void put_avatar(vestry_html *html, const char *name) {
  unsigned hash = 0;
  int len = 1;
  for (const char *at = name; *at; at++) hash = hash * 31 + (unsigned char)*at;
  while (((unsigned char)name[len] & 0xC0) == 0x80) len++; /* the complete first character */
  vestry_html_add(html, "<i class=\"avatar tint-%u\" aria-hidden=\"true\">%.*s</i>", hash % 6, len, name);
}

/* Append a button that navigates to the messages up to `until`, with the maximum number of messages. */
static void put_way(vestry_html *html, int channel, const char *id, long long until, const char *name) {
  vestry_html_add(html,
                  "<form class=\"way\" action=\"/channel/%d\" data-navigate><input type=\"hidden\" name=\"until\" "
                  "value=\"%lld\"><button id=\"%s\">%s</button></form>",
                  channel, until, id, name);
}

/* Append a button for older messages. It adds messages above the others; if the maximum number is shown already, it
 * shows other messages, and half of the current ones stay. */
static void put_older(struct list *list, int id) {
  vestry_html *html = list->html;
  if (list->until || list->shown >= SHOWN_MAX) {
    put_way(html, list->channel, "older", id + SHOWN_MAX / 2, "Show older");
    return;
  }
  vestry_html_add(html, "<button id=\"older\" data-on:click=\"");
  vestry_html_backend_action(html, VESTRY_METHOD_POST, ALONE, "/channel/%d/older", list->channel);
  vestry_html_add(html, "\">Show older</button>");
}

/* Append a text, whose web addresses are links. A sentence's last point is no part of an address, nor is a bracket that
 * was opened before it. */
static void put_text(vestry_html *html, const char *text) {
  const char *rest = text, *at = text;
  while ((at = strstr(at, "http"))) {
    const int scheme = strncmp(at, "https://", 8) == 0 ? 8 : strncmp(at, "http://", 7) == 0 ? 7 : 0;
    int len = scheme + (int)strcspn(at + scheme, " \t\r\n<>\"");
    while (len > scheme && (strchr(".,:;!?'", at[len - 1]) || (at[len - 1] == ')' && !memchr(at, '(', (size_t)len))))
      len--;
    if (scheme && len > scheme) {
      vestry_html_add(html, "%.*s<a href=\"%.*s\" target=\"_blank\" rel=\"noreferrer nofollow\">%.*s</a>",
                      (int)(at - rest), rest, len, at, len, at);
      rest = at + len;
    }
    at += scheme ? len : 4;
  }
  vestry_html_add(html, "%s", rest);
}

VESTRY_STRUCT(message_row, (int, id), (const char *, author), (const char *, text), (int64_t, sent), (bool, edited),
              (int64_t, total));

static vestry_err put_message(void *row, void *ctx) {
  struct list *list = ctx;
  vestry_html *html = list->html;
  const message_row *message = row;
  const char *author = message->author;
  const int id = message->id;
  const time_t sent = (time_t)message->sent;
  /* the additional message, which proves that there are older ones */
  if (!list->count++ && message->total > list->shown) {
    put_older(list, id);
    return VESTRY_OK;
  }
  struct tm now;
  char day[32], minute[8], exact[24];
  gmtime_r(&sent, &now); /* the page shows the times of its reader's zone */
  strftime(day, sizeof day, "%A, %e %B %Y", &now);
  strftime(minute, sizeof minute, "%H:%M", &now);
  strftime(exact, sizeof exact, "%Y-%m-%dT%H:%M:%SZ", &now);
  const bool is_today = now.tm_yday == list->sent.tm_yday && now.tm_year == list->sent.tm_year;
  /* A message of the same author within GROUP_S needs no name and time. */
  const bool goes_on =
      strcmp(author, list->author) == 0 && sent - list->began < GROUP_S && sent / ZONE_S == list->began / ZONE_S;
  if (!goes_on) /* chat.js shows the headings that begin a day of the reader's zone */
    vestry_html_add(html, "<h2 id=\"d%d-%d\"%-s><time datetime=\"%s\" data-local=\"day\">%s</time></h2>", list->channel,
                    id, is_today ? " hidden" : "", exact, day);
  if (!goes_on) list->began = sent;
  snprintf(list->author, sizeof list->author, "%s", author);
  list->sent = now;
  vestry_html_add(html, "<article id=\"m%d-%d\" tabindex=\"-1\"%-s>", list->channel, id,
                  goes_on ? " class=\"on\"" : "");
  put_avatar(html, author);
  vestry_html_add(html, "<header><b>%s</b> <time datetime=\"%s\" data-local=\"time\">%s</time>%-s</header><p>", author,
                  exact, minute, message->edited ? " <small>edited</small>" : "");
  put_text(html, message->text);
  return vestry_html_add(
      html,
      "</p><menu data-preserve-attr=\"style\" data-show=\"$_me == '%s'\"><button name=\"edit\" "
      "value=\"%d\">Edit</button>"
      "<button data-press=\"/channel/%d/message\" data-payload='{\"drop\":%d}'>Delete</button></menu></article>",
      author, id, list->channel, id);
}

/* Render messages of a channel: the last ones, or those up to a message. The share contains channel, number and last
 * message: "7 100 0". */
static vestry_err messages(vestry_render *render, vestry_html *html, void *ctx) {
  struct app *app = ctx;
  struct list list = {.html = html};
  message_row message;
  int64_t newest = 0;
  if (sscanf(render->share, "%d %d %lld", &list.channel, &list.shown, &list.until) != 3) return VESTRY_INVALID;
  vestry_err err = database_follow(&app->db, render);
  if (!err)
    err = vestry_sql_read_rows(
        app->db.pool,
        "SELECT id, author, text, sent, edited, count(*) OVER () AS total FROM (SELECT * FROM message WHERE channel = "
        "$1 AND id <= $3 AND text IS NOT NULL ORDER BY id DESC LIMIT $2 + 1) m ORDER BY id",
        VESTRY_LIST(list.channel, list.shown, list.until ? (int64_t)list.until : INT32_MAX),
        VESTRY_EACH_ROW(&message_row_shape, &message, put_message, &list));
  if (!err && !list.count) err = vestry_html_add(html, "<p>There are no messages yet.</p>");
  if (!err && list.until)
    err = vestry_sql_read(app->db.pool, "SELECT last FROM tally WHERE channel = $1", VESTRY_LIST(list.channel),
                          vestry_sql_row_integer, &newest);
  if (err || newest <= list.until) return err == VESTRY_NOT_FOUND ? VESTRY_OK : err;
  vestry_html_add(html, "<div id=\"newer\">");
  if (newest - list.until > SHOWN_MAX / 2)
    put_way(html, list.channel, "later", list.until + SHOWN_MAX / 2, "Show newer");
  return vestry_html_add(html, "<a id=\"newest\" href=\"/channel/%d\" data-navigate>To the newest: %lld more</a></div>",
                         list.channel, (long long)(newest - list.until));
}

/* A channel, with its last message, or the user's read position in it. */
VESTRY_STRUCT(position_row, (int, channel), (int64_t, id));

/* Append a position to a JSON object: {"c7": 41}. */
static vestry_err put_position(void *row, void *object) {
  const position_row *position = row;
  char name[16];
  snprintf(name, sizeof name, "c%d", position->channel);
  return json_object_set_new(object, name, json_integer(position->id)) ? VESTRY_NO_MEMORY : VESTRY_OK;
}

/* Render the tallies of all channels. The tab computes the number of unread messages, so that the part is the same for
 * all users. */
static vestry_err tally(vestry_render *render, vestry_html *html, void *ctx) {
  struct app *app = ctx;
  json_t *last = json_object();
  position_row position;
  vestry_err err = last ? database_follow(&app->db, render) : VESTRY_NO_MEMORY;
  if (!err)
    err = vestry_sql_read_rows(app->db.pool, "SELECT channel, last AS id FROM tally ORDER BY channel", NULL,
                               VESTRY_EACH_ROW(&position_row_shape, &position, put_position, last));
  vestry_html_add(html, "<i data-signals:_last=\"");
  vestry_html_json(html, VESTRY_VALUES(last));
  json_decref(last);
  vestry_html_add(html, "\"></i>");
  return err;
}

static void put_person(const char *user, size_t streams_count, void *ctx) {
  struct list *list = ctx;
  (void)streams_count;
  if (list->count++ >= PEOPLE_MAX) return;
  vestry_html_add(list->html, "<li>");
  put_avatar(list->html, user);
  vestry_html_add(list->html, "<span>%s</span></li>", user);
}

/* Render the users who are present. They are in no database, so the part names a topic, which page_on_presence
 * refreshes. */
static vestry_err people(vestry_render *render, vestry_html *html, void *ctx) {
  struct app *app = ctx;
  struct list list = {.html = html};
  vestry_render_topic(render, "people");
  vestry_err err = vestry_presence_each(app->presence, NULL, put_person, &list);
  if (list.count > PEOPLE_MAX) vestry_html_add(html, "<li>and %d more</li>", list.count - PEOPLE_MAX);
  return err;
}

vestry_err page_may_see(const vestry_request *req, void *ctx) {
  (void)ctx;
  return vestry_session_user(req) ? VESTRY_OK : VESTRY_NOT_FOUND;
}

void page_on_presence(const vestry_presence_change *change, void *ctx) {
  struct app *app = ctx;
  (void)change;
  vestry_refresh_here(app->pages, "people", NULL); /* each process gets this call */
}

/* ------------------------------------------------------------------------------------ the private page --------- */

vestry_err page_draft(const vestry_request *req, int channel, char name[DRAFT_BYTES]) {
  char tab[VESTRY_TAB_ID_BYTES];
  vestry_err err = vestry_tab_id(req, tab);
  if (!err) snprintf(name, DRAFT_BYTES, "draft%d_%.6s", channel, tab);
  return err;
}

/* The data that a tab shows. */
struct view {
  const char *user;
  json_t *state; /* {"channel": 7, "older": 100, "drafts": {"draft7_a0b1c2": "…"}}; any may be missing */
  /* read positions of the user, increased by the number of later messages that were deleted: {"c7": 41} */
  json_t *seen;
  vestry_html links; /* to all channels */
  int channel, shown;
  int64_t until;               /* the newest message to show, from the address; 0: the last one */
  json_int_t from;             /* the user's read position in this channel */
  bool is_sure;                /* the tab is known */
  int address;                 /* the channel of the address; 0: none */
  char name[NAME_MAX * 4 + 1]; /* of the channel; empty: there is no such channel */
  char draft[DRAFT_BYTES];     /* name of its draft */
};

VESTRY_STRUCT(channel_row, (int, id), (const char *, name));

static vestry_err put_link(void *row, void *ctx) {
  struct view *view = ctx;
  vestry_html *html = &view->links;
  const int id = ((channel_row *)row)->id;
  const char *name = ((channel_row *)row)->name;
  char seen[16];
  snprintf(seen, sizeof seen, "c%d", id);
  if (!json_object_get(view->seen, seen)) json_object_set_new(view->seen, seen, json_integer(0));
  if (!view->channel) view->channel = id; /* without a choice, the first channel is shown */
  const bool is_here = id == view->channel;
  if (is_here) snprintf(view->name, sizeof view->name, "%s", name);
  vestry_html_add(html, "<li><a id=\"to-%d\" href=\"/channel/%d\" data-navigate%-s>%s</a>", id, id,
                  is_here ? " aria-current=\"page\"" : "", name);
  if (!is_here)
    vestry_html_add(
        html, "<b title=\"Unread\" data-show=\"$_last.c%d > $_seen.c%d\" data-text=\"$_last.c%d - $_seen.c%d\"></b>",
        id, id, id, id);
  return vestry_html_add(html, "</li>");
}

/* Return the channel of the address. At /, a tab shows its last channel (put_arrival). */
static int address_of(const vestry_request *req) {
  int64_t id = 0;
  (void)vestry_request_get(req, VESTRY_IN_PATH, "channel", vestry_into_between(&id, 1, INT32_MAX));
  return (int)id;
}

/* Read the user's read positions, aside: the table `seen` has those of all users and changes with each message, and a
 * page that read it normally would be rendered for changes of adjacent rows in the file. So the actions refresh the
 * topic of the user whose positions they change, and the tallies that of deleted messages, which affect all users. */
static vestry_err look_aside(struct app *app, vestry_render *render, struct view *view) {
  vestry_sql_transaction *transaction;
  position_row position;
  vestry_err err = vestry_render_topicf(render, "seen/%s", view->user);
  if (!err) err = vestry_render_topic(render, "gone");
  if (!err) err = database_follow(&app->db, render);
  if (!err) err = vestry_sql_begin(app->db.pool, VESTRY_SQL_READ_ASIDE, &transaction);
  if (err) return err;
  err = vestry_sql_run_rows(
      transaction,
      "SELECT c.id AS channel, coalesce(s.id, 0) + (SELECT count(*) FROM (SELECT 1 FROM gone g WHERE g.channel = c.id "
      "AND g.id > coalesce(s.id, 0) LIMIT $2) n) AS id FROM channel c LEFT JOIN seen s ON s.\"user\" = $1 AND "
      "s.channel = c.id",
      VESTRY_LIST(view->user, (int)GONE_MAX),
      VESTRY_EACH_ROW(&position_row_shape, &position, put_position, view->seen));
  return vestry_sql_end(transaction, err);
}

static vestry_err look(struct app *app, vestry_render *render, struct view *view) {
  const vestry_request *req = render->request;
  vestry_html_init(&view->links, NULL);
  view->user = vestry_session_user(req);
  view->is_sure = vestry_tab_is_known(req);
  view->seen = json_object();
  vestry_err err = !view->user ? VESTRY_NOT_FOUND : view->seen ? look_aside(app, render, view) : VESTRY_NO_MEMORY;
  if (err) return err;
  view->state = tabs_get(app, req, render);
  view->channel = (int)json_integer_value(json_object_get(view->state, "channel"));
  view->address = address_of(req);
  const bool is_entered = !view->address || view->address == view->channel;
  if (view->address) view->channel = view->address;
  (void)vestry_request_get(req, VESTRY_IN_QUERY, "until", vestry_into_between(&view->until, 0, INT32_MAX));
  view->shown = view->until ? SHOWN_MAX
                            : SHOWN + (is_entered ? (int)json_integer_value(json_object_get(view->state, "older")) : 0);
  err = view->state ? VESTRY_OK : VESTRY_NO_MEMORY;
  if (!err)
    err = vestry_sql_read_rows(app->db.pool, "SELECT id, name FROM channel ORDER BY id", NULL,
                               VESTRY_EACH_ROW(&channel_row_shape, &(channel_row){0}, put_link, view));
  char seen[16];
  snprintf(seen, sizeof seen, "c%d", view->channel);
  view->from = json_integer_value(json_object_get(view->seen, seen));
  if (!err) err = page_draft(req, view->channel, view->draft);
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

/* Append the side bar: the other channels, a form for a new one, the users who are present. On a phone it is a drawer,
 * which its button opens; Escape, a press outside, and the choice of a channel close it. */
static void put_aside(struct app *app, vestry_render *render, vestry_html *html, struct view *view) {
  vestry_slice links = {.data = "", .len = 0};
  (void)vestry_html_result(&view->links, &links);
  vestry_html_add(html, "<a id=\"skip\" href=\"#composer\" data-on:click=\"evt.preventDefault(); focusMessage()\">"
                        "To the message field</a>");
  put_part(render, html, "tally", "div", "", tally, app);
  vestry_html_add(
      html,
      "<aside id=\"side\" popover aria-label=\"Channels and people\" "
      "data-on:vestry-navigated__window=\"el.matches(':popover-open') && el.hidePopover()\" data-signals:_seen=\"");
  vestry_html_json(html, VESTRY_VALUES(view->seen));
  vestry_html_add(html, "\"><div><nav aria-label=\"Channels\"><ul>%-s</ul></nav><form id=\"new\" data-on:submit=\"",
                  (const char *)links.data);
  vestry_html_backend_action(html, VESTRY_METHOD_POST, WITH("^(tabId|name)$"), "/channel");
  vestry_html_add(
      html, "\"><label for=\"name\">New channel</label><input id=\"name\" data-bind:name "
            "autocomplete=\"off\" maxlength=\"40\" placeholder=\"New channel\"><button>Create</button></form></div>");
  vestry_html_add(html, "<section id=\"here\"><h2>Here now</h2>");
  put_part(render, html, "people", "ul", "", people, app);
  vestry_html_add(html, "</section><footer>");
  put_avatar(html, view->user);
  vestry_html_add(html, "<b>%s</b>", view->user);
  if (app->cluster) vestry_html_add(html, "<a id=\"node\" href=\"/cluster\">%s</a>", app->node);
  vestry_html_add(html, "<button data-on:click=\"");
  vestry_html_backend_action(html, VESTRY_METHOD_POST, WITH("^tabId$"), "/logout");
  vestry_html_add(html, "\">Log out</button></footer></aside>");
}

/* Append the form for a message. A sent message is shown below the messages until it is one of them (chat.js); the
 * number of messages that were sent and are not shown yet is in a signal (.sent).
 *
 * A draft is a signal of its channel and its tab. It is saved while the user types, so that it survives a reload of the
 * page or a restart of the server; the page then contains it, for tabs that lack it. A message leaves the field when it
 * is sent. If it is rejected, it returns to the field in front of the text that was typed since, and is not repeated.
 * The second click of a double click finds an empty field. */
static void put_composer(vestry_html *html, const struct view *view) {
  const char *draft = view->draft,
             *saved = json_string_value(json_object_get(json_object_get(view->state, "drafts"), draft));
  const int id = view->channel;
  char include[64];
  if (!view->is_sure) { /* in a document the tab may be unknown; the stream soon sends the draft */
    vestry_html_add(
        html,
        "<form id=\"composer\"><label for=\"early\">Message</label><textarea id=\"early\" rows=\"1\" "
        "placeholder=\"Write to %s\" disabled></textarea><button class=\"first\" disabled>Send</button></form>",
        view->name);
    return;
  }
  snprintf(include, sizeof include, "^(tabId|%s)$", draft);
  vestry_html_add(html, "<form id=\"composer\" data-show=\"!$edit\" data-signals:%-s__ifmissing=\"'%s'\" ", draft,
                  saved ? saved : "");
  vestry_html_add(
      html,
      "data-on:datastar-fetch=\"evt.detail.el === el && "
      "(evt.detail.type === 'error' && evt.detail.argsRaw.status != 503 ? giveUp(el) : "
      "evt.detail.type === 'retries-failed' && "
      "($%-s = [el.once.payload.text, $%-s].filter(Boolean).join('\\n')))\" data-on:submit=\""
      "if (!$%-s && 600 > Date.now() - el.at) return; el.at = Date.now(); $text = $%-s; $%-s = ''; $error = ''; "
      "noteSent(%d, $text); ",
      draft, draft, draft, draft, draft, id);
  vestry_html_backend_action(html, VESTRY_METHOD_POST, &saying, "/channel/%d/message%-s", id,
                             view->until ? "?then=newest" : "");
  vestry_html_add(
      html,
      "\"><label for=\"%-s\">Message</label><textarea id=\"%-s\" rows=\"1\" placeholder=\"Write to %s\" "
      "enterkeyhint=\"enter\" data-bind:%-s data-on:keydown=\"sendAtEnter(evt)\" data-on:input__debounce.300ms=\"",
      draft, draft, view->name, draft);
  const vestry_backend_action_options save = {.filter_include = include, .csrf = true};
  vestry_html_backend_action(html, VESTRY_METHOD_POST, &save, "/channel/%d/draft", id);
  /* a text that was typed too late may not be saved yet */
  vestry_html_add(html, "\" data-on:vestry-kept__window=\"");
  vestry_html_backend_action(html, VESTRY_METHOD_POST, &save, "/channel/%d/draft", id);
  vestry_html_add(html, "\"></textarea><button class=\"first\">Send</button><small role=\"status\" "
                        "data-text=\"$_sending ? 'Sending…' : ''\"></small></form>");
}

/* Append the form that replaces the composer while a message is edited. */
static void put_editing(vestry_html *html, const struct view *view) {
  vestry_html_add(html, "<form id=\"editing\" data-attr:hidden=\"!$edit\" hidden data-effect=\"$edit && "
                        "setTimeout(() => document.getElementById('edited').focus())\" data-on:submit=\"$error = ''; ");
  vestry_html_backend_action(html, VESTRY_METHOD_PUT, WITH("^(tabId|edit|edited)$"), "/channel/%d/message",
                             view->channel);
  vestry_html_add(
      html,
      "\"><label for=\"edited\">New text</label><textarea id=\"edited\" rows=\"1\" "
      "data-bind:edited data-on:keydown=\"sendAtEnter(evt); evt.key == 'Escape' && !isOfComposition(evt) && "
      "(focusMessage('m%d-' + $edit), $edit = 0, $error = '')\"></textarea>"
      "<button class=\"first\">Save</button><button type=\"button\" data-on:click=\"focusMessage('m%d-' + "
      "$edit); $edit = 0; $error = ''\">Cancel"
      "</button></form>",
      view->channel, view->channel);
}

/* Append the actions of a tab that arrives at a channel by a link, an address or the back button: the tab sends a POST,
 * and a tab at / takes the address of the channel, to which it can return. For a document at /, the tab may be unknown
 * until its stream has reported it. */
static void put_arrival(vestry_html *html, const struct view *view) {
  if (!view->address && !view->is_sure) return;
  vestry_html_add(html, "<i id=\"at-%d\" hidden data-init=\"", view->channel);
  if (!view->address)
    vestry_html_add(html, "location.pathname === '/' && history.replaceState(history.state, '', '/channel/%d'); ",
                    view->channel);
  vestry_html_add(html, "$shown = shown(); ");
  vestry_html_backend_action(html, VESTRY_METHOD_POST, LOOKED, "/channel/%d", view->channel);
  vestry_html_add(html, "\"></i>");
}

static void put_room(struct app *app, vestry_render *render, vestry_html *html, struct view *view) {
  char id[32], share[32];
  /* one element for each channel, so that no list appears under another channel */
  snprintf(id, sizeof id, "list-%d", view->channel);
  snprintf(share, sizeof share, "%d %d %d", view->channel, view->shown, (int)view->until);
  vestry_html_add(
      html,
      "<section id=\"room\" data-channel=\"%d\" data-from=\"%lld\" data-init=\"follow(el)\" data-on:click=\""
      "evt.target.name == 'edit' && ($edit = Number(evt.target.value), $edited = "
      "evt.target.closest('article').querySelector('p').textContent)",
      view->channel, (long long)view->from);
  vestry_html_add(html,
                  /* the messages were seen */
                  "\" data-on:visibilitychange__document=\"document.hidden && ($shown = shown(), ");
  vestry_html_backend_action(html, VESTRY_METHOD_POST, LOOKED, "/channel/%d", view->channel);
  vestry_html_add(html, ")\">");
  static const char drawer[] =
      "<button id=\"drawer\" popovertarget=\"side\" aria-label=\"Channels and people\">\xE2\x98\xB0</button>";
  if (*view->name) {
    put_arrival(html, view);
    /* The title of the content becomes the title of the page after a navigation. */
    vestry_html_add(html,
                    "<header data-effect=\"document.title = document.getElementById('content').dataset.title = "
                    "titleOf('%s', %d, $_last, $_seen)\">%-s<h1>%s</h1><b title=\"Unread in other channels\" "
                    "data-text=\"unreadOf(%d, $_last, $_seen) || ''\"></b></header>",
                    view->name, view->channel, drawer, view->name, view->channel);
    vestry_html_add(html, "<div id=\"messages\" role=\"log\" aria-label=\"Conversation\" ");
    vestry_html_presses(html, VESTRY_METHOD_DELETE, WITH("^$"));
    vestry_html_add(html, ">");
    put_part(render, html, id, "div", share, messages, app);
    vestry_html_add(html,
                    "<ul id=\"sending-%d\" class=\"sending\" aria-label=\"Not sent yet\" aria-live=\"off\" "
                    "data-ignore-morph data-effect=\"showSending(el, %d, $_sending)\"></ul><button id=\"down\" "
                    "type=\"button\" data-ignore-morph hidden></button></div>",
                    view->channel, view->channel);
    vestry_html_add(html, "<p class=\"error\" role=\"alert\" data-text=\"$error\"></p>");
    put_composer(html, view);
    put_editing(html, view);
  } else {
    if (!render->is_stream) vestry_reply_status(render->reply, 404);
    vestry_html_add(html,
                    "<header>%-s<h1>There is no such channel</h1></header><p class=\"none\">It may never have existed. "
                    "Choose another channel, or create one.</p>"
                    "<p class=\"error\" role=\"alert\" data-text=\"$error\"></p>",
                    drawer);
  }
  vestry_html_add(html, "</section>");
}

/* Append the frame around the content, in the document only: the attributes of the tab, its signals and its tokens. */
static vestry_err put_frame(struct app *app, vestry_render *render, vestry_html *html, struct view *view) {
  const vestry_request *req = render->request;
  vestry_reply *reply = render->reply;
  char tab[VESTRY_TAB_ATTRIBUTES_BYTES], token[VESTRY_CSRF_TOKEN_BYTES], once[VESTRY_ONCE_ATTRIBUTES_BYTES];
  vestry_err err = vestry_tab_attributes(req, reply, tab, sizeof tab);
  if (!err) err = vestry_csrf_token(app->program.app->csrf, req, reply, token);
  if (!err) err = vestry_once_attributes(req, once, sizeof once);
  if (err) return err;
  program_live_begin(&app->program, render, html, "Chat");
  vestry_html_add(html, "<script src=\"/chat.js\" nonce=\"%s\"></script><div id=\"chat\" %-s %-s ",
                  vestry_reply_nonce(reply), tab, once);
  vestry_html_clock(html, NULL); /* for the times of messages */
  vestry_html_add(
      html,
      " data-signals:_csrf=\"'%s'\" "
      "data-signals:_me=\"'%s'\" data-signals=\"{text: '', name: '', edit: 0, "
      "edited: '', error: '', shown: {}, _sending: 0, _last: {}, _seen: {}}\" "
      "data-on:vestry-navigated__window=\"$edit = 0; $error = ''\" "
      "data-on:datastar-fetch=\"evt.detail.type == 'error' && "
      "evt.detail.el.closest('main') && (evt.detail.el.id != 'composer' || evt.detail.argsRaw.status != 503) "
      "&& ($error = evt.detail.argsRaw.status == 403 ? "
      "'You have logged in again elsewhere: reload this page.' : 'That did not work.')\">",
      token, view->user);
  return vestry_tab_keep(req, html, "draft");
}

/* Render the document, and later its content again (a vestry_page_fn). */
vestry_err page_render(vestry_render *render, vestry_html *html, void *ctx) {
  struct app *app = ctx;
  struct view view = {.user = NULL};
  vestry_err err = look(app, render, &view);
  if (!err && !render->is_stream) err = put_frame(app, render, html, &view);
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

/* ----------------------------------------------------------------------------------- before the log-in --------- */
#define LOGIN                                                                                                          \
  "<main id=\"login\"><h1>Chat</h1><p>Enter your name to log in.</p><form method=\"post\" action=\"/login\">"          \
  "<input type=\"hidden\" name=\"csrf\" value=\"%s\"><input type=\"hidden\" name=\"channel\" value=\"%d\">"            \
  "<label for=\"name\">Name</label><input id=\"name\" name=\"name\" "                                                  \
  "value=\"%s\" required maxlength=\"40\" autofocus autocomplete=\"username\"><p class=\"error\" "                     \
  "role=\"alert\">%s</p>"                                                                                              \
  "<button class=\"first\">Enter</button></form></main>"

vestry_err page_login(struct app *app, const vestry_request *req, vestry_reply *reply, int channel, const char *name,
                      const char *error) {
  char token[VESTRY_CSRF_TOKEN_BYTES];
  vestry_err err = vestry_csrf_token(app->program.app->csrf, req, reply, token);
  return err ? err : program_page(&app->program, reply, "Chat", LOGIN, token, channel, name ? name : "", error);
}
