#include "engine/kv_copies.h"

#include <algorithm>
#include <string>
#include <string_view>

#include "base/status_macros.h"
#include "base/text.h"
#include "engine/version_name.h"

namespace engine {
namespace {

constexpr std::string_view kPrefix = "kv/versions/";

std::string Key(std::uint64_t number) { return base::Cat(kPrefix, VersionName(number)); }

}  // namespace

absl::StatusOr<std::vector<std::uint64_t>> KvCopies::List(openbao::Storage& storage) {
  ASSIGN_OR_RETURN(const std::vector<std::string> names, storage.List(kPrefix));
  std::vector<std::uint64_t> numbers;
  numbers.reserve(names.size());
  for (const std::string& name : names) {
    const std::optional<std::uint64_t> number = ParseVersionName(name);
    if (!number.has_value()) return UnknownEntry(kPrefix);
    numbers.push_back(*number);
  }
  std::ranges::sort(numbers);
  return numbers;
}

absl::StatusOr<std::optional<Version>> KvCopies::Get(openbao::Storage& storage,
                                                     std::uint64_t number) {
  ASSIGN_OR_RETURN(const std::optional<base::SecretBytes> entry, storage.Get(Key(number)));
  if (!entry.has_value()) return std::nullopt;
  ASSIGN_OR_RETURN(
      mek::VersionDoc doc,
      mek::VersionDoc::Parse(base::Cat("our copy of version ", number), entry->view()));
  return Version{number, std::move(doc)};
}

absl::Status KvCopies::Rewrite(openbao::Storage& storage, std::uint64_t number,
                               const base::SecretBytes& document) {
  return storage.Put(Key(number), document);
}

absl::Status KvCopies::Prune(openbao::Storage& storage, std::uint64_t number) {
  return storage.Delete(Key(number));
}

}  // namespace engine
