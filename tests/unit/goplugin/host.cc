#include "unit/goplugin/host.h"

#include <grpc/grpc.h>

#include <cstdlib>
#include <filesystem>

#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "base/text.h"
#include "goplugin/health.grpc.pb.h"

namespace goplugin {

TemporaryDirectory::TemporaryDirectory() : path_("/tmp/goplugin-test-XXXXXX") {
  if (mkdtemp(path_.data()) == nullptr) std::abort();
}

TemporaryDirectory::~TemporaryDirectory() { std::filesystem::remove_all(path_); }

void RecordingLogger::Log(base::LogLevel level, std::string_view message,
                          std::initializer_list<base::LogPair> pairs) {
  constexpr const char* kNames[] = {"trace", "debug", "info", "warn", "error"};
  absl::MutexLock lock(&mutex_);
  text_ += base::Cat(kNames[static_cast<int>(level)], ": ", message);
  for (const auto& [key, value] : pairs) text_ += base::Cat(" ", key, "=", value);
  text_ += '\n';
}

std::string RecordingLogger::Text() const {
  absl::MutexLock lock(&mutex_);
  return text_;
}

PluginAddress PluginAddress::Parse(std::string_view line) {
  PluginAddress address;
  while (line.ends_with('\n')) line.remove_suffix(1);
  address.fields = absl::StrSplit(base::ToAbsl(line), '|');
  if (address.fields.size() < 6) return address;
  address.socket_path = address.fields[3];
  std::string text = address.fields[5];
  while (text.size() % 4 != 0) text += '=';
  address.certificate_pem = "-----BEGIN CERTIFICATE-----\n";
  for (std::size_t at = 0; at < text.size(); at += 64) {
    address.certificate_pem += text.substr(at, 64) + "\n";
  }
  address.certificate_pem += "-----END CERTIFICATE-----\n";
  return address;
}

Host::Host() { KeepGrpc(); }

HandshakeRequest Host::Request(const std::string& directory) const {
  HandshakeRequest request;
  request.host_certificate_pem = identity_.certificate_pem;
  request.socket_directory = directory;
  request.protocol_versions = {5};
  return request;
}

std::shared_ptr<grpc::Channel> Host::Connect(const PluginAddress& plugin) const {
  return ConnectWith(plugin.socket_path, ClientCredentials(&identity_, plugin.certificate_pem));
}

std::unique_ptr<grpc::Server> Host::Serve(const std::string& address, const PluginAddress& plugin,
                                          const std::vector<grpc::Service*>& services,
                                          int* port) const {
  grpc::SslServerCredentialsOptions options(
      GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  options.pem_root_certs = plugin.certificate_pem;
  options.pem_key_cert_pairs = {
      {std::string(identity_.private_key_pem.view()), identity_.certificate_pem}};
  grpc::ServerBuilder builder;
  builder.SetMaxReceiveMessageSize(-1);
  builder.AddListeningPort(address, grpc::SslServerCredentials(options), port);
  for (grpc::Service* service : services) builder.RegisterService(service);
  return builder.BuildAndStart();
}

std::shared_ptr<grpc::Channel> ConnectWith(
    const std::string& socket_path, const std::shared_ptr<grpc::ChannelCredentials>& credentials) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);
  arguments.SetSslTargetNameOverride("localhost");
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel("unix:" + socket_path, credentials, arguments);
}

std::shared_ptr<grpc::ChannelCredentials> ClientCredentials(const Identity* identity,
                                                            const std::string& root_pem) {
  grpc::SslCredentialsOptions options;
  options.pem_root_certs = root_pem;
  if (identity != nullptr) {
    options.pem_private_key = identity->private_key_pem.view();
    options.pem_cert_chain = identity->certificate_pem;
  }
  return grpc::SslCredentials(options);
}

void KeepGrpc() { grpc_init(); }

std::chrono::system_clock::time_point Soon() {
  return std::chrono::system_clock::now() + std::chrono::seconds(4);
}

grpc::Status CheckHealth(const std::shared_ptr<grpc::Channel>& channel,
                         const std::string& service) {
  grpc::ClientContext context;
  context.set_deadline(Soon());
  grpc::health::v1::HealthCheckRequest request;
  request.set_service(service);
  grpc::health::v1::HealthCheckResponse response;
  grpc::Status status =
      grpc::health::v1::Health::NewStub(channel)->Check(&context, request, &response);
  if (status.ok() && response.status() != grpc::health::v1::HealthCheckResponse::SERVING) {
    return {grpc::StatusCode::INTERNAL, "it does not serve"};
  }
  return status;
}

}  // namespace goplugin
