// The record moves between its homes, and nothing of it is lost.
#ifndef ENGINE_ADOPT_H_
#define ENGINE_ADOPT_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "engine/mount.h"

namespace engine {

struct Move {
  std::shared_ptr<const HomeStore::Home> from;
  std::shared_ptr<const HomeStore::Home> to;  // not stored yet
  // Into kv, if both hold a record and not the same: whose selectors and fields go on. The keys of
  // the other come to it in either case.
  enum class Take { kNeither, kKv, kMount };
  Take take = Take::kNeither;
  // Into the mount: our newest document, if the secret can't be read, and the secret's key where
  // the mount had another under the same kid. Within kv: a connection with which it can't be read.
  bool force = false;
  std::string reason;
};

// Makes `move.to` the home: the record that readers have there (the KV secret's, if it holds one)
// goes on with what is known of it here, and each key of any version of either home that it lacks
// goes to the archive first. FAILED_PRECONDITION, with what to do, if the two homes hold different
// records and `take` doesn't say what is to become of them, or if they hold different keys under
// one kid. Repeated after a failure it goes on where it stopped. The caller holds the mount's lock.
// `warnings` are for whoever asked.
absl::Status MoveHome(Mount& mount, const openbao::Request& request, const Move& move,
                      std::vector<std::string>& warnings);

}  // namespace engine

#endif  // ENGINE_ADOPT_H_
