#include "goplugin/process.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <functional>
#include <map>
#include <string>

// There just where clang counts what runs (make coverage). By a name of our own, for this one is
// reserved.
extern "C" __attribute__((weak)) int WriteProfile() __asm__("__llvm_profile_write_file");

namespace goplugin {
namespace {

Environment Fake(std::map<std::string, std::string> variables) {
  return [variables = std::move(variables)](const std::string& name) -> std::optional<std::string> {
    const auto at = variables.find(name);
    if (at == variables.end()) return std::nullopt;
    return at->second;
  };
}

// Not by exit(): a process that can't be dumped can't be looked at by the leak checker.
[[noreturn]] void End(int code) {
  if (WriteProfile != nullptr) WriteProfile();
  _exit(code);
}

// What changes the process is tried in a process of its own: `body` returns the number of what went
// wrong, or 0.
void ExpectInChild(const std::function<int()>& body) {
  // Other tests in this program start threads.
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(End(body()), ::testing::ExitedWithCode(0), "");
}

bool Readable(const Fd& fd) {
  pollfd event = {fd.get(), POLLIN, 0};
  return poll(&event, 1, 0) == 1;
}

TEST(ForbidDumps, LeavesNoWayToACoreFile) {
  ExpectInChild([] {
    if (!ForbidDumps().ok()) return 1;
    rlimit limit = {1, 1};
    getrlimit(RLIMIT_CORE, &limit);
    if (limit.rlim_cur != 0 || limit.rlim_max != 0) return 2;
    return prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0 ? 0 : 3;
  });
}

TEST(TakeOverSignals, SurvivesWhatIsMeantForTheHost) {
  ExpectInChild([] {
    const absl::StatusOr<Fd> signals = TakeOverSignals();
    if (!signals.ok()) return 1;
    raise(SIGINT);
    raise(SIGPIPE);
    return Readable(*signals) ? 2 : 0;
  });
}

TEST(TakeOverSignals, TellsOfSigterm) {
  ExpectInChild([] {
    const absl::StatusOr<Fd> signals = TakeOverSignals();
    if (!signals.ok()) return 1;
    if (Readable(*signals)) return 2;
    kill(getpid(), SIGTERM);
    return Readable(*signals) ? 0 : 3;
  });
}

TEST(LockMemory, IsNotDoneUnasked) {
  ExpectInChild([] {
    const rlimit none = {0, 0};
    setrlimit(RLIMIT_MEMLOCK, &none);
    if (!LockMemoryIfAsked(Fake({})).ok()) return 1;
    return LockMemoryIfAsked(Fake({{"BAO_PLUGIN_MLOCK_ENABLED", "false"}})).ok() ? 0 : 2;
  });
}

TEST(LockMemory, SaysSoWhereItIsNotAllowed) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can give up its rights";
  for (const char* name : {"BAO_PLUGIN_MLOCK_ENABLED", "VAULT_PLUGIN_MLOCK_ENABLED"}) {
    ExpectInChild([&] {
      const rlimit some = {1 << 20, 1 << 20};
      // Root's rights go with the effective user, and come back with it, to write the profile.
      if (setrlimit(RLIMIT_MEMLOCK, &some) != 0 || seteuid(65534) != 0) return 1;
      const absl::Status status = LockMemoryIfAsked(Fake({{name, "true"}}));
      if (seteuid(0) != 0) return 3;
      return absl::IsFailedPrecondition(status) ? 0 : 2;
    });
  }
}

TEST(ForgetLibrarySettings, TakesGrpcsVariablesOnly) {
  ExpectInChild([] {
    setenv("GRPC_TRACE", "all", 1);
    setenv("GRPC_VERBOSITY", "debug", 1);
    setenv("GRPCX", "x", 1);
    setenv("MY_GRPC_", "y", 1);
    ForgetLibrarySettings();
    if (getenv("GRPC_TRACE") != nullptr || getenv("GRPC_VERBOSITY") != nullptr) return 1;
    return getenv("GRPCX") != nullptr && getenv("MY_GRPC_") != nullptr ? 0 : 2;
  });
}

TEST(SilenceStdout, LeavesNothingToRead) {
  ExpectInChild([] {
    int ends[2];
    if (pipe(ends) != 0 || dup2(ends[1], STDOUT_FILENO) < 0) return 1;
    close(ends[1]);
    SilenceStdout();
    if (write(STDOUT_FILENO, "x", 1) != 1) return 2;
    char byte = 0;
    // The pipe has no writer left.
    return read(ends[0], &byte, 1) == 0 ? 0 : 3;
  });
}

}  // namespace
}  // namespace goplugin
