// The form of what we store as JSON: an object that begins with "schema" and ends with "sha256",
// the digest of the text before that member. So an entry that was cut short or altered is noticed
// rather than used, and one of a newer plugin is left alone.
#ifndef MEK_DOCUMENT_H_
#define MEK_DOCUMENT_H_

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/json.h"
#include "base/secret.h"

namespace mek {

// A member whose JSON text is handled as it is rather than as a value, because it is large.
struct RawPart {
  std::string_view name;
  std::string_view text;
};

// {"schema":`schema`, `raw` if there is one, members of `body` …, "sha256":"…"}. `body` is an
// object without these names. INTERNAL if a string is not UTF-8, or it is nested too deep to be
// read back.
absl::StatusOr<base::SecretBytes> WriteDocument(std::uint64_t schema, const base::Json& body,
                                                std::optional<RawPart> raw = std::nullopt);

// The members as written, schema and sha256 included. `what` names the entry in messages ("version
// 7"). The member `raw->name` is left out and its text, a part of `text`, put into `raw->text`,
// which is empty if there is none. FAILED_PRECONDITION if the schema is newer than `schema` or a
// member is none of `members` (the entry is whole but another plugin's); DATA_LOSS if it is
// damaged. Messages show no values.
absl::StatusOr<base::Json> ReadDocument(std::string_view what, std::uint64_t schema,
                                        std::initializer_list<std::string_view> members,
                                        std::string_view text, RawPart* raw = nullptr);

// Typed members of a document; DATA_LOSS that names the member if it is absent or of another type.
absl::StatusOr<std::string> ReadString(std::string_view what, const base::Json& document,
                                       std::string_view member);
absl::StatusOr<std::uint64_t> ReadNumber(std::string_view what, const base::Json& document,
                                         std::string_view member);
// A whole number of seconds, up to 100 years.
absl::StatusOr<absl::Duration> ReadSeconds(std::string_view what, const base::Json& document,
                                           std::string_view member);
absl::StatusOr<absl::Time> ReadTime(std::string_view what, const base::Json& document,
                                    std::string_view member);
bool HasMember(const base::Json& document, std::string_view member);

// RFC 3339 in UTC with nine decimals: how a document's times are written.
std::string TimeText(absl::Time time);
// INTERNAL if `time` is outside the years 1 to 9999, which ReadTime couldn't read.
absl::StatusOr<base::Json> TimeJson(absl::Time time);

// A stored entry is damaged, or a newer plugin's. What is stored of others may be well.
bool IsUnreadable(const absl::Status& status);

// The DATA_LOSS of an entry, with the advice that fits all of them.
absl::Status Damaged(std::string_view what, std::string_view why);

}  // namespace mek

#endif  // MEK_DOCUMENT_H_
