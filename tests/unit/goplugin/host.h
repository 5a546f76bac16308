// The host's part of go-plugin, played by tests. It uses gRPC's ordinary TLS credentials, not ours.
#ifndef TESTS_UNIT_GOPLUGIN_HOST_H_
#define TESTS_UNIT_GOPLUGIN_HOST_H_

#include <grpcpp/grpcpp.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "base/logger.h"
#include "goplugin/automtls.h"
#include "goplugin/handshake.h"
#include "support/host_identity.h"

namespace goplugin {

// A directory that is removed with all that is in it.
class TemporaryDirectory {
 public:
  TemporaryDirectory();
  ~TemporaryDirectory();
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// Keeps lines such as "warn: message key=value". Thread-safe.
class RecordingLogger final : public base::Logger {
 public:
  using base::Logger::Log;
  void Log(base::LogLevel level, std::string_view message,
           std::initializer_list<base::LogPair> pairs) override;
  std::string Text() const;

 private:
  mutable absl::Mutex mutex_;
  std::string text_ ABSL_GUARDED_BY(mutex_);
};

// A plugin's handshake line.
struct PluginAddress {
  static PluginAddress Parse(std::string_view line);

  std::vector<std::string> fields;
  std::string socket_path;
  std::string certificate_pem;
};

class Host {
 public:
  Host();

  const Identity& identity() const { return identity_; }

  HandshakeRequest Request(const std::string& directory) const;
  std::shared_ptr<grpc::Channel> Connect(const PluginAddress& plugin) const;
  // A server for the plugin to dial: "unix:PATH" or "HOST:PORT", whose port is then in `port`.
  std::unique_ptr<grpc::Server> Serve(const std::string& address, const PluginAddress& plugin,
                                      grpc::Service& service, int* port = nullptr) const {
    return Serve(address, plugin, {&service}, port);
  }
  std::unique_ptr<grpc::Server> Serve(const std::string& address, const PluginAddress& plugin,
                                      const std::vector<grpc::Service*>& services,
                                      int* port = nullptr) const;

 private:
  const Identity identity_ = testing_support::HostIdentity();
};

// A channel without limits on messages, whose host name is checked as localhost.
std::shared_ptr<grpc::Channel> ConnectWith(
    const std::string& socket_path, const std::shared_ptr<grpc::ChannelCredentials>& credentials);
// Client credentials as go-plugin's; no identity, no certificate.
std::shared_ptr<grpc::ChannelCredentials> ClientCredentials(const Identity* identity,
                                                            const std::string& root_pem);

// gRPC's tear-down, which would follow its last object, can take 10 s: prevents it.
void KeepGrpc();

// A deadline that only a failing test reaches.
std::chrono::system_clock::time_point Soon();

// The status of a health check for "plugin", SERVING asserted by the caller's OK.
grpc::Status CheckHealth(const std::shared_ptr<grpc::Channel>& channel,
                         const std::string& service = "plugin");

}  // namespace goplugin

#endif  // TESTS_UNIT_GOPLUGIN_HOST_H_
