#include "mek/version_doc.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/str_replace.h"
#include "base/json.h"
#include "mek/document.h"
#include "support/status_matchers.h"
#include "unit/mek/samples.h"

namespace mek {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing_support::IsOk;
using ::testing_support::StatusIs;

VersionDoc FullDoc() {
  VersionDoc doc{.record = *Stage(TwoKeys(), MakeNewKey(kNewKid, 5, 15))};
  doc.operation = "rotate";
  doc.created_time = kNow + absl::Nanoseconds(123456789);
  doc.reason = "quarterly \"rotation\" \xc3\xa9";
  doc.entity_id = "e-1";
  doc.display_name = "approle";
  doc.request_id = "r-2";
  doc.staged_kid = kNewKid;
  doc.previous_kid = kOldKid;
  doc.effective_time = kNow + absl::Hours(48);
  doc.staged_time = kNow + absl::Seconds(1);
  doc.available_time = kNow + absl::Seconds(2);
  doc.rotated_time = kNow + absl::Seconds(3);
  doc.rotated_version = 2;
  doc.scheduled_time = kNow + absl::Seconds(4);
  doc.rolled_back_to = 3;
  doc.marks.compromised = {{"lost", kNow}, {std::string(kOldKid), kNow + absl::Hours(1)}};
  doc.marks.destroyed = {{"gone", kNow + absl::Hours(2)}};
  doc.marks.added = {{std::string(kOldKid), kNow + absl::Hours(3)}};
  doc.deleted_versions = {4, 7};
  doc.requests.Add("r-1", 1);
  doc.requests.Add("r-2", 2);
  return doc;
}

std::string Text(const VersionDoc& doc) { return std::string(doc.Serialize().value().view()); }
absl::StatusOr<VersionDoc> Parse(std::string_view text) {
  return VersionDoc::Parse("version 2", text);
}

TEST(VersionDoc, SurvivesStorage) {
  const absl::StatusOr<VersionDoc> doc = Parse(Text(FullDoc()));
  ASSERT_THAT(doc, IsOk());
  EXPECT_EQ(Dump(doc->record), Dump(FullDoc().record));
  EXPECT_EQ(doc->operation, "rotate");
  EXPECT_EQ(doc->created_time, kNow + absl::Nanoseconds(123456789));
  EXPECT_EQ(doc->reason, "quarterly \"rotation\" \xc3\xa9");
  EXPECT_EQ(doc->entity_id, "e-1");
  EXPECT_EQ(doc->display_name, "approle");
  EXPECT_EQ(doc->request_id, "r-2");
  EXPECT_EQ(doc->staged_kid, kNewKid);
  EXPECT_EQ(doc->previous_kid, kOldKid);
  EXPECT_EQ(doc->effective_time, kNow + absl::Hours(48));
  EXPECT_EQ(doc->staged_time, kNow + absl::Seconds(1));
  EXPECT_EQ(doc->available_time, kNow + absl::Seconds(2));
  EXPECT_EQ(doc->rotated_time, kNow + absl::Seconds(3));
  EXPECT_EQ(doc->rotated_version, 2u);
  EXPECT_EQ(doc->scheduled_time, kNow + absl::Seconds(4));
  EXPECT_EQ(doc->rolled_back_to, 3u);
  EXPECT_EQ(doc->marks.compromised, FullDoc().marks.compromised);
  EXPECT_EQ(doc->marks.destroyed, FullDoc().marks.destroyed);
  EXPECT_EQ(doc->marks.added, FullDoc().marks.added);
  EXPECT_EQ(doc->deleted_versions, (std::vector<std::uint64_t>{4, 7}));
  EXPECT_EQ(doc->requests.VersionOf("r-1"), 1u);
  EXPECT_EQ(doc->requests.VersionOf("r-2"), 2u);
  EXPECT_EQ(Text(*doc), Text(FullDoc()));
}

// All members but the record, as what can be compared. A new member doesn't compile here before it
// has been added: requests share the document that a writer made with those that read it back
// (engine/sealed_version.h), so whatever it holds must read as it was written.
auto Members(const VersionDoc& doc) {
  const auto& [record, operation, created_time, reason, entity_id, display_name, request_id,
               staged_kid, previous_kid, effective_time, staged_time, available_time, rotated_time,
               rotated_version, scheduled_time, rolled_back_to, marks, deleted_versions, requests] =
      doc;
  const auto& [compromised, destroyed, added] = marks;
  return std::tuple(operation, created_time, reason, entity_id, display_name, request_id,
                    staged_kid, previous_kid, effective_time, staged_time, available_time,
                    rotated_time, rotated_version, scheduled_time, rolled_back_to, compromised,
                    destroyed, added, deleted_versions, std::string(requests.text()));
}

template <class... T>
bool DifferInEach(const std::tuple<T...>& one, const std::tuple<T...>& two) {
  return [&]<std::size_t... kAt>(std::index_sequence<kAt...>) {
    return ((std::get<kAt>(one) != std::get<kAt>(two)) && ...);
  }
  (std::index_sequence_for<T...>());
}

TEST(VersionDoc, ReadsAsItWasWrittenInEveryMember) {
  const VersionDoc full = FullDoc();
  EXPECT_EQ(Members(*Parse(Text(full))), Members(full));
  VersionDoc bare{.record = TwoKeys()};
  bare.operation = "init";
  // Else what isn't set in FullDoc would be held to nothing.
  EXPECT_TRUE(DifferInEach(Members(bare), Members(full)));
  EXPECT_EQ(Members(*Parse(Text(bare))), Members(bare));
}

TEST(VersionDoc, OmitsWhatIsNotSet) {
  VersionDoc doc{.record = TwoKeys()};
  doc.operation = "init";
  const std::string text = Text(doc);
  for (const std::string_view name :
       {"reason", "entity_id", "display_name", "request_id", "staged_kid", "previous_kid",
        "effective_time", "rolled_back_to", "staged_time", "available_time", "rotated_time",
        "rotated_version", "scheduled_time", "compromised", "destroyed", "deleted_versions"}) {
    EXPECT_EQ(text.find(Cat("\"", name, "\"")), std::string::npos) << name;
  }
  const absl::StatusOr<VersionDoc> read = Parse(text);
  ASSERT_THAT(read, IsOk());
  EXPECT_EQ(read->staged_kid, std::nullopt);
  EXPECT_EQ(read->created_time, absl::UnixEpoch());
}

TEST(VersionDoc, KeepsEveryGoodRecord) {
  for (RecordFile& file : RecordFiles()) {
    if (!file.valid) continue;
    VersionDoc doc{.record = *Record::Parse(file.data)};
    doc.operation = "import";
    const absl::StatusOr<VersionDoc> read = Parse(Text(doc));
    ASSERT_THAT(read, IsOk()) << file.name;
    EXPECT_EQ(Dump(read->record), Dump(file.data)) << file.name;
  }
}

TEST(VersionDoc, RemembersTheLast256Requests) {
  VersionDoc doc = FullDoc();
  doc.requests.clear();
  for (std::uint64_t i = 0; i < 300; ++i) doc.requests.Add(Cat("r", i), i);
  EXPECT_EQ(doc.requests.size(), 256u);
  EXPECT_EQ(doc.requests.VersionOf("r43"), std::nullopt);
  EXPECT_EQ(doc.requests.VersionOf("r44"), 44u);
  EXPECT_EQ(doc.requests.VersionOf("r299"), 299u);

  const VersionDoc read = *Parse(Text(doc));
  EXPECT_EQ(read.requests.size(), 256u);
  EXPECT_EQ(read.requests.All().front().id, "r44");
  EXPECT_EQ(read.requests.All().back().version, 299u);
}

TEST(VersionDoc, RefusesToWriteWhatItCouldNotReadBack) {
  const auto status = [](auto change) {
    VersionDoc doc = FullDoc();
    change(doc);
    return doc.Serialize().status();
  };
  EXPECT_THAT(status([](VersionDoc& doc) { doc.operation.clear(); }),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("operation is empty")));
  EXPECT_THAT(status([](VersionDoc& doc) { doc.staged_kid = doc.record.current_kid(); }),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("staged_kid is the current kid")));
  EXPECT_THAT(status([](VersionDoc& doc) { doc.staged_kid = "x"; }),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("staged_kid is not in both sets")));
  EXPECT_THAT(status([](VersionDoc& doc) { doc.staged_time.reset(); }),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("staged_kid and staged_time")));
  EXPECT_THAT(status([](VersionDoc& doc) { doc.marks.destroyed.emplace("/", kNow); }),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("a marked kid is no kid")));
  EXPECT_THAT(status([](VersionDoc& doc) { doc.reason = "\xff"; }),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("UTF-8")));
  EXPECT_THAT(status([](VersionDoc& doc) { doc.created_time = absl::InfinitePast(); }),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("years")));
  EXPECT_THAT(status([](VersionDoc& doc) { doc.effective_time = absl::InfiniteFuture(); }),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("years")));
  EXPECT_THAT(status([](VersionDoc& doc) { doc.marks.added.emplace("x", absl::InfiniteFuture()); }),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("years")));
}

// Sealed with a right checksum, as only a faulty writer would do it.
TEST(VersionDoc, NamesThePartThatIsWrong) {
  const auto with = [](std::string_view member, std::string_view value) {
    base::Json body = *base::ParseJson(Text(FullDoc()));
    body.erase("schema");
    body.erase("sha256");
    if (value.empty()) {
      body.erase(base::JsonString(member));
    } else {
      body[base::JsonString(member)] = *base::ParseJson(value);
    }
    return Parse(WriteDocument(1, body)->view()).status();
  };
  EXPECT_THAT(with("reason", ""), IsOk());
  const struct {
    std::string_view member, value, message;
  } kCases[] = {{"record", "", "record is missing"},
                {"record", "7", "its record: the record is not a JSON object"},
                {"record", "{}", "its record: keys is missing"},
                {"operation", "", "operation is missing"},
                {"operation", "\"\"", "operation is empty"},
                {"created_time", "\"today\"", "created_time is not a time"},
                {"reason", "7", "reason is missing or not a string"},
                {"staged_kid", "null", "staged_kid is missing or not a string"},
                {"staged_kid", "\"x\"", "staged_kid is not in both sets"},
                {"previous_kid", "\"/\"", "previous_kid is no kid"},
                {"effective_time", "1", "effective_time is missing or not a string"},
                {"staged_time", "", "staged_kid and staged_time are not both there"},
                {"rotated_time", "7", "rotated_time is missing or not a string"},
                {"rotated_version", "\"2\"", "rotated_version is missing or not a whole number"},
                {"compromised", "{}", "a list of marked kids is not an array"},
                {"compromised", "[7]", "a marked kid is not a JSON object"},
                {"destroyed", "[{\"kid\":\"x\"}]", "time is missing"},
                {"destroyed", "[{\"time\":\"2026-11-25T10:00:00.000000000Z\"}]", "kid is missing"},
                {"destroyed",
                 "[{\"kid\":\"x\",\"time\":\"2026-11-25T10:00:00.000000000Z\"},"
                 "{\"kid\":\"x\",\"time\":\"2026-11-25T10:00:00.000000000Z\"}]",
                 "a kid is marked twice"},
                {"destroyed", "[{\"kid\":\"/\",\"time\":\"2026-11-25T10:00:00.000000000Z\"}]",
                 "a marked kid is no kid"},
                {"deleted_versions", "7", "deleted_versions is not an array of numbers"},
                {"deleted_versions", "[-1]", "deleted_versions is not an array of numbers"},
                {"rolled_back_to", "-1", "rolled_back_to is missing or not a whole number"},
                {"rolled_back_to", "1.5", "rolled_back_to is missing or not a whole number"},
                {"answered", "", "requests is missing"},
                {"answered", "[]", "answered is not a string"},
                {"answered", "null", "answered is not a string"},
                {"requests", "[]", "both answered and requests"}};
  for (const auto& bad : kCases) {
    EXPECT_THAT(with(bad.member, bad.value),
                StatusIs(absl::StatusCode::kDataLoss,
                         AllOf(HasSubstr("version 2"), HasSubstr(std::string(bad.message)))))
        << bad.member;
  }
}

// As a writer would have sealed it that put `value` as `member` instead of "answered".
absl::StatusOr<VersionDoc> WithRequests(std::string_view member, base::Json value) {
  base::Json body = *base::ParseJson(Text(FullDoc()));
  for (const char* name : {"schema", "sha256", "answered"}) body.erase(name);
  body[base::JsonString(member)] = std::move(value);
  return Parse(WriteDocument(1, body)->view());
}

TEST(VersionDoc, HasItsRequestsInOneString) {
  EXPECT_THAT(Text(FullDoc()), HasSubstr(R"(,"answered":"1,3,r-1;2,3,r-2;","sha256":")"));
  VersionDoc doc = FullDoc();
  doc.requests.clear();
  EXPECT_THAT(Text(doc), HasSubstr(R"(,"answered":"","sha256":")"));
  EXPECT_EQ(Parse(Text(doc))->requests.size(), 0u);
}

TEST(VersionDoc, RemembersAnyIdAndVersion) {
  const std::string long_id(2000, ',');
  const std::vector<RequestStamp> stamps = {{"", 0},
                                            {";", 1},
                                            {"7,3,r-1;", 2},
                                            {"\xc3\xa9;\n\"\\", 3},
                                            {"twice", 4},
                                            {"twice", 5},
                                            {std::string_view("\0x", 2), 6},
                                            {long_id, ~std::uint64_t{0}}};
  VersionDoc doc = FullDoc();
  doc.requests.clear();
  for (const RequestStamp& stamp : stamps) doc.requests.Add(stamp.id, stamp.version);
  const absl::StatusOr<VersionDoc> read = Parse(Text(doc));
  ASSERT_THAT(read, IsOk());
  ASSERT_EQ(read->requests.size(), stamps.size());
  for (std::size_t i = 0; i < stamps.size(); ++i) {
    EXPECT_EQ(read->requests.All()[i].id, stamps[i].id) << i;
    EXPECT_EQ(read->requests.All()[i].version, stamps[i].version) << i;
  }
  EXPECT_EQ(read->requests.VersionOf("twice"), 5u);
  EXPECT_EQ(Text(*read), Text(doc));

  doc.requests.Add("\xc3", 7);
  EXPECT_THAT(doc.Serialize().status(), StatusIs(absl::StatusCode::kInternal, HasSubstr("UTF-8")));
}

TEST(VersionDoc, WithGarbledRequestsIsDamaged) {
  EXPECT_THAT(WithRequests("answered", "7,3,r-1;"), IsOk());
  for (const std::string_view bad : {";",
                                     "7",
                                     "7,",
                                     "7,3",
                                     "7,3,",
                                     "7,3,r-1",
                                     "7,2,r-1;",
                                     "7,4,r-1;",
                                     "7,3,r-1;;",
                                     "7,3,r-1;8",
                                     "7,3,r-1; 8,3,r-2;",
                                     ",3,r-1;",
                                     "7,,r-1;",
                                     "x,3,r-1;",
                                     "7x,3,r-1;",
                                     "-7,3,r-1;",
                                     "+7,3,r-1;",
                                     " 7,3,r-1;",
                                     "07,3,r-1;",
                                     "7,03,r-1;",
                                     "7.0,3,r-1;",
                                     "7,-3,r-1;",
                                     "18446744073709551616,3,r-1;",
                                     "7,18446744073709551615,r-1;",
                                     "7,18446744073709551616,r-1;",
                                     "7,1,\xc3\xa9;"}) {
    EXPECT_THAT(WithRequests("answered", base::JsonText(bad)),
                StatusIs(absl::StatusCode::kDataLoss,
                         AllOf(HasSubstr("version 2"), HasSubstr("answered is not a list"),
                               Not(HasSubstr("r-1")))))
        << bad;
  }
}

// What was written before "answered".
TEST(VersionDoc, ReadsRequestsThatAreObjects) {
  const auto with = [](std::string_view requests) {
    return WithRequests("requests", *base::ParseJson(requests));
  };
  const absl::StatusOr<VersionDoc> read =
      with(R"([{"id":"r-1","version":1},{"id":"r-2","version":2}])");
  ASSERT_THAT(read, IsOk());
  EXPECT_EQ(read->requests.VersionOf("r-1"), 1u);
  EXPECT_EQ(read->requests.VersionOf("r-2"), 2u);
  EXPECT_EQ(Text(*read), Text(FullDoc()));
  EXPECT_THAT(with("[]"), IsOk());

  const struct {
    std::string_view value, message;
  } kCases[] = {{"{}", "requests is missing, not an array"},
                {"\"1,3,r-1;\"", "requests is missing, not an array"},
                {"[7]", "a request is not a JSON object"},
                {R"([{"version":7}])", "id is missing"},
                {R"([{"id":"x"}])", "version is missing"},
                {R"([{"id":"x","version":-1}])", "version is missing or not a whole number"}};
  for (const auto& bad : kCases) {
    EXPECT_THAT(with(bad.value),
                StatusIs(absl::StatusCode::kDataLoss,
                         AllOf(HasSubstr("version 2"), HasSubstr(std::string(bad.message)))))
        << bad.value;
  }
}

TEST(VersionDoc, WithMoreRequestsThanAreEverStoredIsDamaged) {
  std::string packed;
  base::Json objects = base::Json::array();
  for (std::size_t i = 0; i < kMaxRequestStamps; ++i) {
    packed += "1,1,x;";
    objects.push_back(*base::ParseJson(R"({"id":"x","version":1})"));
  }
  EXPECT_THAT(WithRequests("answered", base::JsonText(packed)), IsOk());
  EXPECT_THAT(WithRequests("requests", objects), IsOk());

  packed += "1,1,x;";
  objects.push_back(*base::ParseJson(R"({"id":"x","version":1})"));
  EXPECT_THAT(WithRequests("answered", base::JsonText(packed)),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("too long")));
  EXPECT_THAT(WithRequests("requests", objects),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("too long")));
}

TEST(VersionDoc, OfANewerSchemaIsRefusedPolitely) {
  base::Json body = base::Json::object();
  body["anything"] = 1;
  EXPECT_THAT(
      Parse(WriteDocument(2, body)->view()),
      StatusIs(
          absl::StatusCode::kFailedPrecondition,
          HasSubstr(
              "written by a newer version of the plugin (schema 2, this one knows 1): upgrade")));
}

TEST(VersionDoc, NoticesEveryCut) {
  const std::string good = Text(FullDoc());
  for (std::size_t size = 0; size < good.size(); ++size) {
    ASSERT_THAT(Parse(good.substr(0, size)),
                StatusIs(absl::StatusCode::kDataLoss, HasSubstr("version 2")))
        << size;
  }
}

TEST(VersionDoc, NoticesEveryFlippedBitAndShowsNoMaterial) {
  const std::string good = Text(FullDoc());
  const std::string field(FullDoc().record.set(Set::kKeys).Encode().view().substr(0, 12));
  for (std::size_t i = 0; i < good.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string bad = good;
      bad[i] = static_cast<char>(bad[i] ^ 1 << bit);
      ASSERT_THAT(Parse(bad), StatusIs(absl::StatusCode::kDataLoss, Not(HasSubstr(field)))) << i;
    }
  }
}

}  // namespace
}  // namespace mek
