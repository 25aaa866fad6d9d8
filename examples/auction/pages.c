/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "auction.h"
#include "vestry/app/upload_view.h"
#include "vestry/app/window.h"

enum { SHOWN_MAX = 60, EURO_BYTES = 32 };
/* Write an amount, with a narrow space between thousands: digits and a point could be read as either separator. */
static const char *euro(long long cents, char text[EURO_BYTES]) {
  const long long whole = cents / 100;
  if (whole < 1000)
    snprintf(text, EURO_BYTES, "€ %lld.%02lld", whole, cents % 100);
  else
    snprintf(text, EURO_BYTES, "€ %lld\u202F%03lld.%02lld", whole / 1000, whole % 1000, cents % 100);
  return text;
}

/* Begin the frame around the content of all pages; the document stays during navigation between them (data-navigate).
 * The page itself counts the remaining time, based on the server's clock. */
static void begin(vestry_call *call, const char *title) {
  vestry_call_document(call, title);
  vestry_html_add(call->html, "<div class=\"all\"><div data-signals=\"{amount: '', _message: ''}\" "
                              "data-on:vestry-navigated__window=\"$amount = $_message = ''\" ");
  vestry_html_clock(call->html, NULL);
  vestry_html_add(call->html,
                  "><header><a href=\"/\" data-navigate>Lots</a><a href=\"/offer\" data-navigate>Offer a lot</a>"
                  "<form method=\"post\" action=\"/logout\"><button>Log out</button></form></header>");
  vestry_call_content(call);
}

static void end(vestry_call *call) {
  vestry_call_content_end(call);
  vestry_html_add(call->html, "</div></div>");
}

vestry_err page_may_see(const vestry_request *req, void *app) {
  (void)app;
  return vestry_session_user(req) ? VESTRY_OK : VESTRY_NOT_FOUND; /* 404: the tabs reload, and show the log-in */
}

/* GET /enter */
void page_login(vestry_call *call) {
  vestry_call_document(call, "The auction");
  vestry_html_add(call->html, "<main class=\"narrow\"><h1>The auction</h1>");
  vestry_call_form(call, &login_form, NULL);
  vestry_html_add(call->html, "</main>");
}

/* best: the highest bid of the page's user */
VESTRY_STRUCT(lot_row, (long long, id), (const char *, title), (const char *, about), (const char *, seller),
              (const char *, picture), (long long, cents), (long long, bids), (const char *, leader),
              (long long, ends_ms), (bool, is_over), (long long, best, has_no_bid));
#define LOTS                                                                                                           \
  "SELECT lot.id AS id, title, about, seller, picture, lot.cents AS cents, bids, leader, ends_ms, is_over, "           \
  "best.cents "                                                                                                        \
  "AS best FROM lot LEFT JOIN best ON best.lot = lot.id AND best.person = ?1 "

static const char *standing(const lot_row *lot, const char *who, const char **ret_class) {
  const bool has_bid = !lot->has_no_bid, leads = has_bid && strcmp(lot->leader, who) == 0;
  *ret_class = leads ? "good" : has_bid ? "bad" : "";
  if (lot->is_over) return leads ? "You have won." : has_bid ? "Another bidder has won." : "";
  return leads ? "You lead." : has_bid ? "You were outbid." : "";
}

/* Return the length of the first character of a text, in bytes. */
static int first_len(const char *text) {
  int len = *text != 0;
  while (((unsigned char)text[len] & 0xC0) == 0x80) len++;
  return len;
}

/* Append a lot. is_alone: of its own page, whose heading is the title */
static void put_lot(vestry_call *call, const lot_row *lot, bool is_alone) {
  char amount[EURO_BYTES];
  const char *class, *says = standing(lot, call->user, &class), *element = is_alone ? "div" : "a";
  vestry_html_add(call->html, "<article id=\"lot-%lld\">", lot->id);
  if (is_alone)
    vestry_html_add(call->html, "<div>");
  else
    vestry_html_add(call->html, "<a href=\"/lot/%lld\" data-navigate>", lot->id);
  if (*lot->picture)
    vestry_html_add(call->html, "<img src=\"/picture/%s\" alt=\"\">", lot->picture);
  else
    vestry_html_add(call->html, "<span class=\"none\" aria-hidden=\"true\">%.*s</span>", first_len(lot->title),
                    lot->title);
  if (!is_alone) vestry_html_add(call->html, "<b dir=\"auto\">%s</b>", lot->title);
  vestry_html_add(call->html, "</%-s><p>%s, %-s<bdi>%s</bdi></p>", element, euro(lot->cents, amount),
                  *lot->leader ? "bid by " : "no bid yet", lot->leader);
  if (lot->is_over)
    vestry_html_add(call->html, "<p>%-s</p>", *lot->leader ? "Sold." : "Over.");
  else
    vestry_html_add(call->html,
                    "<time id=\"ends-%lld\" data-countdown=\"%lld\" data-format=\"Ends in {hh}:{mm}:{ss}\" "
                    "data-over=\"Over\"></time>",
                    lot->id, lot->ends_ms);
  vestry_html_add(call->html, "<p class=\"%-s\" role=\"status\">%-s</p></article>", class, says);
}

/* GET /?q=…: the search text is in the address. */
void page_lots(vestry_call *call) {
  const char *q = vestry_request_value(call->req, VESTRY_IN_QUERY, "q");
  if (!vestry_text_has(q, 0, TITLE_MAX)) q = "";
  begin(call, "The auction");
  vestry_html_add(call->html,
                  "<h1>Lots</h1><form role=\"search\" action=\"/\" data-navigate><label for=\"q\">Search</label>"
                  "<input id=\"q\" name=\"q\" type=\"search\" dir=\"auto\" value=\"%s\" maxlength=\"%d\" "
                  "autocomplete=\"off\" data-navigate>"
                  "</form><section class=\"lots\">",
                  q, TITLE_MAX);
  vestry_rows lots = vestry_call_rows(
      call, &lot_row_shape, LOTS "WHERE ?2 = '' OR instr(lower(title), lower(?2)) ORDER BY is_over, ends_ms LIMIT ?3",
      VESTRY_LIST(call->user, q, SHOWN_MAX));
  if (!lots.count) vestry_html_add(call->html, "<p role=\"status\">No lot is called “<bdi>%s</bdi>”.</p>", q);
  for (const lot_row *at; (at = vestry_next(&lots));) put_lot(call, at, false);
  vestry_html_add(call->html, "</section>");
  end(call);
}

VESTRY_STRUCT(bid, (int, number), (const char *, person), (long long, cents));

/* Append the bids as a window: only the visible rows are read, by their key, whatever the number of bids. */
static void put_bids(vestry_call *call, const lot_row *lot) {
  const vestry_window_options options = {.id = "bids",
                                         .rows = {.count = (uint64_t)lot->bids, .px = 32, .buffer_count = 60},
                                         .is_at_end = true,
                                         .label = "Bids"};
  vestry_window window = {0};
  char amount[EURO_BYTES];
  vestry_html_add(call->html, "<div class=\"heads\"><span>Bid</span><span>Bidder</span><span>Amount</span></div>");
  vestry_call_fail(call, vestry_window_begin(call->render, call->html, &options, &window));
  const int64_t first = (int64_t)window.first_row;
  vestry_rows bids = vestry_call_rows(
      call, &bid_shape,
      "SELECT number, person, cents FROM bid WHERE lot = ? AND number > ? AND number <= ? ORDER BY number",
      VESTRY_LIST(lot->id, first, first + (int64_t)window.rows_count));
  for (const bid *at; (at = vestry_next(&bids));)
    vestry_html_add(call->html, "<div id=\"bid-%d\"><span>%d</span><b dir=\"auto\">%s</b><span>%s</span></div>",
                    at->number, at->number, at->person, euro(at->cents, amount));
  vestry_call_fail(call, vestry_window_end(call->html, &window));
}

static void put_form(vestry_html *html, const lot_row *lot) {
  char amount[EURO_BYTES];
  const vestry_backend_action_options once = {
      .filter_include = "^amount$", .once = true, .deduplicate = true, .sent = "_bidding"};
  vestry_html_add(html, "<form class=\"bid\" data-on:submit=\"");
  vestry_html_backend_action(html, VESTRY_METHOD_POST, &once, "/bid/%lld", lot->id);
  vestry_html_add(html,
                  "\"><label for=\"amount\">Your bid, %s or more</label><input id=\"amount\" data-bind:amount "
                  "inputmode=\"decimal\" autocomplete=\"off\" required><button class=\"first\">Bid</button>"
                  "<p role=\"alert\" class=\"alert\" data-text=\"$_biddingFailed ? 'Your bid did not arrive. Try "
                  "again.' : $_message\">"
                  "</p><p role=\"status\" data-text=\"$_bidding ? 'Sending…' : ''\"></p></form>",
                  euro(lot->cents + (lot->bids ? STEP_CENTS : 0), amount));
}

/* GET /lot/{lot} */
void page_lot(vestry_call *call) {
  const lot_row *lot = vestry_call_row(call, &lot_row_shape, LOTS "WHERE lot.id = ?2",
                                       VESTRY_LIST(call->user, vestry_call_path(call, "lot")));
  if (!vestry_call_need(call, lot)) return;
  begin(call, lot->title);
  vestry_html_add(call->html, "<h1 dir=\"auto\">%s</h1>", lot->title);
  put_lot(call, lot, true);
  vestry_html_add(call->html, "<p class=\"about\" dir=\"auto\">%s</p><p class=\"soft\">Offered by <bdi>%s</bdi></p>",
                  lot->about, lot->seller);
  if (!lot->is_over) put_form(call->html, lot);
  vestry_html_add(call->html, "<h2>%lld %-s</h2>", lot->bids, lot->bids == 1 ? "bid" : "bids");
  put_bids(call, lot);
  vestry_html_add(call->html, "<p><a href=\"/lot/%lld/bids.csv\" download>All bids as CSV</a></p>", lot->id);
  end(call);
}

/* GET /offer: typed text is kept for its tab, and restored after a reload. */
void page_offer(vestry_call *call) {
  vestry_form *form;
  vestry_html *html = call->html;
  begin(call, "Offer a lot");
  vestry_html_add(html, "<h1>Offer a lot</h1><form method=\"post\" action=\"/lots\" enctype=\"multipart/form-data\" ");
  vestry_call_fail(call, vestry_form_open(call->app->forms, call->req, call->render, html, "lot", &form));
  if (call->error) return;
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
  end(call);
}
