// Crash points: every storage call of every writing operation, on the real plugin binary, failed in
// every way, before its effect and after it; then the plugin is restarted if it died, and the
// request sent again as the host does, or not. All points are enumerated. After each one nothing
// may be lost or mixed, the request counts once, and the next call works.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <iostream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "host/plugin_host.h"
#include "mek/version_doc.h"
#include "support/records.h"

namespace testing_support {
namespace {

using base::Json;

constexpr char kData[] = "data/encryption/keys/stored_data";
constexpr char kTheRequest[] = "the-request";
// Current in the adopted record, retained in kHistory.
constexpr char kRetained[] = "6aa44e80-fb25-11f0-b358-d9f191b7584a";

enum class Start {
  kEmpty,
  // 1 adopted, 2 and 3 rotated, 4 a byte-for-byte return to 2, so a key is in the archive.
  kHistory,
  // The same and a rotation, of which the settings keep two: a tick has versions to delete.
  kSurplus,
  // kHistory with a staged key, so one version more.
  kStaged,
};

// A new operation is one more line here.
struct Operation {
  const char* name;
  Start start;
  std::function<HostRequest()> make;
  // Whether it makes a version; otherwise this is where to read what it changes.
  bool makes_version = true;
  const char* settled_path = nullptr;
  const char* settled_operation = "read";
};

Json Import(const char* record, const char* newer_keys) {
  Json fields = ReadRecord(record);
  if (newer_keys != nullptr) {
    fields["force"] = true;
    fields["newer_keys"] = newer_keys;
  }
  return fields;
}

HostRequest Update(std::string path, Json data = Json::object()) {
  return {.path = std::move(path), .data = std::move(data)};
}

const std::vector<Operation>& Operations() {
  static const std::vector<Operation> operations{
      {"init", Start::kEmpty, [] { return Update("init"); }},
      {"import", Start::kEmpty,
       [] { return Update("import", Import("good_rotated_independent", nullptr)); }},
      {"put_first", Start::kEmpty,
       [] {
         return Update(kData, Json{{"data", ReadRecord("good_sixty_keys")}});
       }},
      {"rotate", Start::kHistory, [] { return Update("rotate"); }},
      {"rotate_cas", Start::kHistory,
       [] {
         return Update("rotate", Json{{"cas", 4}});
       }},
      {"stage", Start::kHistory,
       [] {
         return Update("rotate", Json{{"activation", "staged"}});
       }},
      {"activate", Start::kStaged,
       [] {
         return Update("activate", Json{{"force", true}});
       }},
      {"rotate_over_staged", Start::kStaged,
       [] {
         return Update("rotate", Json{{"force", true}});
       }},
      {"retire", Start::kHistory,
       [] { return Update(absl::StrCat("keys/", kRetained, "/retire"), Json::object()); }},
      {"compromised", Start::kHistory,
       [] { return Update(absl::StrCat("keys/", kRetained, "/compromised"), Json::object()); }},
      {"rollback_keep", Start::kHistory,
       [] {
         return Update("rollback", Json{{"version", 1}});
       }},
      {"rollback_drop", Start::kHistory,
       [] {
         return Update("rollback", Json{{"version", 1}, {"newer_keys", "drop"}});
       }},
      {"import_keep", Start::kHistory,
       [] { return Update("import", Import("good_rotated_independent", "keep")); }},
      {"import_drop", Start::kHistory,
       [] { return Update("import", Import("good_rotated_independent", "drop")); }},
      {"put", Start::kHistory,
       [] {
         return Update(kData, Json{{"data", ReadRecord("good_unknown_members")}});
       }},
      {"patch", Start::kHistory,
       [] {
         return HostRequest{.operation = "patch",
                            .path = kData,
                            .data = Json{{"data", Json{{"note", "patched"}}}}};
       }},
      {"config", Start::kHistory,
       [] {
         return Update("config", Json{{"max_versions", 7}, {"grace_period", "1h"}});
       },
       false, "config"},
      {"tick", Start::kSurplus, [] { return HostRequest{.operation = "rollback"}; }, false,
       "versions/", "list"},
  };
  return operations;
}

class CrashPoints : public ::testing::TestWithParam<std::size_t> {
 protected:
  void SetUp() override {
    host_.store().set_transactional(GetParam() % 2 == 0);
    if (operation_.start == Start::kEmpty) return;
    ASSERT_TRUE(host_.Write(kData, Json{{"data", ReadRecord("good_bootstrapped")}}).ok());
    ASSERT_TRUE(host_.Write("rotate").ok());
    ASSERT_TRUE(host_.Write("rotate").ok());
    ASSERT_TRUE(host_.Write("rollback", Json{{"version", 2}, {"newer_keys", "drop"}}).ok());
    if (operation_.start == Start::kSurplus) {
      ASSERT_TRUE(host_.Write("config", Json{{"max_versions", 2}}).ok());
      ASSERT_TRUE(host_.Write("rotate").ok());
    }
    if (operation_.start == Start::kStaged) {
      ASSERT_TRUE(host_.Write("rotate", Json{{"activation", "staged"}}).ok());
    }
    content_ = host_.store().content();
    known_ = KeysStored(content_);
    live_ = host_.Read("status").version();
    record_ = host_.Read(kData).data.at("data");
  }

  // A mount as it was, its backend fresh, or one that has served a read.
  void Reset(bool warm) {
    host_.store().set_content(content_);
    host_.Renew();
    if (!warm) return;
    host_.Read("status");
    host_.Read("config");
  }

  HostReply Send(const std::string& id, int replays) {
    HostRequest request = operation_.make();
    request.id = id;
    request.replays = replays;
    return host_.Send(std::move(request));
  }

  int CountCalls(bool warm) {
    Reset(warm);
    host_.hub().set_plan(nullptr);
    const HostReply reply = Send(kTheRequest, 0);
    EXPECT_TRUE(reply.ok()) << reply.error;
    const auto calls = static_cast<int>(host_.hub().calls().size());
    if (!operation_.makes_version) settled_ = Settled().data;
    return calls;
  }

  HostReply Settled() {
    return host_.Send({.operation = operation_.settled_operation, .path = operation_.settled_path});
  }

  Json Record() {
    const HostReply read = host_.Read(kData);
    EXPECT_TRUE(read.ok()) << read.error;
    return read.data.is_null() ? Json() : read.data.at("data");
  }

  // One point; everything is checked but what is particular to a kind of operation.
  void Run(Fault fault, int n, int replays, bool warm) {
    SCOPED_TRACE(absl::StrCat(operation_.name, ": ", FaultName(fault), " at call ", n,
                              replays > 0 ? ", replayed" : "", warm ? ", warm" : ""));
    Reset(warm);
    const int starts = host_.starts();
    bool reached = false;
    host_.hub().set_plan([&](const StorageCall& call) {
      if (call.number != n) return Fault::kNone;
      reached = true;
      return fault;
    });
    const HostReply reply = Send(kTheRequest, replays);
    host_.hub().set_plan(nullptr);
    ASSERT_TRUE(reached);
    if (IsCrash(fault)) {
      EXPECT_EQ(reply.lost, replays == 0) << reply.error;
      EXPECT_EQ(reply.ok(), replays > 0) << reply.error;
      EXPECT_EQ(host_.starts(), starts + replays);
    } else {
      EXPECT_FALSE(reply.lost) << reply.error;
      EXPECT_EQ(host_.starts(), starts);
    }
    if (operation_.makes_version) {
      CheckVersion(reply, replays);
    } else {
      CheckSettled(reply, replays);
    }
    EXPECT_EQ(host_.store().begins(), host_.store().ends() + host_.store().abandoned());
    EXPECT_EQ(host_.store().strays(), 0);
  }

  void CheckVersion(const HostReply& reply, int replays) {
    // The old record or the new one, whole, and the version that says so.
    const HostReply status = host_.Read("status");
    ASSERT_TRUE(status.ok()) << status.error;
    const std::uint64_t version = status.version();
    ASSERT_TRUE(version == live_ || version == live_ + 1) << version;
    const Json after = Record();
    Keys shown = known_;
    if (version > 0) shown.merge(KeysOf(after));
    if (version == live_) {
      EXPECT_TRUE(after == record_);
    }
    if (reply.ok()) {
      EXPECT_EQ(version, live_ + 1);
      CheckReply(reply);
    }
    const HostReply verified = host_.Read("verify");
    EXPECT_EQ(verified.data.at("result"), version == 0 ? "warn" : "ok") << verified.data.dump();

    // Sent again as the host does, it counts once and says the same. A client that got no answer
    // sends a new one if the version says that nothing came of the first.
    if (replays > 0 || version == live_) {
      const HostReply again = Send(replays > 0 ? kTheRequest : "another-request", 0);
      ASSERT_TRUE(again.ok()) << again.error;
      CheckReply(again);
      if (reply.ok() && operation_.makes_version) {
        EXPECT_EQ(again.data, reply.data);
      }
    }
    const Json settled = Record();
    if (version == live_ + 1) {
      EXPECT_TRUE(settled == after);
    }
    shown.merge(KeysOf(settled));
    CheckHistory(shown);

    const HostReply next = host_.Write("rotate", Json{{"force", true}});
    ASSERT_TRUE(next.ok()) << next.error;
    EXPECT_EQ(next.version(), live_ + 2);
    EXPECT_EQ(FirstMissing(KeysOf(settled), KeysOf(Record())), "");
  }

  void CheckReply(const HostReply& reply) {
    EXPECT_EQ(reply.version(), live_ + 1);
    if (!reply.data.contains("current_kid")) return;  // put and patch answer as KV v2
    const auto record = mek::Record::Parse(Record());
    ASSERT_TRUE(record.ok());
    const std::string kid(reply.data.at("current_kid").get_ref<const base::JsonString&>());
    for (const mek::Set set : mek::kSets) EXPECT_NE(record->set(set).Find(kid), nullptr);
  }

  // Versions without gaps, one of them by the request; every key that was shown is stored.
  void CheckHistory(const Keys& shown) {
    Json expected = Json::array();
    for (std::uint64_t i = 1; i <= live_ + 1; ++i) {
      expected.push_back(base::JsonText(absl::StrCat(i)));
    }
    EXPECT_EQ(host_.Send({.operation = "list", .path = "versions/"}).data.at("keys"), expected);
    const TxStore::Content content = host_.store().content();
    EXPECT_EQ(FirstMissing(shown, KeysStored(content)), "");
    int made = 0;
    for (const auto& [name, value] : content) {
      if (!name.starts_with("versions/")) continue;
      const auto doc = mek::VersionDoc::Parse(name, value);
      if (doc->request_id == kTheRequest || doc->request_id == "another-request") ++made;
    }
    EXPECT_EQ(made, 1);
  }

  void CheckSettled(const HostReply& reply, int replays) {
    EXPECT_TRUE(Record() == record_);
    EXPECT_EQ(FirstMissing(known_, KeysStored(host_.store().content())), "");
    EXPECT_EQ(host_.Read("verify").data.at("result"), "ok");
    if (replays > 0 || !reply.ok()) {
      const HostReply again = Send(kTheRequest, 0);
      EXPECT_TRUE(again.ok()) << again.error;
    }
    const HostReply settled = Settled();
    EXPECT_EQ(settled.data, settled_) << settled.error;
    const HostReply next = host_.Write("rotate", Json{{"force", true}});
    ASSERT_TRUE(next.ok()) << next.error;
    EXPECT_EQ(next.version(), live_ + 1);
    Keys kept = KeysOf(record_);
    EXPECT_EQ(FirstMissing(kept, KeysOf(Record())), "");
  }

  const Operation& operation_ = Operations()[GetParam()];
  PluginHost host_;
  TxStore::Content content_;
  Keys known_;
  std::uint64_t live_ = 0;
  Json record_;
  Json settled_;  // what the undisturbed operation leaves
};

TEST_P(CrashPoints, LoseNothing) {
  const absl::Time start = absl::Now();
  int points = 0;
  for (const bool warm : {false, true}) {
    const int calls = CountCalls(warm);
    ASSERT_GT(calls, 0);
    for (const Fault fault : kEveryFault) {
      for (int n = 1; n <= calls; ++n) {
        for (const int replays : {0, 1}) {
          Run(fault, n, replays, warm);
          ++points;
          if (HasFailure()) {
            std::cout << host_.Log();
            return;
          }
        }
      }
    }
  }
  RecordProperty("points", points);
  std::cout << operation_.name << ": " << points << " crash points, " << host_.starts()
            << " processes, " << absl::FormatDuration(absl::Now() - start) << "\n";
}

INSTANTIATE_TEST_SUITE_P(Operations, CrashPoints,
                         ::testing::Range<std::size_t>(0, Operations().size()),
                         [](const auto& tested) {
                           return std::string(Operations()[tested.param].name);
                         });

}  // namespace
}  // namespace testing_support
