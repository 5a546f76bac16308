#include "engine/mount_store.h"

#include <gtest/gtest.h>

#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "base/text.h"
#include "mek/rotation.h"
#include "support/fake_storage.h"
#include "support/fakes.h"
#include "support/faulty.h"
#include "support/status_matchers.h"

namespace engine {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing_support::FakeStorage;
using ::testing_support::Fault;
using ::testing_support::IsOk;
using ::testing_support::IsOkAndHolds;
using ::testing_support::StatusIs;

mek::VersionDoc Doc(const std::string& reason) {
  testing_support::SeededRandom random(7);
  const mek::NewKey key = *mek::GenerateKey(nullptr, std::nullopt, mek::PrivateJwks::kAuto,
                                            absl::FromUnixSeconds(1'800'000'000), random);
  mek::VersionDoc doc{.record = *mek::Init(key)};
  doc.operation = "init";
  doc.created_time = absl::FromUnixSeconds(1'800'000'000);
  doc.reason = reason;
  return doc;
}

base::SecretBytes Document(const std::string& reason) { return *Doc(reason).Serialize(); }

absl::Status Append(MountStore& store, openbao::Storage& storage, const VersionPtr& version) {
  return store.Append(storage, version, *version->doc.Serialize());
}

// What is called `reason` as the version after `live`.
absl::Status Append(MountStore& store, openbao::Storage& storage, std::uint64_t live,
                    const std::string& reason) {
  return Append(store, storage, Share({live + 1, Doc(reason)}));
}

// The faults for the next calls, in order.
FakeStorage::Plan Next(std::deque<Fault> faults) {
  return [faults = std::move(faults)](const FakeStorage::Call&) mutable {
    if (faults.empty()) return Fault::kNone;
    const Fault fault = faults.front();
    faults.pop_front();
    return fault;
  };
}

class MountStoreTest : public ::testing::Test {
 protected:
  MountStoreTest() { store_.MayRemember(); }

  std::string LiveReason() {
    const auto live = store_.Live(storage_);
    EXPECT_THAT(live, IsOk());
    return live.ok() && *live != nullptr ? (*live)->doc.reason : "";
  }

  FakeStorage storage_;
  testing_support::FakeClock clock_{absl::FromUnixSeconds(1'800'000'000)};
  MountStore store_{clock_};
};

// Where the first version of a process goes: marked with the clock's microseconds.
constexpr char kFirst[] = "versions/0000000001-0006651728988000";

TEST_F(MountStoreTest, AppendsEntriesInOrder) {
  EXPECT_EQ(*store_.Live(storage_), nullptr);
  ASSERT_THAT(Append(store_, storage_, 0, "one"), IsOk());
  ASSERT_THAT(Append(store_, storage_, 1, "two"), IsOk());
  EXPECT_EQ(LiveReason(), "two");
  EXPECT_EQ((*store_.Get(storage_, 1))->doc.reason, "one");
  EXPECT_FALSE(store_.Get(storage_, 0)->has_value());
  EXPECT_FALSE(store_.Get(storage_, 3)->has_value());
  EXPECT_THAT(store_.List(storage_), IsOkAndHolds(ElementsAre(1u, 2u)));
}

TEST_F(MountStoreTest, AnErrorAfterTheEffectIsASuccess) {
  storage_.set_plan(Next({Fault::kErrorAfter}));
  EXPECT_THAT(Append(store_, storage_, 0, "one"), IsOk());
  EXPECT_EQ(LiveReason(), "one");
}

TEST_F(MountStoreTest, AnErrorWithoutEffectLeavesThePlaceFree) {
  storage_.set_plan(Next({Fault::kErrorBefore}));
  EXPECT_THAT(Append(store_, storage_, 0, "one"),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("storage failed")));
  ASSERT_THAT(Append(store_, storage_, 0, "two"), IsOk());
  EXPECT_EQ(LiveReason(), "two");
}

TEST_F(MountStoreTest, AWriteWithoutAnAnswerIsWrittenAgainAsItWas) {
  storage_.set_plan(Next({Fault::kLostBefore}));
  EXPECT_THAT(Append(store_, storage_, 0, "one"), IsOk());
  EXPECT_EQ(storage_.content().size(), 1u);
  EXPECT_EQ(storage_.content().at(kFirst), Document("one").view());
}

TEST_F(MountStoreTest, WhatIsUnsettledIsSettledBeforeTheNextReadOrWrite) {
  // Put, the read that would settle it: both without an answer, and the Put had no effect.
  storage_.set_plan(Next({Fault::kLostBefore, Fault::kLostBefore}));
  EXPECT_THAT(Append(store_, storage_, 0, "one"),
              StatusIs(absl::StatusCode::kUnavailable,
                       HasSubstr("not known whether version 1 was written")));
  EXPECT_TRUE(storage_.content().empty());
  // The write may still be under way: only the same document may take its place.
  EXPECT_EQ(LiveReason(), "one");
  EXPECT_EQ(storage_.content().at(kFirst), Document("one").view());
  ASSERT_THAT(Append(store_, storage_, 1, "two"), IsOk());
  EXPECT_EQ(LiveReason(), "two");
}

TEST_F(MountStoreTest, NothingIsReadWhileWhatIsUnsettledCannotBeSettled) {
  storage_.set_plan(Next({Fault::kLostAfter, Fault::kLostBefore, Fault::kLostBefore}));
  EXPECT_FALSE(Append(store_, storage_, 0, "one").ok());
  EXPECT_THAT(store_.Live(storage_),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("no answer")));
  EXPECT_EQ(LiveReason(), "one");
}

TEST_F(MountStoreTest, AnotherProcessesWriteInThePlaceIsNotOverwritten) {
  ASSERT_THAT(Append(store_, storage_, 0, "one"), IsOk());
  storage_.set_plan([](const FakeStorage::Call& call) {
    return call.name == "put" ? Fault::kLostBefore : Fault::kNone;
  });
  storage_.Set("versions/0000000002", Document("other").view());
  EXPECT_THAT(Append(store_, storage_, 1, "two"),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("not known")));
  storage_.set_plan(nullptr);
  EXPECT_THAT(store_.Live(storage_),
              StatusIs(absl::StatusCode::kDataLoss,
                       AllOf(HasSubstr("another process"), HasSubstr("reload the plugin"))));
  EXPECT_EQ(storage_.content().at("versions/0000000002"), Document("other").view());
}

TEST_F(MountStoreTest, OnlyTheFirstVersionOfAProcessIsMarked) {
  for (std::uint64_t live = 0; live < 3; ++live) {
    ASSERT_THAT(Append(store_, storage_, live, "one"), IsOk());
  }
  MountStore second(clock_);
  ASSERT_THAT(Append(second, storage_, 3, "four"), IsOk());
  std::vector<std::string> names;
  for (const auto& [name, value] : storage_.content()) names.push_back(name);
  EXPECT_THAT(names, ElementsAre(kFirst, "versions/0000000002", "versions/0000000003",
                                 "versions/0000000004-0006651728988000"));
  EXPECT_THAT(second.List(storage_), IsOkAndHolds(ElementsAre(1u, 2u, 3u, 4u)));
}

TEST_F(MountStoreTest, WhatAnEarlierProcessWritesLateCountsForNothing) {
  ASSERT_THAT(Append(store_, storage_, 0, "one"), IsOk());
  MountStore second(clock_);
  second.MayRemember();
  // Its clock stands still, and it has seen the first one's mark.
  ASSERT_NE(*second.Live(storage_), nullptr);
  ASSERT_THAT(Append(second, storage_, 1, "replayed"), IsOk());
  ASSERT_THAT(Append(store_, storage_, 1, "late"), IsOk());
  EXPECT_EQ(storage_.content().count("versions/0000000002"), 1u);
  EXPECT_EQ((*second.Live(storage_))->doc.reason, "replayed");
  MountStore third(clock_);
  EXPECT_EQ((*third.Live(storage_))->doc.reason, "replayed");
  EXPECT_EQ((*third.Get(storage_, 2))->doc.reason, "replayed");
  EXPECT_THAT(third.List(storage_), IsOkAndHolds(ElementsAre(1u, 2u)));
  // Nothing of it is deleted unseen: once the version is, it stands in its place.
  ASSERT_THAT(second.Prune(storage_, 2), IsOk());
  EXPECT_EQ((*second.Get(storage_, 2))->doc.reason, "late");
}

TEST_F(MountStoreTest, AMarkIsLaterThanThoseBeforeItWhateverTheClockSays) {
  ASSERT_THAT(Append(store_, storage_, 0, "one"), IsOk());
  testing_support::FakeClock early(absl::FromUnixSeconds(1));
  MountStore second(early);
  ASSERT_NE(*second.Live(storage_), nullptr);
  ASSERT_THAT(Append(second, storage_, 1, "two"), IsOk());
  EXPECT_EQ(storage_.content().rbegin()->first, "versions/0000000002-0006651728988001");
}

TEST_F(MountStoreTest, ANameThatIsNoVersionsIsNotPassedOver) {
  for (const char* name :
       {"1", "000000000a", "0000000000", "0000000001-", "0000000001_000665172898",
        "0000000001-000665172898800", "0000000001-000665172898800G", "0000000001-0006651728988000x",
        "00000000011"}) {
    storage_.Set(base::Cat("versions/", name), Document("one").view());
    EXPECT_THAT(store_.List(storage_), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("entry")))
        << name;
    storage_.Erase(base::Cat("versions/", name));
  }
}

TEST_F(MountStoreTest, AnInvalidationMakesItLookAgain) {
  ASSERT_THAT(Append(store_, storage_, 0, "one"), IsOk());
  EXPECT_EQ(LiveReason(), "one");
  storage_.Set("versions/0000000002", Document("elsewhere").view());
  EXPECT_EQ(LiveReason(), "one");
  store_.Invalidate();
  EXPECT_EQ(LiveReason(), "elsewhere");
}

TEST_F(MountStoreTest, ALiveVersionThatVanishedIsRememberedUntilAllIsForgotten) {
  ASSERT_THAT(Append(store_, storage_, 0, "one"), IsOk());
  EXPECT_EQ(LiveReason(), "one");
  storage_.Erase(kFirst);
  for (int i = 0; i < 2; ++i) {
    EXPECT_THAT(store_.StoredLive(storage_),
                StatusIs(absl::StatusCode::kDataLoss, HasSubstr("version 1, the live one, is m")));
    EXPECT_EQ(LiveReason(), "one");
  }
  store_.Invalidate();
  EXPECT_THAT(store_.Live(storage_), IsOkAndHolds(nullptr));
  EXPECT_THAT(store_.StoredLive(storage_), IsOkAndHolds(::testing::Eq(std::nullopt)));
}

TEST_F(MountStoreTest, ALiveVersionThatWasChangedInStorageIsAnErrorWhereStorageIsAsked) {
  ASSERT_THAT(Append(store_, storage_, 0, "one"), IsOk());
  EXPECT_EQ(LiveReason(), "one");
  EXPECT_EQ((*store_.StoredLive(storage_))->doc.reason, "one");
  storage_.Set(kFirst, Document("other").view());
  EXPECT_THAT(store_.StoredLive(storage_),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("was changed in storage")));
  store_.Invalidate();
  EXPECT_EQ((*store_.StoredLive(storage_))->doc.reason, "other");
}

// Listed, and gone when it is read.
TEST_F(MountStoreTest, ALiveVersionThatVanishesWhileItIsReadIsAnError) {
  ASSERT_THAT(Append(store_, storage_, 0, "one"), IsOk());
  store_.Invalidate();
  storage_.set_plan([&](const FakeStorage::Call& call) {
    if (call.name == "get") storage_.Erase(kFirst);
    return Fault::kNone;
  });
  EXPECT_THAT(store_.Live(storage_), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("missing")));
}

TEST_F(MountStoreTest, TheLiveVersionIsRememberedOnceItWasReadOrWritten) {
  ASSERT_THAT(Append(store_, storage_, 0, "one"), IsOk());
  EXPECT_EQ(LiveReason(), "one");
  storage_.set_plan([](const FakeStorage::Call&) { return Fault::kErrorBefore; });
  EXPECT_EQ(LiveReason(), "one");
  EXPECT_THAT(store_.Get(storage_, 1), StatusIs(absl::StatusCode::kInternal, ::testing::_));
  storage_.set_plan(nullptr);
  ASSERT_THAT(Append(store_, storage_, 1, "two"), IsOk());
  storage_.set_plan([](const FakeStorage::Call&) { return Fault::kErrorBefore; });
  EXPECT_EQ(LiveReason(), "two");
}

// What a request holds is the live version for as long as it is that, and never longer.
TEST_F(MountStoreTest, AVersionThatIsHeldIsNotServedOnceAnotherTookItsPlace) {
  const auto append = [&](std::uint64_t number, const std::string& reason) {
    VersionPtr version = Share({number, Doc(reason)});
    EXPECT_THAT(Append(store_, storage_, version), IsOk());
    return version;
  };
  append(1, "one");
  EXPECT_EQ(LiveReason(), "one");
  const VersionPtr two = append(2, "two");
  EXPECT_EQ(*store_.Live(storage_), two);
  const VersionPtr three = append(3, "three");
  EXPECT_EQ(*store_.Live(storage_), three);
  ASSERT_THAT(store_.Prune(storage_, 2), IsOk());
  EXPECT_EQ(*store_.Live(storage_), three);

  ASSERT_THAT(store_.Rewrite(storage_, 3, Document("wiped")), IsOk());
  EXPECT_EQ(LiveReason(), "wiped");
  const VersionPtr wiped = *store_.Live(storage_);
  storage_.Set("versions/0000000003", Document("by another").view());
  EXPECT_EQ(*store_.Live(storage_), wiped);
  store_.Invalidate();
  EXPECT_EQ(LiveReason(), "by another");
  const VersionPtr four = append(4, "four");
  EXPECT_EQ(*store_.Live(storage_), four);
  ASSERT_THAT(store_.Prune(storage_, 4), IsOk());
  EXPECT_EQ(LiveReason(), "by another");
}

TEST_F(MountStoreTest, AWriteOfUnknownOutcomeIsKeptByNobodyInTheClear) {
  ASSERT_THAT(Append(store_, storage_, 0, "one"), IsOk());
  for (const Fault fault : {Fault::kLostBefore, Fault::kLostAfter}) {
    const std::uint64_t live = (*store_.Live(storage_))->number;
    VersionPtr version = Share({live + 1, Doc("next")});
    const std::weak_ptr<const Version> held = version;
    storage_.set_plan(Next({fault, Fault::kLostBefore}));
    EXPECT_THAT(Append(store_, storage_, version),
                StatusIs(absl::StatusCode::kUnavailable, ::testing::_));
    version.reset();
    EXPECT_TRUE(held.expired());
    storage_.set_plan(nullptr);
    EXPECT_EQ((*store_.Live(storage_))->number, live + 1);
    EXPECT_EQ(LiveReason(), "next");
  }
}

TEST_F(MountStoreTest, AWriteOfUnknownOutcomeThatWasDamagedInMemoryIsNotGuessed) {
  ASSERT_THAT(Append(store_, storage_, 0, "one"), IsOk());
  storage_.set_plan(Next({Fault::kLostBefore, Fault::kLostBefore}));
  EXPECT_THAT(Append(store_, storage_, 1, "two"),
              StatusIs(absl::StatusCode::kUnavailable, ::testing::_));
  storage_.set_plan(nullptr);
  const auto before = storage_.content();
  {
    const testing_support::Faulty damaged("EVP_DecryptUpdate");
    EXPECT_THAT(store_.Live(storage_),
                StatusIs(absl::StatusCode::kDataLoss, HasSubstr("reload the plugin")));
  }
  EXPECT_EQ(storage_.content(), before);
}

TEST_F(MountStoreTest, WhatWasDamagedInMemoryIsReadFromStorage) {
  ASSERT_THAT(Append(store_, storage_, 0, "one"), IsOk());
  EXPECT_EQ(LiveReason(), "one");
  const testing_support::Faulty damaged("EVP_DecryptUpdate");
  EXPECT_EQ(LiveReason(), "one");
  EXPECT_EQ(storage_.calls().back().name, "get");
}

TEST_F(MountStoreTest, WhereNothingCanBeSealedAWriteOfUnknownOutcomeIsSettledAllTheSame) {
  ASSERT_THAT(Append(store_, storage_, 0, "one"), IsOk());
  EXPECT_EQ(LiveReason(), "one");
  const VersionPtr two = Share({2, Doc("two")});
  const base::SecretBytes document = Document("two");
  const testing_support::Faulty no_cipher("EVP_CIPHER_CTX_new");
  storage_.set_plan(Next({Fault::kLostBefore, Fault::kLostBefore}));
  EXPECT_THAT(store_.Append(storage_, two, document),
              StatusIs(absl::StatusCode::kUnavailable, ::testing::_));
  EXPECT_EQ(LiveReason(), "two");
  // And read from storage each time.
  storage_.Set("versions/0000000002", Document("by another").view());
  EXPECT_EQ(LiveReason(), "by another");
}

TEST_F(MountStoreTest, WhereNothingIsRememberedEachReadAsksStorage) {
  MountStore standby(clock_);
  storage_.Set("versions/0000000001", Document("one").view());
  EXPECT_EQ((*standby.Live(storage_))->doc.reason, "one");
  storage_.Set("versions/0000000002", Document("two").view());
  EXPECT_EQ((*standby.Live(storage_))->doc.reason, "two");
}

// Done to the newest one where the record lives elsewhere, and a key of it is destroyed.
TEST_F(MountStoreTest, WhatTakesThePlaceOfTheNewestVersionIsWhatIsRead) {
  ASSERT_THAT(Append(store_, storage_, 0, "one"), IsOk());
  EXPECT_EQ(LiveReason(), "one");
  ASSERT_THAT(store_.Rewrite(storage_, 1, Document("wiped")), IsOk());
  EXPECT_EQ(LiveReason(), "wiped");
  storage_.set_plan(Next({Fault::kErrorAfter}));
  EXPECT_FALSE(store_.Rewrite(storage_, 1, Document("wiped twice")).ok());
  EXPECT_EQ(LiveReason(), "wiped twice");

  ASSERT_THAT(Append(store_, storage_, 1, "two"), IsOk());
  EXPECT_EQ(LiveReason(), "two");
  ASSERT_THAT(store_.Prune(storage_, 2), IsOk());
  EXPECT_EQ(LiveReason(), "wiped twice");
}

// A read that began before a write ends after it: what it has seen is not remembered.
TEST_F(MountStoreTest, AReadThatAWriteOvertakesIsNotRemembered) {
  ASSERT_THAT(Append(store_, storage_, 0, "one"), IsOk());
  store_.Invalidate();
  FakeStorage other;  // the first is busy with the read
  bool overtaken = false;
  storage_.set_plan([&](const FakeStorage::Call& call) {
    if (call.name == "get" && !std::exchange(overtaken, true)) {
      EXPECT_THAT(Append(store_, other, 1, "two"), IsOk());
      storage_.Set("versions/0000000002", Document("two").view());
    }
    return Fault::kNone;
  });
  EXPECT_EQ(LiveReason(), "one");
  EXPECT_EQ(LiveReason(), "two");
}

}  // namespace
}  // namespace engine
