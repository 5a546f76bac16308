#include "engine/mount_store.h"

#include <algorithm>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "base/text.h"
#include "sdk/logical/errors.h"

namespace engine {
namespace {

constexpr std::string_view kPrefix = "versions/";
constexpr std::size_t kDigits = 10;

std::string Key(std::uint64_t number) {
  return base::Cat(kPrefix, absl::StrFormat("%010u", number));
}

std::optional<std::uint64_t> Number(std::string_view name) {
  std::uint64_t number = 0;
  const bool plain = name.size() == kDigits && std::ranges::all_of(name, absl::ascii_isdigit);
  if (!plain || !absl::SimpleAtoi(base::ToAbsl(name), &number) || number == 0) return std::nullopt;
  return number;
}

absl::Status MaybeDone(std::uint64_t number, const absl::Status& why) {
  return absl::UnavailableError(base::Cat("it is not known whether version ", number,
                                          " was written (", why.message(),
                                          "): read status, and if the version there is ",
                                          number - 1, ", try again with cas=", number - 1));
}

}  // namespace

absl::StatusOr<std::vector<std::uint64_t>> MountStore::List(openbao::Storage& storage) {
  ASSIGN_OR_RETURN(const std::vector<std::string> names, storage.List(kPrefix));
  std::vector<std::uint64_t> numbers;
  numbers.reserve(names.size());
  for (const std::string& name : names) {
    const std::optional<std::uint64_t> number = Number(name);
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

absl::StatusOr<std::uint64_t> MountStore::LiveNumber(openbao::Storage& storage) {
  if (has_unsettled_) RETURN_IF_ERROR(Settle(storage).status());
  Remembered<std::uint64_t>::Moment moment = 0;
  if (const auto known = live_.Get(moment); known.has_value()) return *known;
  ASSIGN_OR_RETURN(const std::vector<std::uint64_t> numbers, List(storage));
  const std::uint64_t live = numbers.empty() ? 0 : numbers.back();
  live_.Offer(moment, live);
  return live;
}

absl::StatusOr<std::optional<Version>> MountStore::Live(openbao::Storage& storage) {
  ASSIGN_OR_RETURN(const std::uint64_t number, LiveNumber(storage));
  if (number == 0) return std::nullopt;
  ASSIGN_OR_RETURN(std::optional<Version> version, Get(storage, number));
  if (!version.has_value()) {
    Invalidate();
    return absl::DataLossError(
        base::Cat("version ", number, ", the live one, is missing from storage"));
  }
  return version;
}

absl::StatusOr<std::optional<Version>> MountStore::Get(openbao::Storage& storage,
                                                       std::uint64_t number) {
  if (number == 0) return std::nullopt;
  ASSIGN_OR_RETURN(const std::optional<base::SecretBytes> entry, storage.Get(Key(number)));
  if (!entry.has_value()) return std::nullopt;
  ASSIGN_OR_RETURN(mek::VersionDoc doc,
                   mek::VersionDoc::Parse(base::Cat("version ", number), entry->view()));
  return Version{number, std::move(doc)};
}

absl::Status MountStore::Append(openbao::Storage& storage, std::uint64_t live,
                                const base::SecretBytes& document) {
  const std::uint64_t number = live + 1;
  absl::Status put = storage.Put(Key(number), document);
  if (put.ok()) {
    live_.Replace(number);
    return put;
  }
  // These two say that nothing was written.
  if (openbao::IsReadOnlyStorage(put) || absl::IsResourceExhausted(put)) return put;
  // An error that the server answered with is the end of that write, so a read tells what came of
  // it. With no answer the write may still be under way, and only the same document may be written
  // there.
  const bool ended = !absl::IsUnavailable(put);
  {
    absl::MutexLock settling(&settling_);
    unsettled_ = Unsettled{number, document.Clone(), ended};
    has_unsettled_ = true;
    live_.Forget();
  }
  const absl::StatusOr<bool> landed = Settle(storage);
  if (!landed.ok()) return MaybeDone(number, put);
  return *landed ? absl::OkStatus() : put;
}

absl::StatusOr<bool> MountStore::Settle(openbao::Storage& storage) {
  absl::MutexLock settling(&settling_);
  if (!unsettled_.has_value()) return false;
  const std::string key = Key(unsettled_->number);
  ASSIGN_OR_RETURN(const std::optional<base::SecretBytes> entry, storage.Get(key));
  bool landed = entry.has_value();
  if (landed && !(*entry == unsettled_->document)) {
    return absl::DataLossError(base::Cat(
        "version ", unsettled_->number, " was written by another process while this one wrote it"));
  }
  if (!landed && !unsettled_->ended) {
    RETURN_IF_ERROR(storage.Put(key, unsettled_->document));
    landed = true;
  }
  if (landed) live_.Replace(unsettled_->number);
  unsettled_.reset();
  has_unsettled_ = false;
  return landed;
}

absl::Status MountStore::Rewrite(openbao::Storage& storage, std::uint64_t number,
                                 const base::SecretBytes& document) {
  return storage.Put(Key(number), document);
}

absl::Status MountStore::Prune(openbao::Storage& storage, std::uint64_t number) {
  return storage.Delete(Key(number));
}

}  // namespace engine
