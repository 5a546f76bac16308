#include "goplugin/serve.h"

#include <grpc/grpc.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <memory>
#include <string_view>
#include <thread>
#include <utility>

#include "absl/synchronization/notification.h"
#include "base/clock.h"
#include "base/status_macros.h"
#include "base/text.h"
#include "goplugin/handshake.h"
#include "goplugin/leaving.h"
#include "goplugin/log.h"
#include "goplugin/process.h"
#include "goplugin/server.h"

namespace goplugin {
namespace {

// Until the host has come, we look this often whether it still lives.
constexpr int kParentCheckMs = 1000;
// The host ends the broker's stream just before it calls Shutdown, which we then still answer.
constexpr absl::Duration kWaitForShutdownCall = absl::Milliseconds(100);
// Calls that ignore their cancellation are given this long, and then the process ends under them.
constexpr absl::Duration kCancelledCallsTimeout = absl::Milliseconds(500);

void ExplainToAPerson(const ServeConfig& config) {
  const std::string text = base::Cat(
      config.program_name, " ", config.program_version,
      " is a plugin: a program that its host starts when it needs it, not one to run by hand.\n",
      config.how_to_run, config.how_to_run.empty() || config.how_to_run.ends_with('\n') ? "" : "\n",
      "See ", config.program_name, " --help.\n");
  std::fputs(text.c_str(), stderr);
}

bool PrintToStdout(std::string_view line) {
  while (!line.empty()) {
    const ssize_t written = write(STDOUT_FILENO, line.data(), line.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    line.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

void WaitUntilTimeToLeave(const Server& server, const Fd& signals, pid_t parent, Leaving& leaving) {
  while (leaving.reason() == LeaveReason::kNone) {
    pollfd events[] = {{leaving.fd(), POLLIN, 0}, {signals.get(), POLLIN, 0}};
    poll(events, 2, server.host_seen() ? -1 : kParentCheckMs);
    if (events[1].revents != 0) leaving.Leave(LeaveReason::kSignal);
    if (!server.host_seen() && getppid() != parent) leaving.Leave(LeaveReason::kHostGone);
  }
  if (leaving.reason() == LeaveReason::kHostGone) {
    leaving.WaitFor(LeaveReason::kShutdown, kWaitForShutdownCall);
  }
}

// Ends the process if stopping takes longer than `limit`.
class Watchdog {
 public:
  Watchdog(absl::Duration limit, base::Logger* logger)
      : thread_([this, limit, logger] {
          if (stopped_.WaitForNotificationWithTimeout(limit)) return;
          logger->Warn("calls under way did not end in time: leaving without them");
          _exit(1);
        }) {}
  ~Watchdog() {
    stopped_.Notify();
    thread_.join();
  }

 private:
  absl::Notification stopped_;
  std::thread thread_;
};

absl::Status Run(const ServeConfig& config, const Environment& environment, base::Clock* clock,
                 base::Logger* logger) {
  const pid_t parent = getppid();
  RETURN_IF_ERROR(ForbidDumps());
  ForgetLibrarySettings();
  GiveLargeBlocksBack();
  LookForNoDeadlocks();
  if (absl::Status status = LockMemoryIfAsked(environment); !status.ok()) {
    logger->Warn(base::ToStd(status.message()));
  }
  ASSIGN_OR_RETURN(const Fd signals, TakeOverSignals());
  ASSIGN_OR_RETURN(const HandshakeRequest request, ReadHandshake(environment));
  const GrpcLogToLogger grpc_log(logger);
  // Kept to the process's end: gRPC's own tear-down can wait 10 s for its backup poller, and by
  // then the host would have killed us.
  grpc_init();
  Leaving leaving;
  if (leaving.fd() < 0) return ErrnoError("there is no way to be told to leave");
  ASSIGN_OR_RETURN(const std::unique_ptr<Server> server,
                   Server::Start(config, request, clock, &leaving, logger));
  if (!PrintToStdout(server->handshake_line())) {
    return absl::UnavailableError("the host doesn't read our stdout");
  }
  SilenceStdout();
  RemoveAbandonedSockets(request.socket_directory);

  WaitUntilTimeToLeave(*server, signals, parent, leaving);
  logger->Log(base::LogLevel::kDebug, "leaving", {{"reason", std::string(Name(leaving.reason()))}});
  const Watchdog watchdog(config.leave_timeout + kCancelledCallsTimeout, logger);
  server->Stop(config.leave_timeout);
  return absl::OkStatus();
}

}  // namespace

int Serve(const ServeConfig& config) {
  const Environment environment = ProcessEnvironment();
  if (!StartedByHost(environment, config.cookie_key, config.cookie_value)) {
    ExplainToAPerson(config);
    return 1;
  }
  base::SystemClock clock;
  HclogLogger logger(config.program_name, config.min_log_level, &clock, StderrSink());
  if (const absl::Status status = Run(config, environment, &clock, &logger); !status.ok()) {
    logger.Error(base::ToStd(status.message()));
    return 1;
  }
  return 0;
}

}  // namespace goplugin
