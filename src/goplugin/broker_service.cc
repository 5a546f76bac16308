#include "goplugin/broker_service.h"

#include <arpa/inet.h>
#include <sys/un.h>

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "base/text.h"
#include "base/turn.h"
#include "goplugin/broker.grpc.pb.h"
#include "goplugin/flow_control.h"

namespace goplugin {
namespace {

// The servers are on this machine: if one doesn't answer at once, trying again soon is cheap.
constexpr int kFirstReconnectMs = 100;
constexpr int kMaxReconnectMs = 1000;

// gRPC reads targets as URIs.
std::string PercentEncode(std::string_view path) {
  std::string out;
  for (const char c : path) {
    if (absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
        std::string_view("/-._~").find(c) != std::string_view::npos) {
      out.push_back(c);
    } else {
      absl::StrAppendFormat(&out, "%%%02X", static_cast<unsigned char>(c));
    }
  }
  return out;
}

absl::StatusOr<std::string> UnixTarget(std::string_view path) {
  if (!path.starts_with('/') || path.size() >= sizeof(sockaddr_un{}.sun_path) ||
      path.find('\0') != std::string_view::npos) {
    return absl::InvalidArgumentError("the host named a unix socket without a proper path");
  }
  return base::Cat("unix:", PercentEncode(path));
}

// "1.2.3.4:5" or "[::1]:5".
absl::StatusOr<std::string> TcpTarget(std::string_view address) {
  const absl::Status bad =
      absl::InvalidArgumentError("the host named a TCP address that is not number:port");
  const std::size_t colon = address.rfind(':');
  if (colon == std::string_view::npos) return bad;
  const std::string_view port_text = address.substr(colon + 1);
  int port = 0;
  if (port_text.empty() || !std::ranges::all_of(port_text, absl::ascii_isdigit) ||
      !absl::SimpleAtoi(base::ToAbsl(port_text), &port) || port < 1 || port > 65535) {
    return bad;
  }
  const std::string_view shown = address.substr(0, colon);
  const bool bracketed = shown.starts_with('[') && shown.ends_with(']') && shown.size() > 2;
  const std::string host(bracketed ? shown.substr(1, shown.size() - 2) : shown);
  unsigned char parsed[sizeof(in6_addr)];
  // inet_pton reads up to the first NUL only.
  if (host.find('\0') != std::string::npos ||
      inet_pton(bracketed ? AF_INET6 : AF_INET, host.c_str(), parsed) != 1) {
    return bad;
  }
  return bracketed ? base::Cat("ipv6:%5B", host, "%5D:", port)
                   : base::Cat("ipv4:", host, ":", port);
}

}  // namespace

absl::StatusOr<std::string> DialTarget(std::string_view network, std::string_view address) {
  if (network == "unix") return UnixTarget(address);
  if (network == "tcp") return TcpTarget(address);
  return absl::InvalidArgumentError("the host named a server on an unknown kind of network");
}

// What all channels have in common.
struct BrokerService::Dialling {
  explicit Dialling(std::shared_ptr<grpc::ChannelCredentials> with) : credentials(std::move(with)) {
    arguments.SetMaxReceiveMessageSize(-1);
    arguments.SetMaxSendMessageSize(-1);
    arguments.SetSslTargetNameOverride("localhost");
    arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, kFirstReconnectMs);
    arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kMaxReconnectMs);
    for (const auto& [name, value] : kFlowControl) arguments.SetInt(name, value);
    // The environment's proxies are not for us.
    arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
    // A retry is its caller's decision, and would cost a second copy of each request until it is
    // answered.
    arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
    // Not shared between channels, so that a channel's end closes its connection.
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  }

  std::shared_ptr<grpc::ChannelCredentials> credentials;
  grpc::ChannelArguments arguments;
};

BrokerService::BrokerService(std::shared_ptr<grpc::ChannelCredentials> credentials,
                             Leaving* leaving, base::Logger* logger)
    : dialling_(std::make_shared<Dialling>(std::move(credentials))),
      leaving_(leaving),
      logger_(logger) {}

absl::StatusOr<Connect> BrokerService::Locate(std::uint32_t service_id, absl::Duration timeout) {
  const auto known_or_hopeless = [&]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return stopped_ || (host_seen_ && streams_.empty()) || targets_.contains(service_id);
  };
  // What the host says comes to the server's queue.
  base::PassTurnOn();
  absl::MutexLock lock(&mutex_);
  mutex_.AwaitWithTimeout(absl::Condition(&known_or_hopeless), std::min(timeout, kMaxDialWait));
  if (stopped_ || (host_seen_ && streams_.empty())) {
    return absl::UnavailableError("the connection to the host has ended");
  }
  auto told = targets_.extract(service_id);
  if (told.empty()) {
    return absl::DeadlineExceededError(
        base::Cat("the host did not say in time where its server ", service_id, " is"));
  }
  ASSIGN_OR_RETURN(std::string target, std::move(told.mapped()));
  return [target = std::move(target), dialling = dialling_] {
    return grpc::CreateCustomChannel(target, dialling->credentials, dialling->arguments);
  };
}

bool BrokerService::host_seen() const {
  absl::MutexLock lock(&mutex_);
  return host_seen_;
}

void BrokerService::Stop() {
  absl::MutexLock lock(&mutex_);
  stopped_ = true;
  for (grpc::ServerContext* stream : streams_) stream->TryCancel();
}

// One stream of the host's, from waiting for it to its end. Owns itself.
class BrokerService::Stream final : public QueueEvent {
 public:
  using Service = plugin::GRPCBroker::AsyncService;

  Stream(BrokerService& broker, Service& service, Calls& calls)
      : broker_(broker), service_(service), calls_(calls) {
    service.RequestStartStream(&context_, &stream_, calls.queue(), calls.queue(), this);
  }

  void Done(bool ok) override {
    switch (waits_for_) {
      case Waits::kHost:
        if (!ok) return delete this;
        new Stream(broker_, service_, calls_);
        if (!broker_.Begin(&context_)) {
          return Finish({grpc::StatusCode::UNAVAILABLE, "the plugin is leaving"});
        }
        waits_for_ = Waits::kBegun;
        return stream_.SendInitialMetadata(this);
      case Waits::kBegun:
      case Waits::kInfo:
        if (ok && waits_for_ == Waits::kInfo) broker_.Remember(info_);
        waits_for_ = Waits::kInfo;
        if (ok) return stream_.Read(&info_, this);
        broker_.End(&context_);
        return Finish(grpc::Status::OK);
      case Waits::kFinished:
        delete this;
    }
  }

 private:
  enum class Waits { kHost, kBegun, kInfo, kFinished };

  void Finish(const grpc::Status& status) {
    waits_for_ = Waits::kFinished;
    stream_.Finish(status, this);
  }

  BrokerService& broker_;
  Service& service_;
  Calls& calls_;
  const Calls::Open open_{calls_};  // destroyed last
  grpc::ServerContext context_;
  grpc::ServerAsyncReaderWriter<plugin::ConnInfo, plugin::ConnInfo> stream_{&context_};
  plugin::ConnInfo info_;
  Waits waits_for_ = Waits::kHost;
};

void BrokerService::Register(Calls& calls) {
  Stream::Service& service = calls.Add<Stream::Service>();
  calls.OnStart([this, &service, &calls] { new Stream(*this, service, calls); });
}

bool BrokerService::Begin(grpc::ServerContext* stream) {
  absl::MutexLock lock(&mutex_);
  if (stopped_) return false;
  host_seen_ = true;
  streams_.insert(stream);
  return true;
}

void BrokerService::End(grpc::ServerContext* stream) {
  absl::MutexLock lock(&mutex_);
  streams_.erase(stream);
  if (streams_.empty() && !stopped_) leaving_->Leave(LeaveReason::kHostGone);
}

void BrokerService::Remember(const plugin::ConnInfo& info) {
  if (info.has_knock()) return;
  absl::StatusOr<std::string> target = DialTarget(info.network(), info.address());
  if (!target.ok()) {
    logger_->Warn(base::ToStd(target.status().message()),
                  {{"service_id", base::Cat(info.service_id())}});
  }
  absl::MutexLock lock(&mutex_);
  // If the host says it twice, the later word counts.
  targets_.insert_or_assign(info.service_id(), std::move(target));
  if (targets_.size() > kMaxWaitingServers) targets_.erase(targets_.begin());
}

}  // namespace goplugin
