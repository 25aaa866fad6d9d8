/* SPDX-License-Identifier: MIT */
/* State tags, and ids of histories, which clients send: a parsed tag equals the formatted one, and all other texts
 * are rejected. */
#include "app/history/history.h"
#include "app/page/state_tag.h"
#include "fuzz/target.h"

static bool have_equal_parts(const vsi_state_tag *a, const vsi_state_tag *b) {
  for (size_t i = 0; i < a->parts_count; i++)
    if (a->parts[i].name != b->parts[i].name || a->parts[i].content != b->parts[i].content) return false;
  return true;
}

static bool are_equal(const vsi_state_tag *a, const vsi_state_tag *b) {
  return vsi_hash_128_equal(a->hash, b->hash) && a->build == b->build && a->has_version == b->has_version &&
         (!a->has_version || a->version == b->version) && a->parts_count == b->parts_count && have_equal_parts(a, b);
}

/* Check that any tag survives formatting and parsing. */
static void check_written(const uint8_t *data, size_t size) {
  vsi_state_tag tag = {.parts_count = 0}, again;
  char text[VSI_STATE_TAG_BYTES];
  struct {
    uint64_t high, low, version, parts[VSI_STATE_TAG_PARTS_MAX];
    uint32_t build;
    uint8_t has_version, parts_count;
  } raw;
  memset(&raw, 0, sizeof raw);
  memcpy(&raw, data, size < sizeof raw ? size : sizeof raw);
  tag.hash.high = raw.high;
  tag.hash.low = raw.low;
  tag.build = raw.build;
  tag.has_version = raw.has_version & 1;
  tag.version = raw.version;
  tag.parts_count = raw.parts_count % (VSI_STATE_TAG_PARTS_MAX + 1);
  for (size_t i = 0; i < tag.parts_count; i++)
    tag.parts[i] = (vsi_part_claim){.name = (uint32_t)(raw.parts[i] >> 32) ^ raw.build, .content = raw.parts[i]};
  size_t len = vsi_state_tag_write(&tag, text);
  require(len < sizeof text && strlen(text) == len);
  require(vsi_state_tag_read(text, &again) && are_equal(&tag, &again));
}

/* Check that any text is either not a tag, or its only spelling. */
static void check_read(const char *text) {
  vsi_state_tag tag;
  char again[VSI_STATE_TAG_BYTES];
  if (!vsi_state_tag_read(text, &tag)) return;
  require(vsi_state_tag_write(&tag, again) == strlen(text));
  require(strcmp(again, text) == 0);
}

static void check_id_written(const uint8_t *data, size_t size) {
  vsi_history_id id = {0, 0}, again;
  char text[VSI_HISTORY_ID_BYTES];
  memcpy(&id, data, size < sizeof id ? size : sizeof id);
  size_t len = vsi_history_id_write(id, text);
  require(len < sizeof text && strlen(text) == len);
  require(vsi_history_id_read(text, &again) && again.epoch == id.epoch && again.seq == id.seq);
  vsi_state_tag tag;
  require(!vsi_state_tag_read(text, &tag)); /* neither is parsed as the other */
}

static void check_id_read(const char *text) {
  vsi_history_id id;
  vsi_state_tag tag;
  char again[VSI_HISTORY_ID_BYTES];
  const vsi_history_last last = vsi_history_last_of(text);
  require(last.is_given == (*text != '\0'));
  require(last.is_read == vsi_history_id_read(text, &id));
  if (!last.is_read) return;
  require(vsi_history_id_write(id, again) == strlen(text) && strcmp(again, text) == 0);
  require(!vsi_state_tag_read(text, &tag));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char *text = malloc(size + 1);
  require(text != NULL);
  if (size) memcpy(text, data, size);
  text[size] = '\0';
  check_written(data, size);
  check_read(text);
  if (size) check_id_written(data, size);
  check_id_read(text);
  free(text);
  return 0;
}
