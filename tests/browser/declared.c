/* SPDX-License-Identifier: MIT */
/* A server for declared.test.js: a page with a form that is declared once, and the notes that it has accepted. The text
 * of the form is kept. The form of /inner is in the content. POST /note refuses the word "full". */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "../../examples/shared/program.h"

enum { NOTES_MAX = 20, TEXT_MAX = 20 };

typedef struct note {
  char text[VESTRY_TEXT_BYTES(TEXT_MAX)];
  char colour[8];
  int64_t size;
  bool is_urgent;
} note;

static const vestry_choice colours[] = {{"red", "Red"}, {"green", "Green"}, {0}};
static const vestry_choice sizes[] = {{"1", "small"}, {"3", "middle"}, {"9", "large"}, {0}};
static const vestry_input of_note[] = {VESTRY_INPUT(note, text, .label = "Note", .min = 2, .max = TEXT_MAX),
                                       VESTRY_INPUT(note, colour, .label = "Colour", .min = 1, .choices = colours),
                                       VESTRY_INPUT(note, size, .label = "Size", .choices = sizes, .is_list = true),
                                       VESTRY_INPUT(note, is_urgent, .label = "Urgent")};
#define OF_NOTE .name = "note", .button = "Add", .attributes = "novalidate", .inputs = of_note, .inputs_count = 4
static const vestry_application_form form = {.action = "/note", .is_kept = true, OF_NOTE};
static const vestry_application_form inner_form = {.action = "/inner/note", .page = "/inner", OF_NOTE};

/* Its fields have the names of properties of forms. */
typedef struct card {
  int64_t id;
  char reset[VESTRY_TEXT_BYTES(TEXT_MAX)], remove[2], append[2];
} card;
static const vestry_input of_card[] = {VESTRY_INPUT(card, id, .label = "Number"), VESTRY_INPUT(card, reset, .min = 1),
                                       VESTRY_INPUT(card, remove, .label = "Remove"),
                                       VESTRY_INPUT(card, append, .label = "Append")};
static const vestry_application_form card_form = {.action = "/card",
                                                  .name = "card",
                                                  .inputs = of_card,
                                                  .inputs_count = 4,
                                                  .button = "Keep",
                                                  .page = "/card",
                                                  .is_kept = true};

static struct program program;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static note notes[NOTES_MAX]; /* guarded by lock, also the next */
static size_t notes_count;

static void home(vestry_call *call) {
  const bool is_inner = strcmp(call->req->path, "/inner") == 0;
  vestry_render_topic(call->render, "notes");
  vestry_call_document(call, "Notes");
  if (!is_inner) vestry_call_form(call, &form, &(note){.size = 3});
  vestry_call_content(call);
  if (is_inner) vestry_call_form(call, &inner_form, &(note){.size = 3});
  vestry_html_add(call->html, "<ul>");
  pthread_mutex_lock(&lock);
  for (size_t i = 0; i < notes_count; i++)
    vestry_html_add(call->html, "<li>%s, %s, %d%-s</li>", notes[i].text, notes[i].colour, (int)notes[i].size,
                    notes[i].is_urgent ? "!" : "");
  pthread_mutex_unlock(&lock);
  vestry_html_add(call->html, "</ul>");
}

static void card_page(vestry_call *call) {
  vestry_call_document(call, "Card");
  vestry_call_form(call, &card_form, &(card){.id = 7});
  vestry_call_content(call);
}

static void add_card(vestry_call *call) {}

static void add(vestry_call *call) {
  const note *sent = call->values;
  pthread_mutex_lock(&lock);
  const bool is_full = notes_count == NOTES_MAX || strcmp(sent->text, "full") == 0;
  if (!is_full) notes[notes_count++] = *sent;
  pthread_mutex_unlock(&lock);
  if (is_full) vestry_call_refuse(call, "There is <no> room.");
  vestry_call_fail(call, vestry_refresh(call->app->pages, "notes", NULL));
}

static const vestry_entry entries[] = {VESTRY_PAGE("/", home),
                                       VESTRY_FORM(&form, add),
                                       VESTRY_PAGE("/inner", home),
                                       VESTRY_FORM(&inner_form, add),
                                       VESTRY_PAGE("/card", card_page),
                                       VESTRY_FORM(&card_form, add_card),
                                       {0}};

int main(int argc, char **argv) {
  program_read(&program, argc, argv, "test_browser_declared", "A form that is declared once");
  const vestry_application_document frame = {.client = program.client.url};
  program_create(&program, &(vestry_application_options){
                               .forms = &(vestry_forms_options){0}, .entries = entries, .document = &frame});
  program_wait(&program);
  return program_finish(&program);
}
