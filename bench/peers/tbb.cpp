// SPDX-License-Identifier: MIT
// oneTBB's concurrent_hash_map. A look-up holds the reader lock of the entry.
#include "map.h"

#include <oneapi/tbb/concurrent_hash_map.h>

namespace {

template <size_t words> struct tbb_map {
  struct compare {
    size_t hash(const inline_key<words> &key) const {
      return inline_hash<words>()(key);
    }
    bool equal(const inline_key<words> &a, const inline_key<words> &b) const {
      return a == b;
    }
  };
  using entries = tbb::concurrent_hash_map<inline_key<words>, connection *, compare>;
  static constexpr const char *name = "tbb";
  entries in;

  explicit tbb_map(size_t capacity) : in(capacity) {}

  connection *replace(const inline_key<words> &key, connection *conn) {
    typename entries::accessor at;
    connection *old = in.insert(at, key) ? nullptr : at->second;
    at->second = conn;
    return old;
  }

  template <typename function> bool visit(const inline_key<words> &key, function fn) {
    typename entries::const_accessor at;
    if (!in.find(at, key)) return false;
    fn(at->second);
    return true;
  }

  connection *take(const inline_key<words> &key) {
    typename entries::accessor at;
    if (!in.find(at, key)) return nullptr;
    connection *conn = at->second;
    in.erase(at);
    return conn;
  }

  size_t size() const {
    return in.size();
  }

  template <typename function> void each(function fn) {
    for (auto &pair : in) fn(pair.second);
  }
};

} // namespace

int main(int argc, char **argv) {
  return map_main<tbb_map>(argc, argv);
}
