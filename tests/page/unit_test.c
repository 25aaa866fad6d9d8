/* SPDX-License-Identifier: MIT */
/* Contents in units, and patches between contents, against a model of the client's document. */
#include "app/page/unit.h"

#include <stdlib.h>

#include "base/memory.h"
#include "client_model.h"
#include "documents.h"
#include "support/test.h"
#include "support/test_host.h"

static const vsi_siphash_key key = {1, 2};

static vsi_unit_text text_of(const char *html) {
  static vsi_text_key texts;
  vsi_text_key_derive(&texts, key);
  return (vsi_unit_text){.content = {html, strlen(html)}, .key = &texts};
}

/* ---------------------------------------------------------------------------------------------------- dividing ---- */

/* Contents, and the expected units, or words of the reason why they are not divided. Units: id, depth, run. */
static const struct {
  const char *html, *units, *why;
} rows[] = {
    {"<main id=\"c\"></main>", "c00", NULL},
    {"<MAIN ID=c ></MAIN >", "c00", NULL},
    {"<main id=c><b id=x>1</b><b id='y'>2</b> <b id=\"z\">3</b></main>", "c00 x10 y10 z11", NULL},
    {"<main id=c>a<b id=x><i id=y></i></b></main>", "c00 x11 y20", NULL},
    {"<main id=c><p>a</p><b id=x></b></main>", "c00 x11", NULL},
    {"<main id=c><input id=x><br id=y>a<img id=z></main>", "c00 x10 y10 z11", NULL},
    {"<main id=c><textarea id=x><b id=y></textarea><script><b id=x></script></main>", "c00 x10", NULL},
    {"<main id=c><!-- <b id=x> --><b id=x title='<b id=y>'></b></main>", "c00 x11", NULL},
    {"<main id=c><b id></b><b id=''></b><b title=x id=x id=y></b></main>", "c00 x11", NULL},
    {"<main id=c><ul id=x><li id=y>a</li><li id=z>b</li></ul></main>", "c00 x10 y20 z20", NULL},
    {"<main id=c><table id=x><tbody id=y><tr id=z></tr></tbody></table></main>", "c00 x10 y20 z30", NULL},
    {"<main id=c><table id=x><tr id=y></tr><tr id=z></tr></table></main>", "c00 x10 y21 z21", NULL},
    {"<main id=c><table><tbody id=x></tbody><tr id=y></tr></table></main>", "c00 x11 y12", NULL},
    {"<main id=c><svg id=x><g id=y><path id=z /></g></svg><b id=w></b></main>", "c00 x10 w10", NULL},
    {"<main id=c><div data-ignore-morph id=x><b id=y></b></div><b id=z></b></main>", "c00 x10 z10", NULL},
    {"<main id=c><div data-star-Ignore-Morph><b id=y></b></div><b id=z></b></main>", "c00 z11", NULL},
    {"<main id=c><select id=x><option id=y>a</option></select></main>", "c00 x10", NULL},
    {"<main id=c><b id=a.b:c-d_9></b></main>", "c00 a.b:c-d_910", NULL},
    /* what is not divided */
    {"", NULL, "missing"},
    {"text", NULL, "missing"},
    {" <main id=c></main>", NULL, "missing"},
    {"<main id=c></main> ", NULL, "missing"},
    {"<main id=c></main><b></b>", NULL, "missing"},
    {"<main></main>", NULL, "no id"},
    {"<main id=c>", NULL, "missing"},
    {"<main id=c><b></main>", NULL, ""},
    {"<main id=c></i-b></main>", NULL, "missing"},
    {"<main id=c></b></main>", NULL, ""},
    {"<main id=c><b id=x></b><b id=x></b></main>", NULL, "twice"},
    {"<main id=c><b id=c></b></main>", NULL, "twice"},
    {"<main id=c><b id=x></b><svg><g id=x></g></svg></main>", NULL, "twice"},
    {"<main id=c><svg><g id=x></g></svg><b id=x></b></main>", NULL, "twice"},
    {"<main id=c><b id='x y'></b></main>", NULL, "characters"},
    {"<main id=c><b id='x&amp;'></b></main>", NULL, "characters"},
    {"<main id=c><b id=\xc3\xbc></b></main>", NULL, "characters"},
    {"<main id=c><template><b id=x></b></template></main>", NULL, "template"},
    {"<main id=c><noscript><b id=x></b></noscript></main>", NULL, "template"},
    {"<main id=c><ul><li id=x>a<li id=y>b</ul></main>", NULL, "missing"},
    {"<main id=c><p id=x>a<div id=y></div></main>", NULL, "missing"},
    {"<main id=c><p id=x>a<div id=y></div></p></main>", NULL, "missing"},
    {"<main id=c><p>a<hr id=x></p></main>", NULL, "missing"},
    {"<main id=c><a id=x><a id=y></a></a></main>", NULL, ""},
    {"<main id=c><b id=x><p id=y></b></p></main>", NULL, ""},
    {"<main id=c><table><b id=x></b></table></main>", NULL, ""},
    {"<main id=c><table>text<tr id=x></tr></table></main>", NULL, ""},
    {"<main id=c><table id=x><td id=y></td></table></main>", NULL, "missing"},
    {"<main id=c><table id=x><tbody id=y><td id=z></td></tbody></table></main>", NULL, "missing"},
    {"<main id=c><table id=x><col id=y></table></main>", NULL, "missing"},
    {"<main id=c><table id=x><tr id=y></tr><tbody id=z></tbody></table></main>", NULL, "missing"},
    {"<main id=c><td id=x></td></main>", NULL, ""},
    {"<main id=c><svg><p id=x></p></svg></main>", NULL, ""},
    {"<main id=c><textarea id=x></main>", NULL, "missing"},
    {"<main id=c><!-- </main>", NULL, "missing"},
    {"<main id=c><plaintext></main>", NULL, ""},
    {"<main id=c><body id=x></body></main>", NULL, ""},
    {"<main id=c><b id=x", NULL, "missing"},
    {"<main id=c><h1 id=x></h2></h1></main>", NULL, ""},
};

static void put_units(const vsi_units *units, char *to, size_t room) {
  size_t len = 0;
  *to = '\0';
  for (uint32_t i = 0; i < units->count; i++) {
    const vestry_slice id = vsi_unit_id(units, i);
    len += (size_t)snprintf(to + len, room - len, "%s%.*s%u%u", i ? " " : "", (int)id.len, (const char *)id.data,
                            units->all[i].depth, (unsigned)units->all[i].run);
  }
}

/* capability: L14 */
TEST_CASE(contents_are_divided) {
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    vsi_units units;
    const vsi_unit_text text = text_of(rows[i].html);
    const vestry_err error = vsi_units_divide(&units, vsi_host(NULL), &text, key, NULL);
    char made[256];
    put_units(&units, made, sizeof made);
    if (error != (rows[i].why ? VESTRY_UNSUPPORTED : VESTRY_OK) || (!error && strcmp(made, rows[i].units) != 0) ||
        (error && !strstr(units.why, rows[i].why)))
      fail_msg("row %zu: %s: %d, %s, %s", i, rows[i].html, error, made, units.why ? units.why : "-");
    vsi_units_finish(&units);
  }
}

/* Return whether two contents of one unit with text have equal hashes of it. */
static bool are_equal(const vsi_unit_text *one, const vsi_unit_text *other) {
  vsi_units a, b;
  assert_int_equal(vsi_units_divide(&a, vsi_host(NULL), one, key, NULL), VESTRY_OK);
  assert_int_equal(vsi_units_divide(&b, vsi_host(NULL), other, key, NULL), VESTRY_OK);
  assert_int_equal(a.count, b.count);
  bool is_equal = true;
  for (size_t i = 0; i < a.count; i++) is_equal &= a.all[i].own == b.all[i].own;
  vsi_units_finish(&a);
  vsi_units_finish(&b);
  return is_equal;
}

TEST_CASE(shares_are_hashed_by_name) {
  vsi_unit_text one, other;
  one = other = text_of("<main id=c><b id=x></b></main>");
  const size_t at = strlen("<main id=c><b id=x>");
  const char *shares[] = {"a", "b"};
  one.inserts_at = other.inserts_at = &at;
  one.inserts_count = other.inserts_count = 1;
  one.inserts = other.inserts = &shares[0];
  assert_true(are_equal(&one, &other));
  other.inserts = &shares[1];
  assert_false(are_equal(&one, &other));
}

TEST_CASE(large_contents_are_not_divided) {
  vsi_buffer html;
  vsi_buffer_init(&html, NULL);
  for (int kind = 0; kind < 2; kind++) {
    const unsigned most = kind ? VSI_UNIT_DEPTH_MAX : VSI_UNITS_MAX - 1;
    for (unsigned count = most; count <= most + 1; count++) {
      vsi_buffer_clear(&html);
      vsi_buffer_append_str(&html, "<main id=c>");
      for (unsigned i = 0; i < count; i++) vsi_buffer_printf(&html, "<b id=b%u>%s", i, kind ? "" : "</b>");
      for (unsigned i = 0; kind && i < count; i++) vsi_buffer_append_str(&html, "</b>");
      vsi_buffer_append_str(&html, "</main>");
      vsi_units units;
      const vsi_unit_text text = text_of(vsi_buffer_terminate(&html));
      assert_int_equal(vsi_units_divide(&units, vsi_host(NULL), &text, key, NULL),
                       count > most ? VESTRY_UNSUPPORTED : VESTRY_OK);
      if (count <= most) assert_int_equal(units.count, count + 1);
      vsi_units_finish(&units);
    }
  }
  vsi_buffer_finish(&html);
}

/* A list takes 16 bytes for each unit, and what its id has not in common with the id of the unit before. */
TEST_CASE(lists_are_small) {
  vsi_buffer html;
  vsi_buffer_init(&html, NULL);
  vsi_buffer_append_str(&html, "<main id=content>");
  for (unsigned i = 0; i < 1000; i++) vsi_buffer_printf(&html, "<b id=player-%06u></b>", i);
  vsi_buffer_append_str(&html, "</main>");
  vsi_units units;
  const vsi_unit_text text = text_of(vsi_buffer_terminate(&html));
  assert_int_equal(vsi_units_divide(&units, vsi_host(NULL), &text, key, NULL), VESTRY_OK);
  vsi_unit_list *list = vsi_unit_list_make(&units, 7);
  assert_in_range(vsi_unit_list_bytes(list), 16 * units.count, 18 * units.count);
  assert_int_equal(vsi_unit_list_of(list), 7);
  vsi_unit_list_unref(list, vsi_host(NULL));
  vsi_units_finish(&units);
  vsi_buffer_finish(&html);
}

/* ------------------------------------------------------------------------------------------------------- patches -- */

static vestry_err make_event(const vsi_units *units, vestry_event **ret_event) {
  static vsi_unit_patches patches;
  vestry_err error = vsi_unit_patches_find(units, &patches);
  if (error) return error;
  error = vsi_event_marked_patches(NULL, patches.patches, patches.count, NULL, "mark", false, ret_event);
  vsi_unit_patches_finish(&patches);
  return error;
}

/* Pairs of contents, and the expected patches: mode, selector, text of the patch. */
static const struct {
  const char *had, *now, *patches;
} pairs[] = {
    {"<b id=x>1</b><b id=y>2</b>", "<b id=x>1</b><b id=y>3</b>", "outer #c #y <b id=y>3</b>"},
    {"<div id=x>1<b id=y>2</b></div>", "<div id=x>1<b id=y>3</b></div>", "outer #c #y <b id=y>3</b>"},
    {"<div id=x>1<b id=y>2</b></div>", "<div id=x>2<b id=y>3</b></div>", "outer #c #x <div id=x>2<b id=y>3</b></div>"},
    {"<b id=x></b><b id=z></b>", "<b id=x></b><b id=y></b><b id=w></b><b id=z></b>",
     "after #c #x <b id=y></b><b id=w></b>"},
    {"<b id=z></b>", "<b id=x></b><b id=z></b>", "before #c #z <b id=x></b>"},
    {"<ul id=u></ul>", "<ul id=u><li id=x></li></ul>", "prepend #c #u <li id=x></li>"},
    {"<ul id=u>a</ul>", "<ul id=u>a<li id=x></li></ul>", "append #c #u <li id=x></li>"},
    {"<b id=x></b><b id=y></b><b id=z></b>", "<b id=y></b>", "remove #c #x,#c #z "},
    {"<b id=x></b>", "<b id=y></b>", "prepend #c <b id=y></b>; remove #c #x "},
    {"<b id=7></b><b id=y></b>", "<b id=y></b>", "remove #c [id=\"7\"] "},
    {"<b id=x></b> <b id=y></b>", "<b id=x></b> <b id=y>1</b>", "outer #c #y <b id=y>1</b>"},
    /* units that move are sent with the unit around their places */
    {"<div id=u><b id=x></b><b id=y></b></div>", "<div id=u><b id=y></b><b id=x></b></div>",
     "outer #c #u <div id=u><b id=y></b><b id=x></b></div>"},
    {"<div id=u><i id=v><b id=x></b></i></div>", "<div id=u><i id=v></i><b id=x></b></div>",
     "outer #c #u <div id=u><i id=v></i><b id=x></b></div>"},
    {"<div id=u><i id=v><b id=x></b></i></div>", "<div id=u><b id=x></b></div>",
     "outer #c #u <div id=u><b id=x></b></div>"},
    {"<div id=u><b id=x></b></div>", "<div id=u><i id=v><b id=x></b></i></div>",
     "outer #c #u <div id=u><i id=v><b id=x></b></i></div>"},
    {"<div id=u><b id=x></b>a<b id=y></b></div>", "<div id=u>a<b id=x></b><b id=y></b></div>",
     "outer #c #u <div id=u>a<b id=x></b><b id=y></b></div>"},
    /* a place that no id names */
    {"<div id=u>a<b id=x></b>b</div>", "<div id=u>a<b id=y></b>b</div>", "outer #c #u <div id=u>a<b id=y></b>b</div>"},
    {"<table id=t><tr id=x></tr></table>", "<table id=t></table>", "outer #c #t <table id=t></table>"},
    {"<table id=t><tr id=x></tr></table>", "<table id=t><tr id=y></tr></table>",
     "outer #c #t <table id=t><tr id=y></tr></table>"},
    {"<table id=t><tr id=x></tr></table>", "<table id=t><tr id=x></tr><tr id=y></tr></table>",
     "after #c #x <tr id=y></tr>"},
    /* nothing but the whole */
    {"a<b id=x></b>", "b<b id=x></b>", NULL},
    {"<b id=x></b>a<b id=y></b>", "a<b id=x></b><b id=y></b>", NULL},
    {"<svg><g id=x></g></svg><b id=y></b>", "<svg><g id=y></g></svg><b id=x></b>", NULL},
    {"<b id=x></b>", "<b id=x></b>", NULL},
};

static void put_patches(const vsi_unit_patches *patches, char *to, size_t room) {
  size_t len = 0;
  *to = '\0';
  for (size_t i = 0; i < patches->count; i++) {
    static const char *const names[] = {
        [VESTRY_PATCH_OUTER] = "outer",   [VESTRY_PATCH_PREPEND] = "prepend", [VESTRY_PATCH_APPEND] = "append",
        [VESTRY_PATCH_BEFORE] = "before", [VESTRY_PATCH_AFTER] = "after",     [VESTRY_PATCH_REMOVE] = "remove"};
    const vsi_patch *patch = &patches->patches[i];
    len += (size_t)snprintf(to + len, room - len, "%s%s %s %.*s", i ? "; " : "", names[patch->mode], patch->selector,
                            (int)patch->html.len, (const char *)patch->html.data);
  }
}

/* capability: L14 */
TEST_CASE(changes_are_sent_in_the_smallest_units) {
  /* so that no change is too large to be sent separately */
  const char *rest =
      "<p>0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
      "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
      "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
      "</p><i id=last></i>";
  for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
    char had[1024], now[1024], made[1024] = "";
    snprintf(had, sizeof had, "<main id=c>%s%s</main>", pairs[i].had, rest);
    snprintf(now, sizeof now, "<main id=c>%s%s</main>", pairs[i].now, rest);
    vsi_units before, after;
    const vsi_unit_text text = text_of(had), next = text_of(now);
    assert_int_equal(vsi_units_divide(&before, vsi_host(NULL), &text, key, NULL), VESTRY_OK);
    vsi_unit_list *list = vsi_unit_list_make(&before, 0);
    assert_int_equal(vsi_units_divide(&after, vsi_host(NULL), &next, key, list), VESTRY_OK);
    vsi_unit_patches patches;
    const vestry_err error = vsi_unit_patches_find(&after, &patches);
    if (!error) put_patches(&patches, made, sizeof made);
    if (error != (pairs[i].patches ? VESTRY_OK : VESTRY_UNSUPPORTED) || (!error && strcmp(made, pairs[i].patches) != 0))
      fail_msg("%s → %s: %d, %s", pairs[i].had, pairs[i].now, error, made);
    if (!error) vsi_unit_patches_finish(&patches);
    vsi_unit_list_unref(list, vsi_host(NULL));
    vsi_units_finish(&before);
    vsi_units_finish(&after);
  }
}

typedef struct totals {
  uint64_t steps, patched, divided;
  uint64_t units, skipped;
} totals;

static void compare(client_node *whole, client_node *patched, uint64_t seed, const char *had, const char *now,
                    vestry_slice event) {
  for (int has_states = 0; has_states < 2; has_states++) {
    vsi_buffer one, other;
    vsi_buffer_init(&one, NULL);
    vsi_buffer_init(&other, NULL);
    client_write(whole, has_states, &one);
    client_write(patched, has_states, &other);
    if (one.len != other.len || memcmp(one.data, other.data, one.len) != 0) {
      fprintf(stderr, "had %s\nnow %s\n%.*s\nwhole   %s\npatched %s\n", had, now, (int)event.len,
              (const char *)event.data, vsi_buffer_terminate(&one), vsi_buffer_terminate(&other));
      fail_msg("seed %llu", (unsigned long long)seed);
    }
    vsi_buffer_finish(&one);
    vsi_buffer_finish(&other);
  }
}

static bool is_same_entry(const vsi_unit *one, const vsi_unit *other) {
  return one->own == other->own && one->outer == other->outer && one->len == other->len && one->run == other->run &&
         one->parent == other->parent && one->after == other->after && one->id_len == other->id_len &&
         memcmp(one->id, other->id, one->id_len) == 0;
}

static bool has_same_list(const vsi_units *units, const vsi_units *again) {
  vsi_unit_list *lists[2] = {vsi_unit_list_make(units, 0), vsi_unit_list_make(again, 0)};
  vsi_units read[2];
  for (int i = 0; i < 2; i++) {
    read[i] = (vsi_units){.host = vsi_host(NULL), .list = lists[i]};
    assert_int_equal(vsi_unit_list_read(&read[i]), VESTRY_OK);
  }
  bool is_same = units->others == again->others && read[0].had_count == read[1].had_count;
  for (size_t i = 0; is_same && i < read[0].had_count; i++) is_same = is_same_entry(&read[0].had[i], &read[1].had[i]);
  for (int i = 0; i < 2; i++) {
    vsi_units_finish(&read[i]);
    vsi_unit_list_unref(lists[i], vsi_host(NULL));
  }
  return is_same;
}

/* Units that are skipped, because the list has them, are the same as if they were read. Returns their number. */
static size_t check_skipping(const vsi_units *units, bool is_divided, const vsi_unit_text *text, uint64_t seed) {
  vsi_units again;
  size_t count = 0;
  if ((vsi_units_divide(&again, vsi_host(NULL), text, key, NULL) == VESTRY_OK) != is_divided)
    fail_msg("seed %llu: %s, %s", (unsigned long long)seed, units->why, again.why);
  if (is_divided && !has_same_list(units, &again)) fail_msg("seed %llu: the lists differ", (unsigned long long)seed);
  for (size_t i = 0; i < units->count; i++) count += units->all[i].is_same;
  vsi_units_finish(&again);
  return count;
}

/* Change a document in steps, and compare what the client has after the patches with what it has after the whole. */
static void run_seed(uint64_t seed, totals *sum) {
  enum { STEPS = 4 };
  document doc = {.ignores = true};
  document_make(&doc, seed, 6 + (unsigned)(seed % 90));
  vsi_buffer had;
  vsi_buffer_init(&had, NULL);
  document_write(&doc, &had);
  client_node *dom = client_parse(vsi_buffer_terminate(&had));
  vsi_units units;
  vsi_unit_text text = text_of(had.data);
  vsi_unit_list *list = NULL;
  if (!vsi_units_divide(&units, vsi_host(NULL), &text, key, NULL)) list = vsi_unit_list_make(&units, 0);
  vsi_units_finish(&units);
  for (int step = 0; step < STEPS; step++) {
    document_change(&doc);
    vsi_buffer now;
    vsi_buffer_init(&now, NULL);
    document_write(&doc, &now);
    client_number(dom);
    client_node *whole = client_copy(dom), *fresh = client_parse(vsi_buffer_terminate(&now))->first;
    client_take_out(fresh);
    client_morph(whole->first, fresh);
    text = text_of(now.data);
    const bool is_divided = vsi_units_divide(&units, vsi_host(NULL), &text, key, list) == VESTRY_OK;
    sum->skipped += check_skipping(&units, is_divided, &text, seed);
    sum->units += units.count;
    vestry_event *event;
    sum->steps++;
    sum->divided += is_divided;
    if (is_divided && list && (now.len != had.len || memcmp(now.data, had.data, now.len) != 0) &&
        !make_event(&units, &event)) {
      sum->patched++;
      client_perform(dom, vestry_event_bytes(event));
      compare(whole, dom, seed, had.data, now.data, vestry_event_bytes(event));
      vestry_event_unref(event);
    }
    dom = whole;
    vsi_unit_list *const former = list;
    list = is_divided ? vsi_unit_list_make(&units, 0) : NULL;
    vsi_units_finish(&units);
    vsi_unit_list_unref(former, vsi_host(NULL));
    vsi_buffer_finish(&had);
    had = now;
  }
  vsi_unit_list_unref(list, vsi_host(NULL));
  vsi_buffer_finish(&had);
  client_free();
}

/* VESTRY_PATCH_SEEDS: number of seeds; VESTRY_SEED: the first one. */
/* capability: L14 */
TEST_CASE(patches_equal_the_whole) {
  enum { SEEDS = 3000 };
  const char *wanted = getenv("VESTRY_PATCH_SEEDS"), *first = getenv("VESTRY_SEED");
  const uint64_t count = wanted ? strtoull(wanted, NULL, 10) : TEST_ROUNDS(SEEDS);
  totals sum = {.steps = 0};
  for (uint64_t seed = first ? strtoull(first, NULL, 10) : 1, end = seed + count; seed < end; seed++)
    run_seed(seed, &sum);
  if (wanted)
    print_message("%llu steps, %llu divided, %llu patched; %llu units, %llu skipped\n", (unsigned long long)sum.steps,
                  (unsigned long long)sum.divided, (unsigned long long)sum.patched, (unsigned long long)sum.units,
                  (unsigned long long)sum.skipped);
  if (count < 100) return;
  assert_true(sum.divided * 10 > sum.steps * 9);
  assert_true(sum.patched * 3 > sum.steps);
  assert_true(sum.skipped * 4 > sum.units);
}

static vestry_err find_without_memory(test_host *th, void *ctx) {
  const vsi_unit_text had = text_of(
      "<main "
      "id=c><p>0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
      "</p><b id=x>1</b><b id=y>2</b><b id=z>3</b></main>");
  const vsi_unit_text now = text_of(
      "<main "
      "id=c><p>0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
      "</p><b id=x>1</b><b id=y>4</b><b id=z>3</b></main>");
  vsi_units before, after;
  vsi_unit_patches patches;
  vsi_unit_list *list = NULL;
  vestry_err error = vsi_units_divide(&before, &th->host, &had, key, NULL);
  if (!error && !(list = vsi_unit_list_make(&before, 0))) error = VESTRY_NO_MEMORY;
  vsi_units_finish(&before);
  if (error) return error;
  error = vsi_units_divide(&after, &th->host, &now, key, list);
  if (!error) error = vsi_unit_patches_find(&after, &patches);
  if (!error) vsi_unit_patches_finish(&patches);
  vsi_units_finish(&after);
  vsi_unit_list_unref(list, &th->host);
  return error;
}

TEST_CASE(each_allocation_may_fail) {
  test_host_fail_each(find_without_memory, NULL, false);
}
