/* SPDX-License-Identifier: MIT */
/* The poll: users ask questions, other users vote, and all pages show the bars move. The page of a question is private,
 * because it marks the user's vote. Its bars are a part that all its pages share and that is rendered once for all of
 * them. There is no lock: questions never change after they were asked, and votes are atomic. All data is in memory. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../shared/program.h"
#include "assets.h"
#include "vestry/app/guest.h"
#include "vestry/app/input.h"
#include "vestry/app/press.h"
#include "vestry/app/session.h"

enum { TEXT_MAX = 120, ANSWERS_MIN = 2, ANSWERS_MAX = 6, QUESTIONS_MAX = 200, VOTERS_MAX = 4096, TOPIC_MAX = 64 };

/* The vote of a user. A place belongs to its user for ever. */
struct vote {
  _Atomic uint64_t who; /* 0: free */
  atomic_int answer;    /* from 1; 0: none yet */
};

struct question {
  atomic_bool is_asked; /* all texts are complete */
  int id;               /* from 1 */
  char title[VESTRY_TEXT_BYTES(TEXT_MAX)], answers[ANSWERS_MAX][VESTRY_TEXT_BYTES(TEXT_MAX)];
  int answers_count;
  atomic_int counts[ANSWERS_MAX + 1]; /* votes for each answer; index 0 is not used */
  struct vote votes[VOTERS_MAX];
};

struct app {
  struct program program;
  vestry_pages *pages;
  vestry_page *list, *one;
  atomic_int places_count; /* number of places taken in questions; may exceed their number */
  struct question questions[QUESTIONS_MAX];
};

/* ----------------------------------------------------------------------------------------------- the votes -------- */

/* Return the place of a user's vote. NULL: the user has none; with take: no place is free. */
static struct vote *vote_of(struct question *question, uint64_t who, bool take) {
  for (size_t i = 0; i < VOTERS_MAX; i++) {
    struct vote *vote = &question->votes[(who + i) % VOTERS_MAX];
    uint64_t owner = atomic_load(&vote->who);
    if (!owner && !take) return NULL;
    if (!owner && atomic_compare_exchange_strong(&vote->who, &owner, who)) return vote;
    if (owner == who) return vote; /* also if another request of this user has just taken it */
  }
  return NULL;
}

/* Record a vote. If the user had another answer, the request that replaces it also removes the former vote, exactly
 * once. */
static vestry_err put_vote(struct question *question, uint64_t who, int answer) {
  struct vote *vote = vote_of(question, who, true);
  if (!vote) return VESTRY_LIMIT;
  int before = atomic_exchange(&vote->answer, answer);
  atomic_fetch_add(&question->counts[answer], 1);
  atomic_fetch_sub(&question->counts[before], 1);
  return VESTRY_OK;
}

static int total_of(struct question *question) {
  int total = 0;
  for (int i = 1; i <= question->answers_count; i++) total += atomic_load(&question->counts[i]);
  return total;
}

/* Return the question of the path; NULL: there is none. */
static struct question *question_of(struct app *app, const vestry_request *req) {
  int64_t id;
  if (vestry_request_get(req, VESTRY_IN_PATH, "id", vestry_into_between(&id, 1, QUESTIONS_MAX))) return NULL;
  return atomic_load(&app->questions[id - 1].is_asked) ? &app->questions[id - 1] : NULL;
}

static struct question *ask(struct app *app, const char *title, const char *const answers[], int count) {
  int place = QUESTIONS_MAX;
  if (atomic_load(&app->places_count) < QUESTIONS_MAX) place = atomic_fetch_add(&app->places_count, 1);
  if (place >= QUESTIONS_MAX) return NULL;
  struct question *question = &app->questions[place];
  question->id = place + 1;
  question->answers_count = count;
  snprintf(question->title, sizeof question->title, "%s", title);
  for (int i = 0; i < count; i++) snprintf(question->answers[i], sizeof question->answers[i], "%s", answers[i]);
  atomic_store(&question->is_asked, true);
  return question;
}

/* ----------------------------------------------------------------------------------------------- the pages -------- */

/* The topics: the list; the bars of a question; a question as one user sees it. */
#define LIST "questions"
#define BARS "question/%d"
#define OWN  "question/%d/%016llx"

/* Append a form for a new question, above the list of questions and outside of the live content, so that no event
 * changes the typed text. Rejected and unsent text stays in the form, and the browser restores it when the user
 * returns. */
static void put_form(vestry_html *html) {
  vestry_html_add(html, "<form method=\"post\" action=\"/poll\" data-signals=\"{error: '', asked: ''}\" "
                        "data-indicator:_asking data-effect=\"$asked && (el.reset(), location.assign($asked))\" "
                        "data-on:submit=\"$error = ''; $_asking || ");
  const vestry_backend_action_options fields = {.content = VESTRY_CONTENT_FORM};
  vestry_html_backend_action(html, VESTRY_METHOD_POST, &fields, "/poll");
  vestry_html_add(html,
                  "\"><h2>Ask another</h2><label for=\"title\">Question</label>"
                  "<input id=\"title\" name=\"title\" required maxlength=\"%d\">"
                  "<fieldset><legend>Answers, two to six</legend>",
                  TEXT_MAX);
  for (int i = 1; i <= ANSWERS_MAX; i++)
    vestry_html_add(html, "<input name=\"answer\" aria-label=\"Answer %d\" maxlength=\"%d\"%-s>", i, TEXT_MAX,
                    i <= ANSWERS_MIN ? " required" : "");
  vestry_html_add(html, "</fieldset><p class=\"error\" role=\"alert\" data-text=\"$error\"></p>"
                        "<button class=\"first\">Ask</button><p class=\"waiting\" role=\"status\" "
                        "data-show=\"$_asking\">Not asked yet. Trying again…</p></form>");
}

static vestry_err list(vestry_render *render, vestry_html *html, void *ctx) {
  struct app *app = ctx;
  vestry_render_topic(render, LIST);
  program_live_begin(&app->program, render, html, "Questions");
  vestry_html_add(html, "<main class=\"list\"><h1>Questions</h1>");
  put_form(html);
  vestry_render_begin(render, html);
  for (int id = QUESTIONS_MAX; id > 0; id--) {
    struct question *question = &app->questions[id - 1];
    if (!atomic_load(&question->is_asked)) continue;
    int total = total_of(question);
    vestry_html_add(html, "<a href=\"/poll/%d\"><span>%s</span><small>%d %-s</small></a>", id, question->title, total,
                    total == 1 ? "vote" : "votes");
  }
  vestry_render_end(render, html);
  vestry_html_add(html, "</main>");
  return program_live_end(html);
}

/* Render the bars, the part that all pages of a question share. */
static vestry_err bars(vestry_render *render, vestry_html *html, void *ctx) {
  struct question *question = ctx;
  char topic[TOPIC_MAX];
  snprintf(topic, sizeof topic, BARS, question->id);
  vestry_render_topic(render, topic);
  int total = total_of(question);
  vestry_html_add(html, "<h2>%d %-s</h2><ul>", total, total == 1 ? "vote" : "votes");
  for (int i = 1; i <= question->answers_count; i++) {
    int count = atomic_load(&question->counts[i]), percent = total > 0 ? (200 * count + total) / (2 * total) : 0;
    vestry_html_add(html,
                    "<li><span>%s</span><span>%d<small>%d %%</small></span>"
                    "<svg class=\"bar\" aria-hidden=\"true\"><rect width=\"%d%%\" height=\"100%%\"/></svg></li>",
                    question->answers[i - 1], count, percent, percent);
  }
  return vestry_html_add(html, "</ul>");
}

/* GET /poll/{id}: contains the part, which is rendered separately. */
static vestry_err one(vestry_render *render, vestry_html *html, void *ctx) {
  struct app *app = ctx;
  const vestry_request *req = render->request;
  struct question *question = question_of(app, req);
  const uint64_t who = (uint64_t)vestry_guest_number(vestry_guest_id(req));
  char topic[TOPIC_MAX];
  if (!question) return VESTRY_NOT_FOUND;
  snprintf(topic, sizeof topic, OWN, question->id, (unsigned long long)who);
  vestry_render_topic(render, topic);
  struct vote *vote = vote_of(question, who, false);
  const int own = vote ? atomic_load(&vote->answer) : 0;
  program_live_begin(&app->program, render, html, question->title);
  vestry_render_begin(render, html);
  vestry_html_add(html, "<nav><a href=\"/\">All questions</a></nav><h1>%s</h1><section ", question->title);
  vestry_html_presses(html, VESTRY_METHOD_POST, NULL);
  vestry_html_add(html, "><h2>Your vote</h2>");
  for (int i = 1; i <= question->answers_count; i++)
    vestry_html_add(html, "<button id=\"answer-%d\" aria-pressed=\"%-s\" data-press=\"/poll/%d/vote/%d\">%s</button>",
                    i, i == own ? "true" : "false", question->id, i, question->answers[i - 1]);
  vestry_html_add(html, "<p role=\"status\">%-s</p></section>",
                  own ? "You can still change your mind." : "You have not voted yet.");
  const vestry_page_part part = {.size = sizeof part,
                                 .id = "bars",
                                 .element = "section",
                                 .share = "",
                                 .render = bars,
                                 .app = question,
                                 .attributes = "aria-label=\"Result\""};
  vestry_render_part(render, html, &part);
  vestry_render_end(render, html);
  return program_live_end(html);
}

/* ----------------------------------------------------------------------------------------------- handlers --------- */

#define SORRY "<main class=\"list\"><h1>%s</h1><a href=\"/\">All questions</a></main>"

/* GET /: the same for all users. */
static vestry_err serve_list(const vestry_request *req, vestry_reply *reply, void *ctx) {
  return vestry_page_serve(req, reply, ((struct app *)ctx)->list, "all");
}

/* GET /poll/{id}, document and stream: the browser becomes a guest, and the page marks the vote of the guest. */
static vestry_err serve_one(const vestry_request *req, vestry_reply *reply, void *ctx) {
  const char *guest;
  vestry_err err = vestry_guest_begin(req, reply, &guest);
  return err ? err : vestry_page_handler(req, reply, ((struct app *)ctx)->one);
}

/* POST /poll/{id}/vote/{answer}: changes the data, and names the changed topics. vestry renders the pages. */
static vestry_err vote(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  struct question *question = question_of(app, req);
  char all[TOPIC_MAX], own[TOPIC_MAX];
  const char *guest = NULL;
  int64_t answer;
  if (!question) return VESTRY_NOT_FOUND;
  vestry_err err =
      vestry_request_get(req, VESTRY_IN_PATH, "answer", vestry_into_between(&answer, 1, question->answers_count));
  if (!err) err = vestry_guest_begin(req, reply, &guest);
  if (!err) err = put_vote(question, (uint64_t)vestry_guest_number(guest), (int)answer);
  if (err) return err;
  snprintf(all, sizeof all, BARS, question->id);
  snprintf(own, sizeof own, OWN, question->id, (unsigned long long)(uint64_t)vestry_guest_number(guest));
  vestry_refresh(app->pages, own, NULL);
  vestry_refresh(app->pages, all, NULL);
  vestry_refresh(app->pages, LIST, NULL);
  return vestry_reply_status(reply, 204);
}

/* Reject a form. If the page has the client, it stays in place with the typed text. */
static vestry_err refuse(struct app *app, const vestry_request *req, vestry_reply *reply, int status, const char *why) {
  if (req->is_datastar) return vestry_reply_patch_signals(reply, VESTRY_OBJECT("error", why));
  vestry_reply_status(reply, status);
  return program_page(&app->program, reply, "Questions", SORRY, why);
}

/* POST /poll: a form. Empty answers are ignored. */
static vestry_err ask_new(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  const char *answers[ANSWERS_MAX], *answer, *title = vestry_request_value(req, VESTRY_IN_FORM, "title");
  int count = 0;
  bool is_good = vestry_text_has(title, 1, TEXT_MAX);
  for (size_t i = 0; (answer = vestry_request_value_at(req, VESTRY_IN_FORM, "answer", i)) != NULL; i++) {
    is_good = is_good && (!*answer || (vestry_text_has(answer, 1, TEXT_MAX) && count < ANSWERS_MAX));
    if (*answer && is_good) answers[count++] = answer;
  }
  if (!is_good || count < ANSWERS_MIN)
    return refuse(app, req, reply, 422, "Enter a question, and two to six short answers");
  struct question *question = ask(app, title, answers, count);
  char url[32];
  if (!question) return refuse(app, req, reply, 503, "There are already 200 questions, which is the maximum");
  vestry_refresh(app->pages, LIST, NULL);
  snprintf(url, sizeof url, "/poll/%d", question->id);
  if (req->is_datastar) return vestry_reply_patch_signals(reply, VESTRY_OBJECT("asked", url));
  return vestry_reply_redirect(reply, 303, url);
}

static vestry_err error_page(const vestry_request *req, vestry_reply *reply, void *ctx) {
  return program_page(ctx, reply, "Questions", SORRY,
                      req->error == 404 ? "There is no such question" : "That did not work");
}

int main(int argc, char **argv) {
  static struct app app;
  app.program = (struct program){.style = poll_css, .style_len = poll_css_len};
  program_start(&app.program, argc, argv, "poll", "Questions, votes, and bars that move", &(vestry_options){0});
  vestry *v = app.program.v;
  ask(&app, "What do you drink while you work?", (const char *const[]){"Tea", "Coffee", "Water"}, 3);
  const vestry_page_options all = {.render = list, .app = &app, .id = "questions", .element = "nav"};
  vestry_err err = vestry_sessions_create(v, &(vestry_session_options){.insecure = true}); /* plain HTTP */
  if (!err) err = vestry_guests_create(v, NULL);
  if (!err) err = vestry_pages_create(v, NULL, &app.pages);
  if (!err) err = vestry_page_create(app.pages, &all, &app.list);
  if (!err) err = vestry_page_create(app.pages, &(vestry_page_options){.render = one, .app = &app}, &app.one);
  if (!err) err = vestry_route(v, "GET", "/", serve_list, &app);
  if (!err) err = vestry_route(v, "POST", "/poll", ask_new, &app);
  if (!err) err = vestry_route(v, "GET", "/poll/{id}", serve_one, &app);
  if (!err) err = vestry_route(v, "POST", "/poll/{id}/vote/{answer}", vote, &app);
  if (!err) err = vestry_error_page(v, 0, error_page, &app.program);
  app.program.shown.pages = app.pages;
  if (!err) program_wait(&app.program);
  vestry_stop(v, VESTRY_NEVER_MS);
  vestry_pages_destroy(app.pages);
  return program_finish(&app.program);
}
