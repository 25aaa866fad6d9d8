/* SPDX-License-Identifier: MIT */
#include "connection/listener.h"

vestry_err listener_open(listener *l, bench *b, const vestry_profile *profile,
                         const vestry_connection_options *options) {
  static const vestry_profile identity = {.ops = &vestry_profile_identity};
  vsi_codings *codings = vsi_group_codings(b->group);
  vsi_coding *coding = NULL;
  vsi_coder *coder = NULL;
  l->connection = NULL;
  l->fed = l->looked = l->matched = 0;
  l->profile = profile ? *profile : identity;
  vestry_err error = VESTRY_OK;
  if (l->profile.ops != &vestry_profile_identity) {
    error = vsi_coding_find(codings, &l->profile, &coding);
    if (!error) error = vsi_coder_create(coding, &coder);
  }
  if (error) return error;
  probe_init(&l->p);
  error = vsi_group_connect(b->group, &probe_pooled, &l->p, options, &probe_hooks, &l->p, &l->connection);
  if (error) {
    vsi_coder_free(coder);
    vsi_buffer_finish(&l->p.got);
    return error;
  }
  decoder_init(&l->d, l->profile.ops->coding);
  vsi_buffer_init(&l->expected, NULL);
  l->connection->coder = coder;
  vsi_connection_start(l->connection);
  return VESTRY_OK;
}

void listener_expect(listener *l, const vestry_event *event) {
  vestry_slice bytes = vestry_event_bytes(event);
  vsi_buffer_append(&l->expected, bytes.data, bytes.len);
}

static size_t event_len(const char *at, const char *end) {
  for (const char *look = at; look + 1 < end; look++)
    if (look[0] == '\n' && look[1] == '\n') return (size_t)(look + 2 - at);
  return (size_t)(end - at);
}

void listener_check(listener *l, bool whole) {
  if (l->fed < l->p.got.len) decoder_feed(&l->d, l->p.got.data + l->fed, l->p.got.len - l->fed);
  l->fed = l->p.got.len;
  assert_false(l->d.broken);
  if (!l->d.text.len) {
    assert_false(whole && l->expected.len);
    return;
  }
  const char *at = l->d.text.data + l->looked, *end = l->d.text.data + l->d.text.len;
  size_t compared = l->matched;
  while (at < end) {
    size_t len = event_len(at, end);
    bool is_comment = *at == ':', is_whole = len >= 2 && at[len - 1] == '\n' && at[len - 2] == '\n';
    if (!is_comment) { /* neither primer nor heartbeat */
      assert_true(len <= l->expected.len - compared);
      assert_memory_equal(at, l->expected.data + compared, len);
      compared += len;
    }
    at += len;
    if (!is_whole) continue;
    l->looked = (size_t)(at - l->d.text.data);
    l->matched = compared;
  }
  if (whole) assert_int_equal(compared, l->expected.len);
}

void listener_finish(listener *l, bool clean) {
  assert_int_equal(l->p.ends, 1);
  assert_int_equal(l->p.clean, clean);
  listener_check(l, clean);
  assert_int_equal(l->d.ended, clean && l->profile.ops != &vestry_profile_identity);
  vestry_connection_stats stats = probe_stats(l->connection);
  assert_int_equal(stats.wire_bytes, l->p.got.len);
  assert_int_equal(stats.queued_count, 0);
  assert_int_equal(stats.accepted_count, stats.written_count + stats.discarded_count + stats.conflated_count);
  assert_int_equal(stats.accepted_bytes, stats.written_bytes + stats.discarded_bytes);
  assert_int_equal(stats.accepted_bytes, l->expected.len);
  vestry_connection_unref(l->connection);
  l->connection = NULL;
  probe_finish(&l->p);
  decoder_finish(&l->d);
  vsi_buffer_finish(&l->expected);
}
