#include "sdk/transport/storage_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "sdk/logical/errors.h"
#include "support/status_matchers.h"
#include "unit/sdk/scripted_host.h"

namespace openbao {
namespace {

using ::base::SecretBytes;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::Pair;
using ::testing_support::IsOk;
using ::testing_support::IsOkAndHolds;
using ::testing_support::Reach;
using ::testing_support::ScriptedHost;
using ::testing_support::StatusIs;

constexpr char kLost[] = "transaction commit failed: 1 error occurred: conflict";

class StorageClientTest : public ::testing::Test {
 protected:
  ScriptedHost host_;
  ConnectionPool connections_{1};
  HostConnection connection_{host_.connect(), connections_};
  StorageHost storage_host_{connection_};
  StorageClient storage_{storage_host_, nullptr};
};

TEST_F(StorageClientTest, WhatIsPutIsGot) {
  std::string value("\x00\xff\x80\n\"", 5);
  value.append(100'000, 'x');
  EXPECT_THAT(storage_.Put("a/b", SecretBytes(value)), IsOk());
  EXPECT_THAT(host_.content(), ElementsAre(Pair("a/b", value)));
  const auto got = storage_.Get("a/b");
  ASSERT_THAT(got, IsOk());
  ASSERT_TRUE(got->has_value());
  EXPECT_EQ((*got)->view(), value);
  EXPECT_THAT(host_.calls(), ElementsAre("Put a/b", "Get a/b"));
}

TEST_F(StorageClientTest, AnAbsentEntryIsNotAnEmptyOne) {
  host_.Set("empty", "");
  const auto empty = storage_.Get("empty");
  ASSERT_THAT(empty, IsOk());
  ASSERT_TRUE(empty->has_value());
  EXPECT_TRUE((*empty)->empty());
  const auto absent = storage_.Get("absent");
  ASSERT_THAT(absent, IsOk());
  EXPECT_FALSE(absent->has_value());
}

TEST_F(StorageClientTest, DeleteRemovesAndIsFineWithNothingThere) {
  host_.Set("a", "x");
  host_.Set("b", "y");
  EXPECT_THAT(storage_.Delete("a"), IsOk());
  EXPECT_THAT(storage_.Delete("a"), IsOk());
  EXPECT_THAT(host_.content(), ElementsAre(Pair("b", "y")));
}

TEST_F(StorageClientTest, ListsAndPagesAreTheHosts) {
  for (const char* key : {"v/1", "v/2", "v/3", "w/1"}) host_.Set(key, "x");
  EXPECT_THAT(storage_.List("v/"), IsOkAndHolds(ElementsAre("1", "2", "3")));
  EXPECT_THAT(storage_.ListPage("v/", "1", 1), IsOkAndHolds(ElementsAre("2")));
  EXPECT_THAT(storage_.ListPage("v/", "", 0), IsOkAndHolds(ElementsAre("1", "2", "3")));
  EXPECT_THAT(storage_.List("x/"), IsOkAndHolds(IsEmpty()));
  EXPECT_THAT(host_.calls(),
              ElementsAre("List v/", "ListPage v/|1|1", "ListPage v/||0", "List x/"));
}

TEST_F(StorageClientTest, WithoutPagesOnTheHostTheyAreCutFromTheList) {
  host_.Always("ListPage", {.code = grpc::StatusCode::UNIMPLEMENTED});
  for (const char* key : {"v/1", "v/2", "v/3"}) host_.Set(key, "x");
  EXPECT_THAT(storage_.ListPage("v/", "", 2), IsOkAndHolds(ElementsAre("1", "2")));
  EXPECT_THAT(storage_.ListPage("v/", "1", 2), IsOkAndHolds(ElementsAre("2", "3")));
  EXPECT_THAT(storage_.ListPage("v/", "1", 1), IsOkAndHolds(ElementsAre("2")));
  EXPECT_THAT(storage_.ListPage("v/", "11", 5), IsOkAndHolds(ElementsAre("2", "3")));
  EXPECT_THAT(storage_.ListPage("v/", "3", 5), IsOkAndHolds(IsEmpty()));
  EXPECT_THAT(storage_.ListPage("v/", "", 0), IsOkAndHolds(ElementsAre("1", "2", "3")));
  EXPECT_THAT(storage_.ListPage("v/", "", -1), IsOkAndHolds(ElementsAre("1", "2", "3")));
  host_.Always("List", {.err = "disk on fire"});
  EXPECT_THAT(storage_.ListPage("v/", "", 2),
              StatusIs(absl::StatusCode::kInternal, "storage list failed: disk on fire"));
}

// Each call of the storage, to be failed in each way.
struct Call {
  std::string name;
  std::string shown;  // in messages
  std::function<absl::Status(Storage&)> run;
};

std::vector<Call> AllCalls() {
  return {
      {"Get", "read", [](Storage& s) { return s.Get("k").status(); }},
      {"Put", "write", [](Storage& s) { return s.Put("k", SecretBytes("hunter2")); }},
      {"Delete", "delete", [](Storage& s) { return s.Delete("k"); }},
      {"List", "list", [](Storage& s) { return s.List("k/").status(); }},
      {"ListPage", "list", [](Storage& s) { return s.ListPage("k/", "", 1).status(); }},
  };
}

TEST_F(StorageClientTest, TheHostsErrorTextsBecomeCodes) {
  for (const Call& call : AllCalls()) {
    SCOPED_TRACE(call.name);
    host_.Once(call.name, {.err = "rpc error: cannot write to readonly storage: sorry"});
    const absl::Status read_only = call.run(storage_);
    EXPECT_TRUE(IsReadOnlyStorage(read_only));
    EXPECT_THAT(read_only,
                StatusIs(absl::StatusCode::kUnavailable, "cannot write to readonly storage"));

    host_.Once(call.name, {.err = kLost});
    EXPECT_THAT(call.run(storage_),
                StatusIs(absl::StatusCode::kAborted,
                         "storage " + call.shown + ": another change won; try again"));

    host_.Once(call.name, {.err = "put failed due to value being too large; got 2 bytes, max: 1"});
    EXPECT_THAT(call.run(storage_),
                StatusIs(absl::StatusCode::kResourceExhausted,
                         "storage " + call.shown +
                             ": put failed due to value being too large; got 2 bytes, max: 1"));

    host_.Once(call.name, {.err = "disk on fire"});
    EXPECT_THAT(call.run(storage_), StatusIs(absl::StatusCode::kInternal,
                                             "storage " + call.shown + " failed: disk on fire"));
    EXPECT_THAT(call.run(storage_), IsOk());
  }
}

TEST_F(StorageClientTest, NoAnswerIsUnavailableWhateverItsCode) {
  for (const Call& call : AllCalls()) {
    for (const grpc::StatusCode code :
         {grpc::StatusCode::UNAVAILABLE, grpc::StatusCode::DEADLINE_EXCEEDED,
          grpc::StatusCode::CANCELLED, grpc::StatusCode::UNKNOWN, grpc::StatusCode::NOT_FOUND,
          grpc::StatusCode::RESOURCE_EXHAUSTED}) {
      host_.Once(call.name, {.code = code});
      const absl::Status status = call.run(storage_);
      EXPECT_THAT(status,
                  StatusIs(absl::StatusCode::kUnavailable,
                           "storage " + call.shown + ": no answer from the server (gRPC code " +
                               std::to_string(static_cast<int>(code)) + ")"));
      EXPECT_FALSE(IsReadOnlyStorage(status));
    }
  }
}

TEST(GoneHost, IsUnavailable) {
  ScriptedHost host(Reach::kSocket);
  ConnectionPool connections(1);
  HostConnection connection(host.connect(), connections);
  StorageHost storage_host(connection);
  StorageClient storage(storage_host, nullptr);
  SystemViewClient system(connection);
  EXPECT_THAT(storage.Put("k", SecretBytes("v")), IsOk());
  host.Stop();
  for (const Call& call : AllCalls()) {
    EXPECT_THAT(call.run(storage), StatusIs(absl::StatusCode::kUnavailable, HasSubstr("no answer")))
        << call.name;
  }
  EXPECT_THAT(storage.IsTransactional(),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("no answer")));
  EXPECT_THAT(storage.BeginTx().status(),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("no answer")));
  EXPECT_THAT(system.PerformanceStandby(),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("no answer")));
}

TEST_F(StorageClientTest, WhetherThereAreTransactionsIsAskedOnceForAllRequests) {
  host_.Once("IsTransactional", {.code = grpc::StatusCode::UNAVAILABLE});
  EXPECT_THAT(storage_.IsTransactional(),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("probe")));
  EXPECT_THAT(storage_.IsTransactional(), IsOkAndHolds(true));
  StorageClient other(storage_host_, nullptr);
  EXPECT_THAT(other.IsTransactional(), IsOkAndHolds(true));
  EXPECT_THAT(storage_.IsTransactional(), IsOkAndHolds(true));
  EXPECT_EQ(host_.Count("IsTransactional"), 2);
}

TEST_F(StorageClientTest, AHostWithoutThatCallHasNoTransactions) {
  host_.Always("IsTransactional", {.code = grpc::StatusCode::UNIMPLEMENTED});
  EXPECT_THAT(storage_.IsTransactional(), IsOkAndHolds(false));
  EXPECT_THAT(storage_.IsTransactional(), IsOkAndHolds(false));
  EXPECT_EQ(host_.Count("IsTransactional"), 1);
}

TEST_F(StorageClientTest, AStorageWithoutTransactionsSaysSo) {
  host_.set_transactional(false);
  EXPECT_THAT(storage_.IsTransactional(), IsOkAndHolds(false));
  EXPECT_THAT(storage_.IsTransactional(), IsOkAndHolds(false));
  EXPECT_EQ(host_.Count("IsTransactional"), 1);
}

TEST_F(StorageClientTest, EveryCallOfATransactionNamesIt) {
  {
    const auto transaction = storage_.BeginTx();
    ASSERT_THAT(transaction, IsOk());
    for (const Call& call : AllCalls()) EXPECT_THAT(call.run(**transaction), IsOk());
    EXPECT_THAT((*transaction)->Commit(), IsOk());
  }
  EXPECT_THAT(host_.calls(), ElementsAre("BeginTx", "Get k in t1", "Put k in t1", "Delete k in t1",
                                         "List k/ in t1", "ListPage k/||1 in t1", "Commit in t1"));
}

TEST_F(StorageClientTest, PagesCutFromAListAreOfTheTransactionToo) {
  host_.Always("ListPage", {.code = grpc::StatusCode::UNIMPLEMENTED});
  const auto transaction = storage_.BeginTx();
  ASSERT_THAT(transaction, IsOk());
  EXPECT_THAT((*transaction)->ListPage("k/", "", 1), IsOk());
  EXPECT_THAT(host_.calls(), ElementsAre("BeginTx", "ListPage k/||1 in t1", "List k/ in t1"));
}

TEST_F(StorageClientTest, AReadOnlyTransactionIsBegunAsOne) {
  {
    const auto transaction = storage_.BeginReadOnlyTx();
    ASSERT_THAT(transaction, IsOk());
    EXPECT_THAT((*transaction)->Get("k"), IsOk());
  }
  EXPECT_THAT(host_.calls(), ElementsAre("BeginReadOnlyTx", "Get k in t1", "Rollback in t1"));
}

TEST_F(StorageClientTest, ATransactionNotEndedIsRolledBackOnce) {
  {
    const auto transaction = storage_.BeginTx();
    ASSERT_THAT(transaction, IsOk());
  }
  EXPECT_THAT(host_.calls(), ElementsAre("BeginTx", "Rollback in t1"));
}

TEST_F(StorageClientTest, ARollbackThatFailsIsNotTriedAgain) {
  host_.Always("Rollback", {.err = "disk on fire"});
  {
    const auto transaction = storage_.BeginTx();
    ASSERT_THAT(transaction, IsOk());
    EXPECT_THAT((*transaction)->Rollback(),
                StatusIs(absl::StatusCode::kInternal, "storage rollback failed: disk on fire"));
  }
  EXPECT_EQ(host_.Count("Rollback"), 1);
}

// The host takes the id of a finished transaction as none, and would write outside any.
TEST_F(StorageClientTest, AfterItsEndATransactionCallsTheHostNoMore) {
  using End = absl::Status (Transaction::*)();
  const std::pair<const char*, testing_support::Answer> kEnds[] = {
      {"Commit", {}},
      {"Commit", {.err = kLost}},
      {"Commit", {.err = "disk on fire"}},
      {"Commit", {.code = grpc::StatusCode::UNAVAILABLE}},
      {"Rollback", {}},
      {"Rollback", {.err = "disk on fire"}},
      {"Rollback", {.code = grpc::StatusCode::UNAVAILABLE}},
  };
  for (const auto& [name, answer] : kEnds) {
    SCOPED_TRACE(std::string(name) + " " + answer.err);
    host_.Always(name, answer);
    const End end =
        std::string_view(name) == "Commit" ? &Transaction::Commit : &Transaction::Rollback;
    const std::size_t before = host_.calls().size();
    {
      const auto transaction = storage_.BeginTx();
      ASSERT_THAT(transaction, IsOk());
      ((**transaction).*end)().IgnoreError();
      for (const Call& call : AllCalls()) {
        EXPECT_THAT(call.run(**transaction),
                    StatusIs(absl::StatusCode::kInternal, "the storage transaction has ended"))
            << call.name;
      }
      EXPECT_THAT((*transaction)->Commit(),
                  StatusIs(absl::StatusCode::kInternal, HasSubstr("ended")));
      EXPECT_THAT((*transaction)->Rollback(),
                  StatusIs(absl::StatusCode::kInternal, HasSubstr("ended")));
    }
    // The beginning and the end.
    EXPECT_EQ(host_.calls().size(), before + 2);
  }
}

TEST_F(StorageClientTest, ACommitSaysHowItEnded) {
  const auto commit = [&](testing_support::Answer answer) {
    host_.Once("Commit", std::move(answer));
    const auto transaction = storage_.BeginTx();
    return transaction.ok() ? (*transaction)->Commit() : transaction.status();
  };
  EXPECT_THAT(commit({.err = kLost}), StatusIs(absl::StatusCode::kAborted,
                                               "storage commit: another change won; try again"));
  EXPECT_THAT(commit({.err = "disk on fire"}),
              StatusIs(absl::StatusCode::kInternal, "storage commit failed: disk on fire"));
  EXPECT_THAT(commit({.code = grpc::StatusCode::UNAVAILABLE}),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("commit: no answer")));
  EXPECT_TRUE(IsReadOnlyStorage(commit({.err = "cannot write to readonly storage"})));
  EXPECT_THAT(commit({}), IsOk());
}

TEST_F(StorageClientTest, ABeginThatFailedIsNoTransaction) {
  for (const char* name : {"BeginTx", "BeginReadOnlyTx"}) {
    const auto begin = [&] {
      return std::string_view(name) == "BeginTx" ? storage_.BeginTx() : storage_.BeginReadOnlyTx();
    };
    host_.Once(name, {.err = "too many"});
    EXPECT_THAT(begin().status(),
                StatusIs(absl::StatusCode::kInternal, "storage begin failed: too many"));
    host_.Once(name, {.code = grpc::StatusCode::UNIMPLEMENTED});
    EXPECT_THAT(begin().status(), StatusIs(absl::StatusCode::kUnavailable, HasSubstr("begin")));
  }
  host_.Once("BeginTx", {.err = "cannot write to readonly storage"});
  EXPECT_TRUE(IsReadOnlyStorage(storage_.BeginTx().status()));
  EXPECT_THAT(host_.calls(),
              ElementsAre("BeginTx", "BeginTx", "BeginReadOnlyTx", "BeginReadOnlyTx", "BeginTx"));
}

// With an empty id every call would go past the transaction, silently.
TEST_F(StorageClientTest, ABeginWithoutAnIdIsAFailureAndNothingFollows) {
  host_.set_no_ids();
  EXPECT_THAT(storage_.BeginTx().status(),
              StatusIs(absl::StatusCode::kInternal, "storage begin failed: no transaction id"));
  EXPECT_THAT(storage_.BeginReadOnlyTx().status(),
              StatusIs(absl::StatusCode::kInternal, "storage begin failed: no transaction id"));
  bool ran = false;
  EXPECT_THAT(RunInTransaction(storage_,
                               [&](Storage&) {
                                 ran = true;
                                 return absl::OkStatus();
                               }),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("no transaction id")));
  EXPECT_FALSE(ran);
  EXPECT_THAT(host_.calls(),
              ElementsAre("BeginTx", "BeginReadOnlyTx", "IsTransactional", "BeginTx"));
}

absl::Status PutA(Storage& storage) { return storage.Put("a", SecretBytes("x")); }

TEST_F(StorageClientTest, RunInTransactionCommitsWhatSucceeds) {
  EXPECT_THAT(RunInTransaction(storage_, PutA), IsOk());
  EXPECT_THAT(host_.calls(),
              ElementsAre("IsTransactional", "BeginTx", "Put a in t1", "Commit in t1"));
}

TEST_F(StorageClientTest, RunInTransactionBeginsAgainWhenACommitLost) {
  host_.Once("Commit", {.err = kLost});
  host_.Once("Commit", {.err = kLost});
  EXPECT_THAT(RunInTransaction(storage_, PutA), IsOk());
  EXPECT_THAT(host_.calls(),
              ElementsAre("IsTransactional", "BeginTx", "Put a in t1", "Commit in t1", "BeginTx",
                          "Put a in t2", "Commit in t2", "BeginTx", "Put a in t3", "Commit in t3"));
}

TEST_F(StorageClientTest, RunInTransactionGivesUpAfterItsAttempts) {
  host_.Always("Commit", {.err = kLost});
  EXPECT_THAT(RunInTransaction(storage_, PutA),
              StatusIs(absl::StatusCode::kAborted, HasSubstr("won")));
  EXPECT_EQ(host_.Count("Commit"), 3);
  EXPECT_THAT(RunInTransaction(storage_, PutA, 5),
              StatusIs(absl::StatusCode::kAborted, HasSubstr("won")));
  EXPECT_EQ(host_.Count("Commit"), 8);
  EXPECT_EQ(host_.Count("BeginTx"), 8);
  EXPECT_EQ(host_.Count("Rollback"), 0);
}

TEST_F(StorageClientTest, RunInTransactionDoesNotRepeatACommitOfUnknownOutcome) {
  for (const testing_support::Answer& answer :
       {testing_support::Answer{.code = grpc::StatusCode::UNAVAILABLE},
        testing_support::Answer{.err = "disk on fire"}}) {
    host_.Once("Commit", answer);
    EXPECT_THAT(RunInTransaction(storage_, PutA), Not(IsOk()));
  }
  EXPECT_EQ(host_.Count("Put"), 2);
  EXPECT_EQ(host_.Count("Commit"), 2);
  EXPECT_EQ(host_.Count("Rollback"), 0);
}

TEST_F(StorageClientTest, RunInTransactionRollsBackOnAnError) {
  const auto refuse = [](Storage& storage) {
    EXPECT_THAT(PutA(storage), IsOk());
    return absl::FailedPreconditionError("no");
  };
  EXPECT_THAT(RunInTransaction(storage_, refuse),
              StatusIs(absl::StatusCode::kFailedPrecondition, "no"));
  EXPECT_THAT(host_.calls(),
              ElementsAre("IsTransactional", "BeginTx", "Put a in t1", "Rollback in t1"));
  // A change of its own that aborts is no lost commit.
  EXPECT_THAT(RunInTransaction(storage_, [](Storage&) { return absl::AbortedError("mine"); }),
              StatusIs(absl::StatusCode::kAborted, "mine"));
  host_.Once("Put", {.err = "disk on fire"});
  EXPECT_THAT(RunInTransaction(storage_, PutA),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("fire")));
  EXPECT_EQ(host_.Count("BeginTx"), 3);
  EXPECT_EQ(host_.Count("Rollback"), 3);
  EXPECT_EQ(host_.Count("Commit"), 0);
}

TEST_F(StorageClientTest, RunInTransactionWithoutTransactionsChangesTheStorageItself) {
  host_.set_transactional(false);
  EXPECT_THAT(RunInTransaction(storage_, PutA), IsOk());
  EXPECT_THAT(RunInTransaction(storage_, [](Storage&) { return absl::NotFoundError("no"); }),
              StatusIs(absl::StatusCode::kNotFound, "no"));
  EXPECT_THAT(host_.calls(), ElementsAre("IsTransactional", "Put a"));
}

TEST_F(StorageClientTest, RunInTransactionNeedsToKnowWhetherThereAreTransactions) {
  host_.Always("IsTransactional", {.code = grpc::StatusCode::UNAVAILABLE});
  EXPECT_THAT(RunInTransaction(storage_, PutA),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("probe")));
  EXPECT_EQ(host_.Count("Put"), 0);
}

TEST_F(StorageClientTest, ReadsWaitHalfAMinuteAndWritesAMinute) {
  absl::Duration left;
  for (const char* name : {"Get", "Put", "Delete", "List", "ListPage", "Commit", "Rollback"}) {
    host_.Always(name, {.before = [&](grpc::ServerContext& context) {
                   left = absl::FromChrono(context.deadline()) - absl::Now();
                 }});
  }
  const auto expect = [&](const char* name, absl::Duration most) {
    // gRPC rounds deadlines.
    EXPECT_LE(left, most + absl::Seconds(1)) << name;
    EXPECT_GT(left, most - absl::Seconds(10)) << name;
  };
  for (const Call& call : AllCalls()) {
    EXPECT_THAT(call.run(storage_), IsOk());
    const bool writes = call.name == "Put" || call.name == "Delete";
    expect(call.name.c_str(), absl::Seconds(writes ? 60 : 30));
  }
  EXPECT_THAT((*storage_.BeginTx())->Commit(), IsOk());
  expect("Commit", absl::Seconds(60));
  EXPECT_THAT((*storage_.BeginTx())->Rollback(), IsOk());
  expect("Rollback", absl::Seconds(60));
}

class SystemViewClientTest : public ::testing::Test {
 protected:
  ScriptedHost host_;
  ConnectionPool connections_{1};
  HostConnection connection_{host_.connect(), connections_};
  SystemViewClient system_{connection_};
};

TEST_F(SystemViewClientTest, TheStandbyBitIsFoundAmongTheOthers) {
  // 32: performance primary, 64: secondary, 256: DR primary, 512: DR secondary, 12288: both
  // disabled.
  for (const std::int32_t state : {0, 32, 64, 256, 512, 12288, 12288 | 512, 1 << 15, 1 << 13}) {
    host_.set_replication_state(state);
    EXPECT_THAT(system_.PerformanceStandby(), IsOkAndHolds(false)) << state;
    host_.set_replication_state(state | 16384);
    EXPECT_THAT(system_.PerformanceStandby(), IsOkAndHolds(true)) << state;
  }
}

TEST_F(SystemViewClientTest, NoAnswerIsUnavailable) {
  host_.Always("ReplicationState", {.code = grpc::StatusCode::UNIMPLEMENTED});
  EXPECT_THAT(system_.PerformanceStandby(),
              StatusIs(absl::StatusCode::kUnavailable,
                       AllOf(HasSubstr("no answer"), Not(HasSubstr("transport text")))));
}

}  // namespace
}  // namespace openbao
