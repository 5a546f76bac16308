#include "goplugin/log.h"

#include <grpc/support/log.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

#include "absl/time/time.h"
#include "base/json.h"
#include "base/text.h"
#include "base/turn.h"

namespace goplugin {
namespace {

constexpr std::string_view kCut = " [cut]";

// The names of go-hclog's levels.
std::string_view Name(base::LogLevel level) {
  constexpr std::array<std::string_view, 5> kNames = {"trace", "debug", "info", "warn", "error"};
  return kNames[static_cast<std::size_t>(level)];
}

base::Json Text(std::string_view text) {
  if (text.size() <= kMaxLogText) return base::JsonText(text);
  return base::JsonText(base::Cat(text.substr(0, kMaxLogText - kCut.size()), kCut));
}

// Invalid UTF-8 becomes U+FFFD, here also where a cut fell into a character.
base::JsonString Dump(const base::Json& line) {
  return line.dump(-1, ' ', false, base::Json::error_handler_t::replace);
}

// gRPC's threads may log while it goes, so it is held while it is used.
constinit absl::Mutex g_grpc_mutex(absl::kConstInit);
base::Logger* g_grpc_logger ABSL_GUARDED_BY(g_grpc_mutex) = nullptr;

void LogFromGrpc(gpr_log_func_args* args) {
  if (args->severity != GPR_LOG_SEVERITY_ERROR) return;
  absl::MutexLock lock(&g_grpc_mutex);
  if (g_grpc_logger != nullptr) {
    g_grpc_logger->Log(base::LogLevel::kWarn, args->message, {{"source", "grpc"}});
  }
}

}  // namespace

LogSink StderrSink() {
  return [](std::string_view line) {
    pollfd full{.fd = STDERR_FILENO, .events = POLLOUT, .revents = 0};
    if (poll(&full, 1, 0) == 0) base::PassTurnOn();
    while (!line.empty()) {
      const ssize_t written = write(STDERR_FILENO, line.data(), line.size());
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) return;
      line.remove_prefix(static_cast<std::size_t>(written));
    }
  };
}

HclogLogger::HclogLogger(std::string module, base::LogLevel min_level, base::Clock* clock,
                         LogSink sink)
    : module_(std::move(module)), min_level_(min_level), clock_(clock), sink_(std::move(sink)) {}

void HclogLogger::Log(base::LogLevel level, std::string_view message,
                      std::initializer_list<base::LogPair> pairs) {
  if (level < min_level_) return;
  base::Json line = base::Json::object();
  line["@level"] = base::JsonText(Name(level));
  line["@message"] = Text(message);
  line["@module"] = Text(module_);
  line["@timestamp"] = base::JsonText(
      absl::FormatTime("%Y-%m-%d%ET%H:%M:%E6SZ", clock_->Now(), absl::UTCTimeZone()));
  for (const auto& [key, value] : pairs) {
    // Names with @ are hclog's own.
    const std::size_t begin = key.find_first_not_of('@');
    if (begin == std::string_view::npos) continue;
    line[base::JsonString(key.substr(begin, kMaxLogText))] = Text(value);
  }
  base::JsonString text = Dump(line);
  if (text.size() >= kMaxLogLine) {
    // Escapes made it too long (up to six bytes for one): say what matters.
    const auto keep = [&](const char* key) { return line[key]; };
    base::Json shorter = {{"@level", keep("@level")},
                          {"@message", base::JsonText(message.substr(0, kMaxLogText / 8))},
                          {"@module", base::JsonText(module_.substr(0, kMaxLogText / 8))},
                          {"@timestamp", keep("@timestamp")},
                          {"cut", base::JsonText("the rest of a line that was too long")}};
    text = Dump(shorter);
  }
  text.push_back('\n');
  absl::MutexLock lock(&mutex_);
  sink_(text);
}

GrpcLogToLogger::GrpcLogToLogger(base::Logger* logger) {
  {
    absl::MutexLock lock(&g_grpc_mutex);
    g_grpc_logger = logger;
  }
  gpr_set_log_verbosity(GPR_LOG_SEVERITY_ERROR);
  gpr_set_log_function(LogFromGrpc);
}

GrpcLogToLogger::~GrpcLogToLogger() {
  absl::MutexLock lock(&g_grpc_mutex);
  g_grpc_logger = nullptr;
}

}  // namespace goplugin
