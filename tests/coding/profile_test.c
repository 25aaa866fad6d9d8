/* SPDX-License-Identifier: MIT */
/* The contract of write profiles, one suite for all: independent decoders read their output in pieces, spliced in each
 * order that the contract allows. */
#include "vestry/profile.h"

#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/memory.h"
#include "coding/coding.h"
#include "decode/decode.h"
#include "runtime/random.h"
#include "support/test.h"
#include "support/test_host.h"

static const vestry_profile profiles[] = {
    {.ops = &vestry_profile_gzip},
    {.ops = &vestry_profile_gzip, .level = 1, .window_bits = 9, .memory_level = 1},
    {.ops = &vestry_profile_gzip, .level = 9, .window_bits = 12, .memory_level = 9},
    {.ops = &vestry_profile_brotli},
    {.ops = &vestry_profile_brotli, .level = 2, .window_bits = 10},
    {.ops = &vestry_profile_brotli, .level = 3, .window_bits = 14},
    {.ops = &vestry_profile_brotli, .level = 4, .window_bits = 12},
    {.ops = &vestry_profile_brotli, .level = 5, .window_bits = 18},
    {.ops = &vestry_profile_brotli, .level = 6, .window_bits = 11},
    {.ops = &vestry_profile_brotli, .level = 7, .window_bits = 16},
    {.ops = &vestry_profile_brotli, .level = 8, .window_bits = 13},
    {.ops = &vestry_profile_brotli, .level = 9, .window_bits = 15},
    {.ops = &test_chain},
    {.ops = &test_chain_checked},
};
enum { PROFILES = sizeof profiles / sizeof *profiles, EVENT_MOST = 40000, VARIED_BYTES = 8000 };

/* Repetitive text, words of a dictionary, and noise; never empty. */
static size_t make_event(uint64_t *seed, char *to) {
  static const char *const words[] = {"<div class=\"row\">", "the ", "elements ", "http://www.", "\n", "data: ", " "};
  size_t most = 1 + random_below(seed, random_below(seed, 8) ? 300 : EVENT_MOST), len = 0;
  uint64_t kind = random_below(seed, 4);
  while (len < most) {
    char piece[32];
    if (kind == 0)
      snprintf(piece, sizeof piece, "%c", (char)(1 + random_below(seed, 255)));
    else
      snprintf(piece, sizeof piece, "%s%d", words[random_below(seed, 7)], (int)random_below(seed, kind * 4));
    for (const char *at = piece; *at && len < most; at++) to[len++] = *at;
  }
  return len;
}

/* A decoder, and the text that it must have read. */
typedef struct far_end {
  decoder d;
  size_t primed; /* decoded bytes of the primer */
  vsi_buffer expected;
  uint64_t check;
} far_end;

static void far_begin(far_end *f, const vestry_profile *profile) {
  decoder_init(&f->d, profile->ops->coding);
  vsi_buffer_init(&f->expected, NULL);
  f->check = 0;
  f->primed = 0;
}

static void far_finish(far_end *f) {
  decoder_finish(&f->d);
  vsi_buffer_finish(&f->expected);
}

/* Decode the sink's bytes, and check that all of the text so far was read. */
static void far_take(far_end *f, vsi_sink *sink, const char *plain, size_t len) {
  decoder_feed(&f->d, sink->buffer.data + sizeof(vsi_segment), sink->buffer.len - sizeof(vsi_segment));
  vsi_buffer_append(&f->expected, plain, len);
  assert_false(f->d.broken);
  assert_int_equal(f->d.text.len - f->primed, f->expected.len);
  if (f->expected.len) assert_memory_equal(f->d.text.data + f->primed, f->expected.data, f->expected.len);
}

static void new_sink(vsi_sink *sink) {
  vsi_buffer_finish(&sink->buffer);
  vsi_sink_init(sink, NULL);
}

static void far_add(far_end *f, const vestry_profile *p, const char *text, size_t len) {
  if (p->ops->check) f->check = p->ops->combine(f->check, p->ops->check(text, len), len);
}

/* Write a primer; then, in any order that does not interrupt the reused encoder: its output, that of a fresh or reset
 * encoder, framed bytes, idle bytes; then the end. */
static void splice_pieces(const vestry_profile *p, uint64_t seed) {
  static char text[EVENT_MOST + 64];
  const vestry_profile_ops *ops = p->ops;
  far_end f;
  far_begin(&f, p);
  vsi_sink sink;
  vsi_sink_init(&sink, NULL);
  assert_int_equal(ops->primer(p, vestry_host_default(), &sink), VESTRY_OK);
  decoder_feed(&f.d, sink.buffer.data + sizeof(vsi_segment), sink.buffer.len - sizeof(vsi_segment));
  f.primed = f.d.text.len;
  assert_true(!f.primed || f.d.text.data[0] == ':'); /* a comment */
  void *encoder = NULL;
  bool in_row = false; /* the last output is the encoder's */
  for (uint64_t steps = random_below(&seed, 40); steps; steps--) {
    uint64_t what = random_below(&seed, 8);
    new_sink(&sink);
    if (what == 0 && ops->idle.len) { /* does not interrupt */
      assert_int_equal(vsi_sink_put(&sink, ops->idle.data, ops->idle.len), VESTRY_OK);
      far_take(&f, &sink, NULL, 0);
      continue;
    }
    size_t len = make_event(&seed, text);
    if (what <= 1) {
      assert_int_equal(ops->store(text, len, &sink), VESTRY_OK);
      in_row = false;
    } else {
      if (encoder && (!in_row || what == 2)) {
        assert_true(ops->reset(encoder));
      }
      if (!encoder) assert_int_equal(ops->create(p, vestry_host_default(), &encoder), VESTRY_OK);
      assert_int_equal(ops->encode(encoder, text, len, &sink), VESTRY_OK);
      in_row = true;
    }
    far_add(&f, p, text, len);
    far_take(&f, &sink, text, len);
    assert_false(f.d.ended);
  }
  if (encoder) ops->destroy(encoder);
  new_sink(&sink);
  assert_int_equal(ops->end(f.check, &sink), VESTRY_OK);
  far_take(&f, &sink, NULL, 0);
  assert_true(f.d.ended);
  vsi_buffer_finish(&sink.buffer);
  far_finish(&f);
}

/* capability: C13 */
TEST_CASE(spliced_streams_decode) {
  for (int i = 0; i < PROFILES; i++) {
    vestry_profile p;
    assert_int_equal(vsi_profile_resolve(&profiles[i], &p), VESTRY_OK);
    for (uint64_t seed = 0; seed < 30; seed++) splice_pieces(&p, seed * 1000003 + (uint64_t)i);
  }
}

/* A stream slightly longer than a window, and an event longer than the largest stored piece. */
/* capability: C13 */
TEST_CASE(framed_bytes_of_any_length_decode) {
  static const size_t lengths[] = {
      1, 2, 255, 65535, 65536, 65537, 3 * 65535 + 7, 1 << 20, (1 << 20) + 1, (1 << 24), (1 << 24) + 1};
  size_t count = sizeof lengths / sizeof *lengths - (TEST_UNDER_TSAN ? 2 : 0), most = lengths[count - 1];
  char *text = malloc(most);
  assert_non_null(text);
  for (size_t i = 0; i < most; i++) text[i] = (char)(i * 2654435761u >> 13);
  for (int i = 0; i < PROFILES; i++) {
    vestry_profile p;
    assert_int_equal(vsi_profile_resolve(&profiles[i], &p), VESTRY_OK);
    if (i && p.ops == profiles[i - 1].ops) continue; /* framing has no settings */
    for (size_t n = 0; n < count; n++) {
      far_end f;
      far_begin(&f, &p);
      vsi_sink sink;
      vsi_sink_init(&sink, NULL);
      assert_int_equal(p.ops->primer(&p, vestry_host_default(), &sink), VESTRY_OK);
      decoder_feed(&f.d, sink.buffer.data + sizeof(vsi_segment), sink.buffer.len - sizeof(vsi_segment));
      f.primed = f.d.text.len;
      new_sink(&sink);
      assert_int_equal(p.ops->store(text, lengths[n], &sink), VESTRY_OK);
      far_add(&f, &p, text, lengths[n]);
      far_take(&f, &sink, text, lengths[n]);
      new_sink(&sink);
      assert_int_equal(p.ops->end(f.check, &sink), VESTRY_OK);
      far_take(&f, &sink, NULL, 0);
      vsi_buffer_finish(&sink.buffer);
      far_finish(&f);
    }
  }
  free(text);
}

/* Later events of an encoder refer to earlier ones: a page that changes a little needs few bytes. */
TEST_CASE(repeated_events_are_compressed) {
  static char page[10000];
  uint64_t random = 7;
  for (size_t i = 0; i < sizeof page; i++) page[i] = (char)('a' + random_below(&random, 26));
  static const vestry_profile_ops *const compressing[] = {&vestry_profile_gzip, &vestry_profile_brotli};
  for (int i = 0; i < 2; i++) {
    vestry_profile p;
    void *encoder = NULL;
    assert_int_equal(vsi_profile_resolve(&(vestry_profile){.ops = compressing[i]}, &p), VESTRY_OK);
    assert_int_equal(p.ops->create(&p, vestry_host_default(), &encoder), VESTRY_OK);
    for (int round = 0; round < 20; round++) {
      vsi_sink sink;
      vsi_sink_init(&sink, NULL);
      assert_int_equal(p.ops->encode(encoder, page, sizeof page, &sink), VESTRY_OK);
      size_t len = sink.buffer.len - sizeof(vsi_segment);
      assert_true(round ? len < 300 : len > 5000);
      vsi_buffer_finish(&sink.buffer);
      page[random_below(&random, sizeof page)] ^= 1;
    }
    p.ops->destroy(encoder);
  }
}

/* capability: C13 */
TEST_CASE(event_that_cannot_be_compressed_is_framed) {
  static char noise[3000], text[20000];
  uint64_t random = 11;
  for (size_t i = 0; i < sizeof noise; i++) noise[i] = (char)random_below(&random, 256);
  for (uint32_t level = 2; level <= 5; level++) {
    const vestry_profile wanted = {.ops = &vestry_profile_brotli, .level = level};
    vestry_profile p;
    far_end f;
    vsi_sink sink;
    void *encoder = NULL;
    assert_int_equal(vsi_profile_resolve(&wanted, &p), VESTRY_OK);
    far_begin(&f, &p);
    vsi_sink_init(&sink, NULL);
    assert_int_equal(p.ops->primer(&p, vestry_host_default(), &sink), VESTRY_OK);
    decoder_feed(&f.d, sink.buffer.data + sizeof(vsi_segment), sink.buffer.len - sizeof(vsi_segment));
    f.primed = f.d.text.len;
    new_sink(&sink);
    assert_int_equal(p.ops->create(&p, vestry_host_default(), &encoder), VESTRY_OK);
    for (size_t len = 1; len <= sizeof noise; len = len < 40 ? len + 1 : len * 2) {
      assert_true(p.ops->reset(encoder));
      assert_int_equal(p.ops->encode(encoder, noise, len, &sink), VESTRY_OK);
      assert_in_range(sink.buffer.len - sizeof(vsi_segment), len / 2, len + 8);
      far_take(&f, &sink, noise, len);
      new_sink(&sink);
    }
    assert_true(p.ops->reset(encoder));
    assert_int_equal(p.ops->encode(encoder, text, sizeof text, &sink), VESTRY_OK); /* zeros */
    assert_in_range(sink.buffer.len - sizeof(vsi_segment), 1, 100);
    far_take(&f, &sink, text, sizeof text);
    p.ops->destroy(encoder);
    vsi_buffer_finish(&sink.buffer);
    far_finish(&f);
  }
}

/* capability: C13 */
TEST_CASE(profile_settings_are_checked) {
  static const vestry_profile bad[] = {
      {.ops = NULL},
      {.ops = &vestry_profile_identity, .level = 1},
      {.ops = &vestry_profile_gzip, .level = 10},
      {.ops = &vestry_profile_gzip, .window_bits = 8},
      {.ops = &vestry_profile_gzip, .window_bits = 16},
      {.ops = &vestry_profile_gzip, .memory_level = 10},
      {.ops = &vestry_profile_brotli, .level = 1},
      {.ops = &vestry_profile_brotli, .level = 10},
      {.ops = &vestry_profile_brotli, .window_bits = 9},
      {.ops = &vestry_profile_brotli, .window_bits = 19},
      {.ops = &vestry_profile_brotli, .memory_level = 1},
  };
  vestry_profile p = {.level = 77};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    assert_int_equal(vsi_profile_resolve(&bad[i], &p), VESTRY_INVALID);
  assert_int_equal(p.level, 77);
}

/* Each function with output reports a sink that is out of memory. */
TEST_CASE(failed_sink_is_reported) {
  for (int i = 0; i < PROFILES; i++) {
    vestry_profile p;
    assert_int_equal(vsi_profile_resolve(&profiles[i], &p), VESTRY_OK);
    vsi_sink sink;
    vsi_sink_init(&sink, NULL);
    sink.buffer.error = VESTRY_NO_MEMORY;
    void *encoder = NULL;
    assert_int_equal(p.ops->create(&p, vestry_host_default(), &encoder), VESTRY_OK);
    assert_int_equal(p.ops->encode(encoder, "event", 5, &sink), VESTRY_NO_MEMORY);
    p.ops->destroy(encoder);
    assert_int_equal(p.ops->primer(&p, vestry_host_default(), &sink), VESTRY_NO_MEMORY);
    assert_int_equal(p.ops->store("event", 5, &sink), VESTRY_NO_MEMORY);
    assert_int_equal(p.ops->end(0, &sink), VESTRY_NO_MEMORY);
    if (p.ops->idle.len) assert_int_equal(vsi_sink_put(&sink, p.ops->idle.data, p.ops->idle.len), VESTRY_NO_MEMORY);
    if (p.ops->follow) {
      assert_int_equal(p.ops->create(&p, vestry_host_default(), &encoder), VESTRY_OK);
      assert_int_equal(p.ops->follow(encoder, "event", 5, "another", 7, &sink), VESTRY_NO_MEMORY);
      p.ops->destroy(encoder);
    }
    vsi_segment *segment = NULL;
    assert_int_equal(vsi_sink_settle(&sink, VESTRY_OK, &segment), VESTRY_NO_MEMORY);
  }
}

/* Large enough for the encoder's later allocations: blocks, trees, histograms. */
static size_t make_varied(char to[VARIED_BYTES]) {
  static const char words[] = "<p>to be or not</p>";
  uint64_t seed = 7;
  for (size_t i = 0; i < VARIED_BYTES; i++)
    to[i] =
        i / 2000 % 2 ? (char)random_below(&seed, 256) : words[(i + random_below(&seed, 40) / 39) % (sizeof words - 1)];
  return VARIED_BYTES;
}

static vestry_err encode_something(test_host *th, void *ctx) {
  static char varied[VARIED_BYTES];
  size_t len = make_varied(varied);
  vestry_profile p;
  assert_int_equal(vsi_profile_resolve(ctx, &p), VESTRY_OK);
  void *encoder = NULL;
  vestry_err error = p.ops->create(&p, &th->host, &encoder);
  if (error) return error;
  vsi_sink sink;
  vsi_sink_init(&sink, &th->host);
  error = p.ops->primer(&p, &th->host, &sink);
  if (!error) error = p.ops->encode(encoder, "an event", 8, &sink);
  if (!error) error = p.ops->encode(encoder, varied, len, &sink);
  vsi_segment *segment = NULL;
  error = vsi_sink_settle(&sink, error, &segment);
  vsi_segment_destroy(segment);
  p.ops->destroy(encoder);
  return error;
}

TEST_CASE(encoding_survives_every_allocation_failure) {
  for (int i = 0; i < PROFILES; i++)
    test_host_fail_each(encode_something, (void *)&profiles[i], true); /* a segment that cannot be trimmed is kept */
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define OWN_ADDRESSES false
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define OWN_ADDRESSES false
#endif
#endif
#ifndef OWN_ADDRESSES
#define OWN_ADDRESSES true
#endif

enum { SAID_NO_MEMORY = 42, DONE_WITHOUT = 43 };

/* In a child process with a full address space: create and keep encoders until one is refused. */
static int fill_memory(const vestry_profile *profile, size_t more_bytes) {
  static char varied[VARIED_BYTES];
  static void *encoders[10000];
  size_t len = make_varied(varied), pages = 0, count = 0;
  vestry_profile p;
  FILE *statm = fopen("/proc/self/statm", "r");
  if (vsi_profile_resolve(profile, &p) || !statm || fscanf(statm, "%zu", &pages) != 1) return 1;
  fclose(statm);
  size_t bytes = pages * (size_t)sysconf(_SC_PAGESIZE) + more_bytes;
  if (setrlimit(RLIMIT_AS, &(struct rlimit){bytes, bytes})) return 1;
  vestry_err error = VESTRY_OK;
  while (!error && count < sizeof encoders / sizeof *encoders) {
    error = p.ops->create(&p, vestry_host_default(), &encoders[count]);
    if (error) break;
    vsi_sink sink;
    vsi_sink_init(&sink, NULL);
    error = p.ops->encode(encoders[count++], varied, len, &sink);
    vsi_buffer_finish(&sink.buffer);
  }
  while (count) p.ops->destroy(encoders[--count]);
  if (error != VESTRY_NO_MEMORY) return DONE_WITHOUT;
  /* Memory is available again. */
  void *encoder = NULL;
  if (p.ops->create(&p, vestry_host_default(), &encoder)) return 1;
  p.ops->destroy(encoder);
  return SAID_NO_MEMORY;
}

/* However the library of a coding handles a lack of memory, the process continues. */
TEST_CASE(encoders_survive_a_full_address_space) {
  if (!OWN_ADDRESSES) TEST_SKIP("sanitizers take terabytes of addresses");
  for (int i = 0; i < PROFILES; i++) {
    if (profiles[i].ops != &vestry_profile_brotli && profiles[i].ops != &vestry_profile_gzip) continue;
    for (size_t more = 3 << 20; more < 4 << 20; more += 350000) {
      pid_t child = fork();
      assert_true(child >= 0);
      if (!child) _exit(fill_memory(&profiles[i], more));
      int status = 0;
      assert_int_equal(waitpid(child, &status, 0), child);
      assert_true(WIFEXITED(status));
      assert_int_equal(WEXITSTATUS(status), SAID_NO_MEMORY);
    }
  }
}
