/* SPDX-License-Identifier: MIT */
/* Active search: the list follows what is typed, and so does the address, which can be kept and sent to others. */
#include <stdio.h>
#include <string.h>

#include "shared/program.h"

enum { QUERY_MAX = 40 };

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

/* What both the page and the answers to typing show; what was looked for is marked. */
static void add_results(vestry_html *html, const char *query) {
  int count = 0, len = (int)strlen(query);
  vestry_html_add(html, "<section id=\"results\"><ul>");
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

/* GET /, also with ?query=…: complete without any script. */
static vestry_err page(const vestry_request *req, vestry_reply *reply, void *app) {
  char query[QUERY_MAX + 1] = "";
  const char *sent = req->query;
  vestry_query_value(sent, strlen(sent), "query", query, sizeof query, &(size_t){0});
  vestry_html results;
  vestry_html_init(&results, NULL);
  add_results(&results, query);
  vestry_slice html;
  vestry_err err = vestry_html_result(&results, &html);
  if (!err)
    err = program_page(app, reply, "Active search",
                       "<main><h1>Active search</h1><form role=\"search\" action=\"/\"><div class=\"field\">"
                       "<label for=\"query\">A bird’s name, English or Latin</label>"
                       "<input id=\"query\" name=\"query\" type=\"search\" value=\"%s\" maxlength=\"%d\" "
                       "autocomplete=\"off\" autofocus data-bind:query "
                       "data-on:input__debounce.150ms=\"@get('/search')\"></div></form>%-s</main>",
                       query, QUERY_MAX, (const char *)html.data);
  vestry_html_finish(&results);
  return err;
}

/* GET /search: the client gives up the search before, if it is still under way. Nothing stays open. */
static vestry_err search(const vestry_request *req, vestry_reply *reply, void *app) {
  const char *query = program_text(req, "query", QUERY_MAX);
  if (!query) query = "";
  (void)app;
  vestry_html results;
  vestry_html_init(&results, NULL);
  add_results(&results, query);
  vestry_slice html;
  vestry_err err = vestry_html_result(&results, &html);
  if (!err) err = vestry_reply_patch_elements(reply, html.data);
  char url[16 + 3 * QUERY_MAX] = "/?query=", *end = url + strlen(url);
  for (; *query; query++) end += sprintf(end, "%%%02X", (unsigned char)*query);
  if (!err) err = vestry_reply_effect(reply, VESTRY_LIST("replace-url", url));
  vestry_html_finish(&results);
  return err;
}

int main(int argc, char **argv) {
  struct program program = {0};
  program_start(&program, argc, argv, "search", "A search that answers while one types", &(vestry_options){0});
  vestry_route(program.v, "GET", "/", page, &program);
  vestry_route(program.v, "GET", "/search", search, &program);
  program_wait(&program);
  return program_finish(&program);
}
