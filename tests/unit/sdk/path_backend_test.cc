#include "sdk/framework/path_backend.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "base/json.h"
#include "base/text.h"
#include "sdk/framework/openapi.h"
#include "sdk/logical/errors.h"
#include "support/status_matchers.h"

namespace openbao {
namespace {

using ::base::Json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing_support::IsOk;
using ::testing_support::StatusIs;

class ScriptedSystem final : public SystemView {
 public:
  absl::StatusOr<bool> PerformanceStandby() override {
    ++asked;
    if (!reachable) return absl::UnavailableError("no answer");
    return standby.load();
  }

  std::atomic<int> asked = 0;
  std::atomic<bool> reachable = true;
  std::atomic<bool> standby = false;
};

// Initialize is given a storage that it must not need.
class NoStorage final : public Storage {
 public:
  absl::StatusOr<std::optional<base::SecretBytes>> Get(std::string_view) override { return Fail(); }
  absl::Status Put(std::string_view, const base::SecretBytes&) override { return Fail(); }
  absl::Status Delete(std::string_view) override { return Fail(); }
  absl::StatusOr<std::vector<std::string>> List(std::string_view) override { return Fail(); }
  absl::StatusOr<std::vector<std::string>> ListPage(std::string_view, std::string_view,
                                                    int) override {
    return Fail();
  }

 private:
  static absl::Status Fail() { return absl::InternalError("storage was touched"); }
};

absl::StatusOr<std::optional<Response>> Answer(PathBackend&, const Request&, const FieldData&) {
  return std::nullopt;
}

// A mount of a plugin that does something by itself: what, a test says.
class Derived final : public PathBackend {
 public:
  using PathBackend::PathBackend;

  absl::StatusOr<std::optional<Response>> Count(const Request& request, const FieldData& data) {
    ++handled;
    Response response;
    response.data[base::JsonString(request.path)] = data.Unsigned("n").value_or(0);
    return response;
  }

  std::function<void()> on_active;
  std::function<absl::Status()> on_tick;
  int handled = 0;

 private:
  void OnActive() override { on_active(); }
  absl::Status OnTick(const Request&) override { return on_tick(); }
};

class PathBackendTest : public ::testing::Test {
 protected:
  PathBackendTest() {
    table_.title = "a-plugin";
    table_.version = "v1.2.3";
    table_.description = "What it is.";
    table_.special.root = {"keys/*"};
    Path keys;
    keys.pattern = "keys";
    keys.synopsis = "All keys.";
    keys.fields = {{.name = "after", .type = FieldType::kString, .query = true}};
    keys.operations = {Serves("list keys", Operation::kList)};
    Path key;
    key.pattern = "keys/{name}";
    key.synopsis = "One key.";
    key.fields = {{.name = "name", .type = FieldType::kString, .description = "Its name."},
                  {.name = "n", .type = FieldType::kUnsigned, .description = "A number."}};
    key.operations = {Serves("read key", Operation::kRead), Serves("write key", Operation::kUpdate),
                      Serves("delete key", Operation::kDelete)};
    key.operations[1].active_node_only = true;
    key.operations[2].any_parameters = true;
    table_.paths = {keys, key};
  }

  PathOperation Serves(const std::string& what, Operation operation) {
    return {
        .operation = operation,
        .handler = [this, what](PathBackend&, const Request& request,
                                const FieldData& data) -> absl::StatusOr<std::optional<Response>> {
          handled_.push_back(what);
          request_data_ = request.data;
          name_ = data.Has("name") ? std::string(*data.String("name")) : "";
          number_ = data.Unsigned("n");
          Response response;
          response.data["did"] = base::JsonText(what);
          return response;
        },
        .summary = what};
  }

  std::unique_ptr<Derived> NewBackend() {
    auto backend = std::make_unique<Derived>(std::make_shared<const PathTable>(table_), system_);
    backend->on_active = [this] { ++activated_; };
    backend->on_tick = [this] {
      ++ticks_;
      return tick_result_;
    };
    return backend;
  }

  Derived& backend() {
    if (backend_ == nullptr) backend_ = NewBackend();
    return *backend_;
  }

  absl::Status Initialize() {
    NoStorage storage;
    return backend().Initialize(storage);
  }

  absl::StatusOr<std::optional<Response>> Call(Operation operation, std::string path,
                                               Json data = Json::object()) {
    Request request;
    request.operation = operation;
    request.path = std::move(path);
    request.data = std::move(data);
    return backend().HandleRequest(request);
  }

  ScriptedSystem system_;
  PathTable table_;
  std::unique_ptr<Derived> backend_;
  std::vector<std::string> handled_;
  Json request_data_;
  std::string name_;
  std::optional<std::uint64_t> number_;
  std::atomic<int> activated_ = 0;
  std::atomic<int> ticks_ = 0;
  absl::Status tick_result_;
};

TEST_F(PathBackendTest, AHandlerIsChosenByPathAndOperation) {
  const auto read = Call(Operation::kRead, "keys/k1");
  ASSERT_THAT(read, IsOk());
  ASSERT_TRUE(read->has_value());
  EXPECT_EQ((*read)->data["did"], "read key");
  EXPECT_EQ(name_, "k1");
  EXPECT_THAT(Call(Operation::kUpdate, "keys/k2", Json{{"n", "7"}}), IsOk());
  EXPECT_EQ(name_, "k2");
  EXPECT_EQ(number_, 7U);
  EXPECT_THAT(Call(Operation::kDelete, "keys/k3"), IsOk());
  EXPECT_THAT(Call(Operation::kList, "keys"), IsOk());
  EXPECT_THAT(handled_, ElementsAre("read key", "write key", "delete key", "list keys"));
}

TEST_F(PathBackendTest, ACreateIsAnUpdate) {
  EXPECT_THAT(Call(Operation::kCreate, "keys/k", Json{{"n", 3}}), IsOk());
  EXPECT_THAT(handled_, ElementsAre("write key"));
  EXPECT_EQ(number_, 3U);
}

// "resolve-path" comes with the path of every request before that request; handled, it would do it
// twice.
TEST_F(PathBackendTest, AnOperationWeDontKnowReachesNoHandler) {
  for (const char* path : {"keys/k", "keys", "nowhere", ""}) {
    const auto answer = Call(Operation::kOther, path);
    EXPECT_THAT(answer, StatusIs(absl::StatusCode::kUnimplemented, "unsupported operation"))
        << path;
    EXPECT_FALSE(IsUnsupportedPath(answer.status())) << path;
  }
  EXPECT_THAT(handled_, IsEmpty());
  EXPECT_EQ(system_.asked, 0);
  EXPECT_EQ(ticks_, 0);
}

TEST_F(PathBackendTest, OperationsAreKnownByTheHostsNames) {
  const std::pair<const char*, Operation> kKnown[] = {
      {"create", Operation::kCreate},    {"read", Operation::kRead},
      {"update", Operation::kUpdate},    {"patch", Operation::kPatch},
      {"delete", Operation::kDelete},    {"list", Operation::kList},
      {"scan", Operation::kScan},        {"help", Operation::kHelp},
      {"rollback", Operation::kRollback}};
  for (const auto& [name, operation] : kKnown) {
    EXPECT_EQ(ParseOperation(name), operation) << name;
    EXPECT_EQ(OperationName(operation), name);
  }
  for (const char* name : {"resolve-path", "resolve-role", "alias-lookahead", "revoke", "renew",
                           "header", "", "Read", "read ", "other"}) {
    EXPECT_EQ(ParseOperation(name), Operation::kOther) << name;
  }
}

TEST_F(PathBackendTest, AnOperationThatThePathLacksIsToldFromAPathThatIsNone) {
  for (const auto& [operation, path] : {std::pair{Operation::kPatch, "keys/k"},
                                        {Operation::kList, "keys/k"},
                                        {Operation::kScan, "keys"},
                                        {Operation::kRead, "keys"},
                                        {Operation::kCreate, "keys"}}) {
    const auto answer = Call(operation, path);
    EXPECT_THAT(answer, StatusIs(absl::StatusCode::kUnimplemented, "unsupported operation"));
    EXPECT_FALSE(IsUnsupportedPath(answer.status())) << path;
  }
  for (const char* path : {"", "key", "keys/", "keys/a/b", "keys//b", "/keys"}) {
    const auto answer = Call(Operation::kRead, path);
    EXPECT_THAT(answer, StatusIs(absl::StatusCode::kUnimplemented, "unsupported path"));
    EXPECT_TRUE(IsUnsupportedPath(answer.status())) << path;
  }
  EXPECT_THAT(handled_, IsEmpty());
}

TEST_F(PathBackendTest, TwoPathsOfOnePatternServeTheirOperationsTogether) {
  Path more;
  more.pattern = "keys";
  more.operations = {Serves("read keys", Operation::kRead)};
  table_.paths.push_back(more);
  EXPECT_THAT(Call(Operation::kRead, "keys"), IsOk());
  EXPECT_THAT(Call(Operation::kList, "keys"), IsOk());
  EXPECT_THAT(handled_, ElementsAre("read keys", "list keys"));
}

TEST_F(PathBackendTest, BadParametersDontReachTheHandler) {
  EXPECT_THAT(
      Call(Operation::kUpdate, "keys/k", Json{{"n", "x"}}),
      StatusIs(absl::StatusCode::kInvalidArgument, "n: expected a whole number, 0 or more"));
  EXPECT_THAT(Call(Operation::kRead, "keys/k", Json{{"m", 1}}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("unknown parameter \"m\"")));
  EXPECT_THAT(handled_, IsEmpty());
}

TEST_F(PathBackendTest, ReadsTakeQueryParametersAndWritesTheOthers) {
  table_.paths[1].fields.push_back({.name = "at", .type = FieldType::kUnsigned, .query = true});
  table_.paths[1].operations[2].any_parameters = false;
  table_.paths[1].operations.push_back(Serves("patch key", Operation::kPatch));
  const auto refused = [](const char* name) {
    return StatusIs(absl::StatusCode::kInvalidArgument,
                    HasSubstr(base::Cat("unknown parameter \"", name, "\"")));
  };
  for (const Operation operation : {Operation::kRead, Operation::kDelete}) {
    EXPECT_THAT(Call(operation, "keys/k", Json{{"at", "1"}}), IsOk());
    EXPECT_THAT(Call(operation, "keys/k", Json{{"n", 1}}), refused("n"));
  }
  for (const Operation operation : {Operation::kUpdate, Operation::kCreate, Operation::kPatch}) {
    EXPECT_THAT(Call(operation, "keys/k", Json{{"n", 1}}), IsOk());
    EXPECT_THAT(Call(operation, "keys/k", Json{{"at", "1"}}), refused("at"));
  }
  EXPECT_THAT(handled_,
              ElementsAre("read key", "delete key", "write key", "write key", "patch key"));
}

TEST_F(PathBackendTest, AnyParametersAreNeitherCheckedNorGiven) {
  EXPECT_THAT(Call(Operation::kDelete, "keys/k", Json{{"n", "x"}, {"whatever", 1}}), IsOk());
  EXPECT_THAT(handled_, ElementsAre("delete key"));
  EXPECT_EQ(number_, std::nullopt);
  EXPECT_EQ(name_, "k");
}

TEST_F(PathBackendTest, TheMarksOfAListingAreNoParametersOfIt) {
  EXPECT_THAT(
      Call(Operation::kList, "keys", Json{{"list", "true"}, {"scan", "true"}, {"after", "k"}}),
      IsOk());
  EXPECT_THAT(Call(Operation::kList, "keys", Json{{"list", "true"}, {"lists", "x"}}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("\"lists\"")));
  EXPECT_THAT(Call(Operation::kRead, "keys/k", Json{{"list", "true"}}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("\"list\"")));
  EXPECT_THAT(handled_, ElementsAre("list keys"));
}

// `bao list -after=k` sends limit=-1 as well, and -limit=1 an empty after.
TEST_F(PathBackendTest, TheDefaultsOfTheListFlagsAreNoParametersOfIt) {
  EXPECT_THAT(Call(Operation::kList, "keys", Json{{"after", "k"}, {"limit", "-1"}}), IsOk());
  EXPECT_THAT(Call(Operation::kList, "keys", Json{{"after", ""}}), IsOk());
  EXPECT_THAT(Call(Operation::kList, "keys", Json{{"limit", "-2"}}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("\"limit\"")));
  EXPECT_THAT(handled_, ElementsAre("list keys", "list keys"));
}

TEST_F(PathBackendTest, AHandlersErrorIsTheAnswer) {
  table_.paths[0].operations[0].handler = [](PathBackend&, const Request&, const FieldData&) {
    return absl::NotFoundError("gone");
  };
  EXPECT_THAT(Call(Operation::kList, "keys"), StatusIs(absl::StatusCode::kNotFound, "gone"));
}

TEST_F(PathBackendTest, AHandlerForAClassIsGivenTheBackendAsThat) {
  table_.paths[1].operations[0].handler = For<Derived>(&Derived::Count);
  table_.paths[1].operations[1].handler =
      For<Derived>([](Derived& derived, const Request& request, const FieldData& data) {
        return derived.Count(request, data);
      });
  EXPECT_THAT(Call(Operation::kRead, "keys/k"), IsOk());
  const auto written = Call(Operation::kUpdate, "keys/k", Json{{"n", 3}});
  ASSERT_THAT(written, IsOk());
  EXPECT_EQ((*written)->data["keys/k"], 3);
  EXPECT_EQ(backend().handled, 2);
}

TEST_F(PathBackendTest, AStandbyForwardsWritesBeforeAnythingElse) {
  system_.standby = true;
  EXPECT_THAT(Initialize(), IsOk());
  for (const Json& data : {Json{{"n", 1}}, Json{{"n", "x"}}, Json{{"unknown", 1}}}) {
    for (const Operation operation : {Operation::kUpdate, Operation::kCreate}) {
      const auto answer = Call(operation, "keys/k", data);
      EXPECT_TRUE(IsReadOnlyStorage(answer.status())) << answer.status();
      EXPECT_THAT(answer,
                  StatusIs(absl::StatusCode::kUnavailable, "cannot write to readonly storage"));
    }
  }
  EXPECT_THAT(handled_, IsEmpty());
}

TEST_F(PathBackendTest, AStandbyServesWhatEveryNodeMay) {
  system_.standby = true;
  EXPECT_THAT(Initialize(), IsOk());
  EXPECT_THAT(Call(Operation::kRead, "keys/k"), IsOk());
  EXPECT_THAT(Call(Operation::kList, "keys"), IsOk());
  EXPECT_THAT(handled_, ElementsAre("read key", "list keys"));
}

TEST_F(PathBackendTest, TheHostIsAskedUntilItHasAnsweredOnce) {
  system_.reachable = false;
  EXPECT_THAT(Initialize(), IsOk());
  EXPECT_EQ(system_.asked, 0);
  // Not knowing, it neither writes nor forwards.
  EXPECT_THAT(Call(Operation::kUpdate, "keys/k"),
              StatusIs(absl::StatusCode::kUnavailable, "no answer"));
  EXPECT_FALSE(IsReadOnlyStorage(Call(Operation::kUpdate, "keys/k").status()));
  EXPECT_THAT(Call(Operation::kRollback, ""),
              StatusIs(absl::StatusCode::kUnavailable, "no answer"));
  EXPECT_EQ(system_.asked, 3);
  EXPECT_EQ(activated_, 0);
  EXPECT_EQ(ticks_, 0);
  EXPECT_THAT(handled_, IsEmpty());

  system_.reachable = true;
  EXPECT_THAT(Call(Operation::kUpdate, "keys/k"), IsOk());
  EXPECT_EQ(system_.asked, 4);
  EXPECT_EQ(activated_, 1);
  // From here on the answer is known, whatever the host would say now.
  system_.reachable = false;
  system_.standby = true;
  EXPECT_THAT(Call(Operation::kUpdate, "keys/k"), IsOk());
  EXPECT_THAT(Call(Operation::kRollback, ""), IsOk());
  EXPECT_THAT(Initialize(), IsOk());
  EXPECT_EQ(system_.asked, 4);
  EXPECT_EQ(activated_, 1);
  EXPECT_THAT(handled_, ElementsAre("write key", "write key"));
}

TEST_F(PathBackendTest, AStandbyStaysOne) {
  system_.standby = true;
  EXPECT_THAT(Call(Operation::kRead, "keys/k"), IsOk());
  system_.standby = false;
  EXPECT_TRUE(IsReadOnlyStorage(Call(Operation::kUpdate, "keys/k").status()));
  EXPECT_EQ(system_.asked, 1);
  EXPECT_EQ(activated_, 0);
}

TEST_F(PathBackendTest, AnActiveNodeIsToldSoOnceBeforeItsFirstWrite) {
  table_.paths[1].operations[1].handler =
      [this](PathBackend&, const Request&,
             const FieldData&) -> absl::StatusOr<std::optional<Response>> {
    EXPECT_EQ(activated_, 1);
    handled_.emplace_back("write");
    return std::nullopt;
  };
  EXPECT_THAT(Call(Operation::kUpdate, "keys/k"), IsOk());
  EXPECT_THAT(Call(Operation::kUpdate, "keys/k"), IsOk());
  EXPECT_THAT(Initialize(), IsOk());
  EXPECT_EQ(activated_, 1);
  EXPECT_THAT(handled_, ElementsAre("write", "write"));
}

TEST_F(PathBackendTest, ManyThreadsAskingAtOnceActivateOnce) {
  for (int round = 0; round < 20; ++round) {
    activated_ = 0;
    const std::unique_ptr<Derived> raced = NewBackend();
    std::vector<std::thread> threads;
    threads.reserve(8);
    for (int i = 0; i < 8; ++i) {
      threads.emplace_back([&raced] {
        Request tick;
        tick.operation = Operation::kRollback;
        EXPECT_THAT(raced->HandleRequest(tick), IsOk());
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(activated_, 1);
  }
}

TEST_F(PathBackendTest, NoWriteIsServedWhileTheNodeIsBeingActivated) {
  absl::Notification activating;
  absl::Notification go_on;
  std::atomic<bool> activated = false;
  std::atomic<bool> served = false;
  table_.paths[1].operations[1].handler =
      [&](PathBackend&, const Request&,
          const FieldData&) -> absl::StatusOr<std::optional<Response>> {
    EXPECT_TRUE(activated);
    served = true;
    return std::nullopt;
  };
  backend().on_active = [&] {
    activating.Notify();
    go_on.WaitForNotificationWithTimeout(absl::Seconds(20));
    activated = true;
  };
  std::thread first([&] { EXPECT_THAT(Call(Operation::kRollback, ""), IsOk()); });
  ASSERT_TRUE(activating.WaitForNotificationWithTimeout(absl::Seconds(20)));
  std::thread writer([&] { EXPECT_THAT(Call(Operation::kUpdate, "keys/k"), IsOk()); });
  absl::SleepFor(absl::Milliseconds(50));
  EXPECT_FALSE(served);
  go_on.Notify();
  first.join();
  writer.join();
  EXPECT_TRUE(served);
}

TEST_F(PathBackendTest, TheTickReachesAnActiveNodeOnly) {
  const auto active = Call(Operation::kRollback, "");
  ASSERT_THAT(active, IsOk());
  EXPECT_FALSE(active->has_value());
  EXPECT_EQ(ticks_, 1);
  EXPECT_EQ(activated_, 1);
  tick_result_ = absl::InternalError("tick failed");
  EXPECT_THAT(Call(Operation::kRollback, ""), StatusIs(absl::StatusCode::kInternal, "tick failed"));
  EXPECT_EQ(ticks_, 2);

  system_.standby = true;
  backend_ = nullptr;
  const auto standby = Call(Operation::kRollback, "");
  ASSERT_THAT(standby, IsOk());
  EXPECT_FALSE(standby->has_value());
  EXPECT_EQ(ticks_, 2);
  EXPECT_EQ(activated_, 1);
}

TEST_F(PathBackendTest, AMountThatDoesNothingByItselfNeedsNoClassOfItsOwn) {
  PathBackend plain(std::make_shared<const PathTable>(table_), system_);
  NoStorage storage;
  EXPECT_THAT(plain.Initialize(storage), IsOk());
  Request tick;
  tick.operation = Operation::kRollback;
  EXPECT_THAT(plain.HandleRequest(tick), IsOk());
  plain.InvalidateKey("x");
}

TEST_F(PathBackendTest, MountsShareATableAndAHandlerGetsTheOneThatWasAsked) {
  table_.paths[0].operations[0].handler =
      [](PathBackend& asked, const Request&,
         const FieldData&) -> absl::StatusOr<std::optional<Response>> {
    ++static_cast<Derived&>(asked).handled;
    return std::nullopt;
  };
  const auto table = std::make_shared<const PathTable>(table_);
  Derived one(table, system_);
  Derived other(table, system_);
  one.on_active = other.on_active = [] {};
  EXPECT_EQ(table.use_count(), 3);
  Request list;
  list.operation = Operation::kList;
  list.path = "keys";
  for (Derived* const asked : {&other, &one, &other}) {
    EXPECT_THAT(asked->HandleRequest(list), IsOk());
  }
  EXPECT_EQ(one.handled, 1);
  EXPECT_EQ(other.handled, 2);
}

TEST_F(PathBackendTest, SpecialPathsAreTheConfigured) {
  EXPECT_THAT(backend().Special().root, ElementsAre("keys/*"));
}

TEST_F(PathBackendTest, HelpOfTheRootHasTextAndTheWholeDocument) {
  const auto help = Call(Operation::kHelp, "");
  ASSERT_THAT(help, IsOk());
  const Json& data = (*help)->data;
  EXPECT_EQ(data.size(), 3U);
  EXPECT_EQ(data["help"], base::JsonText(RootHelp("What it is.", table_.paths)));
  EXPECT_TRUE(data["see_also"].is_null());
  EXPECT_EQ(data["openapi"], OpenApiDocument("a-plugin", "v1.2.3", table_.paths, {"keys/*"}));
  EXPECT_EQ(data["openapi"]["paths"].size(), 2U);
  EXPECT_EQ(data["openapi"]["paths"]["/keys/{name}"]["x-vault-sudo"], true);
}

TEST_F(PathBackendTest, HelpOfAPathIsThatPathsOwn) {
  for (const char* path : {"keys/k", "keys/{name}"}) {
    const auto help = Call(Operation::kHelp, path);
    ASSERT_THAT(help, IsOk()) << path;
    const Json& data = (*help)->data;
    EXPECT_EQ(data["help"], base::JsonText(PathHelp(table_.paths[1])));
    EXPECT_TRUE(data["see_also"].is_null());
    EXPECT_EQ(data["openapi"]["paths"].size(), 1U);
    EXPECT_TRUE(data["openapi"]["paths"].contains("/keys/{name}"));
  }
}

TEST_F(PathBackendTest, HelpOfNoPathIsRefused) {
  for (const char* path : {"nowhere", "keys/a/b"}) {
    EXPECT_TRUE(IsUnsupportedPath(Call(Operation::kHelp, path).status())) << path;
  }
}

TEST_F(PathBackendTest, HelpNeedsNoHostAndNoHandler) {
  system_.reachable = false;
  EXPECT_THAT(Call(Operation::kHelp, "keys/k"), IsOk());
  EXPECT_EQ(system_.asked, 0);
  EXPECT_THAT(handled_, IsEmpty());
}

PathTable TableOf(Path path) { return {.title = "t", .version = "v0.1.0", .paths = {path}}; }

// That it compiles, with -Wmissing-field-initializers, is half of the test.
TEST(CheckTable, WhatIsNotNeededMayBeLeftOut) {
  EXPECT_THAT(
      CheckTable(TableOf({.pattern = "keys/{name}",
                          .fields = {{.name = "name"}},
                          .operations = {{.operation = Operation::kRead, .handler = Answer}}})),
      IsOk());
  EXPECT_THAT(CheckTable(TableOf({.pattern = "keys"})), IsOk());
}

TEST(CheckTable, EveryOperationThatIsDispatchedMayHaveAHandler) {
  for (const Operation operation : {Operation::kRead, Operation::kUpdate, Operation::kPatch,
                                    Operation::kDelete, Operation::kList, Operation::kScan}) {
    EXPECT_THAT(CheckTable(TableOf({.pattern = "keys",
                                    .operations = {{.operation = operation, .handler = Answer}}})),
                IsOk());
  }
}

TEST(CheckTable, AMistakeIsToldWithItsPath) {
  const auto mistake = [](Path path) { return CheckTable(TableOf(std::move(path))); };
  const auto is = [](const char* message) {
    return StatusIs(absl::StatusCode::kInvalidArgument, message);
  };
  const PathOperation read{.operation = Operation::kRead, .handler = Answer};
  EXPECT_THAT(mistake({.pattern = "p",
                       .operations = {{.operation = Operation::kCreate, .handler = Answer}}}),
              is("path p: create is never dispatched; a write is an update"));
  EXPECT_THAT(mistake({.pattern = "p",
                       .operations = {{.operation = Operation::kRollback, .handler = Answer}}}),
              is("path p: rollback is never dispatched"));
  EXPECT_THAT(
      mistake({.pattern = "p", .operations = {{.operation = Operation::kHelp, .handler = Answer}}}),
      is("path p: help is never dispatched"));
  EXPECT_THAT(mistake({.pattern = "p",
                       .operations = {{.operation = Operation::kOther, .handler = Answer}}}),
              is("path p: other is never dispatched"));
  EXPECT_THAT(mistake({.pattern = "p", .operations = {read, read}}),
              is("path p: read stands twice"));
  EXPECT_THAT(mistake({.pattern = "p",
                       .operations = {{.operation = Operation::kRead, .handler = nullptr}}}),
              is("path p: read has no handler"));
  EXPECT_THAT(mistake({.pattern = "a/{b}/{c...}", .fields = {{.name = "b"}}, .operations = {read}}),
              is("path a/{b}/{c...}: {c} has no field"));
  EXPECT_THAT(mistake({.pattern = "a/{b...}/c", .fields = {{.name = "b"}}, .operations = {read}}),
              is("path a/{b...}/c: nothing can stand after what takes the rest of a path"));
  EXPECT_THAT(mistake({.pattern = "p", .fields = {{.name = "a"}, {.name = "b"}, {.name = "a"}}}),
              is("path p: the field a stands twice"));
  EXPECT_THAT(mistake({.pattern = "p",
                       .fields = {{.name = "n", .type = FieldType::kUnsigned, .allowed = {"1"}}}}),
              is("path p: the field n has allowed values and is no string"));
}

TEST(CheckTable, EveryPathIsLookedAt) {
  PathTable table = TableOf({.pattern = "keys"});
  table.paths.push_back({.pattern = "other/{name}"});
  EXPECT_THAT(CheckTable(table), StatusIs(absl::StatusCode::kInvalidArgument,
                                          "path other/{name}: {name} has no field"));
}

}  // namespace
}  // namespace openbao
