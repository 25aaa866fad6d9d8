/* SPDX-License-Identifier: MIT */
/* Messages: each written message is read back, and no other is accepted. */
#include "cluster/cluster/wire.h"

#include "event/layout.h"
#include "support/test.h"
#include "support/test_host.h"

static const vsi_siphash_key key = {1, 2}, other = {1, 3};

static void write_one(vsi_buffer *buffer, const vestry_host *host) {
  const vsi_wire_request request = {
      .id = 42, .name = {{"me", 2}, {"\1\2", 2}}, .effects = {"[]", 2}, .data = {"{}", 2}};
  vsi_wire_begin(buffer, host);
  vsi_wire_put_request(buffer, &request);
  vsi_wire_end(buffer);
  vsi_wire_seal(buffer, key,
                &(vsi_wire_message){.kind = VSI_WIRE_REQUEST, .flags = 1, .from = 3, .epoch = 4, .to = 5, .seq = 6});
}

HOST_CASE(written_message_is_read_back) {
  vsi_buffer buffer;
  vsi_wire_message message;
  vsi_wire_request request;
  write_one(&buffer, &th->host);
  assert_int_equal(vsi_wire_open(buffer.data, buffer.len, key, &message), VESTRY_OK);
  assert_int_equal(message.kind, VSI_WIRE_REQUEST);
  assert_int_equal(message.flags, 1);
  assert_int_equal(message.from, 3);
  assert_int_equal(message.epoch, 4);
  assert_int_equal(message.to, 5);
  assert_int_equal(message.seq, 6);
  assert_int_equal(vsi_wire_read_request(message.body, message.len, &request), VESTRY_OK);
  assert_int_equal(request.id, 42);
  assert_int_equal(request.name.scope.len, 2);
  assert_memory_equal(request.name.key.data, "\1\2", 2);
  assert_memory_equal(request.effects.data, "[]", 2);
  assert_int_equal(request.data.len, 2);
  /* A truncated body is malformed, except inside its last part, whose length is not written. */
  for (size_t len = 0; len < message.len; len++)
    assert_int_equal(vsi_wire_read_request(message.body, len, &request),
                     len < message.len - 2 ? VESTRY_MALFORMED : VESTRY_OK);
  vsi_buffer_finish(&buffer);
}

/* capability: G10 */
HOST_CASE(changed_or_truncated_message_is_malformed) {
  vsi_buffer buffer;
  vsi_wire_message message;
  write_one(&buffer, &th->host);
  assert_int_equal(vsi_wire_open(buffer.data, buffer.len, other, &message), VESTRY_MALFORMED);
  for (size_t i = 0; i < buffer.len; i++) {
    buffer.data[i] ^= 4;
    assert_int_equal(vsi_wire_open(buffer.data, buffer.len, key, &message), VESTRY_MALFORMED);
    buffer.data[i] ^= 4;
    assert_int_equal(vsi_wire_open(buffer.data, i, key, &message), VESTRY_MALFORMED);
  }
  assert_int_equal(vsi_wire_open(buffer.data, buffer.len, key, &message), VESTRY_OK);
  vsi_buffer_finish(&buffer);
}

/* capability: G10 */
TEST_CASE(names_beyond_the_body_are_malformed) {
  static const unsigned char no_key[] = {1, 0, 0, 0, 'x'}, long_scope[] = {1, 4, 1, 0};
  unsigned char body[2000] = {0};
  vsi_wire_reader reader = vsi_wire_read(no_key, sizeof no_key);
  (void)vsi_wire_read_name(&reader);
  assert_true(reader.has_failed);
  memcpy(body, long_scope, sizeof long_scope);
  reader = vsi_wire_read(body, sizeof body);
  (void)vsi_wire_read_name(&reader);
  assert_true(reader.has_failed);
  assert_int_equal(vsi_wire_number(&reader, 8), 0);
}

HOST_CASE(state_of_an_event_is_read_back) {
  vsi_buffer buffer;
  for (size_t len = 0; len <= VSI_STATE_MAX_BYTES; len += 51) {
    char name[VSI_STATE_MAX_BYTES];
    memset(name, 'n', sizeof name);
    vsi_buffer_init(&buffer, &th->host);
    vsi_wire_put_state(&buffer, (vestry_slice){name, len});
    vsi_buffer_append_str(&buffer, "event");
    vsi_wire_reader reader = vsi_wire_read(buffer.data, buffer.len);
    const vestry_slice read = vsi_wire_read_state(&reader);
    assert_int_equal(read.len, len);
    assert_memory_equal(read.data, name, len);
    assert_int_equal(reader.left, 5);
    assert_false(reader.has_failed);
    for (size_t cut = 0; cut < len; cut++) {
      reader = vsi_wire_read(buffer.data, cut);
      (void)vsi_wire_read_state(&reader);
      assert_true(reader.has_failed);
    }
    vsi_buffer_finish(&buffer);
  }
}
