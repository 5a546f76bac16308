#include "engine/kv_copies.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "base/text.h"

namespace engine {
namespace {

constexpr std::string_view kPrefix = "kv/versions/";
constexpr std::size_t kDigits = 10;

std::string Key(std::uint64_t number) { return base::Cat(kPrefix, KvCopies::Name(number)); }

}  // namespace

std::string KvCopies::Name(std::uint64_t number) { return absl::StrFormat("%010u", number); }

std::optional<std::uint64_t> KvCopies::ParseName(std::string_view name) {
  std::uint64_t number = 0;
  const bool plain = name.size() == kDigits && std::ranges::all_of(name, absl::ascii_isdigit);
  if (!plain || !absl::SimpleAtoi(base::ToAbsl(name), &number) || number == 0) return std::nullopt;
  return number;
}

absl::StatusOr<std::vector<std::uint64_t>> KvCopies::List(openbao::Storage& storage) {
  ASSIGN_OR_RETURN(const std::vector<std::string> names, storage.List(kPrefix));
  std::vector<std::uint64_t> numbers;
  numbers.reserve(names.size());
  for (const std::string& name : names) {
    const std::optional<std::uint64_t> number = ParseName(name);
    if (!number.has_value()) {
      return absl::DataLossError(base::Cat(
          "storage holds an entry under ", kPrefix,
          " that no version of this plugin known here writes; nothing is read or changed until it "
          "is looked at"));
    }
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
