/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "boxoffice.h"
#include "vestry/app/press.h"
#include "vestry/app/tab.h"

/* ------------------------------------------------------------------------------------------ shared parts ---------- */

struct block {
  vestry_html *html;
  int64_t now, newest_ms;
  int letter, free_count;
};

VESTRY_STRUCT(seat_row, (int, row), (int, place), (bool, kept), (int64_t, payment), (int64_t, until_ms),
              (int64_t, at_ms));

static vestry_err put_seat(void *row, void *ctx) {
  const seat_row *seat = row;
  struct block *block = ctx;
  const char *is = seat->payment ? "sold" : seat->kept ? "kept" : seat->until_ms > block->now ? "held" : "free";
  if (seat->at_ms > block->newest_ms) block->newest_ms = seat->at_ms;
  block->free_count += *is == 'f';
  return vestry_html_add(
      block->html,
      "<button class=\"%-s\" data-press=\"/hold/%d\" tabindex=\"%d\" aria-label=\"Row %d, seat %d: %-s\"%-s></button>",
      is, block->letter * 1000 + (seat->row - 1) * PLACES + seat->place - 1,
      seat->row == 1 && seat->place == 1 ? 0 : -1, seat->row, seat->place, is,
      *is == 'f' ? "" : " aria-disabled=\"true\"");
}

/* Render a block. It is read, rendered and compressed once for all pages, and only when its rows have changed. */
static vestry_err put_block(vestry_render *render, vestry_html *html, void *ctx) {
  struct app *app = ctx;
  struct block block = {.html = html, .now = vestry_clock_ms(NULL), .letter = *render->share - 'A' + 1};
  const unsigned counts = render->is_stream;
  const unsigned renders = atomic_fetch_add(&app->renders[block.letter - 1], counts) + counts;
  vestry_html_add(html, "<div class=\"seats\" role=\"group\" aria-label=\"Seats of block %s\">", render->share);
  vestry_err err = database_follow(&app->db, render);
  if (!err)
    err = vestry_sql_read_rows(
        app->db.pool,
        "SELECT row, place, kept, payment, until_ms, at_ms FROM seat WHERE id BETWEEN $1 AND $2 ORDER BY id",
        VESTRY_LIST(block.letter * 1000, block.letter * 1000 + ROWS * PLACES - 1),
        VESTRY_EACH_ROW(&seat_row_shape, &(seat_row){0}, put_seat, &block));
  vestry_html_add(html, "</div><p><span><b>%d</b> free</span><span class=\"renders inside\">%u</span></p>",
                  block.free_count, renders);
  if (block.newest_ms) /* otherwise no write is shown yet */
    vestry_html_add(html, "<i data-signals=\"{_at: %lld}\"></i>", (long long)block.newest_ms);
  return err;
}

VESTRY_STRUCT(sale_row, (const char *, name), (int, seats));

static vestry_err put_sale(void *row, void *html) {
  const sale_row *sale = row;
  return vestry_html_add(html, "<li><bdi>%s</bdi> × %d</li>", sale->name, sale->seats);
}

VESTRY_STRUCT(audit_row, (int64_t, show), (int64_t, sold), (int64_t, paid), (int64_t, twice), (int64_t, lost),
              (int64_t, next_ms));

/* Count the seats with a ticket; the paid seats; further tickets for the same seat; and losses: paid seats without a
 * ticket, tickets without a payment, and seats that disagree with the tickets. */
static const char audit_sql[] =
    "WITH now(show) AS (SELECT max(number) FROM show) SELECT show, (SELECT count(*) FROM ticket t WHERE t.show = "
    "now.show) AS sold, (SELECT coalesce(sum(seats), 0) FROM payment p WHERE p.show = now.show) AS paid, (SELECT "
    "count(*) - count(DISTINCT seat) FROM ticket t WHERE t.show = now.show) AS twice, (SELECT count(*) FROM payment p "
    "WHERE p.show = now.show AND seats <> (SELECT count(*) FROM ticket t WHERE t.payment = p.id)) + (SELECT count(*) "
    "FROM ticket t LEFT JOIN seat ON seat.id = t.seat WHERE t.show = now.show AND coalesce(seat.payment, 0) <> "
    "t.payment) AS lost, (SELECT next_ms FROM show WHERE number = now.show) AS next_ms FROM now";

/* Render the ticker: an audit of the database after each payment. */
static vestry_err put_ticker(vestry_render *render, vestry_html *html, void *ctx) {
  struct app *app = ctx;
  audit_row audit = {0};
  vestry_err err = database_follow(&app->db, render);
  if (!err) err = vestry_sql_read_rows(app->db.pool, audit_sql, NULL, VESTRY_ONE_ROW(&audit_row_shape, &audit));
  vestry_html_add(
      html,
      "<dl class=\"%-s\"><div><dt>sold</dt><dd>%lld</dd></div><div class=\"inside\"><dt>paid</dt><dd>%lld</dd></div>"
      "<div class=\"inside\"><dt>sold twice</dt><dd>%lld</dd></div><div class=\"inside\"><dt>lost</dt>"
      "<dd>%lld</dd></div></dl>",
      audit.sold != audit.paid || audit.twice || audit.lost ? "wrong" : "right", (long long)audit.sold,
      (long long)audit.paid, (long long)audit.twice, (long long)audit.lost);
  vestry_html_add(html, "<progress max=\"%d\" value=\"%lld\" aria-label=\"sold\"></progress><p>Evening %lld%-s</p>",
                  BLOCKS * ROWS * PLACES, (long long)audit.sold, (long long)audit.show,
                  audit.next_ms ? ": sold out. The next one is on sale in a moment." : "");
  vestry_html_add(html, "<ul>");
  if (!err)
    err = vestry_sql_read_rows(app->db.pool, "SELECT name, seats FROM payment ORDER BY id DESC LIMIT 4", NULL,
                               VESTRY_EACH_ROW(&sale_row_shape, &(sale_row){0}, put_sale, html));
  vestry_html_add(html, "</ul>");
  return err;
}

/* -------------------------------------------------------------------------------------- private content ----------- */

/* A submission is repeated each second for a minute, because an unavailable database causes 503. */
static const vestry_backend_action_options pressed = {
    .once = true, .retry_interval_ms = 1000, .retry_scaler = 1, .retry_max_count = 60};

struct basket {
  vestry_html *html;
  int held, sold;
  bool is_for_hall;
  char block; /* the block whose seats are drawn over the hall; 0: the seats of the basket */
};

VESTRY_STRUCT(own_row, (int64_t, id), (const char *, block), (int, row), (int, place), (int64_t, payment),
              (int64_t, until_ms));

static vestry_err put_own(void *row, void *ctx) {
  struct basket *basket = ctx;
  const own_row *own = row;
  const long long id = own->id;
  const bool is_sold = own->payment > 0;
  if (basket->is_for_hall && *own->block != basket->block) return VESTRY_OK;
  basket->held += !is_sold;
  basket->sold += is_sold;
  if (basket->is_for_hall)
    return vestry_html_add(basket->html,
                           "<button id=\"own-%lld\" class=\"r%d p%d %-s\" %-sdata-press=\"/free/%lld\" "
                           "aria-label=\"Row %d, seat %d: %-s\">"
                           "</button>",
                           id, own->row, own->place, is_sold ? "bought" : "mine",
                           is_sold ? "aria-disabled=\"true\" " : "", id, own->row, own->place,
                           is_sold ? "bought by you" : "held for you; let it go");
  vestry_html_add(basket->html, "<li id=\"basket-%lld\">Block %s, row %d, seat %d%-s", id, own->block, own->row,
                  own->place, is_sold ? ": yours</li>" : "");
  if (is_sold) return VESTRY_OK;
  return vestry_html_add(
      basket->html,
      "<time id=\"until-%lld\" data-countdown=\"%lld\" data-format=\"{s} s\"></time><button class=\"small\" "
      "data-press=\"/free/%lld\" aria-label=\"Let go: block %s, row %d, seat %d\">×</button></li>",
      id, (long long)own->until_ms, id, own->block, own->row, own->place);
}

static vestry_err put_all_own(struct app *app, vestry_render *render, int64_t buyer, struct basket *basket) {
  vestry_err err = database_follow(&app->db, render);
  if (err) return err;
  return vestry_sql_read_rows(app->db.pool,
                              "SELECT id, block, row, place, payment, until_ms FROM seat WHERE holder = $1 AND "
                              "(payment > 0 OR until_ms > 0) ORDER BY id",
                              VESTRY_LIST(buyer), VESTRY_EACH_ROW(&own_row_shape, &(own_row){0}, put_own, basket));
}

static vestry_err put_basket(struct app *app, vestry_render *render, vestry_html *html, int64_t buyer) {
  struct basket basket = {.html = html};
  vestry_backend_action_options once = pressed;
  once.content = VESTRY_CONTENT_FORM;
  once.deduplicate = true;
  once.sent = "_paying";
  vestry_form *form;
  vestry_html_add(html, "<section id=\"basket\" aria-label=\"Your seats\"><h2>Your seats</h2><ul>");
  vestry_err err = buyer ? put_all_own(app, render, buyer, &basket) : VESTRY_OK;
  vestry_html_add(html, "</ul>");
  if (!basket.held)
    vestry_html_add(html, "<p class=\"soft\">%-s Press a free seat before the robots do. It is held for a minute.</p>",
                    basket.sold ? "Another one?" : "None yet.");
  vestry_html_add(html, "<button class=\"any\" data-press=\"/hold/0\">Any free seat</button><form data-indicator:_busy "
                        "data-on:submit=\"");
  vestry_html_backend_action(html, VESTRY_METHOD_POST, &once, "/pay");
  vestry_html_add(html, "\" ");
  if (!err) err = vestry_form_open(app->forms, render->request, render, html, "buyer", &form);
  if (err) return err;
  vestry_html_add(html,
                  "><input type=\"hidden\" name=\"tabId\" data-attr:value=\"$tabId\"><label>Name on the "
                  "tickets <input name=\"name\" dir=\"auto\" autocomplete=\"name\" "
                  "enterkeyhint=\"done\" maxlength=\"%d\" " VESTRY_FORM_FIELD " value=\"%s\"></label>"
                  "<button class=\"first\" aria-disabled=\"%-s\">Pay € %d</button></form></section>",
                  NAME_MAX_CHARS, vestry_form_text(form, "name", ""), basket.held ? "false" : "true",
                  basket.held * EUROS);
  vestry_form_close(form);
  return VESTRY_OK;
}

static void put_hall(struct app *app, vestry_render *render, vestry_html *html, int64_t buyer) {
  vestry_html_add(
      html, "<ul class=\"key\"><li class=\"free\">free</li><li class=\"held\">held</li><li class=\"sold\">sold</li>"
            "<li class=\"kept\">not for sale</li><li class=\"mine\">held for you</li><li class=\"bought\">yours"
            "</li></ul><div class=\"stage\">Stage</div><div class=\"hall\">");
  for (int i = 0; i < BLOCKS; i++) {
    const char letter[] = {(char)('A' + i), '\0'}, id[] = {'b', '-', *letter, '\0'};
    struct basket basket = {.html = html, .is_for_hall = true, .block = *letter};
    const vestry_page_part part = {.id = id, .share = letter, .render = put_block, .app = app};
    vestry_html_add(html, "<section id=\"block-%s\" aria-label=\"Block %s\"><h2>%s</h2><div class=\"block\">", letter,
                    letter, letter);
    vestry_render_part(render, html, &part);
    vestry_html_add(html, "<div class=\"own\" role=\"group\" aria-label=\"Your seats in block %s\">", letter);
    if (buyer) put_all_own(app, render, buyer, &basket);
    vestry_html_add(html, "</div></div></section>");
  }
  vestry_html_add(html, "</div>");
}

/* Append the actions of the page: buttons hold a seat, or let it go. Arrow keys move between seats. */
static void put_actions(vestry_html *html) {
  vestry_backend_action_options press = pressed;
  press.filter_include = "^tabId$";
  press.sent = "_holding";
  vestry_html_add(html, "data-signals=\"{_message: '', _busy: false, _at: 0}\" data-indicator:_busy ");
  vestry_html_presses(html, VESTRY_METHOD_POST, &press);
  vestry_html_add(html,
                  " data-on:keydown=\"const b = evt.target.closest('.seats button'), to = {ArrowLeft: -1, "
                  "ArrowRight: 1, ArrowUp: -%d, ArrowDown: %d}[evt.key]; if (b && to) { evt.preventDefault(); "
                  "[...b.parentNode.children][[...b.parentNode.children].indexOf(b) + to]?.focus() }\" ",
                  PLACES, PLACES);
  vestry_html_clock(html, NULL);
}

/* GET / */
vestry_err hall_page(vestry_render *render, vestry_html *html, void *ctx) {
  struct app *app = ctx;
  static char nothing[1];
  char once[VESTRY_ONCE_ATTRIBUTES_BYTES] = "", tab[VESTRY_TAB_ATTRIBUTES_BYTES] = "";
  const int64_t buyer = buyer_of(render->request);
  const bool is_file = !database_is_postgres(&app->db);
  vestry_err err = VESTRY_OK;
  if (!render->is_stream) err = vestry_once_attributes(render->request, once, sizeof once);
  if (!err && !render->is_stream) err = vestry_tab_attributes(render->request, render->reply, tab, sizeof tab);
  if (err) return err;
  program_live_begin(&app->program, render, html, "Box office");
  vestry_html_add(html, "<div class=\"all\" %-s><div %-s ", *tab ? tab : nothing, *once ? once : nothing);
  put_actions(html);
  vestry_html_add(html, ">");
  if (!render->is_stream) house_put_seen(html);
  vestry_render_begin(render, html);
  vestry_html_add(html,
                  "<header><h1>Box office</h1><p class=\"soft\">2,000 seats, %llu robots that buy them, and you."
                  "</p></header><div class=\"desk\">",
                  (unsigned long long)app->robots_count);
  const vestry_page_part ticker = {.id = "ticker", .share = "", .render = put_ticker, .app = app};
  const vestry_page_part house = {.id = "house", .share = "", .render = house_part, .app = &app->house};
  vestry_render_part(render, html, &ticker);
  err = put_basket(app, render, html, buyer);
  vestry_html_add(html, "<section id=\"nodes\"%-s><h2>Behind the scenes</h2>",
                  app->house.node.number ? "" : " class=\"inside\"");
  vestry_render_part(render, html, &house);
  if (app->house.node.number)
    vestry_html_add(html,
                    "<button class=\"plug\" data-on:click=\"@post('/plug/%u', {filterSignals: {include: '^$'}})\">"
                    "Pull the plug of server %u</button>",
                    app->house.node.number, app->house.node.number);
  vestry_html_add(html, "</section>");
  vestry_html_add(html,
                  "<section id=\"message\"><p role=\"alert\" class=\"error\" data-text=\"$_holdingFailed || "
                  "$_payingFailed ? 'Your request did not arrive. Try again.' : $_message\"></p><p role=\"status\" "
                  "data-text=\"$_busy ? 'Sending…' : ''\"></p></section>");
  vestry_html_add(html, "</div><section aria-label=\"The hall\">");
  put_hall(app, render, html, buyer);
  vestry_html_add(html, "</section><footer>");
  if (app->has_door) {
    vestry_html_add(html, "<div class=\"door\">");
    qr_put(html, app->door);
    vestry_html_add(html, "<p>Compete with yourself: on your phone, open <code>%s</code></p></div>", app->door);
  }
  vestry_html_add(html, "<details id=\"developers\"><summary>For developers</summary>");
  if (!app->house.node.number)
    vestry_html_add(html, "<p><code>--nodes 3</code> starts three processes, each with a plug to pull.</p>");
  if (!app->has_door)
    vestry_html_add(html, "<p><code>--listen 0.0.0.0</code> admits your phone, too, and shows a code to scan.</p>");
  vestry_html_add(
      html,
      "<p>In a terminal: <code>%-s%s &quot;UPDATE seat SET kept = 1 WHERE block = 'A' AND row "
      "= 2&quot;</code> repaints block A. While this is open, the small number below a block counts its renders by the "
      "process that serves this page; those of the other blocks do not change.</p></details></footer>",
      is_file ? "sqlite3 " : "psql -c", is_file ? app->db.file : "");
  vestry_render_end(render, html);
  vestry_html_add(html, "</div></div>");
  return err ? err : program_live_end(html);
}
