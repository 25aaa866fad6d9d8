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

enum { TEXT_MAX = 120, ANSWERS_MIN = 2, ANSWERS_MAX = 6, QUESTIONS_MAX = 200, VOTERS_MAX = 4096 };

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
#define OWN  "question/%d/%s" /* and the guest */

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

/* GET /: the same for all users. */
static void list(vestry_call *call) {
  struct app *app = call->own;
  vestry_render_topic(call->render, LIST);
  vestry_call_document(call, "Questions");
  vestry_html_add(call->html, "<main class=\"list\"><h1>Questions</h1>");
  put_form(call->html);
  vestry_call_content(call);
  for (int id = QUESTIONS_MAX; id > 0; id--) {
    struct question *question = &app->questions[id - 1];
    if (!atomic_load(&question->is_asked)) continue;
    int total = total_of(question);
    vestry_html_add(call->html, "<a href=\"/poll/%d\"><span>%s</span><small>%d %-s</small></a>", id, question->title,
                    total, total == 1 ? "vote" : "votes");
  }
  vestry_call_content_end(call);
  vestry_html_add(call->html, "</main>");
}

/* Render the bars, the part that all pages of a question share. */
static void bars(vestry_call *call) {
  struct app *app = call->own;
  struct question *question = &app->questions[call->key - 1];
  vestry_render_topicf(call->render, BARS, question->id);
  int total = total_of(question);
  vestry_html_add(call->html, "<h2>%d %-s</h2><ul>", total, total == 1 ? "vote" : "votes");
  for (int i = 1; i <= question->answers_count; i++) {
    int count = atomic_load(&question->counts[i]), percent = total > 0 ? (200 * count + total) / (2 * total) : 0;
    vestry_html_add(call->html,
                    "<li><span>%s</span><span>%d<small>%d %%</small></span>"
                    "<svg class=\"bar\" aria-hidden=\"true\"><rect width=\"%d%%\" height=\"100%%\"/></svg></li>",
                    question->answers[i - 1], count, percent, percent);
  }
  vestry_html_add(call->html, "</ul>");
}

/* GET /poll/{id}: marks the vote of the guest, and contains the part, which is rendered separately. */
static void one(vestry_call *call) {
  struct question *question = question_of(call->own, call->req);
  if (!vestry_call_need(call, question)) return;
  vestry_render_topicf(call->render, OWN, question->id, call->guest ? call->guest : "");
  struct vote *vote = vote_of(question, (uint64_t)vestry_guest_number(call->guest), false);
  const int own = vote ? atomic_load(&vote->answer) : 0;
  vestry_call_document(call, question->title);
  vestry_call_content(call);
  vestry_html_add(call->html, "<nav><a href=\"/\">All questions</a></nav><h1>%s</h1><section><h2>Your vote</h2>",
                  question->title);
  for (int i = 1; i <= question->answers_count; i++)
    vestry_html_add(call->html,
                    "<button id=\"answer-%d\" aria-pressed=\"%-s\" data-press=\"/poll/%d/vote/%d\">%s</button>", i,
                    i == own ? "true" : "false", question->id, i, question->answers[i - 1]);
  vestry_html_add(call->html, "<p role=\"status\">%-s</p></section>",
                  own ? "You can still change your mind." : "You have not voted yet.");
  vestry_call_part(call, "bars", question->id);
}

/* ----------------------------------------------------------------------------------------------- handlers --------- */

static void sorry(vestry_call *call, const char *why) {
  vestry_call_document(call, "Questions");
  vestry_html_add(call->html, "<main class=\"list\"><h1>%s</h1><a href=\"/\">All questions</a></main>", why);
}

/* POST /poll/{id}/vote/{answer}: changes the data, and names the changed topics. vestry renders the pages. */
static void vote(vestry_call *call) {
  struct question *question = question_of(call->own, call->req);
  int64_t answer = 0;
  if (!vestry_call_need(call, question)) return;
  if (!vestry_call_get(call, VESTRY_IN_PATH, "answer", vestry_into_between(&answer, 1, question->answers_count)))
    return;
  vestry_call_fail(call, put_vote(question, (uint64_t)vestry_guest_number(call->guest), (int)answer));
  vestry_refreshf(call->app->pages, NULL, OWN, question->id, call->guest);
  vestry_refreshf(call->app->pages, NULL, BARS, question->id);
  vestry_refresh(call->app->pages, LIST, NULL);
}

/* Reject a form. If the page has the client, it stays in place with the typed text. */
static void refuse(vestry_call *call, int status, const char *why) {
  if (call->req->is_datastar) {
    vestry_call_signals(call, VESTRY_OBJECT("error", why));
    return;
  }
  vestry_reply_status(call->reply, status);
  sorry(call, why);
}

/* POST /poll: a form. Empty answers are ignored. */
static void ask_new(vestry_call *call) {
  const char *answers[ANSWERS_MAX], *answer, *title = vestry_request_value(call->req, VESTRY_IN_FORM, "title");
  int count = 0;
  bool is_good = vestry_text_has(title, 1, TEXT_MAX);
  for (size_t i = 0; (answer = vestry_request_value_at(call->req, VESTRY_IN_FORM, "answer", i)) != NULL; i++) {
    is_good = is_good && (!*answer || (vestry_text_has(answer, 1, TEXT_MAX) && count < ANSWERS_MAX));
    if (*answer && is_good) answers[count++] = answer;
  }
  if (!is_good || count < ANSWERS_MIN) {
    refuse(call, 422, "Enter a question, and two to six short answers");
    return;
  }
  struct question *question = ask(call->own, title, answers, count);
  if (!question) {
    refuse(call, 503, "There are already 200 questions, which is the maximum");
    return;
  }
  char url[32];
  vestry_refresh(call->app->pages, LIST, NULL);
  snprintf(url, sizeof url, "/poll/%d", question->id);
  if (call->req->is_datastar)
    vestry_call_signals(call, VESTRY_OBJECT("asked", url));
  else
    vestry_call_go(call, "%s", url);
}

static void error_document(vestry_call *call) {
  sorry(call, call->req->error == 404 ? "There is no such question" : "That did not work");
}

static const vestry_page_options all = {.id = "questions", .element = "nav"};
static const vestry_entry entries[] = {
    VESTRY_PAGE("/", list, .page = &all, .share = "all"),
    VESTRY_HANDLER("POST", "/poll", ask_new),
    VESTRY_PAGE("/poll/{id}", one, .makes_guest = true),
    VESTRY_PART("bars", bars, .element = "section", .attributes = "aria-label=\"Result\""),
    VESTRY_ACT("/poll/{id}/vote/{answer}", vote, .makes_guest = true),
    VESTRY_ERROR_DOCUMENT(error_document),
    {0}};

int main(int argc, char **argv) {
  static struct app app;
  const vestry_application_options application = {.without = VESTRY_WITHOUT_CSRF | VESTRY_WITHOUT_ONCE,
                                                  .guests = &(vestry_guests_options){0},
                                                  .entries = entries,
                                                  .own = &app};
  struct program program = {.application = &application, .style = poll_css, .style_len = poll_css_len};
  ask(&app, "What do you drink while you work?", (const char *const[]){"Tea", "Coffee", "Water"}, 3);
  return program_main(&program, argc, argv, "poll", "Questions, votes, and bars that move");
}
