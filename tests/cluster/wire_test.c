/* SPDX-License-Identifier: MIT */
/* Messages: each written message is read back, and no other is accepted. */
#include "cluster/cluster/wire.h"

#include "support/test.h"
#include "support/test_host.h"

static const vsi_siphash_key key = {1, 2}, other = {1, 3};

static void write_one(vsi_buffer *buffer, const vestry_host *host) {
  vsi_wire_begin(buffer, host);
  vsi_wire_put(buffer, 42, 8);
  vsi_wire_put_name(buffer, (vsi_wire_name){{"me", 2}, {"\1\2", 2}});
  vsi_buffer_append_str(buffer, "[]");
  assert_int_equal(
      vsi_wire_seal(buffer, key,
                    &(vsi_wire_message){
                        .kind = VSI_WIRE_REQUEST, .flags = 1, .from = 3, .epoch = 4, .to = 5, .seq = 6, .turn = 7}),
      VESTRY_OK);
}

HOST_CASE(written_message_is_read_back) {
  vsi_buffer buffer;
  vsi_wire_message message;
  write_one(&buffer, &th->host);
  assert_int_equal(vsi_wire_open(buffer.data, buffer.len, key, &message), VESTRY_OK);
  assert_int_equal(message.kind, VSI_WIRE_REQUEST);
  assert_int_equal(message.flags, 1);
  assert_int_equal(message.from, 3);
  assert_int_equal(message.epoch, 4);
  assert_int_equal(message.to, 5);
  assert_int_equal(message.seq, 6);
  assert_int_equal(message.turn, 7);
  for (size_t len = 0; len <= message.len; len++) {
    vsi_wire_reader reader = vsi_wire_read(message.body, len);
    const uint64_t id = vsi_wire_number(&reader, 8);
    const vsi_wire_name name = vsi_wire_read_name(&reader);
    const vestry_slice rest = vsi_wire_bytes(&reader, 2);
    assert_int_equal(reader.has_failed, len < message.len);
    if (reader.has_failed) { /* nothing follows a failure */
      assert_int_equal(reader.left, 0);
      assert_int_equal(vsi_wire_number(&reader, 1), 0);
      assert_null(vsi_wire_bytes(&reader, 0).data);
      continue;
    }
    assert_int_equal(id, 42);
    assert_int_equal(name.scope.len, 2);
    assert_memory_equal(name.key.data, "\1\2", 2);
    assert_memory_equal(rest.data, "[]", 2);
  }
  vsi_buffer_finish(&buffer);
}

/* The seal does not depend on an earlier one. */
HOST_CASE(message_is_sealed_for_one_receiver_after_the_other) {
  vsi_buffer buffer;
  vsi_wire_message message = {.kind = VSI_WIRE_REQUEST, .epoch = 4}, read;
  write_one(&buffer, &th->host);
  for (message.to = 8; message.to < 10; message.to++) {
    buffer.len -= VSI_WIRE_SEAL;
    assert_int_equal(vsi_wire_seal(&buffer, key, &message), VESTRY_OK);
    assert_int_equal(vsi_wire_open(buffer.data, buffer.len, key, &read), VESTRY_OK);
    assert_int_equal(read.to, message.to);
  }
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
