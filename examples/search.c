/* SPDX-License-Identifier: MIT */
/* Active search: the search text is in the address, which can be bookmarked and shared. A marked field (data-navigate)
 * navigates there within the document while the user types; so do back and forward. */
#include <stdio.h>
#include <string.h>

#include "shared/program.h"
#include "vestry/app/input.h"

enum { QUERY_MAX = 40, QUERY_BYTES = VESTRY_TEXT_BYTES(QUERY_MAX) };

static const char *const birds[] = {"Avocet, Recurvirostra avosetta",
                                    "Barn owl, Tyto alba",
                                    "Black redstart, Phoenicurus ochruros",
                                    "Blackbird, Turdus merula",
                                    "Blackcap, Sylvia atricapilla",
                                    "Blue tit, Cyanistes caeruleus",
                                    "Bullfinch, Pyrrhula pyrrhula",
                                    "Buzzard, Buteo buteo",
                                    "Chaffinch, Fringilla coelebs",
                                    "Chiffchaff, Phylloscopus collybita",
                                    "Coal tit, Periparus ater",
                                    "Coot, Fulica atra",
                                    "Curlew, Numenius arquata",
                                    "Dipper, Cinclus cinclus",
                                    "Dunnock, Prunella modularis",
                                    "Fieldfare, Turdus pilaris",
                                    "Goldfinch, Carduelis carduelis",
                                    "Great tit, Parus major",
                                    "Greenfinch, Chloris chloris",
                                    "Grey heron, Ardea cinerea",
                                    "Grey wagtail, Motacilla cinerea",
                                    "House martin, Delichon urbicum",
                                    "Jackdaw, Coloeus monedula",
                                    "Kestrel, Falco tinnunculus",
                                    "Kingfisher, Alcedo atthis",
                                    "Lapwing, Vanellus vanellus",
                                    "Linnet, Linaria cannabina",
                                    "Little owl, Athene noctua",
                                    "Mistle thrush, Turdus viscivorus",
                                    "Nightingale, Luscinia megarhynchos",
                                    "Nuthatch, Sitta europaea",
                                    "Redwing, Turdus iliacus",
                                    "Reed warbler, Acrocephalus scirpaceus",
                                    "Robin, Erithacus rubecula",
                                    "Siskin, Spinus spinus",
                                    "Skylark, Alauda arvensis",
                                    "Song thrush, Turdus philomelos",
                                    "Swallow, Hirundo rustica",
                                    "Swift, Apus apus",
                                    "Tawny owl, Strix aluco",
                                    "Treecreeper, Certhia familiaris",
                                    "Wren, Troglodytes troglodytes"};
enum { BIRDS_COUNT = sizeof birds / sizeof *birds };

/* Read the search text, without blanks at its ends, and with one blank between words. */
static void read_query(const vestry_request *req, char query[QUERY_BYTES]) {
  const char *text = vestry_request_value(req, VESTRY_IN_QUERY, "query");
  size_t len = 0;
  query[0] = '\0';
  if (!vestry_text_has(text, 0, QUERY_MAX)) return;
  for (; *text; text++) {
    bool is_blank = *text == ' ' || *text == '\t';
    if (is_blank && (len == 0 || query[len - 1] == ' ')) continue;
    query[len++] = is_blank ? ' ' : *text;
  }
  if (len && query[len - 1] == ' ') len--;
  query[len] = '\0';
}

/* Append the results, with the search text marked. */
static void add_results(vestry_html *html, const char *query) {
  int count = 0, len = (int)strlen(query);
  vestry_html_add(html,
                  "<section id=\"results\"><p class=\"while-stale\" id=\"not-yet\">These are the birds %s%s%s. Your "
                  "text is searched for when the server responds.</p><ul class=\"live\">",
                  *query ? "for “" : "without a search", query, *query ? "”" : "");
  for (size_t i = 0; i < BIRDS_COUNT; i++) {
    const char *found = strcasestr(birds[i], query);
    if (!found) continue;
    vestry_html_add(html, "<li class=\"plain\">%.*s<mark>%.*s</mark>%s</li>", (int)(found - birds[i]), birds[i], len,
                    found, found + len);
    count++;
  }
  vestry_html_add(html, "</ul><p class=\"soft\" role=\"status\">");
  if (count)
    vestry_html_add(html, "%d of %d birds", count, BIRDS_COUNT);
  else
    vestry_html_add(html, "No bird is called “%s”.", query);
  vestry_html_add(html, "</p></section>");
}

/* GET /, also with ?query=…: the document, which is complete without scripts, and the content of each address to which
 * the tab navigates. */
static void page(vestry_call *call) {
  char query[QUERY_BYTES];
  read_query(call->req, query);
  vestry_call_document(call, "Birds");
  vestry_call_content(call);
  vestry_html_add(call->html,
                  "<h1>Birds</h1><form role=\"search\" action=\"/\" data-navigate><div class=\"field\">"
                  "<label for=\"query\">A bird’s name, English or Latin</label>"
                  "<input id=\"query\" name=\"query\" type=\"search\" value=\"%s\" maxlength=\"%d\" "
                  "autocomplete=\"off\" autofocus data-navigate></div></form>",
                  query, QUERY_MAX);
  add_results(call->html, query);
}

static const vestry_page_options birds_page = {.layout = "search"};
static const vestry_entry entries[] = {VESTRY_PAGE("/", page, .page = &birds_page), {0}};

int main(int argc, char **argv) {
  static const vestry_application_options application = {
      .without = VESTRY_WITHOUT_SESSIONS | VESTRY_WITHOUT_CSRF | VESTRY_WITHOUT_ONCE, .entries = entries};
  struct program program = {.application = &application};
  return program_main(&program, argc, argv, "search", "A search that shows results while you type");
}
