// SPDX-License-Identifier: MIT
// oneTBB's concurrent_hash_map with keys of 48 or 16 bytes stored inline, for look-ups: it evicts nothing and has no
// order of uses. A look-up holds the reader lock of the entry. Under this lock, the operation "get" takes a reference
// to the connection, and the operation "with" reads the connection in place.
#include <cstring>
#include <string_view>

#include <oneapi/tbb/concurrent_hash_map.h>

#include "../contest.h"

namespace {

template <size_t words> struct inline_key { uint64_t at[words]; };

template <size_t words> inline_key<words> key_of(const void *data) {
  inline_key<words> key;
  std::memcpy(&key, data, sizeof key);
  return key;
}

// Neither hash has a seed, so both are open to chosen collisions.
bool product; // --hash product: the cheapest hash of the whole key, a multiplication for two words

template <size_t words> struct inline_hash {
  size_t hash(const inline_key<words> &key) const {
    if (words > 2 && !product) // C++'s standard hash of bytes
      return std::hash<std::string_view>()(std::string_view(reinterpret_cast<const char *>(&key), sizeof key));
    uint64_t sum = 0;
    for (size_t i = 0; i < words; i += 2)
      sum = (sum ^ key.at[i] ^ (key.at[i + 1] << 32 | key.at[i + 1] >> 32)) * UINT64_C(0x9e3779b97f4a7c15);
    return sum ^ sum >> 32;
  }
  bool equal(const inline_key<words> &a, const inline_key<words> &b) const {
    return std::memcmp(&a, &b, sizeof a) == 0;
  }
};

void end(connection *conn) {
  connection_close(conn);
  connection_unref(conn);
}

template <size_t words> struct contender {
  using map = tbb::concurrent_hash_map<inline_key<words>, connection *, inline_hash<words>>;

  static map *map_of(void *self) {
    return static_cast<map *>(self);
  }

  static bool create(const contest_settings *settings, void **ret_self) {
    *ret_self = new map(settings->work.capacity);
    return true;
  }

  static bool destroy(void *self) {
    for (auto &pair : *map_of(self)) end(pair.second);
    delete map_of(self);
    return true;
  }

  static void count(void *self, contest_counts *counts) {
    counts->size = map_of(self)->size();
  }

  static bool put(void *self, const void *key, size_t, connection *conn) {
    connection_ref(conn);
    typename map::accessor at;
    connection *old = nullptr;
    if (!map_of(self)->insert(at, key_of<words>(key))) old = at->second;
    at->second = conn;
    at.release();
    if (old) end(old);
    return true;
  }

  static bool get(void *self, const void *key, size_t, uint64_t *sink) {
    typename map::const_accessor at;
    if (!map_of(self)->find(at, key_of<words>(key))) return false;
    connection *conn = at->second;
    connection_ref(conn);
    at.release();
    *sink += conn->id;
    connection_unref(conn);
    return true;
  }

  static bool with(void *self, const void *key, size_t, uint64_t *sink) {
    typename map::const_accessor at;
    if (!map_of(self)->find(at, key_of<words>(key))) return false;
    *sink += at->second->id;
    return true;
  }

  static bool drop(void *self, const void *key, size_t) {
    typename map::accessor at;
    if (!map_of(self)->find(at, key_of<words>(key))) return false;
    connection *conn = at->second;
    map_of(self)->erase(at);
    end(conn);
    return true;
  }

  static void batch(contest_worker *worker) {
    contest_batch(&ops, worker);
  }

  static const contest_ops ops;
};

constexpr unsigned look_ups = 1u << WORKLOAD_HIT | 1u << WORKLOAD_HOT;
template <size_t words>
const contest_ops contender<words>::ops = {"tbb",   "",    look_ups, words * 8, false, false, create,
                                           destroy, count, put,      get,       with,  drop,  batch};

} // namespace

int main(int argc, char **argv) {
  contest_settings settings;
  const char *hash = "std";
  const bench_option more[] = {{"--hash", &hash, NULL, 0, 0}};
  int status = contest_parse(argc - 1, argv + 1, more, 1, &settings);
  if (status) return status;
  product = std::strcmp(hash, "product") == 0;
  bool session = settings.work.keys == WORKLOAD_KEYS_SESSION;
  return contest_run(session ? &contender<WORKLOAD_SESSION_BYTES / 8>::ops : &contender<2>::ops, &settings);
}
