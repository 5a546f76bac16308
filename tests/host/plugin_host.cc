#include "host/plugin_host.h"

#include <google/protobuf/stubs/logging.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/text.h"
#include "goplugin/broker.grpc.pb.h"
#include "goplugin/posix.h"
#include "unit/goplugin/child.h"

namespace testing_support {
namespace {

constexpr char kMount[] = "mount-1";
constexpr std::uint32_t kUnknown = 0;
constexpr std::uint32_t kCoded = 3;
constexpr std::uint32_t kUnsupportedOperation = 5;
constexpr std::uint32_t kUnsupportedPath = 6;
constexpr std::uint32_t kInvalidRequest = 7;
constexpr std::uint32_t kPermissionDenied = 8;
constexpr absl::Duration kEnd = absl::Seconds(5);

void Prepare(grpc::ClientContext& context, absl::Duration patience) {
  context.AddMetadata("multiplex_id", kMount);
  context.set_deadline(absl::ToChronoTime(absl::Now() + patience));
}

HostReply FromWire(const pb::HandleRequestReply& wire) {
  HostReply reply;
  const std::string& data = wire.response().data();
  if (!data.empty()) reply.data = *base::ParseJson(data);
  reply.code = wire.has_response() ? 200 : 204;
  if (!wire.has_err()) return reply;
  reply.error = wire.err().err_msg();
  switch (wire.err().err_type()) {
    case kInvalidRequest:
      reply.code = 400;
      if (reply.data.contains("error")) {
        reply.error = reply.data.at("error").get_ref<const base::JsonString&>();
      }
      break;
    case kCoded:
      reply.code = static_cast<int>(wire.err().err_code());
      break;
    case kPermissionDenied:
      reply.code = 403;
      break;
    case kUnsupportedOperation:
    case kUnsupportedPath:
      reply.code = 405;
      break;
    case kUnknown:
    default:
      // With the read-only text core would forward it to the active node.
      reply.code = absl::StrContains(reply.error, "readonly") ? 307 : 500;
  }
  return reply;
}

HostReply Lost(std::string why) {
  HostReply reply;
  reply.code = 500;
  reply.error = std::move(why);
  reply.lost = true;
  return reply;
}

}  // namespace

struct PluginHost::Process {
  Process(StorageHub& hub, int order)
      : number(order), storage(hub, order, [this] { Kill(); }), system(hub) {}
  ~Process() {
    broker_context.TryCancel();
    if (server != nullptr) server->Shutdown(std::chrono::system_clock::now());
  }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  // By the descriptor, which never means another process.
  void Kill() { syscall(SYS_pidfd_send_signal, descriptor.get(), SIGKILL, nullptr, 0); }
  // Waits for the end of one that was killed or whose connection broke.
  bool AwaitEnd() {
    absl::MutexLock lock(&mutex);
    if (!ended) ended = child->AwaitEnd(kEnd);
    return ended;
  }

  const int number;
  std::unique_ptr<goplugin::Child> child;
  goplugin::Fd descriptor;
  absl::Mutex mutex;
  bool ended ABSL_GUARDED_BY(mutex) = false;

  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<pb::Backend::Stub> backend;
  grpc::ClientContext broker_context;
  std::unique_ptr<grpc::ClientReaderWriter<plugin::ConnInfo, plugin::ConnInfo>> stream;
  std::string address;
  std::uint32_t servers = 0;
  StorageServer storage;
  SystemServer system;
  std::unique_ptr<grpc::Server> server;
};

// Garbage on the wire is meant, and Protobuf needn't tell of it.
PluginHost::PluginHost() { google::protobuf::SetLogHandler(nullptr); }

PluginHost::~PluginHost() {
  absl::MutexLock lock(&mutex_);
  running_.reset();
  dead_.clear();
}

std::shared_ptr<PluginHost::Process> PluginHost::Start() {
  // Another binary, as for the end-to-end tests.
  const char* const other = std::getenv("MEK_PLUGIN");
  const std::string log = directory_.path() + "/log";
  auto process = std::make_shared<Process>(hub_, ++starts_);
  process->child = std::make_unique<goplugin::Child>(
      other != nullptr ? other : MEK_PLUGIN,
      std::vector<std::string>{
          "VAULT_BACKEND_PLUGIN=6669da05-b1c8-4f49-97d9-c8e5bed98e20",
          "PLUGIN_PROTOCOL_VERSIONS=5",
          "PLUGIN_CLIENT_CERT=" + host_.identity().certificate_pem,
          "PLUGIN_UNIX_SOCKET_DIR=" + directory_.path(),
          "TMPDIR=" + directory_.path(),
          // A process that can't be dumped can't be looked at by the leak checker either.
          "ASAN_OPTIONS=detect_leaks=0",
      },
      log);
  process->descriptor =
      goplugin::Fd(static_cast<int>(syscall(SYS_pidfd_open, process->child->pid(), 0)));
  const auto line = process->child->ReadLine();
  if (!line.has_value()) return nullptr;
  const auto plugin = goplugin::PluginAddress::Parse(*line);
  process->channel = host_.Connect(plugin);
  process->backend = pb::Backend::NewStub(process->channel);
  process->stream =
      plugin::GRPCBroker::NewStub(process->channel)->StartStream(&process->broker_context);
  process->address = absl::StrCat(directory_.path(), "/host-", process->number);
  process->server =
      host_.Serve("unix:" + process->address, plugin, {&process->storage, &process->system});
  if (process->server == nullptr || !SetUp(*process)) return nullptr;
  return process;
}

bool PluginHost::SetUp(Process& process) {
  plugin::ConnInfo info;
  info.set_service_id(++process.servers);
  info.set_network("unix");
  info.set_address(process.address);
  if (!process.stream->Write(info)) return false;
  grpc::ClientContext setup_context;
  Prepare(setup_context, kEnd);
  pb::SetupArgs args;
  args.set_broker_id(process.servers);
  args.set_backenduuid("uuid-1");
  pb::SetupReply set_up;
  if (!process.backend->Setup(&setup_context, args, &set_up).ok() || !set_up.err().empty()) {
    return false;
  }
  grpc::ClientContext initialize_context;
  Prepare(initialize_context, kEnd);
  pb::InitializeReply initialized;
  return process.backend->Initialize(&initialize_context, {}, &initialized).ok();
}

std::shared_ptr<PluginHost::Process> PluginHost::Running() {
  absl::MutexLock lock(&mutex_);
  // Killed between two tries.
  for (int i = 0; running_ == nullptr && i < 3; ++i) running_ = Start();
  return running_;
}

void PluginHost::Bury(std::shared_ptr<Process> process) {
  dead_.push_back(std::move(process));
  dead_.remove_if([](const auto& one) { return one->storage.busy() == 0 && one.use_count() == 1; });
}

bool PluginHost::FoundDead(const std::shared_ptr<Process>& process) {
  if (!process->AwaitEnd()) return false;
  absl::MutexLock lock(&mutex_);
  if (running_ == process) {
    store().Abandon();
    running_.reset();
    Bury(process);
  }
  return true;
}

HostReply PluginHost::SendTo(Process& process, const HostRequest& request) {
  pb::HandleRequestArgs args;
  args.mutable_request()->set_id(request.id);
  args.mutable_request()->set_operation(request.operation);
  args.mutable_request()->set_path(request.path);
  args.mutable_request()->set_mount_point("mek/");
  args.mutable_request()->set_display_name("token-test");
  args.mutable_request()->set_data(
      request.data.empty() ? "null" : std::string(base::DumpJson(request.data)->view()));
  grpc::ClientContext context;
  Prepare(context, request.patience);
  pb::HandleRequestReply wire;
  const grpc::Status status = process.backend->HandleRequest(&context, args, &wire);
  if (!status.ok()) {
    return Lost(
        absl::StrCat("gRPC ", static_cast<int>(status.error_code()), ": ", status.error_message()));
  }
  return FromWire(wire);
}

HostReply PluginHost::Send(HostRequest request) {
  if (request.id.empty()) request.id = absl::StrCat("request-", ++requests_);
  HostReply reply = Lost("the plugin can't be started");
  for (int sent = 0; sent <= request.replays; ++sent) {
    const std::shared_ptr<Process> process = Running();
    if (process == nullptr) return reply;
    // OpenBao asks where a request goes before it sends it, with the same path and no id.
    SendTo(*process, {.operation = "resolve-path", .path = request.path});
    reply = SendTo(*process, request);
    if (!reply.lost || !FoundDead(process)) return reply;
  }
  return reply;
}

HostReply PluginHost::Write(std::string_view path, base::Json data) {
  return Send({.path = std::string(path), .data = std::move(data)});
}

HostReply PluginHost::Read(std::string_view path, base::Json data) {
  return Send({.operation = "read", .path = std::string(path), .data = std::move(data)});
}

void PluginHost::Renew() {
  absl::MutexLock lock(&mutex_);
  if (running_ == nullptr) return;
  if (!SetUp(*running_)) throw std::runtime_error("the plugin can't be set up again");
}

void PluginHost::Kill() {
  std::shared_ptr<Process> process;
  {
    absl::MutexLock lock(&mutex_);
    process = running_;
  }
  if (process == nullptr) return;
  process->Kill();
  if (!FoundDead(process)) throw std::runtime_error("a killed process does not end");
}

int PluginHost::starts() {
  absl::MutexLock lock(&mutex_);
  return starts_;
}

int PluginHost::pid() {
  absl::MutexLock lock(&mutex_);
  return running_ == nullptr ? -1 : running_->child->pid();
}

std::string PluginHost::Log() const {
  std::stringstream text;
  text << std::ifstream(directory_.path() + "/log").rdbuf();
  return text.str();
}

}  // namespace testing_support
