/* SPDX-License-Identifier: MIT */
#include "event/roundtrip.h"

#include <stdlib.h>

#include <jansson.h>

#include "event/layout.h"
#include "event/sse_parser.h"
#include "support/test.h"

/* Hostile text: strings with a meaning in one of the languages that an event passes through, and plain bytes. */
static const struct {
  const char *data;
  size_t len;
} pieces[] = {
#define PIECE(text)                                                                                                    \
  { text, sizeof(text) - 1 }
    PIECE("\r"),        PIECE("\n"),        PIECE("\r\n"),     PIECE("\n\n"),   PIECE("\r\n\r\n"),
    PIECE("</script"),  PIECE("</ScRiPt>"), PIECE("<script"),  PIECE("<!--"),   PIECE("-->"),
    PIECE("</body>"),   PIECE("</head>"),   PIECE("</html>"),  PIECE("\""),     PIECE("'"),
    PIECE("\\"),        PIECE("\\\\"),      PIECE("&"),        PIECE("&quot;"), PIECE("<"),
    PIECE(">"),         PIECE("</"),        PIECE("<!"),       PIECE("-"),      PIECE("data: elements x"),
    PIECE("event: x"),  PIECE("id: 1"),     PIECE("retry: 1"), PIECE(": "),     PIECE(":"),
    PIECE(" "),         PIECE("\t"),        PIECE("\f"),       PIECE("\0"),     PIECE("\xE2\x80\xA8"),
    PIECE("\xC2\x85"),  PIECE("\xFF"),      PIECE("\xC0\x8A"), PIECE("\xE2"),   PIECE("\xEF\xBB\xBF"),
    PIECE("selector "), PIECE("mode "),     PIECE("a"),        PIECE("script"), PIECE("u003C"),
#undef PIECE
};

typedef struct generator {
  uint64_t state;
} generator;

static uint32_t next(generator *g, uint32_t below) {
  g->state = g->state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
  return (uint32_t)(g->state >> 33) % below;
}

static sse_text hostile(generator *g, uint32_t max_pieces) {
  sse_text text = {NULL, 0};
  sse_text_append(&text, "", 0);
  for (uint32_t count = next(g, max_pieces + 1); count; count--) {
    uint32_t pick = next(g, sizeof pieces / sizeof *pieces + 8);
    char byte = (char)next(g, 256);
    if (pick < sizeof pieces / sizeof *pieces)
      sse_text_append(&text, pieces[pick].data, pieces[pick].len);
    else
      sse_text_append(&text, &byte, 1);
  }
  return text;
}

/* A field that an application might fill with untrusted text; sometimes none or an empty one. It ends at its first NUL,
 * as in C. */
static sse_text field(generator *g) {
  sse_text text = hostile(g, 3);
  if (next(g, 3) == 0) sse_text_finish(&text);
  return text;
}

enum { ROUNDS = 30000 };

#define CHECK(why, round)                                                                                              \
  do {                                                                                                                 \
    const char *wrong = why;                                                                                           \
    if (wrong) print_error("round %d: %s\n", round, wrong);                                                            \
    assert_null(wrong);                                                                                                \
  } while (0)

/* capability: C1 */
TEST_CASE(elements_read_back_as_their_html) {
  generator g = {1};
  for (int round = 0; round < ROUNDS; round++) {
    sse_text html = hostile(&g, 20), id = field(&g), selector = field(&g), transition = field(&g);
    vestry_elements_options options = {
        .event = {.id = id.data, .retry_ms = next(&g, 3) * next(&g, 5000)},
        .selector = selector.data,
        .mode = (vestry_patch_mode)next(&g, 9),
        .use_view_transition = next(&g, 2),
        .view_transition_selector = transition.data,
        .ns = (vestry_namespace)next(&g, 4),
    };
    CHECK(roundtrip_elements(html.data, html.len, &options), round);
    options = (vestry_elements_options){.event.retry_ms = 0};
    CHECK(roundtrip_elements(html.data, html.len, &options), round);
    sse_text_finish(&html);
    sse_text_finish(&id);
    sse_text_finish(&selector);
    sse_text_finish(&transition);
  }
}

TEST_CASE(scripts_read_back_as_their_text) {
  generator g = {2};
  for (int round = 0; round < ROUNDS; round++) {
    sse_text text = hostile(&g, 20), id = field(&g), value = field(&g);
    vsi_script_options options = {.event = {.id = id.data}, .keep = next(&g, 2)};
    CHECK(roundtrip_script(text.data, text.len, &options, value.data), round);
    sse_text_finish(&text);
    sse_text_finish(&id);
    sse_text_finish(&value);
  }
}

TEST_CASE(comments_read_back_as_their_text) {
  generator g = {3};
  for (int round = 0; round < ROUNDS; round++) {
    sse_text text = field(&g);
    CHECK(roundtrip_comment(text.data), round);
    sse_text_finish(&text);
  }
}

/* A JSON object with hostile strings, and line breaks of all kinds as white space. */
static sse_text hostile_object(generator *g) {
  json_t *object = json_object();
  for (uint32_t members = next(g, 4); members; members--) {
    sse_text text = hostile(g, 6);
    json_t *string = json_stringn(text.data, text.len); /* NULL if it is not UTF-8 */
    json_object_set_new(object, members % 2 ? "a" : "b\n", string ? string : json_null());
    sse_text_finish(&text);
  }
  char *dump = json_dumps(object, JSON_INDENT(1));
  json_decref(object);
  sse_text json = {NULL, 0};
  for (const char *at = dump; *at; at++) {
    static const char *const breaks[] = {"\n", "\r", "\r\n", "\n\n", "\r\r", " "};
    const char *written = *at == '\n' ? breaks[next(g, 6)] : NULL;
    sse_text_append(&json, written ? written : at, written ? strlen(written) : 1);
  }
  free(dump);
  return json;
}

TEST_CASE(signals_read_back_as_their_json) {
  generator g = {4};
  for (int round = 0; round < ROUNDS; round++) {
    sse_text json = hostile_object(&g), id = field(&g), text = hostile(&g, 4);
    vestry_signals_options options = {.event = {.id = id.data}, .only_if_missing = next(&g, 2)};
    CHECK(roundtrip_signals(json.data, json.len, &options), round);
    options.event.id = NULL;
    vestry_event *event = NULL;
    assert_int_equal(vsi_event_signals_text(NULL, json.data, json.len, &options, &event), VESTRY_OK);
    vestry_event_unref(event);
    CHECK(roundtrip_signals(text.data, text.len, &options), round);
    sse_text_finish(&json);
    sse_text_finish(&id);
    sse_text_finish(&text);
  }
}

/* The parser of the tests is tested: it must report errors. */
TEST_CASE(sse_parser_reads_fields_and_line_breaks) {
  sse_stream stream;
  static const char text[] =
      ": comment\n\nevent: a\r\ndata: k x\rdata:k y\r\ndata\ndata: other z\nid\nretry: 5\nodd: 1\n\ndata: k\n";
  sse_parse(text, sizeof text - 1, &stream);
  assert_int_equal(stream.events_count, 1);
  assert_int_equal(stream.comments_count, 1);
  assert_int_equal(stream.strange_count, 2);
  const sse_event *event = &stream.events[0];
  assert_string_equal(event->type.data, "a");
  assert_string_equal(event->data.data, "k x\nk y\n\nother z");
  assert_string_equal(event->id.data, "");
  assert_string_equal(event->retry.data, "5");
  sse_text value = sse_value(event, "k");
  assert_string_equal(value.data, "x\ny");
  sse_text_finish(&value);
  assert_null(sse_value(event, "o").data);
  sse_finish(&stream);
  value = sse_normalised("a\r\rb\r\n\nc\r", 9);
  assert_string_equal(value.data, "a\n\nb\n\nc\n");
  sse_text_finish(&value);
}

TEST_CASE(plain_events_read_back_as_their_data) {
  generator g = {5};
  for (int round = 0; round < ROUNDS; round++) {
    sse_text data = hostile(&g, 20), id = field(&g), name = field(&g);
    vestry_event_options options = {.id = id.data, .retry_ms = next(&g, 3) * next(&g, 3) * 500};
    CHECK(roundtrip_plain(name.data, data.data, data.len, &options), round);
    sse_text_finish(&data);
    sse_text_finish(&id);
    sse_text_finish(&name);
  }
}
