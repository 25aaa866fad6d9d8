/* SPDX-License-Identifier: MIT */
/* Forms of an application: declared once, shown by a page, read by a handler, with and without JavaScript. */
#include "vestry/app/application.h"

#include <stdlib.h>

#include "app/page/input.h"
#include "application/world.h"
#include "base/utf8.h"

typedef struct note {
  char text[4 * 20 + 1], code[9], tag[7], colour[6];
  int64_t size, weight;
  bool is_urgent;
} note;

static const vestry_choice colours[] = {{"red", "R&d"}, {"green", NULL}, {0}};
static const vestry_choice weights[] = {{"-1", "light"}, {"20", "heavy"}, {0}};

static const vestry_application_form form = {
    .action = "/note",
    .name = "note",
    .button = "Add",
    .is_kept = true,
    .title = "Refused",
    VESTRY_INPUTS(VESTRY_INPUT(note, text, .label = "Note", .min = 2, .max = 20, .has_lines = true),
                  VESTRY_INPUT(note, code, .allowed = "a-z0-9-"),
                  VESTRY_INPUT(note, size, .label = "Size", .min = 1, .max = 9),
                  VESTRY_INPUT(note, is_urgent, .label = "Urgent"), VESTRY_INPUT(note, tag, .label = "Tag"),
                  VESTRY_INPUT(note, colour, .label = "Colour", .choices = colours),
                  VESTRY_INPUT(note, weight, .label = "Weight", .choices = weights, .is_list = true))};

static note last;
static int notes;
static bool is_full, is_inside, is_leading, is_hasty;

static void home(vestry_call *call) {
  const note first = {.text = "", .code = "a-1", .size = 3, .weight = 20, .colour = "green"};
  vestry_render_topic(call->render, "notes");
  vestry_call_document(call, NULL);
  if (!is_inside) vestry_call_form(call, &form, &first);
  vestry_call_content(call);
  if (is_inside) vestry_call_form(call, &form, &first);
  vestry_html_add(call->html, "<p>%d notes, last: %s</p>", notes, last.text);
}

static void add(vestry_call *call) {
  if (is_hasty) vestry_call_go(call, "/plain?early");
  if (is_full) vestry_call_refuse(call, "No <%s> is left.", "room");
  if (call->error) return;
  last = *(const note *)call->values;
  notes++;
  vestry_call_fail(call, vestry_refresh(call->app->pages, "notes", NULL));
  if (is_leading) vestry_call_go(call, "/plain?%d", notes);
}

static int refusals;

/* POST /refuse, with signals for a success that does not come. */
static void refuse(vestry_call *call) {
  refusals++;
  vestry_call_signals(call, VESTRY_OBJECT("sum", 1));
  vestry_call_refuse(call, "Not now.");
}

/* GET /plain: an ordinary document. */
static void plain(vestry_call *call) {
  vestry_call_document(call, "Plain");
  vestry_call_form(call, &form, NULL);
}

/* A form of each lot: its page and its document know which one. */
typedef struct bid {
  int64_t lot, amount;
  char place[9];
} bid;

static const vestry_application_form bid_form = {
    .action = "/bid",
    .name = "bid",
    .button = "Bid",
    .is_kept = true,
    VESTRY_INPUTS(VESTRY_INPUT(bid, lot, .min = 1, .max = 9, .is_hidden = true),
                  VESTRY_INPUT(bid, place, .is_hidden = true),
                  VESTRY_INPUT(bid, amount, .label = "Amount", .min = 5, .max = 99))};

static bid last_bid;

static void show_lot(vestry_call *call) {
  bid first = {.place = "\"hall\"", .amount = 5};
  vestry_call_get(call, VESTRY_IN_PATH, "lot", VESTRY_INTO(&first.lot));
  vestry_call_document(call, NULL);
  vestry_call_form(call, &bid_form, &first);
}

static void take_bid(vestry_call *call) {
  last_bid = *(const bid *)call->values;
}

/* A form whose texts are in the memory of its call. */
VESTRY_STRUCT(wish, (const char *, text), (int64_t, number), (const char *, colour), (const char *, code));

static const vestry_application_form wish_form = {
    .action = "/wish",
    .name = "wish",
    .button = "Wish",
    .is_kept = true,
    VESTRY_INPUTS(VESTRY_INPUT(wish, text, .label = "Text", .min = 1, .max = 5, .has_lines = true),
                  VESTRY_INPUT(wish, number, .min = 1, .max = 9),
                  VESTRY_INPUT(wish, colour, .label = "Colour", .choices = colours),
                  VESTRY_INPUT(wish, code, .max = 3, .is_hidden = true))};

static char wished[64];

static void show_wishes(vestry_call *call) {
  const wish first = {.number = 4, .code = "<k>"}; /* its other texts are NULL */
  vestry_call_document(call, NULL);
  vestry_call_form(call, &wish_form, &first);
  vestry_call_content(call);
}

static void take_wish(vestry_call *call) {
  const wish *sent = call->values;
  snprintf(wished, sizeof wished, "%s|%d|%s|%s", sent->text, (int)sent->number, sent->colour, sent->code);
}

static const vestry_entry entries[] = {VESTRY_ACT("/refuse", refuse),
                                       VESTRY_PAGE("/wish", show_wishes),
                                       VESTRY_FORM(&wish_form, take_wish),
                                       VESTRY_PAGE("/", home),
                                       VESTRY_DOCUMENT("/plain", plain),
                                       VESTRY_FORM(&form, add),
                                       VESTRY_PAGE("/lot/{lot}", show_lot),
                                       VESTRY_FORM(&bid_form, take_bid),
                                       {0}};

static vestry_application_document frame;

static void open_world(world *w) {
  memset(&last, 0, sizeof last);
  notes = 0;
  is_full = is_inside = is_leading = is_hasty = false;
  world_open(w,
             (vestry_application_options){
                 .once = &(vestry_once_options){.required = true}, .entries = entries, .document = &frame},
             "/");
}

/* Press the button, and return the message that the page then shows. */
static const char *said_after_press(world *w) {
  assert_int_equal(vestry_browser_press(w->page, "Add"), VESTRY_OK);
  assert_int_equal(vestry_browser_status(w->page), 200);
  return json_string_value(vestry_browser_signal(w->page, "_said.note"));
}

#define WORLD_CASE(name) TEST_CASE_WITH(name, world, w, open_world(w), world_close(w))

/* capability: L22 */
WORLD_CASE(form_is_sent_by_the_client) {
  assert_int_equal(vestry_browser_fill(w->page, "Note", " \n\xC2\xA0Tea\r\nat <4> \xE2\x80\x83"), VESTRY_OK);
  assert_int_equal(vestry_browser_fill(w->page, "Urgent", "on"), VESTRY_OK);
  assert_int_equal(vestry_browser_fill(w->page, "Colour", "blue"), VESTRY_NOT_FOUND);
  assert_int_equal(vestry_browser_fill(w->page, "Colour", "green"), VESTRY_OK); /* a value */
  assert_int_equal(vestry_browser_fill(w->page, "Colour", "R&d"), VESTRY_OK);   /* a label */
  assert_string_equal(said_after_press(w), "");
  assert_string_equal(last.colour, "red");
  assert_string_equal(last.text, "Tea\nat <4>");
  assert_string_equal(last.code, "a-1");
  assert_int_equal(last.size, 3);
  assert_true(last.is_urgent);
  assert_true(json_integer_value(vestry_browser_signal(w->page, "_done.note")) > 0);
  assert_int_equal(vestry_application_settle(w->app, 1000), VESTRY_OK);
  assert_true(vestry_browser_shows(w->page, "1 notes, last: Tea at <4>"));
}

/* capability: L22 */
TEST_CASE(broken_rule_is_reported_in_the_form) {
  static const struct {
    const char *label, *text, *said;
  } cases[] = {
      {"Note", " \xE3\x80\x80\n", "Note: at least 2 characters."},
      {"Note", "x", "Note: at least 2 characters."},
      {"Note", "twenty characters and one more", "Note: at most 20 characters."},
      {"Note", "a bell \a", "Note: no control characters."},
      {"code", "Upper", "code: only the characters a-z0-9-."},
      {"code", "too-long-9", "code: at most 8 characters."},
      {"Tag", "\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4",
       "Tag: at most 6 letters; one with an accent counts as 2, an emoji as 4."},
      {"Size", "10", "Size: a whole number from 1 to 9."},
      {"Size", "", "Size: a whole number from 1 to 9."},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    world w;
    open_world(&w);
    assert_int_equal(vestry_browser_fill(w.page, "Note", "\xF0\x9F\x8D\xB5\xF0\x9F\x8D\xB5"), VESTRY_OK);
    assert_int_equal(vestry_browser_fill(w.page, cases[i].label, cases[i].text), VESTRY_OK);
    assert_string_equal(said_after_press(&w), cases[i].said);
    assert_int_equal(notes, 0);
    assert_int_equal(vestry_browser_fill(w.page, "Note", "\xF0\x9F\x8D\xB5\xF0\x9F\x8D\xB5"), VESTRY_OK);
    assert_int_equal(vestry_browser_fill(w.page, "code", "b"), VESTRY_OK);
    assert_int_equal(vestry_browser_fill(w.page, "Tag", "\xC3\xA4\xC3\xA4\xC3\xA4"), VESTRY_OK);
    assert_int_equal(vestry_browser_fill(w.page, "Size", "9"), VESTRY_OK);
    assert_string_equal(said_after_press(&w), "");
    assert_int_equal(notes, 1);
    world_close(&w);
  }
}

/* capability: L22 */
WORLD_CASE(handler_refuses_with_a_message) {
  is_full = true;
  assert_int_equal(vestry_browser_fill(w->page, "Note", "Tea"), VESTRY_OK);
  assert_string_equal(said_after_press(w), "No <room> is left.");
  assert_true(vestry_browser_shows(w->page, "No <room> is left."));
  assert_int_equal(notes, 0);
}

/* Send the form of a document as a browser without JavaScript does. */
static vestry_memory_exchange *send_plain(world *w, const char *html, const char *text) {
  vestry_memory_exchange *answer;
  const world_proofs proofs = world_proofs_in(html);
  assert_int_equal(
      vestry_browser_form(w->ada, "/note",
                          VESTRY_OBJECT("csrf", (const char *)proofs.csrf, "once", (const char *)proofs.once, "tabId",
                                        "", "text", text, "code", "a", "size", 4, "weight", "-1"),
                          &answer),
      VESTRY_OK);
  return answer;
}

/* capability: L22 */
WORLD_CASE(refusal_wins_over_an_earlier_way) {
  vestry_memory_exchange *document, *refused;
  is_full = is_hasty = true;
  assert_int_equal(vestry_browser_fill(w->page, "Note", "Tea"), VESTRY_OK);
  assert_string_equal(said_after_press(w), "No <room> is left."); /* signals, not a document */
  assert_int_equal(vestry_browser_get(w->ada, "/", &document), VESTRY_OK);
  refused = send_plain(w, vestry_memory_look(document).received.data, "Tea");
  assert_int_equal(vestry_memory_look(refused).status, 422);
  assert_int_equal(notes, 0);
  vestry_memory_destroy(document);
  vestry_memory_destroy(refused);
}

/* capability: L22 */
WORLD_CASE(form_is_sent_without_javascript) {
  vestry_memory_exchange *document, *refused, *accepted;
  assert_int_equal(vestry_browser_get(w->ada, "/", &document), VESTRY_OK);
  const char *html = vestry_memory_look(document).received.data;
  assert_non_null(strstr(html, "<textarea name=\"text\" dir=\"auto\" maxlength=\"20\" required"));
  assert_non_null(strstr(html, "<input name=\"code\" dir=\"auto\" maxlength=\"8\" pattern=\"[a-z0-9\\-]*\""));
  assert_non_null(strstr(html, "type=\"number\" required min=\"1\" max=\"9\""));
  refused = send_plain(w, html, "x");
  assert_int_equal(vestry_memory_look(refused).status, 422);
  html = vestry_memory_look(refused).received.data;
  assert_non_null(strstr(html, "<title>Refused</title>"));
  assert_non_null(strstr(html, "Note: at least 2 characters.</p>"));
  assert_non_null(strstr(html, ">\nx</textarea>")); /* what the user has sent */
  assert_non_null(strstr(html, "value=\"4\""));
  assert_int_equal(notes, 0);
  accepted = send_plain(w, html, "Tea"); /* with the nonce of the refused form's document */
  assert_int_equal(vestry_memory_look(accepted).status, 200);
  assert_int_equal(notes, 1);
  assert_int_equal(last.size, 4);
  assert_false(last.is_urgent);
  assert_non_null(strstr(vestry_memory_look(accepted).received.data, "1 notes, last: Tea")); /* it leads to / */
  vestry_memory_destroy(document);
  vestry_memory_destroy(refused);
  vestry_memory_destroy(accepted);
}

/* capability: L22 */
TEST_CASE(repeated_refusal_shows_the_form_again) {
  world w;
  vestry_memory_exchange *document, *refused, *again;
  char head[6000];
  memset(head, ' ', sizeof head - 1);
  head[sizeof head - 1] = '\0';
  frame.head = head; /* style sheets of a program */
  open_world(&w);
  assert_int_equal(vestry_browser_get(w.ada, "/", &document), VESTRY_OK);
  const char *html = vestry_memory_look(document).received.data;
  refused = send_plain(&w, html, "x");
  again = send_plain(&w, html, "x");
  assert_int_equal(vestry_memory_look(refused).status, 422);
  assert_int_equal(vestry_memory_look(again).status, 422);
  assert_string_equal(vestry_memory_look(again).received.data, vestry_memory_look(refused).received.data);
  assert_non_null(strstr(vestry_memory_look(again).received.data, ">\nx</textarea>"));
  frame.head = NULL;
  vestry_memory_destroy(document);
  vestry_memory_destroy(refused);
  vestry_memory_destroy(again);
  world_close(&w);
}

/* A client that repeats a request, because its connection broke, shows the sentence again: 204 would look like
 * success. */
static void assert_said_twice(world *w, const char *url, const vestry_value *signals, const char *said) {
  for (int i = 0; i < 2; i++) {
    vestry_memory_exchange *answer;
    assert_int_equal(vestry_browser_send(w->ada, "POST", url, signals, &answer), VESTRY_OK);
    assert_int_equal(vestry_memory_look(answer).status, 200);
    assert_string_equal(vestry_memory_header(answer, "Content-Type", 0), "application/json");
    assert_string_equal(vestry_memory_look(answer).received.data, said);
    vestry_memory_destroy(answer);
  }
}

/* capability: L22 */
WORLD_CASE(repeated_refusal_is_said_again) {
  for (int i = 0; i < 3; i++) { /* a broken rule; a refused form; a refused act */
    const world_proofs proofs = world_proofs_at(w, "/");
    is_full = i > 0;
    refusals = 0;
    assert_said_twice(w, i == 2 ? "/refuse" : "/note",
                      VESTRY_OBJECT("csrf", (const char *)proofs.csrf, "once", (const char *)proofs.once, "text",
                                    i ? "Tea" : "x", "code", "a", "size", 4, "weight", -1),
                      i == 0   ? "{\"_said\":{\"note\":\"Note: at least 2 characters.\"},\"_wrong\":{\"note\":"
                                 "\"{\\\"text\\\":\\\"Note: at least 2 characters.\\\"}\"}}"
                      : i == 1 ? "{\"_said\":{\"note\":\"No <room> is left.\"}}"
                               : "{\"_said\":{\"act\":\"Not now.\"}}");
    assert_int_equal(refusals, i == 2);
  }
  assert_int_equal(notes, 0);
}

/* capability: L22 */
WORLD_CASE(ordinary_document_has_a_plain_form) {
  vestry_memory_exchange *document, *accepted;
  assert_int_equal(vestry_browser_get(w->ada, "/plain", &document), VESTRY_OK);
  const char *html = vestry_memory_look(document).received.data;
  const char *shown = strstr(html, "<form");
  assert_non_null(shown);
  assert_null(strstr(shown, "data-on"));
  assert_null(strstr(shown, "data-text"));
  accepted = send_plain(w, html, "Tea");
  assert_int_equal(vestry_memory_look(accepted).status, 200);
  assert_int_equal(notes, 1);
  vestry_memory_destroy(document);
  vestry_memory_destroy(accepted);
}

WORLD_CASE(kept_form_in_the_content_is_refused) {
  vestry_memory_exchange *document;
  is_inside = true;
  assert_int_equal(vestry_browser_get(w->ada, "/", &document), VESTRY_OK);
  assert_int_equal(vestry_memory_look(document).status, 500);
  assert_true(w->th.log_lines > 0);
  vestry_memory_destroy(document);
}

TEST_CASE(characters_of_texts_are_counted) {
  assert_true(vestry_text_has(" \xF0\x9F\x8D\xB5 ", 1, 3));
  assert_false(vestry_text_has(" \xF0\x9F\x8D\xB5 ", 1, 2));
  assert_false(vestry_text_has(" \xF0\x9F\x8D\xB5 ", 2, 3));
  assert_false(vestry_text_has("\xC2\xA0\xE2\x80\x83\xE3\x80\x80\xEF\xBB\xBF\xE2\x81\x9F", 1, 9));
  assert_true(vestry_text_has("", 0, 0));
  /* a form sends CR LF for a line break, which its field counts as one character (HTML, section 4.10.18.3) */
  assert_true(vestry_text_has("a\r\nb\r\n\r\nc", 6, 6));
  assert_false(vestry_text_has("a\r\nb\r\n\r\nc", 0, 5));
  assert_true(vestry_text_has("a\rb\n\rc\r", 0, 7));
  assert_false(vestry_text_has("a\rb\n\rc\r", 0, 6));
  assert_true(vestry_text_has("\xC3\x84\xC3\x84\xC3\x84", 0, 3));
  assert_false(vestry_text_has("\xC3\x84\xC3\x84\xC3\x84", 0, 2));
  assert_true(vestry_text_has("\xC2\xA1", 1, 1)); /* begins like a no-break space */
  assert_false(vestry_text_has(NULL, 0, 9));
  assert_true(vestry_text_has("\xE2\x82\xAC", 1, 1)); /* a euro begins like some blanks */
  assert_int_equal(VESTRY_TEXT_BYTES(1), 5);
}

/* capability: L22 */
TEST_CASE(wrong_declaration_is_refused_by_name) {
  static const vestry_choice empty[] = {{"", "none"}, {0}}, letters[] = {{"1a", NULL}, {0}};
  static const vestry_input fields[] = {VESTRY_INPUT(note, tag, .max = 7),
                                        VESTRY_INPUT(note, tag, .min = 7),
                                        VESTRY_INPUT(note, size, .min = 2, .max = 1),
                                        VESTRY_INPUT(note, colour, .choices = empty),
                                        VESTRY_INPUT(note, weight, .choices = letters),
                                        VESTRY_INPUT(note, is_urgent, .is_hidden = true),
                                        VESTRY_INPUT(note, is_urgent, .choices = colours)};
  static const char *const said[] = {
      "field \"tag\": max is 7, but its member has room for 6 bytes; declare it as char[VESTRY_TEXT_BYTES(7)], or",
      "field \"tag\": min, 7, is more than max",
      "field \"size\": min, 2, is more than max",
      "field \"colour\": the choice \"\" is empty, or does not fit into the 6 bytes of its member",
      "field \"weight\": the choice \"1a\" is no integer",
      "field \"is_urgent\": only a text or an int64_t can be hidden",
      "field \"is_urgent\": only a text or an int64_t has choices"};
  test_host th;
  vestry_application *app;
  test_host_init(&th);
  const vestry_options instance = {.host = &th.host, .threads_count = VESTRY_THREADS_NONE};
  for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
    const vestry_application_form wrong = {.action = "/x", .inputs = &fields[i], .inputs_count = 1};
    const vestry_entry table_of[] = {VESTRY_FORM(&wrong, add), {0}};
    const vestry_application_options options = {.instance = &instance, .entries = table_of};
    const unsigned before = (unsigned)th.log_lines;
    assert_int_equal(vsi_inputs_check(&th.host, &fields[i], 1), VESTRY_INVALID);
    assert_non_null(strstr(th.last_log, said[i]));
    assert_int_equal(vestry_application_create(&options, &app), VESTRY_INVALID);
    assert_true((unsigned)th.log_lines >= before + 3); /* the field, and the part of the application */
  }
  static const vestry_input own[] = {{.name = "x", .kind = VESTRY_INPUT_TEXT, .bytes = 9},
                                     {.name = "once", .kind = VESTRY_INPUT_TEXT, .bytes = 9}};
  static const vestry_application_form wrong[] = {{.action = "/x", .name = "a-b"},
                                                  {.action = "/x", .name = "1"},
                                                  {.action = "x"},
                                                  {.action = "/x/{id}"},
                                                  {.action = "/x", .inputs = own, .inputs_count = 2},
                                                  {.action = "/x", .inputs_count = 2},
                                                  {.name = "x"}};
  for (size_t i = 0; i <= sizeof wrong / sizeof *wrong; i++) {
    const vestry_entry table_of[] = {VESTRY_FORM(i ? &wrong[i - 1] : NULL, add), {0}};
    const vestry_application_options options = {.instance = &instance, .entries = table_of};
    assert_int_equal(vestry_application_create(&options, &app), VESTRY_INVALID);
  }
  test_host_assert_clean(&th);
}

/* capability: L22 */
TEST_CASE(hidden_value_of_a_page_stays_in_its_form) {
  static const char hidden[] = "<input type=\"hidden\" name=\"lot\" value=\"7\" ><input type=\"hidden\" "
                               "name=\"place\" value=\"&quot;hall&quot;\" ><label>Amount";
  world w;
  vestry_browser_page *lot;
  vestry_memory_exchange *document, *refused;
  open_world(&w);
  assert_int_equal(vestry_browser_open(w.ada, "/lot/7", &lot), VESTRY_OK);
  assert_int_equal(vestry_browser_fill(lot, "Amount", "30"), VESTRY_OK);
  assert_int_equal(vestry_browser_press(lot, "Bid"), VESTRY_OK);
  assert_int_equal(vestry_browser_status(lot), 200);
  assert_int_equal(last_bid.lot, 7);
  assert_int_equal(last_bid.amount, 30);
  assert_string_equal(last_bid.place, "\"hall\"");
  assert_int_equal(vestry_browser_get(w.ada, "/lot/7", &document), VESTRY_OK);
  const char *html = vestry_memory_look(document).received.data;
  assert_non_null(strstr(html, hidden));
  const world_proofs proofs = world_proofs_in(html);
  assert_int_equal(
      vestry_browser_form(w.ada, "/bid",
                          VESTRY_OBJECT("csrf", (const char *)proofs.csrf, "once", (const char *)proofs.once, "lot", 7,
                                        "place", "\"hall\"", "amount", 4),
                          &refused),
      VESTRY_OK);
  assert_int_equal(vestry_memory_look(refused).status, 422);
  assert_non_null(strstr(vestry_memory_look(refused).received.data, hidden));
  vestry_memory_destroy(document);
  vestry_memory_destroy(refused);
  vestry_browser_close(lot);
  world_close(&w);
}

/* Read one text from the form of a request of a browser, by the rules of a field. The message is that of the field. */
static const vestry_input *read_field;
static char read_text[64], read_message[VESTRY_INPUT_MESSAGE_BYTES];
static vestry_err read_error;

static vestry_err read_one(const vestry_request *req, vestry_reply *reply, void *app) {
  read_error = vestry_inputs_read(req, read_field, 1, read_text, &read_message);
  return vestry_reply_status(reply, 204);
}

static void read_as(world *w, const vestry_input *field, const char *text) {
  vestry_memory_exchange *answer;
  const world_proofs proofs = world_proofs_at(w, "/");
  read_field = field;
  assert_int_equal(vestry_browser_form(
                       w->ada, "/one",
                       VESTRY_OBJECT("csrf", (const char *)proofs.csrf, "once", (const char *)proofs.once, "x", text),
                       &answer),
                   VESTRY_OK);
  assert_int_equal(vestry_memory_look(answer).status, 204);
  vestry_memory_destroy(answer);
}

/* Wish for a text, and return what the program has received, or the message. */
static const char *wish_for(world *w, const char *text, const char *colour) {
  vestry_browser_page *page;
  static char said[128];
  *wished = '\0';
  assert_int_equal(vestry_browser_open(w->ada, "/wish", &page), VESTRY_OK);
  assert_int_equal(vestry_browser_fill(page, "Text", text), VESTRY_OK);
  if (*colour) assert_int_equal(vestry_browser_fill(page, "Colour", colour), VESTRY_OK);
  assert_int_equal(vestry_browser_press(page, "Wish"), VESTRY_OK);
  assert_int_equal(vestry_browser_status(page), 200);
  snprintf(said, sizeof said, "%s", json_string_value(vestry_browser_signal(page, "_said.wish")));
  vestry_browser_close(page);
  assert_true(!*said || !*wished);
  return *said ? said : wished;
}

/* capability: L22 */
TEST_CASE(texts_of_a_form_need_no_arrays) {
  static const vestry_input bare = VESTRY_INPUT(wish, text, .label = "Text");
  world w;
  vestry_memory_exchange *document;
  open_world(&w);
  assert_string_equal(
      wish_for(&w, "\xF0\x9F\x8D\xB5\xF0\x9F\x8D\xB5\xF0\x9F\x8D\xB5\xF0\x9F\x8D\xB5\xF0\x9F\x8D\xB5", "green"),
      "\xF0\x9F\x8D\xB5\xF0\x9F\x8D\xB5\xF0\x9F\x8D\xB5\xF0\x9F\x8D\xB5\xF0\x9F\x8D\xB5|4|green|<k>");
  assert_string_equal(wish_for(&w, "  a\r\nb \n", ""), "a\nb|4||<k>");
  assert_string_equal(wish_for(&w, "sixsix", ""), "Text: at most 5 characters.");
  assert_string_equal(wish_for(&w, " \n", ""), "Text: enter something.");
  assert_string_equal(wish_for(&w, "a\ab", ""), "Text: no control characters.");
  assert_int_equal(vestry_browser_get(w.ada, "/wish", &document), VESTRY_OK);
  assert_non_null(strstr(vestry_memory_look(document).received.data, "maxlength=\"5\" required"));
  assert_non_null(strstr(vestry_memory_look(document).received.data, "name=\"code\" value=\"&lt;k&gt;\""));
  vestry_memory_destroy(document);
  assert_int_equal(vsi_inputs_check(&w.th.host, &bare, 1), VESTRY_INVALID);
  assert_non_null(strstr(w.th.last_log, "field \"text\": a const char * needs a max"));
  assert_int_equal(vestry_route(w.app->instance, "POST", "/one", read_one, w.app), VESTRY_OK);
  read_as(&w, &(vestry_input)VESTRY_INPUT(wish, text, .max = 5), "x"); /* outside of a form's entry */
  assert_int_equal(read_error, VESTRY_INVALID);
  world_close(&w);
}

/* Send the form as a browser without JavaScript does, with these choices. */
static int status_with(world *w, const char *colour, const char *weight) {
  vestry_memory_exchange *answer;
  const world_proofs proofs = world_proofs_at(w, "/plain");
  assert_int_equal(
      vestry_browser_form(w->ada, "/note",
                          VESTRY_OBJECT("csrf", (const char *)proofs.csrf, "once", (const char *)proofs.once, "text",
                                        "Tea", "size", 4, "colour", colour, "weight", weight),
                          &answer),
      VESTRY_OK);
  const int status = vestry_memory_look(answer).status;
  if (status == 422) {
    const char *html = vestry_memory_look(answer).received.data;
    assert_non_null(strstr(html, "choose one of the options.</p>"));
    if (strcmp(colour, "red") == 0) /* what the user has chosen stays */
      assert_non_null(strstr(html, "<input type=\"radio\" name=\"colour\" value=\"red\" checked"));
  }
  vestry_memory_destroy(answer);
  return status;
}

/* capability: L22 */
WORLD_CASE(choice_is_one_of_its_list) {
  vestry_memory_exchange *document;
  assert_int_equal(vestry_browser_get(w->ada, "/", &document), VESTRY_OK);
  const char *html = vestry_memory_look(document).received.data;
  assert_non_null(strstr(html, "<fieldset data-preserve-attr=\"aria-invalid\" "
                               "aria-describedby=\"note-colour-wrong\"><legend>Colour</legend><label>"
                               "<input type=\"radio\" name=\"colour\" "
                               "value=\"red\" data-ignore-morph > R&amp;d</label>"));
  assert_non_null(strstr(html, "value=\"green\" data-ignore-morph checked > green</label><small "));
  assert_non_null(strstr(html, "<label>Weight <select name=\"weight\" required"));
  assert_non_null(strstr(html, "<option value=\"-1\">light</option><option value=\"20\" selected>heavy</option>"));
  vestry_memory_destroy(document);
  assert_int_equal(status_with(w, "red", "20"), 200);
  assert_string_equal(last.colour, "red");
  assert_int_equal(last.weight, 20);
  assert_int_equal(status_with(w, "", "-1"), 200); /* its min is 0 */
  assert_string_equal(last.colour, "");
  assert_int_equal(last.weight, -1);
  assert_int_equal(status_with(w, "blue", "20"), 422);
  assert_int_equal(status_with(w, "red ", "20"), 422);
  assert_int_equal(status_with(w, "red", ""), 422);
  assert_int_equal(status_with(w, "red", "21"), 422);
  assert_int_equal(status_with(w, "red", "20x"), 422);
  assert_int_equal(notes, 2);
}

/* capability: L22 */
WORLD_CASE(user_chooses_by_the_shown_texts) {
  assert_int_equal(vestry_browser_fill(w->page, "Note", "Tea"), VESTRY_OK);
  assert_string_equal(said_after_press(w), ""); /* the page has chosen green and heavy */
  assert_string_equal(last.colour, "green");
  assert_int_equal(last.weight, 20);
  assert_int_equal(vestry_browser_fill(w->page, "Note", "Cake"), VESTRY_OK);
  assert_int_equal(vestry_browser_fill(w->page, "R&d", "on"), VESTRY_OK);
  assert_int_equal(vestry_browser_fill(w->page, "Weight", "light"), VESTRY_OK);
  assert_int_equal(vestry_browser_fill(w->page, "Weight", "lighter"), VESTRY_NOT_FOUND);
  assert_string_equal(said_after_press(w), "");
  assert_string_equal(last.text, "Cake");
  assert_string_equal(last.colour, "red");
  assert_int_equal(last.weight, -1);
}

/* capability: L22 */
WORLD_CASE(accepted_form_leads_elsewhere) {
  is_leading = true;
  assert_int_equal(vestry_browser_fill(w->page, "Note", "Tea"), VESTRY_OK);
  assert_int_equal(vestry_browser_press(w->page, "Add"), VESTRY_OK);
  assert_true(vestry_browser_shows(w->page, "Colour")); /* the document of /plain */
  assert_int_equal(notes, 1);
}

/* A long label or message is cut between two characters: half of one could not be sent. */
WORLD_CASE(message_is_a_text) {
  char text[400];
  assert_int_equal(vestry_route(w->app->instance, "POST", "/one", read_one, w->app), VESTRY_OK);
  for (size_t i = 0; i < 3; i++) {
    memset(text, 'x', i);
    for (size_t at = i; at + 3 < sizeof text; at += 3) memcpy(text + at, "\xE2\x82\xAC", 4);
    read_as(w, &(vestry_input){.name = "x", .kind = VESTRY_INPUT_TEXT, .bytes = 9, .min = 1, .label = text}, "");
    assert_int_equal(read_error, VESTRY_MALFORMED);
    assert_true(vsi_is_utf8(read_message, strlen(read_message)));
    assert_non_null(strstr(read_message, "\xE2\x82\xAC: enter something."));
    read_as(w, &(vestry_input){.name = "x", .kind = VESTRY_INPUT_TEXT, .bytes = 9, .min = 1, .message = text}, "");
    assert_int_equal(read_error, VESTRY_MALFORMED);
    assert_true(vsi_is_utf8(read_message, strlen(read_message)) && strlen(read_message) > 250);
  }
}

TEST_CASE(control_characters_are_refused) {
  static const char *const texts[] = {"a\x1F"
                                      "b",
                                      "a\x7F",
                                      "a\xC2\x80"
                                      "b",
                                      "\xC2\x9B"
                                      "31m"};
  static const vestry_input field = {.name = "x", .kind = VESTRY_INPUT_TEXT, .bytes = 20};
  world w;
  open_world(&w);
  assert_int_equal(vestry_route(w.app->instance, "POST", "/one", read_one, w.app), VESTRY_OK);
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    read_as(&w, &field, texts[i]);
    assert_int_equal(read_error, VESTRY_MALFORMED);
    assert_string_equal(read_message, "x: no control characters.");
  }
  read_as(&w, &field,
          "\xC2\xA1"
          "a\xC3\x80");
  assert_int_equal(read_error, VESTRY_OK);
  assert_string_equal(read_text, "\xC2\xA1"
                                 "a\xC3\x80");
  world_close(&w);
}

TEST_CASE(allowed_characters_are_a_pattern) {
  static const struct {
    const char *allowed, *pattern;
  } cases[] = {{"a-z0-9-", "[a-z0-9\\-]*"}, {"a-z0-9-_", "[a-z0-9\\-_]*"}, {"-a", "[\\-a]*"}, {"+-9]", "[\\+-9\\]]*"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const vestry_input field = {.name = "x", .kind = VESTRY_INPUT_TEXT, .bytes = 20, .allowed = cases[i].allowed};
    vestry_html html;
    vestry_html_init(&html, NULL);
    assert_int_equal(vestry_inputs_add(&html, &field, 1, NULL), VESTRY_OK);
    vestry_slice made;
    assert_int_equal(vestry_html_result(&html, &made), VESTRY_OK);
    assert_non_null(memmem(made.data, made.len, cases[i].pattern, strlen(cases[i].pattern)));
    vestry_html_finish(&html);
  }
}

/* Each failure is an error, or the form is not accepted; nothing leaks. */
TEST_CASE(each_allocation_may_fail) {
  bool has_failed = true;
  for (long n = 0; has_failed; n++) {
    world w;
    open_world(&w);
    assert_int_equal(vestry_browser_fill(w.page, "Note", "Tea"), VESTRY_OK);
    test_host_fail_in(&w.th, n);
    const vestry_err error = vestry_browser_press(w.page, "Add");
    has_failed = test_host_has_failed(&w.th);
    test_host_fail_no_more(&w.th);
    assert_true(notes <= 1);
    assert_true(has_failed || error == VESTRY_OK);
    world_close(&w);
  }
  assert_int_equal(notes, 1);
}

TEST_CASE(each_allocation_of_a_text_may_fail) {
  bool has_failed = true;
  for (long n = 0; has_failed; n++) {
    world w;
    vestry_browser_page *page;
    open_world(&w);
    *wished = '\0';
    assert_int_equal(vestry_browser_open(w.ada, "/wish", &page), VESTRY_OK);
    assert_int_equal(vestry_browser_fill(page, "Text", "Tea"), VESTRY_OK);
    test_host_fail_in(&w.th, n);
    const vestry_err error = vestry_browser_press(page, "Wish");
    has_failed = test_host_has_failed(&w.th);
    test_host_fail_no_more(&w.th);
    assert_true(has_failed || error == VESTRY_OK);
    vestry_browser_close(page);
    world_close(&w);
  }
  assert_string_equal(wished, "Tea|4||<k>");
}
