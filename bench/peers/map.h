// SPDX-License-Identifier: MIT
// Concurrent maps as contestants, for look-ups: they evict nothing and have no order of uses. Their keys of 48 or 16
// bytes are ready, inline, and hashed without a secret, so users could choose keys that collide. A look-up runs a
// function under the map's lock of the entry. The operation "get" takes a reference to the connection there, and "with"
// reads the connection in place.
//
// A map: map(capacity); replace(key, conn): returns the connection that was there, or a null pointer; visit(key, fn):
// whether it is there; take(key): remove it and return its connection, or a null pointer; size(); each(fn).
#ifndef BENCH_PEERS_MAP_H
#define BENCH_PEERS_MAP_H

#include <cstring>
#include <string_view>

#include "../contest.h"

template <size_t words> struct inline_key {
  uint64_t at[words];
  bool operator==(const inline_key &other) const {
    return std::memcmp(this, &other, sizeof other) == 0;
  }
};

inline bool product; // --hash product: the cheapest hash of the whole key, a multiplication for two words

template <size_t words> struct inline_hash {
  size_t operator()(const inline_key<words> &key) const {
    if (words > 2 && !product) // C++'s standard hash of bytes
      return std::hash<std::string_view>()(std::string_view(reinterpret_cast<const char *>(&key), sizeof key));
    uint64_t sum = 0;
    for (size_t i = 0; i < words; i += 2)
      sum = (sum ^ key.at[i] ^ (key.at[i + 1] << 32 | key.at[i + 1] >> 32)) * UINT64_C(0x9e3779b97f4a7c15);
    return sum ^ sum >> 32;
  }
};

template <template <size_t> class map_of, size_t words> struct contender {
  using map = map_of<words>;

  static map *self_of(void *self) {
    return static_cast<map *>(self);
  }

  static inline_key<words> key_of(const void *data) {
    inline_key<words> key;
    std::memcpy(&key, data, sizeof key);
    return key;
  }

  static void end(connection *conn) {
    connection_close(conn);
    connection_unref(conn);
  }

  static bool create(const contest_settings *settings, void **ret_self) {
    *ret_self = new map(settings->work.capacity);
    return true;
  }

  static bool destroy(void *self) {
    self_of(self)->each([](connection *conn) { end(conn); });
    delete self_of(self);
    return true;
  }

  static void count(void *self, contest_counts *counts) {
    counts->size = self_of(self)->size();
  }

  static bool put(void *self, const void *key, size_t, connection *conn) {
    connection_ref(conn);
    if (connection *old = self_of(self)->replace(key_of(key), conn)) end(old);
    return true;
  }

  static bool get(void *self, const void *key, size_t, uint64_t *sink) {
    connection *found = nullptr;
    self_of(self)->visit(key_of(key), [&found](connection *conn) { connection_ref(found = conn); });
    if (!found) return false;
    *sink += found->id;
    connection_unref(found);
    return true;
  }

  static bool with(void *self, const void *key, size_t, uint64_t *sink) {
    return self_of(self)->visit(key_of(key), [sink](connection *conn) { *sink += conn->id; });
  }

  static bool drop(void *self, const void *key, size_t) {
    connection *conn = self_of(self)->take(key_of(key));
    if (conn) end(conn);
    return conn;
  }

  static void batch(contest_worker *worker) {
    contest_batch(&ops, worker);
  }

  static const contest_ops ops;
};

template <template <size_t> class map_of, size_t words>
const contest_ops contender<map_of, words>::ops = {map_of<words>::name,
                                                   "",
                                                   1u << WORKLOAD_HIT | 1u << WORKLOAD_HOT,
                                                   words * 8,
                                                   false,
                                                   false,
                                                   create,
                                                   destroy,
                                                   count,
                                                   put,
                                                   get,
                                                   with,
                                                   drop,
                                                   batch};

template <template <size_t> class map_of> int map_main(int argc, char **argv) {
  contest_settings settings;
  const char *hash = "std";
  const bench_option more[] = {{"--hash", &hash, NULL, 0, 0}};
  int status = contest_parse(argc - 1, argv + 1, more, 1, &settings);
  if (status) return status;
  product = std::strcmp(hash, "product") == 0;
  bool session = settings.work.keys == WORKLOAD_KEYS_SESSION;
  return contest_run(session ? &contender<map_of, WORKLOAD_SESSION_BYTES / 8>::ops : &contender<map_of, 2>::ops,
                     &settings);
}

#endif
