/* SPDX-License-Identifier: MIT */
/* A server for declared.test.js: a page with a form that is declared once, and the notes that it has accepted. The text
 * of the form is kept. POST /note refuses the word "full". */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "../../examples/shared/program.h"

enum { NOTES_MAX = 20, TEXT_MAX = 20 };

typedef struct note {
  char text[VESTRY_TEXT_BYTES(TEXT_MAX)];
  int64_t size;
  bool is_urgent;
} note;

static const vestry_input inputs[] = {VESTRY_INPUT(note, text, .label = "Note", .min = 2, .max = TEXT_MAX),
                                      VESTRY_INPUT(note, size, .label = "Size", .min = 1, .max = 9),
                                      VESTRY_INPUT(note, is_urgent, .label = "Urgent")};
static const vestry_application_form form = {.action = "/note",
                                             .name = "note",
                                             .inputs = inputs,
                                             .inputs_count = 3,
                                             .button = "Add",
                                             .attributes = "novalidate",
                                             .is_kept = true};

/* Its fields have the names of properties of forms. */
typedef struct card {
  int64_t id;
  char reset[VESTRY_TEXT_BYTES(TEXT_MAX)], remove[2], append[2];
} card;
static const vestry_input of_card[] = {VESTRY_INPUT(card, id, .label = "Number"), VESTRY_INPUT(card, reset, .min = 1),
                                       VESTRY_INPUT(card, remove, .label = "Remove"),
                                       VESTRY_INPUT(card, append, .label = "Append")};
static const vestry_application_form card_form = {
    .action = "/card", .name = "card", .inputs = of_card, .inputs_count = 4, .button = "Keep", .is_kept = true};

static struct program program;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static note notes[NOTES_MAX]; /* guarded by lock, also the next */
static size_t notes_count;

static vestry_err render(vestry_render *render, vestry_html *html, void *app) {
  const vestry_application_document document = {.title = "Notes", .client = program.options.client_url};
  vestry_render_topic(render, "notes");
  vestry_err error = vestry_application_document_begin(app, render, html, &document);
  if (!error) error = vestry_application_form_add(app, render, html, &form, &(note){.size = 3});
  if (error) return error;
  vestry_render_begin(render, html);
  vestry_html_add(html, "<ul>");
  pthread_mutex_lock(&lock);
  for (size_t i = 0; i < notes_count; i++)
    vestry_html_add(html, "<li>%s, %d%-s</li>", notes[i].text, (int)notes[i].size, notes[i].is_urgent ? "!" : "");
  pthread_mutex_unlock(&lock);
  vestry_html_add(html, "</ul>");
  vestry_render_end(render, html);
  return vestry_application_document_end(html);
}

static vestry_err render_card(vestry_render *render, vestry_html *html, void *app) {
  const vestry_application_document document = {.title = "Card", .client = program.options.client_url};
  vestry_err error = vestry_application_document_begin(app, render, html, &document);
  if (!error) error = vestry_application_form_add(app, render, html, &card_form, &(card){.id = 7});
  if (error) return error;
  vestry_render_begin(render, html);
  vestry_render_end(render, html);
  return vestry_application_document_end(html);
}

static vestry_err add_card(const vestry_request *req, vestry_reply *reply, void *app) {
  card sent;
  return vestry_application_form_end(app, req, reply, &card_form,
                                     vestry_application_form_read(app, req, reply, &card_form, &sent), "/card");
}

static vestry_err add(const vestry_request *req, vestry_reply *reply, void *ctx) {
  vestry_application *app = ctx;
  note sent;
  vestry_err error = vestry_application_form_read(app, req, reply, &form, &sent);
  pthread_mutex_lock(&lock);
  const bool is_full = !error && (notes_count == NOTES_MAX || strcmp(sent.text, "full") == 0);
  if (!error && !is_full) notes[notes_count++] = sent;
  pthread_mutex_unlock(&lock);
  if (is_full) error = vestry_application_form_refuse(app, req, reply, &form, "There is <no> room.");
  if (!error) error = vestry_refresh(app->pages, "notes", NULL);
  return vestry_application_form_end(app, req, reply, &form, error, "/");
}

int main(int argc, char **argv) {
  program_read(&program, argc, argv, "test_browser_declared", "A form that is declared once");
  program_create(&program, &(vestry_application_options){.forms = &(vestry_forms_options){0}});
  vestry_application *app = program.app;
  vestry_err error = vestry_application_page(app, "/", &(vestry_page_options){.render = render});
  if (!error) error = vestry_application_form_route(app, &form, add, app);
  if (!error) error = vestry_application_page(app, "/card", &(vestry_page_options){.render = render_card});
  if (!error) error = vestry_application_form_route(app, &card_form, add_card, app);
  if (!error) program_wait(&program);
  return program_finish(&program);
}
