/* SPDX-License-Identifier: MIT */
/* The board: users log in, work together on boards of cards, see who is present, and send notices to each other. Pages
 * show the content of the database. A request that changes it sends a message to an actor, which renders the board once
 * for all its pages. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../shared/program.h"
#include "assets.h"
#include "vestry/app/input.h"
#include "vestry/app/presence.h"
#include "vestry/app/press.h"
#include "vestry/app/stream.h"
#include "vestry/data/sqlite.h"

enum { NAME_MAX = 40, TEXT_MAX = 500, STAGES = 3, VERSION = 5 };

struct app {
  vestry *v;           /* of the application, as the pool */
  vestry_sql_pool *db; /* boards, cards */
  vestry_presence *presence;
  vestry_actor *painter;
  int64_t grace_ms;
};

/* ---------------------------------------------------------------------------------------------------- pages ------- */

/* A field with the token of the page, without which a page of another site could send the form. */
#define CSRF "<input type=\"hidden\" name=\"csrf\" value=\"%s\">"
/* After a logout, the typed text is removed, so that the next user of the browser does not see it. */
#define LOGOUT                                                                                                         \
  "<form method=\"post\" action=\"/logout\">" CSRF "<button data-on:click=\"$text = $notice = ''; $edit = 0\">Log out" \
  "</button></form>"
/* The state of a page is in its signals: the typed text, and the card that is being edited, with its version. The
 * signals survive a reload for the same user, also if a logout in another tab forces it: 401 leads to the login. After
 * a login in another tab an action gets 403, because the token belongs to the earlier session. Each card and each
 * notice is added once, with its content at the time of the click, even if the server is available only later. Cards
 * are added in the order of the clicks; until then, the page shows that they are not sent. The editor is outside of
 * the cards, so its text stays whatever happens to the card. */
#define BOARD                                                                                                          \
  "<main data-of=\"%s\" data-signals=\"{text: '', draft: '', edit: 0, base: 0, "                                       \
  "clash: '', gone: false, to: '', "                                                                                   \
  "notice: '', error: '', _waiting: []}\" data-init=\"const kept = 'half typed ' + location.pathname + "               \
  "el.dataset.of, was = JSON.parse(sessionStorage.getItem(kept) ?? '{}'); sessionStorage.removeItem(kept); "           \
  "$text = was.text ?? ''; $to = was.to ?? ''; $notice = was.notice ?? ''; $draft = was.draft ?? ''; "                 \
  "$base = was.base ?? 0; $edit = was.edit ?? 0\" data-on:pagehide__window=\"($text || $notice || $edit) && "          \
  "sessionStorage.setItem('half typed ' + location.pathname + el.dataset.of, JSON.stringify({text: $text, to: $to, "   \
  "notice: $notice, draft: $draft, base: $base, edit: $edit}))\" data-on:datastar-fetch=\"evt.detail.type === "        \
  "'error' && [401, 403].includes(+evt.detail.argsRaw.status) && location.reload()\">"                                 \
  "<header><a href=\"/\">Boards</a><h1>%s</h1><ul id=\"who\" class=\"here\" aria-label=\"Here now\"></ul>" LOGOUT      \
  "</header>"                                                                                                          \
  "<div id=\"notices\" role=\"log\" aria-label=\"Notices\"></div>"                                                     \
  "<form class=\"line\" data-on:submit=\"if ($_waiting.includes($text)) return; $text.trim() && ($_waiting = "         \
  "[...$_waiting, $text]); "                                                                                           \
  "%-s; $text = ''\" data-on:datastar-fetch=\"if (evt.detail.el !== el) return; const of = el.once.payload.text; "     \
  "if (['error', 'retries-failed', 'finished'].includes(evt.detail.type)) $_waiting = $_waiting.filter((text) => "     \
  "text !== of); if (['error', 'retries-failed'].includes(evt.detail.type)) $text ||= of\"><label "                    \
  "for=\"text\">New card</label><span></span>"                                                                         \
  "<input id=\"text\" data-bind:text maxlength=\"%d\" autocomplete=\"off\"><button "                                   \
  "class=\"first\">Add</button><p class=\"waiting\" role=\"status\" data-show=\"$_waiting.length\" "                   \
  "data-text=\"'Not sent yet: ' + $_waiting.join(' · ')\"></p></form>"                                                \
  "<p class=\"error\" role=\"alert\" data-text=\"$error\"></p><div "
/* The buttons of the cards act by the listener around them. */
#define EDITOR                                                                                                         \
  "><div id=\"cards\"></div></div>"                                                                                    \
  "<dialog aria-label=\"Edit a card\" data-effect=\"$edit ? el.open || el.showModal() : el.close()\" "                 \
  "data-on:close=\"$edit = 0; $clash = ''; $gone = false\">"                                                           \
  "<form data-on:submit=\"@put('/board/%d/card', {headers: {'X-CSRF-Token': $_csrf}, "                                 \
  "payload: {card: $edit, draft: $draft, base: $base}})\">"                                                            \
  "<label for=\"draft\">Text</label><textarea id=\"draft\" data-bind:draft rows=\"4\" maxlength=\"%d\"></textarea>"    \
  "<p class=\"error\" role=\"alert\" data-text=\"$clash\"></p><button class=\"first\" data-show=\"!$gone\">Save"       \
  "</button><button type=\"button\" class=\"first\" data-show=\"$gone\" "                                              \
  "data-on:click=\"$text = $draft; $edit = 0\">Make it a new card</button>"                                            \
  "<button type=\"button\" data-on:click=\"$edit = 0\">Cancel</button></form></dialog>"                                \
  "<form class=\"line to\" data-on:submit=\"%-s\">"                                                                    \
  "<input data-bind:to aria-label=\"To\" placeholder=\"To (a name)\" maxlength=\"%d\" autocomplete=\"off\">"           \
  "<input data-bind:notice aria-label=\"Notice\" placeholder=\"A notice\" maxlength=\"%d\" autocomplete=\"off\">"      \
  "<button>Send</button></form></main>"
/* Each button sends the card and the version that the user saw, so that an action never changes another version. */
#define CARD                                                                                                           \
  "<article id=\"card-%d\"><p>%s</p><footer><span>%s</span>"                                                           \
  "<button data-on:click=\"$draft = el.closest('article').firstChild.textContent; $base = %d; $clash = ''; "           \
  "$gone = false; $edit = %d\">Edit</button>"
#define MOVE "<button data-press=\"/board/%d/card/%d/move\" data-payload='{\"from\":%d,\"stage\":%d}'>%s</button>"
#define DELETE                                                                                                         \
  "<button data-press=\"/board/%d/card/%d/delete\" data-payload='{\"base\":%d}'>Delete</button></footer></article>"

static void error_document(vestry_call *call) {
  const int status = call->req->error;
  vestry_call_document(call, "The board");
  vestry_html_add(call->html, "<main class=\"narrow\"><h1>%s</h1><a href=\"/\">Boards</a></main>",
                  status == 404   ? "There is no such page"
                  : status == 403 ? "That page was out of date"
                                  : "That did not work");
}

VESTRY_STRUCT(board_row, (int, id), (const char *, title)); /* a row of the table, and the form for a new one */

/* The forms for a board, and for a log-in. The browser sends them, so they work without JavaScript, and twice sent
 * makes one board. */
static const vestry_application_form board_form = {
    .action = "/board",
    .name = "board",
    .button = "Create",
    .attributes = "class=\"line\"",
    .title = "Boards",
    VESTRY_INPUTS(VESTRY_INPUT(board_row, title, .label = "New board", .min = 1, .max = NAME_MAX,
                               .attributes = "autocomplete=\"off\""))};
VESTRY_STRUCT(person, (const char *, name));
static const vestry_application_form login_form = {
    .action = "/login",
    .name = "login",
    .button = "Enter",
    .title = "The board",
    VESTRY_INPUTS(VESTRY_INPUT(person, name, .label = "Name", .min = 1, .max = NAME_MAX,
                               .message = "Enter a name of at most 40 characters.",
                               .attributes = "autofocus autocomplete=\"username\""))};

/* GET /: the boards, or the log-in. */
static void home(vestry_call *call) {
  vestry_call_document(call, call->user ? "Boards" : "The board");
  vestry_html_add(call->html, "<main class=\"narrow\"><header><h1>%s</h1>", call->user ? "Boards" : "The board");
  if (call->user) {
    char token[VESTRY_CSRF_TOKEN_BYTES] = "";
    vestry_call_fail(call, vestry_csrf_token(call->app->csrf, call->req, call->reply, token));
    vestry_rows boards = vestry_call_rows(call, &board_row_shape, "SELECT id, title FROM board ORDER BY id", NULL);
    vestry_html_add(call->html, LOGOUT "</header><nav class=\"boards\">", token);
    for (const board_row *at; (at = vestry_next(&boards));)
      vestry_html_add(call->html, "<a href=\"/board/%d\">%s</a>", at->id, at->title);
    vestry_html_add(call->html, "</nav>");
  } else {
    vestry_html_add(call->html, "</header>");
  }
  vestry_call_form(call, call->user ? &board_form : &login_form, NULL);
  vestry_html_add(call->html, "</main>");
}

/* POST /login. Any name is accepted; a real application would check a password here. */
static void login(vestry_call *call) {
  const person *sent = call->values;
  vestry_call_fail(call, vestry_session_login(call->req, call->reply, sent->name));
}

static void logout(vestry_call *call) {
  vestry_call_fail(call, vestry_session_logout(call->req, call->reply));
  vestry_call_go(call, "/");
}

/* POST /board */
static void create_board(vestry_call *call) {
  const board_row *made = call->values;
  const int64_t id =
      vestry_call_integer(call, "INSERT INTO board(title) VALUES(?) RETURNING id", VESTRY_LIST(made->title));
  vestry_call_go(call, "/board/%lld", (long long)id);
}

/* Guard: all routes except the login require a logged-in user. */
static void for_members(vestry_call *call) {
  if (!call->user) vestry_call_go(call, "/");
}

/* ------------------------------------------------------------------------------------------------ one board ------- */

/* A message: render this board. */
struct change {
  vestry_message message; /* must be the first member */
  int64_t board;
};

/* Request that a board is rendered, with all commits so far. Threads: any. */
static vestry_err draw(struct app *app, int64_t board) {
  struct change *change = malloc(sizeof *change);
  if (!change) return VESTRY_NO_MEMORY;
  *change = (struct change){.board = board};
  vestry_err err = vestry_actor_post(app->painter, &change->message);
  if (err) free(change);
  return err;
}

static void add_person(const char *user, size_t streams_count, void *html) {
  (void)streams_count;
  vestry_html_add(html, "<li>%s</li>", user);
}

static const char *const stages[STAGES] = {"To do", "Doing", "Done"};

VESTRY_STRUCT(card_row, (int, id), (int, board), (int, stage), (int, version), (const char *, text),
              (const char *, author));

static vestry_err add_card(void *row, void *html) {
  static const char *const moves[STAGES] = {"Back to To do", "To Doing", "To Done"};
  const card_row *card = row;
  vestry_html_add(html, CARD, card->id, card->text, card->author, card->version, card->id);
  for (int to = card->stage - 1; to <= card->stage + 1; to += 2)
    if (to >= 0 && to < STAGES) vestry_html_add(html, MOVE, card->board, card->id, card->stage, to, moves[to]);
  return vestry_html_add(html, DELETE, card->board, card->id, card->version);
}

/* Send an element to all pages of a board. Each event sets all of it, so a slow page receives its last state. */
static void show(struct app *app, int64_t board, const char *element, vestry_html *html) {
  vestry_broadcast_effect(app->v, NO_SCOPE, VESTRY_KEY("board", board),
                          VESTRY_LIST("patch-elements", html, VESTRY_OBJECT("state", element)));
  vestry_html_clear(html);
}

static void draw_board(struct app *app, int64_t board) {
  vestry_html html;
  card_row card;
  vestry_html_init(&html, NULL);
  vestry_html_add(&html, "<ul id=\"who\" class=\"here\" aria-label=\"Here now\">");
  vestry_presence_each(app->presence, VESTRY_KEY("board", board), add_person, &html);
  vestry_html_add(&html, "</ul>");
  show(app, board, "who", &html);
  vestry_html_add(&html, "<div id=\"cards\">");
  for (int stage = 0; stage < STAGES; stage++) {
    vestry_html_add(&html, "<section><h2>%s</h2>", stages[stage]);
    (void)vestry_sql_read_rows(
        app->db, "SELECT id, board, text, author, stage, version FROM card WHERE board = ? AND stage = ? ORDER BY id",
        VESTRY_LIST(board, stage), VESTRY_EACH_ROW(&card_row_shape, &card, add_card, &html));
    vestry_html_add(&html, "</section>");
  }
  vestry_html_add(&html, "</div>");
  show(app, board, "cards", &html);
  vestry_html_finish(&html);
}

/* The actor that renders boards, one at a time, in the order of the messages. It reads the database after it has
 * received the message, so pages end with the last state. */
static void paint(vestry_actor *self, void *ctx) {
  for (vestry_message *message; (message = vestry_actor_receive(self)) != NULL; free(message))
    draw_board(ctx, ((struct change *)message)->board);
}

static void drop(vestry_message *message, void *ctx) {
  (void)ctx;
  free(message);
}

static void on_presence(const vestry_presence_change *change, void *ctx) {
  (void)draw(ctx, change->place->parts[1].integer);
}

/* ["draw", board]: the first effect of a page's stream. */
static vestry_err effect_draw(vestry_dispatch_context *context, const json_t *args, void *ctx) {
  (void)context;
  return draw(ctx, json_integer_value(json_array_get(args, 0)));
}

/* Write the action of a form, which runs once; an identical submission before the answer is dropped. */
static vestry_err sending(char *action, size_t size, const char *signals, const char *url) {
  const vestry_backend_action_options options = {
      .filter_include = signals, .csrf = true, .once = true, .deduplicate = true};
  return vestry_backend_action_string(action, size, VESTRY_METHOD_POST, &options, "%-s", url);
}

/* GET /board/{board} */
static void board_page(vestry_call *call) {
  char url[40], add[1024] = "", notice[1024] = "", token[VESTRY_CSRF_TOKEN_BYTES] = "";
  const board_row *is = vestry_call_row(call, &board_row_shape, "SELECT id, title FROM board WHERE id = ?",
                                        VESTRY_LIST(vestry_call_path(call, "board")));
  if (!vestry_call_need(call, is)) return;
  snprintf(url, sizeof url, "/board/%d/card", is->id);
  vestry_call_fail(call, vestry_csrf_token(call->app->csrf, call->req, call->reply, token));
  vestry_call_fail(call, sending(add, sizeof add, "^text$", url));
  vestry_call_fail(call, sending(notice, sizeof notice, "^(to|notice)$", "/notice"));
  /* The stream stays open while the tab is hidden, because its user is still present. It reconnects even after a clean
   * end, for example after a logout in another tab: then it gets 401, and the page reloads and shows the login. */
  const vestry_backend_action_options always = {.when_hidden = VESTRY_HIDDEN_OPEN, .retry = VESTRY_RETRY_ALWAYS};
  vestry_call_document(call, is->title);
  vestry_html_add(call->html, BOARD, call->user, is->title, token, add, TEXT_MAX);
  vestry_html_presses(call->html, VESTRY_METHOD_POST, &(vestry_backend_action_options){.csrf = true});
  vestry_html_add(call->html, EDITOR, is->id, TEXT_MAX, notice, NAME_MAX, TEXT_MAX);
  vestry_html_stream(call->html, call->req, NULL, &always, "/board/%d/stream", is->id);
}

/* GET /board/{board}/stream: a stream that belongs to the session, the board, the user, and the presence. */
static void stream(vestry_call *call) {
  struct app *app = call->own;
  const int64_t board = vestry_call_path(call, "board");
  const vestry_key *place = VESTRY_KEY("board", board);
  vestry_reply_keep(call->reply, VESTRY_KEEP_MANY, 0);
  vestry_call_fail(call, vestry_reply_join(call->reply, NO_SCOPE, place));
  vestry_call_fail(call, vestry_reply_add_key(call->reply, NO_SCOPE, VESTRY_KEY("user", call->user), PAGES_MAX));
  vestry_call_fail(call, vestry_reply_present(call->reply, app->presence, place, call->user));
  vestry_call_fail(call, vestry_reply_effect(call->reply, VESTRY_LIST("draw", board)));
}

static void complain(vestry_call *call, const char *what) {
  vestry_call_signals(call, VESTRY_OBJECT("error", what));
}

/* After a change of the database, request a render, and answer the request. */
static void changed(vestry_call *call, int64_t board, const vestry_value *signals) {
  if (!call->error) vestry_call_fail(call, draw(call->own, board));
  vestry_call_signals(call, signals);
}

/* POST /board/{board}/card. A repeated request finds its card in the database, even after a crash. */
static void add_new(vestry_call *call) {
  const char *text = program_text(call->req, "text", VESTRY_TEXT_BYTES(TEXT_MAX)),
             *once = vestry_request_header(call->req, "X-Once");
  const int64_t board = vestry_call_path(call, "board");
  if (!vestry_text_has(text, 1, TEXT_MAX)) {
    complain(call, "A card needs a text of at most 500 characters.");
    return;
  }
  if (!vestry_call_run(
          call,
          "INSERT INTO asked(once, board, text, author) SELECT coalesce(nullif(?, ''), hex(randomblob(16))), id, "
          "?, ? FROM board WHERE id = ? ON CONFLICT DO NOTHING RETURNING board",
          VESTRY_LIST(once ? once : "", text, call->user, board)) &&
      !vestry_call_run(call, "SELECT 1 FROM board WHERE id = ?", VESTRY_LIST(board)))
    vestry_call_fail(call, VESTRY_NOT_FOUND);
  changed(call, board, VESTRY_OBJECT("error", ""));
}

/* The current state of a card, if a request referred to another version. stage: -1: deleted */
VESTRY_STRUCT(found, (int64_t, version), (int, stage), (const char *, text), (const char *, edited_by),
              (const char *, moved_by));

enum change_of { SAVE, MOVE_TO, DELETION };

/* Answer a request that changed nothing, because another user has changed the card: report the user, and the current
 * card. */
static void say_who(vestry_call *call, enum change_of of, int64_t board, int64_t id) {
  char what[2 * VESTRY_TEXT_BYTES(TEXT_MAX)];
  const found *card = vestry_call_row(
      call, &found_shape, "SELECT version, stage, text, edited_by, moved_by FROM card WHERE id = ? AND board = ?",
      VESTRY_LIST(id, board));
  if (!vestry_call_need(call, card)) return;
  const bool is_gone = card->stage < 0, is_save = of == SAVE;
  if (is_gone && of == DELETION)
    *what = '\0';
  else if (is_gone)
    snprintf(what, sizeof what, "%s deleted this card meanwhile.%s", card->edited_by,
             is_save ? " Your text is still here." : "");
  else if (of == MOVE_TO)
    snprintf(what, sizeof what, "%s moved this card to %s meanwhile.", card->moved_by, stages[card->stage]);
  else
    snprintf(what, sizeof what, "%s changed this card meanwhile: “%s” %s", card->edited_by, card->text,
             is_save ? "Save again to replace that text." : "It was not deleted.");
  if (is_save)
    changed(call, board, VESTRY_OBJECT("clash", what, "gone", is_gone, "base", card->version));
  else
    changed(call, board, VESTRY_OBJECT("error", what));
}

/* PUT /board/{board}/card: save the text for version `base`. If a lost answer causes a repetition, it has no further
 * effect. */
static void save_card(vestry_call *call) {
  const char *text = program_text(call->req, "draft", VESTRY_TEXT_BYTES(TEXT_MAX));
  int64_t id = 0, base = 0;
  const int64_t board = vestry_call_path(call, "board");
  vestry_call_signal(call, "card", vestry_into_between(&id, 1, INT64_MAX));
  vestry_call_signal(call, "base", vestry_into_between(&base, 0, INT64_MAX));
  if (!vestry_text_has(text, 1, TEXT_MAX)) {
    vestry_call_signals(call, VESTRY_OBJECT("clash", "A card needs a text of at most 500 characters."));
    return;
  }
  if (vestry_call_run(call,
                      "UPDATE card SET version = version + (text <> ?1), edited_by = iif(text = ?1, "
                      "edited_by, ?2), text = ?1 WHERE id = ?3 AND board = ?4 AND stage >= 0 AND "
                      "(version = ?5 OR text = ?1) RETURNING id",
                      VESTRY_LIST(text, call->user, id, board, base)))
    changed(call, board, VESTRY_OBJECT("edit", 0, "clash", "", "error", ""));
  else
    say_who(call, SAVE, board, id);
}

static void change_card(vestry_call *call, enum change_of of) {
  const bool is_move = of == MOVE_TO;
  int64_t stage = -1, base = 0;
  const int64_t board = vestry_call_path(call, "board"), id = vestry_call_path(call, "card");
  if (is_move) vestry_call_signal(call, "stage", vestry_into_between(&stage, 0, STAGES - 1));
  vestry_call_signal(call, is_move ? "from" : "base", vestry_into_between(&base, 0, INT64_MAX));
  if (vestry_call_run(
          call,
          is_move ? "UPDATE card SET stage = ?1, moved_by = iif(stage = ?1, moved_by, ?2) WHERE id = ?3 AND board = ?4 "
                    "AND stage >= 0 AND stage IN (?1, ?5) RETURNING id"
                  : "UPDATE card SET stage = ?1, text = '', version = version + 1, edited_by = ?2 WHERE id = ?3 AND "
                    "board = ?4 AND stage >= 0 AND version = ?5 RETURNING id",
          VESTRY_LIST(stage, call->user, id, board, base)))
    changed(call, board, VESTRY_OBJECT("error", ""));
  else
    say_who(call, of, board, id);
}

/* POST /board/{board}/card/{card}/move: from one stage to another. */
static void move_card(vestry_call *call) {
  change_card(call, MOVE_TO);
}

/* POST /board/{board}/card/{card}/delete: version `base`. The number of a deleted card is not reused, so that a page
 * which still shows the card never refers to another one. */
static void delete_card(vestry_call *call) {
  change_card(call, DELETION);
}

/* Send a notice to all pages of one user only. */
static void send_notice(vestry_call *call) {
  const char *to = program_text(call->req, "to", VESTRY_TEXT_BYTES(NAME_MAX));
  const char *notice = program_text(call->req, "notice", VESTRY_TEXT_BYTES(TEXT_MAX));
  vestry_html html;
  if (!vestry_text_has(to, 1, NAME_MAX) || !vestry_text_has(notice, 1, TEXT_MAX)) {
    complain(call, "Enter a recipient and a text.");
    return;
  }
  vestry_html_init(&html, NULL);
  vestry_html_add(&html,
                  "<p><span>%s: %s</span><button data-on:click=\"el.parentElement.remove()\">Dismiss</button></p>",
                  call->user, notice);
  vestry_err err =
      vestry_dispatch(call->app->instance, NO_SCOPE, VESTRY_KEY("user", to),
                      VESTRY_LIST("patch-elements", &html, VESTRY_OBJECT("selector", "#notices", "mode", "append")));
  vestry_html_finish(&html);
  if (err == VESTRY_NOT_FOUND) {
    complain(call, "This person is not here.");
    return;
  }
  vestry_call_fail(call, err);
  vestry_call_signals(call, VESTRY_OBJECT("notice", "", "error", ""));
}

static const vestry_entry entries[] = {VESTRY_DOCUMENT("/", home),
                                       VESTRY_FORM(&login_form, login, .has_reply = true),
                                       VESTRY_HANDLER("POST", "/logout", logout),
                                       VESTRY_FORM(&board_form, create_board),
                                       VESTRY_DOCUMENT("/board/{board}", board_page),
                                       VESTRY_HANDLER("GET", "/board/{board}/stream", stream),
                                       VESTRY_HANDLER("POST", "/board/{board}/card", add_new),
                                       VESTRY_HANDLER("PUT", "/board/{board}/card", save_card),
                                       VESTRY_HANDLER("POST", "/board/{board}/card/{card}/delete", delete_card),
                                       VESTRY_HANDLER("POST", "/board/{board}/card/{card}/move", move_card),
                                       VESTRY_HANDLER("POST", "/notice", send_notice),
                                       VESTRY_GUARD("/board", for_members),
                                       VESTRY_GUARD("/notice", for_members),
                                       VESTRY_ERROR_DOCUMENT(error_document),
                                       {0}};

/* -------------------------------------------------------------------------------------- from start to end --------- */

static vestry_err begin(vestry_application *parts, void *own) {
  struct app *app = own;
  vestry *v = app->v = parts->instance;
  const vestry_actor_options painter = {.run = paint, .drop = drop, .ctx = app};
  const vestry_presence_options presence = {.grace_ms = (uint64_t)app->grace_ms, .on_change = on_presence, .ctx = app};
  app->db = parts->pool;
  vestry_err err = vestry_actor_create(vestry_parts_of(v)->runtime, &painter, &app->painter);
  if (!err) err = vestry_presence_create(v, &presence, &app->presence);
  return err ? err : vestry_registry_effect(vestry_parts_of(v)->registry, "draw", effect_draw, app);
}

static void end(vestry_application *parts, void *own) {
  struct app *app = own;
  vestry_runtime_stop(vestry_parts_of(parts->instance)->runtime); /* the actor has processed its messages */
  vestry_presence_destroy(app->presence);
  vestry_actor_unref(app->painter);
}

int main(int argc, char **argv) {
  static struct app app;
  const vestry_application_options application = {VESTRY_SQLITE(.path = "board.db", .schema = (const char *)schema_sql,
                                                                .schema_version = VERSION,
                                                                .setup = "PRAGMA synchronous = NORMAL"),
                                                  .entries = entries, .own = &app, .begin = begin, .end = end};
  const vestry_program_option own[] = {
      {"grace", "MS", "longest duration of a reload [2000]", vestry_into_between(&app.grace_ms, 1, 60000)}, {0}};
  struct program program = {.own = own, .application = &application, .style = board_css, .style_len = board_css_len};
  return program_main(&program, argc, argv, "board", "Boards of cards for many people");
}
