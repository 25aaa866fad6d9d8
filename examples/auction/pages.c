/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "auction.h"
#include "vestry/app/tab.h"
#include "vestry/app/upload_view.h"
#include "vestry/app/window.h"

enum { SHOWN_MAX = 60 };
#define EURO           "€ %lld.%02lld"
#define EURO_OF(cents) (long long)(cents) / 100, (long long)(cents) % 100

/* Append the frame around the content of all pages; the document stays during navigation between them (data-navigate).
 * The page itself counts the remaining time, based on the server's clock. */
static vestry_err begin(struct app *app, vestry_render *render, vestry_html *html, const char *title) {
  static char nothing[1];
  char once[VESTRY_ONCE_ATTRIBUTES_BYTES] = "", tab[VESTRY_TAB_ATTRIBUTES_BYTES] = "";
  vestry_err err = VESTRY_OK;
  if (!render->is_stream) err = vestry_once_attributes(render->request, once, sizeof once);
  if (!err && !render->is_stream) err = vestry_tab_attributes(render->request, render->reply, tab, sizeof tab);
  if (err) return err;
  program_live_begin(&app->program, render, html, title);
  vestry_html_add(html,
                  "<div class=\"all\" %-s><div %-s data-signals=\"{amount: '', _message: ''}\" "
                  "data-on:vestry-navigated__window=\"$amount = $_message = ''\" ",
                  *tab ? tab : nothing, *once ? once : nothing);
  vestry_html_clock(html, NULL);
  vestry_html_add(html, "><header><a href=\"/\" data-navigate>Lots</a><a href=\"/offer\" data-navigate>Offer a lot</a>"
                        "<form method=\"post\" action=\"/logout\"><button>Log out</button></form></header>");
  return vestry_render_begin(render, html);
}

static vestry_err end(vestry_render *render, vestry_html *html) {
  vestry_render_end(render, html);
  vestry_html_add(html, "</div></div>");
  return program_live_end(html);
}

vestry_err page_may_see(const vestry_request *req, void *app) {
  (void)app;
  return vestry_session_user(req) ? VESTRY_OK : VESTRY_NOT_FOUND; /* 404: the tabs reload, and show the log-in */
}

vestry_err page_login(struct app *app, vestry_reply *reply, const char *name, const char *complaint) {
  return program_page(&app->program, reply, "The auction",
                      "<main class=\"narrow\"><h1>The auction</h1><form method=\"post\" action=\"/login\">"
                      "<label for=\"name\">Name</label><input id=\"name\" name=\"name\" dir=\"auto\" maxlength=\"%d\" "
                      "value=\"%s\" required autofocus "
                      "autocomplete=\"username\"><p class=\"alert\" role=\"alert\">%s</p>"
                      "<button class=\"first\">Enter</button></form></main>",
                      NAME_MAX, name ? name : "", complaint);
}

/* A lot. Its texts are valid while its row is shown. */
struct lot {
  long long id, cents, bids, ends_ms, best;
  const char *title, *about, *seller, *picture, *leader;
  bool is_over, has_no_bid; /* best: the highest bid of the page's user */
};
static const vestry_sql_shape lot_shape = VESTRY_ROW(struct lot, id, title, about, seller, picture, cents, bids, leader,
                                                     ends_ms, is_over, (best, has_no_bid));
#define LOTS                                                                                                           \
  "SELECT lot.id AS id, title, about, seller, picture, lot.cents AS cents, bids, leader, ends_ms, is_over, "           \
  "best.cents "                                                                                                        \
  "AS best FROM lot LEFT JOIN best ON best.lot = lot.id AND best.person = ?1 "

struct shown {
  vestry_html *html;
  const char *who; /* the user of the page */
  int count;       /* of lots */
};

static const char *standing(const struct lot *lot, const char *who, const char **ret_class) {
  const bool has_bid = !lot->has_no_bid, leads = has_bid && strcmp(lot->leader, who) == 0;
  *ret_class = leads ? "good" : has_bid ? "bad" : "";
  if (lot->is_over) return leads ? "You have won." : has_bid ? "Another bidder has won." : "";
  return leads ? "You lead." : has_bid ? "You were outbid." : "";
}

static vestry_err put_lot(void *row, void *ctx) {
  const struct lot *lot = row;
  struct shown *shown = ctx;
  const char *class, *says = standing(lot, shown->who, &class);
  shown->count++;
  vestry_html_add(shown->html, "<article id=\"lot-%lld\"><a href=\"/lot/%lld\" data-navigate>", lot->id, lot->id);
  if (*lot->picture)
    vestry_html_add(shown->html, "<img src=\"/picture/%s\" alt=\"\">", lot->picture);
  else
    vestry_html_add(shown->html, "<span class=\"none\" aria-hidden=\"true\">%.*s</span>", 1,
                    lot->title + (strlen(lot->title) > 2 ? 2 : 0));
  vestry_html_add(shown->html, "<b dir=\"auto\">%s</b></a><p>" EURO ", %-s<bdi>%s</bdi></p>", lot->title,
                  EURO_OF(lot->cents), *lot->leader ? "bid by " : "no bid yet", lot->leader);
  if (lot->is_over)
    vestry_html_add(shown->html, "<p>%-s</p>", *lot->leader ? "Sold." : "Over.");
  else
    vestry_html_add(shown->html,
                    "<time id=\"ends-%lld\" data-countdown=\"%lld\" data-format=\"{hh}:{mm}:{ss}\" "
                    "data-over=\"over\"></time>",
                    lot->id, lot->ends_ms);
  return vestry_html_add(shown->html, "<p class=\"%-s\" role=\"status\">%-s</p></article>", class, says);
}

/* GET /?q=…: the search text is in the address. */
vestry_err page_lots(vestry_render *render, vestry_html *html, void *ctx) {
  struct app *app = ctx;
  const char *q = vestry_request_value(render->request, VESTRY_IN_QUERY, "q");
  struct lot lot;
  struct shown shown = {.html = html, .who = vestry_session_user(render->request)};
  if (!vestry_text_has(q, 0, TITLE_MAX)) q = "";
  vestry_err err = begin(app, render, html, "The auction");
  vestry_html_add(html,
                  "<h1>Lots</h1><form role=\"search\" action=\"/\" data-navigate><label for=\"q\">Search</label>"
                  "<input id=\"q\" name=\"q\" type=\"search\" dir=\"auto\" value=\"%s\" maxlength=\"%d\" "
                  "autocomplete=\"off\" data-navigate>"
                  "</form><section class=\"lots\">",
                  q, TITLE_MAX);
  if (!err)
    err = vestry_sql_read_rows(
        app->db, LOTS "WHERE ?2 = '' OR instr(lower(title), lower(?2)) ORDER BY is_over, ends_ms LIMIT ?3",
        VESTRY_LIST(shown.who, q, SHOWN_MAX), VESTRY_EACH_ROW(&lot_shape, &lot, put_lot, &shown));
  if (!err && !shown.count) err = vestry_html_add(html, "<p role=\"status\">No lot is called “<bdi>%s</bdi>”.</p>", q);
  vestry_html_add(html, "</section>");
  return err ? err : end(render, html);
}

struct bid {
  int number;
  const char *person;
  long long cents;
};
static const vestry_sql_shape bid_shape = VESTRY_ROW(struct bid, number, person, cents);

static vestry_err put_bid(void *row, void *html) {
  const struct bid *bid = row;
  return vestry_html_add(html, "<div id=\"bid-%d\"><span>%d</span><b dir=\"auto\">%s</b><span>" EURO "</span></div>",
                         bid->number, bid->number, bid->person, EURO_OF(bid->cents));
}

/* Append the bids as a window: only the visible rows are read, by their key, whatever the number of bids. */
static vestry_err put_bids(struct app *app, vestry_render *render, vestry_html *html, const struct lot *lot) {
  const vestry_window_options options = {.id = "bids",
                                         .rows = {.count = (uint64_t)lot->bids, .px = 32, .buffer_count = 60},
                                         .is_at_end = true,
                                         .label = "Bids"};
  vestry_window window = {0};
  struct bid bid;
  vestry_err err = vestry_window_begin(render, html, &options, &window);
  const int64_t first = (int64_t)window.first_row;
  if (!err && window.rows_count)
    err = vestry_sql_read_rows(
        app->db, "SELECT number, person, cents FROM bid WHERE lot = ? AND number > ? AND number <= ? ORDER BY number",
        VESTRY_LIST(lot->id, first, first + (int64_t)window.rows_count),
        VESTRY_EACH_ROW(&bid_shape, &bid, put_bid, html));
  return err ? err : vestry_window_end(html, &window);
}

static vestry_err put_about(void *row, void *ctx) {
  const struct lot *lot = row;
  struct shown *shown = ctx;
  vestry_html_add(shown->html, "<h1 dir=\"auto\">%s</h1>", lot->title);
  put_lot(row, ctx);
  return vestry_html_add(shown->html,
                         "<p class=\"about\" dir=\"auto\">%s</p><p class=\"soft\">Offered by <bdi>%s</bdi></p>",
                         lot->about, lot->seller);
}

static void put_form(vestry_html *html, const struct lot *lot) {
  const vestry_backend_action_options once = {
      .filter_include = "^amount$", .once = true, .deduplicate = true, .sent = "_bidding"};
  vestry_html_add(html, "<form class=\"bid\" data-on:submit=\"");
  vestry_html_backend_action(html, VESTRY_METHOD_POST, &once, "/bid/%lld", lot->id);
  vestry_html_add(html,
                  "\"><label for=\"amount\">Your bid, " EURO " or more</label><input id=\"amount\" data-bind:amount "
                  "inputmode=\"decimal\" autocomplete=\"off\" required><button class=\"first\">Bid</button>"
                  "<p role=\"alert\" class=\"alert\" data-text=\"$_biddingFailed ? 'Your bid did not arrive. Try "
                  "again.' : $_message\">"
                  "</p><p role=\"status\" data-text=\"$_bidding ? 'Sending…' : ''\"></p></form>",
                  EURO_OF(lot->cents + (lot->bids ? STEP_CENTS : 0)));
}

/* GET /lot/{lot} */
vestry_err page_lot(vestry_render *render, vestry_html *html, void *ctx) {
  struct app *app = ctx;
  struct lot lot;
  struct shown shown = {.html = html, .who = vestry_session_user(render->request)};
  int64_t id;
  vestry_err err = vestry_request_get(render->request, VESTRY_IN_PATH, "lot", vestry_into_between(&id, 1, INT64_MAX));
  if (err) return VESTRY_NOT_FOUND;
  err = begin(app, render, html, "A lot");
  if (!err)
    err = vestry_sql_read_rows(app->db, LOTS "WHERE lot.id = ?2", VESTRY_LIST(shown.who, id),
                               VESTRY_EACH_ROW(&lot_shape, &lot, put_about, &shown));
  if (!err && !shown.count) err = VESTRY_NOT_FOUND;
  if (err) return err;
  if (!lot.is_over) put_form(html, &lot);
  vestry_html_add(html, "<h2>%lld %-s</h2>", lot.bids, lot.bids == 1 ? "bid" : "bids");
  err = put_bids(app, render, html, &lot);
  vestry_html_add(html, "<p><a href=\"/lot/%lld/bids.csv\" download>All bids as CSV</a></p>", lot.id);
  return err ? err : end(render, html);
}

/* GET /offer: typed text is kept for its tab, and restored after a reload. */
vestry_err page_offer(vestry_render *render, vestry_html *html, void *ctx) {
  struct app *app = ctx;
  vestry_form *form;
  vestry_err err = begin(app, render, html, "Offer a lot");
  vestry_html_add(html, "<h1>Offer a lot</h1><form method=\"post\" action=\"/lots\" enctype=\"multipart/form-data\" ");
  if (!err) err = vestry_form_open(app->forms, render->request, render, html, "lot", &form);
  if (err) return err;
  vestry_html_add(html,
                  "><input type=\"hidden\" name=\"tabId\" data-attr:value=\"$tabId\"><label for=\"title\">Title</label>"
                  "<input id=\"title\" name=\"title\" dir=\"auto\" required maxlength=\"%d\" " VESTRY_FORM_FIELD
                  " value=\"%s\"><label for=\"about\">Description</label>",
                  TITLE_MAX, vestry_form_text(form, "title", ""));
  vestry_html_add(html,
                  "<textarea id=\"about\" name=\"about\" dir=\"auto\" maxlength=\"%d\" rows=\"4\" " VESTRY_FORM_FIELD
                  ">%s</textarea>"
                  "<label for=\"price\">First price, in euros</label><input id=\"price\" name=\"price\" required "
                  "inputmode=\"decimal\" " VESTRY_FORM_FIELD " value=\"%s\">",
                  ABOUT_MAX, vestry_form_text(form, "about", ""), vestry_form_text(form, "price", "1.00"));
  vestry_html_add(
      html,
      "<label for=\"minutes\">Duration in minutes</label><input id=\"minutes\" name=\"minutes\" type=\"number\" "
      "min=\"1\" max=\"%d\" required " VESTRY_FORM_FIELD " value=\"%s\"><label for=\"picture\">Picture</label>"
      "<input id=\"picture\" type=\"file\" name=\"picture\" accept=\"image/png,image/jpeg,image/webp,image/gif\">"
      "<button class=\"first\">Offer</button>",
      MINUTES_MAX, vestry_form_text(form, "minutes", "60"));
  vestry_form_close(form);
  vestry_html_upload(html, &(vestry_upload_view_options){.signal = "_lot"});
  vestry_html_add(html, "</form>");
  return end(render, html);
}
