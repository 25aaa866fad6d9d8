// SPDX-License-Identifier: MIT
// libcuckoo's cuckoohash_map. A look-up holds the locks of the two buckets in which the key may be.
#include "map.h"

#include <libcuckoo/cuckoohash_map.hh>

namespace {

template <size_t words> struct cuckoo_map {
  static constexpr const char *name = "cuckoo";
  libcuckoo::cuckoohash_map<inline_key<words>, connection *, inline_hash<words>> in;

  explicit cuckoo_map(size_t capacity) : in(capacity) {}

  connection *replace(const inline_key<words> &key, connection *conn) {
    connection *old = nullptr;
    in.upsert(
        key,
        [&old, conn](connection *&at) {
          old = at;
          at = conn;
        },
        conn);
    return old;
  }

  template <typename function> bool visit(const inline_key<words> &key, function fn) {
    return in.find_fn(key, fn);
  }

  connection *take(const inline_key<words> &key) {
    connection *conn = nullptr;
    in.erase_fn(key, [&conn](connection *at) { return conn = at; });
    return conn;
  }

  size_t size() const {
    return in.size();
  }

  template <typename function> void each(function fn) {
    for (auto &pair : in.lock_table()) fn(pair.second);
  }
};

} // namespace

int main(int argc, char **argv) {
  return map_main<cuckoo_map>(argc, argv);
}
